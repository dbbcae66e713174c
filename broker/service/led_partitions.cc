#include "broker/service/led_partitions.h"

#include <algorithm>
#include <bit>
#include <map>

#include "broker/cluster/fields.h"
#include "broker/model/errors.h"
#include "common/check.h"

namespace millrace::service {
namespace {

using cluster::FieldReader;
using cluster::FieldWriter;
using model::ErrorCode;

constexpr std::uint8_t kVersion = 1;
constexpr std::size_t kReplicasListed = 4096;  // different ones in one report
constexpr std::size_t kPartitionsListed = 1'000'000;
// Of one partition: topic unchanged, index, term, voters, bitmap, bytes, minimum.
constexpr std::size_t kEntryBytesMin = 8;

/// The replicas that a report speaks of, each written once.
std::map<raft::ReplicaId, std::uint64_t> number_replicas(
    const std::vector<LedPartition>& partitions) {
  std::map<raft::ReplicaId, std::uint64_t> numbers;
  for (const LedPartition& partition : partitions) {
    for (const raft::ReplicaId& voter : partition.voters) numbers.emplace(voter, 0);
  }
  std::uint64_t next = 0;
  for (auto& [replica, number] : numbers) number = next++;
  return numbers;
}

/// Reads the voters of one partition and which of them are caught up. False: they make no sense.
bool read_voters(FieldReader& in, const std::vector<raft::ReplicaId>& replicas,
                 LedPartition& partition) {
  const std::size_t count = in.length(raft::kVotersMax);
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint64_t number = in.count();
    if (in.failed() || number >= replicas.size()) return false;
    partition.voters.push_back(replicas[number]);
  }
  const std::uint64_t caught_up = in.count((std::uint64_t{1} << raft::kVotersMax) - 1);
  if (count == 0 || std::uint64_t(std::bit_width(caught_up)) > count) return false;
  for (std::size_t i = 0; i < count; ++i) {
    const raft::ReplicaId& voter = partition.voters[i];
    if (std::count(partition.voters.begin(), partition.voters.end(), voter) != 1) return false;
    if ((caught_up >> i & 1) != 0) partition.caught_up.push_back(voter);
  }
  return !in.failed();
}

}  // namespace

std::int64_t coarse_bytes(std::int64_t bytes) {
  CHECK(bytes >= 0);
  const int width = std::bit_width(static_cast<std::uint64_t>(bytes));
  constexpr int kSmallestStepBits = 16;
  const std::int64_t step = std::int64_t{1} << std::max(width - 4, kSmallestStepBits);
  return bytes > INT64_MAX - step ? bytes : (bytes + step - 1) / step * step;
}

common::Bytes encode(const std::vector<LedPartition>& partitions) {
  FieldWriter out;
  out.byte(kVersion);
  const auto numbers = number_replicas(partitions);
  out.count(numbers.size());
  for (const auto& [replica, number] : numbers) {
    out.number(replica.node.value());
    out.uuid(replica.directory);
  }
  out.count(partitions.size());
  model::TopicId topic;
  for (const LedPartition& partition : partitions) {
    CHECK(partition.voters.size() <= raft::kVotersMax);
    const bool same_topic = partition.key.topic == topic;
    out.byte(same_topic ? 0 : 1);
    if (!same_topic) out.uuid(topic = partition.key.topic);
    out.number(partition.key.index.value());
    out.number(partition.term.value());
    out.count(partition.voters.size());
    std::uint64_t caught_up = 0;
    for (std::size_t i = 0; i < partition.voters.size(); ++i) {
      out.count(numbers.at(partition.voters[i]));
      const auto& level = partition.caught_up;
      if (std::find(level.begin(), level.end(), partition.voters[i]) != level.end())
        caught_up |= std::uint64_t{1} << i;
    }
    out.count(caught_up);
    out.number(partition.bytes);
    out.number(partition.insync_min);
  }
  return common::Bytes::copy_of(out.view());
}

common::Result<std::vector<LedPartition>> decode_led(common::ByteView body) {
  const auto bad = [] {
    return common::Error{ErrorCode::kCorruptMessage, "A report of partitions cannot be read"};
  };
  FieldReader in(body);
  if (in.byte() != kVersion) {
    return common::Error{ErrorCode::kUnsupportedVersion,
                         "A report of partitions is of another version"};
  }
  std::vector<raft::ReplicaId> replicas(in.length(kReplicasListed, 17));
  for (raft::ReplicaId& replica : replicas) {
    replica.node = in.broker();
    replica.directory = in.uuid();
  }
  std::vector<LedPartition> partitions(in.length(kPartitionsListed, kEntryBytesMin));
  model::TopicId topic;
  for (LedPartition& partition : partitions) {
    if (in.byte() != 0) topic = in.uuid();
    partition.key = {topic, model::PartitionIndex{in.number<std::int32_t>()}};
    partition.term = in.term();
    if (!read_voters(in, replicas, partition)) return bad();
    partition.bytes = in.number<std::int64_t>();
    partition.insync_min = in.number<std::int32_t>();
    if (partition.bytes < 0) return bad();
  }
  if (!in.done()) return bad();
  return partitions;
}

std::uint64_t sum_of(common::ByteView body) {
  if (body.empty()) return 0;
  // FNV-1a; 0 is kept for "none".
  std::uint64_t sum = 0xcbf29ce484222325;
  for (const std::uint8_t byte : body) sum = (sum ^ byte) * 0x100000001b3;
  return sum == 0 ? 1 : sum;
}

}  // namespace millrace::service
