#include "broker/server/logging.h"

#include <spdlog/spdlog.h>

#include <array>
#include <string>
#include <utility>

namespace millrace::server {
namespace {

/// spdlog's levels by Kafka's words.
constexpr std::array<std::pair<std::string_view, spdlog::level::level_enum>, 6> kLevels = {{
    {"TRACE", spdlog::level::trace},
    {"DEBUG", spdlog::level::debug},
    {"INFO", spdlog::level::info},
    {"WARN", spdlog::level::warn},
    {"ERROR", spdlog::level::err},
    {"FATAL", spdlog::level::critical},
}};

}  // namespace

std::map<std::string, std::string> ProcessLoggers::levels() const {
  const auto now = spdlog::default_logger_raw()->level();
  for (const auto& [word, level] : kLevels) {
    if (level == now) return {{std::string(service::kRootLogger), std::string(word)}};
  }
  return {};
}

model::Result<void> ProcessLoggers::set_level(const std::string& logger, std::string_view level) {
  CHECK(logger == service::kRootLogger, "there is no logger {}", logger);
  for (const auto& [word, value] : kLevels) {
    if (word != level) continue;
    spdlog::default_logger_raw()->set_level(value);
    spdlog::warn("event=log-level level={}", level);
    return common::ok();
  }
  return model::error(model::ErrorCode::kInvalidConfig);
}

void log_info(std::string_view line) {
  spdlog::info("{}", line);
}
void log_warning(std::string_view line) {
  spdlog::warn("{}", line);
}
void log_error(std::string_view line) {
  spdlog::error("{}", line);
}

}  // namespace millrace::server
