#include "operator/control/deeds.h"

#include <gtest/gtest.h>

#include "operator/kube/fields.h"
#include "operator/kube/kinds.h"
#include "operator/kube/testing/model_api.h"

namespace millrace::control {
namespace {

// Goal: a topic says TopicRefused, with a sentence, of whatever stays so until somebody does
// something, and not that it waits.
TEST(Deeds, WhatNeedsSomebodyIsRefused) {
  using brokers::Trouble;
  for (const Trouble trouble : {Trouble::kTooOld, Trouble::kRefused, Trouble::kNotFound}) {
    const plan::Answer answer = answer_of({.trouble = trouble, .detail = "because"});
    EXPECT_EQ(answer.kind, plan::Answer::Kind::kRefused) << brokers::name(trouble);
    EXPECT_EQ(answer.sentence, "because");
  }
  for (const Trouble trouble : {Trouble::kUnreachable, Trouble::kNotNow, Trouble::kFailed}) {
    EXPECT_EQ(answer_of({.trouble = trouble}).kind, plan::Answer::Kind::kFailed)
        << brokers::name(trouble);
  }
}

// Goal: a pod that came right since it was read is not deleted, and the plan hears of it.
TEST(Deeds, APodThatHasChangedIsLeftAlone) {
  kube::testing::ModelApi api;
  const Json made = api.create(kube::kPods, {{"apiVersion", "v1"},
                                             {"kind", "Pod"},
                                             {"metadata", {{"name", "a"}, {"namespace", "shop"}}}})
                        .value();
  const World world;
  const common::ManualClock clock;
  const Deeds deeds(world, api, clock);
  Expectations expectations;
  plan::Delete deed{.target = {"v1", "Pod", "shop", "a"},
                    .uid = kube::text_at(made, {"metadata", "uid"}),
                    .resource_version = kube::text_at(made, {"metadata", "resourceVersion"})};
  const auto remove = [&] {
    return deeds.perform({.step = plan::Step::kRoll, .deed = deed}, nullptr, expectations);
  };
  const Json label = {{"metadata", {{"labels", {{"x", "y"}}}}}};
  const Json changed = api.patch(kube::kPods, {"shop", "a"}, label).value();
  EXPECT_FALSE(remove().ok);
  EXPECT_TRUE(api.get(kube::kPods, {"shop", "a"}).ok());
  deed.resource_version = kube::text_at(changed, {"metadata", "resourceVersion"});
  EXPECT_TRUE(remove().ok);
  // Gone, or another one: both are what was wanted.
  deed.uid = "another";
  deed.resource_version.clear();
  EXPECT_TRUE(remove().ok);
}

}  // namespace
}  // namespace millrace::control
