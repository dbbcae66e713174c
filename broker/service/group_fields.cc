#include "broker/service/group_fields.h"

#include <utility>

#include "broker/cluster/fields.h"
#include "broker/model/errors.h"

namespace millrace::service {
namespace {

using cluster::FieldReader;
using cluster::FieldWriter;
using coordinator::CommittedOffset;
using coordinator::Epoch;
using coordinator::Status;
using coordinator::TopicName;
using coordinator::TopicPartitions;
using model::ErrorCode;

constexpr std::uint8_t kVersion = 1;
/// The longest text of the gRPC door, and of Kafka's protocol.
constexpr std::size_t kTextBytesMax = 32'767;
constexpr std::size_t kDetailBytesMax = 4096;
constexpr std::size_t kThingsMax = 1'000'000;

void put(FieldWriter& out, const std::string& text) {
  out.text(text);
}
void put(FieldWriter& out, const TopicPartitions& topic) {
  out.uuid(topic.topic);
  out.count(topic.partitions.size());
  for (const std::int32_t partition : topic.partitions) out.number(partition);
}
template <typename T>
void put_all(FieldWriter& out, const std::vector<T>& all) {
  out.count(all.size());
  for (const T& one : all) put(out, one);
}
void put(FieldWriter& out, const std::vector<std::string>& texts) {
  put_all(out, texts);
}
void put(FieldWriter& out, const std::vector<TopicPartitions>& topics) {
  put_all(out, topics);
}
template <typename T>
void put_if(FieldWriter& out, const std::optional<T>& value) {
  out.byte(value ? 1 : 0);
  if (value) put(out, *value);
}
void put(FieldWriter& out, const TopicName& topic) {
  out.text(topic.name);
  out.uuid(topic.id);
}
void put(FieldWriter& out, const Status& status) {
  out.number(static_cast<std::int16_t>(status.code));
  out.text(std::string_view(status.detail).substr(0, kDetailBytesMax));
}
void put(FieldWriter& out, const CommittedOffset& offset) {
  out.number(offset.offset.value());
  out.number(offset.leader_epoch);
  out.text(offset.metadata);
  out.number(offset.committed.value());
  out.number(offset.expires.value());
}

void get(FieldReader& in, std::int32_t& value) {
  value = in.number<std::int32_t>();
}
void get(FieldReader& in, std::string& text) {
  text = in.text(kTextBytesMax);
}
void get(FieldReader& in, TopicPartitions& topic) {
  topic.topic = in.uuid();
  topic.partitions.resize(in.length(kThingsMax));
  for (std::int32_t& partition : topic.partitions) partition = in.number<std::int32_t>();
}
template <typename T>
void get_all(FieldReader& in, std::vector<T>& all) {
  all.resize(in.length(kThingsMax));
  for (T& one : all) get(in, one);
}
void get(FieldReader& in, std::vector<std::string>& texts) {
  get_all(in, texts);
}
void get(FieldReader& in, std::vector<TopicPartitions>& topics) {
  get_all(in, topics);
}
template <typename T>
void get_if(FieldReader& in, std::optional<T>& value) {
  if (in.byte() != 0) get(in, value.emplace());
}
void get(FieldReader& in, TopicName& topic) {
  topic.name = in.text(kTextBytesMax);
  topic.id = in.uuid();
}
ErrorCode get_code(FieldReader& in) {
  // A number that a newer broker made up is an error all the same.
  return model::error_row(static_cast<ErrorCode>(in.number<std::int16_t>())).code;
}
void get(FieldReader& in, Status& status) {
  status.code = get_code(in);
  status.detail = in.text(kDetailBytesMax);
}
void get(FieldReader& in, CommittedOffset& offset) {
  offset.offset = in.offset();
  offset.leader_epoch = in.number<std::int32_t>();
  offset.metadata = in.text(kTextBytesMax);
  offset.committed = common::Timestamp{in.number<std::int64_t>()};
  offset.expires = common::Timestamp{in.number<std::int64_t>()};
}

/// put(out) between the version and the end.
template <typename Put>
common::Bytes written(Put put_fields) {
  FieldWriter out;
  out.byte(kVersion);
  put_fields(out);
  return common::Bytes::copy_of(out.view());
}

template <typename Get>
common::Result<void> read(common::ByteView body, Get get_fields) {
  FieldReader in(body);
  if (in.byte() != kVersion) return model::error(ErrorCode::kUnsupportedVersion);
  get_fields(in);
  if (!in.done()) return model::error(ErrorCode::kCorruptMessage);
  return common::ok();
}

}  // namespace

// ---- Heartbeats

common::Bytes encode(const coordinator::ConsumerHeartbeat& request) {
  return written([&](FieldWriter& out) {
    out.text(request.group);
    out.text(request.member);
    out.number(request.epoch.value());
    put_if(out, request.instance);
    put_if(out, request.rack);
    out.number(request.rebalance_timeout_ms);
    put_if(out, request.topics);
    put_if(out, request.topic_regex);
    put_if(out, request.assignor);
    put_if(out, request.owned);
    out.text(request.client.id);
    out.text(request.client.host);
  });
}

common::Result<void> decode(common::ByteView body, coordinator::ConsumerHeartbeat& request) {
  return read(body, [&](FieldReader& in) {
    get(in, request.group);
    get(in, request.member);
    request.epoch = Epoch{in.number<std::int32_t>()};
    get_if(in, request.instance);
    get_if(in, request.rack);
    get(in, request.rebalance_timeout_ms);
    get_if(in, request.topics);
    get_if(in, request.topic_regex);
    get_if(in, request.assignor);
    get_if(in, request.owned);
    get(in, request.client.id);
    get(in, request.client.host);
  });
}

common::Bytes encode(const coordinator::ConsumerHeartbeatOutcome& outcome) {
  return written([&](FieldWriter& out) {
    put(out, outcome.status);
    out.text(outcome.member);
    out.number(outcome.epoch.value());
    out.number(outcome.heartbeat_interval_ms);
    put_if(out, outcome.assignment);
  });
}

common::Result<void> decode(common::ByteView body, coordinator::ConsumerHeartbeatOutcome& outcome) {
  return read(body, [&](FieldReader& in) {
    get(in, outcome.status);
    get(in, outcome.member);
    outcome.epoch = Epoch{in.number<std::int32_t>()};
    get(in, outcome.heartbeat_interval_ms);
    get_if(in, outcome.assignment);
  });
}

// ---- Commits

common::Bytes encode(const coordinator::OffsetCommit& request) {
  return written([&](FieldWriter& out) {
    out.text(request.group);
    out.number(request.epoch.value());
    out.text(request.member);
    put_if(out, request.instance);
    out.number(request.retention_ms);
    out.byte(request.member_epochs_known ? 1 : 0);
    out.count(request.partitions.size());
    for (const auto& partition : request.partitions) {
      put(out, partition.topic);
      out.number(partition.partition);
      out.number(partition.offset.value());
      out.number(partition.leader_epoch);
      out.text(partition.metadata);
    }
  });
}

common::Result<void> decode(common::ByteView body, coordinator::OffsetCommit& request) {
  return read(body, [&](FieldReader& in) {
    get(in, request.group);
    request.epoch = Epoch{in.number<std::int32_t>()};
    get(in, request.member);
    get_if(in, request.instance);
    request.retention_ms = in.number<std::int64_t>();
    request.member_epochs_known = in.byte() != 0;
    request.partitions.resize(in.length(kThingsMax));
    for (auto& partition : request.partitions) {
      get(in, partition.topic);
      get(in, partition.partition);
      partition.offset = in.offset();
      get(in, partition.leader_epoch);
      get(in, partition.metadata);
    }
  });
}

common::Bytes encode(const coordinator::OffsetCommitOutcome& outcome) {
  return written([&](FieldWriter& out) {
    put(out, outcome.status);
    out.count(outcome.partitions.size());
    for (const ErrorCode code : outcome.partitions) out.number(static_cast<std::int16_t>(code));
  });
}

common::Result<void> decode(common::ByteView body, coordinator::OffsetCommitOutcome& outcome) {
  return read(body, [&](FieldReader& in) {
    get(in, outcome.status);
    outcome.partitions.resize(in.length(kThingsMax));
    for (ErrorCode& code : outcome.partitions) code = get_code(in);
  });
}

// ---- Committed offsets

common::Bytes encode(const coordinator::OffsetFetch& request) {
  return written([&](FieldWriter& out) {
    out.text(request.group);
    put_if(out, request.member);
    out.number(request.epoch.value());
    out.byte(request.require_stable ? 1 : 0);
    out.byte(request.partitions ? 1 : 0);
    if (!request.partitions) return;
    out.count(request.partitions->size());
    for (const auto& partition : *request.partitions) {
      put(out, partition.topic);
      out.number(partition.partition);
    }
  });
}

common::Result<void> decode(common::ByteView body, coordinator::OffsetFetch& request) {
  return read(body, [&](FieldReader& in) {
    get(in, request.group);
    get_if(in, request.member);
    request.epoch = Epoch{in.number<std::int32_t>()};
    request.require_stable = in.byte() != 0;
    if (in.byte() == 0) return;
    request.partitions.emplace(in.length(kThingsMax));
    for (auto& partition : *request.partitions) {
      get(in, partition.topic);
      get(in, partition.partition);
    }
  });
}

common::Bytes encode(const coordinator::OffsetFetchOutcome& outcome) {
  return written([&](FieldWriter& out) {
    put(out, outcome.status);
    out.count(outcome.partitions.size());
    for (const auto& partition : outcome.partitions) {
      put(out, partition.topic);
      out.number(partition.partition);
      out.number(static_cast<std::int16_t>(partition.code));
      put(out, partition.committed);
    }
  });
}

common::Result<void> decode(common::ByteView body, coordinator::OffsetFetchOutcome& outcome) {
  return read(body, [&](FieldReader& in) {
    get(in, outcome.status);
    outcome.partitions.resize(in.length(kThingsMax));
    for (auto& partition : outcome.partitions) {
      get(in, partition.topic);
      get(in, partition.partition);
      partition.code = get_code(in);
      get(in, partition.committed);
    }
  });
}

}  // namespace millrace::service
