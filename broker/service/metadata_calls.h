// MetadataCalls calls(first);   MetadataWriter writer(first, calls, beginning);
// serve_proposals(first);
//
// How the brokers of a cluster reach the one that leads the metadata log, by their neighbours.
#pragma once

#include "broker/service/cluster_calls.h"
#include "broker/service/shard.h"

namespace millrace::service {

/// First shard's loop, which outlives it.
class MetadataCalls final : public ClusterCalls {
 public:
  explicit MetadataCalls(Shard& first) : first_(first) {}
  std::optional<model::BrokerId> metadata_leader() const override;
  void propose(model::BrokerId leader, common::Bytes proposal, common::Duration timeout,
               common::Reply<common::Result<common::Bytes>> done) override;

 private:
  Shard& first_;
};

/// Brings proposals of other brokers to this one's writer. Once, at the start.
void serve_proposals(Shard& first);

}  // namespace millrace::service
