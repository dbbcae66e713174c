// TEST_F(ReplicaClusterTest, ...) { make();  appended({.text = "a"});  expect_level(); }
//
// What tests of several replicas have in common.
#pragma once

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "broker/replica/testing/cluster.h"
#include "broker/replica/testing/inspect.h"
#include "common/check.h"

namespace millrace::replica::testing {

inline constexpr model::ProducerId kProducer{77};

class ReplicaClusterTest : public ::testing::Test {
 protected:
  void make(ClusterOptions options = {}) {
    cluster_ = std::make_unique<Cluster>(std::move(options));
    cluster_->start_all();
  }
  Cluster& cluster() { return *cluster_; }
  Partition& at(Node node) { return cluster_->at(node); }
  Node lead() { return cluster_->wait_for_leader(); }
  /// One that does not lead.
  Node follower() { return (lead() + 1) % 3; }
  Node third() { return (lead() + 2) % 3; }
  Offset appended(const Sent& sent, Acks acks = Acks::kAll) {
    return cluster_->appended(batch(sent), {.acks = acks});
  }
  /// What an append at this broker is answered at once, or within some time; kNone: it was taken.
  model::ErrorCode refused(Node node, const Sent& sent, Acks acks = Acks::kAll) {
    const auto outcome = cluster_->append(node, batch(sent), {.acks = acks});
    CHECK(outcome.has_value());
    return outcome->error.has_value() ? outcome->error->code : model::ErrorCode::kNone;
  }
  /// Appends and does not wait.
  std::shared_ptr<std::optional<AppendOutcome>> begin(Node node, const Sent& sent,
                                                      Acks acks = Acks::kAll) {
    auto place = std::make_shared<std::optional<AppendOutcome>>();
    at(node).append(batch(sent), {.acks = acks},
                    [place](AppendOutcome outcome) { *place = std::move(outcome); });
    return place;
  }
  Result<storage::ReadResult> read(Node node, Offset from) {
    auto answer = std::make_shared<std::optional<Result<storage::ReadResult>>>();
    at(node).read(from, Isolation::kReadUncommitted, 1 << 20, true,
                  [answer](auto result) { *answer = std::move(result); });
    CHECK(cluster_->wait([answer] { return answer->has_value(); }));
    return **answer;
  }
  /// All that run have the same batches, byte for byte.
  void expect_level_logs() {
    ASSERT_TRUE(cluster_->wait_until_level());
    const std::vector<Bytes> first = cluster_->read_all(lead());
    for (Node i = 0; i < cluster_->options().nodes; ++i) {
      if (!cluster_->up(i)) continue;
      const std::vector<Bytes> batches = cluster_->read_all(i);
      EXPECT_EQ(lines_of(batches), lines_of(first)) << i;
      EXPECT_EQ(batches, first) << i;
      EXPECT_EQ(at(i).group()->oddities(raft::Oddity::kImpossible), 0u) << i;
    }
  }
  /// And the producers that a replay gives; where nothing was trimmed.
  void expect_level() {
    expect_level_logs();
    for (Node i = 0; i < cluster_->options().nodes; ++i) {
      if (!cluster_->up(i)) continue;
      EXPECT_EQ(without_times(at(i).producers()), replayed(cluster_->read_all(i))) << i;
    }
  }
  std::unique_ptr<Cluster> cluster_;
};

}  // namespace millrace::replica::testing
