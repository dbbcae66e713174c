#include "broker/coordinator/records.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "broker/model/record.h"
#include "broker/wire/messages/consumer_group_current_member_assignment_record.h"
#include "broker/wire/messages/consumer_group_member_metadata_record.h"
#include "broker/wire/messages/consumer_group_metadata_record.h"
#include "broker/wire/messages/consumer_group_regular_expression_record.h"
#include "broker/wire/messages/consumer_group_target_assignment_member_record.h"
#include "broker/wire/messages/consumer_group_target_assignment_metadata_record.h"
#include "broker/wire/messages/group_metadata_record.h"
#include "broker/wire/messages/legacy_offset_commit_record.h"
#include "broker/wire/messages/offset_commit_record.h"
#include "broker/wire/reader.h"
#include "broker/wire/writer.h"
#include "common/endian.h"

namespace millrace::coordinator {
namespace {

using common::Bytes;
using common::ByteView;
using common::Timestamp;
using model::Result;

// The versions that Kafka 4.3 writes.
constexpr std::int16_t kOffsetVersion = 4;
constexpr std::int16_t kExpiringOffsetVersion = 1;  // the only one with a time of expiry
constexpr std::int16_t kGroupVersion = 3;
constexpr std::int16_t kConsumerVersion = 0;
/// The highest type of key that Kafka 4.3 has; share and streams groups are among them.
constexpr std::int16_t kKafkaTypeMax = 23;

// ---- Encoding

std::optional<std::string> null_if_empty(const std::string& text) {
  return text.empty() ? std::nullopt : std::optional(text);
}

}  // namespace

/// Writes records one behind the other; says where each key and value ended up.
class RecordEncoder {
 public:
  using Extent = EncodedRecords::Extent;

  Extent write(const Record& record) {
    extent_.key = out_.size();
    std::visit([this](const auto& r) { put(r); }, record);
    extent_.end = out_.size();
    return extent_;
  }
  Bytes take() { return out_.take().joined(); }

 private:
  template <typename Key>
  void key(const Key& key) {
    out_.i16(Key::kType);
    key.encode(out_, Key::kVersionMax);
    extent_.value = out_.size();
    extent_.tombstone = true;
  }
  template <typename Value>
  void value(const Value& value, std::int16_t version) {
    out_.i16(version);
    value.encode(out_, version);
    extent_.tombstone = false;
  }

  void put(const OffsetRecord& r) {
    // Offsets come in numbers: their texts are copied into the same memory each time.
    offset_key_.group = r.group;
    offset_key_.topic = r.topic;
    offset_key_.partition = r.partition;
    key(offset_key_);
    if (!r.value) return;
    offset_value_.offset = r.value->offset.value();
    offset_value_.leader_epoch = r.value->leader_epoch;
    offset_value_.metadata = r.value->metadata;
    offset_value_.commit_timestamp = r.value->committed.value();
    offset_value_.expire_timestamp = r.value->expires.value();
    offset_value_.topic_id = r.topic_id;
    const bool expires = r.value->expires.value() >= 0;
    value(offset_value_, expires ? kExpiringOffsetVersion : kOffsetVersion);
  }

  void put(const ClassicGroupRecord& r) {
    key(wire::GroupMetadataKey{.group = r.group});
    if (!r.value) return;
    wire::GroupMetadataValue stored;
    stored.protocol_type = r.value->protocol_type;
    stored.generation = r.value->generation.value();
    stored.protocol = r.value->protocol;
    stored.leader = r.value->leader;
    stored.current_state_timestamp = r.value->state_since.value();
    for (const ClassicGroupRecord::Member& member : r.value->members) {
      stored.members.push_back({.member_id = member.member,
                                .group_instance_id = member.instance,
                                .client_id = member.client.id,
                                .client_host = member.client.host,
                                .rebalance_timeout = member.rebalance_timeout_ms,
                                .session_timeout = member.session_timeout_ms,
                                .subscription = member.subscription,
                                .assignment = member.assignment});
    }
    value(stored, kGroupVersion);
  }

  void put(const ConsumerGroupRecord& r) {
    key(wire::ConsumerGroupMetadataKey{.group_id = r.group});
    if (!r.value) return;
    value(wire::ConsumerGroupMetadataValue{.epoch = r.value->epoch.value(),
                                           .metadata_hash = r.value->metadata_hash},
          kConsumerVersion);
  }

  void put(const ConsumerMemberRecord& r) {
    key(wire::ConsumerGroupMemberMetadataKey{.group_id = r.group, .member_id = r.member});
    if (!r.value) return;
    wire::ConsumerGroupMemberMetadataValue stored;
    stored.instance_id = r.value->instance;
    stored.rack_id = r.value->rack;
    stored.client_id = r.value->client.id;
    stored.client_host = r.value->client.host;
    stored.subscribed_topic_names = r.value->topics;
    stored.subscribed_topic_regex = null_if_empty(r.value->topic_regex);
    stored.rebalance_timeout_ms = r.value->rebalance_timeout_ms;
    stored.server_assignor = r.value->assignor;
    stored.classic_member_metadata = classic_member(r.value->classic);
    value(stored, kConsumerVersion);
  }

  using ClassicMember = wire::ConsumerGroupMemberMetadataValue::ClassicMember;
  static std::optional<ClassicMember> classic_member(
      const std::optional<ConsumerMemberRecord::ClassicMember>& member) {
    if (!member) return std::nullopt;
    ClassicMember stored;
    stored.session_timeout_ms = member->session_timeout_ms;
    for (const Protocol& protocol : member->protocols)
      stored.supported_protocols.push_back({.name = protocol.name, .metadata = protocol.metadata});
    return stored;
  }

  void put(const TargetEpochRecord& r) {
    key(wire::ConsumerGroupTargetAssignmentMetadataKey{.group_id = r.group});
    if (!r.value) return;
    wire::ConsumerGroupTargetAssignmentMetadataValue stored;
    stored.assignment_epoch = r.value->value();
    value(stored, kConsumerVersion);
  }

  void put(const TargetRecord& r) {
    key(wire::ConsumerGroupTargetAssignmentMemberKey{.group_id = r.group, .member_id = r.member});
    if (!r.value) return;
    wire::ConsumerGroupTargetAssignmentMemberValue stored;
    for (const TopicPartitions& topic : *r.value)
      stored.topic_partitions.push_back({.topic_id = topic.topic, .partitions = topic.partitions});
    value(stored, kConsumerVersion);
  }

  template <typename Stored>
  static void put_held(const std::vector<HeldPartitions>& held, std::vector<Stored>& out) {
    for (const HeldPartitions& topic : held) {
      CHECK(topic.epochs.size() == topic.partitions.size());
      Stored& stored = out.emplace_back();
      stored.topic_id = topic.topic;
      stored.partitions = topic.partitions;
      for (const Epoch epoch : topic.epochs) stored.assignment_epochs->push_back(epoch.value());
    }
  }

  void put(const CurrentRecord& r) {
    key(wire::ConsumerGroupCurrentMemberAssignmentKey{.group_id = r.group, .member_id = r.member});
    if (!r.value) return;
    wire::ConsumerGroupCurrentMemberAssignmentValue stored;
    stored.member_epoch = r.value->epoch.value();
    stored.previous_member_epoch = r.value->previous_epoch.value();
    stored.state = static_cast<std::int8_t>(r.value->state);
    put_held(r.value->assigned, stored.assigned_partitions);
    put_held(r.value->pending_revocation, stored.partitions_pending_revocation);
    value(stored, kConsumerVersion);
  }

  void put(const RegexRecord& r) {
    key(wire::ConsumerGroupRegularExpressionKey{.group_id = r.group,
                                                .regular_expression = r.regex});
    if (!r.value) return;
    value(wire::ConsumerGroupRegularExpressionValue{.topics = r.value->topics,
                                                    .version = r.value->version,
                                                    .timestamp = r.value->resolved.value()},
          kConsumerVersion);
  }

  wire::Writer out_;
  Extent extent_;
  wire::OffsetCommitKey offset_key_;
  wire::OffsetCommitValue offset_value_;
};

namespace {

// ---- Decoding

common::Error corrupt(std::string detail) {
  return {ErrorCode::kCorruptMessage, std::move(detail)};
}

/// Key and value of one record, of which the type of the key is known.
class Decoder {
 public:
  Decoder(ByteView key, std::optional<ByteView> value) : key_(key), value_(value) {}

  Result<std::optional<Record>> decode(std::int16_t type) const;

 private:
  /// Makes a Record of the key alone, and has `take` put the value into it.
  template <typename Key, typename Rec, typename Take>
  Result<std::optional<Record>> record(Rec (*from_key)(Key), Take take) const {
    wire::Reader key_in(Bytes::copy_of(key_));
    key_in.i16("type");  // the caller has looked at it
    TRY_ASSIGN(Key key, message<Key>(key_in, Key::kVersionMax));
    Rec record = from_key(std::move(key));
    if (value_) {
      wire::Reader value_in(Bytes::copy_of(*value_));
      const std::int16_t version = value_in.i16("version");
      if (!value_in.good()) return corrupt(fmt::format("a value of {} bytes", value_->size()));
      TRY_ASSIGN(typename Key::Value value, message<typename Key::Value>(value_in, version));
      TRY(take(std::move(value), record));
    }
    return std::optional<Record>(std::move(record));
  }

  /// What follows the number in front.
  template <typename Message>
  static Result<Message> message(wire::Reader& in, std::int16_t version) {
    if (version < 0) return corrupt(fmt::format("a value of version {}", version));
    if (version > Message::kVersionMax) {
      return common::Error{
          ErrorCode::kUnsupportedVersion,
          fmt::format("a value of type {} has version {}, known are those up to {}", Message::kType,
                      version, Message::kVersionMax)};
    }
    auto message = Message::decode(in, version);
    if (!message.ok()) return corrupt(message.error().detail);
    if (in.remaining() > 0)
      return corrupt(fmt::format("{} bytes behind the last field", in.remaining()));
    return message;
  }

  ByteView key_;
  std::optional<ByteView> value_;
};

template <typename Key>
OffsetRecord offset_from(Key key) {
  return {.group = std::move(key.group), .topic = std::move(key.topic), .partition = key.partition};
}

Result<void> take(wire::LegacyOffsetCommitValue value, OffsetRecord& record) {
  CommittedOffset& committed = record.value.emplace();
  committed.offset = model::Offset{value.offset};
  committed.metadata = std::move(value.metadata);
  committed.committed = Timestamp{value.commit_timestamp};
  return {};
}

Result<void> take(wire::OffsetCommitValue value, OffsetRecord& record) {
  CommittedOffset& committed = record.value.emplace();
  committed.offset = model::Offset{value.offset};
  committed.leader_epoch = value.leader_epoch;
  committed.metadata = std::move(value.metadata);
  committed.committed = Timestamp{value.commit_timestamp};
  committed.expires = Timestamp{value.expire_timestamp};
  record.topic_id = value.topic_id;
  return {};
}

Result<void> take(wire::GroupMetadataValue stored, ClassicGroupRecord& record) {
  ClassicGroupRecord::Value& value = record.value.emplace();
  value.protocol_type = std::move(stored.protocol_type);
  value.generation = Epoch{stored.generation};
  value.protocol = std::move(stored.protocol);
  value.leader = std::move(stored.leader);
  value.state_since = Timestamp{stored.current_state_timestamp};
  for (auto& member : stored.members) {
    // Version 0 knew one time limit for both.
    const std::int32_t rebalance_timeout =
        member.rebalance_timeout == -1 ? member.session_timeout : member.rebalance_timeout;
    value.members.push_back({.member = std::move(member.member_id),
                             .instance = std::move(member.group_instance_id),
                             .client = {std::move(member.client_id), std::move(member.client_host)},
                             .rebalance_timeout_ms = rebalance_timeout,
                             .session_timeout_ms = member.session_timeout,
                             .subscription = std::move(member.subscription),
                             .assignment = std::move(member.assignment)});
  }
  return {};
}

Result<void> take(wire::ConsumerGroupMetadataValue value, ConsumerGroupRecord& record) {
  record.value = {Epoch{value.epoch}, value.metadata_hash};
  return {};
}

Result<void> take(wire::ConsumerGroupMemberMetadataValue stored, ConsumerMemberRecord& record) {
  ConsumerMemberRecord::Value& value = record.value.emplace();
  value.instance = std::move(stored.instance_id);
  value.rack = std::move(stored.rack_id);
  value.client = {std::move(stored.client_id), std::move(stored.client_host)};
  value.topics = std::move(stored.subscribed_topic_names);
  value.topic_regex = std::move(stored.subscribed_topic_regex).value_or("");
  value.rebalance_timeout_ms = stored.rebalance_timeout_ms;
  value.assignor = std::move(stored.server_assignor);
  // What the field holds when it is left out is no member at all.
  using Classic = wire::ConsumerGroupMemberMetadataValue::ClassicMember;
  if (stored.classic_member_metadata && *stored.classic_member_metadata != Classic{}) {
    ConsumerMemberRecord::ClassicMember& classic = value.classic.emplace();
    classic.session_timeout_ms = stored.classic_member_metadata->session_timeout_ms;
    for (auto& protocol : stored.classic_member_metadata->supported_protocols)
      classic.protocols.push_back({std::move(protocol.name), std::move(protocol.metadata)});
  }
  return {};
}

Result<void> take(wire::ConsumerGroupTargetAssignmentMetadataValue value,
                  TargetEpochRecord& record) {
  record.value = Epoch{value.assignment_epoch};
  return {};
}

Result<void> take(wire::ConsumerGroupTargetAssignmentMemberValue stored, TargetRecord& record) {
  std::vector<TopicPartitions>& topics = record.value.emplace();
  for (auto& topic : stored.topic_partitions) {
    TopicPartitions& target = topics.emplace_back();
    target.topic = topic.topic_id;
    target.partitions = std::move(topic.partitions);
    // Kafka stores sets, in the order in which it walks them.
    std::sort(target.partitions.begin(), target.partitions.end());
    const auto repeated = std::unique(target.partitions.begin(), target.partitions.end());
    target.partitions.erase(repeated, target.partitions.end());
  }
  return {};
}

template <typename Stored>
Result<void> take_held(const std::vector<Stored>& stored, Epoch member,
                       std::vector<HeldPartitions>& out) {
  for (const Stored& topic : stored) {
    const auto& epochs = topic.assignment_epochs;
    const bool without = !epochs || epochs->empty();
    if (!without && epochs->size() != topic.partitions.size()) {
      return corrupt(fmt::format("{} partitions with {} assignment epochs", topic.partitions.size(),
                                 epochs->size()));
    }
    std::vector<std::pair<std::int32_t, Epoch>> pairs;
    for (std::size_t i = 0; i < topic.partitions.size(); ++i)
      pairs.emplace_back(topic.partitions[i], without ? member : Epoch{(*epochs)[i]});
    std::sort(pairs.begin(), pairs.end());
    HeldPartitions& held = out.emplace_back();
    held.topic = topic.topic_id;
    for (const auto& [partition, epoch] : pairs) {
      if (!held.partitions.empty() && held.partitions.back() == partition) continue;
      held.partitions.push_back(partition);
      held.epochs.push_back(epoch);
    }
  }
  return {};
}

Result<void> take(const wire::ConsumerGroupCurrentMemberAssignmentValue& stored,
                  CurrentRecord& record) {
  CurrentRecord::Value& value = record.value.emplace();
  value.epoch = Epoch{stored.member_epoch};
  value.previous_epoch = Epoch{stored.previous_member_epoch};
  value.state = MemberState::kUnknown;
  for (const MemberState known : {MemberState::kStable, MemberState::kUnrevokedPartitions,
                                  MemberState::kUnreleasedPartitions}) {
    if (stored.state == static_cast<std::int8_t>(known)) value.state = known;
  }
  TRY(take_held(stored.assigned_partitions, value.epoch, value.assigned));
  return take_held(stored.partitions_pending_revocation, value.epoch, value.pending_revocation);
}

Result<void> take(wire::ConsumerGroupRegularExpressionValue value, RegexRecord& record) {
  record.value = {std::move(value.topics), value.version, Timestamp{value.timestamp}};
  return {};
}

/// One `take` of those above, for record().
constexpr auto kTake = [](auto value, auto& record) { return take(std::move(value), record); };

Result<std::optional<Record>> Decoder::decode(std::int16_t type) const {
  switch (type) {
    case wire::LegacyOffsetCommitKey::kType:
      return record(&offset_from<wire::LegacyOffsetCommitKey>, kTake);
    case wire::OffsetCommitKey::kType:
      return record(&offset_from<wire::OffsetCommitKey>, kTake);
    case wire::GroupMetadataKey::kType:
      return record(
          +[](wire::GroupMetadataKey key) {
            return ClassicGroupRecord{std::move(key.group), {}};
          },
          kTake);
    case wire::ConsumerGroupMetadataKey::kType:
      return record(
          +[](wire::ConsumerGroupMetadataKey key) {
            return ConsumerGroupRecord{std::move(key.group_id), {}};
          },
          kTake);
    case wire::ConsumerGroupMemberMetadataKey::kType:
      return record(
          +[](wire::ConsumerGroupMemberMetadataKey key) {
            return ConsumerMemberRecord{std::move(key.group_id), std::move(key.member_id), {}};
          },
          kTake);
    case wire::ConsumerGroupTargetAssignmentMetadataKey::kType:
      return record(
          +[](wire::ConsumerGroupTargetAssignmentMetadataKey key) {
            return TargetEpochRecord{std::move(key.group_id), {}};
          },
          kTake);
    case wire::ConsumerGroupTargetAssignmentMemberKey::kType:
      return record(
          +[](wire::ConsumerGroupTargetAssignmentMemberKey key) {
            return TargetRecord{std::move(key.group_id), std::move(key.member_id), {}};
          },
          kTake);
    case wire::ConsumerGroupCurrentMemberAssignmentKey::kType:
      return record(
          +[](wire::ConsumerGroupCurrentMemberAssignmentKey key) {
            return CurrentRecord{std::move(key.group_id), std::move(key.member_id), {}};
          },
          kTake);
    case wire::ConsumerGroupRegularExpressionKey::kType:
      return record(
          +[](wire::ConsumerGroupRegularExpressionKey key) {
            return RegexRecord{std::move(key.group_id), std::move(key.regular_expression), {}};
          },
          kTake);
    default:
      return std::optional<Record>();
  }
}

}  // namespace

EncodedRecords::EncodedRecords(std::span<const Record> records) {
  RecordEncoder encoder;
  extents_.reserve(records.size());
  for (const Record& record : records) extents_.push_back(encoder.write(record));
  bytes_ = encoder.take();
}

ByteView EncodedRecords::key(std::size_t i) const {
  const Extent& at = extents_[i];
  return bytes_.view().subspan(at.key, at.value - at.key);
}

std::optional<ByteView> EncodedRecords::value(std::size_t i) const {
  const Extent& at = extents_[i];
  if (at.tombstone) return std::nullopt;
  return bytes_.view().subspan(at.value, at.end - at.value);
}

Result<std::optional<Record>> decode(ByteView key, std::optional<ByteView> value) {
  if (key.size() < sizeof(std::int16_t))
    return corrupt(fmt::format("a key of {} bytes", key.size()));
  const auto type = common::load_big<std::int16_t>(key.data());
  if (type < 0) return corrupt(fmt::format("a key of type {}", type));
  if (type > kKafkaTypeMax) {
    return common::Error{ErrorCode::kUnsupportedVersion, fmt::format("a key of type {}", type)};
  }
  return Decoder(key, value).decode(type);
}

Bytes to_batch(std::span<const Record> records, Timestamp now) {
  CHECK(!records.empty());
  const EncodedRecords encoded(records);
  model::BatchBuilder builder;
  for (std::size_t i = 0; i < encoded.size(); ++i)
    builder.append(
        {.timestamp = now, .key = encoded.key(i), .value = encoded.value(i), .headers = {}});
  return builder.build();
}

}  // namespace millrace::coordinator
