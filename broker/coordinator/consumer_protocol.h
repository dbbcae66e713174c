// TRY_ASSIGN(const Subscription subscription, decode_subscription(protocol.metadata));
//
// What members of the protocol type "consumer" tell each other through the broker, in Kafka's
// layout (ConsumerProtocolSubscription and ConsumerProtocolAssignment, versions 0..3). The broker
// passes it on unread, but has to look into it where it asks which topics a classic group reads,
// and where classic members live in a consumer group.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "broker/coordinator/ids.h"
#include "common/bytes.h"
#include "common/result.h"

namespace millrace::coordinator {

inline constexpr std::string_view kConsumerProtocolType = "consumer";

/// Partitions of a topic by its name: classic members know no ids.
struct NamedPartitions {
  std::string topic;
  std::vector<std::int32_t> partitions;
  bool operator==(const NamedPartitions&) const = default;
};

/// What a member wants, and what it held when it joined.
struct Subscription {
  std::int16_t version = 0;  // as the member wrote it; at most kNewest counts
  std::vector<std::string> topics;
  std::optional<common::Bytes> user_data;
  std::vector<NamedPartitions> owned;  // 1+
  Epoch generation{-1};                // 2+
  std::optional<std::string> rack;     // 3+
  static constexpr std::int16_t kNewest = 3;
};
/// Bytes of a version above kNewest are read as kNewest, what follows is left alone (Kafka's rule).
/// kInvalidRequest: not a subscription. Safe on any bytes; allocates in proportion to them.
common::Result<Subscription> decode_subscription(const common::Bytes& bytes);
common::Bytes encode(const Subscription& subscription);
/// Only the topics: they stand at the beginning, the same in all versions, so that a subscription
/// whose rest this broker cannot read still tells them.
common::Result<std::vector<std::string>> decode_topics(const common::Bytes& bytes);

/// What a member was given.
struct Assignment {
  std::int16_t version = 0;
  std::vector<NamedPartitions> partitions;
  std::optional<common::Bytes> user_data;
  static constexpr std::int16_t kNewest = 3;
};
/// As decode_subscription(). No bytes at all are an assignment of nothing.
common::Result<Assignment> decode_assignment(const common::Bytes& bytes);
common::Bytes encode(const Assignment& assignment);

}  // namespace millrace::coordinator
