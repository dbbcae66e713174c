// Tables that hear the same things, in whatever order and however often, are the same.
#include "broker/cluster/leader_table.h"

#include <gtest/gtest.h>

#include <map>

#include "common/random.h"

namespace millrace::cluster {
namespace {

using common::Random;
using model::BrokerId;
using model::PartitionIndex;
using model::PartitionKey;
using model::Term;

PartitionKey key_of(std::uint8_t topic, std::int32_t index) {
  PartitionKey key;
  key.topic.bytes[0] = topic;
  key.topic.bytes[15] = 1;
  key.index = PartitionIndex{index};
  return key;
}

Leadership led_by(std::int32_t leader, std::int32_t term, std::uint32_t version = 0) {
  return {.leader = BrokerId{leader},
          .term = Term{term},
          .in_sync = {BrokerId{leader}, BrokerId{leader + 1}},
          .version = version};
}

TEST(LeaderTable, TheNewestWordWins) {
  LeaderTable table;
  const PartitionKey key = key_of(1, 0);
  EXPECT_EQ(table.find(key), nullptr);
  EXPECT_TRUE(table.learn(key, led_by(1, 5, 2)));
  EXPECT_FALSE(table.learn(key, led_by(1, 5, 2)));
  EXPECT_FALSE(table.learn(key, led_by(1, 5, 1)));
  EXPECT_FALSE(table.learn(key, led_by(2, 4, 9)));
  EXPECT_EQ(*table.find(key), led_by(1, 5, 2));
  EXPECT_TRUE(table.learn(key, led_by(1, 5, 3)));
  EXPECT_TRUE(table.learn(key, led_by(2, 6, 0)));
  EXPECT_EQ(*table.find(key), led_by(2, 6, 0));
  EXPECT_EQ(table.size(), 1U);
  // Nobody leads any more, says the one that did.
  EXPECT_TRUE(table.learn(key, {.term = Term{6}, .version = 1}));
  EXPECT_EQ(table.find(key)->leader, BrokerId{-1});
}

TEST(LeaderTable, NonsenseIsNotLearnt) {
  LeaderTable table;
  EXPECT_FALSE(table.learn(key_of(1, 0), led_by(-2, 5)));
  EXPECT_FALSE(table.learn(key_of(1, 0), led_by(1, -1)));
  Leadership crowded = led_by(1, 1);
  crowded.in_sync.assign(kInSyncMax + 1, BrokerId{1});
  EXPECT_FALSE(table.learn(key_of(1, 0), crowded));
  EXPECT_EQ(table.size(), 0U);
}

TEST(LeaderTable, AFullTableRefusesNewPartitionsOnly) {
  LeaderTable table(2);
  EXPECT_TRUE(table.learn(key_of(1, 0), led_by(1, 1)));
  EXPECT_TRUE(table.learn(key_of(1, 1), led_by(1, 1)));
  EXPECT_FALSE(table.learn(key_of(1, 2), led_by(1, 1)));
  EXPECT_EQ(table.overflows(), 1U);
  EXPECT_TRUE(table.learn(key_of(1, 0), led_by(1, 2)));
  table.forget(key_of(1, 0).topic, 2);
  EXPECT_TRUE(table.learn(key_of(2, 2), led_by(1, 1)));
}

TEST(LeaderTable, AForgottenTopicStaysForgotten) {
  LeaderTable table;
  const LeaderTable::Sum empty = table.sum();
  for (std::int32_t i = 0; i < 10; ++i) table.learn(key_of(1, i), led_by(1, 1));
  table.learn(key_of(2, 0), led_by(1, 1));
  table.forget(key_of(1, 0).topic, 10);
  EXPECT_EQ(table.size(), 1U);
  EXPECT_FALSE(table.learn(key_of(1, 3), led_by(2, 9)));
  EXPECT_EQ(table.find(key_of(1, 3)), nullptr);
  table.forget(key_of(2, 0).topic, 1);
  EXPECT_EQ(table.sum(), empty);
  // So many are remembered, and no more.
  Random random(1);
  for (std::size_t i = 0; i < LeaderTable::kTopicsForgotten; ++i)
    table.forget(common::Uuid::random(random), 0);
  EXPECT_TRUE(table.learn(key_of(1, 3), led_by(2, 9)));
}

TEST(LeaderTable, RetainDropsTheRest) {
  LeaderTable table;
  for (std::int32_t i = 0; i < 100; ++i) table.learn(key_of(1, i), led_by(1, 1));
  LeaderTable half;
  for (std::int32_t i = 0; i < 100; i += 2) half.learn(key_of(1, i), led_by(1, 1));
  table.retain([](const PartitionKey& key) { return key.index.value() % 2 == 0; });
  EXPECT_EQ(table.size(), 50U);
  EXPECT_EQ(table.sum(), half.sum());
  EXPECT_EQ(table.sums(), half.sums());
}

// Goal: the table is a map with a rule, and its sums tell equal from different. Method: random
// words about few partitions, given to a table and to a map; sums compared to those of a table made
// from the map.
TEST(LeaderTable, IsAMapWithSums) {
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    Random random(seed);
    LeaderTable table;
    std::map<PartitionKey, Leadership> model;
    for (int step = 0; step < 300; ++step) {
      const PartitionKey key = key_of(static_cast<std::uint8_t>(random.below(5)),
                                      static_cast<std::int32_t>(random.below(10)));
      const Leadership word = led_by(static_cast<std::int32_t>(random.below(3)),
                                     static_cast<std::int32_t>(random.below(6)),
                                     static_cast<std::uint32_t>(random.below(3)));
      const auto known = model.find(key);
      const bool news = known == model.end() || is_newer(word, known->second);
      if (news) model[key] = word;
      EXPECT_EQ(table.learn(key, word), news);
    }
    ASSERT_EQ(table.size(), model.size());
    LeaderTable again;
    for (const auto& [key, word] : model) {
      ASSERT_NE(table.find(key), nullptr);
      EXPECT_EQ(*table.find(key), word);
      again.learn(key, word);
    }
    EXPECT_EQ(table.sum(), again.sum());
    EXPECT_EQ(table.sums(), again.sums());
    again.learn(key_of(1, 99), led_by(1, 1));
    EXPECT_NE(table.sum(), again.sum());
  }
}

// Goal: words that go round in any order end the same everywhere, also two that no right broker
// would both say. Method: the same words in two orders.
TEST(LeaderTable, OrderDoesNotMatter) {
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    Random random(seed);
    std::vector<LeaderEntry> words;
    for (int i = 0; i < 60; ++i) {
      words.push_back({key_of(1, static_cast<std::int32_t>(random.below(4))),
                       led_by(static_cast<std::int32_t>(random.below(4)),
                              static_cast<std::int32_t>(random.below(3)),
                              static_cast<std::uint32_t>(random.below(2)))});
    }
    LeaderTable first;
    for (const LeaderEntry& word : words) first.learn(word.key, word.leadership);
    for (std::size_t i = words.size(); i > 1; --i) std::swap(words[i - 1], words[random.below(i)]);
    LeaderTable second;
    for (const LeaderEntry& word : words) second.learn(word.key, word.leadership);
    EXPECT_EQ(first.sum(), second.sum()) << "seed " << seed;
  }
}

// Goal: sending only the buckets whose sums differ makes two tables equal. Method: two tables that
// share most, repaired both ways.
TEST(LeaderTable, BucketsThatDifferAreEnough) {
  Random random(1);
  LeaderTable tables[2];
  for (int i = 0; i < 5000; ++i) {
    const LeaderEntry entry{{common::Uuid::random(random), PartitionIndex{i}}, led_by(1, i + 1)};
    for (LeaderTable& table : tables) {
      if (i >= 20 || random.chance(1, 2)) table.learn(entry.key, entry.leadership);
    }
  }
  ASSERT_NE(tables[0].sum(), tables[1].sum());
  std::size_t sent = 0;
  for (std::size_t bucket = 0; bucket < LeaderTable::kBuckets; ++bucket) {
    if (tables[0].sums()[bucket] == tables[1].sums()[bucket]) continue;
    for (const int from : {0, 1}) {
      const auto span = tables[from].bucket(bucket);
      const std::vector<LeaderEntry> entries(span.begin(), span.end());
      sent += entries.size();
      for (const LeaderEntry& entry : entries) tables[1 - from].learn(entry.key, entry.leadership);
    }
  }
  EXPECT_EQ(tables[0].sum(), tables[1].sum());
  EXPECT_LT(sent, 1500U);
}

// Sums travel between brokers of different ages: they are part of the format.
TEST(LeaderTable, SumsStayWhatTheyAre) {
  LeaderTable table;
  table.learn(key_of(1, 2), led_by(3, 4, 5));
  EXPECT_EQ(table.sum(), 0x392b5c56b102369dU);
}

// Goal: ten thousand partitions cost little. Method: count the heap's blocks, three replicas each.
TEST(LeaderTable, TenThousandPartitionsFitInLittle) {
  Random random(1);
  LeaderTable table;
  for (int i = 0; i < 10'000; ++i) {
    table.learn({common::Uuid::random(random), PartitionIndex{i % 100}},
                {.leader = BrokerId{1},
                 .term = Term{1},
                 .in_sync = {BrokerId{1}, BrokerId{2}, BrokerId{3}}});
  }
  EXPECT_LT(table.memory_bytes() / table.size(), 180U);
}

}  // namespace
}  // namespace millrace::cluster
