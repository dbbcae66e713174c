#include "broker/grpc/utf8.h"

#include <fmt/format.h>

#include <algorithm>

#include "broker/model/errors.h"
#include "common/utf8.h"

namespace millrace::grpc {

std::optional<common::Error> too_long(std::string_view what, std::string_view text) {
  if (text.size() <= kTextBytesMax) return std::nullopt;
  return common::Error{
      model::ErrorCode::kInvalidRequest,
      fmt::format("{} has {} bytes; at most {} are allowed", what, text.size(), kTextBytesMax)};
}

std::string as_utf8(std::string_view text) {
  std::string valid;
  valid.reserve(text.size());
  while (!text.empty()) {
    const std::size_t count = common::utf8_character_bytes(text);
    if (count == 0) {
      valid += "\xef\xbf\xbd";  // U+FFFD
    } else {
      valid += text.substr(0, count);
    }
    text.remove_prefix(std::max<std::size_t>(count, 1));
  }
  return valid;
}

}  // namespace millrace::grpc
