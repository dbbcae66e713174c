// The levels of the process's log, and lines for it.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "broker/model/errors.h"
#include "broker/service/loggers.h"

namespace millrace::server {

/// The default logger's level, seen and set through Kafka's tools.
class ProcessLoggers final : public service::Loggers {
 public:
  std::map<std::string, std::string> levels() const override;
  model::Result<void> set_level(const std::string& logger, std::string_view level) override;
};

void log_info(std::string_view line);
void log_warning(std::string_view line);
void log_error(std::string_view line);

}  // namespace millrace::server
