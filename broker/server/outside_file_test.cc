// The file with the addresses for clients outside: what a broker reads in it, and what it says.
#include "broker/server/outside_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <future>

#include "broker/env/testing/both_worlds.h"

namespace millrace::server {
namespace {

using model::ListenAddress;
using model::OutsideAddresses;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;

class OutsideFileTest : public ::testing::Test {
 protected:
  OutsideFile file() {
    return OutsideFile({.path = path(),
                        .listeners = {"nodes", "cloud"},
                        .self = model::BrokerId{1},
                        .log = [this](std::string_view line) { log_.emplace_back(line); },
                        .warn = [this](std::string_view line) { warnings_.emplace_back(line); }});
  }
  void write(const std::string& text) { std::ofstream(path()) << text; }
  std::string path() const { return folder_.path() + "/addresses"; }
  /// As often as it takes for a change to count, and once more.
  static std::optional<OutsideAddresses> look(OutsideFile& file) {
    std::optional<OutsideAddresses> last;
    for (int i = 0; i < 3; ++i)
      if (auto now = file.look()) last = std::move(now);
    return last;
  }

  env::testing::TemporaryFolder folder_;
  std::vector<std::string> log_;
  std::vector<std::string> warnings_;
};

TEST_F(OutsideFileTest, WhatItSaysAtFirstCountsAtOnce) {
  write("nodes 0 h0:1\nnodes 1 h1:2\ncloud 1 c1:3\n");
  OutsideFile file = this->file();
  const auto addresses = file.look();
  ASSERT_TRUE(addresses.has_value());
  EXPECT_THAT(*addresses, ElementsAre(Pair("cloud", ListenAddress{"c1", 3}),
                                      Pair("nodes", ListenAddress{"h1", 2})));
  EXPECT_THAT(log_, ElementsAre("event=outside_address listener=nodes address=h1:2",
                                "event=outside_address listener=cloud address=c1:3"));
  EXPECT_EQ(look(file), std::nullopt) << "nothing changed";
  EXPECT_EQ(log_.size(), 2U);
  EXPECT_THAT(warnings_, IsEmpty());
}

// An editor may write it in two parts; half an address is not told to anybody.
TEST_F(OutsideFileTest, AChangeCountsWhenItIsReadTwice) {
  write("nodes 1 h1:2\ncloud 1 [2001:db8::1]:3\n");
  OutsideFile file = this->file();
  file.look();
  log_.clear();
  write("nodes 1 h1:31");
  EXPECT_EQ(file.look(), std::nullopt);
  write("nodes 1 h1:31000\ncloud 1 [2001:db8::1]:3\n");
  EXPECT_EQ(file.look(), std::nullopt);
  const auto addresses = file.look();
  ASSERT_TRUE(addresses.has_value());
  EXPECT_EQ(addresses->at("nodes"), (ListenAddress{"h1", 31000}));
  EXPECT_THAT(log_, ElementsAre("event=outside_address listener=nodes address=h1:31000"));
  write("# only a remark is new\nnodes 1 h1:31000\ncloud 1 [2001:db8::1]:3\n");
  EXPECT_EQ(look(file), std::nullopt);
}

// As in a pod: the ConfigMap comes when addresses are known, one listener after the other.
TEST_F(OutsideFileTest, MayComeLaterAndInParts) {
  OutsideFile file = this->file();
  EXPECT_EQ(look(file), std::nullopt);
  EXPECT_THAT(warnings_, ElementsAre(HasSubstr("it is not there yet")));
  warnings_.clear();
  write("nodes 0 h0:1\ncloud 1 c1:3\n");
  EXPECT_EQ(look(file), (OutsideAddresses{{"cloud", {"c1", 3}}}));
  EXPECT_THAT(warnings_, ElementsAre(HasSubstr("until there is a line nodes 1 HOST:PORT")));
  write("nodes 1 h1:1\ncloud 1 c1:3\n");
  EXPECT_EQ(look(file), (OutsideAddresses{{"cloud", {"c1", 3}}, {"nodes", {"h1", 1}}}));
  write("nodes 1 h1:1\n");
  EXPECT_EQ(look(file), (OutsideAddresses{{"nodes", {"h1", 1}}}));
  EXPECT_THAT(warnings_.back(), HasSubstr("event=outside_address_missing listener=cloud"));
}

TEST_F(OutsideFileTest, WithoutALineOfThisBrokerThatIsSaidOnce) {
  write("nodes 0 h0:1\n");
  OutsideFile file = this->file();
  EXPECT_EQ(look(file), std::nullopt);
  EXPECT_EQ(warnings_.size(), 2U);
}

TEST_F(OutsideFileTest, WhatItSaidHoldsWhileItIsBadOrGone) {
  write("nodes 1 h1:1\ncloud 1 c1:3\n");
  OutsideFile file = this->file();
  file.look();
  write("nodes 1 h1:1\n\ncloud 1 c1\n");
  EXPECT_EQ(look(file), std::nullopt);
  EXPECT_THAT(warnings_, ElementsAre(HasSubstr("line 3 is not of the form")));
  write("nodes 1 h3:1\n\ncloud 1 c1\n");
  EXPECT_EQ(look(file), (OutsideAddresses{{"cloud", {"c1", 3}}, {"nodes", {"h3", 1}}}))
      << "the others count";
  warnings_.clear();
  std::filesystem::remove(path());
  EXPECT_EQ(look(file), std::nullopt);
  EXPECT_THAT(warnings_, ElementsAre(HasSubstr("what it said before holds")));
  write("nodes 1 h3:1\ncloud 1 c1:3\n");
  EXPECT_EQ(look(file), std::nullopt) << "as it was";
  write("nodes 1 h2:1\ncloud 1 c1:3\n");
  EXPECT_EQ(look(file)->at("nodes").host, "h2");
  write(std::string(model::kOutsideFileBytesMax + 1, '\n'));
  EXPECT_EQ(look(file), std::nullopt);
  EXPECT_THAT(warnings_.back(), HasSubstr("bytes"));
}

TEST_F(OutsideFileTest, ListenersThatNobodyHasAreNamed) {
  write("nodse 1 h1:1\nnodes 1 h1:1\ncloud 1 c1:3\nother 0 h0:1\n");
  OutsideFile file = this->file();
  EXPECT_EQ(look(file), (OutsideAddresses{{"cloud", {"c1", 3}}, {"nodes", {"h1", 1}}}));
  EXPECT_THAT(warnings_, ElementsAre(HasSubstr("listener=nodse detail=\"kafka.outside.listen has "
                                               "nodes, cloud, and no listener of this name\"")));
}

// A ConfigMap is mounted as links to links, of which the kubelet exchanges one.
TEST_F(OutsideFileTest, LinksThatAreExchangedAreFollowed) {
  namespace fs = std::filesystem;
  const auto publish = [this](const std::string& version, const std::string& text) {
    fs::create_directory(folder_.path() + "/" + version);
    std::ofstream(folder_.path() + "/" + version + "/addresses") << text;
    fs::create_symlink(version, folder_.path() + "/..data_tmp");
    fs::rename(folder_.path() + "/..data_tmp", folder_.path() + "/..data");
  };
  publish("..1", "nodes 1 h1:1\n");
  fs::create_symlink("..data/addresses", path());
  OutsideFile file = this->file();
  EXPECT_EQ(file.look()->at("nodes").host, "h1");
  publish("..2", "nodes 1 h2:1\n");
  fs::remove_all(folder_.path() + "/..1");
  EXPECT_EQ(look(file)->at("nodes").host, "h2");
}

TEST_F(OutsideFileTest, AWatchTellsWhatChangesUntilItEnds) {
  write("nodes 1 h1:1\n");
  std::vector<OutsideAddresses> told;
  std::promise<void> second;
  {
    OutsideWatch watch(file(), [&](OutsideAddresses addresses) {
      told.push_back(std::move(addresses));
      if (told.size() == 2) second.set_value();
    });
    ASSERT_EQ(told.size(), 1U) << "the first look is done at once";
    write("nodes 1 h2:1\n");
    second.get_future().wait();
  }
  EXPECT_EQ(told.back().at("nodes").host, "h2");
}

}  // namespace
}  // namespace millrace::server
