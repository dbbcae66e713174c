// Goal: the checks of what no operator may do bite. Method: somebody who writes as an operator
// does, once, into a cluster that is well; the run must say what was wrong about it, and without
// him nothing is.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "operator/kube/kinds.h"
#include "tests/sim/operator/operator_world.h"

namespace millrace::sim {
namespace {

using kube::Json;
using testing::HasSubstr;

const kube::ObjectKey kSet{"shop", "events"};
const kube::ObjectKey kPod{"shop", "events-1"};
const kube::ObjectKey kClaim{"shop", "data-events-1"};

/// What comes of a short run with nobody else but the one operator.
std::string failure_with(const std::function<void(kube::Api&)>& rogue) {
  common::Random random(1);
  Story story = draw_story(3, random);
  story.operators = 1;
  story.edits.clear();
  story.mishaps.clear();
  story.hard_birth = false;
  story.scenario.chaos.faults.clear();
  story.scenario.stormy = std::chrono::seconds(5);
  OperatorWorld world({.seed = 1, .rogue = rogue}, std::move(story));
  return world.run().failure;
}

std::string uid_of(kube::Api& api, const kube::Resource& resource, const kube::ObjectKey& key) {
  const auto object = api.get(resource, key);
  EXPECT_TRUE(object.ok());
  return object.ok() ? object->at("metadata").at("uid").get<std::string>() : "";
}

TEST(OperatorRules, NobodyDoesWrong) {
  EXPECT_EQ(failure_with(nullptr), "");
}

TEST(OperatorRules, APodIsDeletedWithAPermitOnly) {
  EXPECT_THAT(
      failure_with([](kube::Api& api) {
        EXPECT_TRUE(api.remove(kube::kPods, kPod, {.uid = uid_of(api, kube::kPods, kPod)}).ok());
      }),
      HasSubstr("broker 1 has no permit"));
}

TEST(OperatorRules, AHeldPodIsNeverDeleted) {
  EXPECT_THAT(
      failure_with([](kube::Api& api) {
        const Json hold = {{"metadata", {{"annotations", {{"millrace.dev/hold", "true"}}}}}};
        EXPECT_TRUE(api.patch(kube::kPods, kPod, hold).ok());
        EXPECT_TRUE(api.remove(kube::kPods, kPod).ok());
      }),
      HasSubstr("it is held"));
}

TEST(OperatorRules, ReplicasFallForThoseOnlyWhoHaveLeft) {
  EXPECT_THAT(
      failure_with([](kube::Api& api) {
        EXPECT_TRUE(api.patch(kube::kStatefulSets, kSet, {{"spec", {{"replicas", 2}}}}).ok());
      }),
      HasSubstr("broker 2 has data and has not left"));
}

TEST(OperatorRules, AVolumeGoesAgainstAReceiptOnly) {
  EXPECT_THAT(failure_with([](kube::Api& api) {
                EXPECT_TRUE(api.remove(kube::kVolumeClaims, kClaim).ok());
              }),
              HasSubstr("has no receipt"));
}

TEST(OperatorRules, AStatusIsWrittenOverTheVersionThatWasRead) {
  EXPECT_THAT(failure_with([](kube::Api& api) {
                (void)api.patch(kube::kClusters, kSet, {{"status", {{"brokers", 3}}}},
                                kube::PatchKind::kMerge, kube::Part::kStatus);
              }),
              HasSubstr("over any version"));
}

// A seed is a run, as in sim_determinism_test.
TEST(OperatorSeeds, AreRuns) {
  const Outcome first = run_operator_seed({.seed = 5, .brokers = 3});
  const Outcome second = run_operator_seed({.seed = 5, .brokers = 3});
  EXPECT_EQ(first.failure, "");
  EXPECT_EQ(first.digest, second.digest);
  EXPECT_NE(first.digest, run_operator_seed({.seed = 6, .brokers = 3}).digest);
}

}  // namespace
}  // namespace millrace::sim
