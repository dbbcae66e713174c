#include "broker/cluster/raft_codec.h"

#include <algorithm>

namespace millrace::cluster {
namespace {

using raft::Append;
using raft::AppendReply;
using raft::Ballot;
using raft::Install;
using raft::Message;
using raft::Position;
using raft::ReplicaId;
using raft::TermStart;
using raft::TimeoutNow;
using raft::VoteReply;
using raft::VoteRequest;
using raft::VoterSet;

/// A number is never used for something else. In the low bits of a message's first byte.
enum class Kind : std::uint8_t {
  kVoteRequest = 0,
  kVoteReply = 1,
  kAppend = 2,
  kInstall = 3,
  kAppendReply = 4,
  kTimeoutNow = 5,
};
constexpr std::uint8_t kKindMask = 7;
constexpr std::uint8_t kSameTopic = 1 << 3;  // as the message before
constexpr std::uint8_t kHasConfig = 1 << 4;
// What the three bits left mean depends on the kind.
constexpr std::uint8_t kRealBallot = 1 << 5;
constexpr std::uint8_t kGranted = 1 << 6;
constexpr std::uint8_t kUncleanVoter = 1 << 7;
constexpr std::uint8_t kHandedOver = 1 << 6;  // of a request
constexpr std::uint8_t kCommitConfirmed = 1 << 5;
constexpr std::uint8_t kProbe = 1 << 6;
constexpr std::uint8_t kUncleanReplica = 1 << 5;
constexpr std::uint8_t kMismatch = 1 << 6;
constexpr std::uint8_t kPromise = 1 << 7;

constexpr std::uint64_t kU32Max = std::numeric_limits<std::uint32_t>::max();

// No message takes more without its pieces: a voter set of all replicas that there may be twice, a
// reply with all its term starts.
constexpr std::size_t kMessageBytesMax = 4096;
static_assert(2 * raft::kReplicasMax * (16 + 5) + raft::kStartsPerReply * (5 + 10) + 512 <
              kMessageBytesMax);
constexpr std::size_t kItemBytesMax = kMessageBytesMax + kPiecesMax * 5;
static_assert(kItemBytesMax < kBodyBytesMax);

void put(FieldWriter& out, Position position) {
  out.number(position.term.value());
  out.number(position.offset.value());
}
Position get_position(FieldReader& in) {
  Position position;
  position.term = in.term();
  position.offset = in.offset();
  return position;
}

void put(FieldWriter& out, const TermStart& start) {
  out.number(start.term.value());
  out.number(start.offset.value());
}
TermStart get_start(FieldReader& in) {
  TermStart start;
  start.term = in.term();
  start.offset = in.offset();
  return start;
}

void put(FieldWriter& out, const std::vector<ReplicaId>& replicas) {
  CHECK(replicas.size() <= raft::kReplicasMax, "{} replicas", replicas.size());
  out.count(replicas.size());
  for (const ReplicaId& replica : replicas) {
    out.number(replica.node.value());
    out.uuid(replica.directory);
  }
}
std::vector<ReplicaId> get_replicas(FieldReader& in) {
  std::vector<ReplicaId> replicas(in.length(raft::kReplicasMax, 17));
  for (ReplicaId& replica : replicas) {
    replica.node = in.broker();
    replica.directory = in.uuid();
  }
  return replicas;
}

raft::ConfigId get_config_id(FieldReader& in) {
  raft::ConfigId id;
  id.term = in.term();
  id.version = in.number<std::int64_t>();
  return id;
}
void put(FieldWriter& out, const raft::ConfigId& id) {
  out.number(id.term.value());
  out.number(id.version);
}

VoterSet get_config(FieldReader& in) {
  VoterSet config;
  config.id = get_config_id(in);
  config.voters = get_replicas(in);
  config.learners = get_replicas(in);
  return config;
}

std::uint32_t get_u32(FieldReader& in) {
  return static_cast<std::uint32_t>(in.count(kU32Max));
}

constexpr std::uint8_t flag(bool set, std::uint8_t bit) {
  return set ? bit : 0;
}

/// The first byte of a message, as far as its body says.
struct FirstByte {
  std::uint8_t operator()(const VoteRequest& request) const {
    return of(Kind::kVoteRequest) | flag(request.ballot == Ballot::kReal, kRealBallot) |
           flag(request.handed_over, kHandedOver);
  }
  std::uint8_t operator()(const VoteReply& reply) const {
    return of(Kind::kVoteReply) | flag(reply.ballot == Ballot::kReal, kRealBallot) |
           flag(reply.granted, kGranted) | flag(reply.unclean, kUncleanVoter);
  }
  std::uint8_t operator()(const Append& append) const {
    return of(Kind::kAppend) | flag(append.commit_confirmed, kCommitConfirmed) |
           flag(append.probe, kProbe);
  }
  std::uint8_t operator()(const Install&) const { return of(Kind::kInstall); }
  std::uint8_t operator()(const AppendReply& reply) const {
    return of(Kind::kAppendReply) | flag(reply.unclean, kUncleanReplica) |
           flag(reply.mismatch.has_value(), kMismatch) |
           flag(reply.trust != raft::Trust::kNone, kPromise);
  }
  std::uint8_t operator()(const TimeoutNow&) const { return of(Kind::kTimeoutNow); }

 private:
  static std::uint8_t of(Kind kind) { return static_cast<std::uint8_t>(kind); }
};

struct BodyWriter {
  FieldWriter& out;

  void operator()(const VoteRequest& request) const {
    out.number(request.candidate_term.value());
    put(out, request.last);
  }
  void operator()(const VoteReply& reply) const { out.number(reply.candidate_term.value()); }
  void operator()(const Append& append) const {
    put(out, append.prev);
    out.number(append.term.value());
    out.number(append.to.value());
    out.count(append.bytes);
    out.number(append.commit.value());
    out.number(append.log_start.value());
    out.number(append.loss_term.value());
    out.count(append.incarnation);
  }
  void operator()(const Install& install) const {
    put(out, install.at);
    put(out, install.first);
    out.number(install.loss_term.value());
  }
  void operator()(const AppendReply& reply) const {
    put(out, reply.acked);
    put(out, reply.received);
    out.number(reply.commit.value());
    out.number(reply.start_heard.value());
    out.count(reply.incarnation);
    // Only told to who has said that it knows what that is.
    if (reply.trust != raft::Trust::kNone) out.count(static_cast<std::uint64_t>(reply.trust));
    if (!reply.mismatch.has_value()) return;
    put(out, reply.mismatch->prev);
    out.number(reply.mismatch->log_start.value());
    out.number(reply.mismatch->log_end.value());
    CHECK(reply.mismatch->starts.size() <= raft::kStartsPerReply);
    out.count(reply.mismatch->starts.size());
    for (const TermStart& start : reply.mismatch->starts) put(out, start);
  }
  void operator()(const TimeoutNow&) const {}
};

VoteRequest get_vote_request(FieldReader& in, std::uint8_t first) {
  VoteRequest request;
  request.ballot = (first & kRealBallot) != 0 ? Ballot::kReal : Ballot::kPre;
  request.handed_over = (first & kHandedOver) != 0;
  request.candidate_term = in.term();
  request.last = get_position(in);
  return request;
}

VoteReply get_vote_reply(FieldReader& in, std::uint8_t first) {
  VoteReply reply;
  reply.ballot = (first & kRealBallot) != 0 ? Ballot::kReal : Ballot::kPre;
  reply.granted = (first & kGranted) != 0;
  reply.unclean = (first & kUncleanVoter) != 0;
  reply.candidate_term = in.term();
  return reply;
}

Append get_append(FieldReader& in, std::uint8_t first) {
  Append append;
  append.commit_confirmed = (first & kCommitConfirmed) != 0;
  append.probe = (first & kProbe) != 0;
  append.prev = get_position(in);
  append.term = in.term();
  append.to = in.offset();
  append.bytes = get_u32(in);
  append.commit = in.offset();
  append.log_start = in.offset();
  append.loss_term = in.term();
  append.incarnation = get_u32(in);
  return append;
}

Install get_install(FieldReader& in) {
  Install install;
  install.at = get_position(in);
  install.first = get_start(in);
  install.loss_term = in.term();
  return install;
}

AppendReply get_append_reply(FieldReader& in, std::uint8_t first) {
  AppendReply reply;
  reply.unclean = (first & kUncleanReplica) != 0;
  reply.acked = get_position(in);
  reply.received = get_position(in);
  reply.commit = in.offset();
  reply.start_heard = in.offset();
  reply.incarnation = get_u32(in);
  if ((first & kPromise) != 0) reply.trust = raft::Trust{in.count()};
  if ((first & kMismatch) == 0) return reply;
  AppendReply::Mismatch mismatch;
  mismatch.prev = get_position(in);
  mismatch.log_start = in.offset();
  mismatch.log_end = in.offset();
  mismatch.starts.resize(in.length(raft::kStartsPerReply, 2));
  for (TermStart& start : mismatch.starts) start = get_start(in);
  reply.mismatch = std::move(mismatch);
  return reply;
}

bool get_body(FieldReader& in, std::uint8_t first, Message& message) {
  switch (static_cast<Kind>(first & kKindMask)) {
    case Kind::kVoteRequest:
      message.body = get_vote_request(in, first);
      return true;
    case Kind::kVoteReply:
      message.body = get_vote_reply(in, first);
      return true;
    case Kind::kAppend:
      message.body = get_append(in, first);
      return true;
    case Kind::kInstall:
      message.body = get_install(in);
      return true;
    case Kind::kAppendReply:
      message.body = get_append_reply(in, first);
      return true;
    case Kind::kTimeoutNow:
      message.body = TimeoutNow{};
      return true;
  }
  return false;
}

void get_pieces(FieldReader& in, RaftItem& item) {
  item.pieces.resize(in.length(kPiecesMax));
  for (std::uint32_t& piece : item.pieces) {
    piece = get_u32(in);
    item.data_bytes += piece;
  }
}

}  // namespace

bool RaftFrameWriter::room() const {
  return body_.size() + kItemBytesMax <= kBodyBytesMax + kHeadBytes && data_bytes_ < kFrameDataGoal;
}

void RaftFrameWriter::add(const model::PartitionKey& group, const Message& message,
                          std::span<const Bytes> data) {
  CHECK(room(), "a frame of {} bytes takes no more", bytes());
  const std::size_t before = body_.size();
  const bool first = empty();
  if (first) begin_frame(body_);
  const bool same_topic = !first && topic_ == group.topic;
  body_.byte(std::visit(FirstByte{}, message.body) | flag(same_topic, kSameTopic) |
             flag(message.config.has_value(), kHasConfig));
  if (!same_topic) body_.uuid(group.topic);
  body_.number(group.index.value());
  body_.number(message.term.value());
  put(body_, message.config_id);
  if (message.config.has_value()) {
    put(body_, message.config->id);
    put(body_, message.config->voters);
    put(body_, message.config->learners);
  }
  std::visit(BodyWriter{body_}, message.body);
  // The last piece told stands for all that are left.
  const std::size_t pieces = std::min(data.size(), kPiecesMax);
  body_.count(pieces);
  for (std::size_t i = 0; i < pieces; ++i) {
    std::size_t size = data[i].size();
    for (std::size_t rest = pieces; i + 1 == pieces && rest < data.size(); ++rest)
      size += data[rest].size();
    CHECK(size <= kU32Max);
    body_.count(size);
    data_bytes_ += size;
  }
  CHECK(body_.size() - before <= kItemBytesMax + kHeadBytes);
  for (const Bytes& piece : data) {
    if (!piece.empty()) data_.push_back(piece);
  }
  topic_ = group.topic;
  ++messages_;
}

void RaftFrameWriter::finish(std::uint8_t version, std::vector<Bytes>& out) {
  CHECK(!empty());
  out.push_back(end_frame(body_, FrameType::kRaft, version, data_bytes_));
  std::ranges::move(data_, std::back_inserter(out));
  clear();
}

void RaftFrameWriter::clear() {
  body_.clear();
  data_.clear();
  data_bytes_ = 0;
  messages_ = 0;
}

Result<RaftItem> RaftFrameReader::next() {
  RaftItem item;
  const std::uint8_t first = in_.byte();
  if ((first & kSameTopic) == 0) topic_ = in_.uuid();
  item.group.topic = topic_;
  item.group.index = model::PartitionIndex{in_.number<std::int32_t>()};
  item.message.term = in_.term();
  item.message.config_id = get_config_id(in_);
  if ((first & kHasConfig) != 0) item.message.config = get_config(in_);
  const bool known = get_body(in_, first, item.message);
  get_pieces(in_, item);
  if (!known || in_.failed())
    return common::Error{model::ErrorCode::kCorruptMessage, "a message of Raft cannot be read"};
  return item;
}

}  // namespace millrace::cluster
