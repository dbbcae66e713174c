// Who led, stood still and does not know yet what happened meanwhile, tells nobody what he knew
// (docs/replication.md, "Leases").
#include <gtest/gtest.h>

#include <memory>
#include <optional>

#include "broker/service/groups.h"
#include "broker/service/offsets.h"
#include "broker/service/offsets_topic.h"
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
using testing::Brokers;
using testing::BrokersOptions;
using testing::GroupClients;

const metadata::Replicas kAll = {BrokerId{0}, BrokerId{1}, BrokerId{2}};

/// The answer to the question that waits for a broker when it goes on.
template <typename Answer>
using Later = std::shared_ptr<std::optional<Answer>>;

/// Before anything that others have sent meanwhile the shard does this.
template <typename Answer, typename Ask>
Later<Answer> first_of_all(Shard& shard, Ask ask) {
  auto place = std::make_shared<std::optional<Answer>>();
  shard.loop().post([ask = std::move(ask), place] {
    ask(common::Reply<Answer>([place](Answer answer) { *place = std::move(answer); }));
  });
  return place;
}

// Goal: a leader that was deposed while it stood still answers no reader. Method: questions that
// came while it stood still are the first thing that it sees; its successor has committed more.
TEST(Leases, AReaderIsToldOfNothingOld) {
  Brokers brokers;
  brokers.create_topic("orders", 1, kAll);
  const PartitionKey key = brokers.key("orders", 0);
  brokers.produce_surely(key);
  const std::size_t old = *brokers.leader(key);
  Shard& owner = brokers.shard(old).owner(key);
  brokers.pause(old, seconds(4));
  brokers.world.run_for(milliseconds(1));
  const auto ends = first_of_all<std::vector<OffsetAnswer>>(owner, [&owner, key](auto reply) {
    std::vector<OffsetQuery> queries(2, {.target = {key.topic, "", key.index}});
    queries[1].at = kEarliest;
    list_offsets(owner, std::move(queries), replica::Isolation::kReadUncommitted,
                 std::move(reply));
  });
  const auto fetched = first_of_all<std::vector<FetchOutcome>>(owner, [&owner, key](auto reply) {
    FetchCommand command{.items = {}, .from_followers = true, .rack = ""};
    command.items.push_back({.target = {key.topic, "", key.index}, .from = Offset{1}});
    fetch(owner, std::move(command), std::move(reply));
  });
  ASSERT_TRUE(brokers.until([&] { return brokers.leader(key) != old; }));
  brokers.produce_surely(key);
  ASSERT_TRUE(brokers.until([&] { return ends->has_value() && fetched->has_value(); }));
  EXPECT_EQ((**ends)[0].code, ErrorCode::kNotLeaderOrFollower);
  EXPECT_EQ((**ends)[1].code, ErrorCode::kNotLeaderOrFollower);
  EXPECT_EQ((**fetched)[0].code, ErrorCode::kNotLeaderOrFollower);
}

// The same of a coordinator: committed offsets never go back.
TEST(Leases, AGroupIsToldOfNothingOld) {
  Brokers brokers;
  brokers.create_topic("orders", 1, kAll);
  brokers.create_topic(std::string(kOffsetsTopic), 1, kAll, {{"cleanup.policy", "compact"}});
  const PartitionKey key = brokers.key(std::string(kOffsetsTopic), 0);
  const auto commit = [&](std::size_t broker, std::int64_t offset) {
    const auto outcome = brokers.wait<coordinator::OffsetCommitOutcome>([&](auto reply) {
      commit_offsets(brokers.shard(broker),
                     GroupClients::simple_commit("app", "orders", 0, offset), std::move(reply));
    });
    return outcome.status.code;
  };
  const std::size_t old = *brokers.leader(key);
  ASSERT_TRUE(brokers.until([&] { return commit(old, 5) == ErrorCode::kNone; }));
  Shard& owner = brokers.shard(old).owner(key);
  brokers.pause(old, seconds(4));
  brokers.world.run_for(milliseconds(1));
  const auto told = first_of_all<coordinator::OffsetFetchOutcome>(owner, [&owner](auto reply) {
    coordinator::OffsetFetch request;
    request.group = "app";
    request.partitions.emplace();
    request.partitions->push_back({.topic = {.name = "orders", .id = {}}, .partition = 0});
    fetch_offsets(owner, request, std::move(reply));
  });
  ASSERT_TRUE(brokers.until([&] { return brokers.leader(key) != old; }));
  const std::size_t next = *brokers.leader(key);
  ASSERT_TRUE(brokers.until([&] { return commit(next, 9) == ErrorCode::kNone; }));
  ASSERT_TRUE(brokers.until([&] { return told->has_value(); }));
  EXPECT_EQ((**told).status.code, ErrorCode::kNotCoordinator);
}

// Goal: nobody is refused something because of metadata that are old. Method: the leader of the
// metadata stands still, and is the first to ask itself when it goes on; a topic that it knows was
// deleted meanwhile.
TEST(Leases, NothingIsRefusedOnOldMetadata) {
  Brokers brokers({.keeps_itself = true});
  brokers.create_topic("orders", 1, kAll);
  const std::size_t old = *brokers.metadata_leader();
  const std::size_t other = (old + 1) % 3;
  brokers.pause(old, seconds(6));
  brokers.world.run_for(milliseconds(1));
  using Made = common::Result<metadata::TopicOutcome>;
  const metadata::CreateTopic again{.name = "orders",
                                    .id = model::TopicId::random(brokers.world.random()),
                                    .partitions = 1,
                                    .replication_factor = 3};
  const auto made =
      first_of_all<Made>(brokers.shard(old), [&here = brokers.shard(old), again](auto reply) {
        MetadataWriter::decide_on<metadata::TopicOutcome>(
            here,
            [again](const metadata::Image& image) {
              return metadata::decide(image, again,
                                      {.default_partitions = 1,
                                       .default_replication_factor = 3,
                                       .partitions_per_shard_max = 1000});
            },
            std::move(reply));
      });
  const auto deleted = brokers.wait<common::Result<metadata::DeletedTopic>>([&](auto reply) {
    MetadataWriter::decide_on<metadata::DeletedTopic>(
        brokers.shard(other),
        [](const metadata::Image& image) {
          return metadata::decide(image, metadata::DeleteTopic{"orders", {}});
        },
        std::move(reply));
  });
  ASSERT_TRUE(deleted.ok()) << deleted.error().detail;
  ASSERT_FALSE(made->has_value());
  ASSERT_TRUE(brokers.until([&] { return made->has_value(); }));
  EXPECT_TRUE((**made).ok()) << (**made).error().detail;
}

// Goal: where all is well nobody is sent away. Method: a cluster at rest, then with one broker less;
// all leaders are looked at all the time.
TEST(Leases, LeadersThatAreHeardHaveThem) {
  Brokers brokers;
  constexpr int kPartitions = 8;
  brokers.create_topic("orders", kPartitions, kAll);
  const auto without_lease = [&] {
    int refused = 0;
    for (int i = 0; i < kPartitions; ++i) {
      const PartitionKey key = brokers.key("orders", i);
      const auto leader = brokers.leader(key);
      if (!leader || brokers.replica(*leader, key)->leader_refusal().has_value()) ++refused;
    }
    return refused;
  };
  ASSERT_TRUE(brokers.until([&] { return without_lease() == 0; }, seconds(1)));
  for (int i = 0; i < 3000; ++i) {
    brokers.world.run_for(milliseconds(3));
    ASSERT_EQ(without_lease(), 0) << i;
  }
  brokers.crash(2);
  ASSERT_TRUE(brokers.until([&] { return without_lease() == 0; }, seconds(5)));
  for (int i = 0; i < 3000; ++i) {
    brokers.world.run_for(milliseconds(3));
    ASSERT_EQ(without_lease(), 0) << i;
  }
  // The other one that is left: nobody can say then who leads.
  brokers.cut_off(1);
  brokers.world.run_for(milliseconds(800));
  EXPECT_EQ(without_lease(), kPartitions);
}

}  // namespace
}  // namespace millrace::service
