#include "broker/service/led_report.h"

#include <algorithm>
#include <utility>

#include "broker/cluster/fields.h"
#include "broker/service/calls.h"
#include "broker/service/everywhere.h"
#include "broker/service/group_report.h"
#include "broker/service/neighbours.h"

namespace millrace::service {
namespace {

using cluster::FieldReader;
using cluster::FieldWriter;
using Led = std::vector<LedPartition>;

constexpr std::uint8_t kVersion = 1;

LedPartition report_of(const replica::Partition& partition) {
  return {.key = partition.log().key(),
          .term = partition.term(),
          .voters = partition.group()->config().voters,
          .caught_up = partition.in_sync(),
          .bytes = coarse_bytes(static_cast<std::int64_t>(partition.log().size_bytes())),
          .insync_min = partition.settings().min_insync_replicas};
}

/// What is decided by a report is carried out at once: replicas that are not in it go.
bool is_reported(const replica::Partition& partition) {
  return partition.group() != nullptr && partition.is_leader() && is_agreed(*partition.group());
}

Led led_by(Shard& shard) {
  Led led;
  for (const auto& [key, partition] : shard.partitions()) {
    if (is_reported(*partition)) led.push_back(report_of(*partition));
  }
  constexpr model::PartitionKey kMetadata{model::kMetadataTopicId, model::PartitionIndex{0}};
  const replica::Partition* const metadata = shard.replicas().find_any(kMetadata);
  if (metadata != nullptr && is_reported(*metadata)) led.push_back(report_of(*metadata));
  return led;
}

common::Bytes encode_question(std::uint64_t known) {
  FieldWriter out;
  out.byte(kVersion);
  out.fixed64(known);
  return common::Bytes::copy_of(out.view());
}

/// The sum alone, where the one who asks has the rest already.
common::Bytes encode_answer(const Led& led, std::uint64_t known) {
  const common::Bytes report = encode(led);
  const std::uint64_t sum = sum_of(report.view());
  FieldWriter out;
  out.byte(kVersion);
  out.fixed64(sum);
  if (sum != known) out.raw(report.view());
  return common::Bytes::copy_of(out.view());
}

common::Result<LedAnswer> decode_answer(const common::Bytes& body) {
  FieldReader in(body.view());
  if (in.byte() != kVersion) return model::error(model::ErrorCode::kUnsupportedVersion);
  LedAnswer answer{.sum = in.fixed64(), .partitions = {}};
  if (in.failed()) return model::error(model::ErrorCode::kCorruptMessage);
  if (in.left() == 0) return answer;
  TRY_ASSIGN(answer.partitions, decode_led(body.view().last(in.left())));
  return answer;
}

}  // namespace

void gather_led(Shard& here, common::Reply<Led> done) {
  on_every_shard<Led>(
      here, [](Shard& shard, common::Reply<Led> reply) { reply(led_by(shard)); },
      [done = std::move(done)](std::vector<Led> shards) mutable {
        Led all;
        for (Led& some : shards) std::move(some.begin(), some.end(), std::back_inserter(all));
        // In an order that is the same as long as the partitions are.
        std::sort(all.begin(), all.end(),
                  [](const LedPartition& a, const LedPartition& b) { return a.key < b.key; });
        done(std::move(all));
      });
}

void ask_led(Shard& first, model::BrokerId broker, std::uint64_t known, common::Duration limit,
             common::Reply<common::Result<LedAnswer>> done) {
  CHECK(first.neighbours() != nullptr);
  first.neighbours()->call(broker, 0, cluster::Method::kLedPartitions, encode_question(known),
                           limit,
                           [done = std::move(done)](common::Result<common::Bytes> answer) mutable {
                             if (!answer.ok()) return done(std::move(answer).error());
                             done(decode_answer(*answer));
                           });
}

void serve_led(Shard& first) {
  CHECK(&first == &first.first());
  first.calls().serve(cluster::Method::kLedPartitions,
                      [&first](cluster::Request request, Calls::Reply reply) {
                        FieldReader in(request.body.view());
                        if (in.byte() != kVersion)
                          return reply(model::error(model::ErrorCode::kUnsupportedVersion));
                        const std::uint64_t known = in.fixed64();
                        if (!in.done())
                          return reply(model::error(model::ErrorCode::kCorruptMessage));
                        gather_led(first, [known, reply = std::move(reply)](Led led) mutable {
                          reply(encode_answer(led, known));
                        });
                      });
}

}  // namespace millrace::service
