#include "broker/service/permits.h"

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
using metadata::PermitAnswer;
using model::ErrorCode;
using Done = common::Reply<common::Result<PermitAnswer>>;

constexpr std::uint8_t kVersion = 1;
constexpr std::size_t kRefusalBytesMax = 4096;
constexpr auto kAnswerMax = std::chrono::seconds(10);
constexpr model::PartitionKey kMetadataKey{model::kMetadataTopicId, model::PartitionIndex{0}};

common::Bytes encode(const PermitWish& wish) {
  FieldWriter out;
  out.byte(kVersion);
  out.number(wish.broker.value());
  out.uuid(wish.incarnation);
  out.number(wish.lasts_ms);
  return common::Bytes::copy_of(out.view());
}

common::Result<PermitWish> decode_wish(common::ByteView body) {
  FieldReader in(body);
  if (in.byte() != kVersion) return model::error(ErrorCode::kUnsupportedVersion);
  PermitWish wish{.broker = in.broker(), .incarnation = in.uuid()};
  wish.lasts_ms = in.number<std::int64_t>();
  if (!in.done() || wish.lasts_ms <= 0) return model::error(ErrorCode::kCorruptMessage);
  return wish;
}

metadata::PermitRequest request_of(const metadata::Image& image, const PermitWish& wish,
                                   common::Timestamp now) {
  metadata::PermitRequest request{.broker = wish.broker,
                                  .incarnation = wish.incarnation,
                                  .now_ms = now.value(),
                                  .lasts_ms = wish.lasts_ms};
  const auto broker = image.brokers().find(wish.broker);
  if (request.incarnation.is_zero() && broker != image.brokers().end())
    request.incarnation = broker->second.incarnation;
  return request;
}

/// On the first shard of the broker that leads the metadata log.
void judge(Shard& first, const PermitWish& wish, Done done) {
  if (first.keeper() == nullptr) return done(model::error(ErrorCode::kNotController));
  first.keeper()->look([&first, wish,
                        done = std::move(done)](common::Result<metadata::View> view) mutable {
    if (!view.ok()) return done(std::move(view).error());
    MetadataWriter::decide_on<PermitAnswer>(
        first,
        [&first, wish, view = *std::move(view)](
            const metadata::Image& image) -> common::Result<metadata::Decision<PermitAnswer>> {
          PermitAnswer answer =
              metadata::restart_permit(image, view, request_of(image, wish, first.clock().wall()));
          metadata::Decision<PermitAnswer> decision{.records = answer.records, .outcome = {}};
          decision.outcome = std::move(answer);
          return decision;
        },
        std::move(done));
  });
}

}  // namespace

void ask_permit(Shard& here, PermitWish wish, Done done) {
  auto reply = reply_on<common::Result<PermitAnswer>>(here, std::move(done));
  here.first().loop().post([&first = here.first(), wish, reply = std::move(reply)]() mutable {
    const model::BrokerId leader = known_leader(first, kMetadataKey).leader;
    if (leader == first.identity().node) return judge(first, wish, std::move(reply));
    if (first.neighbours() == nullptr || !first.neighbours()->alive(leader))
      return reply(model::error(ErrorCode::kLeaderNotAvailable));
    first.neighbours()->call(
        leader, 0, cluster::Method::kRestartPermit, encode(wish), kAnswerMax,
        [reply = std::move(reply)](common::Result<common::Bytes> answer) mutable {
          if (!answer.ok()) return reply(std::move(answer).error());
          reply(decode_permit_answer(answer->view()));
        });
  });
}

void give_back_permit(Shard& here, model::BrokerId broker,
                      common::Reply<common::Result<bool>> done) {
  MetadataWriter::decide_on<bool>(
      here,
      [broker](const metadata::Image& image) -> common::Result<metadata::Decision<bool>> {
        if (!image.brokers().contains(broker))
          return model::error(ErrorCode::kBrokerIdNotRegistered);
        metadata::Decision<bool> decision;
        const auto held = image.permits().find(broker);
        if (held == image.permits().end()) return decision;
        decision.records.emplace_back(metadata::PermitEnded{broker, held->second.incarnation});
        decision.outcome = true;
        return decision;
      },
      std::move(done));
}

void serve_permits(Shard& first) {
  CHECK(&first == &first.first());
  first.calls().serve(cluster::Method::kRestartPermit, [&first](cluster::Request request,
                                                                Calls::Reply reply) {
    const auto wish = decode_wish(request.body.view());
    if (!wish.ok()) return reply(wish.error());
    judge(first, *wish, [reply = std::move(reply)](common::Result<PermitAnswer> answer) mutable {
      if (!answer.ok()) return reply(std::move(answer).error());
      reply(encode(*answer));
    });
  });
}

common::Bytes encode(const PermitAnswer& answer) {
  FieldWriter out;
  out.byte(kVersion);
  out.byte(answer.granted ? 1 : 0);
  out.number(answer.blocked_partitions);
  out.number(answer.pausing_partitions);
  out.text(std::string_view(answer.refusal).substr(0, kRefusalBytesMax));
  out.count(answer.blockers.size());
  for (const metadata::PermitBlocker& blocker : answer.blockers) {
    out.uuid(blocker.partition.topic);
    out.number(blocker.partition.index.value());
    out.number(blocker.left);
    out.number(blocker.needed);
    out.count(blocker.missing.size());
    for (const model::BrokerId broker : blocker.missing) out.number(broker.value());
  }
  return common::Bytes::copy_of(out.view());
}

common::Result<PermitAnswer> decode_permit_answer(common::ByteView body) {
  FieldReader in(body);
  if (in.byte() != kVersion) return model::error(ErrorCode::kUnsupportedVersion);
  PermitAnswer answer;
  answer.granted = in.byte() != 0;
  answer.blocked_partitions = in.number<std::int64_t>();
  answer.pausing_partitions = in.number<std::int64_t>();
  answer.refusal = in.text(kRefusalBytesMax);
  answer.blockers.resize(in.length(metadata::kBlockersMax));
  for (metadata::PermitBlocker& blocker : answer.blockers) {
    blocker.partition.topic = in.uuid();
    blocker.partition.index = model::PartitionIndex{in.number<std::int32_t>()};
    blocker.left = in.number<std::int32_t>();
    blocker.needed = in.number<std::int32_t>();
    blocker.missing.resize(in.length(raft::kReplicasMax));
    for (model::BrokerId& broker : blocker.missing) broker = in.broker();
  }
  if (!in.done()) return model::error(ErrorCode::kCorruptMessage);
  return answer;
}

}  // namespace millrace::service
