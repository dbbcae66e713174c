#include "broker/cluster/frames.h"

#include <fmt/format.h>

#include <algorithm>

#include "common/crc32c.h"

namespace millrace::cluster {
namespace {

using common::Error;
using model::ErrorCode;

// "MLRC", the first field of a hello and of a welcome.
constexpr std::uint8_t kMagic[] = {'M', 'L', 'R', 'C'};
constexpr std::size_t kTextBytesMax = 4096;

// Places in a head.
constexpr std::size_t kBodyBytesAt = 0;
constexpr std::size_t kDataBytesAt = 4;
constexpr std::size_t kTypeAt = 8;
constexpr std::size_t kVersionAt = 9;
constexpr std::size_t kReservedAt = 10;
constexpr std::size_t kBodyCrcAt = 12;
constexpr std::size_t kHeadCrcAt = 16;
static_assert(kHeadCrcAt + 4 == kHeadBytes);

// Flags of a heartbeat.
constexpr std::uint8_t kRecovered = 1;
constexpr std::uint8_t kBlank = 2;
constexpr std::uint8_t kOutOfSpace = 4;
// Flags of an entry: its topic is that of the entry before.
constexpr std::uint8_t kSameTopic = 1;
// The least that an entry takes: flags, index, leader, term, version, number of replicas.
constexpr std::size_t kEntryBytesMin = 6;

Error corrupt(std::string_view what) {
  return {ErrorCode::kCorruptMessage, std::string(what)};
}

bool is_handshake(FrameType type) {
  return type == FrameType::kHello || type == FrameType::kWelcome || type == FrameType::kTurnedAway;
}

bool has_data(FrameType type) {
  return type == FrameType::kRaft || type == FrameType::kRequest || type == FrameType::kResponse;
}

void put(FieldWriter& out, const Introduction& who) {
  out.text(who.cluster_id);
  out.number(who.node.value());
  out.uuid(who.directory);
  out.uuid(who.incarnation);
  out.count(who.shards);
  out.number(who.level_min);
  out.number(who.level_max);
  out.endpoint(who.internal);
  out.endpoint(who.kafka);
  out.endpoint(who.grpc);
  out.text(who.rack);
}

Introduction get_introduction(FieldReader& in) {
  Introduction who;
  who.cluster_id = in.text(kTextBytesMax);
  who.node = in.broker();
  who.directory = in.uuid();
  who.incarnation = in.uuid();
  who.shards = static_cast<std::uint32_t>(in.count(kShardsMax));
  who.level_min = in.number<std::int32_t>();
  who.level_max = in.number<std::int32_t>();
  who.internal = in.endpoint();
  who.kafka = in.endpoint();
  who.grpc = in.endpoint();
  who.rack = in.text(kTextBytesMax);
  return who;
}

bool has_magic(FieldReader& in) {
  return std::ranges::equal(in.raw(sizeof(kMagic)), kMagic);
}

LeaderEntry get_entry(FieldReader& in, const model::TopicId& topic_before) {
  LeaderEntry entry;
  const std::uint8_t flags = in.byte();
  entry.key.topic = (flags & kSameTopic) != 0 ? topic_before : in.uuid();
  entry.key.index = model::PartitionIndex{in.number<std::int32_t>()};
  entry.leadership.leader = in.broker();
  entry.leadership.term = in.term();
  entry.leadership.version =
      static_cast<std::uint32_t>(in.count(std::numeric_limits<std::uint32_t>::max()));
  const std::size_t in_sync = in.length(kInSyncMax);
  entry.leadership.in_sync.reserve(in_sync);
  for (std::size_t i = 0; i < in_sync; ++i) entry.leadership.in_sync.push_back(in.broker());
  return entry;
}

}  // namespace

std::string_view name_of(RefusalReason reason) {
  switch (reason) {
    case RefusalReason::kVersion:
      return "version";
    case RefusalReason::kCluster:
      return "cluster";
    case RefusalReason::kAddress:
      return "address";
    case RefusalReason::kSelf:
      return "same_node";
    case RefusalReason::kDirectory:
      return "directory";
    case RefusalReason::kReplaced:
      return "replaced";
    case RefusalReason::kShard:
      return "shard";
    case RefusalReason::kFull:
      return "full";
  }
  return "unknown";
}

bool is_sound(const Introduction& who) {
  return !who.cluster_id.empty() && who.cluster_id.size() <= kTextBytesMax &&
         who.node >= model::BrokerId{0} && !who.directory.is_zero() && !who.incarnation.is_zero() &&
         who.shards > 0 && who.shards <= kShardsMax && who.level_min <= who.level_max &&
         who.rack.size() <= kTextBytesMax;
}

// ---- Frames

void begin_frame(FieldWriter& out) {
  CHECK(out.size() == 0, "a frame was begun inside another");
  out.grow(kHeadBytes);
}

Bytes end_frame(FieldWriter& out, FrameType type, std::uint8_t version, std::size_t data_bytes) {
  CHECK(out.size() >= kHeadBytes && out.size() - kHeadBytes <= kBodyBytesMax, "a body of {} bytes",
        out.size());
  CHECK(data_bytes <= std::numeric_limits<std::uint32_t>::max());
  CHECK(data_bytes == 0 || has_data(type));
  std::uint8_t* const head = out.data();
  common::store_little(head + kBodyBytesAt, static_cast<std::uint32_t>(out.size() - kHeadBytes));
  common::store_little(head + kDataBytesAt, static_cast<std::uint32_t>(data_bytes));
  head[kTypeAt] = static_cast<std::uint8_t>(type);
  head[kVersionAt] = version;
  common::store_little(head + kReservedAt, std::uint16_t{0});
  common::store_little(head + kBodyCrcAt, common::crc32c(out.view().subspan(kHeadBytes)));
  common::store_little(head + kHeadCrcAt, common::crc32c(out.view().first(kHeadCrcAt)));
  Bytes frame = Bytes::copy_of(out.view());
  out.clear();
  return frame;
}

Result<FrameHead> read_head(ByteView bytes, std::size_t data_bytes_max) {
  CHECK(bytes.size() >= kHeadBytes);
  const std::uint8_t* const at = bytes.data();
  if (common::load_little<std::uint32_t>(at + kHeadCrcAt) !=
      common::crc32c(bytes.first(kHeadCrcAt)))
    return corrupt("what came is not a frame, or a damaged one");
  FrameHead head;
  head.body_bytes = common::load_little<std::uint32_t>(at + kBodyBytesAt);
  head.data_bytes = common::load_little<std::uint32_t>(at + kDataBytesAt);
  head.type = static_cast<FrameType>(at[kTypeAt]);
  head.version = at[kVersionAt];
  head.body_crc = common::load_little<std::uint32_t>(at + kBodyCrcAt);
  if (head.type < FrameType::kHello || head.type > FrameType::kResponse)
    return corrupt(fmt::format("frames of type {} are not known", at[kTypeAt]));
  const bool handshake = is_handshake(head.type);
  if (handshake ? head.version != kHandshakeVersion
                : head.version < kVersionMin || head.version > kVersionMax)
    return corrupt(fmt::format("frames of version {} are not known", head.version));
  if (head.body_bytes > (handshake ? kHandshakeBytesMax : kBodyBytesMax))
    return corrupt(fmt::format("a body of {} bytes is announced", head.body_bytes));
  if (head.data_bytes > (has_data(head.type) ? data_bytes_max : 0))
    return corrupt(fmt::format("data of {} bytes is announced", head.data_bytes));
  return head;
}

Result<void> check_body(const FrameHead& head, ByteView body) {
  if (common::crc32c(body) != head.body_crc) return corrupt("a frame is damaged");
  return {};
}

// ---- The handshake

Bytes encode(const Hello& hello) {
  FieldWriter out;
  begin_frame(out);
  out.raw(kMagic);
  out.byte(hello.version_min);
  out.byte(hello.version_max);
  put(out, hello.who);
  out.number(hello.to.value());
  out.byte(static_cast<std::uint8_t>(hello.channel));
  out.count(hello.shard);
  out.count(hello.to_shard);
  return end_frame(out, FrameType::kHello, kHandshakeVersion);
}

// Later versions may add fields at the end of the handshake's frames: they are passed over.
Result<Hello> decode_hello(ByteView body) {
  FieldReader in(body);
  if (!has_magic(in)) return corrupt("this is no hello of a broker");
  Hello hello;
  hello.version_min = in.byte();
  hello.version_max = in.byte();
  hello.who = get_introduction(in);
  hello.to = in.broker();
  const std::uint8_t channel = in.byte();
  hello.channel = static_cast<Channel>(channel);
  hello.shard = static_cast<std::uint32_t>(in.count(kShardsMax));
  hello.to_shard = static_cast<std::uint32_t>(in.count(kShardsMax));
  if (in.failed() || !is_sound(hello.who) || hello.version_min > hello.version_max ||
      hello.version_min == kHandshakeVersion ||
      channel > static_cast<std::uint8_t>(Channel::kBrokers) || hello.shard >= hello.who.shards)
    return corrupt("a hello makes no sense");
  return hello;
}

Bytes encode(const Welcome& welcome) {
  FieldWriter out;
  begin_frame(out);
  out.raw(kMagic);
  out.byte(welcome.version);
  put(out, welcome.who);
  return end_frame(out, FrameType::kWelcome, kHandshakeVersion);
}

Result<Welcome> decode_welcome(ByteView body) {
  FieldReader in(body);
  if (!has_magic(in)) return corrupt("this is no welcome of a broker");
  Welcome welcome;
  welcome.version = in.byte();
  welcome.who = get_introduction(in);
  if (in.failed() || !is_sound(welcome.who)) return corrupt("a welcome makes no sense");
  return welcome;
}

Bytes encode(const TurnedAway& refusal) {
  FieldWriter out;
  begin_frame(out);
  out.byte(static_cast<std::uint8_t>(refusal.reason));
  out.text(std::string_view(refusal.text).substr(0, kTextBytesMax));
  return end_frame(out, FrameType::kTurnedAway, kHandshakeVersion);
}

Result<TurnedAway> decode_turned_away(ByteView body) {
  FieldReader in(body);
  TurnedAway refusal;
  refusal.reason = static_cast<RefusalReason>(in.byte());
  refusal.text = in.text(kTextBytesMax);
  if (in.failed()) return corrupt("a refusal makes no sense");
  return refusal;
}

// ---- Between brokers

Bytes encode(const Heartbeat& heartbeat, std::uint8_t version) {
  FieldWriter out;
  begin_frame(out);
  out.byte(static_cast<std::uint8_t>((heartbeat.state.recovered ? kRecovered : 0) |
                                     (heartbeat.state.blank ? kBlank : 0) |
                                     (heartbeat.state.out_of_space ? kOutOfSpace : 0)));
  out.number(heartbeat.state.applied.value());
  out.fixed64(heartbeat.state.leaders);
  if (version >= kRelianceVersionMin) {
    out.count(heartbeat.sent);
    out.count(static_cast<std::uint64_t>(heartbeat.reliance.trust));
    out.count(heartbeat.reliance.heard);
    out.count(heartbeat.patience_ms);
  }
  return end_frame(out, FrameType::kHeartbeat, version);
}

Result<Heartbeat> decode_heartbeat(ByteView body, std::uint8_t version) {
  FieldReader in(body);
  Heartbeat heartbeat;
  const std::uint8_t flags = in.byte();
  heartbeat.state.recovered = (flags & kRecovered) != 0;
  heartbeat.state.blank = (flags & kBlank) != 0;
  heartbeat.state.out_of_space = (flags & kOutOfSpace) != 0;
  heartbeat.state.applied = in.offset();
  heartbeat.state.leaders = in.fixed64();
  if (version >= kRelianceVersionMin) {
    heartbeat.sent = in.count();
    heartbeat.reliance.trust = raft::Trust{in.count()};
    heartbeat.reliance.heard = in.count();
    heartbeat.patience_ms =
        static_cast<std::uint32_t>(in.count(std::numeric_limits<std::uint32_t>::max()));
  }
  if (!in.done() || heartbeat.state.applied < model::Offset{0})
    return corrupt("a heartbeat makes no sense");
  return heartbeat;
}

Bytes encode_goodbye(std::uint8_t version) {
  FieldWriter out;
  begin_frame(out);
  return end_frame(out, FrameType::kGoodbye, version);
}

Result<void> decode_goodbye(ByteView body) {
  if (!body.empty()) return corrupt("a goodbye makes no sense");
  return {};
}

Bytes encode(std::span<const LeaderEntry> entries, std::uint8_t version) {
  CHECK(entries.size() <= kLeadersPerFrame);
  FieldWriter out;
  begin_frame(out);
  out.count(entries.size());
  for (std::size_t i = 0; i < entries.size(); ++i) {
    const auto& [key, leadership] = entries[i];
    const bool same_topic = i > 0 && entries[i - 1].key.topic == key.topic;
    out.byte(same_topic ? kSameTopic : 0);
    if (!same_topic) out.uuid(key.topic);
    out.number(key.index.value());
    out.number(leadership.leader.value());
    out.number(leadership.term.value());
    out.count(leadership.version);
    out.count(leadership.in_sync.size());
    for (const model::BrokerId replica : leadership.in_sync) out.number(replica.value());
  }
  return end_frame(out, FrameType::kLeaders, version);
}

Result<Leaders> decode_leaders(ByteView body) {
  FieldReader in(body);
  Leaders leaders;
  const std::size_t count = in.length(kLeadersPerFrame, kEntryBytesMin);
  leaders.entries.reserve(count);
  model::TopicId topic;
  for (std::size_t i = 0; i < count && !in.failed(); ++i) {
    leaders.entries.push_back(get_entry(in, topic));
    topic = leaders.entries.back().key.topic;
  }
  if (!in.done()) return corrupt("a list of leaders makes no sense");
  for (const LeaderEntry& entry : leaders.entries) {
    if (!is_sound(entry.leadership) || entry.key.index < model::PartitionIndex{0})
      return corrupt("nobody leads a partition like that");
  }
  return leaders;
}

Bytes encode(const Sums& sums, std::uint8_t version) {
  FieldWriter out;
  begin_frame(out);
  for (const LeaderTable::Sum sum : sums.sums) out.fixed64(sum);
  return end_frame(out, FrameType::kSums, version);
}

Result<Sums> decode_sums(ByteView body) {
  FieldReader in(body);
  Sums sums;
  for (LeaderTable::Sum& sum : sums.sums) sum = in.fixed64();
  if (!in.done()) return corrupt("sums of a table make no sense");
  return sums;
}

// ---- Calls

Bytes encode(const RequestHead& head, std::size_t body_bytes, std::uint8_t version) {
  FieldWriter out;
  begin_frame(out);
  out.count(head.id);
  out.count(static_cast<std::uint16_t>(head.method));
  out.count(head.timeout_ms);
  return end_frame(out, FrameType::kRequest, version, body_bytes);
}

Result<RequestHead> decode_request(ByteView body) {
  FieldReader in(body);
  RequestHead head;
  head.id = in.count();
  head.method = static_cast<Method>(in.count(std::numeric_limits<std::uint16_t>::max()));
  head.timeout_ms = static_cast<std::uint32_t>(in.count(std::numeric_limits<std::uint32_t>::max()));
  if (!in.done()) return corrupt("a call makes no sense");
  return head;
}

Bytes encode(const ResponseHead& head, std::size_t body_bytes, std::uint8_t version) {
  FieldWriter out;
  begin_frame(out);
  out.count(head.id);
  out.number(static_cast<std::int16_t>(head.code));
  out.text(std::string_view(head.text).substr(0, kTextBytesMax));
  return end_frame(out, FrameType::kResponse, version, body_bytes);
}

Result<ResponseHead> decode_response(ByteView body) {
  FieldReader in(body);
  ResponseHead head;
  head.id = in.count();
  head.code = static_cast<model::ErrorCode>(in.number<std::int16_t>());
  head.text = in.text(kTextBytesMax);
  if (!in.done()) return corrupt("an answer makes no sense");
  return head;
}

}  // namespace millrace::cluster
