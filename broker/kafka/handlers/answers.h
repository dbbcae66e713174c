// Small pieces that several handlers share.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "broker/kafka/call.h"
#include "broker/model/errors.h"
#include "common/result.h"

namespace millrace::kafka {

using model::ErrorCode;
using model::kafka_number;

/// A sentence may name what the client named, which may be longer than a response's string can be.
inline constexpr std::size_t kMessageBytesMax = 2000;

/// At most so many bytes of a text, not cut inside of a character.
inline std::string cut_text(std::string text, std::size_t bytes_max) {
  if (text.size() <= bytes_max) return text;
  const auto inside = [&](std::size_t at) { return (text[at] & 0xc0) == 0x80; };
  while (bytes_max > 0 && inside(bytes_max)) --bytes_max;
  text.resize(bytes_max);
  return text;
}

/// What a response carries beside the number: nothing without an error; the table's sentence where
/// there is no better.
inline std::optional<std::string> message_of(ErrorCode code, std::string detail) {
  if (code == ErrorCode::kNone) return std::nullopt;
  if (detail.empty()) return std::string(model::error_row(code).meaning);
  return cut_text(std::move(detail), kMessageBytesMax);
}

/// Writes an outcome's code and text into any response struct that has both.
template <typename Target>
void put_error(Target& target, ErrorCode code, std::string detail) {
  target.error_code = kafka_number(code);
  target.error_message = message_of(code, std::move(detail));
}

/// The bits of the ACL operations that exist on a kind of resource (KIP-430): without
/// authorization, a client may do all.
inline constexpr std::int32_t kTopicOperations = 0b1101'1111'1000;      // 3..8, 10, 11
inline constexpr std::int32_t kClusterOperations = 0b1'1111'1010'0000;  // 5, 7..12
inline constexpr std::int32_t kGroupOperations = 0b1101'0100'1000;      // 3, 6, 8, 10, 11
inline constexpr std::int32_t kOperationsNotAsked = INT32_MIN;

/// How often each key occurs: for requests that must name everything once.
template <typename Key>
class Occurrences {
 public:
  void add(const Key& key) { ++counts_[key]; }
  bool repeated(const Key& key) const {
    const auto found = counts_.find(key);
    return found != counts_.end() && found->second > 1;
  }

 private:
  std::unordered_map<Key, int> counts_;
};

}  // namespace millrace::kafka
