// What is said of brokers and replicas that are not well.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "broker/service/explain.h"

namespace millrace::service {
namespace {

using model::BrokerId;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

const metadata::Replicas kAll = {BrokerId{0}, BrokerId{1}, BrokerId{2}};

PartitionReport partition(std::int32_t index, std::int32_t leader, metadata::Replicas in_sync) {
  return {.key = {model::TopicId{{1}}, model::PartitionIndex{index}},
          .topic = "orders",
          .leader = BrokerId{leader},
          .replicas = kAll,
          .target = {},
          .in_sync = std::move(in_sync),
          .in_sync_min = 2};
}

std::vector<std::string> codes(const std::vector<Finding>& findings) {
  std::vector<std::string> codes;
  for (const Finding& finding : findings) codes.push_back(finding.code);
  return codes;
}

BrokerStanding standing() {
  BrokerStanding standing;
  standing.report.id = BrokerId{4};
  standing.report.registered.emplace();
  standing.report.life = {.alive = true, .silence = common::Duration{0}, .recovered = true};
  standing.report.replicas = 12;
  standing.metadata_leader = BrokerId{0};
  standing.now = common::Timestamp{1'000'000};
  return standing;
}

TEST(JudgeReplication, WellPartitionsAreNotMentioned) {
  EXPECT_THAT(judge_replication({partition(0, 1, kAll)}, {}), IsEmpty());
}

TEST(JudgeReplication, EachTroubleHasItsFindingAndAdvice) {
  const auto findings = judge_replication({partition(0, -1, {}), partition(1, 1, {BrokerId{1}}),
                                           partition(2, 1, {BrokerId{1}, BrokerId{2}})},
                                          {});
  EXPECT_THAT(codes(findings), ElementsAre("offline", "under-min-in-sync", "under-replicated"));
  EXPECT_THAT(findings[0].advice, HasSubstr("partition recover orders/0 --accept-data-loss"));
  EXPECT_THAT(findings[1].blocked_by, HasSubstr("0, 2"));
  EXPECT_THAT(findings[2].what, HasSubstr("with one less, writes are refused"));
}

TEST(JudgeReplication, EqualTroublesAreOneFindingThatNamesSomeOfThem) {
  std::vector<PartitionReport> many;
  for (std::int32_t i = 0; i < 9; ++i) many.push_back(partition(i, 1, {BrokerId{1}, BrokerId{2}}));
  const auto findings = judge_replication(many, {});
  ASSERT_THAT(findings, SizeIs(1));
  EXPECT_THAT(findings[0].what, HasSubstr("orders-4 and 4 more:"));
  EXPECT_THAT(judge_replication(many, 8)[0].what, HasSubstr("orders-8:"));
}

TEST(JudgeReplication, AMoveIsANote) {
  PartitionReport moving = partition(0, 1, kAll);
  moving.target = {BrokerId{1}, BrokerId{2}, BrokerId{3}};
  const auto findings = judge_replication({moving}, {});
  EXPECT_THAT(codes(findings), ElementsAre("moving"));
  EXPECT_EQ(findings[0].severity, Severity::kNote);
}

TEST(JudgeStanding, ABrokerThatIsWellGivesNoFinding) {
  EXPECT_THAT(judge_standing(standing()), IsEmpty());
}

TEST(JudgeStanding, OneThatIsAwayOrBehindIsExplained) {
  BrokerStanding away = standing();
  away.report.life = {.alive = false, .silence = std::chrono::seconds(42), .recovered = false};
  EXPECT_THAT(judge_standing(away)[0].what, HasSubstr("was not heard for 42 s"));
  EXPECT_THAT(judge_absent_broker(away).summary, HasSubstr("broker 4: away"));
  BrokerStanding behind = standing();
  behind.report.behind = 3;
  EXPECT_THAT(codes(judge_standing(behind)), ElementsAre("catching-up"));
}

TEST(JudgeStanding, ADrainSaysWhatIsLeftAndWhatBlocksIt) {
  BrokerStanding draining = standing();
  draining.report.state = metadata::BrokerState::kDraining;
  EXPECT_EQ(judge_standing(draining)[0].severity, Severity::kNote);
  draining.blockers.push_back({.broker = BrokerId{4},
                               .cause = "no broker of another rack",
                               .partitions = 5,
                               .example = {}});
  const Finding blocked = judge_standing(draining)[0];
  EXPECT_EQ(blocked.severity, Severity::kWarning);
  EXPECT_THAT(blocked.what, HasSubstr("12 replica(s) are left"));
  EXPECT_THAT(blocked.blocked_by, HasSubstr("no broker of another rack (5 partition(s))"));
  draining.report.state = metadata::BrokerState::kDrained;
  EXPECT_EQ(judge_standing(draining)[0].code, "drained");
}

TEST(JudgeStanding, APermitIsMentionedUntilItLapses) {
  BrokerStanding holds = standing();
  holds.report.permit = metadata::Permit{.incarnation = {}, .expires_at_ms = 1'030'000};
  EXPECT_THAT(judge_standing(holds)[0].what, HasSubstr("30 more second(s)"));
  holds.now = common::Timestamp{1'030'000};
  EXPECT_THAT(judge_standing(holds), IsEmpty());
}

TEST(JudgeStanding, IsPartOfWhatABrokerSaysOfItself) {
  BrokerFacts facts{.broker = BrokerId{4}};
  facts.standing = standing();
  facts.standing->report.behind = 2;
  EXPECT_THAT(codes(judge_broker(facts).findings), ElementsAre("catching-up"));
}

TEST(JudgeStanding, WithoutALeaderOfTheMetadataThatIsTold) {
  BrokerStanding orphan = standing();
  orphan.metadata_leader = BrokerId{-1};
  EXPECT_THAT(codes(judge_standing(orphan)), ElementsAre("no-controller"));
}

}  // namespace
}  // namespace millrace::service
