// What the metadata wants of partitions, and of the metadata log's own voters.
#include "broker/service/assignments.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "broker/metadata/replay.h"
#include "broker/service/metadata_members.h"

namespace millrace::service {
namespace {

using metadata::Image;
using metadata::Replica;
using model::BrokerId;
using model::PartitionIndex;
using model::PartitionKey;
using raft::ReplicaId;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

constexpr PartitionKey kPartition{{{7}}, PartitionIndex{0}};

common::Uuid directory(int node, int disk = 0) {
  return {{static_cast<std::uint8_t>(node + 1), static_cast<std::uint8_t>(disk)}};
}
ReplicaId id(int node, int disk = 0) {
  return {.node = BrokerId{node}, .directory = directory(node, disk)};
}
void enroll(Image& image, int node, int disk = 0, std::string rack = "") {
  metadata::Broker broker{
      .id = BrokerId{node}, .directory = directory(node, disk), .endpoints = {}, .rack = rack};
  broker.endpoints = {{"kafka", "host", 1}};
  CHECK(image.apply(metadata::BrokerRegistered{broker}));
}
void create(Image& image, std::vector<int> nodes) {
  metadata::Replicas replicas;
  for (const int node : nodes) replicas.emplace_back(node);
  CHECK(image.apply(metadata::TopicCreated{
      .id = kPartition.topic, .name = "t", .partitions = {replicas}, .configs = {}}));
}
/// Brokers 0 to 4, and a topic on the first three.
Image cluster() {
  Image image;
  image.apply(metadata::FeatureLevelSet{metadata::kClusterLevel});
  for (int node = 0; node < 5; ++node) enroll(image, node);
  create(image, {0, 1, 2});
  return image;
}
metadata::ReplicaSet on(std::vector<int> nodes) {
  metadata::ReplicaSet set;
  for (const int node : nodes)
    set.push_back({.broker = BrokerId{node}, .directory = directory(node)});
  return set;
}

TEST(Assignments, NameReplicasByBrokerAndDisk) {
  Image image = cluster();
  EXPECT_TRUE(names(*image.assignment(kPartition), id(1)));
  EXPECT_FALSE(names(*image.assignment(kPartition), id(3)));
  EXPECT_FALSE(names(*image.assignment(kPartition), id(1, 1))) << "another disk";
  image.apply(metadata::MoveStarted{kPartition, on({0, 1, 3})});
  EXPECT_TRUE(names(*image.assignment(kPartition), id(3)));
  EXPECT_TRUE(names(*image.assignment(kPartition), id(2))) << "until the move is over";
}

TEST(Assignments, TheFirstReplicasAreToldOneSet) {
  Image image = cluster();
  const auto set = first_voters(image, *image.assignment(kPartition), id(1));
  EXPECT_EQ(set.id, (raft::ConfigId{model::Term{0}, 1}));
  EXPECT_THAT(set.voters, ElementsAre(id(0), id(1), id(2)));
  EXPECT_EQ(set, first_voters(image, *image.assignment(kPartition), id(2)));
}

TEST(Assignments, WhoComesLaterIsToldNothing) {
  Image image = cluster();
  image.apply(metadata::MoveStarted{kPartition, on({0, 1, 3})});
  EXPECT_EQ(first_voters(image, *image.assignment(kPartition), id(3)), raft::VoterSet{});
}

// Goal: two different first sets of one group could elect two leaders. Who was away from the making
// of a partition until after a move is told nothing, also if it knows the metadata from a snapshot;
// another order of the same replicas is no move.
TEST(Assignments, WhoComesAfterAMoveIsToldNothing) {
  Image image = cluster();
  image.apply(metadata::MoveStarted{kPartition, on({2, 1, 0})});
  image.apply(metadata::MoveCompleted{kPartition, on({2, 1, 0})});
  EXPECT_THAT(first_voters(image, *image.assignment(kPartition), id(1)).voters,
              UnorderedElementsAre(id(0), id(1), id(2)));
  image.apply(metadata::MoveStarted{kPartition, on({0, 1, 3})});
  EXPECT_THAT(first_voters(image, *image.assignment(kPartition), id(1)).voters,
              UnorderedElementsAre(id(0), id(1), id(2)));
  image.apply(metadata::MoveCompleted{kPartition, on({0, 1, 3})});
  EXPECT_EQ(first_voters(image, *image.assignment(kPartition), id(1)), raft::VoterSet{});
  image.apply(metadata::MoveStarted{kPartition, on({0, 1, 2})});
  image.apply(metadata::MoveCompleted{kPartition, on({0, 1, 2})});
  const Image told = metadata::image_of(image.snapshot());
  EXPECT_TRUE(told == image);
  EXPECT_EQ(first_voters(told, *told.assignment(kPartition), id(1)), raft::VoterSet{});
}

TEST(Assignments, ABrokerThatIsNoClusterYetIsAlone) {
  Image image;
  enroll(image, 0);
  create(image, {0});
  EXPECT_THAT(first_voters(image, *image.assignment(kPartition), id(0)).voters, ElementsAre(id(0)));
  EXPECT_EQ(motion_goal(image, kPartition), std::nullopt);
  image.apply(metadata::FeatureLevelSet{metadata::kClusterLevel});
  EXPECT_THAT(motion_goal(image, kPartition)->voters, ElementsAre(id(0)));
}

TEST(Assignments, TheGoalIsTheTargetOfAMove) {
  Image image = cluster();
  EXPECT_THAT(motion_goal(image, kPartition)->voters, ElementsAre(id(0), id(1), id(2)));
  EXPECT_EQ(motion_goal(image, kPartition)->voters_before, 0u);
  image.apply(metadata::MoveStarted{kPartition, on({3, 1})});
  EXPECT_THAT(motion_goal(image, kPartition)->voters, ElementsAre(id(3), id(1)));
  EXPECT_EQ(motion_goal(image, kPartition)->voters_before, 3u);
  image.apply(metadata::MoveCancelled{kPartition});
  EXPECT_THAT(motion_goal(image, kPartition)->voters, ElementsAre(id(0), id(1), id(2)));
  EXPECT_EQ(motion_goal(image, {kPartition.topic, PartitionIndex{9}}), std::nullopt);
}

// ---- Who votes on the metadata log

struct Members {
  raft::VoterSet config{.id = {model::Term{1}, 1}, .voters = {}, .learners = {}};
  Image image;
  metadata::View view;
  std::vector<MetBroker> met;
  MetadataMembersSettings settings;

  MotionGoal goal() const { return metadata_goal(config, image, view, met, settings); }
  void add(int node, int disk = 0, std::string rack = "") {
    enroll(image, node, disk, std::move(rack));
    meet(node, disk);
  }
  void meet(int node, int disk = 0) {
    view.brokers[BrokerId{node}] = {};
    met.push_back({BrokerId{node}, directory(node, disk)});
  }
  void silence(int node, std::int64_t ms) {
    view.brokers[BrokerId{node}].silent_ms = ms;
    std::erase_if(met, [node](const MetBroker& broker) { return broker.node == BrokerId{node}; });
  }
};

Members of_level() {
  Members members;
  members.image.apply(metadata::FeatureLevelSet{metadata::kClusterLevel});
  return members;
}

TEST(MetadataMembers, OneBrokerGrowsToThreeVoters) {
  Members members = of_level();
  members.add(0);
  members.config.voters = {id(0)};
  EXPECT_THAT(members.goal().voters, ElementsAre(id(0)));
  members.meet(1);
  EXPECT_THAT(members.goal().voters, ElementsAre(id(0)));
  EXPECT_THAT(members.goal().learners, ElementsAre(id(1))) << "to register it needs the log";
  members.add(1);
  EXPECT_THAT(members.goal().voters, ElementsAre(id(0))) << "two are no safer than one";
  members.add(2);
  EXPECT_THAT(members.goal().voters, UnorderedElementsAre(id(0), id(1), id(2)));
  members.add(3);
  EXPECT_THAT(members.goal().voters, UnorderedElementsAre(id(0), id(1), id(2)));
  EXPECT_THAT(members.goal().learners, ElementsAre(id(3)));
}

TEST(MetadataMembers, FirstVotersStayBeforeTheyAreRegistered) {
  Members members = of_level();
  members.config.voters = {id(0), id(1), id(2)};
  EXPECT_THAT(members.goal().voters, ElementsAre(id(0), id(1), id(2)));
}

TEST(MetadataMembers, ADeadVoterIsReplacedASilentOneIsNot) {
  Members members = of_level();
  for (int node = 0; node < 4; ++node) members.add(node);
  members.config.voters = {id(0), id(1), id(2)};
  members.config.learners = {id(3)};
  members.silence(2, 5000);
  EXPECT_THAT(members.goal().voters, ElementsAre(id(0), id(1), id(2)));
  members.silence(2, members.settings.dead_after_ms);
  EXPECT_THAT(members.goal().voters, ElementsAre(id(0), id(1), id(3)));
  EXPECT_THAT(members.goal().learners, ElementsAre(id(2)));
  members.silence(3, 1);
  EXPECT_THAT(members.goal().voters, ElementsAre(id(0), id(1), id(2))) << "nobody is there for it";
}

TEST(MetadataMembers, ADrainingVoterGoesWhenAnotherIsThere) {
  Members members = of_level();
  for (int node = 0; node < 3; ++node) members.add(node);
  create(members.image, {1});
  members.config.voters = {id(0), id(1), id(2)};
  members.image.apply(metadata::BrokerStateSet{BrokerId{1}, metadata::BrokerState::kDraining});
  EXPECT_THAT(members.goal().voters, UnorderedElementsAre(id(0), id(1), id(2)));
  members.add(3);
  EXPECT_THAT(members.goal().voters, ElementsAre(id(0), id(2), id(3)));
}

// What is drained may be gone the next moment, several at once.
TEST(MetadataMembers, WhereNothingIsLeftItDoesNotVoteUnlessItIsNeeded) {
  Members members = of_level();
  for (int node = 0; node < 3; ++node) members.add(node);
  members.config.voters = {id(0), id(1), id(2)};
  for (const int node : {1, 2}) {
    members.image.apply(metadata::BrokerStateSet{BrokerId{node}, metadata::BrokerState::kDraining});
  }
  EXPECT_THAT(members.goal().voters, ElementsAre(id(0)));
  EXPECT_THAT(members.goal().learners, ElementsAre(id(1), id(2)));
  members.image.apply(metadata::BrokerStateSet{BrokerId{1}, metadata::BrokerState::kActive});
  EXPECT_THAT(members.goal().voters, ElementsAre(id(0), id(1)));
  members.silence(1, 1);
  EXPECT_THAT(members.goal().voters, ElementsAre(id(0), id(1), id(2)))
      << "without it there would be no majority";
}

TEST(MetadataMembers, WhoWasRetiredOrCameWithAnotherDiskGoes) {
  Members members = of_level();
  for (int node = 0; node < 4; ++node) members.add(node);
  members.config.voters = {id(0), id(1), id(2)};
  members.image.apply(metadata::BrokerStateSet{BrokerId{1}, metadata::BrokerState::kDrained});
  members.silence(1, 1);
  CHECK(members.image.apply(metadata::BrokerDecommissioned{BrokerId{1}, directory(1), 0}));
  EXPECT_THAT(members.goal().voters, ElementsAre(id(0), id(2), id(3)));
  EXPECT_THAT(members.goal().learners, IsEmpty());
  Members other = of_level();
  for (int node = 0; node < 3; ++node) other.add(node, node == 2 ? 1 : 0);
  other.config.voters = {id(0), id(1), id(2)};
  EXPECT_THAT(other.goal().voters, ElementsAre(id(0), id(1), id(2, 1)));
}

TEST(MetadataMembers, NewVotersComeFromOtherRacksFirst) {
  Members members = of_level();
  members.add(0, 0, "a");
  members.add(1, 0, "a");
  members.add(2, 0, "b");
  members.add(3, 0, "c");
  members.config.voters = {id(0)};
  EXPECT_THAT(members.goal().voters, ElementsAre(id(0), id(2), id(3)));
}

}  // namespace
}  // namespace millrace::service
