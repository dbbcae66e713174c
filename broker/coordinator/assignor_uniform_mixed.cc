// 1. Members keep what they had. 2. Free partitions go to the subscriber with the lowest load,
// those of topics with few subscribers first. 3. Topic by topic, partitions move from a subscriber
// with a high load to one with a low load while that is two or more lower; again and again until
// nothing moves. Each move makes the sum of squared loads smaller, so that this ends.
#include <algorithm>
#include <queue>
#include <utility>

#include "broker/coordinator/assignor_uniform.h"
#include "common/check.h"

namespace millrace::coordinator {
namespace {

class Mixed {
 public:
  explicit Mixed(const AssignorInput& input)
      : input_(input),
        slots_(input),
        loads_(input.members.size(), 0),
        subscribers_(input.topics.size()),
        owned_(input.topics.size()) {
    for (std::uint32_t m = 0; m < input.members.size(); ++m) {
      for (const std::uint32_t topic : input.subscriptions[input.members[m].subscription])
        subscribers_[topic].push_back(m);
    }
    for (std::uint32_t topic = 0; topic < owned_.size(); ++topic)
      owned_[topic].resize(subscribers_[topic].size());
  }

  Shares run() {
    keep();
    std::vector<std::uint32_t> order(input_.topics.size());
    for (std::uint32_t topic = 0; topic < order.size(); ++topic) order[topic] = topic;
    std::stable_sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) {
      return subscribers_[a].size() < subscribers_[b].size();
    });
    for (const std::uint32_t topic : order) give_free(topic);
    for (bool moved = true; moved;) {
      moved = false;
      for (const std::uint32_t topic : order) moved = balance(topic) || moved;
    }
    return result();
  }

 private:
  // (load, place among the topic's subscribers)
  using Loaded = std::pair<std::size_t, std::size_t>;

  void keep() {
    taken_.resize(slots_.count());
    const auto kept = slots_.kept();
    for (std::uint32_t m = 0; m < kept.size(); ++m) {
      loads_[m] = kept[m].size();
      for (const std::uint32_t slot : kept[m]) {
        const std::uint32_t topic = slots_.topic_of(slot);
        const auto& all = subscribers_[topic];
        const auto at = std::lower_bound(all.begin(), all.end(), m);
        CHECK(at != all.end(), "a kept partition is not subscribed");
        CHECK(*at == m, "a kept partition is not subscribed");
        owned_[topic][static_cast<std::size_t>(at - all.begin())].push_back(slot);
        taken_[slot] = true;
      }
    }
  }

  void give_free(std::uint32_t topic) {
    const auto& all = subscribers_[topic];
    if (all.empty()) return;
    std::priority_queue<Loaded, std::vector<Loaded>, std::greater<>> lowest;
    for (std::size_t i = 0; i < all.size(); ++i) lowest.emplace(loads_[all[i]], i);
    const std::uint32_t end =
        slots_.first_of(topic) + static_cast<std::uint32_t>(input_.topics[topic].partitions);
    for (std::uint32_t slot = slots_.first_of(topic); slot < end; ++slot) {
      if (taken_[slot]) continue;
      const auto [load, i] = best_for(slot, topic, lowest);
      owned_[topic][i].push_back(slot);
      loads_[all[i]] = load + 1;
      lowest.emplace(load + 1, i);
    }
  }

  // Takes the subscriber with the lowest load; among equals, one in the partition's rack.
  Loaded best_for(std::uint32_t slot, std::uint32_t topic,
                  std::priority_queue<Loaded, std::vector<Loaded>, std::greater<>>& lowest) {
    const auto& all = subscribers_[topic];
    const Loaded first = lowest.top();
    lowest.pop();
    if (input_.topics[topic].racks == nullptr) return first;
    std::vector<Loaded> passed;
    Loaded best = first;
    while (!slots_.in_rack(slot, input_.members[all[best.second]].rack)) {
      passed.push_back(best);
      if (lowest.empty() || lowest.top().first != first.first || passed.size() > kRackLooks) {
        best = first;
        passed.erase(passed.begin());
        break;
      }
      best = lowest.top();
      lowest.pop();
    }
    for (const Loaded& one : passed) lowest.push(one);
    return best;
  }

  // True if anything moved. Moves what was given out just now before what a member had.
  bool balance(std::uint32_t topic) {
    const auto& all = subscribers_[topic];
    if (all.size() < 2) return false;
    std::priority_queue<Loaded, std::vector<Loaded>, std::greater<>> lowest;
    std::priority_queue<Loaded> highest;
    for (std::size_t i = 0; i < all.size(); ++i) {
      lowest.emplace(loads_[all[i]], i);
      if (!owned_[topic][i].empty()) highest.emplace(loads_[all[i]], i);
    }
    bool moved = false;
    while (!highest.empty()) {
      // Entries whose load has changed since are replaced by newer ones.
      while (lowest.top().first != loads_[all[lowest.top().second]]) lowest.pop();
      const auto [high, from] = highest.top();
      const auto [low, to] = lowest.top();
      if (high != loads_[all[from]] || owned_[topic][from].empty()) {
        highest.pop();
        continue;
      }
      if (high < low + 2) break;
      CHECK(from != to);
      owned_[topic][to].push_back(owned_[topic][from].back());
      owned_[topic][from].pop_back();
      --loads_[all[from]];
      ++loads_[all[to]];
      for (const std::size_t i : {from, to}) {
        lowest.emplace(loads_[all[i]], i);
        highest.emplace(loads_[all[i]], i);
      }
      moved = true;
    }
    return moved;
  }

  Shares result() {
    std::vector<std::vector<std::uint32_t>> owned(input_.members.size());
    for (std::uint32_t topic = 0; topic < owned_.size(); ++topic) {
      for (std::size_t i = 0; i < owned_[topic].size(); ++i) {
        auto& mine = owned_[topic][i];
        std::sort(mine.begin(), mine.end());
        auto& member = owned[subscribers_[topic][i]];
        member.insert(member.end(), mine.begin(), mine.end());
      }
    }
    return slots_.shares(std::move(owned));
  }

  // Members of equal load that are looked at for the sake of a rack.
  static constexpr std::size_t kRackLooks = 16;

  const AssignorInput& input_;
  const Slots slots_;
  std::vector<std::size_t> loads_;                              // of each member
  std::vector<std::vector<std::uint32_t>> subscribers_;         // of each topic, ascending
  std::vector<std::vector<std::vector<std::uint32_t>>> owned_;  // topic, subscriber, its slots
  std::vector<bool> taken_;
};

}  // namespace

Shares assign_uniform_mixed(const AssignorInput& input) {
  return Mixed(input).run();
}

}  // namespace millrace::coordinator
