#include "broker/server/pod_files.h"

#include <algorithm>
#include <array>
#include <fstream>
#include <string_view>

namespace millrace::server {
namespace {

constexpr std::size_t kTextBytesMax = std::size_t{64} << 10;

std::string value_of(const model::ConfigMap& config, std::string_view name) {
  const auto found = config.find(name);
  return found == config.end() ? "" : found->second;
}

}  // namespace

std::optional<std::string> read_up_to(const std::string& path, std::size_t bytes_max) {
  std::ifstream in(path);
  if (!in) return std::nullopt;
  std::string text;
  std::array<char, 4096> buffer;
  while (text.size() < bytes_max && in.good()) {
    const std::size_t wanted = std::min(buffer.size(), bytes_max - text.size());
    in.read(buffer.data(), static_cast<std::streamsize>(wanted));
    text.append(buffer.data(), static_cast<std::size_t>(in.gcount()));
  }
  if (in.bad()) return std::nullopt;  // a folder, say
  return text;
}

std::optional<std::string> read_text(const std::string& path) {
  const auto text = read_up_to(path, kTextBytesMax);
  if (!text) return std::nullopt;
  constexpr const char* kSpace = " \t\r\n";
  const std::size_t first = text->find_first_not_of(kSpace);
  if (first == std::string::npos) return "";
  return text->substr(first, text->find_last_not_of(kSpace) - first + 1);
}

std::optional<std::string> take_rack(model::ConfigMap& config) {
  const std::string path = value_of(config, "broker.rack.file");
  if (path.empty() || !value_of(config, "broker.rack").empty()) return std::nullopt;
  std::string rack = read_text(path).value_or("");
  config["broker.rack"] = rack;
  return rack;
}

}  // namespace millrace::server
