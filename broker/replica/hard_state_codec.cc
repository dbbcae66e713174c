#include "broker/replica/hard_state_codec.h"

#include <fmt/format.h>

#include <algorithm>
#include <concepts>
#include <optional>
#include <vector>

#include "broker/model/errors.h"
#include "common/crc32c.h"
#include "common/endian.h"

namespace millrace::replica {
namespace {

using common::ByteView;
using model::ErrorCode;

// What wrote it, and the oldest version that can read it: fields may be added at the end.
constexpr std::uint8_t kVersion = 1;
constexpr std::uint8_t kOldestReader = 1;
constexpr std::uint8_t kUnclean = 1;
constexpr std::uint8_t kRelaxed = 2;
constexpr std::uint8_t kRetired = 4;
constexpr std::size_t kChecksumBytes = 4;
constexpr std::size_t kReplicaBytes = 4 + 16;

class Writer {
 public:
  template <std::integral T>
  void put(T value) {
    const std::size_t at = bytes_.size();
    bytes_.resize(at + sizeof(T));
    common::store_little(bytes_.data() + at, value);
  }
  void put(const raft::ReplicaId& replica) {
    put(replica.node.value());
    bytes_.insert(bytes_.end(), replica.directory.bytes.begin(), replica.directory.bytes.end());
  }
  void put(const std::vector<raft::ReplicaId>& replicas) {
    put(static_cast<std::uint8_t>(replicas.size()));
    for (const raft::ReplicaId& replica : replicas) put(replica);
  }
  ByteView view() const { return bytes_; }

 private:
  std::vector<std::uint8_t> bytes_;
};

/// Once the bytes have run out every field is zero and failed() is true.
class Reader {
 public:
  explicit Reader(ByteView bytes) : bytes_(bytes) {}
  bool failed() const { return failed_; }
  template <std::integral T>
  T get() {
    if (!need(sizeof(T))) return 0;
    const T value = common::load_little<T>(bytes_.data());
    bytes_ = bytes_.subspan(sizeof(T));
    return value;
  }
  raft::ReplicaId replica() {
    raft::ReplicaId replica;
    if (!need(kReplicaBytes)) return replica;
    replica.node = model::BrokerId{get<std::int32_t>()};
    std::copy_n(bytes_.begin(), replica.directory.bytes.size(), replica.directory.bytes.begin());
    bytes_ = bytes_.subspan(replica.directory.bytes.size());
    return replica;
  }
  std::vector<raft::ReplicaId> replicas() {
    std::vector<raft::ReplicaId> replicas(get<std::uint8_t>());
    for (raft::ReplicaId& one : replicas) one = replica();
    return replicas;
  }

 private:
  bool need(std::size_t size) {
    if (size > bytes_.size()) {
      failed_ = true;
      bytes_ = {};
    }
    return !failed_;
  }
  ByteView bytes_;
  bool failed_ = false;
};

common::Error damaged(std::string_view why) {
  return {ErrorCode::kCorruptLog, fmt::format("the state of a replica is damaged: {}", why)};
}

}  // namespace

common::Bytes encode(const StoredState& state) {
  const raft::HardState& hard = state.hard;
  Writer writer;
  writer.put(kVersion);
  writer.put(kOldestReader);
  writer.put(hard.term.value());
  writer.put(hard.vote);
  writer.put(hard.loss_term.value());
  writer.put(hard.incarnation);
  writer.put(static_cast<std::uint8_t>((hard.unclean ? kUnclean : 0) |
                                       (state.relaxed ? kRelaxed : 0) |
                                       (state.retired ? kRetired : 0)));
  writer.put(hard.config.id.term.value());
  writer.put(hard.config.id.version);
  writer.put(hard.config.voters);
  writer.put(hard.config.learners);
  writer.put(common::crc32c(writer.view()));
  return common::Bytes::copy_of(writer.view());
}

common::Result<StoredState> decode_state(ByteView bytes) {
  if (bytes.size() < 2 + kChecksumBytes) return damaged("it is too short");
  const ByteView body = bytes.first(bytes.size() - kChecksumBytes);
  if (common::crc32c(body) != common::load_little<std::uint32_t>(bytes.data() + body.size()))
    return damaged("the checksum does not match");
  Reader reader(body);
  const auto version = reader.get<std::uint8_t>();
  if (const auto oldest = reader.get<std::uint8_t>();
      oldest > kVersion || version < kOldestReader) {
    return common::Error{ErrorCode::kUnsupportedVersion,
                         fmt::format("the state of a replica is of version {}, to be read by {} or "
                                     "newer; this one reads {}",
                                     version, oldest, kVersion)};
  }
  StoredState state;
  raft::HardState& hard = state.hard;
  hard.term = raft::Term{reader.get<std::int32_t>()};
  hard.vote = reader.replica();
  hard.loss_term = raft::Term{reader.get<std::int32_t>()};
  hard.incarnation = reader.get<std::uint32_t>();
  const auto flags = reader.get<std::uint8_t>();
  hard.unclean = (flags & kUnclean) != 0;
  state.relaxed = (flags & kRelaxed) != 0;
  state.retired = (flags & kRetired) != 0;
  hard.config.id.term = raft::Term{reader.get<std::int32_t>()};
  hard.config.id.version = reader.get<std::int64_t>();
  hard.config.voters = reader.replicas();
  hard.config.learners = reader.replicas();
  // A newer version's further fields may follow.
  if (reader.failed()) return damaged("it ends early");
  return state;
}

}  // namespace millrace::replica
