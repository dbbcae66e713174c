// The rules of fetch sessions that need no broker: ids, epochs, order, and who has to go when
// places are taken.
#include "broker/kafka/fetch_sessions.h"

#include <gtest/gtest.h>

#include <limits>

namespace millrace::kafka {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;

FetchedPartition partition(std::int32_t index, std::string topic = "orders") {
  FetchedPartition partition;
  partition.target = {{}, std::move(topic), model::PartitionIndex{index}};
  return partition;
}

std::vector<FetchedPartition> partitions(std::int32_t count) {
  std::vector<FetchedPartition> all;
  for (std::int32_t i = 0; i < count; ++i) all.push_back(partition(i));
  return all;
}

std::vector<std::int32_t> order(FetchSession& session) {
  std::vector<std::int32_t> indexes;
  for (const FetchedPartition& p : session.partitions())
    indexes.push_back(p.target.partition.value());
  return indexes;
}

constexpr common::Instant kStart{};

TEST(FetchEpoch, SkipsTheSpecialOnes) {
  EXPECT_EQ(next_fetch_epoch(0), 1);
  EXPECT_EQ(next_fetch_epoch(41), 42);
  EXPECT_EQ(next_fetch_epoch(std::numeric_limits<std::int32_t>::max()), 1);
  EXPECT_EQ(next_fetch_epoch(kFinalFetchEpoch), kFinalFetchEpoch);
}

TEST(FetchSession, PutMovesThePositionAndKeepsTheOrder) {
  FetchSession session(1, false, kStart);
  for (const std::int32_t i : {0, 1, 2}) session.put(partition(i));
  FetchedPartition moved = partition(1);
  moved.from = model::Offset{77};
  session.find(moved.target)->told_high_watermark = model::Offset{5};
  session.put(moved);
  EXPECT_EQ(order(session), (std::vector<std::int32_t>{0, 1, 2}));
  EXPECT_EQ(session.find(moved.target)->from, model::Offset{77});
  EXPECT_EQ(session.find(moved.target)->told_high_watermark, model::Offset{5})
      << "what was told stays known";
  session.move_to_end(partition(0).target);
  EXPECT_EQ(order(session), (std::vector<std::int32_t>{1, 2, 0}));
  EXPECT_TRUE(session.remove(partition(2).target));
  EXPECT_FALSE(session.remove(partition(2).target));
  EXPECT_EQ(session.find(partition(2).target), nullptr);
  EXPECT_EQ(session.size(), 2u);
}

TEST(FetchSession, NamesAndIdsAreDifferentTopics) {
  FetchSession session(1, true, kStart);
  FetchedPartition by_id = partition(0, "");
  by_id.target.topic_id.bytes[3] = 9;
  session.put(by_id);
  EXPECT_EQ(session.find(partition(0, "").target), nullptr);
  EXPECT_NE(session.find(by_id.target), nullptr);
}

TEST(FetchSessions, GivesPositiveIdsAndEpochOne) {
  FetchSessions sessions(10, common::Random(1));
  const auto a = sessions.create(partitions(2), false, kStart);
  const auto b = sessions.create(partitions(3), false, kStart);
  ASSERT_NE(a, nullptr);
  ASSERT_NE(b, nullptr);
  EXPECT_GT(a->id(), 0);
  EXPECT_GT(b->id(), 0);
  EXPECT_NE(a->id(), b->id());
  EXPECT_EQ(a->epoch(), 1);
  EXPECT_EQ(sessions.find(a->id(), kStart), a);
  EXPECT_EQ(sessions.partitions(), 5u);
  sessions.remove(a->id());
  EXPECT_EQ(sessions.find(a->id(), kStart), nullptr);
  EXPECT_EQ(sessions.partitions(), 3u);
}

TEST(FetchSessions, KeepsNoEmptySessionAndNoneWhenSwitchedOff) {
  FetchSessions sessions(10, common::Random(1));
  EXPECT_EQ(sessions.create({}, false, kStart), nullptr);
  FetchSessions off(0, common::Random(1));
  EXPECT_EQ(off.create(partitions(1), false, kStart), nullptr);
}

// Goal: busy young sessions are not driven out, however many ask.
TEST(FetchSessions, FullOfFreshOnesTakesNoMore) {
  FetchSessions sessions(2, common::Random(1));
  const auto a = sessions.create(partitions(1), false, kStart);
  const auto b = sessions.create(partitions(1), false, kStart);
  EXPECT_EQ(sessions.create(partitions(100), false, kStart + seconds(119)), nullptr);
  EXPECT_EQ(sessions.size(), 2u);
  EXPECT_EQ(sessions.evictions(), 0u);
}

TEST(FetchSessions, AnUnusedOneGoesFirst) {
  FetchSessions sessions(2, common::Random(1));
  const auto idle = sessions.create(partitions(9), false, kStart);
  const auto busy = sessions.create(partitions(1), false, kStart);
  const auto now = kStart + minutes(3);
  EXPECT_NE(sessions.find(busy->id(), now), nullptr);
  EXPECT_NE(sessions.create(partitions(1), false, now), nullptr);
  EXPECT_EQ(sessions.find(idle->id(), now), nullptr);
  EXPECT_NE(sessions.find(busy->id(), now), nullptr);
  EXPECT_EQ(sessions.evictions(), 1u);
}

TEST(FetchSessions, ALargerOneTakesThePlaceOfAnOldSmallOne) {
  FetchSessions sessions(2, common::Random(1));
  const auto small = sessions.create(partitions(2), false, kStart);
  const auto large = sessions.create(partitions(8), false, kStart);
  const auto now = kStart + minutes(3);
  sessions.find(small->id(), now);
  sessions.find(large->id(), now);
  EXPECT_EQ(sessions.create(partitions(2), false, now), nullptr) << "not larger";
  EXPECT_NE(sessions.create(partitions(3), false, now), nullptr);
  EXPECT_EQ(sessions.find(small->id(), now), nullptr);
  EXPECT_NE(sessions.find(large->id(), now), nullptr);
}

// Goal: memory is bounded by partitions too. Method: a session that outgrows the bound is dropped.
TEST(FetchSessions, TooManyPartitionsEndASession) {
  FetchSessions sessions(10, common::Random(1));
  const auto session = sessions.create(partitions(1), false, kStart);
  const auto most = static_cast<std::int32_t>(FetchSessions::kPartitionsMax);
  for (std::int32_t i = 1; i < most; ++i) session->put(partition(i));
  EXPECT_TRUE(sessions.recount(*session));
  EXPECT_EQ(sessions.create(partitions(1), false, kStart), nullptr)
      << "there is no room for another";
  session->put(partition(most));
  EXPECT_FALSE(sessions.recount(*session));
  EXPECT_EQ(sessions.size(), 0u);
  EXPECT_EQ(sessions.partitions(), 0u);
}

}  // namespace
}  // namespace millrace::kafka
