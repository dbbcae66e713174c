// What every part of the group coordinator speaks of.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "broker/model/errors.h"
#include "broker/model/ids.h"
#include "common/bytes.h"
#include "common/clock.h"
#include "common/id.h"

namespace millrace::coordinator {

using model::ErrorCode;

/// Counts the rebalances of a classic group (`generation`) or the changes of a consumer group's
/// target (`epoch`, KIP-848). A member of an older one is stale. -1: none.
struct EpochTag {};
using Epoch = common::Number<EpochTag, std::int32_t>;

/// A request that waits for its answer. The caller of a machine draws tickets; never reused.
enum class Ticket : std::uint64_t {};

/// Both clocks at the moment of an input: machines have none.
struct Now {
  common::Instant instant;
  common::Timestamp wall;
};

/// Who is at the other end of a member, for those who describe groups.
struct ClientInfo {
  std::string id;    // client.id
  std::string host;  // "/10.1.2.3", as Kafka prints it
  bool operator==(const ClientInfo&) const = default;
};

/// Partitions of one topic, ascending and distinct.
struct TopicPartitions {
  model::TopicId topic;
  std::vector<std::int32_t> partitions;
  bool operator==(const TopicPartitions&) const = default;
};

/// An outcome that is nothing but an error or none.
struct Status {
  ErrorCode code = ErrorCode::kNone;
  std::string detail;
  bool ok() const { return code == ErrorCode::kNone; }
};

}  // namespace millrace::coordinator
