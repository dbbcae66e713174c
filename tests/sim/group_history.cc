#include "tests/sim/group_history.h"

#include <algorithm>

namespace millrace::sim {

void GroupHistory::assigned(const std::string& group, std::int32_t generation,
                            const std::string& member, const std::vector<Target>& targets) {
  for (const Target& target : targets) {
    const auto [owner, first] =
        classic_owners_.emplace(std::tuple{group, generation, target}, member);
    if (first || owner->second == member) continue;
    trace_.fail(fmt::format("{}-{} is of {} and of {} in generation {} of {}", target.topic,
                            target.partition, owner->second, member, generation, group));
  }
}

void GroupHistory::owns(const std::string& group, const Target& target, const std::string& member) {
  const auto [owner, first] = owners_.emplace(Place{group, target}, member);
  if (first || owner->second == member) return;
  trace_.fail(fmt::format("{}-{} was given to {} while {} of {} still reads it", target.topic,
                          target.partition, member, owner->second, group));
}

void GroupHistory::releases(const std::string& group, const Target& target,
                            const std::string& member) {
  const auto owner = owners_.find(Place{group, target});
  if (owner != owners_.end() && owner->second == member) owners_.erase(owner);
}

void GroupHistory::commit_leaves(const std::string& group, const Target& target, Offset offset) {
  Committed& one = committed_[{group, target}];
  one.asked = std::max(one.asked, offset);
}

void GroupHistory::committed(const std::string& group, const Target& target, Offset offset) {
  Committed& one = committed_[{group, target}];
  one.acknowledged = std::max(one.acknowledged, offset);
}

Offset GroupHistory::committed_floor(const std::string& group, const Target& target) const {
  const auto found = committed_.find({group, target});
  return found == committed_.end() ? Offset{-1} : found->second.acknowledged;
}

void GroupHistory::told_committed(const std::string& group, const Target& target, Offset floor,
                                  Offset told) const {
  if (told < floor) {
    trace_.fail(fmt::format("{} of {}-{} was committed by {}, and later it was told {}", floor,
                            target.topic, target.partition, group, told));
  }
  const auto found = committed_.find({group, target});
  const Offset asked = found == committed_.end() ? Offset{-1} : found->second.asked;
  if (told > asked) {
    trace_.fail(fmt::format("{} of {}-{} was told as committed by {}, who committed at most {}",
                            told, target.topic, target.partition, group, asked));
  }
}

}  // namespace millrace::sim
