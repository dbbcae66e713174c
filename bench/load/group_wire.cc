#include "bench/load/group_wire.h"

#include "bench/load/basics.h"
#include "common/endian.h"

namespace millrace::bench {
namespace {

constexpr std::string_view kProtocolType = "consumer";
constexpr std::string_view kAssignor = "range";

/// Appends a byte string with a 32-bit length before it.
void append_bytes(Buffer& out, const Buffer& bytes) {
  Writer writer(out);
  writer.i32(static_cast<std::int32_t>(bytes.size()));
  writer.raw(bytes);
}

void append_member(Buffer& out, const MemberAt& who) {
  append_client_id(out);
  Writer writer(out);
  writer.text(who.group);
  writer.i32(who.generation);
  writer.text(who.member);
}

/// Version 0 of what consumers tell their leader.
Buffer subscription(const std::string& topic) {
  Buffer bytes;
  Writer writer(bytes);
  writer.i16(0);
  writer.i32(1);
  writer.text(topic);
  writer.i32(-1);  // no data of the user
  return bytes;
}

/// Version 0 of what leaders tell the members: member `at` of `count` gets each count-th partition.
Buffer assignment(const Deal& deal, std::size_t at) {
  const auto count = static_cast<int>(deal.members.size());
  const int first = static_cast<int>(at);
  Buffer bytes;
  Writer writer(bytes);
  writer.i16(0);
  writer.i32(1);
  writer.text(deal.topic);
  writer.i32(first < deal.partitions ? (deal.partitions - first - 1) / count + 1 : 0);
  for (int partition = first; partition < deal.partitions; partition += count)
    writer.i32(partition);
  writer.i32(-1);  // no data of the user
  return bytes;
}

// Flexible messages: lengths are one higher, so that 0 is null, and unsigned varints.

void append_unsigned(Buffer& out, std::uint32_t value) {
  for (; value >= 0x80; value >>= 7) out.push_back(static_cast<std::uint8_t>(value | 0x80));
  out.push_back(static_cast<std::uint8_t>(value));
}

void append_compact(Buffer& out, std::string_view text) {
  append_unsigned(out, static_cast<std::uint32_t>(text.size() + 1));
  Writer(out).raw(common::as_bytes(text));
}

std::uint32_t read_unsigned(Reader& reader) {
  std::uint32_t value = 0;
  for (int shift = 0; shift < 35; shift += 7) {
    const auto byte = static_cast<std::uint8_t>(reader.i8());
    value |= static_cast<std::uint32_t>(byte & 0x7F) << shift;
    if (byte < 0x80) return value;
  }
  fail("a varint of more than five bytes");
}

std::string read_compact(Reader& reader) {
  const std::uint32_t size = read_unsigned(reader);
  return size <= 1 ? std::string() : std::string(common::as_text(reader.take(size - 1)));
}

void skip_tags(Reader& reader) {
  for (std::uint32_t count = read_unsigned(reader); count > 0; --count) {
    read_unsigned(reader);
    reader.take(read_unsigned(reader));
  }
}

ConsumerAnswer::Assignment read_assignment(Reader& reader) {
  ConsumerAnswer::Assignment found;
  const std::uint32_t topics = read_unsigned(reader);
  if (topics > 2) fail("partitions of {} topics, one is subscribed to", topics - 1);
  for (std::uint32_t topic = 1; topic < topics; ++topic) {
    const auto id = reader.take(found.topic.size());
    std::copy(id.begin(), id.end(), found.topic.begin());
    for (std::uint32_t count = read_unsigned(reader); count > 1; --count) {
      found.partitions.push_back(reader.i32());
    }
    skip_tags(reader);
  }
  skip_tags(reader);
  return found;
}

}  // namespace

Buffer find_coordinator_body(const std::string& group) {
  Buffer body;
  append_client_id(body);
  Writer(body).text(group);
  return body;
}

Buffer join_body(const MemberAt& who, const JoinWishes& wishes) {
  Buffer body;
  append_client_id(body);
  Writer writer(body);
  writer.text(who.group);
  writer.i32(wishes.session_ms);
  writer.i32(wishes.rebalance_ms);
  writer.text(who.member);
  writer.text(kProtocolType);
  writer.i32(1);
  writer.text(kAssignor);
  append_bytes(body, subscription(wishes.topic));
  return body;
}

JoinAnswer read_join(common::ByteView answer) {
  Reader reader(answer);
  JoinAnswer result;
  reader.i32();  // throttle
  result.error = reader.i16();
  result.generation = reader.i32();
  reader.text();  // the assignor
  result.leader = reader.text();
  result.member = reader.text();
  for (int count = reader.i32(); count > 0; --count) {
    result.members.push_back(reader.text());
    reader.take(static_cast<std::size_t>(reader.i32()));
  }
  return result;
}

Buffer sync_body(const MemberAt& who, const Deal& deal) {
  Buffer body;
  append_member(body, who);
  Writer writer(body);
  writer.i32(static_cast<std::int32_t>(deal.members.size()));
  for (std::size_t at = 0; at < deal.members.size(); ++at) {
    writer.text(deal.members[at]);
    append_bytes(body, assignment(deal, at));
  }
  return body;
}

SyncAnswer read_sync(common::ByteView answer) {
  Reader reader(answer);
  reader.i32();  // throttle
  SyncAnswer result{.error = reader.i16(), .partitions = 0};
  const std::int32_t size = reader.i32();
  if (size <= 0) return result;
  Reader fields(reader.take(static_cast<std::size_t>(size)));
  fields.i16();
  for (int topics = fields.i32(); topics > 0; --topics) {
    fields.text();
    const int partitions = fields.i32();
    fields.take(static_cast<std::size_t>(partitions) * 4);
    result.partitions += partitions;
  }
  return result;
}

Buffer heartbeat_body(const MemberAt& who) {
  Buffer body;
  append_member(body, who);
  return body;
}

Buffer leave_body(const MemberAt& who) {
  Buffer body;
  append_client_id(body);
  Writer writer(body);
  writer.text(who.group);
  writer.text(who.member);
  return body;
}

int read_error(common::ByteView answer) {
  Reader reader(answer);
  reader.i32();  // throttle
  return reader.i16();
}

CommitBody commit_body(const MemberAt& who, const std::string& topic, int partitions) {
  CommitBody body;
  append_member(body.bytes, who);
  Writer writer(body.bytes);
  writer.i32(1);
  writer.text(topic);
  writer.i32(partitions);
  for (int partition = 0; partition < partitions; ++partition) {
    writer.i32(partition);
    body.offset_positions.push_back(body.bytes.size());
    writer.i64(0);
    writer.text("");  // no metadata
  }
  return body;
}

int read_commit(common::ByteView answer, int partitions) {
  Reader reader(answer);
  reader.i32();  // throttle
  int first_error = 0;
  int found = 0;
  for (int topics = reader.i32(); topics > 0; --topics) {
    reader.text();
    for (int count = reader.i32(); count > 0; --count) {
      reader.i32();
      const int error = reader.i16();
      if (error != 0 && first_error == 0) first_error = error;
      ++found;
    }
  }
  if (found != partitions) fail("an answer about {} of {} committed offsets", found, partitions);
  return first_error;
}

Buffer consumer_heartbeat_body(const MemberAt& who, const ConsumerReport& report) {
  Buffer body;
  append_client_id(body);
  append_unsigned(body, 0);  // the end of the header
  append_compact(body, who.group);
  append_compact(body, who.member);
  Writer writer(body);
  writer.i32(who.generation);
  append_unsigned(body, 0);  // no instance
  append_unsigned(body, 0);  // no rack
  writer.i32(report.rebalance_ms);
  append_unsigned(body, report.subscribed.empty() ? 0 : 2);
  if (!report.subscribed.empty()) append_compact(body, report.subscribed);
  append_unsigned(body, 0);  // the assignor is the broker's choice
  const bool owns = report.tells_owned && !report.owned.empty();
  append_unsigned(body, !report.tells_owned ? 0 : owns ? 2 : 1);
  if (owns) {
    writer.raw(report.topic);
    append_unsigned(body, static_cast<std::uint32_t>(report.owned.size() + 1));
    for (const std::int32_t partition : report.owned) writer.i32(partition);
    append_unsigned(body, 0);
  }
  append_unsigned(body, 0);
  return body;
}

ConsumerAnswer read_consumer_heartbeat(common::ByteView answer) {
  Reader reader(answer);
  ConsumerAnswer result;
  skip_tags(reader);  // of the header
  reader.i32();       // throttle
  result.error = reader.i16();
  result.message = read_compact(reader);
  result.member = read_compact(reader);
  result.epoch = reader.i32();
  reader.i32();  // the interval that the broker wishes for
  if (reader.i8() >= 0) result.assignment = read_assignment(reader);
  return result;
}

}  // namespace millrace::bench
