// How memory is shared out, told and untold.
#include "broker/server/memory_plan.h"

#include <gtest/gtest.h>

namespace millrace::server {
namespace {

constexpr std::int64_t kMebibyte = 1 << 20;

TEST(MemoryPlan, WhatIsToldIsTaken) {
  model::BrokerSettings settings;
  settings.memory_bytes = 400 * kMebibyte;
  settings.cache_bytes = 100 * kMebibyte;
  const MemoryPlan plan = plan_memory(settings, 4);
  EXPECT_EQ(plan.total_bytes, 400U * kMebibyte);
  EXPECT_EQ(plan.cache_bytes_per_shard, 25U * kMebibyte);
}

TEST(MemoryPlan, HalfIsCacheUpToABound) {
  model::BrokerSettings settings;
  settings.cache_bytes = 0;
  settings.memory_bytes = 400 * kMebibyte;
  EXPECT_EQ(plan_memory(settings, 2).cache_bytes_per_shard, 100U * kMebibyte);
  settings.memory_bytes = 64 * 1024 * kMebibyte;
  EXPECT_EQ(plan_memory(settings, 2).cache_bytes_per_shard, 256U * kMebibyte);
}

TEST(MemoryPlan, KeysOfCompactionsTakeAnEighthAtMost) {
  model::BrokerSettings settings;
  settings.compaction_map_bytes = 128 * kMebibyte;
  settings.memory_bytes = 512 * kMebibyte;
  EXPECT_EQ(plan_memory(settings, 2).compaction_bytes_per_shard, 32U * kMebibyte);
  settings.memory_bytes = 64 * 1024 * kMebibyte;
  EXPECT_EQ(plan_memory(settings, 2).compaction_bytes_per_shard, 64U * kMebibyte);
}

TEST(MemoryPlan, UntoldItIsAPartOfTheMachine) {
  model::BrokerSettings settings;
  settings.memory_bytes = 0;
  settings.cache_bytes = 0;
  const MemoryPlan plan = plan_memory(settings, 1);
  EXPECT_GE(plan.total_bytes, 256U * kMebibyte);
  EXPECT_GT(plan.cache_bytes_per_shard, 0U);
  EXPECT_LE(plan.cache_bytes_per_shard, plan.total_bytes / 2);
}

}  // namespace
}  // namespace millrace::server
