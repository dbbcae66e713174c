#include "broker/metadata/formation.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <memory>
#include <set>

#include "broker/metadata/replica_sets.h"
#include "common/random.h"

namespace millrace::metadata {
namespace {

using Act = FormationStep::Act;
using model::BrokerId;

common::Uuid directory(std::int32_t number) {
  common::Uuid id;
  id.bytes[0] = 2;
  id.bytes[14] = static_cast<std::uint8_t>(number >> 8);
  id.bytes[15] = static_cast<std::uint8_t>(number);
  return id;
}

std::vector<BrokerId> ids(std::int32_t count) {
  std::vector<BrokerId> all;
  for (std::int32_t id = 0; id < count; ++id) all.push_back(BrokerId{id});
  return all;
}

/// A broker's disk, which outlives its processes. The number names it for ever.
struct Disk {
  std::int32_t number = 0;
  Standing standing;
};

FormationSettings settings_of(std::int32_t node, const Disk& disk, std::int32_t voters) {
  return {.self = {BrokerId{node}, directory(disk.number)},
          .cluster_id = {},
          .fresh_cluster_id = fmt::format("fresh-{}", disk.number),
          .first_voters = ids(voters)};
}

/// Lets brokers talk to each other, all with all, and do what they are to until nothing changes.
void talk(std::vector<std::unique_ptr<Formation>>& brokers) {
  for (int rounds = 0; rounds < 20; ++rounds) {
    for (const auto& from : brokers) {
      for (const auto& to : brokers) to->heard(from->tale());
    }
    for (const auto& broker : brokers) {
      const FormationStep step = broker->next();
      if (step.act == Act::kPersist) broker->persisted(step.standing);
    }
  }
}

class Cluster {
 public:
  explicit Cluster(std::int32_t count, std::int32_t voters) {
    for (std::int32_t node = 0; node < count; ++node) {
      disks_.push_back({.number = 10 + node, .standing = {}});
      brokers.push_back(
          std::make_unique<Formation>(settings_of(node, disks_.back(), voters), Standing{}));
    }
  }
  std::vector<std::unique_ptr<Formation>> brokers;

 private:
  std::vector<Disk> disks_;
};

// Goal: one broker alone forms at once; the first voters form when all are there, and the rest
// join.
TEST(Formation, AllTogether) {
  Cluster alone(1, 1);
  talk(alone.brokers);
  EXPECT_EQ(alone.brokers[0]->next().act, Act::kServe);
  EXPECT_EQ(alone.brokers[0]->next().standing.first.round, 1);
  EXPECT_EQ(alone.brokers[0]->next().standing.first.cluster_id, "fresh-10");

  Cluster five(5, 3);
  talk(five.brokers);
  const FirstVoters first = five.brokers[0]->next().standing.first;
  EXPECT_EQ(first.voters.size(), 3U);
  EXPECT_EQ(first.round, 1);
  for (std::size_t node = 0; node < 5; ++node) {
    const FormationStep step = five.brokers[node]->next();
    EXPECT_EQ(step.act, node < 3 ? Act::kServe : Act::kJoin);
    EXPECT_EQ(step.standing.first.cluster_id, first.cluster_id);
    if (node < 3) {
      EXPECT_EQ(step.standing.first, first);
    }
  }
}

// Goal: with one missing nothing is formed, and it is named.
TEST(Formation, WaitsForAll) {
  Cluster three(3, 3);
  auto late = std::move(three.brokers.back());
  three.brokers.pop_back();
  talk(three.brokers);
  EXPECT_EQ(three.brokers[0]->next().act, Act::kWait);
  EXPECT_EQ(three.brokers[0]->next().reason, "waiting for broker 2");
  EXPECT_EQ(three.brokers[1]->tale().standing.stage, Stage::kBlank);
  three.brokers.push_back(std::move(late));
  talk(three.brokers);
  EXPECT_EQ(three.brokers[2]->next().act, Act::kServe);
}

// Goal: a first voter that comes with another disk joins as a learner; it is not in the set.
TEST(Formation, ALostDiskIsAStranger) {
  Cluster three(3, 3);
  talk(three.brokers);
  three.brokers[2] = std::make_unique<Formation>(settings_of(2, {.number = 99}, 3), Standing{});
  talk(three.brokers);
  EXPECT_EQ(three.brokers[2]->next().act, Act::kJoin);
  EXPECT_TRUE(three.brokers[2]->next().standing.first.voters.empty());
}

// Goal: what an operator has to put right is said.
TEST(Formation, SaysWhatIsWrong) {
  const Disk disk{.number = 10};
  const Disk other{.number = 11};
  const auto says = [&](FormationSettings settings, Standing standing = {}) {
    Formation one(settings_of(0, disk, 2), {});
    one.heard(Formation(std::move(settings), std::move(standing)).tale());
    const FormationStep step = one.next();
    EXPECT_EQ(step.act, Act::kRefuse);
    return step.reason;
  };
  EXPECT_EQ(says(settings_of(1, other, 3)),
            "broker 1 is told of first voters 0,1,2, and this one of 0,1 (metadata.voters)");
  EXPECT_EQ(says(settings_of(1, disk, 2)),
            fmt::format("brokers 0 and 1 have copies of one data directory ({}): erase one",
                        directory(10)));
  EXPECT_EQ(says(settings_of(0, other, 2)),
            fmt::format("another process answers as broker 0, with directory {}; this one has {}",
                        directory(11), directory(10)));
  const FirstVoters with_us{1, "c", {{BrokerId{0}, directory(10)}, {BrokerId{1}, directory(11)}}};
  EXPECT_EQ(says(settings_of(1, other, 2), {Stage::kFormed, with_us}),
            "broker 1 counts on a promise that this directory knows nothing of: it was put back to "
            "an older state. Erase it");

  FormationSettings named = settings_of(0, disk, 2);
  named.cluster_id = "ours";
  Formation one(named, {});
  FormationSettings theirs = settings_of(1, other, 2);
  theirs.cluster_id = "theirs";
  one.heard(Formation(theirs, {}).tale());
  EXPECT_EQ(one.next().reason,
            "broker 1 is of cluster 'theirs', and this one is told 'ours' (cluster.id)");
  one.lost(BrokerId{1});
  EXPECT_EQ(one.next().act, Act::kWait) << "it is gone, and what it said with it";
}

// Goal: a stranger of another cluster keeps nobody from forming.
TEST(Formation, ForeignersDoNotMatter) {
  std::vector<std::unique_ptr<Formation>> brokers;
  for (std::int32_t node = 0; node < 2; ++node) {
    FormationSettings settings = settings_of(node, {.number = 10 + node}, 2);
    settings.cluster_id = "ours";
    brokers.push_back(std::make_unique<Formation>(settings, Standing{}));
    const Standing foreign{Stage::kFormed, {1, "theirs", {{BrokerId{7}, directory(70)}}}};
    brokers.back()->heard({BrokerId{7}, directory(70), {}, {BrokerId{7}}, foreign});
  }
  talk(brokers);
  EXPECT_EQ(brokers[1]->next().act, Act::kServe);
  EXPECT_EQ(brokers[1]->next().standing.first.cluster_id, "ours");
}

// Goal: bytes carry standings and tales whole, and any other bytes are refused.
TEST(Formation, BytesCarryIt) {
  const FirstVoters first{3, "c", {{BrokerId{0}, directory(1)}, {BrokerId{4}, directory(2)}}};
  for (const Standing& standing :
       {Standing{}, Standing{Stage::kPromised, first}, Standing{Stage::kFormed, first},
        Standing{Stage::kMember, {.round = 0, .cluster_id = "c"}}}) {
    const Tale tale{BrokerId{4}, directory(2), "c", ids(3), standing};
    EXPECT_EQ(read_standing(encode(standing)).value(), standing);
    EXPECT_EQ(read_tale(encode(tale)).value(), tale);
  }
  const common::Bytes good =
      encode(Tale{BrokerId{4}, directory(2), "c", ids(3), {Stage::kFormed, first}});
  common::Random random(1);
  int refused = 0;
  for (int i = 0; i < 3000; ++i) {
    std::vector<std::uint8_t> bytes(good.view().begin(), good.view().end());
    for (std::uint64_t n = 1 + random.below(4); n > 0; --n)
      bytes[random.below(bytes.size())] = static_cast<std::uint8_t>(random.next());
    const auto tale = read_tale(bytes);
    refused += tale.ok() ? 0 : 1;
    if (!tale.ok()) continue;
    Formation one(settings_of(0, {.number = 1}, 3), {});
    one.heard(*tale);
    one.next();
  }
  EXPECT_GT(refused, 500);
  EXPECT_EQ(read_standing({}).error().code, model::ErrorCode::kCorruptMessage);
  const std::uint8_t newer[] = {0x08, 0x02};
  EXPECT_EQ(read_standing(newer).error().code, model::ErrorCode::kUnsupportedVersion);
}

/// Brokers that crash, lose their disks or get others, and tales that come late, twice or never.
class World {
 public:
  World(std::uint64_t seed, bool swaps) : random_(seed), swaps_(swaps) {
    voters_ = static_cast<std::int32_t>(1 + random_.below(5));
    nodes_ = voters_ + static_cast<std::int32_t>(random_.below(2));
    for (std::int32_t node = 0; node < nodes_; ++node) {
      machines_.push_back({.disk = new_disk()});
      if (random_.chance(4, 5)) start(node);
    }
  }

  void run(int steps) {
    for (int i = 0; i < steps; ++i) {
      something_happens();
      check();
    }
  }

  /// All come up and hear each other; an operator does what the refusals say. False: a majority of
  /// those who formed lost their disks, so that there is nothing to come to.
  bool end() {
    in_flight_.clear();
    for (int rounds = 0; rounds < 200 && !ended(); ++rounds) {
      for (std::int32_t node = 0; node < nodes_; ++node) {
        if (!machines_[at(node)].process) start(node);
      }
      for (Machine& to : machines_) {
        forget_all(*to.process);
        for (const Machine& from : machines_) to.process->heard(from.process->tale());
      }
      for (std::int32_t node = 0; node < nodes_; ++node) obey(node);
      check();
    }
    EXPECT_TRUE(ended()) << describe();
    return has_majority();
  }

  int wiped = 0;
  int erased = 0;
  bool formed_once() const { return !ever_formed_.empty(); }

 private:
  struct Machine {
    std::shared_ptr<Disk> disk;
    std::unique_ptr<Formation> process;
  };
  static std::size_t at(std::int32_t node) { return static_cast<std::size_t>(node); }

  std::shared_ptr<Disk> new_disk() {
    auto disk = std::make_shared<Disk>();
    disk->number = ++disks_made_;
    disks_.push_back(disk);
    return disk;
  }

  void start(std::int32_t node) {
    Machine& machine = machines_[at(node)];
    machine.process = std::make_unique<Formation>(settings_of(node, *machine.disk, voters_),
                                                  machine.disk->standing);
  }

  void wipe(std::int32_t node) {
    Machine& machine = machines_[at(node)];
    machine.process.reset();
    std::erase(disks_, machine.disk);
    machine.disk = new_disk();
    ++wiped;
  }

  void something_happens() {
    const auto node = static_cast<std::int32_t>(random_.below(static_cast<std::uint64_t>(nodes_)));
    Machine& machine = machines_[at(node)];
    const std::uint64_t what = random_.below(100);
    if (what < 40) return send(node);
    if (what < 75) return deliver();
    if (what < 92) return act(node);
    if (what < 95) return machine.process.reset();
    if (what < 98) return start(node);
    if (what < 99 && random_.chance(1, 2)) return wipe(node);
    if (swaps_) swap(node);
  }

  void send(std::int32_t node) {
    if (!machines_[at(node)].process) return;
    for (std::int32_t to = 0; to < nodes_; ++to)
      in_flight_.emplace_back(to, machines_[at(node)].process->tale());
    while (in_flight_.size() > 60) in_flight_.pop_front();
  }

  /// Any of those under way, some of them not for the last time.
  void deliver() {
    if (in_flight_.empty()) return;
    const auto which =
        in_flight_.begin() + static_cast<std::ptrdiff_t>(random_.below(in_flight_.size()));
    const auto [to, tale] = *which;
    if (random_.chance(2, 3)) in_flight_.erase(which);
    if (!machines_[at(to)].process) return;
    if (random_.chance(1, 20)) forget_all(*machines_[at(to)].process);
    machines_[at(to)].process->heard(tale);
  }

  void forget_all(Formation& process) const {
    for (std::int32_t node = 0; node < nodes_; ++node) process.lost(BrokerId{node});
  }

  /// A crash may come before or behind the write.
  void act(std::int32_t node) {
    Machine& machine = machines_[at(node)];
    if (!machine.process) return;
    const FormationStep step = machine.process->next();
    if (step.act == Act::kServe) {
      EXPECT_TRUE(
          contains(step.standing.first.voters, {BrokerId{node}, directory(machine.disk->number)}))
          << "serves in another's place";
    }
    if (step.act != Act::kPersist) return;
    const bool fails = random_.chance(1, 6);
    if (!fails || random_.chance(1, 2)) write(*machine.disk, step.standing);
    if (fails) return machine.process.reset();
    machine.process->persisted(step.standing);
  }

  void write(Disk& disk, const Standing& standing) {
    EXPECT_NE(disk.standing.stage, Stage::kFormed);
    EXPECT_NE(disk.standing.stage, Stage::kMember);
    disk.standing = standing;
    if (standing.stage == Stage::kPromised)
      promises_.insert({disk.number, standing.first.round, standing.first.cluster_id});
    if (standing.stage != Stage::kFormed) return;
    ever_formed_.insert(standing.first.round);
    for (const Replica& voter : standing.first.voters) {
      const std::int32_t number = voter.directory.bytes[14] * 256 + voter.directory.bytes[15];
      EXPECT_TRUE(promises_.contains({number, standing.first.round, standing.first.cluster_id}))
          << "formed without the promise of disk " << number;
    }
    EXPECT_EQ(standing.first.voters.size(), at(voters_));
  }

  /// The machine gets another disk; the one it had, or one set aside earlier, may come back. Only a
  /// minority has such: of a cluster that lies aside as a whole nobody could know.
  void swap(std::int32_t node) {
    if (node >= (voters_ - 1) / 2 && node < voters_) return;
    Machine& machine = machines_[at(node)];
    machine.process.reset();
    auto& aside = set_aside_[node];
    if (aside.empty() || random_.chance(1, 2)) {
      aside.push_back(machine.disk);
      machine.disk = new_disk();
    } else {
      std::swap(machine.disk, aside[random_.below(aside.size())]);
    }
  }

  std::int64_t serving(const FirstVoters& first) const {
    return std::count_if(disks_.begin(), disks_.end(), [&](const auto& disk) {
      return disk->standing.stage == Stage::kFormed && disk->standing.first == first;
    });
  }

  /// No two sets have a majority of voters that could serve, disks that lie aside included; without
  /// such there are never two sets at all.
  void check() const {
    std::vector<FirstVoters> sets;
    std::vector<FirstVoters> working;
    for (const auto& disk : disks_) {
      const Standing& standing = disk->standing;
      if (standing.stage != Stage::kFormed) continue;
      if (std::find(sets.begin(), sets.end(), standing.first) != sets.end()) continue;
      sets.push_back(standing.first);
      if (std::cmp_greater(serving(standing.first) * 2, standing.first.voters.size()))
        working.push_back(standing.first);
    }
    if (!swaps_) {
      EXPECT_LE(sets.size(), 1U) << describe();
    }
    EXPECT_LE(working.size(), 1U) << describe();
  }

  void obey(std::int32_t node) {
    Machine& machine = machines_[at(node)];
    if (!machine.process) return;
    const FormationStep step = machine.process->next();
    if (step.act == Act::kPersist) {
      write(*machine.disk, step.standing);
      machine.process->persisted(step.standing);
    }
    if (step.act != Act::kRefuse) return;
    const auto says = [&](std::string_view what) {
      return step.reason.find(what) != std::string::npos;
    };
    EXPECT_TRUE(says("rase it") || says("erase this directory")) << step.reason;
    const std::int32_t erase =
        says("was exchanged") ? std::stoi(step.reason.substr(std::string("broker ").size())) : node;
    wipe(erase);
    start(erase);
    ++erased;
  }

  bool ended() const {
    return std::all_of(machines_.begin(), machines_.end(), [](const Machine& machine) {
      const Stage stage = machine.disk->standing.stage;
      return stage == Stage::kFormed || stage == Stage::kMember;
    });
  }

  bool has_majority() const {
    return std::any_of(machines_.begin(), machines_.end(), [&](const Machine& machine) {
      const Standing& standing = machine.disk->standing;
      return standing.stage == Stage::kFormed &&
             std::cmp_greater(serving(standing.first) * 2, standing.first.voters.size());
    });
  }

  std::string describe() const {
    std::string text;
    for (std::size_t node = 0; node < machines_.size(); ++node) {
      const Machine& machine = machines_[node];
      text +=
          fmt::format("broker {} disk {} stage {} round {} cluster {}", node, machine.disk->number,
                      static_cast<int>(machine.disk->standing.stage),
                      machine.disk->standing.first.round, machine.disk->standing.first.cluster_id);
      if (machine.process) text += ": " + machine.process->next().reason;
      text += '\n';
    }
    return text;
  }

  common::Random random_;
  const bool swaps_;
  std::int32_t voters_ = 1;
  std::int32_t nodes_ = 1;
  std::int32_t disks_made_ = 0;
  std::vector<Machine> machines_;
  std::vector<std::shared_ptr<Disk>> disks_;  // that have not been wiped
  std::map<std::int32_t, std::vector<std::shared_ptr<Disk>>> set_aside_;
  std::deque<std::pair<std::int32_t, Tale>> in_flight_;
  std::set<std::tuple<std::int32_t, std::int64_t, std::string>> promises_;
  std::set<std::int64_t> ever_formed_;
};

// Goal: whatever is lost, there is one cluster at most, made by all; when all are up there is one.
TEST(Formation, OneClusterWhateverIsLost) {
  int formed_early = 0;
  int wiped = 0;
  int whole = 0;
  for (std::uint64_t seed = 1; seed <= 2000; ++seed) {
    SCOPED_TRACE(seed);
    World world(seed, false);
    world.run(static_cast<int>(20 + seed % 200));
    formed_early += world.formed_once() ? 1 : 0;
    wiped += world.wiped;
    whole += world.end() ? 1 : 0;
    if (::testing::Test::HasFailure()) break;
  }
  EXPECT_GT(formed_early, 300);
  EXPECT_LT(formed_early, 1900) << "too many form before anything happens";
  EXPECT_GT(wiped, 500);
  EXPECT_GT(whole, 1500);
}

// Goal: nor do disks that are exchanged and come back make a second cluster.
TEST(Formation, OneClusterWhateverComesBack) {
  int erased = 0;
  for (std::uint64_t seed = 1; seed <= 2000; ++seed) {
    SCOPED_TRACE(seed);
    World world(seed, true);
    world.run(static_cast<int>(50 + seed % 300));
    world.end();
    erased += world.erased;
    if (::testing::Test::HasFailure()) break;
  }
  EXPECT_GT(erased, 5) << "the refusals that an operator has to act on were not seen";
}

// Goal: brokers with different lists of first voters form nothing until the lists are the same.
TEST(Formation, NothingIsFormedOnDifferentLists) {
  for (std::int32_t odd = 0; odd < 3; ++odd) {
    Cluster three(3, 3);
    FormationSettings settings = settings_of(odd, {.number = 50}, 3);
    settings.first_voters = {BrokerId{0}, BrokerId{odd == 1 ? 1 : 2}, BrokerId{odd}};
    three.brokers[static_cast<std::size_t>(odd)] =
        std::make_unique<Formation>(settings, Standing{});
    talk(three.brokers);
    for (const auto& broker : three.brokers) {
      EXPECT_NE(broker->tale().standing.stage, Stage::kFormed);
      EXPECT_NE(broker->next().act, Act::kServe);
    }
    const Standing kept = three.brokers[static_cast<std::size_t>(odd)]->tale().standing;
    three.brokers[static_cast<std::size_t>(odd)] =
        std::make_unique<Formation>(settings_of(odd, {.number = 50}, 3), kept);
    talk(three.brokers);
    for (const auto& broker : three.brokers) EXPECT_EQ(broker->next().act, Act::kServe);
  }
}

}  // namespace
}  // namespace millrace::metadata
