#include "broker/storage/compaction_plan.h"

#include <gtest/gtest.h>

namespace millrace::storage {
namespace {

constexpr common::Timestamp kNow{1'000'000};

/// Segments of 10 offsets and 100 bytes, the last one active; each a second younger than the one in
/// front of it.
class CompactionPlanTest : public ::testing::Test {
 protected:
  CompactionPlanTest() {
    for (std::int64_t i = 0; i < 5; ++i) {
      segments.push_back({.base = Offset{10 * i},
                          .end = Offset{10 * i + 10},
                          .size = 100,
                          .max_timestamp = kNow - 1000 * (5 - i),
                          .created = kNow - 1000 * (6 - i),
                          .finished = i < 4});
    }
    settings.compact = true;
  }
  CompactionPlan plan() const {
    return plan_compaction({.segments = segments,
                            .settings = settings,
                            .compacted_to = compacted_to,
                            .recovery_point = recovery_point,
                            .up_to = up_to,
                            .now = kNow});
  }
  std::vector<Segment> segments;
  LogSettings settings;
  Offset compacted_to;
  Offset recovery_point{40};
  Offset up_to{50};
};

TEST_F(CompactionPlanTest, TakesAllButTheActiveSegment) {
  EXPECT_EQ(plan().segments, 4U);
  EXPECT_EQ(plan().end, Offset{40});
  EXPECT_EQ(plan().dirty_bytes, 400U);
  EXPECT_TRUE(plan().due(settings));
}

TEST_F(CompactionPlanTest, StopsAtWhatIsNotSafeOnTheDiskOrNotCommitted) {
  recovery_point = Offset{30};
  EXPECT_EQ(plan().end, Offset{30});
  up_to = Offset{29};
  EXPECT_EQ(plan().end, Offset{20});
  segments[1].finished = false;
  EXPECT_EQ(plan().end, Offset{10});
  up_to = Offset{0};
  EXPECT_EQ(plan().segments, 0U);
  EXPECT_FALSE(plan().due(settings));
}

TEST_F(CompactionPlanTest, YoungRecordsStayOut) {
  settings.min_compaction_lag_ms = 3500;
  EXPECT_EQ(plan().end, Offset{20});
  segments[0].max_timestamp = common::Timestamp{-1};  // then its segment's begin counts: older
  EXPECT_EQ(plan().end, Offset{20});
  segments[0].created = kNow;
  EXPECT_EQ(plan().segments, 0U);
}

TEST_F(CompactionPlanTest, WaitsForTheDirtyRatio) {
  compacted_to = Offset{20};
  EXPECT_EQ(plan().clean_bytes, 200U);
  EXPECT_DOUBLE_EQ(plan().dirty_ratio(), 0.5);
  EXPECT_FALSE(plan().due(settings));  // more than, as Kafka
  settings.min_cleanable_dirty_ratio = 0.49;
  EXPECT_TRUE(plan().due(settings));
  compacted_to = Offset{40};
  settings.min_cleanable_dirty_ratio = 0;
  EXPECT_FALSE(plan().due(settings));
}

TEST_F(CompactionPlanTest, TheLongestLagOverridesTheRatio) {
  settings.min_cleanable_dirty_ratio = 1;
  settings.max_compaction_lag_ms = 5500;
  EXPECT_TRUE(plan().due(settings));
  compacted_to = Offset{10};
  EXPECT_FALSE(plan().due(settings));
  EXPECT_FALSE(must_roll_for_compaction(segments.back(), settings, kNow));
  settings.max_compaction_lag_ms = 1500;
  EXPECT_TRUE(plan().due(settings));
  EXPECT_TRUE(must_roll_for_compaction(segments.back(), settings, kNow));
  segments.back().size = 0;
  EXPECT_FALSE(must_roll_for_compaction(segments.back(), settings, kNow));
}

}  // namespace
}  // namespace millrace::storage
