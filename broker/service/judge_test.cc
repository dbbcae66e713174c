// What is said of groups, topics and brokers in each state that they can be in.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "broker/service/explain.h"

namespace millrace::service {
namespace {

using coordinator::GroupState;
using model::Offset;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr common::Instant kNow{std::chrono::hours(1)};
const model::TopicId kOrders{{1}};

/// A group of one topic, member by member.
class Group {
 public:
  explicit Group(GroupState state = GroupState::kStable) {
    lag_.group.summary.group = "orders-app";
    lag_.group.summary.state = state;
  }
  Group& member(const std::string& name, std::vector<std::int32_t> has,
                std::vector<std::int32_t> shall_have, common::Duration silent = seconds(1)) {
    auto& member = lag_.group.members.emplace_back();
    member.member = name;
    member.client = {"shop", "/10.0.0.1"};
    if (!has.empty()) member.assignment.push_back({kOrders, std::move(has)});
    if (!shall_have.empty()) member.target.push_back({kOrders, std::move(shall_have)});
    member.last_heard = kNow - silent;
    return *this;
  }
  PartitionLag& partition(const std::string& owner, std::int64_t committed, std::int64_t end) {
    PartitionLag& row = lag_.partitions.emplace_back();
    row.topic = "orders";
    row.partition = static_cast<std::int32_t>(lag_.partitions.size()) - 1;
    row.committed.offset = Offset{committed};
    row.log_start = Offset{0};
    row.end = Offset{end};
    row.lag = end - std::max<std::int64_t>(0, committed);
    row.member = owner;
    row.unfetched = seconds(1);
    lag_.lag += row.lag;
    return row;
  }
  Explanation judge(std::vector<std::string> missing = {}) const {
    return judge_group(lag_, {.now = kNow, .missing_topics = std::move(missing)});
  }

 private:
  GroupLag lag_;
};

std::vector<std::string> codes(const Explanation& explanation) {
  std::vector<std::string> codes;
  for (const Finding& finding : explanation.findings) codes.push_back(finding.code);
  return codes;
}

TEST(JudgeGroup, NothingOfAHealthyGroup) {
  Group group;
  group.member("a", {0}, {0}).member("b", {1}, {1});
  group.partition("a", 10, 10);
  group.partition("b", 8, 10);
  EXPECT_THAT(codes(group.judge()), IsEmpty()) << "some lag is no fault";
  EXPECT_EQ(group.judge().summary,
            "group orders-app: Stable, 2 member(s), 2 partition(s), 2 record(s) behind");
}

TEST(JudgeGroup, WithoutMembersItIsWorseWhenRecordsWait) {
  Group group(GroupState::kEmpty);
  group.partition("", 10, 10);
  EXPECT_EQ(group.judge().findings.at(0).severity, Severity::kNote);
  group.partition("", 3, 10);
  const Explanation waiting = group.judge();
  EXPECT_THAT(codes(waiting), ElementsAre("no-members"));
  EXPECT_EQ(waiting.findings[0].severity, Severity::kWarning);
  EXPECT_THAT(waiting.findings[0].what, HasSubstr("7 record(s) wait"));
  EXPECT_THAT(waiting.findings[0].advice, HasSubstr("group.id=orders-app"));
}

TEST(JudgeGroup, ARebalanceNamesWhomItMayWaitFor) {
  for (const GroupState state :
       {GroupState::kPreparingRebalance, GroupState::kCompletingRebalance}) {
    Group group(state);
    group.member("quick", {}, {}).member("slow", {}, {}, seconds(12));
    const Explanation explanation = group.judge();
    EXPECT_THAT(codes(explanation), ElementsAre("rebalancing"));
    EXPECT_THAT(explanation.findings[0].blocked_by, HasSubstr("slow (client shop at /10.0.0.1)"));
    EXPECT_THAT(explanation.findings[0].blocked_by, HasSubstr("12 s"));
  }
}

// Goal: who must give what to whom is told. Method: A holds what B shall have; C may take what is
// free.
TEST(JudgeGroup, PartitionsOnTheirWayAreNamedWithTheirHolder) {
  Group group(GroupState::kReconciling);
  group.member("a", {0, 1, 2}, {0}, seconds(9))
      .member("b", {}, {1, 2})
      .member("c", {}, {3}, seconds(3));
  const Explanation explanation = group.judge();
  EXPECT_THAT(codes(explanation), ElementsAre("revoking", "taking"));
  EXPECT_THAT(explanation.findings[0].what, HasSubstr("2 partition(s) go from a (client"));
  EXPECT_THAT(explanation.findings[0].blocked_by, HasSubstr("last heard 9 s ago"));
  EXPECT_THAT(explanation.findings[1].what, HasSubstr("1 partition(s) are free for c"));
}

TEST(JudgeGroup, AssignedAndSilentIsTheWorst) {
  Group group;
  group.member("a", {0, 1}, {0, 1}).member("b", {2}, {2});
  for (int i = 0; i < 2; ++i) {
    PartitionLag& row = group.partition("a", 5, 105);
    row.not_fetching = true;
    row.unfetched = seconds(40 + i);
  }
  group.partition("b", 5, 9);
  Explanation explanation = group.judge();
  ASSERT_THAT(codes(explanation), ElementsAre("not-fetching"));
  const Finding& finding = explanation.findings[0];
  EXPECT_EQ(finding.severity, Severity::kProblem);
  EXPECT_THAT(finding.what, HasSubstr("orders-0, orders-1"));
  EXPECT_THAT(finding.what, HasSubstr("for 41 s, while 200 record(s) wait"));
}

TEST(JudgeGroup, NeverFetchedIsSaidSo) {
  Group group;
  group.member("a", {0}, {0});
  PartitionLag& row = group.partition("a", -1, 3);
  row.not_fetching = true;
  row.unfetched.reset();
  EXPECT_THAT(group.judge().findings.at(0).what, HasSubstr("since the broker started"));
}

TEST(JudgeGroup, OffsetsOutsideTheLog) {
  Group group(GroupState::kEmpty);
  group.partition("", 5, 100).log_start = Offset{30};
  group.partition("", 50, 20);
  group.partition("", 7, -1);
  const Explanation explanation = group.judge();
  EXPECT_THAT(codes(explanation),
              ElementsAre("records-lost", "offset-beyond-end", "no-members", "topic-gone"));
  EXPECT_THAT(explanation.findings[0].what, HasSubstr("25 record(s) of orders-0"));
  EXPECT_THAT(explanation.findings[1].advice, HasSubstr("reset-offsets orders-app --topic orders"));
}

TEST(JudgeGroup, SilentIdleUnreadAndMissing) {
  Group group;
  group.member("a", {0}, {0}).member("b", {}, {}).member("c", {1}, {1}, seconds(20));
  group.partition("a", 1, 1);
  group.partition("c", 1, 1);
  group.partition("", 2, 10);
  const Explanation explanation = group.judge({"typo"});
  EXPECT_THAT(codes(explanation),
              ElementsAre("silent-member", "unread", "topic-missing", "idle-members"));
  EXPECT_THAT(explanation.findings[1].what, HasSubstr("orders-2, where 8 record(s) wait"));
  EXPECT_THAT(explanation.findings[2].what, HasSubstr("typo"));
  EXPECT_THAT(explanation.findings[3].what, HasSubstr("1 member(s) have no partition: b"));
}

TopicFacts topic(std::int32_t partitions) {
  TopicFacts facts;
  facts.topic = "orders";
  facts.replicas = 3;
  for (std::int32_t i = 0; i < partitions; ++i) {
    facts.partitions.push_back({.partition = i,
                                .served = true,
                                .damage = std::nullopt,
                                .log_start = Offset{2},
                                .end = Offset{10}});
  }
  return facts;
}

TEST(JudgeTopic, NothingOfAWellOne) {
  const Explanation explanation = judge_topic(topic(2), std::nullopt);
  EXPECT_THAT(codes(explanation), IsEmpty());
  EXPECT_EQ(explanation.summary,
            "topic orders: 2 of 2 partition(s) well, 16 record(s), 0 group(s)");
}

TEST(JudgeTopic, FaultsOfPartitionsAndOfTheDisk) {
  TopicFacts facts = topic(3);
  facts.partitions[1].damage = "segment 00 has a bad batch";
  facts.partitions[2].served = false;
  facts.out_of_space = true;
  facts.replicas_min = 4;
  Explanation explanation = judge_topic(facts, std::nullopt);
  EXPECT_THAT(codes(explanation),
              ElementsAre("damaged", "not-served", "disk-full", "too-few-replicas"));
  EXPECT_EQ(explanation.findings[0].blocked_by, "segment 00 has a bad batch");
  EXPECT_THAT(explanation.summary, HasSubstr("1 of 3 partition(s) well"));
  explanation = judge_topic(facts, 0);
  EXPECT_THAT(codes(explanation), ElementsAre("disk-full", "too-few-replicas"))
      << "of partition 0 alone";
  EXPECT_THAT(explanation.summary, HasSubstr("topic orders/0: 1 of 1"));
}

TEST(JudgeTopic, ReadersThatDoNotFetch) {
  TopicFacts facts = topic(1);
  facts.replicas = 1;
  GroupLagSummary& reader = facts.readers.emplace_back();
  reader.group.group = "stuck";
  reader.topics.push_back({.topic = "orders", .lag = 9, .partitions = {{0, 9}}, .not_fetching = 1});
  const Explanation explanation = judge_topic(facts, std::nullopt);
  EXPECT_THAT(codes(explanation), ElementsAre("not-fetching", "one-copy"));
  EXPECT_EQ(explanation.findings[0].advice, "millctl why stuck");
}

TEST(JudgeBroker, DiskDamageMetadataAndGroups) {
  BrokerFacts facts;
  facts.broker = model::BrokerId{3};
  facts.free_bytes = 50ULL << 30;
  facts.total_bytes = 100ULL << 30;
  EXPECT_THAT(codes(judge_broker(facts)), IsEmpty());
  facts.free_bytes = 5ULL << 30;
  EXPECT_THAT(codes(judge_broker(facts)), ElementsAre("disk-low"));
  facts.out_of_space = true;
  facts.damages = {"orders-1: a bad batch"};
  facts.records_rejected = 2;
  facts.last_rejection = "unknown record 77";
  facts.groups.emplace_back().not_fetching = 4;
  const Explanation explanation = judge_broker(facts);
  EXPECT_THAT(codes(explanation),
              ElementsAre("disk-full", "damaged", "metadata-rejected", "not-fetching"));
  EXPECT_THAT(explanation.findings[2].what, HasSubstr("unknown record 77"));
}

}  // namespace
}  // namespace millrace::service
