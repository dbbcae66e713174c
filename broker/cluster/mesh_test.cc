// What shards of different brokers send, ask and announce.
#include "broker/cluster/mesh.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <optional>

#include "broker/cluster/testing/sim_cluster.h"

namespace millrace::cluster {
namespace {

using common::Error;
using model::BrokerId;
using model::ErrorCode;
using model::PartitionIndex;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using testing::Recorder;
using testing::SimBroker;
using testing::SimCluster;
using ::testing::SizeIs;
using namespace std::chrono_literals;

constexpr BrokerId kOne{1};
constexpr BrokerId kTwo{2};
constexpr Method kMethod{77};

model::PartitionKey partition(std::int32_t index) {
  model::PartitionKey key;
  key.topic.bytes[3] = 9;
  key.index = PartitionIndex{index};
  return key;
}

Bytes filled(std::size_t size, std::uint8_t with) {
  Bytes bytes = Bytes::allocate(size);
  for (std::uint8_t& byte : bytes.mutable_view()) byte = with;
  return bytes;
}

void never_answer(Request, common::Reply<Result<Bytes>> reply) {
  const common::RepliesMayDrop nobody_answers;
  const auto dropped = std::move(reply);
}

class MeshTest : public ::testing::Test {
 protected:
  // Broker 1 has two shards, broker 2 three.
  MeshTest() {
    cluster.add(1, 2);
    cluster.add(2, 3);
  }
  void start() {
    cluster.start_all();
    ASSERT_TRUE(cluster.run_until([this] { return cluster.all_alive(); }, 1s));
  }
  SimBroker& one() { return cluster.broker(1); }
  SimBroker& two() { return cluster.broker(2); }

  raft::Message message(std::int32_t number) {
    raft::Message message;
    message.from = one().replica();
    message.to = two().replica();
    message.term = model::Term{number};
    message.body = raft::TimeoutNow{};
    return message;
  }
  /// From shard 0 of broker 1 to the shard of broker 2 that has the partition.
  void send(std::int32_t index, std::int32_t number, std::vector<Bytes> data = {}) {
    one().mesh(0).send(kTwo, partition(index), message(number), std::move(data));
  }
  std::vector<std::int32_t> numbers_at(std::size_t shard) {
    std::vector<std::int32_t> numbers;
    for (const auto& arrival : two().recorder(shard).arrivals)
      numbers.push_back(arrival.message.term.value());
    return numbers;
  }
  /// The answer to a call from shard 0 of broker 1.
  Result<Bytes> call(BrokerId node, std::uint32_t shard, Bytes body, Duration timeout = 5s) {
    std::optional<Result<Bytes>> answer;
    one().mesh(0).call(node, shard, kMethod, std::move(body), timeout,
                       [&answer](Result<Bytes> result) { answer = std::move(result); });
    CHECK(cluster.run_until([&answer] { return answer.has_value(); }));
    return *std::move(answer);
  }

  SimCluster cluster{7};
};

// ---- Raft's messages

TEST_F(MeshTest, AMessageReachesTheShardOfItsPartition) {
  start();
  send(5, 42, {filled(10, 1), filled(0, 0), filled(2000, 2)});
  ASSERT_TRUE(cluster.run_until([this] { return !two().recorder(2).arrivals.empty(); }));
  const auto& arrival = two().recorder(2).arrivals.front();
  EXPECT_EQ(arrival.group, partition(5));
  EXPECT_EQ(arrival.message.from, one().replica());
  EXPECT_EQ(arrival.message.to, two().replica());
  EXPECT_EQ(arrival.message.term, model::Term{42});
  EXPECT_THAT(arrival.data, ElementsAre(filled(10, 1), Bytes(), filled(2000, 2)));
  EXPECT_THAT(two().recorder(0).arrivals, IsEmpty());
  EXPECT_THAT(two().recorder(1).arrivals, IsEmpty());
}

TEST_F(MeshTest, MessagesArriveInOrderAndShareFrames) {
  start();
  send(0, 0);
  ASSERT_TRUE(cluster.run_until([this] { return numbers_at(0).size() == 1; }));
  const std::uint64_t frames = one().mesh(0).metrics_now().frames_out;
  std::vector<std::int32_t> numbers = {0};
  for (std::int32_t i = 1; i <= 500; ++i) {
    send(i % 2 * 3, i, {filled(static_cast<std::size_t>(i), static_cast<std::uint8_t>(i))});
    numbers.push_back(i);
  }
  ASSERT_TRUE(cluster.run_until([this] { return numbers_at(0).size() == 501; }));
  EXPECT_EQ(numbers_at(0), numbers);
  EXPECT_EQ(one().mesh(0).metrics_now().frames_out, frames + 1);
  EXPECT_EQ(one().mesh(0).metrics_now().messages_out, 501U);
  EXPECT_EQ(two().mesh(0).metrics_now().messages_in, 501U);
}

TEST_F(MeshTest, LargeDataComesInOneBlock) {
  start();
  send(1, 1, {filled(3 << 20, 7), filled(100, 8)});
  send(1, 2, {filled(50, 9)});
  ASSERT_TRUE(cluster.run_until([this] { return numbers_at(1).size() == 2; }));
  const auto& arrivals = two().recorder(1).arrivals;
  ASSERT_THAT(arrivals[0].data, SizeIs(2));
  EXPECT_EQ(arrivals[0].data[0], filled(3 << 20, 7));
  EXPECT_EQ(arrivals[0].data[1], filled(100, 8));
  EXPECT_EQ(arrivals[0].data[0].block_size(), (3U << 20) + 100);
  EXPECT_EQ(arrivals[1].data[0].block_size(), 50U);
}

TEST_F(MeshTest, WhatCannotBeSentIsDroppedAndCounted) {
  cluster.start(1);
  cluster.run_until([this] { return !one().recorder(0).transitions.empty(); });
  send(0, 1);
  EXPECT_EQ(one().mesh(0).metrics_now().dropped_down, 1U);
  cluster.start(2);
  ASSERT_TRUE(cluster.run_until([this] { return cluster.all_alive(); }));
  // For a directory that the broker does not have any more.
  raft::Message stray = message(2);
  stray.to.directory = common::Uuid::random(cluster.world.random());
  one().mesh(0).send(kTwo, partition(0), stray, {});
  EXPECT_EQ(one().mesh(0).metrics_now().dropped_stray, 1U);
  send(0, 3);
  ASSERT_TRUE(cluster.run_until([this] { return !numbers_at(0).empty(); }));
  EXPECT_THAT(numbers_at(0), ElementsAre(3));
}

// Goal: a receiver that does not read costs the sender a bounded queue, and nobody is suspected.
// Method: broker 2 pauses its input while broker 1 sends more than the queue and the network hold.
TEST_F(MeshTest, ASlowReceiverCostsABoundedQueue) {
  cluster.settings.queue_bytes_max = 1 << 20;
  start();
  send(0, 0);
  ASSERT_TRUE(cluster.run_until([this] { return numbers_at(0).size() == 1; }));
  two().mesh(0).pause_input();
  for (std::int32_t i = 1; i <= 100; ++i) {
    send(0, i, {filled(100'000, 1)});
    cluster.world.run_for(1ms);
    EXPECT_LE(one().mesh(0).metrics_now().queued_bytes, (1U << 20) + 1000);
  }
  EXPECT_GT(one().mesh(0).metrics_now().dropped_full, 50U);
  const auto refused = call(kTwo, 0, filled(100'000, 1));
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::kMemoryExhausted);
  cluster.world.run_for(3s);
  EXPECT_TRUE(cluster.all_alive());
  two().mesh(0).resume_input();
  ASSERT_TRUE(cluster.run_until([this] { return numbers_at(0).size() > 10; }, 1s));
  cluster.world.run_for(1s);
  send(0, 1000);
  ASSERT_TRUE(cluster.run_until([this] { return numbers_at(0).back() == 1000; }, 1s));
  EXPECT_TRUE(std::ranges::is_sorted(numbers_at(0)));
  EXPECT_EQ(one().mesh(0).metrics_now().queued_bytes, 0U);
}

// One message may always wait, whatever its size: else it could never be sent.
TEST_F(MeshTest, AMessageLargerThanTheQueueIsSent) {
  cluster.settings.queue_bytes_max = 1000;
  start();
  send(0, 1, {filled(100'000, 1)});
  send(0, 2, {filled(10, 1)});
  ASSERT_TRUE(cluster.run_until([this] { return !numbers_at(0).empty(); }, 1s));
  cluster.world.run_for(1s);
  EXPECT_THAT(numbers_at(0), ElementsAre(1));
  EXPECT_EQ(one().mesh(0).metrics_now().dropped_full, 1U);
}

TEST_F(MeshTest, NoFrameIsBegunWithoutMemory) {
  cluster.settings.input_bytes_max = 100'000;
  start();
  // The first of the two messages holds memory, as the way is slow; the other waits for it.
  cluster.network.slow_down("b1", "b2", 50ms);
  send(0, 1, {filled(4 << 20, 1)});
  one().mesh(1).send(kTwo, partition(0), message(2), {filled(4 << 20, 1)});
  std::uint64_t most = 0;
  ASSERT_TRUE(cluster.run_until(
      [&] {
        most = std::max(most, two().mesh(0).metrics_now().input_bytes);
        return numbers_at(0).size() == 2;
      },
      10s));
  EXPECT_GT(most, 100'000U);
  EXPECT_LE(most, 4U << 20);
  EXPECT_EQ(two().mesh(0).metrics_now().input_bytes, 0U);
}

TEST_F(MeshTest, ABrokenConnectionComesBack) {
  start();
  send(0, 1);
  ASSERT_TRUE(cluster.run_until([this] { return numbers_at(0).size() == 1; }));
  EXPECT_THAT(one().recorder(0).reconnects, IsEmpty());
  cluster.network.reset_connections("b1", "b2");
  ASSERT_TRUE(cluster.run_until([this] { return !one().recorder(0).reconnects.empty(); }, 1s));
  EXPECT_THAT(one().recorder(0).reconnects, ElementsAre(kTwo));
  // Only who had lost something is told.
  EXPECT_THAT(one().recorder(1).reconnects, IsEmpty());
  send(0, 2);
  ASSERT_TRUE(cluster.run_until([this] { return numbers_at(0).size() == 2; }, 1s));
  // Nobody was suspected for that.
  EXPECT_THAT(one().recorder(0).transitions, SizeIs(1));
}

// ---- Calls

TEST_F(MeshTest, CallsAreAnswered) {
  start();
  EXPECT_EQ(*call(kTwo, 2, filled(100, 5)), filled(100, 5));
  EXPECT_EQ(*call(kTwo, 0, filled(1 << 20, 6)), filled(1 << 20, 6));
  EXPECT_EQ(*call(kTwo, 1, Bytes()), Bytes());
  two().recorder(0).serve = [](Request request, common::Reply<Result<Bytes>> reply) {
    EXPECT_EQ(request.from, kOne);
    EXPECT_EQ(request.from_shard, 0U);
    EXPECT_EQ(request.method, kMethod);
    reply(Error{ErrorCode::kNotController, "ask broker 3"});
  };
  const auto refused = call(kTwo, 0, Bytes());
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::kNotController);
  EXPECT_EQ(refused.error().detail, "ask broker 3");
}

TEST_F(MeshTest, ABrokerMayCallItself) {
  start();
  EXPECT_EQ(*call(kOne, 1, filled(10, 5)), filled(10, 5));
  EXPECT_EQ(*call(kOne, 0, filled(10, 6)), filled(10, 6));
  EXPECT_EQ(call(kOne, 9, Bytes()).error().code, ErrorCode::kBrokerNotAvailable);
}

TEST_F(MeshTest, CallsThatCannotBeMadeFailAtOnce) {
  cluster.start(1);
  const Instant before = cluster.world.clock().now();
  EXPECT_EQ(call(kTwo, 0, Bytes()).error().code, ErrorCode::kBrokerNotAvailable);
  EXPECT_EQ(call(BrokerId{99}, 0, Bytes()).error().code, ErrorCode::kBrokerNotAvailable);
  cluster.start(2);
  ASSERT_TRUE(cluster.run_until([this] { return cluster.all_alive(); }));
  EXPECT_EQ(call(kTwo, 3, Bytes()).error().code, ErrorCode::kBrokerNotAvailable);
  EXPECT_LT(cluster.world.clock().now() - before, 2s);
}

TEST_F(MeshTest, ACallEndsWithItsTimeout) {
  start();
  std::vector<common::Reply<Result<Bytes>>> waiting;
  two().recorder(0).serve = [&](Request request, common::Reply<Result<Bytes>> reply) {
    EXPECT_GT(request.deadline, cluster.world.clock().now());
    waiting.push_back(std::move(reply));
  };
  EXPECT_EQ(call(kTwo, 0, Bytes(), 500ms).error().code, ErrorCode::kRequestTimedOut);
  // An answer that comes too late is for nobody.
  ASSERT_THAT(waiting, SizeIs(1));
  waiting[0](filled(1, 1));
  cluster.world.run_for(1s);
  EXPECT_EQ(*call(kTwo, 1, filled(2, 2)), filled(2, 2));
}

TEST_F(MeshTest, ACallWhoseConnectionBreaksMayHaveBeenDone) {
  start();
  std::vector<common::Reply<Result<Bytes>>> waiting;
  two().recorder(0).serve = [&](Request, common::Reply<Result<Bytes>> reply) {
    waiting.push_back(std::move(reply));
    cluster.network.reset_connections("b1", "b2");
  };
  EXPECT_EQ(call(kTwo, 0, Bytes()).error().code, ErrorCode::kNetworkException);
  waiting[0](Bytes());
  cluster.world.run_for(1s);
}

TEST_F(MeshTest, ACallToABrokerThatDiesFails) {
  start();
  std::optional<Result<Bytes>> answer;
  two().recorder(0).serve = never_answer;
  one().mesh(1).call(kTwo, 0, kMethod, Bytes(), 1min,
                     [&answer](Result<Bytes> result) { answer = std::move(result); });
  cluster.world.run_for(100ms);
  cluster.crash(2, false);
  ASSERT_TRUE(cluster.run_until([&answer] { return answer.has_value(); }, 2s));
  EXPECT_EQ(answer->error().code, ErrorCode::kNetworkException);
}

TEST_F(MeshTest, AShardThatClosesAnswersItsCallers) {
  start();
  std::optional<Result<Bytes>> answer;
  two().recorder(0).serve = never_answer;
  one().mesh(0).call(kTwo, 0, kMethod, Bytes(), 1min,
                     [&answer](Result<Bytes> result) { answer = std::move(result); });
  cluster.world.run_for(100ms);
  one().mesh(0).close();
  ASSERT_TRUE(answer.has_value());
  EXPECT_EQ(answer->error().code, ErrorCode::kShuttingDown);
  EXPECT_EQ(call(kTwo, 0, Bytes()).error().code, ErrorCode::kShuttingDown);
  send(0, 1);
  cluster.world.run_for(1s);
  EXPECT_THAT(numbers_at(0), IsEmpty());
}

// ---- Leaders

TEST_F(MeshTest, AnnouncementsReachAllShardsOfAllBrokers) {
  cluster.add(3, 1);
  start();
  one().mesh(1).announce(partition(4), {.leader = kOne, .term = model::Term{3}, .in_sync = {kOne}});
  one().mesh(1).announce(partition(4),
                         {.leader = kOne, .term = model::Term{3}, .in_sync = {kOne, kTwo}});
  const Leadership wanted{
      .leader = kOne, .term = model::Term{3}, .in_sync = {kOne, kTwo}, .version = 1};
  cluster.world.run_for(10ms);
  for (auto& [node, broker] : cluster.brokers()) {
    for (std::size_t shard = 0; shard < broker.shards.size(); ++shard) {
      const Leadership* const known = broker.mesh(shard).leaders().find(partition(4));
      ASSERT_NE(known, nullptr) << node.value() << " " << shard;
      EXPECT_EQ(*known, wanted);
      const bool announcer = node == kOne && shard == 1;
      EXPECT_EQ(broker.recorder(shard).news.empty(), announcer);
    }
  }
  // Who led before has nothing to say any more.
  two().mesh(0).announce(partition(4), {.leader = kTwo, .term = model::Term{2}});
  cluster.world.run_for(10ms);
  EXPECT_EQ(*two().mesh(0).leaders().find(partition(4)), wanted);
}

// Goal: who was away learns what it missed, soon, and each side of a split what the other said.
// Method: announcements while broker 2 is cut off and before broker 3 starts; then all tables are
// equal within the time of some rounds of repair.
TEST_F(MeshTest, TablesAreRepaired) {
  cluster.add(3, 2);
  cluster.start(1);
  cluster.start(2);
  cluster.run_until([this] { return cluster.all_alive(); });
  cluster.network.partition("b1", "b2");
  cluster.world.run_for(2s);
  for (std::int32_t i = 0; i < 2000; ++i) {
    one().mesh(0).announce(partition(i), {.leader = kOne, .term = model::Term{i % 5 + 1}});
    two().mesh(1).announce(partition(i + 1000), {.leader = kTwo, .term = model::Term{i % 7 + 1}});
  }
  cluster.world.run_for(1s);
  EXPECT_NE(one().mesh(0).leaders().sum(), two().mesh(0).leaders().sum());
  cluster.network.heal_all();
  cluster.start(3);
  const auto equal = [this] {
    const auto sum = one().mesh(0).leaders().sum();
    for (auto& [node, broker] : cluster.brokers()) {
      for (const auto& shard : broker.shards) {
        if (shard->mesh->leaders().sum() != sum) return false;
      }
    }
    return one().mesh(0).leaders().size() == 3000;
  };
  EXPECT_TRUE(cluster.run_until(equal, 10s));
  // Once they are equal nothing more is sent for it.
  cluster.world.run_for(5s);
  const auto repairs = one().hub->metrics_now().repairs;
  cluster.world.run_for(10s);
  EXPECT_EQ(one().hub->metrics_now().repairs, repairs);
}

// A broker that lags behind does not bring a deleted topic back.
TEST_F(MeshTest, DeletedTopicsStayDeleted) {
  start();
  one().mesh(0).announce(partition(0), {.leader = kOne, .term = model::Term{1}});
  cluster.world.run_for(10ms);
  for (std::size_t shard = 0; shard < 2; ++shard)
    one().mesh(shard).forget_topic(partition(0).topic, 1);
  cluster.world.run_for(10s);
  EXPECT_EQ(one().mesh(0).leaders().size(), 0U);
  EXPECT_EQ(one().mesh(1).leaders().size(), 0U);
  EXPECT_EQ(two().mesh(0).leaders().size(), 1U);
}

}  // namespace
}  // namespace millrace::cluster
