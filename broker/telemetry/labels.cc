#include "broker/telemetry/labels.h"

#include <algorithm>
#include <cstdint>

#include "common/utf8.h"

namespace millrace::telemetry {
namespace {

constexpr std::size_t kNameBytesMax = 64;

bool is_control(char c) {
  return static_cast<std::uint8_t>(c) < 0x20 || c == 0x7f;
}

}  // namespace

std::string label_value(std::string_view text) {
  std::string value;
  while (!text.empty()) {
    const std::size_t count = common::utf8_character_bytes(text);
    const std::string_view character =
        count == 0 || is_control(text.front()) ? std::string_view("?") : text.substr(0, count);
    if (value.size() + character.size() > kLabelBytesMax) break;
    value += character;
    text.remove_prefix(std::max<std::size_t>(count, 1));
  }
  return value;
}

std::optional<std::string> label_name(std::string_view text) {
  if (text.empty() || text.size() > kNameBytesMax) return std::nullopt;
  std::string name(text);
  for (char& c : name) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9')) c = '_';
  }
  if (name.front() < 'a') return std::nullopt;  // digits and '_' come before letters
  return name;
}

}  // namespace millrace::telemetry
