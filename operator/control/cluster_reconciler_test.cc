// A cluster from its resource to rolls and scale-downs, through the real planner, on models of an
// API server and of brokers: what the shell must add to the plan is that nothing of it depends on
// when it ends.
#include "operator/control/cluster_reconciler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "operator/control/testing/bench.h"
#include "operator/kube/fields.h"

namespace millrace::control {
namespace {

using kube::Json;
using testing::Bench;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using testing::told;

const Json kOtherSetting = {{"config", {{"connections.max.idle.ms", "700000"}}}};

std::size_t replicas(Bench& bench) {
  const auto set = bench.api.get(kube::kStatefulSets, Bench::kKey);
  return set.ok()
             ? static_cast<std::size_t>(kube::number_at(*set, {"spec", "replicas"}).value_or(0))
             : 0;
}

std::set<std::string> revisions(Bench& bench) {
  std::set<std::string> all;
  for (const auto& [pod, revision] : bench.pods("millrace.dev/revision")) all.insert(revision);
  return all;
}

TEST(ClusterReconciler, AResourceBecomesAClusterAndThenNothingIsWritten) {
  Bench bench;
  bench.make_cluster(3);
  ASSERT_TRUE(bench.settle());
  EXPECT_EQ(bench.ready(), "True") << bench.cluster()["status"].dump(1);
  EXPECT_THAT(bench.pods("millrace.dev/revision"), SizeIs(3));
  EXPECT_THAT(told(bench.written_in(std::chrono::minutes(10))), IsEmpty()) << "C17";
}

TEST(ClusterReconciler, ASettingRollsEveryBrokerAndNoneWithoutAPermit) {
  Bench bench;
  bench.make_cluster(3);
  ASSERT_TRUE(bench.settle());
  const auto before = revisions(bench);
  bench.edit_cluster(kOtherSetting);
  ASSERT_TRUE(bench.settle());
  const auto after = revisions(bench);
  EXPECT_THAT(after, SizeIs(1)) << bench.cluster()["status"].dump(1);
  EXPECT_NE(before, after);
  EXPECT_EQ(bench.ready(), "True");
  EXPECT_GE(bench.brokers->calls("AcquireRestartPermit"), 3u);
  EXPECT_THAT(bench.brokers->offences(), IsEmpty());
  EXPECT_THAT(told(bench.written_in(std::chrono::minutes(5))), IsEmpty());
}

TEST(ClusterReconciler, ScaleUpAndDownKeepsVolumesAndNeedsAReceipt) {
  Bench bench;
  bench.make_cluster(4);
  ASSERT_TRUE(bench.settle());
  EXPECT_EQ(replicas(bench), 4u);
  bench.edit_cluster({{"brokers", 3}});
  ASSERT_TRUE(bench.settle());
  EXPECT_EQ(replicas(bench), 3u);
  EXPECT_EQ(bench.ready(), "True");
  EXPECT_THAT(bench.brokers->receipts(), SizeIs(1));
  EXPECT_TRUE(bench.api.get(kube::kVolumeClaims, {"shop", "data-events-3"}).ok())
      << "kept on scale-down unless asked";
  EXPECT_THAT(told(bench.written_in(std::chrono::minutes(5))), IsEmpty());
}

TEST(ClusterReconciler, WhatBrokersRefuseIsToldAndAskedSeldom) {
  Bench bench;
  bench.make_cluster(3);
  ASSERT_TRUE(bench.settle());
  bench.edit_cluster({{"brokers", 2}});
  ASSERT_TRUE(bench.settle());
  EXPECT_EQ(replicas(bench), 3u);
  const std::uint64_t before = bench.brokers->calls("DrainBroker");
  EXPECT_THAT(told(bench.written_in(std::chrono::minutes(5))), IsEmpty());
  EXPECT_LE(bench.brokers->calls("DrainBroker") - before, 70u);
  bench.edit_cluster({{"brokers", 3}});
  ASSERT_TRUE(bench.settle());
  EXPECT_EQ(bench.ready(), "True");
}

// Sub-steps are independent: a Service that is refused holds up no setting.
TEST(ClusterReconciler, AFailedStepLeavesTheOthersAlone) {
  Bench bench;
  bench.make_cluster(3);
  ASSERT_TRUE(bench.settle());
  const auto before = revisions(bench);
  bench.api.set_gate([](const std::string& verb, const Resource& resource,
                        const ObjectKey&) -> std::optional<kube::ApiError> {
    if (verb != "apply" || resource.plural != "services") return std::nullopt;
    return kube::ApiError{.cause = kube::Cause::kForbidden, .detail = "no more Services today"};
  });
  ASSERT_TRUE(bench.api.remove(kube::kServices, {"shop", "events-bootstrap"}, {}).ok());
  bench.edit_cluster(kOtherSetting);
  for (int i = 0; i < 600; ++i) bench.round();
  EXPECT_NE(revisions(bench), before);
  EXPECT_THAT(revisions(bench), SizeIs(1));
  EXPECT_FALSE(bench.api.get(kube::kServices, {"shop", "events-bootstrap"}).ok());
}

TEST(ClusterReconciler, LostAnswersChangeNothing) {
  Bench bench;
  bench.make_cluster(4);
  for (int i = 0; i < 40; ++i) {
    bench.api.lose_answers(1);
    bench.brokers->lose_answers(1);
    bench.round();
  }
  bench.api.lose_answers(0);
  bench.edit_cluster({{"brokers", 3}, {"config", kOtherSetting["config"]}});
  for (int i = 0; i < 40; ++i) {
    bench.api.lose_answers(1);
    bench.brokers->lose_answers(1);
    bench.round();
  }
  bench.api.lose_answers(0);
  bench.brokers->lose_answers(0);
  ASSERT_TRUE(bench.settle());
  EXPECT_EQ(bench.ready(), "True");
  EXPECT_EQ(replicas(bench), 3u);
  EXPECT_THAT(revisions(bench), SizeIs(1));
  EXPECT_THAT(bench.brokers->offences(), IsEmpty());
}

/// From nothing to a cluster that was rolled and made smaller. False: the operator ended.
bool live(Bench& bench) {
  bench.make_cluster(4);
  if (!bench.settle() || bench.ended()) return false;
  bench.edit_cluster({{"brokers", 3}, {"config", kOtherSetting["config"]}});
  return bench.settle() && !bench.ended();
}

// Goal: any number of crashes gives the same end (design, "How the operator works"). Method: the
// whole life once, counting calls; then again and again, with the operator ending before call n,
// for every n, and another one taking over.
TEST(ClusterReconciler, ItMayEndBetweenAnyTwoCalls) {
  int calls = 0;
  {
    Bench bench;
    bench.end_after(1'000'000);
    ASSERT_TRUE(live(bench));
    calls = bench.calls_made();
  }
  ASSERT_GT(calls, 50);
  // Every call at first, then every third: most of the later ones are reads while it waits.
  for (int n = 0; n < calls; n += n < 60 ? 1 : 3) {
    Bench bench;
    bench.end_after(n);
    live(bench);
    bench.restart_operator();
    bench.edit_cluster({{"brokers", 3}, {"config", kOtherSetting["config"]}});
    ASSERT_TRUE(bench.settle()) << "ended before call " << n;
    ASSERT_EQ(bench.ready(), "True") << "ended before call " << n;
    ASSERT_EQ(replicas(bench), 3u) << "ended before call " << n;
    ASSERT_THAT(revisions(bench), SizeIs(1)) << "ended before call " << n;
    ASSERT_THAT(bench.brokers->offences(), IsEmpty()) << "ended before call " << n;
  }
}

// The lease keeps two from acting at once; if it ever fails, they must still do no harm.
TEST(ClusterReconciler, TwoAtOnceDoNoHarm) {
  Bench bench;
  bench.add_operator();
  ASSERT_TRUE(live(bench));
  EXPECT_EQ(bench.ready(), "True");
  EXPECT_EQ(replicas(bench), 3u);
  EXPECT_THAT(revisions(bench), SizeIs(1));
  EXPECT_THAT(bench.brokers->offences(), IsEmpty());
  EXPECT_THAT(told(bench.written_in(std::chrono::minutes(5))), IsEmpty());
}

// C17: what a cluster is does not depend on when the operator began.
TEST(ClusterReconciler, AnOperatorThatBeginsWhileNobodyAnswersKeepsWhatWasSaidForAWhile) {
  Bench bench;
  bench.make_cluster(3);
  ASSERT_TRUE(bench.settle());
  const auto silence = [](const std::string&) -> std::optional<brokers::BrokerError> {
    return brokers::BrokerError{.trouble = brokers::Trouble::kUnreachable, .detail = "silence"};
  };
  bench.restart_operator();
  bench.brokers->set_gate(silence);
  bench.api.clear_writes();
  for (int i = 0; i < 16; ++i) bench.round();
  bench.brokers->set_gate(nullptr);
  for (int i = 0; i < 16; ++i) bench.round();
  EXPECT_EQ(bench.ready(), "True");
  EXPECT_THAT(told(bench.api.writes()), IsEmpty()) << "eight seconds are no outage";

  bench.brokers->set_gate(silence);
  for (int i = 0; i < 60; ++i) bench.round();
  EXPECT_EQ(bench.ready(), "False");
  EXPECT_EQ(Bench::reason(bench.cluster(), "Ready"), "BrokersUnreachable");
  bench.brokers->set_gate(nullptr);
  ASSERT_TRUE(bench.settle());
  EXPECT_EQ(bench.ready(), "True");
}

// Brokers may take seconds to answer, and a pod that was not there before may have a broker by
// then.
TEST(ClusterReconciler, WhatIsDoneFollowsWhatIsSoOnceTheBrokersHaveAnswered) {
  Bench bench;
  bench.make_cluster(3);
  ASSERT_TRUE(bench.settle());
  bench.edit_cluster({{"brokers", 5}});
  bool answered = false;
  bench.brokers->set_gate([&](const std::string& method) -> std::optional<brokers::BrokerError> {
    if (method == "ClusterHealth" && !std::exchange(answered, true)) {
      bench.edit_cluster({{"brokers", 3}});
      bench.station().sync();
    }
    return std::nullopt;
  });
  bench.round();
  EXPECT_TRUE(answered);
  EXPECT_EQ(replicas(bench), 3u);
  ASSERT_TRUE(bench.settle());
  EXPECT_EQ(replicas(bench), 3u);
}

TEST(ClusterReconciler, WithoutTheLeaseNothingIsDone) {
  Bench bench;
  bench.make_cluster(3);
  ASSERT_TRUE(bench.settle());
  bench.station().lose_leadership();
  bench.edit_cluster({{"brokers", 4}, {"config", kOtherSetting["config"]}});
  bench.api.clear_writes();
  for (int i = 0; i < 100; ++i) bench.round();
  EXPECT_THAT(told(bench.api.writes()), IsEmpty());
}

TEST(ClusterReconciler, WhatIsSaidToAnActionIsNewsOnce) {
  plan::Answers answers;
  const Done refused{.ok = true, .answer = plan::Answer{plan::Answer::Kind::kRefused, "not now"}};
  EXPECT_TRUE(remember(answers, "Drain/3", refused));
  EXPECT_FALSE(remember(answers, "Drain/3", refused));
  EXPECT_TRUE(remember(answers, "Drain/3", Done{}));
  EXPECT_THAT(answers, IsEmpty());
  EXPECT_FALSE(remember(answers, "Drain/3", Done{}));
}

}  // namespace
}  // namespace millrace::control
