// The tables of settings, and how values are checked and resolved.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "broker/model/broker_settings.h"
#include "broker/model/cluster_settings.h"
#include "broker/model/topic_settings.h"

namespace millrace::model {
namespace {

using ::testing::HasSubstr;

std::string refusal(std::string_view name, std::string_view value) {
  const auto checked = check_topic_config(name, value);
  return checked.ok() ? "" : checked.error().detail;
}

// Every default is a value that the table itself allows, and every broker-level name exists.
TEST(Tables, AgreeWithThemselves) {
  for (const auto table : {topic_keys(), broker_keys()}) {
    for (const ConfigKey& key : table) {
      EXPECT_FALSE(key.meaning.empty()) << key.name;
      if (!key.default_value.empty()) {
        EXPECT_TRUE(check_config_value(key, key.default_value).ok()) << key.name;
      }
      EXPECT_EQ(find_key(table, key.name), &key);
      for (const std::string& name : parse_list(key.broker_names)) {
        EXPECT_NE(find_broker_key(name), nullptr) << name;
      }
    }
  }
  EXPECT_EQ(resolve_topic_settings({}, {}), TopicSettings{})
      << "the struct's defaults are the table's";
}

// The texts are those of Kafka's own validation.
TEST(TopicConfig, RefusesInKafkasWords) {
  EXPECT_EQ(refusal("retention.ms", "x"),
            "Invalid value x for configuration retention.ms: Not a number of type LONG");
  EXPECT_EQ(refusal("retention.ms", ""),
            "Invalid value  for configuration retention.ms: Not a number of type LONG");
  EXPECT_EQ(refusal("retention.ms", "-2"),
            "Invalid value -2 for configuration retention.ms: Value must be at least -1");
  EXPECT_EQ(refusal("segment.bytes", "99999999999"),
            "Invalid value 99999999999 for configuration segment.bytes: Not a number of type INT");
  EXPECT_EQ(
      refusal("cleanup.policy", "foo"),
      "Invalid value foo for configuration cleanup.policy: String must be one of: compact, delete");
  EXPECT_EQ(refusal("compression.type", "foo"),
            "Invalid value foo for configuration compression.type: String must be one of: "
            "uncompressed, zstd, lz4, snappy, "
            "gzip, producer");
  EXPECT_EQ(refusal("min.cleanable.dirty.ratio", "2"),
            "Invalid value 2.0 for configuration min.cleanable.dirty.ratio: Value must be no more "
            "than 1");
  EXPECT_EQ(refusal("preallocate", "maybe"),
            "Invalid value maybe for configuration preallocate: Expected value to be either true "
            "or false");
  EXPECT_EQ(refusal("compression.gzip.level", "10"),
            "Invalid value 10 for configuration compression.gzip.level: Value must be between 1 "
            "and 9 or equal to -1");
  EXPECT_THAT(refusal("leader.replication.throttled.replicas", "abc"),
              HasSubstr("must be the literal '*' or a list"));
  EXPECT_EQ(refusal("unknown.thing", "1"), "Unknown topic config name: unknown.thing");
  EXPECT_EQ(refusal("retention.mss", "1"),
            "Unknown topic config name: retention.mss (did you mean retention.ms?)");
}

TEST(TopicConfig, Allows) {
  EXPECT_EQ(refusal("retention.ms", " 5 "), "");
  EXPECT_EQ(refusal("preallocate", "TRUE"), "");
  EXPECT_EQ(refusal("cleanup.policy", "compact, delete"), "");
  EXPECT_EQ(refusal("cleanup.policy", ""), "");
  EXPECT_EQ(refusal("leader.replication.throttled.replicas", "*"), "");
  EXPECT_EQ(refusal("leader.replication.throttled.replicas", "0:1,1:2"), "");
  EXPECT_EQ(refusal("flush.mode", "relaxed"), "");
  const auto conflict =
      check_topic_configs({{"min.compaction.lag.ms", "10"}, {"max.compaction.lag.ms", "5"}});
  EXPECT_EQ(conflict.error().detail,
            "conflict topic config setting min.compaction.lag.ms (10) > max.compaction.lag.ms (5)");
}

TEST(TopicConfig, OverridesOverBrokerOverDefault) {
  const ConfigMap start = {{"log.retention.hours", "2"}, {"compression.type", "zstd"}};
  ConfigMap cluster;
  ConfigMap broker;
  const BrokerLayers layers{
      .dynamic_broker = &broker, .dynamic_default = &cluster, .from_start = &start};
  const auto retention = [&](const ConfigMap& overrides) {
    return resolve_topic_settings(overrides, layers).retention_ms;
  };
  EXPECT_EQ(retention({}), 7'200'000);
  EXPECT_EQ(resolve_topic_settings({}, layers).compression, Compression::kZstd);
  EXPECT_EQ(resolve_topic_settings({{"compression.type", "uncompressed"}}, layers).compression,
            Compression::kNone);
  cluster["log.retention.ms"] = "500";
  EXPECT_EQ(retention({}), 500) << "ms wins over hours, whatever the layer";
  broker["log.retention.ms"] = "600";
  EXPECT_EQ(retention({}), 600);
  EXPECT_EQ(retention({{"retention.ms", "-1"}}), -1);
}

TEST(TopicConfig, DescribesEveryPlace) {
  const ConfigMap start = {{"log.retention.minutes", "3"}};
  const BrokerLayers layers{.from_start = &start};
  for (const ConfigEntry& entry : describe_topic_config({{"retention.ms", "9"}}, layers)) {
    ASSERT_FALSE(entry.synonyms.empty()) << entry.key->name;
    if (entry.key->name != "retention.ms") continue;
    EXPECT_EQ(entry.value, "9");
    EXPECT_EQ(entry.source, ConfigSource::kTopic);
    const std::vector<ConfigSynonym> expected = {
        {"retention.ms", "9", ConfigSource::kTopic},
        {"log.retention.minutes", "3", ConfigSource::kStaticBroker},
        {"log.retention.hours", "168", ConfigSource::kDefault}};
    EXPECT_EQ(entry.synonyms, expected);
  }
  for (const ConfigEntry& entry : describe_topic_config({}, layers)) {
    if (entry.key->name == "retention.ms") {
      EXPECT_EQ(entry.value, "180000") << "in the topic's own unit";
    }
  }
}

TEST(BrokerConfig, UnknownNamesGetAHint) {
  EXPECT_EQ(check_broker_config("kafka.lisen", "x").error().detail,
            "Unknown config name: kafka.lisen (did you mean kafka.listen?)");
  EXPECT_EQ(check_broker_config("zzz", "x").error().detail, "Unknown config name: zzz");
  EXPECT_EQ(check_broker_config("kafka.listen", "nowhere").error().detail,
            "Invalid value nowhere for configuration kafka.listen: Expected HOST:PORT");
}

TEST(BrokerConfig, SomeMayChangeAtRunTime) {
  EXPECT_TRUE(
      check_dynamic_broker_config("log.retention.ms", "1", DynamicScope::kWholeCluster).ok());
  const auto fixed = check_dynamic_broker_config("num.partitions", "2", DynamicScope::kOneBroker);
  EXPECT_EQ(fixed.error().code, ErrorCode::kInvalidRequest);
  EXPECT_EQ(fixed.error().detail, "Cannot update these configs dynamically: [num.partitions]");
  EXPECT_EQ(
      check_dynamic_broker_config("log.retention.ms", "x", DynamicScope::kOneBroker).error().code,
      ErrorCode::kInvalidRequest);
}

TEST(BrokerConfig, Typed) {
  const BrokerSettings defaults = resolve_broker_settings({});
  EXPECT_EQ(defaults.kafka_listen, (ListenAddress{"0.0.0.0", 9092}));
  EXPECT_TRUE(defaults.auto_create_topics);
  EXPECT_EQ(defaults.num_partitions, 1);
  EXPECT_EQ(defaults.request_bytes_max, 104'857'600);
  const ConfigMap start = {{"listeners", "PLAINTEXT://:19092,CONTROLLER://:19093"},
                           {"log.dirs", "/data"},
                           {"broker.id", "4"}};
  const BrokerSettings from_kafka = resolve_broker_settings({.from_start = &start});
  EXPECT_EQ(from_kafka.kafka_listen, (ListenAddress{"0.0.0.0", 19092}));
  EXPECT_EQ(from_kafka.data_dir, "/data");
  EXPECT_EQ(from_kafka.node_id, 4);
  EXPECT_EQ(parse_listen_address("[::1]:80").value(), (ListenAddress{"::1", 80}));
  for (const char* bad : {"", "x", "x:", "x:99999", "::1:80", "x:-1"})
    EXPECT_FALSE(parse_listen_address(bad).ok()) << bad;
}

TEST(ClusterConfig, VotersAreReadInOrder) {
  const auto voters = parse_voters(" 2@c.example:9093, 0@10.0.0.1:19093,1@[::1]:7").value();
  EXPECT_EQ(voters, (std::vector<VoterAddress>{{BrokerId{0}, {"10.0.0.1", 19093}},
                                               {BrokerId{1}, {"::1", 7}},
                                               {BrokerId{2}, {"c.example", 9093}}}));
  EXPECT_TRUE(parse_voters("").value().empty());
  for (const char* bad :
       {"a:1", "0@a", "0@:1", "0@a:0", "-1@a:1", "x@a:1", "0@a:1,0@b:1", "@a:1"}) {
    EXPECT_FALSE(parse_voters(bad).ok()) << bad;
    EXPECT_FALSE(check_broker_config("metadata.voters", bad).ok()) << bad;
  }
}

TEST(ClusterConfig, Typed) {
  const ClusterSettings alone = resolve_cluster_settings({});
  EXPECT_TRUE(alone.voters.empty());
  EXPECT_EQ(alone.internal_advertised, ListenAddress{});
  EXPECT_EQ(alone.election_timeout_ms, 1000);
  EXPECT_EQ(alone.metadata_voters_max, 3);
  const ConfigMap start = {{"metadata.voters", "0@a:1,1@b:2"},
                           {"internal.advertised", "me.example:9"},
                           {"raft.heartbeat.interval.ms", "40"}};
  const ClusterSettings set = resolve_cluster_settings({.from_start = &start});
  EXPECT_EQ(set.voters.size(), 2U);
  EXPECT_EQ(set.internal_advertised, (ListenAddress{"me.example", 9}));
  EXPECT_EQ(set.heartbeat_interval_ms, 40);
}

}  // namespace
}  // namespace millrace::model
