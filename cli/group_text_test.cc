// Groups as people and scripts see them.
#include "cli/group_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace millrace::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

v1::DescribeGroupResponse two_members() {
  v1::DescribeGroupResponse response;
  auto& group = *response.mutable_group();
  group.set_name("orders-app");
  group.set_state("Stable");
  group.set_type("consumer");
  group.set_members(2);
  group.set_lag(7);
  group.set_not_fetching(1);
  response.set_epoch(4);
  response.set_assignor("uniform");
  auto& one = *response.add_members();
  one.set_member_id("member-1");
  one.set_client_id("shop");
  one.set_host("/10.0.0.1");
  one.set_epoch(4);
  one.set_silent_ms(1'500);
  auto& part = *one.add_assignment();
  part.set_topic("orders");
  part.add_partitions(0);
  part.add_partitions(2);
  auto& two = *response.add_members();
  two.set_member_id("member-2");
  two.set_epoch(-1);
  two.set_classic(true);
  two.set_silent_ms(120'000);
  auto& row = *response.add_partitions();
  row.set_topic("orders");
  row.set_partition(0);
  row.set_committed_offset(3);
  row.set_end_offset(10);
  row.set_lag(7);
  row.set_member_id("member-1");
  row.set_unfetched_ms(43'000);
  row.set_not_fetching(true);
  auto& gone = *response.add_partitions();
  gone.set_topic("old");
  gone.set_end_offset(-1);
  gone.set_lag(-1);
  gone.set_unfetched_ms(-1);
  return response;
}

TEST(GroupText, DescribesMembersAndPartitions) {
  const std::string text = group_text(two_members());
  EXPECT_THAT(text,
              HasSubstr("group orders-app  Stable  type consumer  epoch 4  assignor uniform"));
  EXPECT_THAT(text, HasSubstr("orders:0,2"));
  EXPECT_THAT(text, HasSubstr("1.5 s"));
  EXPECT_THAT(text, HasSubstr("2 min"));
  EXPECT_THAT(text, HasSubstr("43.0 s"));
  EXPECT_THAT(text, HasSubstr("NOT FETCHING"));
  EXPECT_THAT(text, HasSubstr("millctl why orders-app"));
  EXPECT_THAT(text, HasSubstr("gone"));
}

TEST(GroupText, AnEmptyGroupSaysSo) {
  v1::DescribeGroupResponse response;
  response.mutable_group()->set_name("g");
  response.mutable_group()->set_state("Empty");
  const std::string text = group_text(response);
  EXPECT_THAT(text, HasSubstr("no members\n"));
  EXPECT_THAT(text, HasSubstr("no offsets\n"));
  EXPECT_THAT(text, Not(HasSubstr("millctl why")));
}

TEST(GroupText, JsonKeepsWhatIsUnknownApart) {
  const auto json = nlohmann::json::parse(group_json(two_members()));
  EXPECT_EQ(json["name"], "orders-app");
  EXPECT_EQ(json["member_details"][0]["assignment"][0]["partitions"],
            nlohmann::json::array({0, 2}));
  EXPECT_EQ(json["partitions"][0]["committed_offset"], 3);
  EXPECT_TRUE(json["partitions"][1]["committed_offset"].is_null());
  EXPECT_EQ(json["partitions"][1]["lag"], -1);
}

TEST(GroupText, ListsAndResets) {
  v1::ListGroupsResponse groups;
  *groups.add_groups() = two_members().group();
  EXPECT_EQ(groups_text(groups),
            "GROUP       STATE   TYPE      MEMBERS  LAG  NOT FETCHING\n"
            "orders-app  Stable  consumer  2        7    1\n");
  EXPECT_EQ(nlohmann::json::parse(groups_json(groups))[0]["lag"], 7);
  v1::ResetGroupOffsetsResponse reset;
  auto& row = *reset.add_partitions();
  row.set_topic("orders");
  row.set_before(3);
  row.set_after(0);
  row.set_end_offset(10);
  auto& failed = *reset.add_partitions();
  failed.set_topic("none");
  failed.set_after(-1);
  failed.set_error("UNKNOWN_TOPIC_OR_PARTITION");
  failed.set_error_message("no such topic");
  EXPECT_THAT(reset_text(reset), HasSubstr("orders  0          3       0      0      10   -\n"));
  EXPECT_THAT(reset_text(reset), HasSubstr("no such topic"));
  EXPECT_TRUE(nlohmann::json::parse(reset_json(reset))[1]["before"].is_null());
}

}  // namespace
}  // namespace millrace::cli
