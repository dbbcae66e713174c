// Members of groups on streams: what they get, share, commit and give back.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <optional>

#include "broker/server/testing/group_streams.h"

namespace millrace::server {
namespace {

using ::grpc::Status;
using ::grpc::StatusCode;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::Member;
using ::testing::SizeIs;

class Subscribe : public testing::GroupStreams {};

// ---- Records, credit, commits

TEST_F(Subscribe, ReadsCommitsAndGoesOnThere) {
  const std::string topic = make_topic();
  publish(topic, 0, {"a", "b", "c"});
  {
    Member member(*subscriber_);
    member.join("reads", topic);
    ASSERT_TRUE(member.until([&] { return member.records.size() == 3; }));
    EXPECT_THAT(member.values(), ElementsAre("a", "b", "c"));
    EXPECT_NE(member.id, "");
    EXPECT_FALSE(member.assigned.at(0).committed());
    member.commit({{topic, 0, 2}}, 77);
    ASSERT_TRUE(member.until([&] { return !member.commits.empty(); }));
    EXPECT_EQ(member.commits[0].tag(), 77);
    EXPECT_EQ(member.commits[0].results(0).error(), "");
    publish(topic, 0, {"d"});
    ASSERT_TRUE(member.until([&] { return member.records.size() == 4; }));
    EXPECT_TRUE(member.leave().ok());
  }
  EXPECT_EQ(committed("reads", 0), 2);
  Member again(*subscriber_);
  again.join("reads", topic);
  ASSERT_TRUE(again.until([&] { return again.records.size() == 2; }));
  EXPECT_THAT(again.values(), ElementsAre("c", "d"));
  EXPECT_TRUE(again.assigned.at(0).committed());
}

TEST_F(Subscribe, NothingComesWithoutCredit) {
  const std::string topic = make_topic();
  publish(topic, 0, {"a", "b", "c", "d", "e"});
  Member member(*subscriber_);
  member.join("credit", topic, [](v1::Join& join) { join.set_credit_records(2); });
  ASSERT_TRUE(member.until([&] { return member.records.size() == 2; }));
  // An answer to a commit comes after what would have come without it.
  member.commit({{topic, 0, 1}}, 1);
  ASSERT_TRUE(member.until([&] { return member.commits.size() == 1; }));
  EXPECT_THAT(member.records, SizeIs(2));
  member.credit(1);
  ASSERT_TRUE(member.until([&] { return member.records.size() == 3; }));
  member.credit(10);
  ASSERT_TRUE(member.until([&] { return member.records.size() == 5; }));
  EXPECT_THAT(member.values(), ElementsAre("a", "b", "c", "d", "e"));
}

TEST_F(Subscribe, BytesAreCreditToo) {
  const std::string topic = make_topic();
  publish(topic, 0, std::vector<std::string>(10, std::string(1'000, 'v')));
  Member member(*subscriber_);
  member.join("bytes", topic, [](v1::Join& join) { join.set_credit_bytes(2'500); });
  ASSERT_TRUE(member.until([&] { return member.records.size() >= 2; }));
  member.commit({{topic, 0, 1}}, 1);
  ASSERT_TRUE(member.until([&] { return member.commits.size() == 1; }));
  EXPECT_LE(member.records.size(), 3u);
  member.credit(static_cast<std::int64_t>(member.records.size()));
  const std::size_t before = member.records.size();
  ASSERT_TRUE(member.until([&] { return member.records.size() > before; }))
      << "their bytes came back";
}

// Goal: what credit was given back for is committed, and nothing else. Method: five records come,
// three are done with.
TEST_F(Subscribe, CommitsByItselfWhatIsDoneWith) {
  const std::string topic = make_topic();
  publish(topic, 0, {"a", "b", "c", "d", "e"});
  Member member(*subscriber_);
  member.join("auto", topic, [](v1::Join& join) { join.set_auto_commit_interval_ms(3'600'000); });
  ASSERT_TRUE(member.until([&] { return member.records.size() == 5; }));
  member.credit(3);
  EXPECT_TRUE(member.leave().ok());
  EXPECT_EQ(committed("auto", 0), 3);
}

// Goal: a commit by itself never takes back one that the client asked for. Method: commit 4 and
// leave in one breath, with nothing done with.
TEST_F(Subscribe, ItsOwnCommitsStayWhenItLeaves) {
  const std::string topic = make_topic();
  publish(topic, 0, {"a", "b", "c", "d", "e"});
  Member member(*subscriber_);
  member.join("both", topic, [](v1::Join& join) { join.set_auto_commit_interval_ms(3'600'000); });
  ASSERT_TRUE(member.until([&] { return member.records.size() == 5; }));
  member.commit({{topic, 0, 4}}, 1);
  EXPECT_TRUE(member.leave().ok());
  EXPECT_EQ(committed("both", 0), 4);
}

TEST_F(Subscribe, CommitsByItselfInTime) {
  const std::string topic = make_topic();
  publish(topic, 0, {"a", "b"});
  Member member(*subscriber_);
  member.join("timer", topic, [](v1::Join& join) { join.set_auto_commit_interval_ms(10); });
  ASSERT_TRUE(member.until([&] { return member.records.size() == 2; }));
  member.credit(2);
  int looks = 0;
  while (committed("timer", 0) != 2) ASSERT_LT(++looks, 100'000);
}

TEST_F(Subscribe, AnEmptyCommitIsWhatIsDoneWith) {
  const std::string topic = make_topic(2);
  publish(topic, 0, {"a", "b"});
  Member member(*subscriber_);
  member.join("done", topic);
  ASSERT_TRUE(member.until([&] { return member.records.size() == 2; }));
  member.credit(1);
  member.commit({}, 5);
  ASSERT_TRUE(member.until([&] { return !member.commits.empty(); }));
  ASSERT_EQ(member.commits[0].results_size(), 2);
  EXPECT_EQ(committed("done", 0), 1);
  EXPECT_EQ(committed("done", 1), 0);
}

TEST_F(Subscribe, PausedPartitionsKeepTheirPlace) {
  const std::string topic = make_topic(2);
  Member member(*subscriber_);
  member.join("pause", topic);
  ASSERT_TRUE(member.until([&] { return member.has.size() == 2; }));
  member.pause(topic, 0, false);
  // Answered after the pause was taken up.
  member.commit({{topic, 0, 0}}, 1);
  ASSERT_TRUE(member.until([&] { return member.commits.size() == 1; }));
  publish(topic, 0, {"a"});
  publish(topic, 1, {"x"});
  ASSERT_TRUE(member.until([&] { return member.records.size() == 1; }));
  EXPECT_THAT(member.values(), ElementsAre("x"));
  publish(topic, 1, {"y"});
  ASSERT_TRUE(member.until([&] { return member.records.size() == 2; }));
  EXPECT_THAT(member.values(), ElementsAre("x", "y"));
  member.pause(topic, 0, true);
  ASSERT_TRUE(member.until([&] { return member.records.size() == 3; }));
  EXPECT_THAT(member.values(), ElementsAre("x", "y", "a"));
}

// Goal: records that are deleted under a member do not stop it, and it is told. Method: commit 0,
// delete the first two.
TEST_F(Subscribe, GoesOnWhereTheLogBegins) {
  const std::string topic = make_topic();
  publish(topic, 0, {"a", "b", "c"});
  Member first(*subscriber_);
  first.join("trimmed", topic);
  ASSERT_TRUE(first.until([&] { return first.records.size() == 3; }));
  first.commit({{topic, 0, 0}}, 1);
  ASSERT_TRUE(first.until([&] { return first.commits.size() == 1; }));
  EXPECT_TRUE(first.leave().ok());
  v1::DeleteRecordsRequest removal;
  removal.set_topic(topic);
  (*removal.mutable_before())[0] = 2;
  v1::DeleteRecordsResponse removed;
  ASSERT_TRUE(
      admin_->DeleteRecords(std::make_unique<testing::Call>().get(), removal, &removed).ok());
  Member second(*subscriber_);
  second.join("trimmed", topic);
  ASSERT_TRUE(second.until([&] { return second.records.size() == 1; }));
  EXPECT_THAT(second.values(), ElementsAre("c"));
  ASSERT_THAT(second.moves, SizeIs(1));
  EXPECT_EQ(second.moves[0].from(), 0);
  EXPECT_EQ(second.moves[0].to(), 2);
}

// ---- Sharing

TEST_F(Subscribe, TwoShareAndOneThatBreaksLeavesItsPart) {
  const std::string topic = make_topic(4);
  Member first(*subscriber_);
  first.join("share", topic);
  ASSERT_TRUE(first.until([&] { return first.has.size() == 4; }));
  std::optional<Member> second(std::in_place, *subscriber_);
  second->join("share", topic);
  ASSERT_TRUE(first.until([&] { return first.has.size() == 2; }));
  ASSERT_TRUE(second->until([&] { return second->has.size() == 2; }));
  for (const auto& place : first.has) EXPECT_FALSE(second->has.contains(place));
  const v1::DescribeGroupResponse both = describe("share");
  EXPECT_EQ(both.group().type(), "consumer");
  EXPECT_EQ(both.members_size(), 2);
  EXPECT_EQ(both.members(0).host(), "/127.0.0.1");
  EXPECT_EQ(both.members(0).client_id(), "test");
  second->cancel();
  ASSERT_TRUE(first.until([&] { return first.has.size() == 4; }));
  EXPECT_EQ(describe("share").members_size(), 1);
}

// Goal: what is revoked is committed and released before somebody else reads it. Method: the first
// member commits everything when it is asked to release.
TEST_F(Subscribe, NothingComesTwiceWhenItIsCommittedBeforeTheRelease) {
  const std::string topic = make_topic(2);
  publish(topic, 0, {"a", "b"});
  publish(topic, 1, {"x", "y"});
  Member first(*subscriber_);
  first.releases_at_once = false;
  first.join("handover", topic);
  ASSERT_TRUE(first.until([&] { return first.records.size() == 4; }));
  Member second(*subscriber_);
  second.join("handover", topic);
  ASSERT_TRUE(first.until([&] { return first.revoking; }));
  first.commit({{topic, 0, 2}, {topic, 1, 2}}, 1);
  first.release();
  ASSERT_TRUE(second.until([&] { return second.has.size() == 1; }));
  EXPECT_EQ(second.assigned.at(0).offset(), 2);
  publish(topic, second.assigned[0].partition(), {"new"});
  ASSERT_TRUE(second.until([&] { return !second.records.empty(); }));
  EXPECT_THAT(second.values(), ElementsAre("new"));
}

TEST_F(Subscribe, AStaticMemberComesBackToItsPartitions) {
  const std::string topic = make_topic(4);
  const auto named = [](const std::string& name) {
    return [name](v1::Join& join) { join.set_instance_id(name); };
  };
  Member other(*subscriber_);
  other.join("static", topic, named("other"));
  ASSERT_TRUE(other.until([&] { return other.has.size() == 4; }));
  std::optional<Member> one(std::in_place, *subscriber_);
  one->join("static", topic, named("one"));
  ASSERT_TRUE(other.until([&] { return other.has.size() == 2; }));
  ASSERT_TRUE(one->until([&] { return one->has.size() == 2; }));
  const auto had = one->has;
  one->cancel();
  one.emplace(*subscriber_);
  one->join("static", topic, named("one"));
  ASSERT_TRUE(one->until([&] { return one->has.size() == 2; }));
  EXPECT_EQ(one->has, had);
  EXPECT_THAT(other.has, SizeIs(2));
  EXPECT_TRUE(one->leave(true).ok());
  ASSERT_TRUE(other.until([&] { return other.has.size() == 4; })) << "it left for good";
}

TEST_F(Subscribe, TopicsOfARegex) {
  Member member(*subscriber_);
  v1::SubscribeRequest request;
  request.mutable_join()->set_group("regex");
  request.mutable_join()->set_topic_regex("ledger-[0-9]+");
  request.mutable_join()->set_credit_records(10);
  request.mutable_join()->set_without_offset(v1::WITHOUT_OFFSET_EARLIEST);
  member.send(request);
  v1::CreateTopicRequest topic;
  topic.set_name("ledger-1");
  topic.set_partitions(1);
  v1::CreateTopicResponse made;
  ASSERT_TRUE(admin_->CreateTopic(std::make_unique<testing::Call>().get(), topic, &made).ok());
  publish("ledger-1", 0, {"a"});
  ASSERT_TRUE(member.until([&] { return !member.records.empty(); }));
  EXPECT_EQ(member.records[0].topic(), "ledger-1");
}

// ---- Clients that stand still or make no sense

TEST_F(Subscribe, AClientThatStandsStillHasLeft) {
  const std::string topic = make_topic();
  publish(topic, 0, {"a", "b"});
  Member member(*subscriber_);
  member.join("still", topic, [](v1::Join& join) {
    join.set_credit_records(1);
    join.set_progress_timeout_ms(1'000);
  });
  const Status status = member.drain();
  EXPECT_EQ(status.error_code(), StatusCode::FAILED_PRECONDITION);
  EXPECT_THAT(status.error_message(), HasSubstr("progress_timeout_ms"));
  EXPECT_EQ(member.error_name(), "FENCED_MEMBER_EPOCH");
  EXPECT_THAT(member.values(), ElementsAre("a"));
  EXPECT_EQ(describe("still").members_size(), 0);
}

TEST_F(Subscribe, AReleaseThatDoesNotComeEndsTheCall) {
  const std::string topic = make_topic(2);
  Member first(*subscriber_);
  first.releases_at_once = false;
  first.join("held", topic, [](v1::Join& join) { join.set_progress_timeout_ms(1'000); });
  ASSERT_TRUE(first.until([&] { return first.has.size() == 2; }));
  Member second(*subscriber_);
  second.join("held", topic);
  const Status status = first.drain();
  EXPECT_EQ(status.error_code(), StatusCode::FAILED_PRECONDITION);
  EXPECT_THAT(status.error_message(), HasSubstr("Revoking was not answered"));
  ASSERT_TRUE(second.until([&] { return second.has.size() == 2; }));
}

TEST_F(Subscribe, WhatMakesNoSenseIsRefused) {
  const std::string topic = make_topic();
  using Refusal = std::pair<StatusCode, std::string>;
  const auto refusal = [](const std::function<void(Member&)>& act) {
    Member member(*subscriber_);
    act(member);
    const Status status = member.drain();
    return Refusal(status.error_code(), member.error_name());
  };
  const auto joining = [&](const std::function<void(v1::Join&)>& more) {
    return refusal([&](Member& member) { member.join("odd", topic, more); });
  };
  const Refusal invalid(StatusCode::INVALID_ARGUMENT, "INVALID_REQUEST");
  EXPECT_EQ(refusal([](Member& member) { member.credit(1); }), invalid);
  EXPECT_EQ(refusal([](Member& member) { member.send({}); }), invalid);
  EXPECT_EQ(refusal([&](Member& member) {
              member.join("odd", topic);
              member.join("odd", topic);
            }),
            invalid);
  EXPECT_EQ(joining([](v1::Join& join) { join.clear_topics(); }), invalid);
  EXPECT_EQ(joining([](v1::Join& join) { join.clear_group(); }),
            Refusal(StatusCode::INVALID_ARGUMENT, "INVALID_GROUP_ID"));
  EXPECT_EQ(joining([](v1::Join& join) { join.set_credit_records(-1); }), invalid);
  EXPECT_EQ(joining([](v1::Join& join) { join.set_credit_records(100'001); }), invalid);
  EXPECT_EQ(joining([](v1::Join& join) { join.set_progress_timeout_ms(1); }), invalid);
  EXPECT_EQ(joining([](v1::Join& join) { join.set_response_bytes_max(-1); }), invalid);
  EXPECT_EQ(joining([](v1::Join& join) { join.set_assignor("no-such"); }),
            Refusal(StatusCode::UNIMPLEMENTED, "UNSUPPORTED_ASSIGNOR"));
  EXPECT_EQ(joining([](v1::Join& join) { join.set_topic_regex("("); }),
            Refusal(StatusCode::INVALID_ARGUMENT, "INVALID_REGULAR_EXPRESSION"));
  EXPECT_EQ(joining([](v1::Join& join) { join.set_without_offset(v1::WITHOUT_OFFSET_NONE); }),
            Refusal(StatusCode::OUT_OF_RANGE, "OFFSET_OUT_OF_RANGE"));
}

TEST_F(Subscribe, ForeignPartitionsAreNotCommitted) {
  const std::string topic = make_topic();
  Member member(*subscriber_);
  member.join("foreign", topic);
  ASSERT_TRUE(member.until([&] { return member.has.size() == 1; }));
  member.commit({{topic, 0, 0}, {topic, 7, 0}, {"no-such-topic", 0, 0}}, 1);
  ASSERT_TRUE(member.until([&] { return !member.commits.empty(); }));
  EXPECT_EQ(member.commits[0].results(0).error(), "");
  EXPECT_EQ(member.commits[0].results(1).error(), "STALE_MEMBER_EPOCH");
  EXPECT_EQ(member.commits[0].results(2).error(), "STALE_MEMBER_EPOCH");
}

}  // namespace
}  // namespace millrace::server
