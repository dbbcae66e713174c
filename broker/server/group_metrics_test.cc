// Groups in the metrics: what is shown, and the bound on it.
#include "broker/server/group_metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace millrace::server {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

service::GroupLagSummary group(const std::string& name, std::size_t topics) {
  service::GroupLagSummary summary;
  summary.group.group = name;
  summary.group.state = coordinator::GroupState::kStable;
  summary.group.type = coordinator::GroupType::kConsumer;
  summary.members = 2;
  for (std::size_t i = 0; i < topics; ++i) {
    service::TopicLag topic{.topic = "topic-" + std::to_string(i), .lag = 7, .partitions = {}};
    topic.partitions = {{0, 3}, {1, 4}};
    topic.not_fetching = 1;
    summary.topics.push_back(std::move(topic));
    ++summary.not_fetching;
  }
  return summary;
}

std::string text_of(const GroupLags& lags) {
  Exposition out;
  add_group_lags(out, lags);
  return out.text();
}

TEST(GroupMetrics, ShowEveryGroupAndTopic) {
  const std::string text = text_of({.groups = {group("app", 2), group("other", 0)}});
  EXPECT_THAT(text, HasSubstr("millrace_group_lag{group=\"app\",topic=\"topic-1\"} 7"));
  EXPECT_THAT(text, HasSubstr("millrace_group_members{group=\"other\"} 2"));
  EXPECT_THAT(text, HasSubstr("millrace_group_partitions_not_fetched{group=\"app\"} 2"));
  EXPECT_THAT(text, HasSubstr("type=\"Consumer\"} 2"));
  EXPECT_THAT(text, HasSubstr("millrace_group_lag_series_dropped 0"));
  EXPECT_THAT(text, Not(HasSubstr("millrace_group_partition_lag")));
}

TEST(GroupMetrics, ShowPartitionsWhereAsked) {
  const std::string text = text_of({.groups = {group("app", 1)}, .partitions = true});
  EXPECT_THAT(
      text,
      HasSubstr("millrace_group_partition_lag{group=\"app\",topic=\"topic-0\",partition=\"1\"} 4"));
}

TEST(GroupMetrics, AreBounded) {
  const std::string text =
      text_of({.groups = {group("wide", kGroupSeriesMax), group("narrow", 1)}});
  EXPECT_THAT(text, Not(HasSubstr("group=\"wide\"")));
  EXPECT_THAT(text, HasSubstr("group=\"narrow\",topic=\"topic-0\""));
  EXPECT_THAT(
      text, HasSubstr("millrace_group_lag_series_dropped " + std::to_string(kGroupSeriesMax + 1)));
}

TEST(GroupMetrics, CountsHaveTheirShard) {
  GroupCounts counts;
  counts.counters.offsets_committed = 12;
  counts.counters.rebalances_classic = 3;
  counts.failed = 1;
  Exposition out;
  add_group_counts(out, 1, counts);
  EXPECT_THAT(out.text(), HasSubstr("millrace_group_offsets_committed_total{shard=\"1\"} 12"));
  EXPECT_THAT(out.text(),
              HasSubstr("millrace_group_rebalances_total{shard=\"1\",type=\"Classic\"} 3"));
  EXPECT_THAT(out.text(), HasSubstr("millrace_group_coordinators_failed{shard=\"1\"} 1"));
}

}  // namespace
}  // namespace millrace::server
