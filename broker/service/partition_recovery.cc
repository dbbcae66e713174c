#include "broker/service/partition_recovery.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <set>
#include <tuple>
#include <utility>

#include "broker/cluster/fields.h"
#include "broker/service/calls.h"
#include "broker/service/everywhere.h"
#include "broker/service/neighbours.h"
#include "broker/service/role_waits.h"

namespace millrace::service {
namespace {

using cluster::FieldReader;
using cluster::FieldWriter;
using common::Error;
using common::Result;
using model::BrokerId;
using model::ErrorCode;
using model::PartitionKey;
using Remaining = std::optional<RemainingReplica>;

constexpr std::uint8_t kVersion = 1;
constexpr auto kAnswerMax = std::chrono::seconds(3);
/// The deadline of the one who asked should not come before the answer.
constexpr auto kTakeOverMax = std::chrono::seconds(2);

common::Bytes encode_key(const PartitionKey& key) {
  FieldWriter out;
  out.byte(kVersion);
  out.uuid(key.topic);
  out.number(key.index.value());
  return common::Bytes::copy_of(out.view());
}

Result<PartitionKey> decode_key(common::ByteView body) {
  FieldReader in(body);
  if (in.byte() != kVersion) return model::error(ErrorCode::kUnsupportedVersion);
  PartitionKey key;
  key.topic = in.uuid();
  key.index = model::PartitionIndex{in.number<std::int32_t>()};
  if (!in.done()) return model::error(ErrorCode::kCorruptMessage);
  return key;
}

/// On the shard that owns the partition.
Remaining remaining_here(Shard& owner, const PartitionKey& key) {
  const replica::Partition* const replica = owner.replicas().find_any(key);
  if (replica == nullptr || replica->group() == nullptr) return std::nullopt;
  const raft::Group& group = *replica->group();
  return RemainingReplica{.id = group.self(),
                          .last = group.log().last(),
                          .config = group.config(),
                          .unclean = group.unclean(),
                          .leader = group.leader()};
}

void recover_here(Shard& owner, const PartitionKey& key, common::Reply<Result<void>> done) {
  replica::Partition* const replica = owner.replicas().find_any(key);
  if (replica == nullptr || replica->group() == nullptr)
    return done(model::error(ErrorCode::kReplicaNotAvailable));
  const raft::Refusal refused = replica->recover_alone();
  if (refused != raft::Refusal::kNone) {
    return done(Error{ErrorCode::kElectionNotNeeded,
                      "A leader was elected meanwhile: nothing had to be given up"});
  }
  owner.note(
      fmt::format("event=recovered-alone topic={} partition={} end={} detail=\"an operator "
                  "accepted that records of lost replicas are lost\"",
                  replica->log().topic_name(), key.index, replica->group()->log_end()));
  if (replica->is_leader()) return done(common::ok());
  owner.role_waits().wait(key, kTakeOverMax, [&owner, key, done = std::move(done)]() mutable {
    const replica::Partition* const now = owner.replicas().find_any(key);
    if (now != nullptr && now->role() == raft::Role::kLeader) return done(common::ok());
    done(model::error(ErrorCode::kRequestTimedOut));
  });
}

void put(FieldWriter& out, const raft::ReplicaId& id) {
  out.number(id.node.value());
  out.uuid(id.directory);
}

raft::ReplicaId get_replica(FieldReader& in) {
  raft::ReplicaId id;
  id.node = in.broker();
  id.directory = in.uuid();
  return id;
}

/// Calls a broker's replica of a partition, this broker's own included.
template <typename Answer, typename Here, typename Decode>
void at_replica(Shard& here, BrokerId broker, const PartitionKey& key, cluster::Method method,
                Here run_here, Decode decode, common::Reply<Result<Answer>> done) {
  if (broker == here.identity().node) {
    Shard& owner = here.owner(key);
    auto reply = reply_on<Result<Answer>>(here, std::move(done));
    return owner.loop().post([&owner, key, run_here, reply = std::move(reply)]() mutable {
      run_here(owner, key, std::move(reply));
    });
  }
  const auto who = here.neighbours() == nullptr ? nullptr : here.neighbours()->introduction(broker);
  if (who == nullptr) return done(model::error(ErrorCode::kBrokerNotAvailable));
  here.neighbours()->call(broker, shard_of(key, who->shards), method, encode_key(key), kAnswerMax,
                          [decode, done = std::move(done)](Result<common::Bytes> answer) mutable {
                            if (!answer.ok()) return done(std::move(answer).error());
                            done(decode(answer->view()));
                          });
}

/// One request while it is worked on. Lives on the asking shard's loop.
class Operation : public std::enable_shared_from_this<Operation> {
 public:
  Operation(Shard& here, RecoveryWish wish, common::Reply<Result<Recovery>> done)
      : here_(here), wish_(wish), done_(std::move(done)) {}

  void start() {
    std::set<BrokerId> brokers{here_.identity().node};
    for (const auto& [id, broker] : here_.image().brokers()) {
      if (here_.alive(id)) brokers.insert(id);
    }
    for (const BrokerId broker : brokers) {
      ++missing_;
      at_replica<Remaining>(
          here_, broker, wish_.key, cluster::Method::kRemainingReplica,
          [](Shard& owner, const PartitionKey& key, common::Reply<Result<Remaining>> reply) {
            reply(remaining_here(owner, key));
          },
          decode_remaining,
          [self = shared_from_this()](Result<Remaining> answer) {
            if (answer.ok() && *answer) self->recovery_.remaining.push_back(**std::move(answer));
            self->arrived();
          });
    }
    arrived();
  }

 private:
  void arrived() {
    if (--missing_ > 0) return;
    auto& remaining = recovery_.remaining;
    std::sort(remaining.begin(), remaining.end(),
              [](const auto& a, const auto& b) { return a.id.node < b.id.node; });
    forget_dead_leaders();
    const auto chosen = choose_survivor(remaining, wish_.broker);
    if (!chosen.ok()) return done_(chosen.error());
    recovery_.leader = chosen->id.node;
    at_replica<common::Bytes>(
        here_, chosen->id.node, wish_.key, cluster::Method::kRecoverReplica,
        [](Shard& owner, const PartitionKey& key, common::Reply<Result<common::Bytes>> reply) {
          recover_here(owner, key, [reply = std::move(reply)](Result<void> done) mutable {
            if (!done.ok()) return reply(std::move(done).error());
            reply(common::Bytes());
          });
        },
        [](common::ByteView) { return Result<common::Bytes>(common::Bytes()); },
        [self = shared_from_this()](const Result<common::Bytes>& done) {
          if (!done.ok()) return self->done_(done.error());
          self->done_(std::move(self->recovery_));
        });
  }

  /// A follower believes in a leader that is gone until its time is over.
  void forget_dead_leaders() {
    for (RemainingReplica& one : recovery_.remaining) {
      if (!one.leader.is_none() && !here_.alive(one.leader.node)) one.leader = {};
    }
  }

  Shard& here_;
  const RecoveryWish wish_;
  common::Reply<Result<Recovery>> done_;
  Recovery recovery_;
  std::size_t missing_ = 1;  // held until all are asked
};

}  // namespace

Result<RemainingReplica> choose_survivor(const std::vector<RemainingReplica>& remaining,
                                         std::optional<BrokerId> wanted) {
  if (remaining.empty()) {
    return Error{ErrorCode::kReplicaNotAvailable,
                 "No broker that is there has anything of it: start one that has, or delete the "
                 "topic"};
  }
  const raft::VoterSet* newest = &remaining.front().config;
  for (const RemainingReplica& one : remaining) {
    if (!one.leader.is_none()) {
      return Error{ErrorCode::kElectionNotNeeded,
                   fmt::format("Broker {} leads it: nothing has to be given up", one.leader.node)};
    }
    if (newest->id < one.config.id) newest = &one.config;
  }
  const auto sure = std::count_if(
      remaining.begin(), remaining.end(),
      [&](const RemainingReplica& one) { return newest->is_voter(one.id) && !one.unclean; });
  const std::size_t voters = newest->voters.size();
  if (voters > 0 && std::cmp_greater_equal(sure, voters / 2 + 1)) {
    return Error{ErrorCode::kElectionNotNeeded,
                 fmt::format("{} of its {} voters are there and elect a leader by themselves: wait "
                             "some seconds",
                             sure, voters)};
  }
  const RemainingReplica* best = nullptr;
  const auto rank = [&](const RemainingReplica& one) {
    return std::tuple(one.last, newest->is_voter(one.id), -one.id.node.value());
  };
  for (const RemainingReplica& one : remaining) {
    if (wanted && one.id.node != *wanted) continue;
    if (best == nullptr || rank(*best) < rank(one)) best = &one;
  }
  if (best == nullptr) {
    return Error{ErrorCode::kReplicaNotAvailable,
                 fmt::format("Broker {} is not there, or has nothing of it", *wanted)};
  }
  return *best;
}

void recover_partition(Shard& here, RecoveryWish wish, common::Reply<Result<Recovery>> done) {
  std::make_shared<Operation>(here, wish, std::move(done))->start();
}

void serve_recovery(Shard& shard) {
  shard.calls().serve(cluster::Method::kRemainingReplica,
                      [&shard](cluster::Request request, Calls::Reply reply) {
                        const auto key = decode_key(request.body.view());
                        if (!key.ok()) return reply(key.error());
                        reply(encode(remaining_here(shard, *key)));
                      });
  shard.calls().serve(
      cluster::Method::kRecoverReplica, [&shard](cluster::Request request, Calls::Reply reply) {
        const auto key = decode_key(request.body.view());
        if (!key.ok()) return reply(key.error());
        recover_here(shard, *key, [reply = std::move(reply)](Result<void> done) mutable {
          if (!done.ok()) return reply(std::move(done).error());
          reply(common::Bytes());
        });
      });
}

common::Bytes encode(const Remaining& remaining) {
  FieldWriter out;
  out.byte(kVersion);
  out.byte(remaining ? 1 : 0);
  if (!remaining) return common::Bytes::copy_of(out.view());
  put(out, remaining->id);
  out.number(remaining->last.term.value());
  out.number(remaining->last.offset.value());
  out.byte(remaining->unclean ? 1 : 0);
  put(out, remaining->leader);
  out.number(remaining->config.id.term.value());
  out.number(remaining->config.id.version);
  for (const auto* members : {&remaining->config.voters, &remaining->config.learners}) {
    out.count(members->size());
    for (const raft::ReplicaId& id : *members) put(out, id);
  }
  return common::Bytes::copy_of(out.view());
}

Result<Remaining> decode_remaining(common::ByteView body) {
  FieldReader in(body);
  if (in.byte() != kVersion) return model::error(ErrorCode::kUnsupportedVersion);
  Remaining remaining;
  if (in.byte() != 0) {
    remaining.emplace();
    remaining->id = get_replica(in);
    remaining->last.term = in.term();
    remaining->last.offset = in.offset();
    remaining->unclean = in.byte() != 0;
    remaining->leader = get_replica(in);
    remaining->config.id.term = in.term();
    remaining->config.id.version = in.number<std::int64_t>();
    for (auto* members : {&remaining->config.voters, &remaining->config.learners}) {
      members->resize(in.length(raft::kReplicasMax));
      for (raft::ReplicaId& id : *members) id = get_replica(in);
    }
  }
  if (!in.done()) return model::error(ErrorCode::kCorruptMessage);
  return remaining;
}

}  // namespace millrace::service
