// Goal: the leader, the common protocol and the counts are right whoever comes and goes.
// Method: KIP's rules by hand, then random changes against counting by walking.
#include "broker/coordinator/classic_members.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "common/random.h"

namespace millrace::coordinator {
namespace {

std::vector<Protocol> protocols(const std::vector<std::string>& names) {
  std::vector<Protocol> made;
  for (const std::string& name : names) made.push_back({.name = name});
  return made;
}

ClassicMember member(const std::string& id, const std::vector<std::string>& names,
                     std::optional<std::string> instance = std::nullopt) {
  ClassicMember made;
  made.id = id;
  made.instance = std::move(instance);
  made.protocols = protocols(names);
  return made;
}

TEST(ClassicMembersTest, MostVotesWinAmongWhatAllKnow) {
  ClassicMembers members;
  members.add(member("a", {"range", "sticky", "mine"}));
  EXPECT_EQ(members.elect_protocol(), "range");
  members.add(member("b", {"sticky", "range"}));
  EXPECT_EQ(members.elect_protocol(), "range") << "of equals, what the leader likes better";
  members.add(member("c", {"sticky", "range"}));
  EXPECT_EQ(members.elect_protocol(), "sticky");
  EXPECT_TRUE(members.supports_any(protocols({"range"})));
  EXPECT_FALSE(members.supports_any(protocols({"mine"}))) << "only one knows it";
  members.remove("b");
  members.remove("c");
  EXPECT_TRUE(members.supports_any(protocols({"mine"})));
}

TEST(ClassicMembersTest, AProtocolNamedTwiceCountsOnce) {
  ClassicMembers members;
  ClassicMember& a = members.add(member("a", {"range"}));
  members.set_protocols(a, protocols({"range", "range"}));
  members.add(member("b", {"range"}));
  EXPECT_TRUE(members.supports_any(protocols({"range"})));
  EXPECT_EQ(members.elect_protocol(), "range");
}

TEST(ClassicMembersTest, TheLeadPassesOn) {
  ClassicMembers members;
  members.add(member("b", {"range"}));
  members.add(member("a", {"range"}));
  EXPECT_EQ(members.leader(), "b");
  members.remove("b");
  EXPECT_EQ(members.leader(), "a");
  members.remove("a");
  EXPECT_EQ(members.leader(), "");
}

TEST(ClassicMembersTest, AStaticMemberKeepsItsPlaceUnderANewId) {
  ClassicMembers members;
  ClassicMember& old = members.add(member("old", {"range"}, "i"));
  old.assignment = common::Bytes::copy_of("x");
  members.set_owes_sync(old, true);
  ClassicMember& renamed = members.rename("i", "new");
  EXPECT_EQ(members.leader(), "new");
  EXPECT_EQ(members.find("old"), nullptr);
  EXPECT_EQ(members.find_instance("i"), &renamed);
  EXPECT_EQ(renamed.assignment.text(), "x");
  EXPECT_EQ(members.owing_sync(), 1U);
  members.remove("new");
  EXPECT_EQ(members.find_instance("i"), nullptr);
  EXPECT_EQ(members.owing_sync(), 0U);
}

TEST(ClassicMembersTest, CountsHoldUnderRandomChanges) {
  common::Random random(11);
  ClassicMembers members;
  std::uint64_t tickets = 0;
  for (int step = 0; step < 20'000; ++step) {
    const std::string id = std::to_string(random.below(12));
    ClassicMember* known = members.find(id);
    if (known == nullptr) {
      members.add(member(id, {"x", random.chance(1, 2) ? "y" : "z"})).rebalance_timeout_ms =
          static_cast<std::int32_t>(random.below(100));
    } else if (random.chance(1, 5)) {
      members.take_join(*known);
      members.remove(id);
    } else if (!known->join.has_value() && random.chance(1, 2)) {
      members.wait_for_join(*known, static_cast<Ticket>(++tickets));
    } else if (random.chance(1, 2)) {
      members.set_owes_sync(*known, random.chance(1, 2));
    } else {
      members.set_protocols(*known, protocols({"y", "x", "y"}));
    }
    std::size_t joining = 0;
    std::size_t owing = 0;
    std::size_t know_y = 0;
    std::int32_t longest = 0;
    for (const auto& [name, one] : members) {
      joining += one.join.has_value() ? 1 : 0;
      owing += one.owes_sync ? 1 : 0;
      know_y += one.protocol("y") != nullptr ? 1 : 0;
      longest = std::max(longest, one.rebalance_timeout_ms);
    }
    ASSERT_EQ(members.joining(), joining);
    ASSERT_EQ(members.owing_sync(), owing);
    ASSERT_EQ(members.rebalance_timeout_ms(), longest);
    ASSERT_EQ(members.supports_any(protocols({"y"})), know_y == members.size());
    ASSERT_EQ(members.leader().empty(), members.empty());
    if (!members.empty()) {
      ASSERT_NE(members.find(members.leader()), nullptr);
      ASSERT_FALSE(members.elect_protocol().empty());
    }
  }
}

}  // namespace
}  // namespace millrace::coordinator
