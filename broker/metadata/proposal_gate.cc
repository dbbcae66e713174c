#include <algorithm>

#include "broker/metadata/proposal.h"

#include "broker/model/mutation.h"

namespace millrace::metadata {

using model::BrokerId;

bool ProposalGate::is_turn_of(BrokerId broker, common::Instant now) {
  while (!turns_.empty() && turns_.front().until <= now) {
    turns_.pop_front();
    if (!turns_.empty()) turns_.front().until = now + turn_;
  }
  return turns_.empty() || turns_.front().broker == broker;
}

void ProposalGate::enqueue(BrokerId broker, common::Instant now) {
  const bool waits = std::any_of(turns_.begin(), turns_.end(),
                                 [broker](const Turn& turn) { return turn.broker == broker; });
  if (!waits && turns_.size() < kTurnsMax) turns_.push_back({broker, now + turn_});
}

void ProposalGate::done(BrokerId broker, common::Instant now) {
  const bool had_it = !turns_.empty() && turns_.front().broker == broker;
  std::erase_if(turns_, [broker](const Turn& turn) { return turn.broker == broker; });
  if (had_it && !turns_.empty()) turns_.front().until = now + turn_;
}

Verdict ProposalGate::judge(const Proposal& proposal, const LogPosition& log) {
  if (proposal.base > log.end) return Verdict::kNotLeader;
  const bool stale =
      proposal.base < log.end && !model::mutated(model::Mutation::kTakeStaleProposals);
  if (proposal.batch.empty()) return stale ? Verdict::kStale : Verdict::kYes;
  const bool its_turn = is_turn_of(proposal.from, log.now);
  if (stale || shut_ || !its_turn) {
    enqueue(proposal.from, log.now);
    return stale ? Verdict::kStale : Verdict::kBusy;
  }
  done(proposal.from, log.now);
  return Verdict::kYes;
}

void ProposalGate::clear() {
  turns_.clear();
  shut_ = false;
}

}  // namespace millrace::metadata
