// The process's log: one line an event, key=value, on standard error.
#pragma once

#include <string>

namespace millrace::process {

/// Makes spdlog's default logger, by the name of the program. `format`: "text", or "json", an
/// object a line; `level`: "debug", "info", "warn" or "error".
void set_up_logging(const std::string& program, const std::string& format,
                    const std::string& level);

}  // namespace millrace::process
