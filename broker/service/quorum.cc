#include "broker/service/quorum.h"

#include <utility>

#include "broker/service/metadata_writer.h"

namespace millrace::service {
namespace {

common::Result<Quorum> look(Shard& first) {
  if (first.metadata_writer() == nullptr) return model::error(model::ErrorCode::kShuttingDown);
  const replica::Bounds bounds = first.metadata_writer()->bounds();
  return Quorum{.leader = first.identity().node,
                .directory = first.identity().directory,
                .epoch = bounds.leader_epoch,
                .high_watermark = bounds.high_watermark,
                .log_end = bounds.log_end,
                .now = first.clock().wall()};
}

}  // namespace

void describe_quorum(Shard& here, common::Reply<common::Result<Quorum>> done) {
  here.first().loop().post([&here, done = std::move(done)]() mutable {
    here.loop().post([quorum = look(here.first()), done = std::move(done)]() mutable {
      done(std::move(quorum));
    });
  });
}

}  // namespace millrace::service
