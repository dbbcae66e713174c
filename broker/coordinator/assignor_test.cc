// Goal: assignors keep their promises (validity, balance, stickiness, co-partitioning) for any
// group. Method: random groups whose members, topics and subscriptions change step by step; each
// assignment is checked against rules that are written here without the assignors' code.
#include "broker/coordinator/assignor.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <set>

#include "common/clock.h"
#include "common/random.h"

namespace millrace::coordinator {
namespace {

model::TopicId topic_id(std::uint8_t number) {
  model::TopicId id;
  id.bytes[0] = number;
  return id;
}

struct Person {
  std::set<std::uint8_t> topics;
  std::string instance;
  std::string rack;
  PartitionList target;
};

// A group as a test sees it, and the assignor's input made of it.
struct World {
  std::map<std::uint8_t, std::int32_t> topics;  // partitions
  std::map<std::uint8_t, std::vector<std::vector<std::string>>> racks;
  std::map<std::string, Person> people;

  AssignorInput input() const {
    AssignorInput input;
    std::map<std::uint8_t, std::uint32_t> index;
    std::set<std::uint8_t> wanted;
    for (const auto& [name, person] : people)
      wanted.insert(person.topics.begin(), person.topics.end());
    for (const auto& [topic, partitions] : topics) {
      if (!wanted.contains(topic)) continue;
      index[topic] = static_cast<std::uint32_t>(input.topics.size());
      const auto known = racks.find(topic);
      input.topics.push_back(
          {topic_id(topic), partitions, known == racks.end() ? nullptr : &known->second});
    }
    std::map<std::vector<std::uint32_t>, std::uint32_t> subscriptions;
    for (const auto& [name, person] : people) {
      std::vector<std::uint32_t> mine;
      for (const std::uint8_t topic : person.topics) {
        if (index.contains(topic)) mine.push_back(index[topic]);
      }
      const auto [at, fresh] =
          subscriptions.try_emplace(mine, static_cast<std::uint32_t>(input.subscriptions.size()));
      if (fresh) input.subscriptions.push_back(mine);
      input.members.push_back({name, person.instance, person.rack, at->second, person.target});
    }
    return input;
  }

  Shares assign(Assignor assignor) {
    Shares shares = assignor(input());
    EXPECT_EQ(shares, assignor(input())) << "not deterministic";
    std::size_t m = 0;
    for (auto& [name, person] : people) person.target = shares[m++];
    return shares;
  }
};

// Every partition of a subscribed topic has exactly one owner, who subscribes to it.
void expect_valid(const World& world) {
  std::map<model::PartitionKey, std::string> owners;
  std::set<std::uint8_t> subscribed;
  for (const auto& [name, person] : world.people) {
    subscribed.insert(person.topics.begin(), person.topics.end());
    EXPECT_TRUE(std::is_sorted(person.target.begin(), person.target.end()));
    for (const model::PartitionKey& key : person.target) {
      const std::uint8_t topic = key.topic.bytes[0];
      EXPECT_TRUE(person.topics.contains(topic)) << name << " does not subscribe to " << +topic;
      EXPECT_TRUE(owners.emplace(key, name).second) << "two owners of " << +topic;
    }
  }
  std::size_t expected = 0;
  for (const auto& [topic, partitions] : world.topics) {
    if (!subscribed.contains(topic)) continue;
    for (std::int32_t i = 0; i < partitions; ++i) {
      EXPECT_TRUE(owners.contains({topic_id(topic), model::PartitionIndex{i}}))
          << "nobody has partition " << i << " of " << +topic;
    }
    expected += static_cast<std::size_t>(partitions);
  }
  EXPECT_EQ(owners.size(), expected);
}

// No partition could move to a subscriber that has at least two fewer.
void expect_balanced(const World& world) {
  for (const auto& [name, person] : world.people) {
    for (const model::PartitionKey& key : person.target) {
      for (const auto& [other, candidate] : world.people) {
        if (!candidate.topics.contains(key.topic.bytes[0])) continue;
        EXPECT_LE(person.target.size(), candidate.target.size() + 1)
            << name << " has " << person.target.size() << ", " << other << " "
            << candidate.target.size();
      }
    }
  }
}

void expect_ranges_balanced(const World& world) {
  for (const auto& [topic, partitions] : world.topics) {
    std::size_t low = 1'000'000;
    std::size_t high = 0;
    for (const auto& [name, person] : world.people) {
      if (!person.topics.contains(topic)) continue;
      const std::size_t count = static_cast<std::size_t>(
          std::count_if(person.target.begin(), person.target.end(),
                        [&](const auto& key) { return key.topic == topic_id(topic); }));
      low = std::min(low, count);
      high = std::max(high, count);
    }
    EXPECT_TRUE(high == 0 || high <= low + 1)
        << "topic " << +topic << ": " << low << " to " << high;
  }
}

// Topics of one size and the same subscribers: partition i of all goes to the same member.
void expect_co_partitioned(const World& world) {
  using Company = std::pair<std::int32_t, std::set<std::string>>;
  std::map<Company, std::map<std::int32_t, std::string>> owner_of;
  for (const auto& [topic, partitions] : world.topics) {
    Company company{partitions, {}};
    for (const auto& [name, person] : world.people) {
      if (person.topics.contains(topic)) company.second.insert(name);
    }
    for (const auto& [name, person] : world.people) {
      for (const model::PartitionKey& key : person.target) {
        if (key.topic != topic_id(topic)) continue;
        const auto at = owner_of[company].try_emplace(key.index.value(), name).first;
        EXPECT_EQ(at->second, name) << "partition " << key.index.value() << " of topic " << +topic;
      }
    }
  }
}

// The fewest partitions that must change hands where all subscribe to the same topics: whoever has
// too many gives up what exceeds the quota, or the quota and one as long as those last.
std::size_t least_moves(const World& before, const World& after) {
  std::size_t total = 0;
  for (const auto& [topic, partitions] : after.topics) {
    if (after.people.begin()->second.topics.contains(topic))
      total += static_cast<std::size_t>(partitions);
  }
  const std::size_t quota = total / after.people.size();
  std::size_t extras = total % after.people.size();
  std::size_t moves = 0;
  for (const auto& [name, person] : before.people) {
    if (!after.people.contains(name)) continue;
    std::size_t had = 0;
    for (const model::PartitionKey& key : person.target) {
      const auto topic = after.topics.find(key.topic.bytes[0]);
      if (topic != after.topics.end() && key.index.value() < topic->second &&
          after.people.at(name).topics.contains(key.topic.bytes[0]))
        ++had;
    }
    if (had <= quota) continue;
    const std::size_t extra = extras > 0 ? 1 : 0;
    extras -= extra;
    moves += had - quota - extra;
  }
  return moves;
}

std::size_t moves_away(const World& before, const World& after) {
  std::size_t moves = 0;
  for (const auto& [name, person] : before.people) {
    const auto now = after.people.find(name);
    if (now == after.people.end()) continue;
    for (const model::PartitionKey& key : person.target) {
      const auto topic = after.topics.find(key.topic.bytes[0]);
      if (topic == after.topics.end() || key.index.value() >= topic->second) continue;
      if (!now->second.topics.contains(key.topic.bytes[0])) continue;
      if (!std::binary_search(now->second.target.begin(), now->second.target.end(), key)) ++moves;
    }
  }
  return moves;
}

class Life {
 public:
  Life(std::uint64_t seed, bool homogeneous) : random_(seed), homogeneous_(homogeneous) {
    for (std::uint8_t topic = 1; topic <= 4; ++topic) add_topic(topic);
    all_ = {1, 2, 3, 4};
    for (int i = 0; i < 3; ++i) add_person();
  }

  World world;

  void change() {
    switch (random_.below(6)) {
      case 0:
      case 1:
        return add_person();
      case 2:
        if (world.people.size() > 1)
          world.people.erase(std::next(world.people.begin(),
                                       static_cast<long>(random_.below(world.people.size()))));
        return;
      case 3:
        return add_topic(static_cast<std::uint8_t>(random_.between(1, 9)));
      case 4:
        world.topics.erase(static_cast<std::uint8_t>(random_.between(1, 9)));
        return;
      default:
        return resubscribe();
    }
  }

 private:
  void add_topic(std::uint8_t topic) {
    std::int32_t& partitions = world.topics[topic];
    partitions = std::max(partitions, static_cast<std::int32_t>(random_.between(0, 12)));
    if (random_.chance(1, 3)) {
      auto& racks = world.racks[topic];
      racks.resize(static_cast<std::size_t>(partitions));
      for (auto& one : racks) one = {std::string(1, static_cast<char>('a' + random_.below(3)))};
    }
  }
  std::set<std::uint8_t> some_topics() {
    std::set<std::uint8_t> topics;
    for (std::uint8_t topic = 1; topic <= 9; ++topic) {
      if (random_.chance(1, 2)) topics.insert(topic);
    }
    return topics;
  }
  void add_person() {
    Person person;
    person.topics = homogeneous_ ? all_ : some_topics();
    if (random_.chance(1, 4)) person.instance = fmt::format("i{}", random_.below(1'000'000));
    if (random_.chance(1, 2))
      person.rack = std::string(1, static_cast<char>('a' + random_.below(3)));
    world.people[fmt::format("m{:06}", random_.below(1'000'000))] = std::move(person);
  }
  void resubscribe() {
    if (homogeneous_) {
      all_ = some_topics();
      for (auto& [name, person] : world.people) person.topics = all_;
    } else if (!world.people.empty()) {
      std::next(world.people.begin(), static_cast<long>(random_.below(world.people.size())))
          ->second.topics = some_topics();
    }
  }

  common::Random random_;
  const bool homogeneous_;
  std::set<std::uint8_t> all_;
};

TEST(UniformAssignor, IsValidBalancedAndAsStickyAsCanBeForEqualSubscriptions) {
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    SCOPED_TRACE(fmt::format("seed {}", seed));
    Life life(seed, true);
    for (int step = 0; step < 40; ++step) {
      const World before = life.world;
      life.change();
      life.world.assign(&assign_uniform);
      expect_valid(life.world);
      expect_balanced(life.world);
      EXPECT_EQ(moves_away(before, life.world), least_moves(before, life.world));
      if (testing::Test::HasFailure()) return;
    }
  }
}

TEST(UniformAssignor, IsValidAndBalancedForAnySubscriptions) {
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    SCOPED_TRACE(fmt::format("seed {}", seed));
    Life life(seed, false);
    for (int step = 0; step < 40; ++step) {
      life.change();
      life.world.assign(&assign_uniform);
      expect_valid(life.world);
      expect_balanced(life.world);
      // What is balanced already stays: nothing moves without a reason.
      const World before = life.world;
      life.world.assign(&assign_uniform);
      EXPECT_EQ(moves_away(before, life.world), 0U);
      if (testing::Test::HasFailure()) return;
    }
  }
}

TEST(UniformAssignor, TwoMembersWithTheSameTargetShareIt) {
  World world;
  world.topics = {{1, 4}};
  const PartitionList all{{topic_id(1), model::PartitionIndex{0}},
                          {topic_id(1), model::PartitionIndex{1}},
                          {topic_id(1), model::PartitionIndex{2}},
                          {topic_id(1), model::PartitionIndex{3}}};
  world.people["a"] = {{1}, "", "", all};
  world.people["b"] = {{1}, "", "", all};
  world.assign(&assign_uniform);
  expect_valid(world);
  expect_balanced(world);
}

TEST(UniformAssignor, PrefersTheRackWhereItCostsNothing) {
  World world;
  world.topics = {{1, 4}};
  world.racks[1] = {{"x"}, {"y"}, {"y"}, {"x"}};
  world.people["a"] = {{1}, "", "y", {}};
  world.people["b"] = {{1}, "", "x", {}};
  const Shares shares = world.assign(&assign_uniform);
  EXPECT_EQ(by_topic(shares[0]), (std::vector<TopicPartitions>{{topic_id(1), {1, 2}}}));
  EXPECT_EQ(by_topic(shares[1]), (std::vector<TopicPartitions>{{topic_id(1), {0, 3}}}));
  // A third member without a rack still gets its share.
  world.people["c"] = {{1}, "", "", {}};
  world.assign(&assign_uniform);
  expect_balanced(world);
}

TEST(UniformAssignor, NobodySubscribesToNothing) {
  World world;
  world.topics = {{1, 4}};
  world.people["a"] = {{}, "", "", {}};
  world.people["b"] = {{7}, "", "", {}};
  EXPECT_EQ(world.assign(&assign_uniform), Shares(2));
  EXPECT_EQ(world.assign(&assign_range), Shares(2));
  world.people.clear();
  EXPECT_EQ(world.assign(&assign_uniform), Shares{});
  EXPECT_EQ(world.assign(&assign_range), Shares{});
}

TEST(RangeAssignor, IsValidBalancedPerTopicAndCoPartitioned) {
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    SCOPED_TRACE(fmt::format("seed {}", seed));
    Life life(seed, seed % 2 == 0);
    for (int step = 0; step < 40; ++step) {
      life.change();
      life.world.assign(&assign_range);
      expect_valid(life.world);
      expect_ranges_balanced(life.world);
      expect_co_partitioned(life.world);
      const World before = life.world;
      life.world.assign(&assign_range);
      EXPECT_EQ(moves_away(before, life.world), 0U);
      if (testing::Test::HasFailure()) return;
    }
  }
}

TEST(RangeAssignor, GivesRangesAndKeepsThem) {
  World world;
  world.topics = {{1, 7}, {2, 7}};
  world.people["dynamic"] = {{1, 2}, "", "", {}};
  world.people["z-static"] = {{1, 2}, "instance", "", {}};
  Shares shares = world.assign(&assign_range);
  // Static members are served first.
  EXPECT_EQ(by_topic(shares[0]),
            (std::vector<TopicPartitions>{{topic_id(1), {4, 5, 6}}, {topic_id(2), {4, 5, 6}}}));
  EXPECT_EQ(by_topic(shares[1]), (std::vector<TopicPartitions>{{topic_id(1), {0, 1, 2, 3}},
                                                               {topic_id(2), {0, 1, 2, 3}}}));
  world.people["a"] = {{1, 2}, "", "", {}};
  shares = world.assign(&assign_range);
  EXPECT_EQ(by_topic(shares[0]),
            (std::vector<TopicPartitions>{{topic_id(1), {3, 6}}, {topic_id(2), {3, 6}}}))
      << "the newcomer gets what the others have too many of";
}

TEST(Assignors, AreKnownByName) {
  EXPECT_EQ(find_assignor("uniform"), &assign_uniform);
  EXPECT_EQ(find_assignor("range"), &assign_range);
  EXPECT_EQ(find_assignor("sticky"), nullptr);
}

// 200 members and 1,000 partitions in a few milliseconds, even in a build without optimisation on a
// busy machine: far from what anything quadratic in both would take (200 * 1,000 * 1,000 steps).
TEST(Assignors, AreFastForLargeGroups) {
  World world;
  for (std::uint8_t topic = 1; topic <= 10; ++topic) world.topics[topic] = 100;
  for (int i = 0; i < 200; ++i) {
    Person person;
    for (std::uint8_t topic = 1; topic <= 10; ++topic) person.topics.insert(topic);
    if (i % 2 == 1) person.topics.erase(static_cast<std::uint8_t>(1 + i % 10));
    world.people[fmt::format("m{:03}", i)] = std::move(person);
  }
  for (const Assignor assignor : {&assign_uniform, &assign_range}) {
    const AssignorInput input = world.input();
    const common::SystemClock clock;
    const common::Instant begin = clock.now();
    const Shares shares = assignor(input);
    const common::Duration took = clock.now() - begin;
    EXPECT_EQ(shares.size(), 200U);
    EXPECT_LT(took, std::chrono::milliseconds(500));
  }
  world.assign(&assign_uniform);
  expect_valid(world);
  expect_balanced(world);
}

}  // namespace
}  // namespace millrace::coordinator
