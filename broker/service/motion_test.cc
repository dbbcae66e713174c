// Moves of replicas: named cases, then random ones against a model of a group.
#include "broker/service/motion.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <set>

#include "common/random.h"

namespace millrace::service {
namespace {

using raft::ReplicaId;
using Kind = MotionStep::Kind;

ReplicaId replica(int node, int disk = 0) {
  ReplicaId id{.node = model::BrokerId{node}, .directory = {}};
  id.directory.bytes[0] = static_cast<std::uint8_t>(node + 1);
  id.directory.bytes[1] = static_cast<std::uint8_t>(disk);
  return id;
}
std::vector<ReplicaId> replicas(std::initializer_list<int> nodes) {
  std::vector<ReplicaId> all;
  for (const int node : nodes) all.push_back(replica(node));
  return all;
}

/// A group with everybody alive and level, led by the first voter.
MotionFacts level(std::vector<ReplicaId> voters, std::vector<ReplicaId> learners = {}) {
  MotionFacts facts;
  facts.self = voters.front();
  facts.config = {.id = {raft::Term{1}, 1}, .voters = std::move(voters), .learners = {}};
  facts.config.learners = std::move(learners);
  for (const auto* members : {&facts.config.voters, &facts.config.learners}) {
    for (const ReplicaId& id : *members)
      facts.replicas.push_back({.id = id, .alive = true, .close = true});
  }
  for (int node = 0; node < 10; ++node) facts.alive.emplace_back(node);
  return facts;
}
MotionReplica& state_of(MotionFacts& facts, const ReplicaId& id) {
  return *std::find_if(facts.replicas.begin(), facts.replicas.end(),
                       [&](const MotionReplica& replica) { return replica.id == id; });
}

std::string text(const MotionStep& step) {
  std::string line(name_of(step.kind));
  if (!step.replica.is_none()) line += fmt::format(" {}", step.replica.node);
  return line;
}

TEST(Motion, NothingIsDoneWhereEverythingIsInPlace) {
  EXPECT_EQ(
      text(next_step({.voters = replicas({2, 0, 1}), .learners = {}}, level(replicas({0, 1, 2})))),
      "done");
  EXPECT_EQ(text(next_step({.voters = replicas({0}), .learners = replicas({5})},
                           level(replicas({0}), replicas({5})))),
            "done");
}

TEST(Motion, ANewReplicaLearnsFirstThenVotesThenAnotherGoes) {
  const MotionGoal goal{.voters = replicas({0, 1, 3}), .learners = {}, .voters_before = 3};
  EXPECT_EQ(text(next_step(goal, level(replicas({0, 1, 2})))), "add-learner 3");
  MotionFacts facts = level(replicas({0, 1, 2}), replicas({3}));
  state_of(facts, replica(3)).close = false;
  EXPECT_EQ(next_step(goal, facts).why, "catching up");
  state_of(facts, replica(3)).close = true;
  EXPECT_EQ(text(next_step(goal, facts)), "promote 3");
  EXPECT_EQ(text(next_step(goal, level(replicas({0, 1, 2, 3})))), "remove 2");
  EXPECT_EQ(text(next_step(goal, level(replicas({0, 1, 3})))), "done");
}

TEST(Motion, ALeaderThatLeavesHandsOverToTheFirstThatStays) {
  const MotionGoal goal{.voters = replicas({3, 1, 2}), .learners = {}, .voters_before = 3};
  MotionFacts facts = level(replicas({0, 1, 2, 3}));
  EXPECT_EQ(text(next_step(goal, facts)), "transfer 3");
  state_of(facts, replica(3)).close = false;
  EXPECT_EQ(text(next_step(goal, facts)), "transfer 1");
  for (const int node : {1, 2}) state_of(facts, replica(node)).alive = false;
  EXPECT_EQ(text(next_step(goal, facts)), "wait");
  facts = level(replicas({3, 1, 2, 0}));
  EXPECT_EQ(text(next_step(goal, facts)), "remove 0") << "its heir goes on";
}

// Goal: fewer copies than before are made only when the last wanted one has everything. Method: one
// copy is wanted, on a broker that has none yet.
TEST(Motion, FewerCopiesWaitForTheNewOne) {
  const MotionGoal goal{.voters = replicas({3}), .learners = {}, .voters_before = 3};
  MotionFacts facts = level(replicas({0, 1, 2}), replicas({3}));
  state_of(facts, replica(3)).close = false;
  EXPECT_EQ(text(next_step(goal, facts)), "wait 3");
  state_of(facts, replica(3)).close = true;
  EXPECT_EQ(text(next_step(goal, facts)), "promote 3");
  EXPECT_EQ(text(next_step(goal, level(replicas({0, 1, 2, 3})))), "remove 1");
}

TEST(Motion, WhatIsGoneGoesFirst) {
  const MotionGoal goal{.voters = replicas({0, 3, 4}), .learners = {}, .voters_before = 3};
  MotionFacts facts = level(replicas({0, 1, 2, 3}), replicas({4}));
  state_of(facts, replica(2)).alive = false;
  EXPECT_EQ(next_step(goal, facts), (MotionStep{Kind::kRemove, replica(2), "gone"}));
}

TEST(Motion, ABrokerThatIsAwayIsNotAskedToJoin) {
  const MotionGoal goal{.voters = replicas({0, 1, 3}), .learners = {}, .voters_before = 3};
  MotionFacts facts = level(replicas({0, 1, 2}));
  std::erase(facts.alive, model::BrokerId{3});
  EXPECT_EQ(next_step(goal, facts), (MotionStep{Kind::kWait, replica(3), "its broker is away"}));
}

TEST(Motion, ANewDiskOfABrokerIsAnotherReplica) {
  const MotionGoal goal{
      .voters = {replica(0), replica(1), replica(2, 1)}, .learners = {}, .voters_before = 3};
  MotionFacts facts = level(replicas({0, 1, 2}));
  state_of(facts, replica(2)).close = false;
  EXPECT_EQ(next_step(goal, facts), (MotionStep{Kind::kAddLearner, replica(2, 1), "wanted"}));
}

// Goal: when all copies are there again, the next broker may be lost. Method: the voter of a disk
// that was replaced goes before the new one votes, and no sooner.
TEST(Motion, AReplacedDiskGoesBeforeTheNewOneVotes) {
  const MotionGoal goal{
      .voters = {replica(0), replica(1), replica(2, 1)}, .learners = {}, .voters_before = 3};
  MotionFacts facts = level(replicas({0, 1, 2}), {replica(2, 1)});
  state_of(facts, replica(2)).close = false;
  state_of(facts, replica(2, 1)).close = false;
  EXPECT_EQ(next_step(goal, facts), (MotionStep{Kind::kWait, replica(2, 1), "catching up"}));
  state_of(facts, replica(2, 1)).close = true;
  EXPECT_EQ(next_step(goal, facts), (MotionStep{Kind::kRemove, replica(2), "replaced"}));
  facts = level(replicas({0, 1}), {replica(2, 1)});
  EXPECT_EQ(next_step(goal, facts), (MotionStep{Kind::kPromote, replica(2, 1), "caught up"}));
}

TEST(Motion, ACancelledMoveGoesBack) {
  const MotionGoal goal{.voters = replicas({0, 1, 2}), .learners = {}};
  EXPECT_EQ(text(next_step(goal, level(replicas({0, 1, 2}), replicas({3})))), "remove 3");
  EXPECT_EQ(text(next_step(goal, level(replicas({0, 1, 2, 3})))), "remove 3");
  EXPECT_EQ(text(next_step(goal, level(replicas({0, 1, 3})))), "add-learner 2");
}

TEST(Motion, VotersMayBecomeLearners) {
  const MotionGoal goal{.voters = replicas({0, 1, 2}), .learners = replicas({3, 4})};
  EXPECT_EQ(text(next_step(goal, level(replicas({0, 1, 2, 3}), replicas({4})))), "demote 3");
}

/// A group that does what its leader is told, or refuses as raft::Group may; brokers that come and
/// go; learners that catch up some time.
class Model {
 public:
  explicit Model(std::uint64_t seed) : random_(seed) {
    const auto voters = 1 + random_.below(5);
    while (config_.voters.size() < voters) {
      const ReplicaId id = any();
      if (!config_.is_member(id)) config_.voters.push_back(id);
    }
    leader_ = config_.voters.front();
    level_ = {config_.voters.begin(), config_.voters.end()};
    wish();
  }

  /// Another goal; a cancelled move goes back to where its replicas were.
  void wish() {
    goal_.voters_before = config_.voters.size();
    goal_.voters.clear();
    const auto count = 1 + random_.below(5);
    while (goal_.voters.size() < count) {
      const ReplicaId id = any();
      if (std::find(goal_.voters.begin(), goal_.voters.end(), id) == goal_.voters.end())
        goal_.voters.push_back(id);
    }
    const auto replaced = std::ranges::count_if(config_.voters, [this](const ReplicaId& voter) {
      return std::ranges::any_of(goal_.voters, [&](const ReplicaId& wanted) {
        return wanted.node == voter.node && wanted != voter;
      });
    });
    fewest_ = std::min(config_.voters.size(), goal_.voters.size());
    fewest_ -= std::min(fewest_, static_cast<std::size_t>(replaced));
    most_ = std::max({config_.voters.size(), goal_.voters.size() + 1, goal_.voters_before + 1});
  }

  void disturb() {
    if (random_.below(4) == 0) {
      const int node = static_cast<int>(random_.below(kNodes));
      if (!away_.erase(node)) away_.insert(node);
    }
    if (random_.below(40) == 0) wish();
  }
  void calm() { away_.clear(); }

  /// One turn of the leader, if there is one. True: the group is as it should be.
  bool turn() {
    catch_up();
    if (!here(leader_) || !majority_here(config_)) elect();
    if (!here(leader_) || !majority_here(config_)) return false;
    const MotionStep step = next_step(goal_, facts());
    if (step.kind == Kind::kDone || step.kind == Kind::kWait) return step.kind == Kind::kDone;
    if (random_.below(3) == 0) return false;  // refused: some condition does not hold yet
    carry_out(step);
    check();
    return false;
  }
  bool in_place() const {
    return config_.learners.empty() && std::set(config_.voters.begin(), config_.voters.end()) ==
                                           std::set(goal_.voters.begin(), goal_.voters.end());
  }

 private:
  static constexpr int kNodes = 7;

  ReplicaId any() {
    const int node = static_cast<int>(random_.below(kNodes));
    return replica(node, random_.below(8) == 0 ? 1 : 0);
  }
  bool here(const ReplicaId& id) const { return !away_.contains(id.node.value()); }
  bool majority_here(const raft::VoterSet& config) const {
    const auto count = std::count_if(config.voters.begin(), config.voters.end(),
                                     [this](const ReplicaId& id) { return here(id); });
    return static_cast<std::size_t>(count) >= config.majority();
  }
  void catch_up() {
    for (const auto* members : {&config_.voters, &config_.learners}) {
      for (const ReplicaId& id : *members) {
        if (here(id) && random_.below(3) == 0) level_.insert(id);
      }
    }
  }
  void elect() {
    for (const ReplicaId& voter : config_.voters) {
      if (here(voter) && level_.contains(voter)) leader_ = voter;
    }
  }
  MotionFacts facts() const {
    MotionFacts facts{.self = leader_, .config = config_, .replicas = {}, .alive = {}};
    for (const auto* members : {&config_.voters, &config_.learners}) {
      for (const ReplicaId& id : *members)
        facts.replicas.push_back({.id = id, .alive = here(id), .close = level_.contains(id)});
    }
    for (int node = 0; node < kNodes; ++node) {
      if (!away_.contains(node)) facts.alive.emplace_back(node);
    }
    return facts;
  }
  void carry_out(const MotionStep& step) {
    raft::VoterSet next = config_;
    next.id.version += 1;
    const bool voted = config_.is_voter(step.replica);
    std::erase(next.voters, step.replica);
    std::erase(next.learners, step.replica);
    switch (step.kind) {
      case Kind::kAddLearner:
        ASSERT_FALSE(config_.is_member(step.replica));
        level_.erase(step.replica);
        next.learners.push_back(step.replica);
        break;
      case Kind::kPromote:
        ASSERT_TRUE(config_.is_learner(step.replica));
        ASSERT_TRUE(here(step.replica) && level_.contains(step.replica));
        next.voters.push_back(step.replica);
        break;
      case Kind::kDemote:
        ASSERT_TRUE(voted && step.replica != leader_);
        next.learners.push_back(step.replica);
        break;
      case Kind::kRemove:
        ASSERT_TRUE(config_.is_member(step.replica) && step.replica != leader_);
        break;
      case Kind::kTransfer:
        ASSERT_TRUE(voted && here(step.replica) && level_.contains(step.replica));
        leader_ = step.replica;
        return;
      case Kind::kDone:
      case Kind::kWait:
        return;
    }
    ASSERT_LE(raft::voters_changed(next, config_), 1u);
    if (majority_here(next)) config_ = next;  // else: too few are heard
  }
  void check() const {
    ASSERT_TRUE(config_.is_sound());
    ASSERT_GE(config_.voters.size(), fewest_);
    ASSERT_LE(config_.voters.size(), most_);
  }

  common::Random random_;
  raft::VoterSet config_{.id = {raft::Term{1}, 1}, .voters = {}, .learners = {}};
  MotionGoal goal_;
  ReplicaId leader_;
  std::set<ReplicaId> level_;
  std::set<int> away_;
  std::size_t fewest_ = 0;
  std::size_t most_ = 0;
};

// Goal: whatever happens on the way, no step is unsound, and once brokers stay the group ends as
// wished. Method: random wishes and outages, then calm.
TEST(Motion, EndsAsWishedWhateverHappens) {
  for (std::uint64_t seed = 1; seed <= 3000; ++seed) {
    SCOPED_TRACE(fmt::format("seed {}", seed));
    Model model(seed);
    for (int i = 0; i < 150; ++i) {
      model.disturb();
      model.turn();
      if (::testing::Test::HasFailure()) return;
    }
    model.calm();
    bool done = false;
    for (int i = 0; i < 2000 && !done; ++i) done = model.turn();
    ASSERT_TRUE(done);
    ASSERT_TRUE(model.in_place());
  }
}

}  // namespace
}  // namespace millrace::service
