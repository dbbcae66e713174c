#include "broker/storage/block_cache.h"

#include <gtest/gtest.h>

namespace millrace::storage {
namespace {

using model::Offset;

constexpr std::size_t kRunBytes = 1000;
constexpr std::size_t kNoLimit = SIZE_MAX;

/// A cache of runs of ten offsets each.
class BlockCacheTest : public testing::Test {
 protected:
  void insert(std::int64_t base, LogNumber log = LogNumber{1}) {
    cache_.insert(log, {.bytes = Bytes::allocate(kRunBytes),
                        .base = Offset{base},
                        .end = Offset{base + 10},
                        .segment_base = Offset{0},
                        .position = 0});
  }
  bool holds(std::int64_t offset, LogNumber log = LogNumber{1}) const {
    return cache_.holds(log, Offset{offset});
  }
  void pass(std::int64_t base, std::size_t bytes_max = kNoLimit) {
    cache_.pass(LogNumber{1}, Offset{base}, bytes_max);
  }

  BlockCache cache_;
};

TEST_F(BlockCacheTest, FindsTheRunThatHoldsAnOffsetAndTheOneBefore) {
  insert(10);
  insert(20);
  EXPECT_EQ(cache_.find(LogNumber{1}, Offset{15})->base, Offset{10});
  EXPECT_EQ(cache_.find(LogNumber{1}, Offset{30}), nullptr);
  EXPECT_EQ(cache_.find(LogNumber{2}, Offset{15}), nullptr);
  EXPECT_EQ(cache_.find_before(LogNumber{1}, Offset{20})->base, Offset{10});
  EXPECT_EQ(cache_.find_before(LogNumber{1}, Offset{15}), nullptr);
}

TEST_F(BlockCacheTest, ForgetsWhatWasUsedLongestAgo) {
  for (const std::int64_t base : {0, 10, 20}) insert(base);
  cache_.find(LogNumber{1}, Offset{0});
  cache_.shrink(2 * kRunBytes);
  EXPECT_TRUE(holds(0));
  EXPECT_FALSE(holds(10));
  EXPECT_TRUE(holds(20));
}

// A replay of old data keeps no more than its share, and what others use stays.
TEST_F(BlockCacheTest, WhatReadersWentPastGoesFirst) {
  insert(0, LogNumber{2});
  for (std::int64_t base = 0; base < 100; base += 10) {
    insert(base);
    pass(base, 3 * kRunBytes);
  }
  EXPECT_EQ(cache_.bytes(), 4 * kRunBytes);
  for (const std::int64_t base : {70, 80, 90}) EXPECT_TRUE(holds(base));
  cache_.shrink(kRunBytes);
  EXPECT_TRUE(holds(0, LogNumber{2}));
}

// The second reader that follows closely keeps alive what it reads.
TEST_F(BlockCacheTest, ARunThatIsReadAgainIsNoLongerPassed) {
  for (const std::int64_t base : {0, 10, 20}) {
    insert(base);
    pass(base);
  }
  cache_.find(LogNumber{1}, Offset{0});
  cache_.shrink(kRunBytes);
  EXPECT_TRUE(holds(0));
  pass(0, 0);
  EXPECT_EQ(cache_.bytes(), 0U);
  pass(0);  // of one that is gone: nothing
}

TEST_F(BlockCacheTest, DropsWhatIsCutOff) {
  for (const std::int64_t base : {0, 10, 20}) insert(base);
  pass(10);
  insert(0, LogNumber{2});
  cache_.drop_from(LogNumber{1}, Offset{15});
  EXPECT_TRUE(holds(0));
  EXPECT_FALSE(holds(10));
  cache_.drop(LogNumber{1});
  EXPECT_TRUE(holds(0, LogNumber{2}));
  EXPECT_EQ(cache_.bytes(), kRunBytes);
}

}  // namespace
}  // namespace millrace::storage
