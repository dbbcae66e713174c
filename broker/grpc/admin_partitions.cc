#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "broker/grpc/admin.h"
#include "broker/service/hand_over.h"
#include "broker/service/partition_recovery.h"
#include "broker/service/reassignments.h"

namespace millrace::grpc {
namespace {

using model::BrokerId;
using model::ErrorCode;
using model::PartitionKey;

constexpr auto kTransferMax = std::chrono::seconds(5);
constexpr std::string_view kMetadataTopic = "__cluster_metadata";

/// nullopt after the call was failed.
std::optional<PartitionKey> find_partition(const service::Shard& shard, const std::string& name,
                                           std::int32_t index, const UnaryAnswer& answer) {
  const auto topic = find_topic(shard, name, answer);
  if (topic == nullptr) return std::nullopt;
  if (index >= 0 && index < topic->partition_count())
    return PartitionKey{topic->id, model::PartitionIndex{index}};
  answer.fail(ErrorCode::kUnknownTopicOrPartition,
              fmt::format("There is no partition {} in {}: it has {}", index, name,
                          topic->partition_count()));
  return std::nullopt;
}

/// The metadata's own partition is in no image.
std::optional<PartitionKey> find_any_partition(const service::Shard& shard, const std::string& name,
                                               std::int32_t index, const UnaryAnswer& answer) {
  if (name == kMetadataTopic && index == 0)
    return PartitionKey{model::kMetadataTopicId, model::PartitionIndex{0}};
  return find_partition(shard, name, index, answer);
}

void reassign(service::Shard& shard, metadata::ReassignPartition wish, service::FactorChange change,
              common::Function<void()> then, const UnaryAnswer& answer) {
  std::vector<metadata::ReassignPartition> wishes;
  wishes.push_back(std::move(wish));
  service::reassign_partitions(
      shard, std::move(wishes), change,
      [then = std::move(then), answer](const std::vector<common::Result<void>>& done) mutable {
        if (!done.front().ok()) return answer.fail(done.front().error());
        then();
        answer.ok();
      });
}

}  // namespace

::grpc::ServerUnaryReactor* Admin::MovePartition(::grpc::CallbackServerContext* context,
                                                 const v1::MovePartitionRequest* request,
                                                 v1::MovePartitionResponse* response) {
  return on_shard(
      context, dealer_, [request, response](service::Shard& shard, const UnaryAnswer& answer) {
        const auto key = find_partition(shard, request->topic(), request->partition(), answer);
        if (!key) return;
        if (request->replicas().empty()) {
          return answer.fail(ErrorCode::kInvalidReplicaAssignment,
                             "replicas must name the brokers, the preferred leader first");
        }
        metadata::Replicas replicas;
        for (const std::int32_t broker : request->replicas()) replicas.push_back(BrokerId{broker});
        auto say_target = [&shard, key = *key, response] {
          const metadata::PartitionAssignment* const now = shard.image().assignment(key);
          if (now == nullptr) return;
          for (const metadata::Replica& replica : now->target)
            response->add_target(replica.broker.value());
        };
        reassign(shard, {request->topic(), request->partition(), std::move(replicas)},
                 request->change_replication_factor() ? service::FactorChange::kAllowed
                                                      : service::FactorChange::kRefused,
                 std::move(say_target), answer);
      });
}

::grpc::ServerUnaryReactor* Admin::CancelMove(::grpc::CallbackServerContext* context,
                                              const v1::CancelMoveRequest* request,
                                              v1::CancelMoveResponse*) {
  return on_shard(context, dealer_, [request](service::Shard& shard, const UnaryAnswer& answer) {
    if (!find_partition(shard, request->topic(), request->partition(), answer)) return;
    reassign(
        shard, {request->topic(), request->partition(), std::nullopt},
        service::FactorChange::kAllowed, [] {}, answer);
  });
}

::grpc::ServerUnaryReactor* Admin::TransferLeader(::grpc::CallbackServerContext* context,
                                                  const v1::TransferLeaderRequest* request,
                                                  v1::TransferLeaderResponse* response) {
  return on_shard(
      context, dealer_, [request, response](service::Shard& shard, const UnaryAnswer& answer) {
        const auto key = find_any_partition(shard, request->topic(), request->partition(), answer);
        if (!key) return;
        BrokerId to{-1};
        const metadata::PartitionAssignment* const assignment = shard.image().assignment(*key);
        if (request->has_broker()) {
          to = BrokerId{request->broker()};
        } else if (assignment != nullptr) {
          to = assignment->replicas.front().broker;
        } else {
          return answer.fail(ErrorCode::kInvalidRequest,
                             "The metadata has no preferred leader: name the broker");
        }
        service::transfer_leader(shard, *key, to, kTransferMax,
                                 [to, response, answer](const common::Result<void>& done) {
                                   if (!done.ok()) return answer.fail(done.error());
                                   response->set_leader(to.value());
                                   answer.ok();
                                 });
      });
}

::grpc::ServerUnaryReactor* Admin::RecoverPartition(::grpc::CallbackServerContext* context,
                                                    const v1::RecoverPartitionRequest* request,
                                                    v1::RecoverPartitionResponse* response) {
  return on_shard(
      context, dealer_, [request, response](service::Shard& shard, const UnaryAnswer& answer) {
        const auto key = find_any_partition(shard, request->topic(), request->partition(), answer);
        if (!key) return;
        if (!request->accept_data_loss()) {
          return answer.fail(
              ErrorCode::kPolicyViolation,
              "Records that only the lost replicas have would be lost for good: this must be said "
              "with accept_data_loss. First try to start the brokers that are away");
        }
        service::RecoveryWish wish{.key = *key, .broker = std::nullopt};
        if (request->has_broker()) wish.broker = BrokerId{request->broker()};
        service::recover_partition(
            shard, wish, [response, answer](const common::Result<service::Recovery>& recovery) {
              if (!recovery.ok()) return answer.fail(recovery.error());
              response->set_leader(recovery->leader.value());
              for (const service::RemainingReplica& one : recovery->remaining) {
                v1::RemainingReplica& out = *response->add_replicas();
                out.set_broker(one.id.node.value());
                out.set_last_epoch(one.last.term.value());
                out.set_end_offset(one.last.offset.value());
                out.set_votes(one.votes());
              }
              answer.ok();
            });
      });
}

}  // namespace millrace::grpc
