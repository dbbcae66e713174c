#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "broker/grpc/admin.h"
#include "broker/grpc/cluster_view.h"
#include "broker/service/broker_states.h"
#include "broker/service/permits.h"

namespace millrace::grpc {
namespace {

using model::BrokerId;
using model::ErrorCode;

constexpr std::int64_t kPermitDefaultMs = 120'000;
constexpr std::int64_t kPermitMaxMs = 3'600'000;

/// nullopt after the call was failed: `text` is no id of 22 characters. Empty text: `otherwise`.
std::optional<common::Uuid> read_id(const std::string& text, const char* what,
                                    const common::Uuid& otherwise, const UnaryAnswer& answer) {
  if (text.empty()) return otherwise;
  const auto id = common::Uuid::parse(text);
  if (!id) {
    answer.fail(ErrorCode::kInvalidRequest,
                fmt::format("{} must be 22 characters of base64", what));
  }
  return id;
}

std::string topic_of(const service::Shard& shard, const model::TopicId& id) {
  if (id == model::kMetadataTopicId) return "__cluster_metadata";
  const auto topic = shard.image().topic(id);
  return topic == nullptr ? id.text() : topic->name;
}

void fill(v1::DrainBrokerResponse& out, const service::Shard& shard, BrokerId broker,
          const service::DrainProgress& progress,
          const common::Result<std::vector<metadata::MoveBlocker>>& blockers) {
  out.set_state(state_of(progress.state));
  out.set_replicas_left(static_cast<std::int32_t>(progress.replicas_left));
  if (!blockers.ok()) {
    out.add_blockers()->set_cause(blockers.error().detail);
    return;
  }
  for (const metadata::MoveBlocker& blocker : *blockers) {
    if (blocker.broker != broker) continue;
    v1::Blocker& added = *out.add_blockers();
    added.set_cause(blocker.cause);
    added.set_partitions(blocker.partitions);
    added.set_topic(topic_of(shard, blocker.example.topic));
    added.set_partition(blocker.example.index.value());
  }
}

std::string why_not(const service::Shard& shard, const metadata::PermitAnswer& permit) {
  if (!permit.refusal.empty()) return permit.refusal;
  const metadata::PermitBlocker& first = permit.blockers.front();
  return fmt::format(
      "{} partition(s) could not go on without it: {}-{} would have {} replica(s) in sync and "
      "needs "
      "{}",
      permit.blocked_partitions, topic_of(shard, first.partition.topic), first.partition.index,
      first.left, first.needed);
}

/// The permit that was given. Another broker gave it, perhaps, and its record is on its way here.
void fill(v1::RestartPermit& out, const service::Shard& shard, const service::PermitWish& wish) {
  const auto held = shard.image().permits().find(wish.broker);
  if (held != shard.image().permits().end()) {
    out.set_incarnation(held->second.incarnation.text());
    out.set_expires_at_ms(held->second.expires_at_ms);
    return;
  }
  const auto registered = shard.image().brokers().find(wish.broker);
  if (registered != shard.image().brokers().end())
    out.set_incarnation(registered->second.incarnation.text());
  out.set_expires_at_ms(shard.clock().wall().value() + wish.lasts_ms);
}

void fill(v1::AcquireRestartPermitResponse& out, const service::Shard& shard,
          const service::PermitWish& wish, const metadata::PermitAnswer& permit) {
  out.set_granted(permit.granted);
  out.set_blocked_partitions(permit.blocked_partitions);
  out.set_pausing_partitions(permit.pausing_partitions);
  for (const metadata::PermitBlocker& blocker : permit.blockers) {
    v1::PermitBlocker& added = *out.add_blockers();
    added.set_topic(topic_of(shard, blocker.partition.topic));
    added.set_partition(blocker.partition.index.value());
    added.set_left(blocker.left);
    added.set_needed(blocker.needed);
    for (const BrokerId missing : blocker.missing) added.add_missing(missing.value());
  }
  if (!permit.granted) return out.set_reason(why_not(shard, permit));
  fill(*out.mutable_permit(), shard, wish);
}

}  // namespace

::grpc::ServerUnaryReactor* Admin::DrainBroker(::grpc::CallbackServerContext* context,
                                               const v1::DrainBrokerRequest* request,
                                               v1::DrainBrokerResponse* response) {
  return on_shard(
      context, dealer_, [request, response](service::Shard& shard, const UnaryAnswer& answer) {
        const BrokerId broker{request->broker()};
        service::drain_broker(
            shard, broker,
            [&shard, broker, response, answer](common::Result<service::DrainProgress> progress) {
              if (!progress.ok()) return answer.fail(progress.error());
              service::ask_move_blockers(
                  shard, [&shard, broker, response, answer, progress = *progress](
                             const common::Result<std::vector<metadata::MoveBlocker>>& blockers) {
                    fill(*response, shard, broker, progress, blockers);
                    answer.ok();
                  });
            });
      });
}

::grpc::ServerUnaryReactor* Admin::CancelDrain(::grpc::CallbackServerContext* context,
                                               const v1::CancelDrainRequest* request,
                                               v1::CancelDrainResponse* response) {
  return on_shard(context, dealer_,
                  [request, response](service::Shard& shard, const UnaryAnswer& answer) {
                    service::undrain_broker(
                        shard, BrokerId{request->broker()},
                        [response, answer](common::Result<service::DrainProgress> progress) {
                          if (!progress.ok()) return answer.fail(progress.error());
                          response->set_state(state_of(progress->state));
                          answer.ok();
                        });
                  });
}

::grpc::ServerUnaryReactor* Admin::DecommissionBroker(::grpc::CallbackServerContext* context,
                                                      const v1::DecommissionBrokerRequest* request,
                                                      v1::DecommissionBrokerResponse* response) {
  return on_shard(
      context, dealer_, [request, response](service::Shard& shard, const UnaryAnswer& answer) {
        const auto directory = read_id(request->directory_id(), "directory_id", {}, answer);
        if (!directory) return;
        service::decommission_broker(shard, BrokerId{request->broker()},
                                     request->directory_id().empty() ? std::nullopt : directory,
                                     [response, answer](common::Result<metadata::Receipt> receipt) {
                                       if (!receipt.ok()) return answer.fail(receipt.error());
                                       v1::Receipt& out = *response->mutable_receipt();
                                       out.set_broker(receipt->broker.value());
                                       out.set_directory_id(receipt->directory.text());
                                       out.set_epoch(receipt->epoch);
                                       answer.ok();
                                     });
      });
}

::grpc::ServerUnaryReactor* Admin::AcquireRestartPermit(
    ::grpc::CallbackServerContext* context, const v1::AcquireRestartPermitRequest* request,
    v1::AcquireRestartPermitResponse* response) {
  return on_shard(
      context, dealer_, [request, response](service::Shard& shard, const UnaryAnswer& answer) {
        const auto incarnation = read_id(request->incarnation(), "incarnation", {}, answer);
        if (!incarnation) return;
        if (request->lasts_ms() < 0 || request->lasts_ms() > kPermitMaxMs) {
          return answer.fail(ErrorCode::kInvalidRequest,
                             fmt::format("lasts_ms must be 0 (two minutes) to {}", kPermitMaxMs));
        }
        const service::PermitWish wish{
            .broker = BrokerId{request->broker()},
            .incarnation = *incarnation,
            .lasts_ms = request->lasts_ms() == 0 ? kPermitDefaultMs : request->lasts_ms()};
        service::ask_permit(
            shard, wish,
            [&shard, wish, response, answer](const common::Result<metadata::PermitAnswer>& permit) {
              if (!permit.ok()) return answer.fail(permit.error());
              fill(*response, shard, wish, *permit);
              answer.ok();
            });
      });
}

::grpc::ServerUnaryReactor* Admin::ReleaseRestartPermit(
    ::grpc::CallbackServerContext* context, const v1::ReleaseRestartPermitRequest* request,
    v1::ReleaseRestartPermitResponse* response) {
  return on_shard(
      context, dealer_, [request, response](service::Shard& shard, const UnaryAnswer& answer) {
        service::give_back_permit(shard, BrokerId{request->broker()},
                                  [response, answer](const common::Result<bool>& released) {
                                    if (!released.ok()) return answer.fail(released.error());
                                    response->set_released(*released);
                                    answer.ok();
                                  });
      });
}

}  // namespace millrace::grpc
