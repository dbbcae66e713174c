// All members subscribe to the same topics: every load is the quota or one more, and whoever has at
// most that keeps all it had. Other groups: assignor_uniform_mixed.cc.
#include <algorithm>
#include <unordered_map>
#include <utility>

#include "broker/coordinator/assignor.h"
#include "broker/coordinator/assignor_uniform.h"
#include "common/check.h"

namespace millrace::coordinator {
namespace {

using Loads = std::vector<std::vector<std::uint32_t>>;

// Cuts what members had to what they may have, and says how many each of them still gets.
std::vector<std::size_t> keep_quota(const AssignorInput& input, const Slots& slots, Loads& owned) {
  const std::size_t quota = slots.count() / owned.size();
  std::size_t extras = slots.count() % owned.size();
  std::vector<std::size_t> missing(owned.size(), 0);
  for (std::size_t m = 0; m < owned.size(); ++m) {
    const std::size_t had = owned[m].size();
    std::size_t due = quota;
    if (had > quota && extras > 0) {
      ++due;
      --extras;
    }
    if (had > due) {
      // What lies in its own rack is what it keeps.
      std::stable_partition(owned[m].begin(), owned[m].end(), [&](std::uint32_t slot) {
        return slots.in_rack(slot, input.members[m].rack);
      });
      owned[m].resize(due);
    }
    missing[m] = due - owned[m].size();
  }
  for (std::size_t m = 0; m < owned.size() && extras > 0; ++m) {
    if (owned[m].size() + missing[m] > quota) continue;
    ++missing[m];
    --extras;
  }
  CHECK(extras == 0);
  return missing;
}

// Gives free partitions to members of their racks, as far as those miss some.
void fill_by_rack(const AssignorInput& input, const Slots& slots, std::vector<std::uint32_t>& free,
                  std::vector<std::size_t>& missing, Loads& owned) {
  std::unordered_map<std::string_view, std::vector<std::size_t>> by_rack;
  for (std::size_t m = owned.size(); m-- > 0;) {
    if (missing[m] > 0 && !input.members[m].rack.empty())
      by_rack[input.members[m].rack].push_back(m);
  }
  if (by_rack.empty()) return;
  std::vector<std::uint32_t> left;
  for (const std::uint32_t slot : free) {
    const AssignorTopic& topic = input.topics[slots.topic_of(slot)];
    const std::size_t partition = slot - slots.first_of(slots.topic_of(slot));
    std::vector<std::size_t>* best = nullptr;
    if (topic.racks != nullptr && partition < topic.racks->size()) {
      for (const std::string& rack : (*topic.racks)[partition]) {
        const auto at = by_rack.find(rack);
        if (at == by_rack.end() || at->second.empty()) continue;
        // The rack where most is missing yet: the others could run dry.
        if (best == nullptr || at->second.size() > best->size()) best = &at->second;
      }
    }
    if (best == nullptr) {
      left.push_back(slot);
      continue;
    }
    const std::size_t m = best->back();
    owned[m].push_back(slot);
    best->pop_back();
    // In turn, so that the partitions of one topic spread over members.
    if (--missing[m] > 0) best->insert(best->begin(), m);
  }
  free = std::move(left);
}

void fill_in_turn(const std::vector<std::uint32_t>& free, std::vector<std::size_t>& missing,
                  Loads& owned) {
  std::vector<std::size_t> open;
  for (std::size_t m = 0; m < owned.size(); ++m) {
    if (missing[m] > 0) open.push_back(m);
  }
  std::size_t turn = 0;
  for (const std::uint32_t slot : free) {
    CHECK(!open.empty(), "no member left for partition {}", slot);
    if (turn >= open.size()) {
      std::erase_if(open, [&](std::size_t m) { return missing[m] == 0; });
      CHECK(!open.empty(), "no member left for partition {}", slot);
      turn = 0;
    }
    const std::size_t m = open[turn++];
    owned[m].push_back(slot);
    --missing[m];
  }
}

Shares assign_equal(const AssignorInput& input) {
  const Slots slots(input);
  Loads owned = slots.kept();
  std::vector<std::size_t> missing = keep_quota(input, slots, owned);
  std::vector<bool> taken(slots.count());
  for (const auto& mine : owned) {
    for (const std::uint32_t slot : mine) taken[slot] = true;
  }
  std::vector<std::uint32_t> free;
  for (std::uint32_t slot = 0; slot < slots.count(); ++slot) {
    if (!taken[slot]) free.push_back(slot);
  }
  fill_by_rack(input, slots, free, missing, owned);
  fill_in_turn(free, missing, owned);
  for (auto& mine : owned) std::sort(mine.begin(), mine.end());
  return slots.shares(std::move(owned));
}

}  // namespace

Shares assign_uniform(const AssignorInput& input) {
  if (input.members.empty()) return {};
  const std::uint32_t first = input.members.front().subscription;
  const bool equal = std::all_of(input.members.begin(), input.members.end(),
                                 [&](const auto& m) { return m.subscription == first; });
  // Topics beyond that one subscription would have nobody to go to.
  if (equal && input.subscriptions[first].size() == input.topics.size()) return assign_equal(input);
  return assign_uniform_mixed(input);
}

}  // namespace millrace::coordinator
