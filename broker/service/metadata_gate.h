// gate.judge(std::move(proposal), [](ProposalAnswer answer) { ... });   gate.shorten_if_long();
//
// The leader's side of the metadata log: appends what was decided on the newest state, and keeps
// the log short.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "broker/metadata/proposal.h"
#include "broker/service/cluster_calls.h"
#include "broker/service/metadata_log.h"
#include "broker/service/shard.h"

namespace millrace::service {

struct MetadataGateSettings {
  /// How long a broker that was too late has the log for itself.
  common::Duration turn = std::chrono::milliseconds(50);
  /// A log that grew by less since it was last described as a whole is never worth shortening; by
  /// more, when a snapshot is at most a quarter of that.
  std::uint64_t shorten_bytes_min = 8 << 20;
  std::size_t snapshot_batch_bytes = 256 << 10;
};

/// First shard's loop. On every broker; where it does not lead it only says so.
///
/// Shortening: the leader appends the state as a snapshot (metadata/replay.h) while it takes no
/// proposals, and once all of it is committed cuts the log off in front of it, on all replicas. A
/// replica that is too far behind for the rest of the log begins anew at its start, that is with
/// the whole snapshot. A snapshot whose writer lost its leadership on the way is void; one that is
/// whole is cut off at by the next leader.
class MetadataGate {
 public:
  MetadataGate(Shard& first, MetadataLog& log, const ClusterCalls& calls,
               const MetadataGateSettings& settings);

  bool leads();
  /// It does not lead, or may be deposed and not know it, or not know all that is committed.
  bool unsure() const { return log_.replica().leader_refusal().has_value(); }
  /// A proposal of any broker, this one included; answered at once, or once its batch is committed.
  void judge(metadata::Proposal proposal, common::Reply<metadata::ProposalAnswer> done);
  /// After every application.
  void shorten_if_long();
  /// At the start, before anything follows the log. Below kClusterLevel a snapshot is a batch of
  /// plain records, which can only be written while nobody applies what is appended.
  void shorten_before_following(common::Reply<common::Result<void>> done);

 private:
  model::Offset log_end() const { return log_.replica().bounds().log_end; }
  void append(common::Bytes batch, common::Reply<metadata::ProposalAnswer> done);
  void cut_off(model::Offset start);
  void write_snapshot();

  Shard& first_;
  MetadataLog& log_;
  const ClusterCalls& calls_;
  const MetadataGateSettings& settings_;
  metadata::ProposalGate gate_;
  bool led_ = false;
  bool shortening_ = false;
  std::uint64_t snapshot_bytes_ = 0;  // of the newest that was too large to be worth it
  storage::Lifeline lifeline_;
};

}  // namespace millrace::service
