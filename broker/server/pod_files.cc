#include "broker/server/pod_files.h"

#include <fstream>
#include <iterator>
#include <string_view>

namespace millrace::server {
namespace {

std::string value_of(const model::ConfigMap& config, std::string_view name) {
  const auto found = config.find(name);
  return found == config.end() ? "" : found->second;
}

}  // namespace

std::optional<std::string> read_text(const std::string& path) {
  std::ifstream in(path);
  if (!in) return std::nullopt;
  const std::string text{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  constexpr const char* kSpace = " \t\r\n";
  const std::size_t first = text.find_first_not_of(kSpace);
  if (first == std::string::npos) return "";
  return text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

std::optional<std::string> take_rack(model::ConfigMap& config) {
  const std::string path = value_of(config, "broker.rack.file");
  if (path.empty() || !value_of(config, "broker.rack").empty()) return std::nullopt;
  std::string rack = read_text(path).value_or("");
  config["broker.rack"] = rack;
  return rack;
}

}  // namespace millrace::server
