// A client of the classic protocol, which also leads where it is asked to.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <utility>

#include "broker/coordinator/consumer_protocol.h"
#include "broker/coordinator/testing/crowd.h"

namespace millrace::coordinator {
namespace {

class Classic final : public Client {
 public:
  Classic(std::string fresh_id, std::optional<std::string> instance, Rounds rounds)
      : fresh_id_(std::move(fresh_id)), rounds_(rounds) {
    instance_ = std::move(instance);
  }

  void turn(Surroundings& world) override {
    switch (phase_) {
      case Phase::kJoin:
        return join(world);
      case Phase::kWaitsForJoin:
        return joined(world);
      case Phase::kWaitsForSync:
        return synced(world);
      case Phase::kRevokes:
        if (slow_ > 0 && world.faults) {
          --slow_;
          return beat(world);
        }
        used_ = assigned_;
        phase_ = Phase::kJoin;
        return join(world);
      case Phase::kStable:
        // Who led looks after the topics; in a consumer group the broker does.
        if (leads_ && version_ != world.shell.topics().version) return join(world);
        return beat(world);
    }
  }

  void leave(Surroundings& world) override {
    used_.clear();
    if (id_.empty()) return;
    world.shell.leave({.group = "g", .members = {{id_, instance_, ""}}});
  }

  void subscribe(std::vector<std::string> topics, std::string) override {
    topics_ = std::move(topics);
    resubscribed_ = true;
    if (phase_ == Phase::kStable) phase_ = Phase::kJoin;
  }

  Epoch epoch() const override { return generation_; }

  bool at_rest() const override { return phase_ == Phase::kStable && !resubscribed_; }

 private:
  enum class Phase : std::uint8_t { kJoin, kWaitsForJoin, kWaitsForSync, kRevokes, kStable };

  std::string protocol() const {
    return rounds_ == Rounds::kEager ? "range" : "cooperative-sticky";
  }

  void join(Surroundings& world) {
    if (rounds_ == Rounds::kEager) used_.clear();
    JoinGroup request{.group = "g", .member = id_, .instance = instance_};
    request.protocol_type = "consumer";
    request.session_timeout_ms = 30'000;
    request.rebalance_timeout_ms = 20'000;
    request.client = {"classic", "/127.0.0.1"};
    request.fresh_member = fresh_id_ + "-" + std::to_string(joins_++);
    request.member_id_required = true;
    Subscription subscription;
    subscription.version = 1;
    subscription.topics = topics_;
    const PartitionList used(used_.begin(), used_.end());
    for (const TopicPartitions& one : by_topic(used)) {
      const auto name = world.shell.topics().names.find(one.topic);
      if (name != world.shell.topics().names.end())
        subscription.owned.push_back({name->second, one.partitions});
    }
    request.protocols.push_back({protocol(), encode(subscription)});
    resubscribed_ = false;
    version_ = world.shell.topics().version;
    ticket_ = world.shell.join(request);
    phase_ = Phase::kWaitsForJoin;
    joined(world);
  }

  void joined(Surroundings& world) {
    auto outcome = world.shell.take<JoinOutcome>(ticket_);
    if (!outcome) return;
    phase_ = Phase::kJoin;
    if (world.faults && world.random.chance(1, 20)) return;  // lost on the way back
    switch (outcome->status.code) {
      case ErrorCode::kNone:
        break;
      case ErrorCode::kMemberIdRequired:
        id_ = outcome->member;
        return;
      case ErrorCode::kRebalanceInProgress:
      case ErrorCode::kNotCoordinator:
        return;
      default:
        return failed(outcome->status.code);
    }
    id_ = outcome->member;
    generation_ = outcome->generation;
    SyncGroup request{
        .group = "g", .generation = generation_, .member = id_, .instance = instance_};
    leads_ = outcome->leader == id_;
    if (leads_) request.assignments = lead(*outcome, world);
    ticket_ = world.shell.sync(request);
    phase_ = Phase::kWaitsForSync;
    synced(world);
  }

  // Deals partitions out by turns; in cooperative rounds, what somebody else still uses goes to
  // nobody for now.
  std::vector<SyncGroup::Assignment> lead(const JoinOutcome& outcome, Surroundings& world) const {
    std::map<std::string, Subscription> members;
    std::map<std::string, std::map<std::string, std::vector<std::int32_t>>> given;
    std::map<std::pair<std::string, std::int32_t>, std::string> users;
    for (const auto& member : outcome.members) {
      auto subscription = decode_subscription(member.metadata);
      EXPECT_TRUE(subscription.ok());
      for (const NamedPartitions& one : subscription->owned) {
        for (const std::int32_t partition : one.partitions)
          users[{one.topic, partition}] = member.member;
      }
      given[member.member];
      members[member.member] = *std::move(subscription);
    }
    for (const auto& [name, topic] : world.shell.topics().by_name) {
      std::vector<std::string> readers;
      for (const auto& [member, subscription] : members) {
        if (std::find(subscription.topics.begin(), subscription.topics.end(), name) !=
            subscription.topics.end())
          readers.push_back(member);
      }
      for (std::int32_t i = 0; i < topic.partitions && !readers.empty(); ++i) {
        const std::string& reader = readers[static_cast<std::size_t>(i) % readers.size()];
        const auto user = users.find({name, i});
        if (user == users.end() || user->second == reader) given[reader][name].push_back(i);
      }
    }
    std::vector<SyncGroup::Assignment> assignments;
    for (const auto& [member, topics] : given) {
      Assignment assignment;
      for (const auto& [name, partitions] : topics)
        assignment.partitions.push_back({name, partitions});
      assignments.push_back({member, encode(assignment)});
    }
    return assignments;
  }

  void synced(Surroundings& world) {
    auto outcome = world.shell.take<SyncOutcome>(ticket_);
    if (!outcome) return;
    phase_ = Phase::kJoin;
    if (world.faults && world.random.chance(1, 20)) return;
    if (outcome->status.code == ErrorCode::kRebalanceInProgress ||
        outcome->status.code == ErrorCode::kNotCoordinator)
      return;
    if (!outcome->status.ok()) return failed(outcome->status.code);
    const auto assignment = decode_assignment(outcome->assignment);
    EXPECT_TRUE(assignment.ok());
    assigned_.clear();
    for (const NamedPartitions& one : assignment->partitions) {
      const auto topic = world.shell.topics().by_name.find(one.topic);
      if (topic == world.shell.topics().by_name.end()) continue;
      for (const std::int32_t partition : one.partitions)
        assigned_.insert({topic->second.id, model::PartitionIndex{partition}});
    }
    const bool revokes = std::any_of(used_.begin(), used_.end(),
                                     [&](const auto& key) { return !assigned_.contains(key); });
    // What is new can be used at once; what is to go is used until it is given up.
    used_.insert(assigned_.begin(), assigned_.end());
    slow_ =
        world.faults && world.random.chance(1, 4) ? static_cast<int>(world.random.below(12)) : 0;
    phase_ = revokes ? Phase::kRevokes : resubscribed_ ? Phase::kJoin : Phase::kStable;
  }

  void beat(Surroundings& world) {
    if (world.faults && world.random.chance(1, 20)) return;
    const Status status = world.shell.heartbeat(
        {.group = "g", .generation = generation_, .member = id_, .instance = instance_});
    if (world.faults && world.random.chance(1, 20)) return;
    if (status.ok() || status.code == ErrorCode::kNotCoordinator) return;
    if (status.code == ErrorCode::kRebalanceInProgress) {
      if (phase_ == Phase::kRevokes) return;  // it will join anyway when it is done
      phase_ = Phase::kJoin;
      return;
    }
    failed(status.code);
  }

  void failed(ErrorCode code) {
    used_.clear();
    phase_ = Phase::kJoin;
    generation_ = Epoch{-1};
    if (code == ErrorCode::kUnknownMemberId) {
      id_.clear();
    } else if (code == ErrorCode::kFencedInstanceId) {
      dead_ = true;
    } else if (code != ErrorCode::kIllegalGeneration) {
      FAIL() << "code " << static_cast<int>(code);
    }
  }

  const std::string fresh_id_;
  const Rounds rounds_;
  int joins_ = 0;
  Phase phase_ = Phase::kJoin;
  Ticket ticket_{};
  Epoch generation_{-1};
  Used assigned_;
  bool resubscribed_ = false;
  bool leads_ = false;
  std::int64_t version_ = 0;  // of the topics, when it joined
  int slow_ = 0;
};

}  // namespace

std::unique_ptr<Client> make_classic(std::string fresh_id, std::optional<std::string> instance,
                                     Rounds rounds) {
  return std::make_unique<Classic>(std::move(fresh_id), std::move(instance), rounds);
}

}  // namespace millrace::coordinator
