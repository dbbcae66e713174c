// Topics, settings, identities and what of them survives: the metadata log and those who apply it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "broker/service/configs.h"
#include "broker/service/log_dirs.h"
#include "broker/service/offsets.h"
#include "broker/service/producers.h"
#include "broker/service/testing/node.h"

namespace millrace::service {
namespace {

using model::ErrorCode;
using model::Offset;
using model::PartitionIndex;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::Node;
using ::testing::SizeIs;
using testing::values_in;

constexpr std::uint32_t kShards = 2;

class ClusterTest : public ::testing::Test {
 protected:
  ClusterTest() : node_({.shards = kShards, .config = {}}) { node_.start(); }

  ConfigOutcome alter(ResourceType type, const std::string& resource, const std::string& name,
                      std::optional<std::string> value, bool validate_only = false) {
    ConfigCommand command{.type = type, .resource = resource, .changes = {}};
    command.changes.push_back({name,
                               value ? metadata::ConfigChange::Operation::kSet
                                     : metadata::ConfigChange::Operation::kDelete,
                               value.value_or("")});
    std::vector<ConfigCommand> commands;
    commands.push_back(std::move(command));
    return node_
        .wait<std::vector<ConfigOutcome>>([&](auto reply) {
          alter_configs(node_.shard(1), std::move(commands), AlterStyle::kIncremental,
                        validate_only, std::move(reply));
        })
        .front();
  }
  std::string config_of(const std::string& topic, const std::string& name) {
    const auto answers = describe_configs(
        node_.shard(1),
        {{.type = ResourceType::kTopic, .name = topic, .keys = std::vector<std::string>{name}}});
    CHECK(answers[0].entries.size() == 1);
    return answers[0].entries[0].value.value_or("null");
  }
  std::vector<TopicOutcome> create(std::vector<NewTopic> topics, bool validate_only = false) {
    return node_.wait<std::vector<TopicOutcome>>([&](auto reply) {
      create_topics(node_.shard(1), std::move(topics), validate_only, std::move(reply));
    });
  }
  std::vector<std::string> names() {
    std::vector<std::string> names;
    for (const auto& [name, topic] : node_.shard(1).image().topics()) names.push_back(name);
    return names;
  }
  model::ProducerId new_producer(std::size_t shard) {
    auto id = node_.wait<common::Result<ProducerIdentity>>(
        [&](auto reply) { init_producer_id(node_.shard(shard), std::move(reply)); });
    CHECK(id.ok(), "{}", id.error().detail);
    return id->id;
  }

  Node node_;
};

// ---- Topics

TEST_F(ClusterTest, OneRequestSeesItsEarlierTopics) {
  const auto outcomes =
      create({{.name = "a", .partitions = 3}, {.name = "a"}, {.name = "b"}, {.name = "no/slash"}});
  EXPECT_EQ(outcomes[0].code, ErrorCode::kNone);
  EXPECT_EQ(outcomes[0].partitions, 3);
  EXPECT_EQ(outcomes[1].code, ErrorCode::kTopicAlreadyExists);
  EXPECT_EQ(outcomes[2].code, ErrorCode::kNone);
  EXPECT_EQ(outcomes[3].code, ErrorCode::kInvalidTopic);
  EXPECT_THAT(names(), ElementsAre("a", "b"));
}

TEST_F(ClusterTest, ValidateOnlyMakesNothing) {
  EXPECT_EQ(create({{.name = "a"}}, true)[0].code, ErrorCode::kNone);
  EXPECT_THAT(names(), SizeIs(0));
}

TEST_F(ClusterTest, ManyWhoNameATopicAtOnceGetTheSame) {
  std::vector<std::optional<TopicOutcome>> outcomes(20);
  for (std::size_t i = 0; i < outcomes.size(); ++i) {
    auto_create_topic(node_.shard(i % kShards), "fresh",
                      [&outcomes, i](TopicOutcome outcome) { outcomes[i] = std::move(outcome); });
  }
  ASSERT_TRUE(node_.world.run_until(
      [&] { return std::ranges::all_of(outcomes, [](const auto& o) { return o.has_value(); }); }));
  for (const auto& outcome : outcomes) {
    EXPECT_EQ(outcome->code, ErrorCode::kNone);
    EXPECT_EQ(outcome->id, outcomes[0]->id);
  }
}

TEST_F(ClusterTest, PartitionsAreAddedAndServed) {
  node_.create_topic("a", 1);
  node_.produce_one("a", 0);
  std::vector<MorePartitions> more;
  more.push_back({.name = "a", .count = 5, .assignments = {}});
  const auto outcomes = node_.wait<std::vector<TopicOutcome>>([&](auto reply) {
    create_partitions(node_.shard(1), std::move(more), false, std::move(reply));
  });
  EXPECT_EQ(outcomes[0].code, ErrorCode::kNone);
  for (std::int32_t i = 0; i < 5; ++i)
    EXPECT_EQ(node_.produce_one("a", i).code, ErrorCode::kNone) << i;
  node_.crash();
  node_.start();
  EXPECT_THAT(values_in(node_.fetch_one("a", 0)), SizeIs(2));
  EXPECT_THAT(values_in(node_.fetch_one("a", 4)), SizeIs(1));
}

// Goal: a topic made again under an old name is another topic. Method: delete with data, make
// again, look at offsets and at the old id; the same after a crash.
TEST_F(ClusterTest, ATopicMadeAgainStartsEmpty) {
  const auto old_id = node_.create_topic("a", 3);
  for (std::int32_t i = 0; i < 3; ++i) node_.produce_one("a", i, {.values = {"old", "older"}});
  EXPECT_EQ(node_.delete_topic("a").id, old_id);
  EXPECT_EQ(node_.produce_one("a", 0).code, ErrorCode::kUnknownTopicOrPartition);
  const auto new_id = node_.create_topic("a", 3);
  EXPECT_NE(new_id, old_id);
  EXPECT_THAT(values_in(node_.fetch_one("a", 1)), SizeIs(0));
  EXPECT_EQ(node_.produce_one("a", 1, {.values = {"new"}}).appended.base_offset, Offset{0});
  EXPECT_FALSE(resolve(node_.shard(), {old_id, "", PartitionIndex{0}}).ok());
  node_.world.run_for(seconds(120));
  node_.crash();
  node_.start();
  EXPECT_THAT(values_in(node_.fetch_one("a", 1)), ElementsAre("new"));
  EXPECT_TRUE(node_.shard().image().removing().empty()) << "the removal was confirmed";
  EXPECT_FALSE(*node_.disk().exists("quarantine"));
}

// Goal: a removal that a crash interrupts is finished by the next start, and nothing is set aside
// for it.
TEST_F(ClusterTest, AnInterruptedRemovalIsFinished) {
  node_.create_topic("a", 3);
  for (std::int32_t i = 0; i < 3; ++i) node_.produce_one("a", i);
  node_.delete_topic("a");
  node_.crash();
  node_.start();
  node_.world.run_for(seconds(120));
  EXPECT_THAT(names(), SizeIs(0));
  EXPECT_TRUE(node_.shard().image().removing().empty());
  for (std::uint32_t i = 0; i < kShards; ++i) {
    for (const storage::Log* log : node_.shard(i).store().logs())
      EXPECT_EQ(log->key().topic, model::kMetadataTopicId);
  }
  EXPECT_FALSE(*node_.disk().exists("quarantine"));
}

// ---- Settings

TEST_F(ClusterTest, TopicSettingsChangeWhileItRuns) {
  node_.create_topic("a", 4);
  const std::vector<std::string> big = {std::string(5000, 'x')};
  EXPECT_EQ(alter(ResourceType::kTopic, "a", "max.message.bytes", "1000").code, ErrorCode::kNone);
  for (std::int32_t i = 0; i < 4; ++i) {
    EXPECT_EQ(node_.produce_one("a", i, {.values = big}).code, ErrorCode::kMessageTooLarge);
    EXPECT_EQ(node_.produce_one("a", i).code, ErrorCode::kNone);
  }
  EXPECT_EQ(alter(ResourceType::kTopic, "a", "max.message.bytes", std::nullopt).code,
            ErrorCode::kNone);
  EXPECT_EQ(node_.produce_one("a", 0, {.values = big}).code, ErrorCode::kNone);
  EXPECT_EQ(node_.produce_one("a", 0).appended.append_time, common::Timestamp{-1});
  EXPECT_EQ(alter(ResourceType::kTopic, "a", "message.timestamp.type", "LogAppendTime").code,
            ErrorCode::kNone);
  EXPECT_GT(node_.produce_one("a", 0).appended.append_time, common::Timestamp{0});
}

TEST_F(ClusterTest, BrokerSettingsReachTopicsWithoutTheirOwn) {
  node_.create_topic("plain");
  node_.create_topic("own", 1, {{"max.message.bytes", "100000"}});
  const std::vector<std::string> big = {std::string(5000, 'x')};
  EXPECT_EQ(alter(ResourceType::kBroker, "", "message.max.bytes", "1000").code, ErrorCode::kNone);
  EXPECT_EQ(node_.produce_one("plain", 0, {.values = big}).code, ErrorCode::kMessageTooLarge);
  EXPECT_EQ(node_.produce_one("own", 0, {.values = big}).code, ErrorCode::kNone);
  EXPECT_EQ(alter(ResourceType::kBroker, "0", "message.max.bytes", "20000").code, ErrorCode::kNone);
  EXPECT_EQ(node_.produce_one("plain", 0, {.values = big}).code, ErrorCode::kNone)
      << "one broker's own value is nearer";
  node_.crash();
  node_.start();
  EXPECT_EQ(config_of("plain", "max.message.bytes"), "20000");
  EXPECT_EQ(config_of("own", "max.message.bytes"), "100000");
}

TEST_F(ClusterTest, BadSettingsChangeNothing) {
  node_.create_topic("a");
  EXPECT_EQ(alter(ResourceType::kTopic, "a", "retention.ms", "soon").code,
            ErrorCode::kInvalidConfig);
  EXPECT_EQ(alter(ResourceType::kTopic, "missing", "retention.ms", "1").code,
            ErrorCode::kUnknownTopicOrPartition);
  EXPECT_EQ(alter(ResourceType::kTopic, "a", "retention.ms", "5", true).code, ErrorCode::kNone);
  EXPECT_EQ(config_of("a", "retention.ms"), "604800000");
}

// ---- Restarts

TEST_F(ClusterTest, ARestartKeepsEverything) {
  node_.create_topic("a", 3, {{"retention.ms", "12345"}});
  const model::ProducerId producer = new_producer(1);
  for (std::int32_t i = 0; i < 3; ++i) {
    node_.produce_one("a", i, {.values = {"first", "second"}, .producer = producer, .sequence = 0});
  }
  for (const bool clean : {true, false, true}) {
    if (clean) {
      node_.stop();
    } else {
      node_.crash();
    }
    node_.start();
    EXPECT_EQ(config_of("a", "retention.ms"), "12345");
    for (std::int32_t i = 0; i < 3; ++i) {
      EXPECT_THAT(values_in(node_.fetch_one("a", i)), ElementsAre("first", "second"));
      const auto again = node_.produce_one(
          "a", i, {.values = {"first", "second"}, .producer = producer, .sequence = 0});
      EXPECT_EQ(again.code, ErrorCode::kNone);
      EXPECT_EQ(again.appended.base_offset, Offset{0}) << "known from before";
    }
  }
}

// Goal: no two producers ever get one id. Method: more than a block on each shard, then again after
// a crash.
TEST_F(ClusterTest, ProducerIdsAreNeverGivenTwice) {
  std::set<std::int64_t> ids;
  for (int round = 0; round < 2; ++round) {
    for (int i = 0; i < 2500; ++i) {
      const auto id = new_producer(static_cast<std::size_t>(i) % kShards);
      EXPECT_TRUE(ids.insert(id.value()).second) << id.value();
    }
    node_.crash();
    node_.start();
  }
}

TEST_F(ClusterTest, ManyWaitForProducerIdsAtOnce) {
  std::set<std::int64_t> ids;
  for (int i = 0; i < 3000; ++i) {
    init_producer_id(node_.shard(1), [&](common::Result<ProducerIdentity> id) {
      ASSERT_TRUE(id.ok());
      ids.insert(id->id.value());
    });
  }
  EXPECT_TRUE(node_.world.run_until([&] { return ids.size() == 3000; }));
}

// Goal: data that no metadata speaks of is neither served nor deleted. Method: a log that only the
// store knows.
TEST_F(ClusterTest, LogsThatNobodyKnowsAreSetAside) {
  node_.create_topic("a");
  node_.produce_one("a", 0);
  const model::PartitionKey stray{common::Uuid{{0x77}}, PartitionIndex{0}};
  Shard& owner = node_.shard().owner(stray);
  storage::Log& log = owner.store().create(stray, "stray", {});
  const common::Bytes batch = testing::make_batch({});
  const auto written =
      node_.wait<common::Result<void>>([&](auto reply) { log.append(batch, std::move(reply)); });
  ASSERT_TRUE(written.ok());
  node_.stop();
  node_.start();
  node_.world.run_for(seconds(120));
  EXPECT_EQ(node_.shard().owner(stray).store().find(stray), nullptr);
  EXPECT_TRUE(*node_.disk().exists("quarantine"));
  EXPECT_FALSE(node_.disk().list("quarantine")->empty());
  EXPECT_THAT(values_in(node_.fetch_one("a", 0)), SizeIs(1));
}

// Goal: the metadata log does not grow for ever. Method: change one setting until the log is far
// bigger than what it says; the next start writes a snapshot and cuts the rest, which changes
// nothing that can be seen.
TEST_F(ClusterTest, TheMetadataLogIsShortened) {
  node_.create_topic("a", 2, {{"retention.ms", "12345"}});
  std::string list = "0:0";
  for (int i = 1; list.size() < 30'000; ++i) list += fmt::format(",{}:0", i);
  const auto metadata_log = [&] {
    return node_.shard().store().find({model::kMetadataTopicId, PartitionIndex{0}});
  };
  while (metadata_log()->size_bytes() < (9 << 20)) {
    const ConfigOutcome altered =
        alter(ResourceType::kTopic, "a", "follower.replication.throttled.replicas", list);
    ASSERT_EQ(altered.code, ErrorCode::kNone) << altered.detail;
    list = (list.ends_with(":0") ? list.substr(0, list.size() - 1) + "1"
                                 : list.substr(0, list.size() - 1) + "0");
  }
  ASSERT_EQ(
      alter(ResourceType::kTopic, "a", "follower.replication.throttled.replicas", std::nullopt)
          .code,
      ErrorCode::kNone);
  EXPECT_EQ(metadata_log()->start_offset(), Offset{0});
  node_.crash();
  node_.start();
  const Offset start = metadata_log()->start_offset();
  EXPECT_GT(start, Offset{100});
  for (int round = 0; round < 2; ++round) {
    EXPECT_EQ(config_of("a", "retention.ms"), "12345");
    EXPECT_EQ(node_.produce_one("a", 1).appended.base_offset, Offset{round});
    node_.crash();
    node_.start();
    EXPECT_GE(metadata_log()->start_offset(), start);
  }
}

TEST_F(ClusterTest, LogDirsCountEveryPartition) {
  node_.create_topic("a", 4);
  for (std::int32_t i = 0; i < 4; ++i) node_.produce_one("a", i);
  const auto dirs = node_.wait<common::Result<LogDirs>>(
      [&](auto reply) { describe_log_dirs(node_.shard(1), std::move(reply)); });
  ASSERT_TRUE(dirs.ok());
  EXPECT_EQ(dirs->path, "/data");
  ASSERT_THAT(dirs->partitions, SizeIs(4));
  for (const PartitionSize& size : dirs->partitions) {
    EXPECT_EQ(size.topic_name, "a");
    EXPECT_EQ(size.bytes, testing::make_batch({}).size());
  }
  EXPECT_GT(dirs->space.free, 0u);
}

}  // namespace
}  // namespace millrace::service
