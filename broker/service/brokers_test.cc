// Several brokers with the shipping code between them: who leads, who refuses, what moves.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "broker/replica/retirement.h"
#include "broker/service/elections.h"
#include "broker/service/group_report.h"
#include "broker/service/groups.h"
#include "broker/service/hand_over.h"
#include "broker/service/offsets.h"
#include "broker/service/offsets_topic.h"
#include "broker/service/partition_facts.h"
#include "broker/service/producers.h"
#include "broker/service/testing/brokers.h"
#include "broker/service/testing/group_clients.h"

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
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;
using testing::values_in;

const metadata::Replicas kAll = {BrokerId{0}, BrokerId{1}, BrokerId{2}};

KnownLeader known(Brokers& brokers, std::size_t broker, const PartitionKey& key) {
  return brokers
      .wait<std::vector<KnownLeader>>(
          [&](auto reply) { known_leaders(brokers.shard(broker), {key}, std::move(reply)); })
      .front();
}
/// Until every broker that runs says that this one leads.
bool agree(Brokers& brokers, const PartitionKey& key, BrokerId leader) {
  return brokers.until([&] {
    for (std::size_t i = 0; i < 3; ++i) {
      if (brokers.running(i) && known_leader(brokers.shard(i), key).leader != leader) return false;
    }
    return true;
  });
}
bool in_sync(Brokers& brokers, const PartitionKey& key, std::size_t count) {
  return brokers.until([&] {
    const auto leader = brokers.leader(key);
    return leader && brokers.replica(*leader, key)->in_sync().size() == count;
  });
}

// ---- Leaders

TEST(BrokersTest, TheFirstReplicaLeadsAtOnceAndAllKnow) {
  Brokers brokers;
  const auto before = brokers.world.clock().now();
  brokers.create_topic("orders", 1, {BrokerId{2}, BrokerId{0}, BrokerId{1}});
  EXPECT_LT(brokers.world.clock().now() - before, milliseconds(200));
  const PartitionKey key = brokers.key("orders", 0);
  EXPECT_EQ(brokers.leader(key), 2u);
  ASSERT_TRUE(agree(brokers, key, BrokerId{2}));
  ASSERT_TRUE(in_sync(brokers, key, 3));
  brokers.world.run_for(seconds(2));
  EXPECT_THAT(known(brokers, 0, key).in_sync, UnorderedElementsAre(kAll[0], kAll[1], kAll[2]));
  EXPECT_EQ(known(brokers, 0, key).epoch, brokers.replica(2, key)->term());
}

// Goal: a replica that was moved away is not made anew, blank, by a broker that starts with the
// metadata of before. Method: a broker that may lag hears of a topic; then it is up to date.
TEST(BrokersTest, WhoMayHaveOldMetadataMakesNoReplicas) {
  Brokers brokers;
  for (std::size_t s = 0; s < 2; ++s) brokers.shard(0, s).await_newest_image();
  brokers.create_topic("orders", 4, kAll);
  for (int i = 0; i < 4; ++i) EXPECT_EQ(brokers.replica(0, brokers.key("orders", i)), nullptr);
  for (std::size_t s = 0; s < 2; ++s) brokers.shard(0, s).image_is_newest();
  for (int i = 0; i < 4; ++i) EXPECT_NE(brokers.replica(0, brokers.key("orders", i)), nullptr);
  ASSERT_TRUE(in_sync(brokers, brokers.key("orders", 0), 3));
}

TEST(BrokersTest, OnlyTheLeaderTakesRecordsAndTheOthersSayWhoItIs) {
  Brokers brokers;
  brokers.create_topic("orders", 1, kAll);
  const PartitionKey key = brokers.key("orders", 0);
  ASSERT_TRUE(agree(brokers, key, BrokerId{0}));
  EXPECT_EQ(brokers.produce_one(0, key).code, ErrorCode::kNone);
  const ProduceOutcome refused = brokers.produce_one(1, key);
  EXPECT_EQ(refused.code, ErrorCode::kNotLeaderOrFollower);
  EXPECT_EQ(refused.leader.leader, BrokerId{0});
  EXPECT_EQ(refused.leader.epoch, brokers.replica(0, key)->term());
  const FetchOutcome read = brokers.fetch_one(2, key);
  EXPECT_EQ(read.code, ErrorCode::kNotLeaderOrFollower);
  EXPECT_EQ(read.leader.leader, BrokerId{0});
  EXPECT_THAT(values_in(brokers.fetch_one(0, key)), ElementsAre("value"));
}

TEST(BrokersTest, ABrokerWithoutAReplicaSaysWhoHasOne) {
  Brokers brokers({.brokers = 4});
  brokers.create_topic("orders", 1, kAll);
  const PartitionKey key = brokers.key("orders", 0);
  ASSERT_TRUE(brokers.until(
      [&] { return known_leader(brokers.shard(3).owner(key), key).leader == BrokerId{0}; }));
  const ProduceOutcome refused = brokers.produce_one(3, key);
  EXPECT_EQ(refused.code, ErrorCode::kNotLeaderOrFollower);
  EXPECT_EQ(refused.leader.leader, BrokerId{0});
  EXPECT_EQ(brokers.fetch_one(3, key, {}, true).code, ErrorCode::kNotLeaderOrFollower);
}

// Goal: what was acknowledged outlives its leader, and all hear of the next one. Method: the power
// of the leader goes.
TEST(BrokersTest, AnotherReplicaTakesOver) {
  Brokers brokers;
  brokers.create_topic("orders", 1, kAll);
  const PartitionKey key = brokers.key("orders", 0);
  for (int i = 0; i < 20; ++i) EXPECT_EQ(brokers.produce_one(0, key).code, ErrorCode::kNone);
  brokers.crash(0);
  ASSERT_TRUE(brokers.until([&] { return brokers.leader(key).has_value(); }, seconds(5)));
  const std::size_t next = *brokers.leader(key);
  EXPECT_NE(next, 0u);
  ASSERT_TRUE(agree(brokers, key, BrokerId{static_cast<std::int32_t>(next)}));
  EXPECT_GE(brokers.shard(next).owner(key).replicas().counters().elections_started, 1u);
  EXPECT_THAT(values_in(brokers.fetch_one(next, key)), SizeIs(20));
  EXPECT_EQ(brokers.produce_one(next, key).appended.base_offset, Offset{20});
  EXPECT_THAT(known(brokers, next, key).in_sync, SizeIs(2));
  brokers.start(0);
  ASSERT_TRUE(
      brokers.until([&] { return brokers.replica(0, key)->bounds().log_end == Offset{21}; }));
  ASSERT_TRUE(in_sync(brokers, key, 3));
  EXPECT_EQ(brokers.leader(key), next) << "coming back changes no leader";
}

// Goal: a client whose connection to a leader breaks asks who leads now, sooner than anybody can;
// it is told when that is known. Method: ask just after a leader's process was killed.
TEST(BrokersTest, WhoAsksWhenALeaderDiesIsToldOfTheNext) {
  Brokers brokers;
  brokers.create_topic("orders", 1, kAll);
  const PartitionKey key = brokers.key("orders", 0);
  ASSERT_TRUE(agree(brokers, key, BrokerId{0}));
  const auto ask = [&](bool& told) {
    await_successors(brokers.shard(1), {key}, [&told](const auto&) { told = true; });
  };
  bool told = false;
  ask(told);
  EXPECT_TRUE(told) << "nobody was lost";
  brokers.kill(0);
  brokers.world.run_for(milliseconds(5));
  ASSERT_EQ(known(brokers, 1, key).leader, BrokerId{0}) << "nobody else leads yet";
  told = false;
  ask(told);
  EXPECT_FALSE(told);
  ASSERT_TRUE(brokers.until([&] { return told; }, kSuccessorsMax));
  const BrokerId next = known(brokers, 1, key).leader;
  EXPECT_TRUE(next == BrokerId{1} || next == BrokerId{2});
  brokers.world.run_for(cluster::kLostMax);
  told = false;
  ask(told);
  EXPECT_TRUE(told) << "it is long ago";
}

TEST(BrokersTest, AKilledProcessIsReplacedBeforeItsSilenceWouldTell) {
  Brokers brokers;
  brokers.create_topic("orders", 1, kAll);
  const PartitionKey key = brokers.key("orders", 0);
  const auto before = brokers.world.clock().now();
  brokers.kill(0);
  ASSERT_TRUE(brokers.until([&] { return brokers.leader(key).has_value(); }, seconds(5)));
  EXPECT_LT(brokers.world.clock().now() - before, milliseconds(700));
}

// Goal: a leader that is cut off acknowledges nothing and stops to lead. Method: as said; what
// waits there is answered, and the other side goes on.
TEST(BrokersTest, ALeaderThatIsCutOffGivesUp) {
  Brokers brokers;
  brokers.create_topic("orders", 1, kAll);
  const PartitionKey key = brokers.key("orders", 0);
  EXPECT_EQ(brokers.produce_one(0, key).code, ErrorCode::kNone);
  brokers.cut_off(0);
  const ProduceOutcome lost = brokers.produce_one(0, key, {.values = {"lost"}});
  EXPECT_NE(lost.code, ErrorCode::kNone);
  ASSERT_TRUE(brokers.until([&] {
    const auto leader = brokers.leader(key);
    return leader && *leader != 0;
  }));
  EXPECT_EQ(brokers.produce_one(*brokers.leader(key), key, {.values = {"kept"}}).code,
            ErrorCode::kNone);
  brokers.heal();
  ASSERT_TRUE(in_sync(brokers, key, 3));
  EXPECT_THAT(values_in(brokers.fetch_one(*brokers.leader(key), key)),
              ElementsAre("value", "kept"));
}

// Goal: a broker that stops leaves no partition without a leader for long. Method: all it leads is
// handed over before it closes; produces go on at its heirs at once.
TEST(BrokersTest, ABrokerThatStopsHandsOverFirst) {
  Brokers brokers;
  brokers.create_topic("orders", 6, kAll);
  for (int i = 0; i < 6; ++i) brokers.produce_surely(brokers.key("orders", i));
  for (std::size_t s = 0; s < 2; ++s) {
    const auto left = brokers.wait<std::size_t>(
        [&](auto reply) { hand_over_all(brokers.shard(0, s), seconds(5), std::move(reply)); });
    EXPECT_EQ(left, 0u);
  }
  for (int i = 0; i < 6; ++i) {
    const PartitionKey key = brokers.key("orders", i);
    ASSERT_TRUE(brokers.until([&] { return brokers.leader(key).has_value(); }, milliseconds(50)));
    EXPECT_NE(brokers.leader(key), 0u);
    EXPECT_EQ(brokers.produce_one(*brokers.leader(key), key).code, ErrorCode::kNone);
  }
  brokers.stop(0);
  brokers.start(0);
  ASSERT_TRUE(in_sync(brokers, brokers.key("orders", 0), 3));
}

TEST(BrokersTest, LeadersAreElectedByWish) {
  Brokers brokers;
  brokers.create_topic("orders", 2, kAll);
  const PartitionKey key = brokers.key("orders", 0);
  ASSERT_TRUE(agree(brokers, key, BrokerId{0}));
  const auto moved = brokers.wait<common::Result<void>>([&](auto reply) {
    transfer_leader(brokers.shard(2), key, BrokerId{1}, seconds(2), std::move(reply));
  });
  EXPECT_TRUE(moved.ok()) << moved.error().detail;
  ASSERT_TRUE(agree(brokers, key, BrokerId{1}));
  const auto elect = [&](Election election) {
    return brokers.wait<std::vector<ElectionOutcome>>([&](auto reply) {
      elect_leaders(brokers.shard(2),
                    {{key.topic, "", model::PartitionIndex{0}},
                     {key.topic, "", model::PartitionIndex{1}},
                     {{}, "none", model::PartitionIndex{0}}},
                    election, seconds(2), std::move(reply));
    });
  };
  auto outcomes = elect(Election::kUnclean);
  EXPECT_EQ(outcomes[0].code, ErrorCode::kElectionNotNeeded);
  outcomes = elect(Election::kPreferred);
  EXPECT_EQ(outcomes[0].code, ErrorCode::kNone) << outcomes[0].detail;
  EXPECT_EQ(outcomes[1].code, ErrorCode::kElectionNotNeeded);
  EXPECT_EQ(outcomes[2].code, ErrorCode::kUnknownTopicOrPartition);
  ASSERT_TRUE(agree(brokers, key, BrokerId{0}));
  brokers.crash(0);
  ASSERT_TRUE(brokers.until([&] { return brokers.leader(key).has_value(); }));
  EXPECT_EQ(elect(Election::kPreferred)[0].code, ErrorCode::kPreferredLeaderNotAvailable);
  brokers.crash(1);
  brokers.world.run_for(seconds(5));
  EXPECT_EQ(elect(Election::kUnclean)[0].code, ErrorCode::kEligibleLeadersNotAvailable);
}

TEST(BrokersTest, ATransferToOneThatCannotLeadIsRefused) {
  Brokers brokers({.brokers = 4});
  brokers.create_topic("orders", 1, kAll);
  const PartitionKey key = brokers.key("orders", 0);
  ASSERT_TRUE(agree(brokers, key, BrokerId{0}));
  const auto moved = brokers.wait<common::Result<void>>([&](auto reply) {
    transfer_leader(brokers.shard(1), key, BrokerId{3}, seconds(2), std::move(reply));
  });
  EXPECT_EQ(moved.error().code, ErrorCode::kReplicaNotAvailable);
  EXPECT_EQ(brokers.leader(key), 0u);
}

// ---- Too few

TEST(BrokersTest, TooFewInSyncTakeNothing) {
  Brokers brokers;
  brokers.create_topic("orders", 1, kAll, {{"min.insync.replicas", "3"}});
  const PartitionKey key = brokers.key("orders", 0);
  ASSERT_TRUE(in_sync(brokers, key, 3));
  EXPECT_EQ(brokers.produce_one(0, key).code, ErrorCode::kNone);
  brokers.kill(2);
  ASSERT_TRUE(brokers.until([&] { return !brokers.shard(0).alive(BrokerId{2}); }));
  EXPECT_EQ(brokers.produce_one(0, key).code, ErrorCode::kNotEnoughReplicas);
  EXPECT_EQ(brokers.produce_one(0, key, {}, replica::Acks::kLeader).code, ErrorCode::kNone);
  brokers.start(2);
  ASSERT_TRUE(in_sync(brokers, key, 3));
  EXPECT_EQ(brokers.produce_one(0, key).code, ErrorCode::kNone);
}

// Goal: a producer learns in its time that what it wrote has too few copies, or that it may have.
// Method: a replica loses its power before anybody knows; then the other one too. Afterwards what
// was written is there, once.
TEST(BrokersTest, AProducerDoesNotWaitForEver) {
  Brokers brokers;
  brokers.create_topic("orders", 1, kAll, {{"min.insync.replicas", "3"}});
  const PartitionKey key = brokers.key("orders", 0);
  ASSERT_TRUE(in_sync(brokers, key, 3));
  const auto produce = [&](const std::string& value) {
    return brokers.produce_one(0, key, {.values = {value}}, replica::Acks::kAll, milliseconds(400));
  };
  EXPECT_EQ(produce("a").code, ErrorCode::kNone);
  brokers.crash(2);
  const auto before = brokers.world.clock().now();
  EXPECT_EQ(produce("b").code, ErrorCode::kNotEnoughReplicasAfterAppend);
  EXPECT_LT(brokers.world.clock().now() - before, milliseconds(600));
  brokers.crash(1);
  EXPECT_EQ(produce("c").code, ErrorCode::kRequestTimedOut);
  brokers.start(1);
  brokers.start(2);
  ASSERT_TRUE(in_sync(brokers, key, 3));
  brokers.produce_surely(key, {.values = {"d"}});
  ASSERT_TRUE(brokers.until(
      [&] { return brokers.replica(*brokers.leader(key), key)->replica().leased(); }));
  std::vector<std::string> values = values_in(brokers.fetch_one(*brokers.leader(key), key));
  // Nobody knew what would become of "c".
  std::erase(values, "c");
  EXPECT_THAT(values, ElementsAre("a", "b", "d"));
}

// ---- Readers

// Goal: offsets are told by leaders only, by those that know what is committed. Method: ask each.
TEST(BrokersTest, OnlyTheLeaderTellsOffsets) {
  Brokers brokers;
  brokers.create_topic("orders", 1, kAll);
  const PartitionKey key = brokers.key("orders", 0);
  brokers.produce_surely(key, {.values = {"a", "b"}});
  const auto ask = [&](std::size_t broker) {
    return brokers
        .wait<std::vector<OffsetAnswer>>([&](auto reply) {
          list_offsets(brokers.shard(broker), {{.target = {key.topic, "", key.index}}},
                       replica::Isolation::kReadUncommitted, std::move(reply));
        })
        .front();
  };
  EXPECT_EQ(ask(0).offset, Offset{2});
  EXPECT_EQ(ask(1).code, ErrorCode::kNotLeaderOrFollower);
  const auto epochs = brokers.wait<std::vector<EpochAnswer>>([&](auto reply) {
    offsets_for_epochs(brokers.shard(1), {{.target = {key.topic, "", key.index}, .epoch = {}}},
                       std::move(reply));
  });
  EXPECT_EQ(epochs.front().code, ErrorCode::kNotLeaderOrFollower);
  const auto deleted = brokers.wait<std::vector<DeleteRecordsOutcome>>([&](auto reply) {
    delete_records(brokers.shard(2), {{.target = {key.topic, "", key.index}, .before = Offset{1}}},
                   std::move(reply));
  });
  EXPECT_EQ(deleted.front().code, ErrorCode::kNotLeaderOrFollower);
}

TEST(BrokersTest, OldAndNewEpochsAreToldApart) {
  Brokers brokers;
  brokers.create_topic("orders", 1, kAll);
  const PartitionKey key = brokers.key("orders", 0);
  const model::Term first = brokers.replica(0, key)->term();
  brokers.crash(0);
  ASSERT_TRUE(brokers.until([&] { return brokers.leader(key).has_value(); }));
  const std::size_t leader = *brokers.leader(key);
  const auto fetch_in = [&](model::Term epoch) {
    FetchCommand command;
    command.items.push_back(
        {.target = {key.topic, "", key.index}, .from = {}, .leader_epoch = epoch});
    return brokers
        .wait<std::vector<FetchOutcome>>(
            [&](auto reply) { fetch(brokers.shard(leader), std::move(command), std::move(reply)); })
        .front();
  };
  const FetchOutcome fenced = fetch_in(first);
  EXPECT_EQ(fenced.code, ErrorCode::kFencedLeaderEpoch);
  EXPECT_EQ(fenced.leader.leader, BrokerId{static_cast<std::int32_t>(leader)});
  EXPECT_EQ(fetch_in(brokers.replica(leader, key)->term() + 1).code,
            ErrorCode::kUnknownLeaderEpoch);
  EXPECT_EQ(fetch_in(brokers.replica(leader, key)->term()).code, ErrorCode::kNone);
}

// Goal: where each epoch ended is told the same by whoever leads, which is how clients find out
// that nothing of what they read was cut off. Method: two leaders write; the second is asked.
TEST(BrokersTest, EpochsEndWhereTheNextOnesBegin) {
  Brokers brokers;
  brokers.create_topic("orders", 1, kAll);
  const PartitionKey key = brokers.key("orders", 0);
  brokers.produce_surely(key, {.values = {"a", "b", "c"}});
  const model::Term first = brokers.replica(0, key)->term();
  brokers.crash(0);
  ASSERT_TRUE(brokers.until([&] { return brokers.leader(key).has_value(); }));
  const std::size_t leader = *brokers.leader(key);
  const model::Term second = brokers.replica(leader, key)->term();
  brokers.produce_surely(key, {.values = {"d", "e"}});
  const auto end_of = [&](model::Term epoch) {
    return brokers
        .wait<std::vector<EpochAnswer>>([&](auto reply) {
          offsets_for_epochs(brokers.shard(leader),
                             {{.target = {key.topic, "", key.index}, .epoch = epoch}},
                             std::move(reply));
        })
        .front();
  };
  EXPECT_EQ(end_of(first).epoch, first);
  EXPECT_EQ(end_of(first).end_offset, Offset{3});
  EXPECT_EQ(end_of(second).epoch, second);
  EXPECT_EQ(end_of(second).end_offset, Offset{5});
  EXPECT_EQ(end_of(second + 1).epoch, model::Term{-1});
}

// Goal: a reader that says where it is reads from a replica there. Method: racks a, b, b; a reader
// in b is sent to one of these, which has what is committed.
TEST(BrokersTest, AReaderIsSentToTheNearestReplica) {
  Brokers brokers({.brokers = 3, .racks = {"a", "b", "b"}});
  brokers.create_topic("orders", 1, kAll);
  const PartitionKey key = brokers.key("orders", 0);
  brokers.produce_surely(key, {.values = {"x", "y"}});
  ASSERT_TRUE(in_sync(brokers, key, 3));
  const FetchOutcome sent = brokers.fetch_one(0, key, {}, true, "b");
  EXPECT_EQ(sent.code, ErrorCode::kNone);
  EXPECT_EQ(sent.nearer, BrokerId{1});
  EXPECT_THAT(sent.pieces, IsEmpty());
  EXPECT_EQ(brokers.fetch_one(0, key, {}, true, "a").nearer, BrokerId{-1});
  EXPECT_EQ(brokers.fetch_one(0, key, {}, true, "c").nearer, BrokerId{-1});
  ASSERT_TRUE(
      brokers.until([&] { return brokers.replica(1, key)->bounds().high_watermark == Offset{2}; }));
  EXPECT_THAT(values_in(brokers.fetch_one(1, key, {}, true, "b")), ElementsAre("x", "y"));
  EXPECT_EQ(brokers.fetch_one(1, key, Offset{99}, true, "b").code, ErrorCode::kOffsetNotAvailable);
  EXPECT_EQ(brokers.fetch_one(0, key, Offset{99}, true).code, ErrorCode::kOffsetOutOfRange);
}

// A reader that comes by a listener for clients outside could not go to a replica without an
// address there.
TEST(BrokersTest, AReaderIsSentWhereItsListenerHasAnAddress) {
  Brokers brokers({.brokers = 3, .racks = {"a", "b", "b"}});
  brokers.create_topic("orders", 1, kAll);
  const PartitionKey key = brokers.key("orders", 0);
  brokers.produce_surely(key, {.values = {"x"}});
  ASSERT_TRUE(in_sync(brokers, key, 3));
  const auto nearer = [&](const std::string& listener) {
    FetchCommand command{.items = {}, .from_followers = true, .rack = "b", .listener = listener};
    command.items.push_back({.target = {key.topic, "", key.index}, .from = {}});
    const auto outcomes = brokers.wait<std::vector<FetchOutcome>>(
        [&](auto reply) { fetch(brokers.shard(0), std::move(command), std::move(reply)); });
    return outcomes.front().nearer;
  };
  EXPECT_EQ(nearer("kafka"), BrokerId{1});
  EXPECT_EQ(nearer("office"), BrokerId{-1});
  metadata::RegisterBroker told{.broker = brokers.shard(0).image().brokers().at(BrokerId{2})};
  told.broker.endpoints.push_back({"office", "two.example", 31002});
  brokers.change(told);
  EXPECT_TRUE(brokers.until([&] { return nearer("office") == BrokerId{2}; }));
}

// Goal: a fetch that waits at a leader hears of it when that leads no more. Method: hand over while
// it waits.
TEST(BrokersTest, AWaitingFetchEndsWithTheLeadership) {
  Brokers brokers;
  brokers.create_topic("orders", 1, kAll);
  const PartitionKey key = brokers.key("orders", 0);
  ASSERT_TRUE(in_sync(brokers, key, 3));
  FetchCommand command{.items = {}, .wait_max = seconds(30)};
  command.items.push_back({.target = {key.topic, "", key.index}, .from = {}});
  std::optional<FetchOutcome> outcome;
  const auto handle =
      fetch(brokers.shard(0), std::move(command),
            [&](std::vector<FetchOutcome> found) { outcome = std::move(found.front()); });
  brokers.world.run_for(seconds(1));
  EXPECT_FALSE(outcome.has_value());
  transfer_leader(brokers.shard(0), key, BrokerId{1}, seconds(2), [](common::Result<void>) {});
  ASSERT_TRUE(brokers.until([&] { return outcome.has_value(); }, seconds(1)));
  EXPECT_EQ(outcome->code, ErrorCode::kNotLeaderOrFollower);
}

TEST(BrokersTest, FactsComeFromWhoeverLeads) {
  Brokers brokers;
  brokers.create_topic("orders", 3);
  std::vector<PartitionKey> keys;
  for (int i = 0; i < 3; ++i) {
    keys.push_back(brokers.key("orders", i));
    for (int n = 0; n <= i; ++n) brokers.produce_surely(keys.back());
  }
  brokers.world.run_for(seconds(2));
  for (std::size_t broker = 0; broker < 3; ++broker) {
    const auto facts = brokers.wait<std::vector<std::optional<PartitionFacts>>>(
        [&](auto reply) { partition_facts(brokers.shard(broker), keys, std::move(reply)); });
    for (std::size_t i = 0; i < 3; ++i) {
      ASSERT_TRUE(facts[i].has_value()) << broker << " " << i;
      EXPECT_EQ(facts[i]->end, Offset{static_cast<std::int64_t>(i) + 1});
    }
    const auto report = brokers.wait<common::Result<GroupReport>>([&](auto reply) {
      describe_group(brokers.shard(broker), keys[0], seconds(2), std::move(reply));
    });
    ASSERT_TRUE(report.ok()) << report.error().detail;
    EXPECT_THAT(report->members, SizeIs(3));
    EXPECT_EQ(report->commit, Offset{1});
  }
}

// ---- Moves

/// Until the voters of a partition are on these brokers.
bool voters_are(Brokers& brokers, const PartitionKey& key, std::vector<std::size_t> wanted) {
  return brokers.until([&] {
    const auto leader = brokers.leader(key);
    if (!leader) return false;
    const raft::VoterSet& config = brokers.replica(*leader, key)->group()->config();
    if (!config.learners.empty() || config.voters.size() != wanted.size()) return false;
    for (const raft::ReplicaId& id : brokers.replica_ids(wanted)) {
      if (!config.is_voter(id)) return false;
    }
    return true;
  });
}
metadata::ReplicaSet replica_set(Brokers& brokers, std::vector<std::size_t> wanted) {
  metadata::ReplicaSet set;
  for (const raft::ReplicaId& id : brokers.replica_ids(wanted))
    set.push_back({.broker = id.node, .directory = id.directory});
  return set;
}

/// All that is left of a replica that went is what it must not forget.
void expect_retired(Brokers& brokers, std::size_t broker, const PartitionKey& key) {
  const storage::Log* const left = brokers.shard(broker).owner(key).store().find(key);
  ASSERT_NE(left, nullptr);
  EXPECT_TRUE(replica::is_retired(*left));
  EXPECT_EQ(left->end_offset(), Offset{0});
}

// Goal: a move ends where it should, loses nothing, and what is left behind goes, once a committed
// record says that it is over. Method: the leader leaves as well.
TEST(BrokersTest, APartitionMovesToOtherBrokers) {
  Brokers brokers({.brokers = 5});
  brokers.create_topic("orders", 1, kAll);
  const PartitionKey key = brokers.key("orders", 0);
  for (int i = 0; i < 10; ++i) brokers.produce_surely(key);
  brokers.move(key, {3, 4, 2});
  for (int i = 0; i < 10; ++i) brokers.produce_surely(key);
  ASSERT_TRUE(voters_are(brokers, key, {2, 3, 4}));
  EXPECT_NE(brokers.replica(0, key), nullptr) << "nothing goes before the move is over";
  brokers.commit({metadata::MoveCompleted{key, replica_set(brokers, {3, 4, 2})}});
  // At once, or once the leader has said that they are no members.
  for (const std::size_t gone : {0u, 1u}) {
    ASSERT_TRUE(brokers.until([&] { return brokers.replica(gone, key) == nullptr; }));
    expect_retired(brokers, gone, key);
  }
  brokers.produce_surely(key);
  EXPECT_THAT(values_in(brokers.fetch_one(*brokers.leader(key), key)), SizeIs(21));
  EXPECT_EQ(brokers.produce_one(0, key).code, ErrorCode::kNotLeaderOrFollower);
}

// Goal: a move that is called off leaves nothing behind and takes nothing away. Method: call it off
// when the new replica votes already; it goes once its group does without it.
TEST(BrokersTest, ACancelledMoveIsTakenBack) {
  Brokers brokers({.brokers = 4});
  brokers.create_topic("orders", 1, kAll);
  const PartitionKey key = brokers.key("orders", 0);
  brokers.produce_surely(key);
  brokers.move(key, {0, 1, 3});
  ASSERT_TRUE(brokers.until([&] {
    const auto leader = brokers.leader(key);
    return leader &&
           brokers.replica(*leader, key)->group()->config().is_voter(brokers.replica_id(3));
  }));
  brokers.commit({metadata::MoveCancelled{key}});
  EXPECT_NE(brokers.replica(3, key), nullptr) << "it votes, so it stays";
  ASSERT_TRUE(voters_are(brokers, key, {0, 1, 2}));
  ASSERT_TRUE(brokers.until([&] { return brokers.replica(3, key) == nullptr; }));
  expect_retired(brokers, 3, key);
  EXPECT_THAT(values_in(brokers.fetch_one(*brokers.leader(key), key)), SizeIs(1));
}

// Goal: a broker that was away when its replica was moved finds out. Method: it starts again with
// the image of after the move, or of before.
TEST(BrokersTest, ABrokerThatMissedAMoveLetsGo) {
  Brokers brokers({.brokers = 4});
  brokers.create_topic("orders", 1, kAll);
  const PartitionKey key = brokers.key("orders", 0);
  brokers.produce_surely(key);
  ASSERT_TRUE(in_sync(brokers, key, 3));
  brokers.crash(2);
  brokers.move(key, {0, 1, 3});
  ASSERT_TRUE(voters_are(brokers, key, {0, 1, 3}));
  brokers.commit({metadata::MoveCompleted{key, replica_set(brokers, {0, 1, 3})}});
  brokers.start(2);
  EXPECT_NE(brokers.replica(2, key), nullptr) << "its group may still need it";
  ASSERT_TRUE(brokers.until([&] { return brokers.replica(2, key) == nullptr; }));
  expect_retired(brokers, 2, key);
}

// Goal: a partition can come back to where it was, and what replicas leave behind goes with the
// topic.
TEST(BrokersTest, AReplicaComesBackToWhereItWas) {
  Brokers brokers({.brokers = 4});
  brokers.create_topic("orders", 1, kAll);
  const PartitionKey key = brokers.key("orders", 0);
  for (const std::vector<std::size_t>& target :
       {std::vector<std::size_t>{0, 1, 3}, std::vector<std::size_t>{0, 1, 2}}) {
    for (int i = 0; i < 5; ++i) brokers.produce_surely(key);
    brokers.move(key, target);
    ASSERT_TRUE(voters_are(brokers, key, target));
    brokers.commit({metadata::MoveCompleted{key, replica_set(brokers, target)}});
    const std::size_t gone = 5 - target.back();
    ASSERT_TRUE(brokers.until([&] { return brokers.replica(gone, key) == nullptr; }));
    expect_retired(brokers, gone, key);
  }
  ASSERT_TRUE(in_sync(brokers, key, 3));
  brokers.world.run_for(seconds(1));
  brokers.crash(3);
  brokers.start(3);
  ASSERT_TRUE(brokers.until([&] { return brokers.shard(3).image().assignment(key) != nullptr; }));
  expect_retired(brokers, 3, key);
  brokers.commit({metadata::TopicDeleted{key.topic}});
  ASSERT_TRUE(
      brokers.until([&] { return brokers.shard(3).owner(key).store().find(key) == nullptr; }));
}

// ---- Groups

coordinator::OffsetCommit commit_of(std::int64_t offset) {
  return testing::GroupClients::simple_commit("app", "orders", 0, offset);
}
std::int64_t committed(Brokers& brokers, std::size_t broker) {
  coordinator::OffsetFetch request;
  request.group = "app";
  request.partitions.emplace();
  request.partitions->push_back({.topic = {.name = "orders", .id = {}}, .partition = 0});
  const auto outcome = brokers.wait<coordinator::OffsetFetchOutcome>(
      [&](auto reply) { fetch_offsets(brokers.shard(broker), request, std::move(reply)); });
  return outcome.status.ok() ? outcome.partitions.at(0).committed.offset.value() : -2;
}

// Goal: a group's coordinator goes where its partition is led, with what was committed. Method:
// commit, kill the coordinator's broker, ask the next one; the third says that it is not.
TEST(BrokersTest, CoordinatorsFollowTheirPartitions) {
  Brokers brokers;
  brokers.create_topic("orders", 1, kAll);
  brokers.create_topic(std::string(kOffsetsTopic), 5, kAll, {{"cleanup.policy", "compact"}});
  const auto locate = [&](std::size_t broker) {
    return brokers.wait<CoordinatorHome>(
        [&](auto reply) { locate_coordinator(brokers.shard(broker), "app", std::move(reply)); });
  };
  const PartitionKey key{brokers.image().topic(kOffsetsTopic)->id, coordinator_partition("app", 5)};
  ASSERT_TRUE(agree(brokers, key, BrokerId{0}));
  EXPECT_EQ(locate(2).broker, BrokerId{0});
  const auto commit = [&](std::size_t broker, std::int64_t offset) {
    return brokers
        .wait<coordinator::OffsetCommitOutcome>([&](auto reply) {
          commit_offsets(brokers.shard(broker), commit_of(offset), std::move(reply));
        })
        .status.code;
  };
  EXPECT_EQ(commit(0, 5), ErrorCode::kNone);
  EXPECT_EQ(commit(1, 6), ErrorCode::kNotCoordinator);
  brokers.crash(0);
  ASSERT_TRUE(brokers.until([&] {
    const CoordinatorHome home = locate(2);
    return home.status.ok() && home.broker != BrokerId{0};
  }));
  const auto next = static_cast<std::size_t>(locate(2).broker.value());
  ASSERT_TRUE(brokers.until([&] { return committed(brokers, next) != -2; }));
  EXPECT_EQ(committed(brokers, next), 5);
  EXPECT_EQ(commit(next, 7), ErrorCode::kNone);
  EXPECT_EQ(commit(3 - next, 8), ErrorCode::kNotCoordinator);
  brokers.start(0);
  ASSERT_TRUE(in_sync(brokers, key, 3));
  // Refused until it has everything.
  ASSERT_TRUE(brokers.until([&] {
    return brokers
        .wait<common::Result<void>>([&](auto reply) {
          transfer_leader(brokers.shard(0), key, BrokerId{0}, seconds(2), std::move(reply));
        })
        .ok();
  }));
  ASSERT_TRUE(brokers.until([&] { return committed(brokers, 0) == 7; }));
  EXPECT_EQ(commit(next, 9), ErrorCode::kNotCoordinator) << "resigned";
}

}  // namespace
}  // namespace millrace::service
