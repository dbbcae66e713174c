#include "broker/service/nearest_replica.h"

#include <gtest/gtest.h>

#include <array>

namespace millrace::service {
namespace {

using model::BrokerId;
using model::Offset;

const std::array<ReadableReplica, 4> kFollowers = {{
    {BrokerId{1}, "b", Offset{100}},
    {BrokerId{2}, "b", Offset{120}},
    {BrokerId{3}, "b", Offset{120}},
    {BrokerId{4}, "", Offset{500}},
}};

TEST(NearestReplica, IsTheFurthestOneInTheReadersRack) {
  EXPECT_EQ(nearest_replica("b", "a", Offset{50}, kFollowers), BrokerId{2});
  EXPECT_EQ(nearest_replica("b", "", Offset{120}, kFollowers), BrokerId{2});
}

TEST(NearestReplica, HoldsWhatIsToBeRead) {
  EXPECT_EQ(nearest_replica("b", "a", Offset{121}, kFollowers), std::nullopt);
}

TEST(NearestReplica, IsTheLeaderWhereNobodyIsNearer) {
  EXPECT_EQ(nearest_replica("b", "b", Offset{50}, kFollowers), std::nullopt);
  EXPECT_EQ(nearest_replica("c", "a", Offset{50}, kFollowers), std::nullopt);
  EXPECT_EQ(nearest_replica("", "a", Offset{50}, kFollowers), std::nullopt)
      << "a reader without a rack is near to nobody, brokers without one neither";
}

}  // namespace
}  // namespace millrace::service
