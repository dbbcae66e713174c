// What a broker in a pod reads from files.
#include "broker/server/pod_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "broker/env/testing/both_worlds.h"

namespace millrace::server {
namespace {

class PodFiles : public ::testing::Test {
 protected:
  void write(const std::string& text) { std::ofstream(path()) << text; }
  std::string path() const { return folder_.path() + "/file"; }
  env::testing::TemporaryFolder folder_;
};

TEST_F(PodFiles, TextIsReadWithoutTheSpaceAroundIt) {
  EXPECT_EQ(read_text(path()), std::nullopt);
  write("\n");
  EXPECT_EQ(read_text(path()), "");
  write(" zone-a\n");
  EXPECT_EQ(read_text(path()), "zone-a");
}

// The standard library throws where a folder is read by iterators, and nobody caught it.
TEST_F(PodFiles, AFolderIsNoText) {
  EXPECT_EQ(read_text(folder_.path()), std::nullopt);
  EXPECT_EQ(read_up_to(folder_.path(), 10), std::nullopt);
}

TEST_F(PodFiles, NoMoreIsReadThanIsWanted) {
  write(std::string(10'000, 'a') + "\n");
  EXPECT_EQ(read_up_to(path(), 5), "aaaaa");
  EXPECT_EQ(read_up_to(path(), 20'000)->size(), 10'001U);
}

TEST_F(PodFiles, TheRackComesFromTheFileUnlessItIsGiven) {
  write("zone-a\n");
  model::ConfigMap config = {{"broker.rack.file", path()}};
  EXPECT_EQ(take_rack(config), "zone-a");
  EXPECT_EQ(config["broker.rack"], "zone-a");
  config["broker.rack"] = "zone-b";
  EXPECT_EQ(take_rack(config), std::nullopt);
  EXPECT_EQ(config["broker.rack"], "zone-b");
}

// A node without a label must not keep a broker from starting.
TEST_F(PodFiles, WithoutAFileThereIsNoRack) {
  model::ConfigMap config = {{"broker.rack.file", path()}};
  EXPECT_EQ(take_rack(config), "");
  model::ConfigMap nothing;
  EXPECT_EQ(take_rack(nothing), std::nullopt);
  EXPECT_TRUE(nothing.empty());
}

}  // namespace
}  // namespace millrace::server
