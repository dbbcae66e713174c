#include "cli/local_cluster.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace millrace::cli {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

LocalCluster three() {
  LocalCluster cluster{.cluster_id = "local-1", .voters = 3, .base_port = 4000, .brokers = {}};
  for (std::int32_t node = 0; node < 3; ++node) {
    LocalBroker broker{.node = node, .pid = 100 + node, .settings = {"shards=1"}};
    EXPECT_TRUE(set_ports(broker, 4000));
    cluster.brokers.push_back(broker);
  }
  return cluster;
}

TEST(LocalCluster, IsReadAsItWasWritten) {
  EXPECT_EQ(parse_local(to_json(three())).value(), three());
}

TEST(LocalCluster, WhatMakesNoSenseIsNotRead) {
  const std::string good = to_json(three());
  const auto with = [&](std::string_view from, std::string_view to) {
    std::string text = good;
    text.replace(text.find(from), from.size(), to);
    return parse_local(text);
  };
  EXPECT_FALSE(parse_local("").ok());
  EXPECT_FALSE(parse_local("[]").ok());
  EXPECT_FALSE(parse_local("{}").ok());
  EXPECT_FALSE(with("4001", "70000").ok());
  EXPECT_FALSE(with("4001", "\"4001\"").ok());
  EXPECT_FALSE(with("\"voters\": 3", "\"voters\": 4").ok());
  EXPECT_FALSE(with("\"voters\": 3", "\"voters\": 0").ok());
  EXPECT_FALSE(with("\"base_port\": 4000", "\"base_port\": -4000").ok());
  EXPECT_FALSE(with("\"local-1\"", "7").ok());
  EXPECT_FALSE(with("\"shards=1\"", "7").ok());
  const auto failed = with("\"pid\": 100", "\"pid\": -1");
  ASSERT_FALSE(failed.ok());
  EXPECT_THAT(failed.error().detail, HasSubstr("changed by hand"));
}

TEST(LocalCluster, PortsAreCountedFromABase) {
  LocalBroker broker{.node = 2};
  EXPECT_TRUE(set_ports(broker, 9092));
  EXPECT_EQ(broker,
            (LocalBroker{.node = 2, .kafka = 9112, .internal = 9113, .grpc = 9114, .http = 9115}));
  EXPECT_TRUE(set_ports(broker, 65'512));
  EXPECT_FALSE(set_ports(broker, 65'513));
}

TEST(LocalCluster, HasAnOddNumberOfFirstVoters) {
  std::vector<std::size_t> voters;
  for (std::size_t brokers = 1; brokers <= 6; ++brokers) voters.push_back(voters_of(brokers));
  EXPECT_THAT(voters, ElementsAre(1, 1, 3, 3, 3, 3));
}

TEST(LocalCluster, BrokersAreToldOfEachOther) {
  LocalCluster cluster = three();
  cluster.voters = 1;
  const auto arguments = broker_arguments(cluster, 2, "folder/broker-2");
  EXPECT_THAT(arguments, Contains("--metadata.voters=0@127.0.0.1:4001"));
  EXPECT_THAT(arguments, Contains("--node.id=2"));
  EXPECT_THAT(arguments, Contains("--internal.listen=127.0.0.1:4021"));
  EXPECT_THAT(arguments, Contains("--shards=1"));
  EXPECT_EQ(arguments[1], "folder/broker-2");
}

}  // namespace
}  // namespace millrace::cli
