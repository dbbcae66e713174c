// Times land in the bucket whose bound is the next one up.
#include "broker/kafka/metrics.h"

#include <gtest/gtest.h>

#include <cmath>

namespace millrace::kafka {
namespace {

using std::chrono::hours;
using std::chrono::microseconds;

TEST(LatencyHistogram, BoundsAreInclusiveAndDouble) {
  LatencyHistogram histogram;
  for (const auto time : {microseconds(0), microseconds(50), microseconds(51), microseconds(100)})
    histogram.record(time);
  histogram.record(hours(1));
  EXPECT_EQ(histogram.buckets()[0], 2u);
  EXPECT_EQ(histogram.buckets()[1], 2u);
  EXPECT_EQ(histogram.buckets().back(), 1u);
  EXPECT_EQ(histogram.count(), 5u);
  EXPECT_NEAR(histogram.sum_seconds(), 3600.000201, 1e-9);
  EXPECT_DOUBLE_EQ(LatencyHistogram::upper_bound_seconds(0), 50e-6);
  EXPECT_DOUBLE_EQ(LatencyHistogram::upper_bound_seconds(3), 400e-6);
  EXPECT_TRUE(std::isinf(LatencyHistogram::upper_bound_seconds(LatencyHistogram::kBuckets - 1)));
}

}  // namespace
}  // namespace millrace::kafka
