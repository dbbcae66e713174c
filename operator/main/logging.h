// The process's log: one line an event, key=value, on standard error.
#pragma once

#include <string>

namespace millrace::operators {

/// Sets format ("text" or "json") and level ("debug", "info", "warn", "error") of the default
/// logger.
void set_up_logging(const std::string& format, const std::string& level);

}  // namespace millrace::operators
