// The levels of the process's log, as Kafka's tools see and set them (resources of the kind
// BROKER_LOGGER).
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "broker/model/errors.h"

namespace millrace::service {

/// Kafka's name of the logger that everything goes through.
inline constexpr std::string_view kRootLogger = "root";

/// Any thread. Levels are Kafka's words: TRACE, DEBUG, INFO, WARN, ERROR, FATAL. They last until
/// the process ends.
class Loggers {
 public:
  virtual ~Loggers() = default;
  /// The level of each logger, by its name.
  virtual std::map<std::string, std::string> levels() const = 0;
  /// Requires a logger of this name. kInvalidConfig: no such level.
  virtual model::Result<void> set_level(const std::string& logger, std::string_view level) = 0;
};

}  // namespace millrace::service
