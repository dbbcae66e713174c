#include "broker/service/quorum.h"

#include <utility>

namespace millrace::service {
namespace {

constexpr model::PartitionKey kMetadataKey{model::kMetadataTopicId, model::PartitionIndex{0}};
constexpr auto kAnswerMax = std::chrono::seconds(5);

}  // namespace

void describe_quorum(Shard& here, common::Reply<common::Result<Quorum>> done) {
  describe_group(here, kMetadataKey, kAnswerMax,
                 [&here, done = std::move(done)](common::Result<GroupReport> report) mutable {
                   if (!report.ok()) return done(std::move(report).error());
                   done(Quorum{.group = *std::move(report), .now = here.clock().wall()});
                 });
}

}  // namespace millrace::service
