#include "broker/service/hand_over.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "broker/cluster/fields.h"
#include "broker/service/calls.h"
#include "broker/service/everywhere.h"
#include "broker/service/leaders.h"
#include "broker/service/neighbours.h"
#include "broker/service/role_waits.h"

namespace millrace::service {
namespace {

using cluster::FieldReader;
using cluster::FieldWriter;
using common::Error;
using common::Result;
using model::ErrorCode;

constexpr model::PartitionKey kMetadataKey{model::kMetadataTopicId, model::PartitionIndex{0}};
constexpr std::uint8_t kVersion = 1;
/// The deadline of the one who asked should not come before the answer.
constexpr auto kAnswerSlack = std::chrono::milliseconds(200);

struct Transfer {
  model::PartitionKey key;
  model::BrokerId to{-1};
};

common::Bytes encode(const Transfer& transfer) {
  FieldWriter out;
  out.byte(kVersion);
  out.uuid(transfer.key.topic);
  out.number(transfer.key.index.value());
  out.number(transfer.to.value());
  return common::Bytes::copy_of(out.view());
}

Result<Transfer> decode_transfer(common::ByteView body) {
  FieldReader in(body);
  if (in.byte() != kVersion) return model::error(ErrorCode::kUnsupportedVersion);
  Transfer transfer;
  transfer.key.topic = in.uuid();
  transfer.key.index = model::PartitionIndex{in.number<std::int32_t>()};
  transfer.to = in.broker();
  if (!in.done()) return model::error(ErrorCode::kCorruptMessage);
  return transfer;
}

Error error_of(raft::Refusal refusal, model::BrokerId to) {
  switch (refusal) {
    case raft::Refusal::kNotLeader:
      return model::error(ErrorCode::kNotLeaderOrFollower);
    case raft::Refusal::kBusy:
      return {ErrorCode::kReassignmentInProgress, "The leader is handing over already"};
    default:
      return {ErrorCode::kReplicaNotAvailable,
              fmt::format("The replica on broker {} is not caught up, or does not answer", to)};
  }
}

/// On the shard that owns the partition.
void transfer_here(Shard& owner, const Transfer& transfer, common::Duration limit,
                   common::Reply<Result<void>> done) {
  replica::Partition* const partition = owner.replicas().find_any(transfer.key);
  if (partition == nullptr || !partition->is_leader())
    return done(model::error(ErrorCode::kNotLeaderOrFollower));
  if (transfer.to == owner.identity().node) return done(common::ok());
  const raft::ReplicaId* heir = nullptr;
  for (const raft::ReplicaId& voter : partition->group()->config().voters) {
    if (voter.node == transfer.to) heir = &voter;
  }
  if (heir == nullptr) {
    return done(Error{ErrorCode::kReplicaNotAvailable,
                      fmt::format("Broker {} has no replica that votes", transfer.to)});
  }
  const raft::ReplicaId to = *heir;
  if (const raft::Refusal refused = partition->transfer(to); refused != raft::Refusal::kNone)
    return done(error_of(refused, transfer.to));
  owner.role_waits().wait(
      transfer.key, limit, [&owner, key = transfer.key, done = std::move(done)]() mutable {
        const replica::Partition* const now = owner.replicas().find_any(key);
        if (now == nullptr || now->role() != raft::Role::kLeader) return done(common::ok());
        done(Error{ErrorCode::kRequestTimedOut, "The replica did not take over in time"});
      });
}

/// All hear of a new leader before it knows what is committed, which it must to hand over.
void transfer_soon(Shard& owner, const Transfer& transfer, common::Duration limit,
                   common::Reply<Result<void>> done) {
  when_settled(owner, transfer.key, [&owner, transfer, limit, done = std::move(done)]() mutable {
    transfer_here(owner, transfer, limit, std::move(done));
  });
}

/// What a shard still leads, while it gives that away.
class GivingAway : public std::enable_shared_from_this<GivingAway> {
 public:
  GivingAway(Shard& shard, common::Duration limit, std::vector<model::BrokerId> unfit,
             common::Reply<std::size_t> done)
      : shard_(shard),
        until_(shard.clock().now() + limit),
        unfit_(std::move(unfit)),
        done_(std::move(done)) {}

  void turn() {
    left_ = 0;
    going_ = 0;
    for (const auto& [key, partition] : shard_.partitions()) give_if_led(*partition);
    if (replica::Partition* const metadata = shard_.replicas().find_any(kMetadataKey))
      give_if_led(*metadata);
    if (going_ == 0 || shard_.clock().now() >= until_) return done_(left_);
    shard_.loop().after(kTurn, [self = shared_from_this()] { self->turn(); });
  }

 private:
  static constexpr auto kTurn = std::chrono::milliseconds(5);

  void give_if_led(replica::Partition& partition) {
    if (partition.role() != raft::Role::kLeader) return;
    ++left_;
    if (give(partition)) ++going_;
  }

  /// False: nobody can take it. Heirs of one topic's partitions take turns, so that no broker gets
  /// all of them.
  bool give(replica::Partition& partition) {
    std::vector<raft::ReplicaId> heirs = partition.in_sync();
    std::erase_if(heirs, [&](const raft::ReplicaId& heir) {
      return heir == partition.group()->self() || !shard_.alive(heir.node) ||
             std::ranges::count(unfit_, heir.node) > 0;
    });
    if (heirs.empty()) return false;
    const auto turn = static_cast<std::size_t>(partition.log().key().index.value()) % heirs.size();
    std::rotate(heirs.begin(), heirs.begin() + static_cast<std::ptrdiff_t>(turn), heirs.end());
    for (const raft::ReplicaId& heir : heirs) {
      const raft::Refusal refused = partition.transfer(heir);
      if (refused == raft::Refusal::kNone || refused == raft::Refusal::kBusy) return true;
    }
    return false;
  }

  Shard& shard_;
  const common::Instant until_;
  const std::vector<model::BrokerId> unfit_;
  common::Reply<std::size_t> done_;
  std::size_t left_ = 0;
  std::size_t going_ = 0;
};

}  // namespace

void transfer_leader(Shard& here, const model::PartitionKey& key, model::BrokerId to,
                     common::Duration limit, common::Reply<Result<void>> done) {
  std::vector<model::PartitionKey> keys{key};
  known_leaders(
      here, std::move(keys),
      [&here, transfer = Transfer{key, to}, limit,
       done = std::move(done)](std::vector<KnownLeader> leaders) mutable {
        const model::BrokerId leader = leaders.front().leader;
        if (leader == model::BrokerId{-1})
          return done(model::error(ErrorCode::kLeaderNotAvailable));
        if (leader == transfer.to) return done(common::ok());
        if (leader == here.identity().node) {
          Shard& owner = here.owner(transfer.key);
          auto reply = reply_on<Result<void>>(here, std::move(done));
          return owner.loop().post([&owner, transfer, limit, reply = std::move(reply)]() mutable {
            transfer_soon(owner, transfer, limit, std::move(reply));
          });
        }
        const auto who = here.neighbours()->introduction(leader);
        if (who == nullptr) return done(model::error(ErrorCode::kLeaderNotAvailable));
        here.neighbours()->call(
            leader, shard_of(transfer.key, who->shards), cluster::Method::kTransferLeader,
            encode(transfer), limit + kAnswerSlack,
            [done = std::move(done)](Result<common::Bytes> answer) mutable {
              done(answer.ok() ? common::ok() : Result<void>(std::move(answer).error()));
            });
      });
}

void hand_over_all(Shard& shard, common::Duration limit, common::Reply<std::size_t> done,
                   std::vector<model::BrokerId> unfit) {
  std::make_shared<GivingAway>(shard, limit, std::move(unfit), std::move(done))->turn();
}

void serve_transfers(Shard& shard) {
  shard.calls().serve(
      cluster::Method::kTransferLeader, [&shard](cluster::Request request, Calls::Reply reply) {
        const auto transfer = decode_transfer(request.body.view());
        if (!transfer.ok()) return reply(transfer.error());
        const common::Duration limit = request.deadline - shard.clock().now() - kAnswerSlack;
        transfer_soon(shard, *transfer, std::max(limit, common::Duration{0}),
                      [reply = std::move(reply)](Result<void> done) mutable {
                        if (!done.ok()) return reply(std::move(done).error());
                        reply(common::Bytes());
                      });
      });
}

}  // namespace millrace::service
