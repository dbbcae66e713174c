#include "broker/service/metadata_gate.h"

#include <algorithm>
#include <optional>
#include <utility>

namespace millrace::service {
namespace {

using metadata::ProposalAnswer;
using metadata::Verdict;
using model::ErrorCode;
using model::Offset;

constexpr replica::AppendOptions kCommitted{.acks = replica::Acks::kAll,
                                            .origin = replica::Origin::kBroker};

/// Whether the refusal says nothing of what was refused: another one leads, or will soon, as this
/// log is damaged and comes again from the others.
bool is_passing(MetadataLog& log, const common::Error& refusal) {
  return refusal.code == ErrorCode::kNotLeaderOrFollower ||
         (refusal.code == ErrorCode::kCorruptLog && log.replica().replica().has_others());
}

}  // namespace

MetadataGate::MetadataGate(Shard& first, MetadataLog& log, const ClusterCalls& calls,
                           const MetadataGateSettings& settings)
    : first_(first), log_(log), calls_(calls), settings_(settings), gate_(settings.turn) {}

bool MetadataGate::leads() {
  const bool leads = calls_.metadata_leader() == first_.identity().node;
  if (leads && !led_) gate_.clear();
  led_ = leads;
  return leads;
}

void MetadataGate::judge(metadata::Proposal proposal, common::Reply<ProposalAnswer> done) {
  // Who was paused, or hears nobody, may lead no more and not know it: then what it knows is no
  // answer to what is asked, and what it appends is nothing to wait for. What the asker has seen of
  // its successor is enough to tell, too.
  if (!leads() || unsure() || proposal.term > log_.replica().term())
    return done({.verdict = Verdict::kNotLeader});
  const Verdict verdict = gate_.judge(proposal, {log_end(), first_.clock().now()});
  if (verdict != Verdict::kYes || proposal.batch.empty())
    return done({.verdict = verdict, .newest = log_end()});
  append(std::move(proposal.batch), std::move(done));
}

void MetadataGate::append(common::Bytes batch, common::Reply<ProposalAnswer> done) {
  const Offset before = log_end();
  // A refusal comes at once and changes nothing; of any other error it is not known what becomes of
  // the batch.
  auto inside = std::make_shared<bool>(true);
  log_.replica().append(std::move(batch), kCommitted,
                        lifeline_.guard([this, before, inside, done = std::move(done)](
                                            replica::AppendOutcome appended) mutable {
                          if (!appended.error)
                            return done({.verdict = Verdict::kYes, .newest = log_end()});
                          const bool refused = *inside && log_end() == before;
                          if (!refused) return done({.verdict = Verdict::kUnknown});
                          if (is_passing(log_, *appended.error))
                            return done({.verdict = Verdict::kNotLeader});
                          done({.verdict = Verdict::kRefused,
                                .newest = before,
                                .error = appended.error->code,
                                .detail = std::move(appended.error->detail)});
                        }));
  *inside = false;
}

void MetadataGate::shorten_if_long() {
  if (shortening_ || !leads()) return;
  if (const auto start = log_.snapshot_start()) return cut_off(*start);
  const std::uint64_t bytes = log_.bytes_to_shorten();
  if (bytes < std::max(settings_.shorten_bytes_min, 4 * snapshot_bytes_)) return;
  if (first_.image().feature_level() < metadata::kClusterLevel) return;
  // The snapshot describes what lies in front of it: everything has to be applied.
  if (!log_.whole() || log_.applied() != log_end()) return;
  write_snapshot();
}

void MetadataGate::cut_off(Offset start) {
  shortening_ = true;
  log_.replica().trim(start,
                      lifeline_.guard([this](common::Result<void>) { shortening_ = false; }));
}

void MetadataGate::write_snapshot() {
  std::vector<common::Bytes> batches = metadata::snapshot_batches(
      first_.image(), log_end(), first_.clock().wall(), settings_.snapshot_batch_bytes);
  std::uint64_t bytes = 0;
  for (const common::Bytes& batch : batches) bytes += batch.size();
  snapshot_bytes_ = bytes;
  if (bytes > log_.bytes_to_shorten() / 4) return;
  shortening_ = true;
  gate_.shut();
  auto missing = std::make_shared<std::size_t>(batches.size());
  // One behind the other, all in this turn: nothing comes in between. If one fails the snapshot is
  // never whole; if not, the place to cut off at is known when its last part is applied.
  for (common::Bytes& batch : batches) {
    log_.replica().append(std::move(batch), kCommitted,
                          lifeline_.guard([this, missing](const replica::AppendOutcome&) {
                            if (--*missing > 0) return;
                            shortening_ = false;
                            gate_.open();
                          }));
  }
}

void MetadataGate::shorten_before_following(common::Reply<common::Result<void>> done) {
  const metadata::Image& image = first_.image();
  const std::uint64_t bytes = log_.bytes_to_shorten();
  if (!leads() || image.feature_level() >= metadata::kClusterLevel ||
      bytes < settings_.shorten_bytes_min || log_.applied() != log_end()) {
    return done(common::ok());
  }
  const std::vector<metadata::Record> snapshot = image.snapshot();
  if (snapshot.empty()) return done(common::ok());
  common::Bytes batch = metadata::to_batch(snapshot, first_.clock().wall());
  if (batch.size() > bytes / 4) return done(common::ok());
  // A crash between the two steps is harmless: a snapshot on top of the state it describes changes
  // nothing.
  log_.replica().append(std::move(batch), kCommitted,
                        [this, done = std::move(done)](replica::AppendOutcome appended) mutable {
                          if (appended.error) return done(*appended.error);
                          log_.skip_to(log_end());
                          log_.replica().trim(appended.appended.base_offset, std::move(done));
                        });
}

}  // namespace millrace::service
