// What a data directory is to a cluster, before its broker has met anybody.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "broker/env/testing/sim_disk.h"
#include "broker/env/testing/sim_world.h"
#include "broker/server/membership.h"

namespace millrace::server {
namespace {

using metadata::Stage;
using metadata::Standing;
using model::BrokerId;
using ::testing::HasSubstr;

class StandingTest : public ::testing::Test {
 protected:
  enum class Log : bool { kNone, kThere };

  common::Result<Standing> look(Log log, const std::string& voters) {
    const model::ConfigMap start = {{"metadata.voters", voters}};
    return standing_of(*disk_, "/data", directory_,
                       model::resolve_cluster_settings({.from_start = &start}), log == Log::kThere);
  }
  std::string refusal(const std::string& voters) {
    const auto standing = look(Log::kThere, voters);
    EXPECT_FALSE(standing.ok());
    if (standing.ok()) return "";
    EXPECT_EQ(standing.error().code, model::ErrorCode::kForeignData);
    return standing.error().detail;
  }
  void write(const Standing& standing) { ASSERT_TRUE(write_standing(*disk_, standing).ok()); }

  env::testing::SimWorld world_{7};
  env::testing::SimDisk hardware_{world_};
  env::testing::SimLoop& loop_ = world_.make_loop();
  std::unique_ptr<env::Disk> disk_ = hardware_.mount(loop_);
  common::Random random_{7};
  const Directory directory_{.cluster_id = "c",
                             .node = BrokerId{0},
                             .directory_id = common::Uuid::random(random_),
                             .shards = 1};
  const metadata::Replica self_{BrokerId{0}, directory_.directory_id};
  const metadata::Replica other_{BrokerId{1}, common::Uuid::random(random_)};
  const Standing of_one_{Stage::kFormed, {.round = 1, .cluster_id = "c", .voters = {self_}}};
  const Standing of_two_{Stage::kFormed,
                         {.round = 2, .cluster_id = "c", .voters = {self_, other_}}};
  const Standing member_{Stage::kMember, {.round = 0, .cluster_id = "c", .voters = {}}};
};

TEST_F(StandingTest, NewDirectoryIsBlank) {
  EXPECT_EQ(look(Log::kNone, "")->stage, Stage::kBlank);
  EXPECT_EQ(look(Log::kNone, "0@a:1,1@b:1,2@c:1")->stage, Stage::kBlank);
}

// A broker that was alone never wrote how its cluster was formed: by itself.
TEST_F(StandingTest, LogWithoutAFormationIsOfAClusterOfOne) {
  EXPECT_EQ(look(Log::kThere, "").value(), of_one_);
  EXPECT_EQ(look(Log::kThere, "0@a:1,1@b:1,2@c:1").value(), of_one_);
}

TEST_F(StandingTest, WhatWasFormedStays) {
  for (const Standing& standing : {of_one_, of_two_, member_}) {
    write(standing);
    EXPECT_EQ(look(Log::kThere, "0@a:1,1@b:1").value(), standing);
    hardware_.crash(env::testing::Survival::kNothing);
    disk_ = hardware_.mount(loop_);
    EXPECT_EQ(look(Log::kNone, "0@a:1,1@b:1").value(), standing);
  }
}

TEST_F(StandingTest, DirectoryOfSeveralDoesNotServeAlone) {
  write(of_one_);
  EXPECT_TRUE(look(Log::kThere, "").ok());
  for (const Standing& standing : {of_two_, member_}) {
    write(standing);
    EXPECT_THAT(refusal(""), HasSubstr("set metadata.voters"));
  }
}

TEST_F(StandingTest, WhatDoesNotFitTheDirectoryIsRefused) {
  Standing foreign = of_one_;
  foreign.first.cluster_id = "d";
  write(foreign);
  EXPECT_THAT(refusal("0@a:1"), HasSubstr("took part in cluster d"));
  ASSERT_TRUE(env::replace_file(*disk_, "formation", common::as_bytes("what?")).ok());
  EXPECT_THAT(refusal("0@a:1"), HasSubstr("/data/formation cannot be read"));
}

TEST_F(StandingTest, HeartbeatsComeOftenEnough) {
  model::ConfigMap start = {{"raft.heartbeat.interval.ms", "400"}};
  const auto look = [&] {
    return standing_of(*disk_, "/data", directory_,
                       model::resolve_cluster_settings({.from_start = &start}), false);
  };
  ASSERT_FALSE(look().ok());
  EXPECT_EQ(look().error().code, model::ErrorCode::kInvalidConfig);
  start["raft.election.timeout.ms"] = "1600";
  EXPECT_TRUE(look().ok());
}

}  // namespace
}  // namespace millrace::server
