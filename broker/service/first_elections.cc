#include "broker/service/first_elections.h"

#include <algorithm>
#include <utility>

#include "broker/service/shard.h"

namespace millrace::service {
namespace {

/// The others hear of a topic about 10 ms after the one who leads the metadata log.
constexpr auto kInterval = std::chrono::milliseconds(20);
/// Then the group's own deadlines have taken over.
constexpr int kTriesMax = 25;

}  // namespace

void FirstElections::stand(const model::PartitionKey& key) {
  candidates_.push_back({.key = key});
  arm();
}

void FirstElections::arm() {
  if (candidates_.empty() || stopped_ || timer_ != env::TimerId::kNone) return;
  timer_ = shard_.loop().after(kInterval, lifeline_.guard([this] {
    timer_ = env::TimerId::kNone;
    auto candidates = std::exchange(candidates_, {});
    std::erase_if(candidates, [this](Candidate& candidate) { return !try_once(candidate); });
    candidates_.insert(candidates_.end(), candidates.begin(), candidates.end());
    arm();
  }));
}

bool FirstElections::try_once(Candidate& candidate) {
  replica::Partition* const partition = shard_.partition(candidate.key);
  if (partition == nullptr || partition->group() == nullptr) return false;
  if (!partition->leader().is_none() || candidate.tries == kTriesMax) return false;
  ++candidate.tries;
  if (partition->role() == raft::Role::kFollower || candidate.tries % 4 == 0) partition->campaign();
  return true;
}

void FirstElections::stop() {
  stopped_ = true;
  candidates_.clear();
  if (timer_ != env::TimerId::kNone)
    shard_.loop().cancel(std::exchange(timer_, env::TimerId::kNone));
}

}  // namespace millrace::service
