#include "operator/kube/testing/model_api.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "operator/kube/fields.h"
#include "operator/kube/kinds.h"

namespace millrace::kube::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const ObjectKey kEventsKey{"shop", "events"};

Json cluster(const std::string& name = "events", int brokers = 3) {
  return {{"apiVersion", "millrace.dev/v1alpha1"},
          {"kind", "MillraceCluster"},
          {"metadata", {{"namespace", "shop"}, {"name", name}}},
          {"spec", {{"brokers", brokers}}}};
}

Json config_map(const std::string& name, Json data) {
  return {{"apiVersion", "v1"},
          {"kind", "ConfigMap"},
          {"metadata", {{"namespace", "shop"}, {"name", name}}},
          {"data", std::move(data)}};
}

const char* const kStatefulSet = R"({
    "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "events"},
    "spec": {
      "serviceName": "events-brokers", "podManagementPolicy": "Parallel",
      "updateStrategy": {"type": "OnDelete"},
      "selector": {"matchLabels": {"millrace.dev/cluster": "events"}},
      "template": {
        "metadata": {"labels": {"millrace.dev/cluster": "events"}, "annotations": {"millrace.dev/revision": "r1"}},
        "spec": {"containers": [{"name": "broker", "image": "m:1"}]}},
      "volumeClaimTemplates": [{
        "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "10Gi"}}}}]}})";

Json stateful_set(int replicas) {
  Json set = Json::parse(kStatefulSet);
  set["metadata"]["namespace"] = "shop";
  set["spec"]["replicas"] = replicas;
  return set;
}

class ModelApiTest : public ::testing::Test {
 protected:
  std::string version(const Json& object) {
    return text_at(object, {"metadata", "resourceVersion"});
  }
  std::int64_t generation(const Json& object) {
    return number_at(object, {"metadata", "generation"}).value_or(-1);
  }
  std::vector<std::string> names(const Resource& resource) {
    std::vector<std::string> names;
    const auto page = api_.list(resource, {.space = "shop"});
    for (const Json& one : page->items) {
      names.push_back(key_of(one).name);
    }
    return names;
  }
  Cause cause(const ApiResult<Json>& result) { return result.error().cause; }

  ModelApi api_;
};

TEST_F(ModelApiTest, CreatesOnceAndNumbersEveryWrite) {
  const auto made = api_.create(kClusters, cluster());
  ASSERT_TRUE(made.ok());
  EXPECT_FALSE(text_at(*made, {"metadata", "uid"}).empty());
  EXPECT_EQ(generation(*made), 1);
  EXPECT_EQ(cause(api_.create(kClusters, cluster())), Cause::kAlreadyExists);
  EXPECT_EQ(*api_.get(kClusters, kEventsKey), *made);
  EXPECT_EQ(cause(api_.get(kClusters, {"shop", "none"})), Cause::kNotFound);
}

TEST_F(ModelApiTest, GenerationFollowsTheSpecAndStatusIsApart) {
  const auto made = api_.create(kClusters, cluster());
  auto next =
      api_.patch(kClusters, kEventsKey, {{"spec", {{"brokers", 9}}}, {"status", {{"brokers", 3}}}},
                 PatchKind::kMerge, Part::kStatus);
  EXPECT_EQ(number_at(*next, {"spec", "brokers"}), 3);
  EXPECT_EQ(number_at(*next, {"status", "brokers"}), 3);
  EXPECT_EQ(generation(*next), 1);
  next = api_.patch(kClusters, kEventsKey, {{"spec", {{"brokers", 4}}}, {"status", nullptr}});
  EXPECT_EQ(generation(*next), 2);
  EXPECT_EQ(number_at(*next, {"status", "brokers"}), 3);
  next = api_.patch(kClusters, kEventsKey, {{"metadata", {{"labels", {{"a", "b"}}}}}});
  EXPECT_EQ(generation(*next), 2);
  EXPECT_NE(version(*next), version(*made));
}

TEST_F(ModelApiTest, AWriteThatChangesNothingIsNone) {
  const auto made = api_.apply(kClusters, cluster());
  api_.clear_writes();
  const auto again = api_.apply(kClusters, cluster());
  EXPECT_EQ(version(*again), version(*made));
  EXPECT_THAT(api_.writes(), IsEmpty());
  api_.apply(kClusters, cluster("events", 4)).value();
  ASSERT_EQ(api_.writes().size(), 1);
  EXPECT_EQ(api_.writes()[0].verb, "apply");
}

TEST_F(ModelApiTest, ConditionsAreKept) {
  Json object = *api_.create(kClusters, cluster());
  ASSERT_TRUE(api_.patch(kClusters, kEventsKey, {{"spec", {{"brokers", 4}}}}).ok());
  object["spec"]["brokers"] = 5;
  EXPECT_EQ(cause(api_.update(kClusters, object)), Cause::kConflict);
  EXPECT_EQ(cause(api_.patch(kClusters, kEventsKey,
                             {{"metadata", {{"resourceVersion", version(object)}}}})),
            Cause::kConflict);
  EXPECT_EQ(cause(api_.patch(kClusters, kEventsKey, {{"metadata", {{"uid", "other"}}}})),
            Cause::kInvalid);
  Json manifest = cluster("events", 6);
  manifest["metadata"]["resourceVersion"] = version(object);
  EXPECT_EQ(cause(api_.apply(kClusters, manifest)), Cause::kConflict);
  EXPECT_EQ(api_.remove(kClusters, kEventsKey, {.uid = "other"}).error().cause, Cause::kConflict);
  EXPECT_EQ(api_.remove(kClusters, kEventsKey, {.resource_version = version(object)}).error().cause,
            Cause::kConflict);
  EXPECT_EQ(number_at(*api_.get(kClusters, kEventsKey), {"spec", "brokers"}), 4);
}

TEST_F(ModelApiTest, ApplyTakesBackWhatItNamesNoMore) {
  api_.apply(kConfigMaps, config_map("c", {{"a", "1"}, {"b", "2"}})).value();
  api_.patch(kConfigMaps, {"shop", "c"}, {{"data", {{"theirs", "3"}}}}).value();
  const auto next = api_.apply(kConfigMaps, config_map("c", {{"a", "1"}}));
  EXPECT_EQ(next->at("data").dump(), R"({"a":"1","theirs":"3"})");
}

TEST_F(ModelApiTest, ApplyWithoutForceRespectsOwners) {
  api_.apply(kConfigMaps, config_map("c", {{"a", "1"}})).value();
  api_.patch(kConfigMaps, {"shop", "c"}, {{"data", {{"a", "theirs"}}}}).value();
  const auto refused =
      api_.apply(kConfigMaps, config_map("c", {{"a", "1"}}), {.ownership = Ownership::kRespect});
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().cause, Cause::kConflict);
  EXPECT_THAT(refused.error().detail, HasSubstr(".data.a (owned by \"update\")"));
  // The same value is no conflict: both own it then.
  EXPECT_TRUE(api_.apply(kConfigMaps, config_map("c", {{"a", "theirs"}}),
                         {.ownership = Ownership::kRespect})
                  .ok());
  EXPECT_EQ(api_.apply(kConfigMaps, config_map("c", {{"a", "1"}}))->at("data").at("a"), "1");
}

// Goal: what another manager adds beside ours in a list survives, and ours goes when we stop saying
// it.
TEST_F(ModelApiTest, ApplyMergesListsByTheirKeys) {
  Json set = stateful_set(1);
  Json& containers = set["spec"]["template"]["spec"]["containers"];
  containers.push_back({{"name", "helper"}, {"image", "h:1"}});
  api_.apply(kStatefulSets, set).value();
  Json theirs = stateful_set(1);
  theirs["spec"] = {{"template",
                     {{"spec",
                       {{"containers",
                         {{{"name", "broker"}, {"env", {{{"name", "X"}, {"value", "1"}}}}},
                          {{"name", "sidecar"}, {"image", "s:1"}}}}}}}}};
  api_.apply(kStatefulSets, theirs, {.field_manager = "mesh"}).value();
  const auto next = api_.apply(kStatefulSets, stateful_set(1));
  EXPECT_EQ(next->at("spec").at("template").at("spec").at("containers").dump(),
            R"([{"env":[{"name":"X","value":"1"}],"image":"m:1","name":"broker"},)"
            R"({"image":"s:1","name":"sidecar"}])");
}

TEST_F(ModelApiTest, AnObjectGoesWithItsLastFinalizer) {
  Json topic = cluster();
  topic["metadata"]["finalizers"] = {"millrace.dev/topic"};
  const auto made = api_.create(kClusters, topic);
  ASSERT_TRUE(api_.remove(kClusters, kEventsKey).ok());
  const auto going = api_.get(kClusters, kEventsKey);
  ASSERT_TRUE(going.ok());
  EXPECT_FALSE(text_at(*going, {"metadata", "deletionTimestamp"}).empty());
  EXPECT_EQ(cause(api_.create(kClusters, cluster())), Cause::kAlreadyExists);
  EXPECT_EQ(cause(api_.patch(kClusters, kEventsKey,
                             {{"metadata", {{"finalizers", {"millrace.dev/topic", "new"}}}}})),
            Cause::kInvalid);
  ASSERT_TRUE(
      api_.patch(kClusters, kEventsKey, {{"metadata", {{"finalizers", Json::array()}}}}).ok());
  EXPECT_EQ(cause(api_.get(kClusters, kEventsKey)), Cause::kNotFound);
  const auto again = api_.create(kClusters, cluster());
  EXPECT_NE(text_at(*again, {"metadata", "uid"}), text_at(*made, {"metadata", "uid"}));
}

TEST_F(ModelApiTest, AStatefulSetMakesPodsAndClaims) {
  api_.apply(kStatefulSets, stateful_set(3)).value();
  api_.run_controllers();
  EXPECT_THAT(names(kPods), ElementsAre("events-0", "events-1", "events-2"));
  EXPECT_THAT(names(kVolumeClaims), ElementsAre("data-events-0", "data-events-1", "data-events-2"));
  const Json pod = *api_.get(kPods, {"shop", "events-1"});
  EXPECT_EQ(label_of(pod, "apps.kubernetes.io/pod-index"), "1");
  EXPECT_EQ(label_of(pod, "statefulset.kubernetes.io/pod-name"), "events-1");
  EXPECT_EQ(text_at(pod, {"metadata", "annotations", "millrace.dev/revision"}), "r1");
  EXPECT_EQ(text_at(pod, {"status", "phase"}), "Running");
  EXPECT_FALSE(text_at(pod, {"status", "podIP"}).empty());
  EXPECT_FALSE(text_at(pod, {"spec", "nodeName"}).empty());
  const Json set = *api_.get(kStatefulSets, kEventsKey);
  EXPECT_EQ(number_at(set, {"status", "readyReplicas"}), 3);
  EXPECT_EQ(number_at(set, {"status", "observedGeneration"}), 1);
  EXPECT_FALSE(api_.step_controllers());
}

TEST_F(ModelApiTest, OnDeleteRollsNothingByItself) {
  api_.apply(kStatefulSets, stateful_set(2)).value();
  api_.run_controllers();
  Json next = stateful_set(2);
  next["spec"]["template"]["spec"]["containers"][0]["image"] = "m:2";
  api_.apply(kStatefulSets, next).value();
  api_.run_controllers();
  const auto image = [&](const char* name) {
    return api_.get(kPods, {"shop", name})->at("spec").at("containers").at(0).at("image");
  };
  EXPECT_EQ(image("events-0"), "m:1");
  EXPECT_EQ(number_at(*api_.get(kStatefulSets, kEventsKey), {"status", "updatedReplicas"}), 0);
  const std::string uid = text_at(*api_.get(kPods, {"shop", "events-1"}), {"metadata", "uid"});
  ASSERT_TRUE(api_.remove(kPods, {"shop", "events-1"}, {.uid = uid}).ok());
  api_.run_controllers();
  EXPECT_EQ(image("events-0"), "m:1");
  EXPECT_EQ(image("events-1"), "m:2");
  EXPECT_NE(text_at(*api_.get(kPods, {"shop", "events-1"}), {"metadata", "uid"}), uid);
}

TEST_F(ModelApiTest, ScalingDownKeepsClaims) {
  api_.apply(kStatefulSets, stateful_set(3)).value();
  api_.run_controllers();
  api_.patch(kStatefulSets, kEventsKey, {{"spec", {{"replicas", 1}}}}, PatchKind::kMerge,
             Part::kScale)
      .value();
  api_.run_controllers();
  EXPECT_THAT(names(kPods), ElementsAre("events-0"));
  EXPECT_EQ(names(kVolumeClaims).size(), 3);
  // A claim that is in use waits for its pod; one that is not goes at once.
  ASSERT_TRUE(api_.remove(kVolumeClaims, {"shop", "data-events-0"}).ok());
  ASSERT_TRUE(api_.remove(kVolumeClaims, {"shop", "data-events-2"}).ok());
  api_.run_controllers();
  EXPECT_THAT(names(kVolumeClaims), ElementsAre("data-events-0", "data-events-1"));
}

TEST_F(ModelApiTest, WhatCannotChangeIsRefused) {
  api_.apply(kStatefulSets, stateful_set(1)).value();
  api_.run_controllers();
  Json other = stateful_set(1);
  other["spec"]["volumeClaimTemplates"][0]["spec"]["resources"]["requests"]["storage"] = "20Gi";
  EXPECT_EQ(cause(api_.apply(kStatefulSets, other)), Cause::kInvalid);
  const auto resize = [&](const char* size) {
    return api_.patch(kVolumeClaims, {"shop", "data-events-0"},
                      {{"spec", {{"resources", {{"requests", {{"storage", size}}}}}}}});
  };
  EXPECT_TRUE(resize("20Gi").ok());
  EXPECT_EQ(cause(resize("15Gi")), Cause::kInvalid);
  api_.run_controllers();
  EXPECT_EQ(text_at(*api_.get(kVolumeClaims, {"shop", "data-events-0"}),
                    {"status", "capacity", "storage"}),
            "20Gi");
}

TEST_F(ModelApiTest, OrphansAreAdoptedByTheNextOfThatName) {
  api_.apply(kStatefulSets, stateful_set(2)).value();
  api_.run_controllers();
  const std::string pod_uid = text_at(*api_.get(kPods, {"shop", "events-0"}), {"metadata", "uid"});
  ASSERT_TRUE(api_.remove(kStatefulSets, kEventsKey, {.propagation = Propagation::kOrphan}).ok());
  api_.run_controllers();
  EXPECT_EQ(names(kPods).size(), 2);
  const Json set = *api_.apply(kStatefulSets, stateful_set(2));
  api_.run_controllers();
  const Json pod = *api_.get(kPods, {"shop", "events-0"});
  EXPECT_EQ(text_at(pod, {"metadata", "uid"}), pod_uid);
  EXPECT_EQ(text_at(pod.at("metadata").at("ownerReferences").at(0), {"uid"}),
            text_at(set, {"metadata", "uid"}));
}

Json owned(const std::string& name, const Json& owner) {
  Json object = config_map(name, {{"a", "1"}});
  object["metadata"]["ownerReferences"] = {{{"apiVersion", "millrace.dev/v1alpha1"},
                                            {"kind", "MillraceCluster"},
                                            {"name", "events"},
                                            {"uid", text_at(owner, {"metadata", "uid"})},
                                            {"blockOwnerDeletion", true}}};
  return object;
}

TEST_F(ModelApiTest, WhatIsOwnedGoesWithItsOwner) {
  const Json made = *api_.create(kClusters, cluster());
  api_.create(kConfigMaps, owned("c", made)).value();
  api_.create(kConfigMaps, config_map("free", {})).value();
  ASSERT_TRUE(api_.remove(kClusters, kEventsKey).ok());
  EXPECT_THAT(names(kConfigMaps), ElementsAre("c", "free"));
  api_.run_controllers();
  EXPECT_THAT(names(kConfigMaps), ElementsAre("free"));
}

TEST_F(ModelApiTest, AForegroundDeletionWaitsForWhatIsOwned) {
  const Json made = *api_.create(kClusters, cluster());
  Json child = owned("c", made);
  child["metadata"]["finalizers"] = {"hold"};
  api_.create(kConfigMaps, child).value();
  ASSERT_TRUE(api_.remove(kClusters, kEventsKey, {.propagation = Propagation::kForeground}).ok());
  api_.run_controllers();
  EXPECT_TRUE(api_.get(kClusters, kEventsKey).ok());
  api_.patch(kConfigMaps, {"shop", "c"}, {{"metadata", {{"finalizers", nullptr}}}}).value();
  api_.run_controllers();
  EXPECT_EQ(cause(api_.get(kClusters, kEventsKey)), Cause::kNotFound);
}

TEST_F(ModelApiTest, ATerminatingNamespaceTakesNothingNewAndEmptiesItself) {
  api_.create(kNamespaces,
              {{"apiVersion", "v1"}, {"kind", "Namespace"}, {"metadata", {{"name", "shop"}}}})
      .value();
  Json held = cluster();
  held["metadata"]["finalizers"] = {"millrace.dev/topic"};
  api_.create(kClusters, held).value();
  api_.create(kConfigMaps, config_map("c", {})).value();
  ASSERT_TRUE(api_.remove(kNamespaces, {{}, "shop"}).ok());
  EXPECT_EQ(cause(api_.create(kConfigMaps, config_map("d", {}))), Cause::kForbidden);
  api_.run_controllers();
  EXPECT_THAT(names(kConfigMaps), IsEmpty());
  EXPECT_TRUE(api_.get(kNamespaces, {{}, "shop"}).ok());
  api_.patch(kClusters, kEventsKey, {{"metadata", {{"finalizers", nullptr}}}}).value();
  api_.run_controllers();
  EXPECT_EQ(cause(api_.get(kNamespaces, {{}, "shop"})), Cause::kNotFound);
}

TEST_F(ModelApiTest, BrokenPodsSaySo) {
  api_.apply(kStatefulSets, stateful_set(1)).value();
  api_.break_pod({"shop", "events-0"}, "CrashLoopBackOff");
  api_.run_controllers();
  const auto waiting = [&] {
    const Json pod = *api_.get(kPods, {"shop", "events-0"});
    return text_at(pod.at("status").at("containerStatuses").at(0), {"state", "waiting", "reason"});
  };
  EXPECT_EQ(waiting(), "CrashLoopBackOff");
  EXPECT_EQ(number_at(*api_.get(kStatefulSets, kEventsKey), {"status", "readyReplicas"}), 0);
  api_.break_pod({"shop", "events-0"}, std::nullopt);
  api_.run_controllers();
  EXPECT_EQ(waiting(), "");
  EXPECT_EQ(number_at(*api_.get(kStatefulSets, kEventsKey), {"status", "readyReplicas"}), 1);
}

TEST_F(ModelApiTest, PagesAreOfOneMoment) {
  for (int i = 0; i < 5; ++i)
    api_.create(kConfigMaps, config_map(fmt::format("c{}", i), {})).value();
  const auto first = api_.list(kConfigMaps, {.limit = 2});
  ASSERT_EQ(first->items.size(), 2);
  ASSERT_TRUE(api_.remove(kConfigMaps, {"shop", "c3"}).ok());
  api_.create(kConfigMaps, config_map("c9", {})).value();
  std::vector<std::string> rest;
  std::string token = first->continue_token;
  while (!token.empty()) {
    const auto page = api_.list(kConfigMaps, {.limit = 2, .continue_token = token});
    for (const Json& one : page->items) rest.push_back(key_of(one).name);
    token = page->continue_token;
    EXPECT_EQ(page->resource_version, first->resource_version);
  }
  EXPECT_THAT(rest, ElementsAre("c2", "c3", "c4"));
  api_.restart(/*forget=*/true);
  EXPECT_EQ(
      api_.list(kConfigMaps, {.limit = 2, .continue_token = first->continue_token}).error().cause,
      Cause::kGone);
}

TEST_F(ModelApiTest, SelectorsSelect) {
  for (const char* color : {"red", "green", "blue"}) {
    Json one = config_map(color, {});
    one["metadata"]["labels"] = {{"color", color}};
    api_.create(kConfigMaps, one).value();
  }
  api_.create(kConfigMaps, config_map("none", {})).value();
  const auto selected = [&](const char* labels, const char* fields = "") {
    std::string names;
    const auto page = api_.list(kConfigMaps, {.label_selector = labels, .field_selector = fields});
    for (const Json& one : page->items) names += key_of(one).name + " ";
    return names;
  };
  EXPECT_EQ(selected("color=red"), "red ");
  EXPECT_EQ(selected("color==red"), "red ");
  EXPECT_EQ(selected("color!=red"), "blue green none ");
  EXPECT_EQ(selected("color"), "blue green red ");
  EXPECT_EQ(selected("!color"), "none ");
  EXPECT_EQ(selected("color in (red, blue)"), "blue red ");
  EXPECT_EQ(selected("color notin (red,blue),color"), "green ");
  EXPECT_EQ(selected("", "metadata.name=none"), "none ");
}

TEST_F(ModelApiTest, ALostAnswerIsDoneAndSaysSo) {
  api_.lose_answers(1);
  const auto lost = api_.create(kClusters, cluster());
  ASSERT_FALSE(lost.ok());
  EXPECT_TRUE(lost.error().maybe_done);
  EXPECT_TRUE(api_.get(kClusters, kEventsKey).ok());
  api_.fail_calls(1, Cause::kUnavailable);
  EXPECT_EQ(cause(api_.get(kClusters, kEventsKey)), Cause::kUnavailable);
  EXPECT_TRUE(api_.get(kClusters, kEventsKey).ok());
}

TEST_F(ModelApiTest, ChangesCanBeReadLate) {
  const std::string begin = api_.resource_version();
  api_.create(kClusters, cluster()).value();
  api_.patch(kClusters, kEventsKey, {{"spec", {{"brokers", 4}}}}).value();
  ASSERT_TRUE(api_.remove(kClusters, kEventsKey).ok());
  const auto changes = api_.changes_since(kClusters, begin);
  ASSERT_EQ(changes->size(), 3);
  EXPECT_EQ(changes->at(0).kind, ChangeKind::kAdded);
  EXPECT_EQ(changes->at(1).kind, ChangeKind::kModified);
  EXPECT_EQ(changes->at(2).kind, ChangeKind::kDeleted);
  EXPECT_EQ(version(changes->at(2).object), api_.resource_version());
  api_.restart(/*forget=*/true);
  EXPECT_EQ(api_.changes_since(kClusters, begin).error().cause, Cause::kGone);
}

TEST_F(ModelApiTest, FaultsFollowTheSeed) {
  const auto run = [](std::uint64_t seed) {
    ModelApi api(seed);
    api.set_faults({.refuse = 100, .lose_answer = 200, .throttle = 50, .conflict = 300});
    std::string trace;
    for (int i = 0; i < 50; ++i) {
      const auto done = api.patch(kClusters, kEventsKey, {{"spec", {{"brokers", i}}}});
      trace += done.ok() ? "ok " : std::string(name(done.error().cause)) + " ";
      (void)api.create(kClusters, cluster());
    }
    return trace + api.resource_version();
  };
  EXPECT_EQ(run(5), run(5));
  EXPECT_NE(run(5), run(6));
}

TEST_F(ModelApiTest, ServicesGetPortsAndAddresses) {
  const Json service{{"apiVersion", "v1"},
                     {"kind", "Service"},
                     {"metadata", {{"namespace", "shop"}, {"name", "s"}}},
                     {"spec", {{"type", "LoadBalancer"}, {"ports", {{{"port", 9092}}}}}}};
  const Json made = *api_.apply(kServices, service);
  const auto port = number_at(made.at("spec").at("ports").at(0), {"nodePort"});
  ASSERT_TRUE(port);
  api_.run_controllers();
  const Json again = *api_.apply(kServices, service);
  EXPECT_EQ(number_at(again.at("spec").at("ports").at(0), {"nodePort"}), port);
  EXPECT_FALSE(again.at("status").at("loadBalancer").at("ingress").empty());
}

}  // namespace
}  // namespace millrace::kube::testing
