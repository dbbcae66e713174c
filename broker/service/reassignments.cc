#include "broker/service/reassignments.h"

#include <fmt/format.h>

#include <utility>

#include "broker/service/in_turn.h"
#include "broker/service/metadata_writer.h"

namespace millrace::service {
namespace {

using metadata::Decision;
using metadata::NoOutcome;
using metadata::ReassignPartition;

common::Result<Decision<NoOutcome>> decide_wish(const metadata::Image& image,
                                                const ReassignPartition& wish,
                                                FactorChange change) {
  const auto topic = image.topic(wish.topic);
  const metadata::PartitionAssignment* const present =
      topic == nullptr ? nullptr : image.assignment({topic->id, model::PartitionIndex{wish.index}});
  if (change == FactorChange::kRefused && present != nullptr && wish.replicas &&
      wish.replicas->size() != present->replicas.size()) {
    return common::Error{model::ErrorCode::kInvalidReplicationFactor,
                         fmt::format("The replication factor is changed from {} to {}",
                                     present->replicas.size(), wish.replicas->size())};
  }
  // Below the level of clusters there is one broker: a wish is met already, or cannot be.
  if (image.feature_level() < metadata::kClusterLevel) {
    TRY(metadata::check(image, wish));
    return Decision<NoOutcome>{};
  }
  return metadata::decide(image, wish);
}

}  // namespace

void reassign_partitions(Shard& here, std::vector<ReassignPartition> wishes, FactorChange change,
                         common::Reply<std::vector<common::Result<void>>> done) {
  in_turn<common::Result<void>, ReassignPartition>(
      std::move(wishes),
      [&here, change](ReassignPartition wish, common::Reply<common::Result<void>> reply) {
        MetadataWriter::decide_on<NoOutcome>(
            here,
            [wish = std::move(wish), change](const metadata::Image& image) {
              return decide_wish(image, wish, change);
            },
            [reply = std::move(reply)](common::Result<NoOutcome> decided) mutable {
              reply(decided.ok() ? common::ok() : common::Result<void>(std::move(decided).error()));
            });
      },
      std::move(done));
}

}  // namespace millrace::service
