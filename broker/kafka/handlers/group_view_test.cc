// Goal: what clients name groups and themselves can be as long as a string can be, and an answer
// that repeats it still fits.
#include "broker/kafka/handlers/group_view.h"

#include <gmock/gmock.h>

#include "broker/kafka/testing/test_broker.h"
#include "broker/wire/messages/describe_groups.h"
#include "broker/wire/messages/join_group.h"

namespace millrace::kafka {
namespace {

constexpr std::size_t kStringBytesMax = 32767;
constexpr std::size_t kUuidTextBytes = 36;

TEST(GroupView, TextsAreCutBetweenCharacters) {
  EXPECT_EQ(cut_text("abc", 3), "abc");
  EXPECT_EQ(cut_text("abcd", 3), "abc");
  EXPECT_EQ(cut_text("a\u20ac!", 5), "a\u20ac!");
  EXPECT_EQ(cut_text("a\u20ac!", 4), "a\u20ac");
  EXPECT_EQ(cut_text("a\u20ac!", 3), "a");
  EXPECT_EQ(cut_text("\u20ac", 2), "");
}

TEST(GroupView, MemberIdsAreWhoItIsAndAUuid) {
  common::Random random(1);
  const std::string id = fresh_member_id("me", random);
  EXPECT_THAT(id, ::testing::MatchesRegex(
                      "me-[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"));
  EXPECT_NE(fresh_member_id("me", random), id);
}

TEST(GroupView, LongNamesAreAnsweredInStringsThatFit) {
  testing::TestBroker broker;
  testing::Client client = broker.connect();
  const std::string longest(kStringBytesMax, 'g');

  wire::DescribeGroupsRequest describe;
  describe.groups = {longest};
  const auto described = client.call(describe);
  ASSERT_EQ(described.groups.size(), 1u);
  EXPECT_EQ(described.groups[0].group_id, longest);
  EXPECT_EQ(described.groups[0].error_message->size(), kMessageBytesMax);

  wire::JoinGroupRequest join;
  join.group_id = longest;
  join.session_timeout_ms = 10'000;
  join.group_instance_id = longest;
  join.protocol_type = longest;
  join.protocols.push_back({.name = longest, .metadata = {}});
  const auto joined = client.call(join);
  EXPECT_EQ(joined.error_code, 0);
  EXPECT_EQ(joined.protocol_name, longest);
  EXPECT_LE(joined.member_id.size(), 1000 + 1 + kUuidTextBytes);
  EXPECT_GT(joined.member_id.size(), 1000u);
}

}  // namespace
}  // namespace millrace::kafka
