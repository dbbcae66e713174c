#include "operator/control/observer.h"

#include <gtest/gtest.h>

namespace millrace::control {
namespace {

using std::chrono::seconds;

plan::ClusterObservation silent() {
  plan::ClusterObservation observation;
  observation.pods["events-0"] = Json::object();
  observation.view.why_not = "connection refused";
  return observation;
}

// What the view says why, `after` the start of the clock.
std::string told(Silence& silence, plan::ClusterObservation observation, seconds after) {
  silence.judge(observation, common::Instant{after});
  return observation.view.why_not;
}

TEST(Silence, ClustersAreUnreachableOnlyAfterAWhile) {
  Silence silence;
  EXPECT_EQ(told(silence, silent(), seconds(100)), "") << "an operator that has just started";
  EXPECT_EQ(told(silence, silent(), seconds(109)), "");
  EXPECT_EQ(told(silence, silent(), seconds(110)), "connection refused");
  EXPECT_EQ(told(silence, silent(), seconds(500)), "connection refused");
}

TEST(Silence, AnAnswerEndsIt) {
  Silence silence;
  told(silence, silent(), seconds(100));
  plan::ClusterObservation answered = silent();
  answered.view = {.reachable = true};
  told(silence, answered, seconds(109));
  EXPECT_EQ(told(silence, silent(), seconds(111)), "");
  EXPECT_EQ(told(silence, silent(), seconds(121)), "connection refused");
}

TEST(Silence, WithoutPodsThereIsNobodyToWaitFor) {
  Silence silence;
  plan::ClusterObservation observation = silent();
  observation.pods.clear();
  observation.view.why_not = "no pod runs";
  EXPECT_EQ(told(silence, observation, seconds(100)), "no pod runs");
}

}  // namespace
}  // namespace millrace::control
