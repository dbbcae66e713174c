#include "broker/coordinator/consumer_protocol.h"

#include <algorithm>
#include <utility>

#include "broker/model/errors.h"
#include "broker/wire/reader.h"
#include "broker/wire/writer.h"

namespace millrace::coordinator {
namespace {

using wire::Reader;
using wire::Writer;

constexpr Reader::Element kString{.wire_bytes_min = 2, .memory_bytes = sizeof(std::string)};
constexpr Reader::Element kPartition{.wire_bytes_min = 4, .memory_bytes = 4};
constexpr Reader::Element kTopic{.wire_bytes_min = 6, .memory_bytes = sizeof(NamedPartitions)};

/// A version as written; a newer one is a known one with more behind it.
std::int16_t read_version(Reader& in, const char* field, std::int16_t newest) {
  const std::int16_t version = in.i16(field);
  if (version < 0) in.fail(field, "negative");
  return std::min(version, newest);
}

std::vector<std::string> read_topics(Reader& in) {
  std::vector<std::string> topics(static_cast<std::size_t>(
      std::max(0, in.array(kString, false, false, "ConsumerProtocolSubscription.topics"))));
  for (std::string& topic : topics) {
    in.string(topic, false, "ConsumerProtocolSubscription.topics");
  }
  return topics;
}

std::vector<NamedPartitions> read_partitions(Reader& in, const char* field) {
  std::vector<NamedPartitions> topics(
      static_cast<std::size_t>(std::max(0, in.array(kTopic, false, false, field))));
  for (NamedPartitions& topic : topics) {
    in.string(topic.topic, false, field);
    topic.partitions.resize(
        static_cast<std::size_t>(std::max(0, in.array(kPartition, false, false, field))));
    for (std::int32_t& partition : topic.partitions) partition = in.i32(field);
    if (!in.good()) break;
  }
  return topics;
}

void write_partitions(Writer& out, const std::vector<NamedPartitions>& topics) {
  out.length(topics.size(), false);
  for (const NamedPartitions& topic : topics) {
    out.string(topic.topic, false);
    out.length(topic.partitions.size(), false);
    for (const std::int32_t partition : topic.partitions) out.i32(partition);
  }
}

}  // namespace

common::Result<Subscription> decode_subscription(const common::Bytes& bytes) {
  Reader in(bytes);
  Subscription subscription;
  subscription.version =
      read_version(in, "ConsumerProtocolSubscription.version", Subscription::kNewest);
  subscription.topics = read_topics(in);
  in.bytes(subscription.user_data, false, true, "ConsumerProtocolSubscription.user_data");
  if (subscription.version >= 1) {
    subscription.owned = read_partitions(in, "ConsumerProtocolSubscription.owned_partitions");
  }
  if (subscription.version >= 2) {
    subscription.generation = Epoch{in.i32("ConsumerProtocolSubscription.generation_id")};
  }
  if (subscription.version >= 3) {
    in.string(subscription.rack, false, true, "ConsumerProtocolSubscription.rack_id");
  }
  if (!in.good()) return in.error();
  return subscription;
}

common::Result<std::vector<std::string>> decode_topics(const common::Bytes& bytes) {
  Reader in(bytes);
  read_version(in, "ConsumerProtocolSubscription.version", Subscription::kNewest);
  std::vector<std::string> topics = read_topics(in);
  if (!in.good()) return in.error();
  return topics;
}

common::Bytes encode(const Subscription& subscription) {
  CHECK(subscription.version >= 0);
  CHECK(subscription.version <= Subscription::kNewest);
  Writer out;
  out.i16(subscription.version);
  out.length(subscription.topics.size(), false);
  for (const std::string& topic : subscription.topics) out.string(topic, false);
  out.bytes(subscription.user_data, false, true);
  if (subscription.version >= 1) write_partitions(out, subscription.owned);
  if (subscription.version >= 2) out.i32(subscription.generation.value());
  if (subscription.version >= 3) out.string(subscription.rack, false, true);
  return out.take().joined();
}

common::Result<Assignment> decode_assignment(const common::Bytes& bytes) {
  Assignment assignment;
  if (bytes.empty()) return assignment;
  Reader in(bytes);
  assignment.version = read_version(in, "ConsumerProtocolAssignment.version", Assignment::kNewest);
  assignment.partitions = read_partitions(in, "ConsumerProtocolAssignment.assigned_partitions");
  in.bytes(assignment.user_data, false, true, "ConsumerProtocolAssignment.user_data");
  if (!in.good()) return in.error();
  return assignment;
}

common::Bytes encode(const Assignment& assignment) {
  CHECK(assignment.version >= 0);
  CHECK(assignment.version <= Assignment::kNewest);
  Writer out;
  out.i16(assignment.version);
  write_partitions(out, assignment.partitions);
  out.bytes(assignment.user_data, false, true);
  return out.take().joined();
}

}  // namespace millrace::coordinator
