#include "broker/service/broker_states.h"

#include <utility>

#include "broker/cluster/fields.h"
#include "broker/service/calls.h"
#include "broker/service/cluster_keeper.h"
#include "broker/service/everywhere.h"
#include "broker/service/leaders.h"
#include "broker/service/metadata_writer.h"
#include "broker/service/neighbours.h"

namespace millrace::service {
namespace {

using cluster::FieldReader;
using cluster::FieldWriter;
using metadata::Decision;
using metadata::MoveBlocker;
using metadata::NoOutcome;
using model::ErrorCode;
using Blockers = std::vector<MoveBlocker>;

constexpr std::uint8_t kVersion = 1;
constexpr std::size_t kBlockersMax = 1000;
constexpr std::size_t kCauseBytesMax = 1024;
constexpr auto kAnswerMax = std::chrono::seconds(5);
constexpr model::PartitionKey kMetadataKey{model::kMetadataTopicId, model::PartitionIndex{0}};

/// Decides the command and says how the broker stands then.
template <typename Command>
void change_state(Shard& here, Command command, common::Reply<common::Result<DrainProgress>> done) {
  MetadataWriter::decide_on<NoOutcome>(
      here, [command](const metadata::Image& image) { return metadata::decide(image, command); },
      [&here, broker = command.broker,
       done = std::move(done)](common::Result<NoOutcome> decided) mutable {
        if (!decided.ok()) return done(std::move(decided).error());
        done(DrainProgress{.state = here.image().state(broker),
                           .replicas_left = here.image().replicas_on(broker)});
      });
}

/// On the first shard of the broker that leads the metadata log.
common::Result<Blockers> blockers_here(Shard& first) {
  if (first.keeper() == nullptr) return Blockers{};
  Blockers blockers = first.keeper()->plan().blockers;
  if (blockers.size() > kBlockersMax) blockers.resize(kBlockersMax);
  return blockers;
}

void ask_from_first(Shard& first, common::Reply<common::Result<Blockers>> reply) {
  if (first.neighbours() == nullptr) return reply(blockers_here(first));
  const model::BrokerId leader = known_leader(first, kMetadataKey).leader;
  if (leader == first.identity().node) return reply(blockers_here(first));
  if (!first.neighbours()->alive(leader)) {
    return reply(common::Error{ErrorCode::kLeaderNotAvailable,
                               "No broker leads the metadata log: a majority of its voters must "
                               "be there"});
  }
  first.neighbours()->call(
      leader, 0, cluster::Method::kMoveBlockers, {}, kAnswerMax,
      [reply = std::move(reply)](common::Result<common::Bytes> answer) mutable {
        if (!answer.ok()) return reply(std::move(answer).error());
        reply(decode_move_blockers(answer->view()));
      });
}

}  // namespace

void drain_broker(Shard& here, model::BrokerId broker,
                  common::Reply<common::Result<DrainProgress>> done) {
  change_state(here, metadata::DrainBroker{broker}, std::move(done));
}

void undrain_broker(Shard& here, model::BrokerId broker,
                    common::Reply<common::Result<DrainProgress>> done) {
  change_state(here, metadata::UndrainBroker{broker}, std::move(done));
}

void decommission_broker(Shard& here, model::BrokerId broker, std::optional<common::Uuid> directory,
                         common::Reply<common::Result<metadata::Receipt>> done) {
  MetadataWriter::decide_on<metadata::Receipt>(
      here,
      [broker,
       directory](const metadata::Image& image) -> common::Result<Decision<metadata::Receipt>> {
        metadata::DecommissionBroker command{.broker = broker, .directory = {}};
        const auto registered = image.brokers().find(broker);
        if (directory) {
          command.directory = *directory;
        } else if (registered != image.brokers().end()) {
          command.directory = registered->second.directory;
        }
        return metadata::decide(image, command);
      },
      std::move(done));
}

void ask_move_blockers(Shard& here, common::Reply<common::Result<Blockers>> done) {
  auto reply = reply_on<common::Result<Blockers>>(here, std::move(done));
  here.first().loop().post([&first = here.first(), reply = std::move(reply)]() mutable {
    ask_from_first(first, std::move(reply));
  });
}

void serve_move_blockers(Shard& first) {
  first.calls().serve(cluster::Method::kMoveBlockers,
                      [&first](const cluster::Request&, Calls::Reply reply) {
                        const auto blockers = blockers_here(first);
                        if (!blockers.ok()) return reply(blockers.error());
                        reply(encode(*blockers));
                      });
}

common::Bytes encode(const Blockers& blockers) {
  FieldWriter out;
  out.byte(kVersion);
  out.count(blockers.size());
  for (const MoveBlocker& blocker : blockers) {
    out.number(blocker.broker.value());
    out.text(std::string_view(blocker.cause).substr(0, kCauseBytesMax));
    out.number(blocker.partitions);
    out.uuid(blocker.example.topic);
    out.number(blocker.example.index.value());
  }
  return common::Bytes::copy_of(out.view());
}

common::Result<Blockers> decode_move_blockers(common::ByteView body) {
  FieldReader in(body);
  if (in.byte() != kVersion) return model::error(ErrorCode::kUnsupportedVersion);
  Blockers blockers(in.length(kBlockersMax));
  for (MoveBlocker& blocker : blockers) {
    blocker.broker = in.broker();
    blocker.cause = in.text(kCauseBytesMax);
    blocker.partitions = in.number<std::int64_t>();
    blocker.example.topic = in.uuid();
    blocker.example.index = model::PartitionIndex{in.number<std::int32_t>()};
  }
  if (!in.done()) return model::error(ErrorCode::kCorruptMessage);
  return blockers;
}

}  // namespace millrace::service
