// What brokers report of their partitions: as bytes, and put together.
#include "broker/service/cluster_view.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/random.h"

namespace millrace::service {
namespace {

using model::BrokerId;
using model::PartitionIndex;
using model::PartitionKey;
using model::Term;
using ::testing::ElementsAre;
using ::testing::SizeIs;

constexpr model::TopicId kTopic{{5}};

raft::ReplicaId replica(int node) {
  return {.node = BrokerId{node}, .directory = {{static_cast<std::uint8_t>(100 + node)}}};
}
LedPartition led(int index, int term, std::vector<int> voters, std::vector<int> caught_up) {
  LedPartition partition{
      .key = {kTopic, PartitionIndex{index}}, .term = Term{term}, .voters = {}, .caught_up = {}};
  for (const int node : voters) partition.voters.push_back(replica(node));
  for (const int node : caught_up) partition.caught_up.push_back(replica(node));
  return partition;
}

/// Brokers 0, 1 and 2 and a topic of two partitions.
metadata::Image image() {
  metadata::Image image;
  image.apply(metadata::FeatureLevelSet{metadata::kClusterLevel});
  for (int node = 0; node < 3; ++node) {
    metadata::Broker broker{
        .id = BrokerId{node}, .directory = replica(node).directory, .endpoints = {}, .rack = ""};
    broker.endpoints = {{"kafka", "h", 1}};
    CHECK(image.apply(metadata::BrokerRegistered{broker}));
  }
  const metadata::Replicas all = {BrokerId{0}, BrokerId{1}, BrokerId{2}};
  CHECK(image.apply(
      metadata::TopicCreated{.id = kTopic, .name = "t", .partitions = {all, all}, .configs = {}}));
  return image;
}
std::map<BrokerId, metadata::BrokerHealth> everybody() {
  return {{BrokerId{0}, {}}, {BrokerId{1}, {}}, {BrokerId{2}, {}}};
}

TEST(LedPartitions, ComeBackAsTheyWent) {
  std::vector<LedPartition> partitions = {led(0, 3, {0, 1, 2}, {0, 2}), led(1, 70'000, {2}, {2})};
  partitions[1].bytes = std::int64_t{1} << 50;
  partitions[1].insync_min = 2;
  partitions.push_back(led(0, 1, {1, 0}, {}));
  partitions[2].key.topic = {{9}};
  const auto again = decode_led(encode(partitions).view());
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(*again, partitions);
  EXPECT_EQ(*decode_led(encode({}).view()), std::vector<LedPartition>{});
}

TEST(LedPartitions, EqualReportsHaveEqualSums) {
  const std::vector<LedPartition> partitions = {led(0, 3, {0, 1, 2}, {0, 2})};
  std::vector<LedPartition> others = partitions;
  EXPECT_EQ(sum_of(encode(partitions).view()), sum_of(encode(others).view()));
  others[0].caught_up.pop_back();
  EXPECT_NE(sum_of(encode(partitions).view()), sum_of(encode(others).view()));
  EXPECT_EQ(sum_of({}), 0u);
}

// Goal: no bytes do harm, and what is taken is sound. Method: cut and change single bytes.
TEST(LedPartitions, NonsenseIsRefused) {
  const common::Bytes whole = encode({led(0, 3, {0, 1, 2}, {0, 2}), led(1, 4, {1, 2}, {1})});
  for (std::size_t size = 0; size < whole.size(); ++size)
    EXPECT_FALSE(decode_led(whole.view().first(size)).ok()) << size;
  common::Random random(1);
  for (int i = 0; i < 20'000; ++i) {
    common::Bytes bytes = common::Bytes::copy_of(whole.view());
    bytes.mutable_view()[random.below(bytes.size())] = static_cast<std::uint8_t>(random.next());
    const auto taken = decode_led(bytes.view());
    if (!taken.ok()) continue;
    for (const LedPartition& partition : *taken) {
      EXPECT_FALSE(partition.voters.empty());
      EXPECT_LE(partition.voters.size(), raft::kVotersMax);
      EXPECT_LE(partition.caught_up.size(), partition.voters.size());
    }
  }
  common::Bytes newer = common::Bytes::copy_of(whole.view());
  newer.mutable_view()[0] = 9;
  EXPECT_EQ(decode_led(newer.view()).error().code, model::ErrorCode::kUnsupportedVersion);
}

TEST(LedPartitions, SizesGoInSteps) {
  EXPECT_EQ(coarse_bytes(0), 0);
  EXPECT_EQ(coarse_bytes(1), 65'536);
  std::int64_t last = 0;
  int steps = 0;
  for (std::int64_t bytes = 1; bytes < std::int64_t{1} << 40; bytes += bytes / 50 + 1) {
    const std::int64_t coarse = coarse_bytes(bytes);
    EXPECT_GE(coarse, bytes);
    EXPECT_LE(coarse, std::max<std::int64_t>(bytes + bytes / 8, bytes + 65'536));
    EXPECT_GE(coarse, last);
    steps += coarse != last ? 1 : 0;
    last = coarse;
  }
  EXPECT_LT(steps, 8 * 40);
  EXPECT_EQ(coarse_bytes(INT64_MAX), INT64_MAX);
}

TEST(ClusterView, TheNewestTermCounts) {
  ClusterView known;
  known.heard(BrokerId{1}, {led(0, 5, {0, 1, 2}, {1, 2})});
  known.heard(BrokerId{0}, {led(0, 4, {0, 1, 2}, {0})});
  const auto view = known.view(image(), everybody());
  ASSERT_THAT(view.partitions, SizeIs(1));
  EXPECT_EQ(view.partitions.begin()->second.leader, BrokerId{1});
  EXPECT_THAT(view.partitions.begin()->second.caught_up, SizeIs(2));
}

TEST(ClusterView, WhatIsNotReportedAnyMoreHasNoLeader) {
  ClusterView known;
  known.heard(BrokerId{1}, {led(0, 5, {0, 1, 2}, {1, 2}), led(1, 2, {0, 1}, {1})});
  known.heard(BrokerId{1}, {led(1, 2, {0, 1}, {1})});
  auto view = known.view(image(), everybody());
  EXPECT_EQ(view.status({kTopic, PartitionIndex{0}})->leader, std::nullopt);
  EXPECT_THAT(view.status({kTopic, PartitionIndex{0}})->voters, SizeIs(3));
  EXPECT_EQ(view.status({kTopic, PartitionIndex{1}})->leader, BrokerId{1});
  known.heard(BrokerId{2}, {led(0, 6, {0, 1, 2}, {2})});
  view = known.view(image(), everybody());
  EXPECT_EQ(view.status({kTopic, PartitionIndex{0}})->leader, BrokerId{2});
}

TEST(ClusterView, ASilentBrokerLeadsNothing) {
  ClusterView known;
  known.heard(BrokerId{1}, {led(0, 5, {0, 1, 2}, {1, 2})});
  auto health = everybody();
  health[BrokerId{1}].silent_ms = 1500;
  EXPECT_EQ(known.view(image(), health).status({kTopic, PartitionIndex{0}})->leader, std::nullopt);
  EXPECT_EQ(known.view(image(), everybody()).status({kTopic, PartitionIndex{0}})->leader,
            BrokerId{1});
}

TEST(ClusterView, WhatTheImageDoesNotHaveIsNotShown) {
  ClusterView known;
  LedPartition metadata_log = led(0, 1, {0, 1, 2}, {0});
  metadata_log.key.topic = model::kMetadataTopicId;
  known.heard(BrokerId{0}, {led(0, 1, {0}, {0}), led(7, 1, {0}, {0}), metadata_log});
  const auto view = known.view(image(), everybody());
  EXPECT_THAT(view.partitions, SizeIs(2));
  EXPECT_NE(view.status({model::kMetadataTopicId, PartitionIndex{0}}), nullptr);
  EXPECT_THAT(known.forget_gone(image()), ::testing::ElementsAre(BrokerId{0}));
  EXPECT_EQ(known.size(), 2u);
}

}  // namespace
}  // namespace millrace::service
