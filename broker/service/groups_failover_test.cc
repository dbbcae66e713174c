// Groups of both protocols go on where their partition is led next, with members, assignments and
// offsets as they were.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "broker/coordinator/consumer_protocol.h"
#include "broker/service/groups.h"
#include "broker/service/offsets_topic.h"
#include "broker/service/testing/brokers.h"
#include "broker/service/testing/group_clients.h"

namespace millrace::service {
namespace {

using coordinator::ConsumerHeartbeat;
using coordinator::ConsumerHeartbeatOutcome;
using coordinator::Epoch;
using coordinator::JoinGroup;
using coordinator::JoinOutcome;
using coordinator::OffsetCommit;
using coordinator::SyncGroup;
using coordinator::SyncOutcome;
using model::BrokerId;
using model::ErrorCode;
using std::chrono::seconds;
using testing::Brokers;
using testing::GroupClients;

class FailoverTest : public ::testing::Test {
 protected:
  FailoverTest() {
    const metadata::Replicas all = {BrokerId{0}, BrokerId{1}, BrokerId{2}};
    brokers.create_topic("orders", 4, all);
    brokers.create_topic(std::string(kOffsetsTopic), 1, all, {{"cleanup.policy", "compact"}});
    CHECK(brokers.until([this] { return home() == 0u; }));
    brokers.world.run_for(std::chrono::milliseconds(10));  // it begins to coordinate
  }

  /// Where the third broker says that the group is coordinated, if anywhere.
  std::optional<std::size_t> home(std::size_t asked = 2) {
    const auto found = brokers.wait<CoordinatorHome>(
        [&](auto reply) { locate_coordinator(brokers.shard(asked), "app", std::move(reply)); });
    if (!found.status.ok()) return std::nullopt;
    return static_cast<std::size_t>(found.broker.value());
  }
  /// Where it is after the first broker is gone.
  std::size_t next_home() {
    CHECK(brokers.until([this] { return home().has_value() && home() != 0u; }));
    brokers.world.run_for(std::chrono::milliseconds(10));
    return *home();
  }

  /// As a client does: again while there is nobody who can answer.
  template <typename Outcome, typename Request, typename Call>
  Outcome ask(std::size_t broker, const Request& request, Call call) {
    for (;;) {
      auto outcome = brokers.wait<Outcome>(
          [&](auto reply) { call(brokers.shard(broker), request, std::move(reply)); });
      const ErrorCode code = code_of(outcome);
      if (code != ErrorCode::kCoordinatorLoadInProgress &&
          code != ErrorCode::kCoordinatorNotAvailable)
        return outcome;
      brokers.world.run_for(std::chrono::milliseconds(50));
    }
  }
  static ErrorCode code_of(const coordinator::Status& status) { return status.code; }
  template <typename Outcome>
  static ErrorCode code_of(const Outcome& outcome) {
    return outcome.status.code;
  }

  ErrorCode commit(std::size_t broker, const std::string& member, Epoch epoch,
                   std::int64_t offset) {
    OffsetCommit request = GroupClients::simple_commit("app", "orders", 0, offset);
    request.member = member;
    request.epoch = epoch;
    return ask<coordinator::OffsetCommitOutcome>(
               broker, request,
               [](Shard& shard, const OffsetCommit& one, auto reply) {
                 commit_offsets(shard, one, std::move(reply));
               })
        .status.code;
  }
  std::int64_t committed(std::size_t broker) {
    coordinator::OffsetFetch request;
    request.group = "app";
    request.partitions.emplace();
    request.partitions->push_back({.topic = {.name = "orders", .id = {}}, .partition = 0});
    const auto outcome = ask<coordinator::OffsetFetchOutcome>(
        broker, request, [](Shard& shard, const coordinator::OffsetFetch& one, auto reply) {
          fetch_offsets(shard, one, std::move(reply));
        });
    CHECK(outcome.status.ok());
    return outcome.partitions.at(0).committed.offset.value();
  }

  Brokers brokers;
};

// Goal: a member of a classic group notices nothing but a pause. Method: it joins, the power of its
// coordinator goes; the next one knows it, its generation and its assignment.
TEST_F(FailoverTest, AClassicGroupGoesOn) {
  JoinGroup join;
  join.group = "app";
  join.protocol_type = "consumer";
  coordinator::Subscription wanted;
  wanted.topics = {"orders"};
  join.protocols.push_back({"range", coordinator::encode(wanted)});
  join.session_timeout_ms = 45'000;
  join.rebalance_timeout_ms = 60'000;
  join.fresh_member = "a";
  const auto joined = ask<JoinOutcome>(0, join, [](Shard& shard, const JoinGroup& one, auto reply) {
    join_group(shard, one, std::move(reply));
  });
  ASSERT_EQ(joined.status.code, ErrorCode::kNone);
  SyncGroup sync;
  sync.group = "app";
  sync.member = joined.member;
  sync.generation = joined.generation;
  coordinator::Assignment given;
  given.partitions.push_back({"orders", {0, 1, 2, 3}});
  sync.assignments.push_back({joined.member, coordinator::encode(given)});
  const auto sync_at = [&](std::size_t broker) {
    return ask<SyncOutcome>(broker, sync, [](Shard& shard, const SyncGroup& one, auto reply) {
      sync_group(shard, one, std::move(reply));
    });
  };
  ASSERT_EQ(sync_at(0).status.code, ErrorCode::kNone);
  EXPECT_EQ(commit(0, joined.member, joined.generation, 11), ErrorCode::kNone);
  brokers.crash(0);
  const std::size_t next = next_home();
  const auto again = sync_at(next);
  EXPECT_EQ(again.status.code, ErrorCode::kNone);
  EXPECT_EQ(coordinator::decode_assignment(again.assignment).value().partitions.at(0).partitions,
            (std::vector<std::int32_t>{0, 1, 2, 3}));
  EXPECT_EQ(committed(next), 11);
  EXPECT_EQ(commit(next, joined.member, joined.generation, 12), ErrorCode::kNone);
  EXPECT_EQ(commit(next, joined.member, Epoch{joined.generation.value() - 1}, 3),
            ErrorCode::kIllegalGeneration)
      << "a member of before takes nothing back";
  EXPECT_EQ(committed(next), 12);
}

// Goal: as above, for the consumer protocol. Method: two members share the partitions before; after
// it both have the same epochs and partitions, and nobody is asked to give anything up.
TEST_F(FailoverTest, AConsumerGroupGoesOn) {
  const auto beat = [&](std::size_t broker, ConsumerHeartbeat request) {
    request.group = "app";
    request.client = {"test", "/10.0.0.1"};
    return ask<ConsumerHeartbeatOutcome>(
        broker, request, [](Shard& shard, const ConsumerHeartbeat& one, auto reply) {
          consumer_heartbeat(shard, one, std::move(reply));
        });
  };
  ConsumerHeartbeat join{.member = "a", .topics = {{"orders"}}, .owned = {{}}};
  join.rebalance_timeout_ms = 60'000;
  const auto joined = beat(0, join);
  ASSERT_EQ(joined.status.code, ErrorCode::kNone);
  ASSERT_TRUE(joined.assignment.has_value());
  ASSERT_EQ(joined.assignment->size(), 1u);
  EXPECT_EQ(joined.assignment->front().partitions.size(), 4u);
  const auto settled = beat(0, {.member = "a", .epoch = joined.epoch, .owned = joined.assignment});
  ASSERT_EQ(settled.status.code, ErrorCode::kNone);
  EXPECT_EQ(commit(0, "a", settled.epoch, 7), ErrorCode::kNone);
  brokers.crash(0);
  const std::size_t next = next_home();
  const auto after =
      beat(next, {.member = "a", .epoch = settled.epoch, .owned = joined.assignment});
  EXPECT_EQ(after.status.code, ErrorCode::kNone);
  EXPECT_EQ(after.epoch, settled.epoch);
  EXPECT_EQ(committed(next), 7);
  EXPECT_EQ(commit(next, "a", Epoch{settled.epoch.value() + 5}, 1), ErrorCode::kStaleMemberEpoch);
  EXPECT_EQ(beat(next, {.member = "stranger", .epoch = Epoch{1}}).status.code,
            ErrorCode::kUnknownMemberId);
}

// Goal: a coordinator that is cut off tells nobody that something is committed. Method: commit
// there and at the next one; afterwards the group's place is the acknowledged one.
TEST_F(FailoverTest, ACoordinatorThatIsCutOffAcknowledgesNothing) {
  EXPECT_EQ(commit(0, "", Epoch{-1}, 5), ErrorCode::kNone);
  brokers.cut_off(0);
  const auto lost = brokers.wait<coordinator::OffsetCommitOutcome>([&](auto reply) {
    commit_offsets(brokers.shard(0), GroupClients::simple_commit("app", "orders", 0, 99),
                   std::move(reply));
  });
  EXPECT_NE(lost.status.code, ErrorCode::kNone);
  const std::size_t next = next_home();
  EXPECT_EQ(committed(next), 5);
  EXPECT_EQ(commit(next, "", Epoch{-1}, 6), ErrorCode::kNone);
  brokers.heal();
  ASSERT_TRUE(brokers.until([&] { return home(0) == next; })) << "the old one knows it too";
  brokers.world.run_for(seconds(5));
  EXPECT_EQ(committed(next), 6);
}

}  // namespace
}  // namespace millrace::service
