// How this broker reaches the one that leads the metadata log.
#pragma once

#include <optional>

#include "broker/model/errors.h"
#include "broker/model/ids.h"
#include "common/bytes.h"
#include "common/check.h"
#include "common/clock.h"
#include "common/reply.h"

namespace millrace::service {

/// First shard's loop.
class ClusterCalls {
 public:
  virtual ~ClusterCalls() = default;
  /// Who leads the metadata log, as far as is known here; this broker only if its replica does.
  virtual std::optional<model::BrokerId> metadata_leader() const = 0;
  /// Brings a proposal (metadata/proposal.h) to the first shard of another broker, to
  /// MetadataWriter::serve(), and its answer back. Surely not brought: kBrokerNotAvailable,
  /// kMemoryExhausted. Perhaps: any other error.
  virtual void propose(model::BrokerId leader, common::Bytes proposal, common::Duration timeout,
                       common::Reply<common::Result<common::Bytes>> done) = 0;
};

/// Of a broker that is alone: it leads.
class NoOtherBrokers final : public ClusterCalls {
 public:
  explicit NoOtherBrokers(model::BrokerId self) : self_(self) {}
  std::optional<model::BrokerId> metadata_leader() const override { return self_; }
  void propose(model::BrokerId, common::Bytes, common::Duration,
               common::Reply<common::Result<common::Bytes>> done) override {
    done(model::error(model::ErrorCode::kBrokerNotAvailable));
  }

 private:
  const model::BrokerId self_;
};

}  // namespace millrace::service
