// The process's log: one line an event, key=value, on standard error.
#pragma once

#include <string_view>

#include "broker/model/errors.h"

namespace millrace::server {

/// Sets format ("text" or "json") and level ("debug", "info", "warn", "error") of the default
/// logger.
void set_up_logging(std::string_view format, std::string_view level);

void log_info(std::string_view line);
void log_warning(std::string_view line);
void log_error(std::string_view line);

}  // namespace millrace::server
