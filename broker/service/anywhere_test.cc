// Clients that came to a broker which leads nothing of what they want.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "broker/service/fetch_anywhere.h"
#include "broker/service/groups_anywhere.h"
#include "broker/service/offsets_anywhere.h"
#include "broker/service/offsets_topic.h"
#include "broker/service/produce_anywhere.h"
#include "broker/service/testing/brokers.h"

namespace millrace::service {
namespace {

using model::BrokerId;
using model::ErrorCode;
using model::Offset;
using model::PartitionKey;
using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::BatchSpec;
using testing::Brokers;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using testing::make_batch;
using testing::values_in;

const metadata::Replicas kAll = {BrokerId{0}, BrokerId{1}, BrokerId{2}};

/// A topic whose partitions are led by brokers 0, 1 and 2.
class AnywhereTest : public ::testing::Test {
 protected:
  AnywhereTest() {
    for (std::int32_t i = 0; i < 3; ++i) {
      metadata::Replicas replicas = kAll;
      std::rotate(replicas.begin(), replicas.begin() + i, replicas.end());
      const std::string name = std::string("topic-") + std::to_string(i);
      brokers.create_topic(name, 1, replicas);
      keys.push_back(brokers.key(name, 0));
    }
    CHECK(brokers.until([&] {
      for (std::size_t i = 0; i < 9; ++i) {
        if (known_leader(brokers.shard(i / 3), keys[i % 3]).leader.value() !=
            static_cast<std::int32_t>(i % 3))
          return false;
      }
      return true;
    }));
  }
  PartitionRef target(std::size_t i) const { return {keys[i].topic, "", keys[i].index}; }

  std::vector<ProduceOutcome> produce(std::size_t broker, std::vector<std::size_t> to,
                                      const BatchSpec& spec = {},
                                      common::Duration limit = seconds(10)) {
    return brokers.wait<std::vector<ProduceOutcome>>([&](auto reply) {
      produce_anywhere(brokers.shard(broker), command(to, spec), limit, std::move(reply));
    });
  }
  ProduceCommand command(const std::vector<std::size_t>& to, const BatchSpec& spec) const {
    ProduceCommand command;
    for (const std::size_t i : to) command.items.push_back({target(i), make_batch(spec)});
    return command;
  }
  FetchCommand reading(common::Duration wait) const {
    FetchCommand command;
    command.wait_max = wait;
    for (std::size_t i = 0; i < 3; ++i) command.items.push_back({.target = target(i), .from = {}});
    return command;
  }
  std::vector<FetchOutcome> fetch(std::size_t broker, common::Duration wait = {}) {
    return brokers.wait<std::vector<FetchOutcome>>([&](auto reply) {
      fetch_anywhere(brokers.shard(broker), reading(wait), std::move(reply));
    });
  }

  Brokers brokers;
  std::vector<PartitionKey> keys;
};

std::vector<ErrorCode> codes(const std::vector<ProduceOutcome>& outcomes) {
  std::vector<ErrorCode> codes;
  for (const ProduceOutcome& outcome : outcomes) codes.push_back(outcome.code);
  return codes;
}

TEST_F(AnywhereTest, RecordsReachTheLeadersAndComeBackFromThem) {
  const auto outcomes = produce(1, {0, 1, 2});
  EXPECT_THAT(codes(outcomes), Each(ErrorCode::kNone));
  for (const ProduceOutcome& outcome : outcomes) EXPECT_EQ(outcome.appended.base_offset, Offset{0});
  for (std::size_t broker = 0; broker < 3; ++broker) {
    for (const FetchOutcome& read : fetch(broker)) {
      EXPECT_EQ(read.code, ErrorCode::kNone) << read.detail;
      EXPECT_THAT(values_in(read), ElementsAre("value"));
      EXPECT_EQ(read.bounds.high_watermark, Offset{1});
    }
  }
}

TEST_F(AnywhereTest, ARefusalOfTheLeaderIsTold) {
  PartitionRef unknown = target(0);
  unknown.topic_id = common::Uuid{{77}};
  const common::Bytes batch = make_batch(BatchSpec{});
  const auto outcomes = brokers.wait<std::vector<ProduceOutcome>>([&](auto reply) {
    ProduceCommand command;
    command.items.push_back({target(2), common::Bytes::copy_of("no batch")});
    command.items.push_back({unknown, batch});
    produce_anywhere(brokers.shard(0), std::move(command), seconds(10), std::move(reply));
  });
  EXPECT_EQ(outcomes[0].code, ErrorCode::kCorruptMessage);
  EXPECT_EQ(outcomes[1].code, ErrorCode::kUnknownTopicId);
}

// Goal: a client notices a lost leader as a pause. Method: the leader's power goes while batches
// with and without a sequence are under way to it.
TEST_F(AnywhereTest, ALostLeaderIsAPauseAndNothingIsThereTwice) {
  ASSERT_THAT(codes(produce(1, {0})), Each(ErrorCode::kNone));
  brokers.crash(0);
  BatchSpec sequenced{.values = {"once"}, .producer = model::ProducerId{5}, .sequence = 0};
  EXPECT_THAT(codes(produce(1, {0}, sequenced)), Each(ErrorCode::kNone));
  EXPECT_THAT(codes(produce(2, {0}, sequenced)),
              Each(ErrorCode::kNone));  // a retry of the client's
  const std::size_t leader = *brokers.leader(keys[0]);
  EXPECT_NE(leader, 0u);
  EXPECT_THAT(values_in(brokers.fetch_one(leader, keys[0])), ElementsAre("value", "once"));
}

TEST_F(AnywhereTest, WhatMayHaveBeenWrittenIsNotWrittenAgainWithoutASequence) {
  // The leader takes the batch and can neither commit it nor answer.
  brokers.cut_off(0);
  std::optional<std::vector<ProduceOutcome>> outcomes;
  produce_anywhere(brokers.shard(0), command({0}, {}), seconds(10),
                   [&](std::vector<ProduceOutcome> done) { outcomes = std::move(done); });
  ASSERT_TRUE(brokers.until([&] { return outcomes.has_value(); }));
  EXPECT_EQ(outcomes->front().code, ErrorCode::kRequestTimedOut);
  EXPECT_THAT(outcomes->front().detail, ::testing::HasSubstr("may be there or not"));
  brokers.heal();
}

TEST_F(AnywhereTest, WithoutALeaderTheLimitIsKept) {
  brokers.crash(0);
  brokers.crash(2);
  brokers.world.run_for(seconds(2));  // what is sent to a broker that is not missed yet is unsure
  const auto before = brokers.world.clock().now();
  const auto outcomes = produce(1, {0}, {}, seconds(3));
  const auto took = brokers.world.clock().now() - before;
  EXPECT_NE(outcomes.front().code, ErrorCode::kNone);
  EXPECT_GE(took, seconds(3));
  EXPECT_LT(took, seconds(5));
}

// Goal: a client is not kept for ever by replicas that are away. Method: a leader alone, which has
// not missed the others yet, or has.
TEST_F(AnywhereTest, AWriteThatTooFewReplicasHaveIsAnsweredInTime) {
  brokers.crash(1);
  brokers.crash(2);
  const auto before = brokers.world.clock().now();
  const auto outcomes = produce(0, {0}, {}, seconds(3));
  EXPECT_EQ(outcomes.front().code, ErrorCode::kRequestTimedOut) << outcomes.front().detail;
  EXPECT_LT(brokers.world.clock().now() - before, seconds(6));
}

TEST_F(AnywhereTest, AFetchWaitsForNewsOfAnyLeader) {
  std::optional<std::vector<FetchOutcome>> read;
  auto handle = fetch_anywhere(brokers.shard(1), reading(seconds(10)),
                               [&](std::vector<FetchOutcome> done) { read = std::move(done); });
  brokers.world.run_for(seconds(1));
  EXPECT_FALSE(read.has_value());
  ASSERT_EQ(brokers.produce_one(2, keys[2]).code, ErrorCode::kNone);
  brokers.world.run_for(milliseconds(100));
  ASSERT_TRUE(read.has_value());
  EXPECT_THAT(values_in((*read)[0]), IsEmpty());
  EXPECT_THAT(values_in((*read)[2]), ElementsAre("value"));
}

TEST_F(AnywhereTest, AReaderThatGoesLeavesNothingWaiting) {
  std::optional<std::vector<FetchOutcome>> read;
  auto handle = fetch_anywhere(brokers.shard(1), reading(seconds(60)),
                               [&](std::vector<FetchOutcome> done) { read = std::move(done); });
  brokers.world.run_for(seconds(1));
  handle->cancel();
  brokers.world.run_for(milliseconds(100));
  ASSERT_TRUE(read.has_value());
  for (const FetchOutcome& outcome : *read) EXPECT_EQ(outcome.code, ErrorCode::kNone);
}

TEST_F(AnywhereTest, AFetchWhoseLeaderDiesEndsSoon) {
  std::optional<std::vector<FetchOutcome>> read;
  auto handle = fetch_anywhere(brokers.shard(1), reading(seconds(60)),
                               [&](std::vector<FetchOutcome> done) { read = std::move(done); });
  brokers.world.run_for(milliseconds(500));
  brokers.crash(2);
  ASSERT_TRUE(brokers.until([&] { return read.has_value(); }, seconds(5)));
  EXPECT_EQ((*read)[2].code, ErrorCode::kNotLeaderOrFollower);
  EXPECT_EQ((*read)[0].code, ErrorCode::kNone);
}

TEST_F(AnywhereTest, OffsetsFrontsAndProducers) {
  ASSERT_THAT(
      codes(produce(0, {0, 1, 2}, {.values = {"a", "b", "c"}, .producer = model::ProducerId{8}})),
      Each(ErrorCode::kNone));
  const auto offsets = brokers.wait<std::vector<OffsetAnswer>>([&](auto reply) {
    std::vector<OffsetQuery> queries;
    for (std::size_t i = 0; i < 3; ++i) queries.push_back({.target = target(i), .at = kLatest});
    list_offsets_anywhere(brokers.shard(2), std::move(queries), replica::Isolation::kReadCommitted,
                          seconds(5), std::move(reply));
  });
  for (const OffsetAnswer& answer : offsets) EXPECT_EQ(answer.offset, Offset{3});
  const auto trimmed = brokers.wait<std::vector<DeleteRecordsOutcome>>([&](auto reply) {
    delete_records_anywhere(brokers.shard(2), {{target(0), Offset{2}}, {target(1), Offset{99}}},
                            seconds(5), std::move(reply));
  });
  EXPECT_EQ(trimmed[0].low_watermark, Offset{2});
  EXPECT_EQ(trimmed[1].code, ErrorCode::kOffsetOutOfRange);
  const auto producers = brokers.wait<std::vector<ProducersAnswer>>([&](auto reply) {
    describe_producers_anywhere(brokers.shard(2), {target(0)}, seconds(5), std::move(reply));
  });
  ASSERT_EQ(producers[0].producers.size(), 1u);
  EXPECT_EQ(producers[0].producers[0].producer_id, model::ProducerId{8});
  EXPECT_EQ(producers[0].producers[0].last_sequence(), 2);
}

TEST_F(AnywhereTest, AMemberIsServedByACoordinatorOnAnotherBroker) {
  brokers.create_topic(std::string(kOffsetsTopic), 1, {BrokerId{2}, BrokerId{0}, BrokerId{1}},
                       {{"cleanup.policy", "compact"}});
  const auto beat = [&](std::size_t broker, std::int32_t epoch, std::string member) {
    return brokers.wait<coordinator::ConsumerHeartbeatOutcome>([&](auto reply) {
      coordinator::ConsumerHeartbeat request;
      request.group = "orders-app";
      request.member = member;
      request.epoch = coordinator::Epoch{epoch};
      request.rebalance_timeout_ms = 60'000;
      request.topics = {{"topic-0"}};
      request.owned.emplace();
      consumer_heartbeat_anywhere(brokers.shard(broker), std::move(request), std::move(reply));
    });
  };
  coordinator::ConsumerHeartbeatOutcome joined;
  for (int tries = 0; tries < 50; ++tries) {
    joined = beat(0, 0, "m");
    if (joined.status.ok()) break;
    brokers.world.run_for(milliseconds(100));
  }
  ASSERT_TRUE(joined.status.ok()) << joined.status.detail;
  const coordinator::Epoch epoch = joined.epoch;
  const auto committed = brokers.wait<coordinator::OffsetCommitOutcome>([&](auto reply) {
    coordinator::OffsetCommit request{.group = "orders-app", .epoch = epoch, .member = "m"};
    request.partitions.push_back(
        {.topic = {"topic-0", keys[0].topic}, .partition = 0, .offset = Offset{42}});
    commit_offsets_anywhere(brokers.shard(1), std::move(request), std::move(reply));
  });
  EXPECT_THAT(committed.partitions, ElementsAre(ErrorCode::kNone)) << committed.status.detail;
  const auto fetched = brokers.wait<coordinator::OffsetFetchOutcome>([&](auto reply) {
    fetch_offsets_anywhere(brokers.shard(0), {.group = "orders-app"}, std::move(reply));
  });
  ASSERT_EQ(fetched.partitions.size(), 1u) << fetched.status.detail;
  EXPECT_EQ(fetched.partitions[0].committed.offset, Offset{42});
  EXPECT_EQ(beat(1, 99, "m").status.code, ErrorCode::kFencedMemberEpoch);
}

}  // namespace
}  // namespace millrace::service
