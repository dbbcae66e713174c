// What a subscriber lets come and is done with, against a model that remembers every record.
#include "broker/grpc/credit.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "common/random.h"

namespace millrace::grpc {
namespace {

using model::ErrorCode;
using model::Offset;
using model::PartitionIndex;
using model::PartitionKey;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using Done = Credit::Done;

PartitionKey key(std::int32_t partition) {
  return {.topic = {}, .index = PartitionIndex{partition}};
}

Credit with(std::int64_t records, std::int64_t bytes) {
  Credit credit;
  EXPECT_TRUE(credit.give({.records = records, .bytes = bytes}).ok());
  for (const std::int32_t partition : {0, 1}) credit.begin(key(partition), Offset{0}, false);
  return credit;
}

TEST(Credit, RecordsUseItUpAndGivingBringsItBack) {
  Credit credit = with(2, 100);
  ASSERT_TRUE(credit.open());
  credit.delivered(key(0), Offset{0}, 30);
  credit.delivered(key(0), Offset{1}, 30);
  EXPECT_FALSE(credit.open()) << "no record is left";
  EXPECT_EQ(credit.outstanding(), 2);
  ASSERT_TRUE(credit.give({.records = 1}).ok());
  EXPECT_TRUE(credit.open());
  EXPECT_EQ(credit.left().records, 1);
  EXPECT_EQ(credit.left().bytes, 70) << "the bytes of the first record are back";
  EXPECT_THAT(credit.take_done(), ElementsAre(Done{key(0), Offset{1}}));
  EXPECT_THAT(credit.take_done(), IsEmpty()) << "taken once";
  EXPECT_THAT(credit.done(), ElementsAre(Done{key(0), Offset{1}}, Done{key(1), Offset{0}}));
}

// Goal: a record larger than all bytes of credit still comes. Method: one costs more than is left.
TEST(Credit, TheLastRecordMayCostMoreThanIsLeft) {
  Credit credit = with(10, 5);
  credit.delivered(key(0), Offset{0}, 1'000);
  EXPECT_FALSE(credit.open());
  EXPECT_EQ(credit.left().bytes, -995);
  ASSERT_TRUE(credit.give({.records = 1}).ok());
  EXPECT_EQ(credit.left().bytes, 5);
  EXPECT_TRUE(credit.open());
}

TEST(Credit, WhatIsForgottenIsNeverDone) {
  Credit credit = with(10, 1'000);
  credit.delivered(key(0), Offset{0}, 10);
  credit.delivered(key(1), Offset{0}, 10);
  credit.forget(key(0));
  credit.begin(key(0), Offset{40}, false);  // it came back, elsewhere
  credit.delivered(key(0), Offset{40}, 10);
  ASSERT_TRUE(credit.give({.records = 2}).ok());
  EXPECT_EQ(credit.outstanding(), 1) << "it still used up credit";
  EXPECT_THAT(credit.take_done(), ElementsAre(Done{key(1), Offset{1}}));
  ASSERT_TRUE(credit.give({.records = 1}).ok());
  EXPECT_THAT(credit.take_done(), ElementsAre(Done{key(0), Offset{41}}));
}

TEST(Credit, APlaceTheGroupDoesNotKnowCountsAsMoved) {
  Credit credit;
  credit.begin(key(0), Offset{7}, true);
  credit.begin(key(1), Offset{3}, false);
  EXPECT_THAT(credit.take_done(), ElementsAre(Done{key(0), Offset{7}}));
  credit.take_again(key(0));
  credit.take_again(key(5));
  EXPECT_THAT(credit.take_done(), ElementsAre(Done{key(0), Offset{7}}));
}

// Goal: what the client commits itself is not taken back by older records. Method: commit 5 while
// records from 0 on are outstanding; then back to 1 on purpose.
TEST(Credit, WhatTheClientCommitsItselfCounts) {
  Credit credit = with(10, 1'000);
  for (const std::int64_t offset : {0, 1, 2, 3, 4, 5}) credit.delivered(key(0), Offset{offset}, 10);
  credit.put(key(0), Offset{5});
  ASSERT_TRUE(credit.give({.records = 2}).ok());
  EXPECT_THAT(credit.take_done(), IsEmpty());
  EXPECT_EQ(credit.done().front(), (Done{key(0), Offset{5}}));
  ASSERT_TRUE(credit.give({.records = 4}).ok());
  EXPECT_THAT(credit.take_done(), ElementsAre(Done{key(0), Offset{6}}));
  credit.put(key(0), Offset{1});
  credit.put(key(7), Offset{1});
  EXPECT_THAT(credit.done(), ElementsAre(Done{key(0), Offset{1}}, Done{key(1), Offset{0}}));
}

TEST(Credit, LimitsHoldAndARefusalChangesNothing) {
  Credit credit = with(kCreditRecordsMax - 1, kCreditBytesMax - 10);
  EXPECT_EQ(credit.give({.records = 2}).error().code, ErrorCode::kInvalidRequest);
  EXPECT_EQ(credit.give({.records = -1}).error().code, ErrorCode::kInvalidRequest);
  EXPECT_EQ(credit.give({.bytes = -1}).error().code, ErrorCode::kInvalidRequest);
  EXPECT_EQ(credit.give({.bytes = 11}).error().code, ErrorCode::kInvalidRequest);
  EXPECT_EQ(credit.give({.records = INT64_MAX}).error().code, ErrorCode::kInvalidRequest);
  EXPECT_EQ(credit.give({.bytes = INT64_MAX}).error().code, ErrorCode::kInvalidRequest);
  EXPECT_EQ(credit.left().records, kCreditRecordsMax - 1);
  EXPECT_EQ(credit.left().bytes, kCreditBytesMax - 10);
  EXPECT_TRUE(credit.give({.records = 1, .bytes = 10}).ok());
  credit.delivered(key(0), Offset{0}, 4);
  EXPECT_TRUE(credit.give({.records = 1}).ok()) << "what comes back is not on top";
  EXPECT_EQ(credit.left().records, kCreditRecordsMax);
  EXPECT_EQ(credit.left().bytes, kCreditBytesMax);
}

/// Every record that was sent, in order.
struct Model {
  struct Sent {
    PartitionKey key;
    Offset offset;
    std::int64_t bytes;
    std::uint64_t life;
  };
  std::deque<Sent> sent;
  std::map<PartitionKey, std::uint64_t> lives;
  std::map<PartitionKey, Offset> done;
  Credit::Amount left;
};

// Goal: credit, bytes and what is done are right in any order of events. Method: random deliveries
// with gaps, grants, and partitions that go and come, against a list of all records.
TEST(Credit, AgreesWithAListOfAllRecords) {
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    common::Random random(seed);
    Credit credit;
    Model model;
    std::map<PartitionKey, Offset> next;
    std::uint64_t lives = 0;
    const auto begin = [&](const PartitionKey& one) {
      next[one] = Offset{random.between(0, 100)};
      credit.begin(one, next[one], false);
      model.lives[one] = ++lives;
      model.done[one] = next[one];
    };
    for (const std::int32_t partition : {0, 1, 2}) begin(key(partition));
    for (int step = 0; step < 400; ++step) {
      const PartitionKey one = key(static_cast<std::int32_t>(random.below(3)));
      if (random.chance(1, 30)) {
        credit.forget(one);
        begin(one);
      } else if (random.chance(1, 3)) {
        const Credit::Amount amount{static_cast<std::int64_t>(random.below(8)),
                                    static_cast<std::int64_t>(random.below(60))};
        ASSERT_TRUE(credit.give(amount).ok());
        model.left.records += amount.records;
        model.left.bytes += amount.bytes;
        for (std::int64_t i = 0; i < amount.records && !model.sent.empty(); ++i) {
          const Model::Sent& oldest = model.sent.front();
          model.left.bytes += oldest.bytes;
          if (model.lives[oldest.key] == oldest.life) model.done[oldest.key] = oldest.offset + 1;
          model.sent.pop_front();
        }
      } else if (credit.open()) {
        if (random.chance(1, 4)) next[one] = next[one] + random.between(1, 5);  // compacted away
        // Equal sizes, so that bytes that come back in the middle of a run are exact.
        credit.delivered(one, next[one], 10);
        model.sent.push_back({one, next[one], 10, model.lives[one]});
        --model.left.records;
        model.left.bytes -= 10;
        next[one] = next[one] + 1;
      }
      ASSERT_EQ(credit.left().records, model.left.records) << "seed " << seed;
      ASSERT_EQ(credit.left().bytes, model.left.bytes) << "seed " << seed;
      ASSERT_EQ(credit.outstanding(), static_cast<std::int64_t>(model.sent.size()));
      std::map<PartitionKey, Offset> done;
      for (const Done& place : credit.done()) done[place.key] = place.next;
      // After a gap the next record is the first of a run: what is done ends where it ends.
      ASSERT_EQ(done, model.done) << "seed " << seed;
    }
  }
}

}  // namespace
}  // namespace millrace::grpc
