#include "broker/service/metadata_calls.h"

#include <utility>

#include "broker/service/calls.h"
#include "broker/service/leaders.h"
#include "broker/service/metadata_writer.h"
#include "broker/service/neighbours.h"

namespace millrace::service {
namespace {

constexpr model::PartitionKey kMetadataKey{model::kMetadataTopicId, model::PartitionIndex{0}};

}  // namespace

std::optional<model::BrokerId> MetadataCalls::metadata_leader() const {
  const model::BrokerId self = first_.identity().node;
  const replica::Partition* const own = first_.replicas().find_any(kMetadataKey);
  if (own != nullptr && own->role() == raft::Role::kLeader) return self;
  const model::BrokerId leader = known_leader(first_, kMetadataKey).leader;
  // What others have heard of this one is from before, then.
  if (leader == model::BrokerId{-1} || leader == self) return std::nullopt;
  return leader;
}

void MetadataCalls::propose(model::BrokerId leader, common::Bytes proposal,
                            common::Duration timeout,
                            common::Reply<common::Result<common::Bytes>> done) {
  if (first_.neighbours() == nullptr)
    return done(model::error(model::ErrorCode::kBrokerNotAvailable));
  first_.neighbours()->call(leader, 0, cluster::Method::kProposeRecords, std::move(proposal),
                            timeout, std::move(done));
}

void serve_proposals(Shard& first) {
  CHECK(&first == &first.first());
  first.calls().serve(cluster::Method::kProposeRecords,
                      [&first](cluster::Request request, Calls::Reply reply) {
                        if (first.metadata_writer() == nullptr)
                          return reply(model::error(model::ErrorCode::kBrokerNotAvailable));
                        first.metadata_writer()->serve(request.body, std::move(reply));
                      });
}

}  // namespace millrace::service
