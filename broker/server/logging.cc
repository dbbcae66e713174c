#include "broker/server/logging.h"

#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <array>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

namespace millrace::server {
namespace {

/// The message as a JSON string, quotes included.
class JsonMessage final : public spdlog::custom_flag_formatter {
 public:
  void format(const spdlog::details::log_msg& message, const std::tm&,
              spdlog::memory_buf_t& out) override {
    const std::string_view text(message.payload.data(), message.payload.size());
    const std::string quoted =
        nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
    out.append(quoted.data(), quoted.data() + quoted.size());
  }
  std::unique_ptr<custom_flag_formatter> clone() const override {
    return std::make_unique<JsonMessage>();
  }
};

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

void set_up_logging(std::string_view format, std::string_view level) {
  auto logger = std::make_shared<spdlog::logger>("millrace",
                                                 std::make_shared<spdlog::sinks::stderr_sink_mt>());
  if (format == "json") {
    auto formatter = std::make_unique<spdlog::pattern_formatter>(spdlog::pattern_time_type::utc);
    formatter->add_flag<JsonMessage>('*').set_pattern(
        R"({"time":"%Y-%m-%dT%H:%M:%S.%eZ","level":"%l","message":%*})");
    logger->set_formatter(std::move(formatter));
  } else {
    logger->set_pattern("%Y-%m-%dT%H:%M:%S.%eZ %-5l %v", spdlog::pattern_time_type::utc);
  }
  logger->set_level(spdlog::level::from_str(std::string(level)));
  logger->flush_on(spdlog::level::info);
  spdlog::set_default_logger(std::move(logger));
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
