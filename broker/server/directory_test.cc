// Whose a data directory is, and what is said when it is somebody else's.
#include "broker/server/directory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "broker/env/testing/sim_disk.h"
#include "broker/env/testing/sim_world.h"

namespace millrace::server {
namespace {

using ::testing::HasSubstr;

class DirectoryTest : public ::testing::Test {
 protected:
  common::Result<Directory> open(const DirectoryWish& wish = {}) {
    return open_or_format(*disk_, "/data", wish, 3, random_);
  }
  std::string refusal(const DirectoryWish& wish = {}) {
    const auto opened = open(wish);
    EXPECT_FALSE(opened.ok());
    if (opened.ok()) return "";
    EXPECT_EQ(opened.error().code, model::ErrorCode::kForeignData);
    return opened.error().detail;
  }
  void put(const std::string& path, std::string_view content) {
    ASSERT_TRUE(env::replace_file(*disk_, path, common::as_bytes(content)).ok());
  }

  env::testing::SimWorld world_{7};
  env::testing::SimDisk hardware_{world_};
  env::testing::SimLoop& loop_ = world_.make_loop();
  std::unique_ptr<env::Disk> disk_ = hardware_.mount(loop_);
  common::Random random_{7};
};

// Goal: a new directory keeps what it was given, durably. Method: format, lose the power, open.
TEST_F(DirectoryTest, FormatsOnceAndRemembers) {
  const auto made = open({.cluster_id = "orders", .node = model::BrokerId{2}});
  ASSERT_TRUE(made.ok()) << made.error().detail;
  EXPECT_EQ(made->cluster_id, "orders");
  EXPECT_EQ(made->shards, 3u) << "one per core";
  hardware_.crash(env::testing::Survival::kNothing);
  disk_ = hardware_.mount(loop_);
  const auto again = open({.node = model::BrokerId{2}});
  ASSERT_TRUE(again.ok()) << again.error().detail;
  EXPECT_EQ(again->cluster_id, "orders");
  EXPECT_EQ(again->directory_id, made->directory_id);
  EXPECT_EQ(again->shards, 3u) << "whatever the number of cores is now";
}

TEST_F(DirectoryTest, NewClustersDiffer) {
  const auto first = open();
  ASSERT_TRUE(first.ok());
  ASSERT_TRUE(disk_->remove("millrace.json").ok());
  EXPECT_NE(open()->cluster_id, first->cluster_id);
}

// Goal: no power cut while formatting leaves a directory that will not start. Method: cut after
// each operation.
TEST_F(DirectoryTest, FormattingSurvivesAPowerCutAnywhere) {
  for (std::uint64_t operations = 0; operations < 8; ++operations) {
    hardware_.lose_everything();
    disk_ = hardware_.mount(loop_);
    hardware_.cut_power_after(operations);
    static_cast<void>(open());
    hardware_.crash();
    disk_ = hardware_.mount(loop_);
    const auto opened = open();
    EXPECT_TRUE(opened.ok()) << operations << ": " << opened.error().detail;
  }
}

TEST_F(DirectoryTest, OtherFilesAreNeverMixedIn) {
  put("meta.properties", "version=1\n");
  EXPECT_THAT(refusal(),
              AllOf(HasSubstr("meta.properties"), HasSubstr("choose an empty directory")));
  EXPECT_FALSE(*disk_->exists("millrace.json"));
}

TEST_F(DirectoryTest, HarmlessNeighboursAreFine) {
  ASSERT_TRUE(disk_->make_directories("lost+found").ok());
  put(".lock", "");
  EXPECT_TRUE(open().ok());
}

TEST_F(DirectoryTest, OtherWishesAreRefusedWithTheRemedy) {
  ASSERT_TRUE(open({.cluster_id = "orders", .node = model::BrokerId{2}}).ok());
  const model::BrokerId two{2};
  EXPECT_THAT(refusal({.cluster_id = "billing", .node = two}),
              AllOf(HasSubstr("cluster orders"), HasSubstr("billing")));
  EXPECT_THAT(refusal({.node = model::BrokerId{0}}),
              AllOf(HasSubstr("node 2"), HasSubstr("node.id")));
  EXPECT_THAT(refusal({.node = two, .shards = 4}),
              AllOf(HasSubstr("3 shards"), HasSubstr("not 4")));
  EXPECT_TRUE(open({.cluster_id = "orders", .node = two, .shards = 3}).ok());
}

TEST_F(DirectoryTest, ANewerFormatIsLeftAlone) {
  put("millrace.json", R"({"format_version": 2, "cluster_id": {"new": "shape"}})");
  EXPECT_THAT(refusal(), HasSubstr("newer millrace (format 2"));
}

TEST_F(DirectoryTest, DamageIsNamedNotTrusted) {
  const std::string id = "\"directory_id\": \"01234567-89ab-cdef-0123-456789abcdef\"";
  for (
      const std::string& damaged : std::vector<std::string>{
          "", "{", "[]", "null", "\"text\"", "{}", R"({"format_version": "1"})",
          R"({"format_version": -1})",
          "{\"format_version\": 1, \"cluster_id\": \"c\", \"node_id\": \"0\", \"shards\": 1, " +
              id + "}",
          "{\"format_version\": 1, \"cluster_id\": 5, \"node_id\": 0, \"shards\": 1, " + id + "}",
          "{\"format_version\": 1, \"cluster_id\": \"c\", \"node_id\": 99999999999, \"shards\": "
          "1, " +
              id + "}",
          "{\"format_version\": 1, \"cluster_id\": \"c\", \"node_id\": 0, \"shards\": 0, " + id +
              "}",
          "{\"format_version\": 1, \"cluster_id\": \"c\", \"node_id\": 0, \"shards\": "
          "4294967297, " +
              id + "}",
          R"({"format_version": 1, "cluster_id": "c", "node_id": 0, "shards": 1, "directory_id": "x"})"}) {
    put("millrace.json", damaged);
    EXPECT_THAT(refusal(), AllOf(HasSubstr("/data/millrace.json"), HasSubstr("damaged")))
        << damaged;
  }
}

// Brokers that are to find each other must mean the same cluster; a directory that has one needs no
// more.
TEST_F(DirectoryTest, BrokersThatJoinOthersNameTheirCluster) {
  const auto nameless = open({.joins_others = true});
  ASSERT_FALSE(nameless.ok());
  EXPECT_EQ(nameless.error().code, model::ErrorCode::kInvalidConfig);
  EXPECT_THAT(nameless.error().detail, HasSubstr("cluster.id"));
  EXPECT_EQ(disk_->exists("millrace.json").value(), false);
  ASSERT_TRUE(open({.cluster_id = "orders", .joins_others = true}).ok());
  EXPECT_EQ(open({.joins_others = true})->cluster_id, "orders");
}

}  // namespace
}  // namespace millrace::server
