// Members of the consumer protocol (KIP-848) on a broker whose power fails at any time.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "broker/service/testing/group_clients.h"

namespace millrace::service {
namespace {

using coordinator::ConsumerHeartbeat;
using coordinator::ConsumerHeartbeatOutcome;
using coordinator::Epoch;
using model::ErrorCode;
using std::chrono::microseconds;
using std::chrono::seconds;
using testing::GroupClients;
using testing::Node;

constexpr std::uint32_t kShards = 2;
constexpr std::int32_t kPartitions = 8;

/// A client: heartbeats with what it owns, takes what it is given, gives up what it is asked for in
/// the heartbeat after. One request at a time; a power failure loses the answer, not the client.
struct Consumer {
  std::string member;
  Epoch epoch{0};
  std::set<std::int32_t> owned;
  std::set<std::int32_t> target;
  bool asking = false;
  bool told = false;    // the broker knows what it owns
  bool unsure = false;  // an answer may have got lost
};

class ConsumersTest : public ::testing::TestWithParam<std::uint64_t> {
 protected:
  ConsumersTest()
      : node_({.shards = kShards,
               .config = {{"offsets.topic.num.partitions", "3"},
                          {"group.consumer.assignment.interval.ms", "0"}},
               .seed = GetParam()}),
        random_(GetParam()) {
    node_.start();
    topic_ = node_.create_topic("orders", kPartitions);
  }

  std::vector<coordinator::TopicPartitions> list_of(
      const std::set<std::int32_t>& partitions) const {
    if (partitions.empty()) return {};
    return {{topic_, std::vector<std::int32_t>(partitions.begin(), partitions.end())}};
  }

  void beat(Consumer& consumer) {
    if (consumer.asking) return;
    consumer.asking = true;
    ConsumerHeartbeat request;
    request.group = "app";
    request.member = consumer.member;
    request.epoch = consumer.epoch;
    request.client = {"test", "/10.0.0.1"};
    // Who joins, and who does not know whether an answer got lost, says everything.
    if (consumer.epoch == Epoch{0} || consumer.unsure) {
      request.topics = {"orders"};
      request.rebalance_timeout_ms = 300'000;
    }
    if (!consumer.told || consumer.epoch == Epoch{0} || consumer.unsure)
      request.owned = list_of(consumer.owned);
    consumer.told = true;
    consumer.unsure = false;
    consumer_heartbeat(node_.shard(random_.below(kShards)), std::move(request),
                       [this, &consumer, run = run_](const ConsumerHeartbeatOutcome& outcome) {
                         if (run == run_) answered(consumer, outcome);
                       });
  }

  void answered(Consumer& consumer, const ConsumerHeartbeatOutcome& outcome) {
    consumer.asking = false;
    if (outcome.status.code == ErrorCode::kUnknownMemberId ||
        outcome.status.code == ErrorCode::kFencedMemberEpoch) {
      ++fenced_;
      consumer.epoch = Epoch{0};
      consumer.owned.clear();
      consumer.target.clear();
      return;
    }
    if (!outcome.status.ok()) {
      consumer.unsure = true;
      return;
    }
    // The moment after an answer is when a promise that was given too early shows.
    if (consumer.epoch != outcome.epoch && random_.chance(1, 3)) power_due_ = true;
    consumer.epoch = outcome.epoch;
    if (!outcome.assignment) return;
    std::set<std::int32_t> given;
    for (const auto& topic : *outcome.assignment)
      given.insert(topic.partitions.begin(), topic.partitions.end());
    consumer.target = given;
    consumer.owned = given;  // what went is given up at once, what came is taken at once
    consumer.told = false;
    expect_one_owner();
  }

  void expect_one_owner() {
    std::map<std::int32_t, std::string> owners;
    for (const auto& [name, consumer] : consumers_) {
      for (const std::int32_t partition : consumer.owned) {
        const auto [place, first] = owners.emplace(partition, name);
        EXPECT_TRUE(first) << "partition " << partition << " belongs to " << place->second
                           << " and to " << name;
      }
    }
  }

  void add_consumer() {
    Consumer consumer;
    consumer.member = "member-" + std::to_string(++made_);
    const std::string name = consumer.member;
    consumers_.emplace(name, std::move(consumer));
  }

  void fail_power() {
    if (random_.chance(1, 4)) {
      node_.stop();
    } else {
      node_.crash();
    }
    ++run_;
    power_due_ = false;
    for (auto& [name, consumer] : consumers_) {
      consumer.asking = false;
      consumer.unsure = true;
    }
    node_.start();
  }

  bool settled() const {
    std::set<std::int32_t> served;
    for (const auto& [name, consumer] : consumers_)
      served.insert(consumer.owned.begin(), consumer.owned.end());
    return served.size() == kPartitions;
  }

  Node node_;
  common::Random random_;
  model::TopicId topic_;
  std::map<std::string, Consumer> consumers_;
  int made_ = 0;
  int fenced_ = 0;
  bool power_due_ = false;
  int run_ = 0;  // of the broker: answers of an earlier one are lost
};

// Goal: E41 and E42: a partition never has two owners, whenever the power fails; nobody is thrown
// out by that; and afterwards every partition is served. Method: members join one after the other
// and heartbeat as clients do, the power fails at random events, no session is left to expire.
TEST_P(ConsumersTest, OneOwnerWheneverThePowerFails) {
  for (int step = 0; step < 300; ++step) {
    if (consumers_.size() < 5 && random_.chance(1, 20)) add_consumer();
    for (auto& [name, consumer] : consumers_) {
      if (random_.chance(1, 2)) beat(consumer);
    }
    // Mostly within what a few requests take, at times as long as between two heartbeats.
    const bool long_pause = random_.chance(1, 10);
    const common::Duration span =
        long_pause ? common::Duration(seconds(5))
                   : microseconds(static_cast<std::int64_t>(random_.below(3000)));
    node_.world.run_until([this] { return power_due_; }, span);
    if (power_due_ || random_.chance(1, 25)) fail_power();
  }
  if (consumers_.empty()) add_consumer();
  for (int i = 0; i < 100 && !settled(); ++i) {
    for (auto& [name, consumer] : consumers_) beat(consumer);
    node_.world.run_for(seconds(1));
  }
  EXPECT_TRUE(settled()) << "no partition is left without an owner";
  EXPECT_EQ(fenced_, 0) << "a power failure is no reason to lose one's place";
}

INSTANTIATE_TEST_SUITE_P(Seeds, ConsumersTest, ::testing::Range<std::uint64_t>(1, 31));

}  // namespace
}  // namespace millrace::service
