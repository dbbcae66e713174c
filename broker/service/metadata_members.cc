#include "broker/service/metadata_members.h"

#include <algorithm>
#include <map>
#include <optional>
#include <string_view>

namespace millrace::service {
namespace {

using model::BrokerId;
using raft::ReplicaId;

bool contains(const std::vector<ReplicaId>& replicas, const ReplicaId& replica) {
  return std::find(replicas.begin(), replicas.end(), replica) != replicas.end();
}

class Planner {
 public:
  Planner(const raft::VoterSet& config, const metadata::Image& image, const metadata::View& view,
          const std::vector<MetBroker>& met, const MetadataMembersSettings& settings)
      : config_(config), image_(image), view_(view), met_(met), settings_(settings) {}

  MotionGoal run() {
    std::vector<ReplicaId> leaving;
    for (const ReplicaId& voter : config_.voters)
      (stays_voter(voter) ? goal_.voters : leaving).push_back(voter);
    fill();
    keep_some(leaving);
    add_learners();
    goal_.voters_before = config_.voters.size();
    return std::move(goal_);
  }

 private:
  const metadata::Broker* registered(BrokerId node) const {
    const auto found = image_.brokers().find(node);
    return found == image_.brokers().end() ? nullptr : &found->second;
  }
  bool is_met(const ReplicaId& id) const {
    return std::any_of(met_.begin(), met_.end(), [&](const MetBroker& broker) {
      return broker.node == id.node && broker.directory == id.directory;
    });
  }
  /// Its directory will not come back.
  bool replaced(const ReplicaId& id) const {
    if (image_.receipts().contains(id.directory)) return true;
    const metadata::Broker* const broker = registered(id.node);
    return broker != nullptr && broker->directory != id.directory && !is_met(id);
  }
  bool stays_voter(const ReplicaId& id) const {
    if (replaced(id)) return false;
    // A first voter that has not registered yet.
    if (registered(id.node) == nullptr) return true;
    if (image_.state(id.node) != metadata::BrokerState::kActive) return false;
    const auto health = view_.brokers.find(id.node);
    return health == view_.brokers.end() || health->second.silent_ms < settings_.dead_after_ms;
  }

  std::string_view rack_of(BrokerId node) const {
    const metadata::Broker* const broker = registered(node);
    return broker == nullptr ? std::string_view() : std::string_view(broker->rack);
  }
  /// Voters in the broker's rack; a broker without a rack shares it with no one.
  std::ptrdiff_t crowd(BrokerId node) const {
    const std::string_view rack = rack_of(node);
    if (rack.empty()) return 0;
    return std::count_if(goal_.voters.begin(), goal_.voters.end(),
                         [&](const ReplicaId& voter) { return rack_of(voter.node) == rack; });
  }
  std::optional<ReplicaId> best_candidate() const {
    std::optional<ReplicaId> best;
    for (const auto& [node, broker] : image_.brokers()) {
      const ReplicaId id{.node = node, .directory = broker.directory};
      if (contains(goal_.voters, id) || !view_.alive(node)) continue;
      if (image_.state(node) != metadata::BrokerState::kActive) continue;
      if (!best || crowd(node) < crowd(best->node)) best = id;
    }
    return best;
  }
  void fill() {
    while (goal_.voters.size() < settings_.voters) {
      const auto candidate = best_candidate();
      if (!candidate) break;
      goal_.voters.push_back(*candidate);
    }
    // One more voter than an odd number makes nothing safer; those that vote already stay.
    if (goal_.voters.size() % 2 == 0 && !goal_.voters.empty() &&
        !config_.is_voter(goal_.voters.back()))
      goal_.voters.pop_back();
  }

  /// Fewer voters than there were only where a voter can never come back, or is about to go and
  /// the others can do without it.
  void keep_some(const std::vector<ReplicaId>& leaving) {
    const std::size_t usual = std::min(config_.voters.size(), settings_.voters);
    const auto keep = [&](const ReplicaId& voter) {
      if (goal_.voters.size() < usual) goal_.voters.push_back(voter);
    };
    std::vector<ReplicaId> empty;
    for (const ReplicaId& voter : leaving) {
      if (replaced(voter)) continue;
      if (is_empty(voter.node)) {
        empty.push_back(voter);
      } else {
        keep(voter);
      }
    }
    if (!all_there()) std::for_each(empty.begin(), empty.end(), keep);
  }
  /// Its vote is all that is left there.
  bool is_empty(BrokerId node) const {
    return registered(node) != nullptr && image_.state(node) != metadata::BrokerState::kActive &&
           image_.replicas_on(node) == 0;
  }
  /// The voters so far: all are heard, and none is about to be restarted.
  bool all_there() const {
    return !goal_.voters.empty() && image_.permits().empty() &&
           std::all_of(goal_.voters.begin(), goal_.voters.end(),
                       [this](const ReplicaId& voter) { return view_.alive(voter.node); });
  }

  void add_learners() {
    const auto add = [this](const ReplicaId& id) {
      if (!contains(goal_.voters, id) && !contains(goal_.learners, id) && !replaced(id))
        goal_.learners.push_back(id);
    };
    for (const auto& [node, broker] : image_.brokers()) add({node, broker.directory});
    for (const MetBroker& broker : met_) {
      // A second process of a registered broker, on another disk: it takes the place of the first
      // when it registers, and needs the log for that.
      add({broker.node, broker.directory});
    }
    for (const ReplicaId& voter : config_.voters) add(voter);
  }

  const raft::VoterSet& config_;
  const metadata::Image& image_;
  const metadata::View& view_;
  const std::vector<MetBroker>& met_;
  const MetadataMembersSettings& settings_;
  MotionGoal goal_;
};

}  // namespace

MotionGoal metadata_goal(const raft::VoterSet& config, const metadata::Image& image,
                         const metadata::View& view, const std::vector<MetBroker>& met,
                         const MetadataMembersSettings& settings) {
  MotionGoal goal = Planner(config, image, view, met, settings).run();
  // There is always somebody who votes.
  if (goal.voters.empty()) goal.voters = config.voters;
  std::erase_if(goal.learners, [&](const ReplicaId& id) { return contains(goal.voters, id); });
  return goal;
}

}  // namespace millrace::service
