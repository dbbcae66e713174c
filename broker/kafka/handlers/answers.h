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

/// What a response carries beside the number: nothing without an error; the table's sentence where
/// there is no better.
inline std::optional<std::string> message_of(ErrorCode code, std::string detail) {
  if (code == ErrorCode::kNone) return std::nullopt;
  if (detail.empty()) return std::string(model::error_row(code).meaning);
  return detail;
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
