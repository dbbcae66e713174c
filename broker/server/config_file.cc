#include "broker/server/config_file.h"

#include <fmt/format.h>
#include <yaml-cpp/yaml.h>

#include <fstream>
#include <sstream>
#include <string_view>
#include <utility>

namespace millrace::server {
namespace {

using common::Error;
using common::Result;
using model::ErrorCode;

std::string trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t\r");
  if (first == std::string_view::npos) return {};
  return std::string(text.substr(first, text.find_last_not_of(" \t\r") - first + 1));
}

Result<ConfigFile> read_properties(std::istream& in, const std::string& path) {
  ConfigFile file;
  std::string line;
  std::string joined;
  while (std::getline(in, line)) {
    joined += trimmed(line);
    // As Java reads them: a comment ends with its line, whatever it ends with.
    const bool comment = joined.starts_with('#') || joined.starts_with('!');
    if (joined.ends_with('\\') && !comment) {
      joined.pop_back();
      if (in.peek() != std::istream::traits_type::eof()) continue;
    }
    const std::string entry = std::exchange(joined, {});
    if (entry.empty() || comment) continue;
    const std::size_t split = entry.find_first_of("=:");
    const std::string key = trimmed(entry.substr(0, split));
    const std::string value =
        split == std::string::npos ? "" : trimmed(std::string_view(entry).substr(split + 1));
    if (model::find_broker_key(key) == nullptr) {
      file.warnings.push_back(
          fmt::format("{}: {} means nothing to this broker and is ignored", path, key));
      continue;
    }
    if (const auto checked = model::check_broker_config(key, value); !checked.ok()) {
      return Error{checked.error().code, fmt::format("{}: {}", path, checked.error().detail)};
    }
    file.config[key] = value;
  }
  return file;
}

// Aliases make a small YAML file a large tree, or one without an end: no setting's name is deeper,
// and no file of settings has more nodes.
constexpr int kDepthMax = 16;
constexpr int kNodesMax = 10'000;

/// Adds the settings below `node` to `file`. `nodes` counts those seen so far.
Result<void> flatten(const YAML::Node& node, const std::string& prefix, const std::string& path,
                     ConfigFile& file, int depth, int& nodes) {
  if (depth > kDepthMax || ++nodes > kNodesMax) {
    return Error{ErrorCode::kInvalidConfig,
                 fmt::format("{}: nested too deeply, or too many entries", path)};
  }
  if (node.IsMap()) {
    for (const auto& entry : node) {
      const std::string name = entry.first.as<std::string>();
      TRY(flatten(entry.second, prefix.empty() ? name : prefix + "." + name, path, file, depth + 1,
                  nodes));
    }
    return common::ok();
  }
  std::string value;
  if (node.IsSequence()) {
    for (const auto& element : node)
      value += (value.empty() ? "" : ",") + element.as<std::string>();
  } else if (node.IsScalar()) {
    value = node.as<std::string>();
  }
  if (prefix.empty()) {
    return node.IsNull()
               ? common::ok()
               : Result<void>(Error{ErrorCode::kInvalidConfig,
                                    fmt::format("{}: expected settings as `name: value`", path)});
  }
  if (const auto checked = model::check_broker_config(prefix, value); !checked.ok()) {
    return Error{checked.error().code, fmt::format("{}: {}", path, checked.error().detail)};
  }
  file.config[prefix] = value;
  return common::ok();
}

Result<ConfigFile> read_yaml(std::istream& in, const std::string& path) {
  // yaml-cpp throws; nothing of it leaves this function.
  try {
    ConfigFile file;
    int nodes = 0;
    TRY(flatten(YAML::Load(in), "", path, file, 0, nodes));
    return file;
  } catch (const YAML::Exception& problem) {
    return Error{ErrorCode::kInvalidConfig, fmt::format("{}: {}", path, problem.what())};
  }
}

}  // namespace

Result<ConfigFile> read_config_file(const std::string& path) {
  std::ifstream in(path);
  if (!in)
    return Error{ErrorCode::kInvalidConfig,
                 fmt::format("{}: cannot be read; is the path right?", path)};
  std::ostringstream content;
  content << in.rdbuf();
  return parse_config_file(content.str(), path);
}

Result<ConfigFile> parse_config_file(const std::string& content, const std::string& path) {
  std::istringstream in(content);
  return path.ends_with(".properties") ? read_properties(in, path) : read_yaml(in, path);
}

}  // namespace millrace::server
