// Bytes frame = encode(Heartbeat{...}, version);
// TRY_ASSIGN(const FrameHead head, read_head(bytes));   TRY(check_body(head, body));
//
// What brokers send to each other, as bytes: docs/formats/cluster.md. Raft's messages are in
// raft_codec.h.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "broker/cluster/fields.h"
#include "broker/cluster/introduction.h"
#include "broker/cluster/leader_table.h"
#include "broker/cluster/liveness.h"
#include "broker/cluster/methods.h"
#include "broker/model/errors.h"

namespace millrace::cluster {

using common::Bytes;
using common::ByteView;
using common::Result;

/// The versions of everything behind the handshake that this code speaks.
inline constexpr std::uint8_t kVersionMin = 1;
inline constexpr std::uint8_t kVersionMax = 2;
/// From this version on heartbeats say what leaders may rely on.
inline constexpr std::uint8_t kRelianceVersionMin = 2;
/// Of the frames of the handshake itself, which stays readable for all versions to come.
inline constexpr std::uint8_t kHandshakeVersion = 0;

inline constexpr std::size_t kHeadBytes = 20;
inline constexpr std::size_t kBodyBytesMax = std::size_t{256} << 10;
inline constexpr std::size_t kHandshakeBytesMax = std::size_t{16} << 10;
/// Of one frame; a longer table takes several.
inline constexpr std::size_t kLeadersPerFrame = 512;
inline constexpr std::uint32_t kShardsMax = 1024;

/// A number is never used for something else.
enum class FrameType : std::uint8_t {
  kHello = 1,
  kWelcome = 2,
  kTurnedAway = 3,
  kHeartbeat = 4,
  kGoodbye = 5,
  kLeaders = 6,
  kSums = 7,
  kRaft = 8,
  kRequest = 9,
  kResponse = 10,
};

/// What stands in front of each frame. Then come its body, which the checksum covers, and its data,
/// which has checksums of its own or belongs to whoever made it.
struct FrameHead {
  FrameType type{};
  std::uint8_t version = kHandshakeVersion;
  std::uint32_t body_bytes = 0;
  std::uint32_t data_bytes = 0;
  std::uint32_t body_crc = 0;
};

/// What a connection is for.
enum class Channel : std::uint8_t {
  kShards = 0,   // Raft's messages and calls, from one shard to one shard
  kBrokers = 1,  // heartbeats and who leads what, from broker to broker
};

/// The first frame, from whoever made the connection.
struct Hello {
  std::uint8_t version_min = kVersionMin;
  std::uint8_t version_max = kVersionMax;
  Introduction who;
  /// Whom it believes to have reached.
  model::BrokerId to{-1};
  Channel channel = Channel::kShards;
  std::uint32_t shard = 0;
  std::uint32_t to_shard = 0;
  bool operator==(const Hello&) const = default;
};

/// The answer to one that is let in.
struct Welcome {
  /// Of all that follows.
  std::uint8_t version = kVersionMax;
  Introduction who;
  bool operator==(const Welcome&) const = default;
};

/// Why one is not let in. A number is never used for something else.
enum class RefusalReason : std::uint8_t {
  kVersion = 1,    // no version that both speak
  kCluster = 2,    // another cluster
  kAddress = 3,    // this is not the broker that was sought
  kSelf = 4,       // both have the same node id
  kDirectory = 5,  // a process with this node id and another directory is alive
  kReplaced = 6,   // a newer process of this broker is known, or this one has said goodbye
  kShard = 7,      // there is no such shard
  kFull = 8,       // too many brokers that nobody knows
};
std::string_view name_of(RefusalReason reason);

struct TurnedAway {
  RefusalReason reason{};
  std::string text;
  bool operator==(const TurnedAway&) const = default;
};

struct Heartbeat {
  BrokerState state;
  /// Of versions before kRelianceVersionMin nothing of the rest is there.
  /// When it was sent: microseconds of the sender's clock, from wherever it likes; never 0.
  std::uint64_t sent = 0;
  /// How the sender stands to the receiver, whose own `sent` that repeats.
  Reliance reliance;
  /// The sender takes a broker for dead when it has heard nothing of it for so long.
  std::uint32_t patience_ms = 0;
  bool operator==(const Heartbeat&) const = default;
};
struct Leaders {
  std::vector<LeaderEntry> entries;
  bool operator==(const Leaders&) const = default;
};
/// "Send me what you know in the buckets where these are not your sums."
struct Sums {
  LeaderTable::Sums sums{};
  bool operator==(const Sums&) const = default;
};
/// The data of the frame is the call's body.
struct RequestHead {
  std::uint64_t id = 0;
  Method method{};
  /// How long the caller waits.
  std::uint32_t timeout_ms = 0;
  bool operator==(const RequestHead&) const = default;
};
/// The data of the frame is the answer; none with an error.
struct ResponseHead {
  std::uint64_t id = 0;
  model::ErrorCode code = model::ErrorCode::kNone;
  std::string text;
  bool operator==(const ResponseHead&) const = default;
};

/// Leaves room for a head at the front of an empty writer; the fields of the body follow.
void begin_frame(FieldWriter& out);
/// The head and body of a frame, to be followed by `data_bytes` of data. Empties the writer.
Bytes end_frame(FieldWriter& out, FrameType type, std::uint8_t version, std::size_t data_bytes = 0);

Bytes encode(const Hello& hello);
Bytes encode(const Welcome& welcome);
Bytes encode(const TurnedAway& refusal);
Bytes encode(const Heartbeat& heartbeat, std::uint8_t version);
Bytes encode_goodbye(std::uint8_t version);
/// Requires at most kLeadersPerFrame entries.
Bytes encode(std::span<const LeaderEntry> entries, std::uint8_t version);
Bytes encode(const Sums& sums, std::uint8_t version);
Bytes encode(const RequestHead& head, std::size_t body_bytes, std::uint8_t version);
Bytes encode(const ResponseHead& head, std::size_t body_bytes, std::uint8_t version);

/// Reads the first kHeadBytes. kCorruptMessage: not a frame of ours, damaged, or out of bounds;
/// whoever sent it is not to be listened to any more. Of this and all below: safe on any bytes.
Result<FrameHead> read_head(ByteView bytes, std::size_t data_bytes_max);
Result<void> check_body(const FrameHead& head, ByteView body);

Result<Hello> decode_hello(ByteView body);
Result<Welcome> decode_welcome(ByteView body);
Result<TurnedAway> decode_turned_away(ByteView body);
Result<Heartbeat> decode_heartbeat(ByteView body, std::uint8_t version);
Result<void> decode_goodbye(ByteView body);
Result<Leaders> decode_leaders(ByteView body);
Result<Sums> decode_sums(ByteView body);
Result<RequestHead> decode_request(ByteView body);
Result<ResponseHead> decode_response(ByteView body);

/// Whether a broker could introduce itself so.
bool is_sound(const Introduction& introduction);

}  // namespace millrace::cluster
