// What the native Admin says and does of groups.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <optional>

#include "broker/server/testing/group_streams.h"

namespace millrace::server {
namespace {

using ::grpc::StatusCode;
using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::Member;

class GroupAdmin : public testing::GroupStreams {};

TEST_F(GroupAdmin, GroupsAreListedRewoundAndDeleted) {
  const std::string topic = make_topic(2);
  publish(topic, 0, {"a", "b", "c"});
  Member member(*subscriber_);
  member.join("admin", topic);
  ASSERT_TRUE(member.until([&] { return member.records.size() == 3; }));
  member.commit({{topic, 0, 1}}, 1);
  ASSERT_TRUE(member.until([&] { return !member.commits.empty(); }));

  v1::ListGroupsRequest which;
  which.set_with_lag(true);
  which.add_states("stable");
  which.add_types("consumer");
  v1::ListGroupsResponse groups;
  ASSERT_TRUE(admin_->ListGroups(std::make_unique<testing::Call>().get(), which, &groups).ok());
  const auto listed = std::find_if(groups.groups().begin(), groups.groups().end(),
                                   [](const auto& group) { return group.name() == "admin"; });
  ASSERT_NE(listed, groups.groups().end());
  EXPECT_EQ(listed->members(), 1);
  EXPECT_EQ(listed->lag(), 2);
  which.add_states("asleep");
  EXPECT_EQ(
      admin_->ListGroups(std::make_unique<testing::Call>().get(), which, &groups).error_code(),
      StatusCode::INVALID_ARGUMENT);

  v1::ResetGroupOffsetsRequest reset;
  reset.set_group("admin");
  reset.set_earliest(true);
  v1::ResetGroupOffsetsResponse moved;
  testing::Call busy;
  EXPECT_EQ(admin_->ResetGroupOffsets(&busy, reset, &moved).error_code(),
            StatusCode::FAILED_PRECONDITION);
  EXPECT_EQ(busy.error_name(), "NON_EMPTY_GROUP");
  v1::DeleteGroupRequest removal;
  removal.set_name("admin");
  v1::DeleteGroupResponse removed;
  EXPECT_EQ(
      admin_->DeleteGroup(std::make_unique<testing::Call>().get(), removal, &removed).error_code(),
      StatusCode::FAILED_PRECONDITION);
  EXPECT_TRUE(member.leave().ok());

  ASSERT_TRUE(
      admin_->ResetGroupOffsets(std::make_unique<testing::Call>().get(), reset, &moved).ok());
  ASSERT_EQ(moved.partitions_size(), 1) << "the one with an offset";
  EXPECT_EQ(moved.partitions(0).before(), 1);
  EXPECT_EQ(moved.partitions(0).after(), 0);
  EXPECT_EQ(committed("admin", 0), 0);
  v1::DeleteGroupOffsetsRequest forget;
  forget.set_group("admin");
  forget.add_topics()->set_topic(topic);
  v1::DeleteGroupOffsetsResponse forgotten;
  ASSERT_TRUE(
      admin_->DeleteGroupOffsets(std::make_unique<testing::Call>().get(), forget, &forgotten).ok());
  ASSERT_EQ(forgotten.partitions_size(), 1);
  EXPECT_EQ(forgotten.partitions(0).error(), "");
  EXPECT_TRUE(admin_->DeleteGroup(std::make_unique<testing::Call>().get(), removal, &removed).ok());
  EXPECT_EQ(
      admin_->DeleteGroup(std::make_unique<testing::Call>().get(), removal, &removed).error_code(),
      StatusCode::NOT_FOUND);
  v1::DescribeGroupRequest gone;
  gone.set_name("admin");
  v1::DescribeGroupResponse nothing;
  EXPECT_EQ(
      admin_->DescribeGroup(std::make_unique<testing::Call>().get(), gone, &nothing).error_code(),
      StatusCode::NOT_FOUND);
}

// Goal: a member that has a partition, sends heartbeats and fetches nothing is noticed and named
// (complaint C50). Method: a stream whose client gives no credit while a record waits.
TEST_F(GroupAdmin, AssignedAndNotFetchingIsNoticed) {
  const std::string topic = make_topic();
  publish(topic, 0, {"a", "b"});
  Member member(*subscriber_);
  member.join("stuck", topic, [](v1::Join& join) { join.set_credit_records(1); });
  ASSERT_TRUE(member.until([&] { return member.records.size() == 1; }));
  int looks = 0;
  while (describe("stuck").group().not_fetching() == 0) ASSERT_LT(++looks, 100'000);
  const v1::DescribeGroupResponse described = describe("stuck");
  ASSERT_EQ(described.partitions_size(), 1);
  EXPECT_TRUE(described.partitions(0).not_fetching());
  EXPECT_EQ(described.partitions(0).member_id(), member.id);
  v1::ExplainRequest request;
  request.set_group("stuck");
  v1::ExplainResponse response;
  ASSERT_TRUE(admin_->Explain(std::make_unique<testing::Call>().get(), request, &response).ok());
  ASSERT_GE(response.findings_size(), 1);
  EXPECT_EQ(response.findings(0).code(), "not-fetching");
  EXPECT_EQ(response.findings(0).severity(), v1::SEVERITY_PROBLEM);
  EXPECT_THAT(response.findings(0).what(), HasSubstr("client test at /127.0.0.1"));
  member.credit(10);
  ASSERT_TRUE(member.until([&] { return member.records.size() == 2; }));
  while (describe("stuck").group().not_fetching() != 0) ASSERT_LT(++looks, 200'000);
}

TEST_F(GroupAdmin, ExplainsGroupsTopicsAndTheBroker) {
  const std::string topic = make_topic();
  publish(topic, 0, {"a", "b"});
  {
    Member member(*subscriber_);
    member.join("explained", topic);
    ASSERT_TRUE(member.until([&] { return member.records.size() == 2; }));
    member.commit({{topic, 0, 0}}, 1);
    EXPECT_TRUE(member.leave().ok());
  }
  const auto explain = [](const v1::ExplainRequest& request, v1::ExplainResponse& response) {
    return admin_->Explain(std::make_unique<testing::Call>().get(), request, &response)
        .error_code();
  };
  v1::ExplainRequest request;
  v1::ExplainResponse response;
  EXPECT_EQ(explain(request, response), StatusCode::INVALID_ARGUMENT);
  request.set_group("explained");
  ASSERT_EQ(explain(request, response), StatusCode::OK);
  ASSERT_GE(response.findings_size(), 1);
  EXPECT_EQ(response.findings(0).code(), "no-members");
  EXPECT_THAT(response.findings(0).what(), HasSubstr("2 record(s) wait"));
  request.set_group("no-such-group");
  EXPECT_EQ(explain(request, response), StatusCode::NOT_FOUND);
  request.mutable_topic()->set_topic(topic);
  ASSERT_EQ(explain(request, response), StatusCode::OK);
  EXPECT_THAT(response.summary(),
              AllOf(HasSubstr("1 of 1 partition(s) well"), HasSubstr("2 record(s), 1 group(s)")));
  request.mutable_topic()->set_partition(4);
  EXPECT_EQ(explain(request, response), StatusCode::NOT_FOUND);
  request.set_broker(0);
  ASSERT_EQ(explain(request, response), StatusCode::OK);
  EXPECT_THAT(response.summary(), HasSubstr("broker 0"));
  request.set_broker(5);
  EXPECT_EQ(explain(request, response), StatusCode::NOT_FOUND);
}

}  // namespace
}  // namespace millrace::server
