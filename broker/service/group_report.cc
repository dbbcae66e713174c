#include "broker/service/group_report.h"

#include <algorithm>
#include <utility>

#include "broker/cluster/fields.h"
#include "broker/service/calls.h"
#include "broker/service/everywhere.h"
#include "broker/service/leaders.h"
#include "broker/service/neighbours.h"

namespace millrace::service {
namespace {

using cluster::FieldReader;
using cluster::FieldWriter;

constexpr std::uint8_t kVersion = 1;
constexpr std::uint8_t kVotes = 1;
constexpr std::uint8_t kInSync = 2;
constexpr std::size_t kMemberBytesMin = 21;

std::int64_t milliseconds_since(common::Instant then, common::Instant now) {
  if (then == common::Instant{}) return -1;
  return std::chrono::duration_cast<std::chrono::milliseconds>(now - then).count();
}

GroupMember member_of(const raft::Group& group, const raft::ReplicaId& id, common::Instant now) {
  GroupMember member{.id = id, .votes = group.config().is_voter(id), .in_sync = false, .end = {}};
  if (id == group.self()) {
    member.end = group.log_end();
    member.silent_ms = member.behind_ms = 0;
  } else if (const raft::Progress* const progress = group.progress(id)) {
    member.end = progress->acked.offset;
    member.silent_ms = milliseconds_since(progress->last_reply_at, now);
    const bool level = progress->acked == group.log().last();
    member.behind_ms = level ? 0 : milliseconds_since(progress->caught_up_at, now);
  }
  return member;
}

void put(FieldWriter& out, const GroupMember& member) {
  out.number(member.id.node.value());
  out.uuid(member.id.directory);
  out.byte(static_cast<std::uint8_t>((member.votes ? kVotes : 0) | (member.in_sync ? kInSync : 0)));
  out.number(member.end.value());
  out.number(member.silent_ms);
  out.number(member.behind_ms);
}

GroupMember get(FieldReader& in) {
  GroupMember member;
  member.id.node = in.broker();
  member.id.directory = in.uuid();
  const std::uint8_t flags = in.byte();
  member.votes = (flags & kVotes) != 0;
  member.in_sync = (flags & kInSync) != 0;
  member.end = in.offset();
  member.silent_ms = in.number<std::int64_t>();
  member.behind_ms = in.number<std::int64_t>();
  return member;
}

common::Bytes encode(const model::PartitionKey& key) {
  FieldWriter out;
  out.byte(kVersion);
  out.uuid(key.topic);
  out.number(key.index.value());
  return common::Bytes::copy_of(out.view());
}

common::Result<model::PartitionKey> decode_key(common::ByteView body) {
  FieldReader in(body);
  if (in.byte() != kVersion) return model::error(model::ErrorCode::kUnsupportedVersion);
  model::PartitionKey key;
  key.topic = in.uuid();
  key.index = model::PartitionIndex{in.number<std::int32_t>()};
  if (!in.done()) return model::error(model::ErrorCode::kCorruptMessage);
  return key;
}

common::Result<GroupReport> report_here(Shard& owner, const model::PartitionKey& key) {
  const replica::Partition* const replica = owner.replicas().find_any(key);
  if (replica == nullptr) return model::error(model::ErrorCode::kNotLeaderOrFollower);
  auto report = report_on(*replica, owner.clock().now());
  if (!report) return model::error(model::ErrorCode::kNotLeaderOrFollower);
  return *std::move(report);
}

}  // namespace

bool is_agreed(const raft::Group& group) {
  const raft::VoterSet& config = group.config();
  // Nobody else to ask: what is written down here is what counts.
  if (config.voters.size() == 1) return config.is_voter(group.self()) && group.quiet();
  // The others are told only once the leader itself has written it down.
  std::size_t agreed = config.is_voter(group.self()) ? 1 : 0;
  bool told = false;
  for (const raft::ReplicaId& id : config.voters) {
    const raft::Progress* const peer = group.progress(id);
    if (peer == nullptr || peer->config_known != config.id) continue;
    told = true;
    agreed += peer->acked.offset >= group.commit() ? 1 : 0;
  }
  return told && agreed >= config.majority();
}

bool GroupReport::has(const raft::ReplicaId& replica) const {
  return std::any_of(members.begin(), members.end(),
                     [&](const GroupMember& member) { return member.id == replica; });
}

std::optional<GroupReport> report_on(const replica::Partition& partition, common::Instant now) {
  const raft::Group* const group = partition.group();
  if (group == nullptr || !partition.is_leader()) return std::nullopt;
  GroupReport report{.leader = group->self(),
                     .term = group->term(),
                     .config = group->config().id,
                     .log_start = group->log_start(),
                     .commit = group->commit(),
                     .log_end = group->log_end(),
                     .agreed = is_agreed(*group),
                     .members = {}};
  const std::vector<raft::ReplicaId> in_sync = partition.in_sync();
  for (const auto* members : {&group->config().voters, &group->config().learners}) {
    for (const raft::ReplicaId& id : *members) {
      GroupMember member = member_of(*group, id, now);
      member.in_sync = std::find(in_sync.begin(), in_sync.end(), id) != in_sync.end();
      report.members.push_back(member);
    }
  }
  return report;
}

common::Bytes encode(const GroupReport& report) {
  FieldWriter out;
  out.byte(kVersion);
  out.number(report.leader.node.value());
  out.uuid(report.leader.directory);
  out.number(report.term.value());
  out.number(report.config.term.value());
  out.number(report.config.version);
  out.number(report.log_start.value());
  out.number(report.commit.value());
  out.number(report.log_end.value());
  out.byte(report.agreed ? 1 : 0);
  out.count(report.members.size());
  for (const GroupMember& member : report.members) put(out, member);
  return common::Bytes::copy_of(out.view());
}

common::Result<GroupReport> decode_group_report(common::ByteView body) {
  FieldReader in(body);
  if (in.byte() != kVersion) {
    return common::Error{model::ErrorCode::kUnsupportedVersion,
                         "A report of a group is of another version"};
  }
  GroupReport report;
  report.leader.node = in.broker();
  report.leader.directory = in.uuid();
  report.term = in.term();
  report.config.term = in.term();
  report.config.version = in.number<std::int64_t>();
  report.log_start = in.offset();
  report.commit = in.offset();
  report.log_end = in.offset();
  report.agreed = in.byte() != 0;
  report.members.resize(in.length(raft::kReplicasMax, kMemberBytesMin));
  for (GroupMember& member : report.members) member = get(in);
  if (!in.done()) {
    return common::Error{model::ErrorCode::kCorruptMessage, "A report of a group cannot be read"};
  }
  return report;
}

void describe_group(Shard& here, const model::PartitionKey& key, common::Duration limit,
                    common::Reply<common::Result<GroupReport>> done) {
  using Answer = common::Result<GroupReport>;
  std::vector<model::PartitionKey> keys{key};
  known_leaders(
      here, std::move(keys),
      [&here, key, limit, done = std::move(done)](std::vector<KnownLeader> leaders) mutable {
        const model::BrokerId leader = leaders.front().leader;
        if (leader == here.identity().node) {
          Shard& owner = here.owner(key);
          auto reply = reply_on<Answer>(here, std::move(done));
          return owner.loop().post([&owner, key, reply = std::move(reply)]() mutable {
            reply(report_here(owner, key));
          });
        }
        const auto who = here.neighbours() == nullptr || leader == model::BrokerId{-1}
                             ? nullptr
                             : here.neighbours()->introduction(leader);
        if (who == nullptr) return done(model::error(model::ErrorCode::kLeaderNotAvailable));
        here.neighbours()->call(
            leader, shard_of(key, who->shards), cluster::Method::kDescribeGroup, encode(key), limit,
            [done = std::move(done)](common::Result<common::Bytes> answer) mutable {
              if (!answer.ok()) return done(std::move(answer).error());
              done(decode_group_report(answer->view()));
            });
      });
}

void serve_group_reports(Shard& shard) {
  shard.calls().serve(cluster::Method::kDescribeGroup,
                      [&shard](cluster::Request request, Calls::Reply reply) {
                        const auto key = decode_key(request.body.view());
                        if (!key.ok()) return reply(key.error());
                        auto report = report_here(shard, *key);
                        if (!report.ok()) return reply(std::move(report).error());
                        reply(encode(*report));
                      });
}

}  // namespace millrace::service
