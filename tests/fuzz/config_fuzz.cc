// Any text as a configuration file (YAML, or a Kafka broker's properties), as a command line, as
// the environment, and as a topic's settings: refused with a reason, or settings that pass their
// own checks and can be resolved and described.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "broker/model/topic_settings.h"
#include "broker/server/config_file.h"
#include "broker/server/options.h"
#include "common/check.h"

namespace {

using namespace millrace;

void check_settings(const model::ConfigMap& config) {
  for (const auto& [name, value] : config)
    CHECK(model::check_broker_config(name, value).ok(), "{}={}", name, value);
  const model::BrokerSettings settings = model::resolve_broker_settings({.from_start = &config});
  CHECK(settings.connections_max >= 0);
  CHECK(!model::describe_broker_config({.from_start = &config}).empty());
}

/// Lines, or the one rest behind the last of them.
std::vector<std::string> lines_of(std::string_view text) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    lines.emplace_back(text.substr(0, end));
    text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
  }
  return lines;
}

void read_file(std::string_view text, const std::string& name) {
  const auto file = server::parse_config_file(std::string(text), name);
  if (file.ok()) return check_settings(file->config);
  CHECK(file.error().detail.starts_with(name), "{}", file.error().detail);
}

void read_command(const std::vector<std::string>& arguments,
                  const std::vector<std::string>& environment) {
  for (const std::string& argument : arguments) {
    if (argument.starts_with("--config")) return;  // would read a file of this machine
  }
  const auto options = server::read_options(arguments, environment);
  if (options.ok()) check_settings(options->config);
}

void read_topic(const std::vector<std::string>& lines) {
  model::ConfigMap overrides;
  for (const std::string& line : lines) {
    const std::size_t equals = line.find('=');
    if (equals != std::string::npos) overrides[line.substr(0, equals)] = line.substr(equals + 1);
  }
  if (!model::check_topic_configs(overrides).ok()) return;
  const model::TopicSettings settings = model::resolve_topic_settings(overrides, {});
  CHECK(settings.segment_bytes > 0 && settings.index_interval_bytes >= 0);
  CHECK(!model::describe_topic_config(overrides, {}).empty());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1) return 0;
  const std::string_view text = common::as_text({data + 1, size - 1});
  switch (data[0] % 5) {
    case 0:
      read_file(text, "f.yaml");
      break;
    case 1:
      read_file(text, "f.properties");
      break;
    case 2:
      read_command(lines_of(text), {});
      break;
    case 3:
      read_command({}, lines_of(text));
      break;
    default:
      read_topic(lines_of(text));
  }
  return 0;
}
