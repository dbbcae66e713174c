// Goal: the model behaves as the real API server where reconcilers depend on it. Method: these
// tests run against both, kube_model_test and kube_server_test.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/random.h"
#include "operator/kube/fields.h"
#include "operator/kube/kinds.h"
#include "operator/kube/testing/api_under_test.h"

namespace millrace::kube {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

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

/// Each test has a namespace of its own.
class ApiRules : public ::testing::Test {
 protected:
  void SetUp() override {
    api_ = testing::make_api_under_test();
    if (!api_) GTEST_SKIP() << "KUBECONFIG is not set";
    space_ = fmt::format("kube-rules-{:x}", common::system_seed());
    const Json space{{"apiVersion", "v1"}, {"kind", "Namespace"}, {"metadata", {{"name", space_}}}};
    ASSERT_TRUE(api_->create(kNamespaces, space).ok());
  }
  void TearDown() override {
    if (api_) (void)api_->remove(kNamespaces, {{}, space_});
  }

  ObjectKey key(const std::string& name) const { return {space_, name}; }
  Json config_map(const std::string& name, Json data) const {
    return {{"apiVersion", "v1"},
            {"kind", "ConfigMap"},
            {"metadata", {{"namespace", space_}, {"name", name}}},
            {"data", std::move(data)}};
  }
  Json stateful_set(int replicas) const {
    Json set = Json::parse(kStatefulSet);
    set["metadata"]["namespace"] = space_;
    set["spec"]["replicas"] = replicas;
    return set;
  }
  static std::string version(const Json& object) {
    return text_at(object, {"metadata", "resourceVersion"});
  }
  template <typename T>
  static std::string cause(const ApiResult<T>& result) {
    return result.ok() ? "ok" : std::string(name(result.error().cause));
  }

  std::unique_ptr<Api> api_;
  std::string space_;
};

TEST_F(ApiRules, CreateGetRemove) {
  EXPECT_EQ(cause(api_->get(kConfigMaps, key("c"))), "not found");
  const auto made = api_->create(kConfigMaps, config_map("c", {{"a", "1"}}));
  ASSERT_TRUE(made.ok()) << made.error().detail;
  EXPECT_EQ(text_at(*made, {"kind"}), "ConfigMap");
  EXPECT_EQ(text_at(*made, {"apiVersion"}), "v1");
  EXPECT_FALSE(made->at("metadata").contains("managedFields"));
  EXPECT_EQ(cause(api_->create(kConfigMaps, config_map("c", {}))), "already exists");
  EXPECT_EQ(*api_->get(kConfigMaps, key("c")), *made);
  EXPECT_EQ(cause(api_->remove(kConfigMaps, key("c"), {.uid = "another"})), "conflict");
  EXPECT_EQ(cause(api_->remove(kConfigMaps, key("c"), {.resource_version = "1"})), "conflict");
  const std::string uid = text_at(*made, {"metadata", "uid"});
  EXPECT_EQ(cause(api_->remove(kConfigMaps, key("c"), {.uid = uid})), "ok");
  EXPECT_EQ(cause(api_->remove(kConfigMaps, key("c"), {.uid = uid})), "not found");
}

TEST_F(ApiRules, UpdatesAreConditional) {
  const Json made = *api_->create(kConfigMaps, config_map("c", {{"a", "1"}}));
  Json next = made;
  next["data"]["a"] = "2";
  const auto updated = api_->update(kConfigMaps, next);
  ASSERT_TRUE(updated.ok()) << updated.error().detail;
  EXPECT_NE(version(*updated), version(made));
  EXPECT_EQ(cause(api_->update(kConfigMaps, next)), "conflict");
  Json another = *updated;
  another["metadata"]["uid"] = "00000000-0000-0000-0000-000000000001";
  EXPECT_EQ(cause(api_->update(kConfigMaps, another)), "conflict");
  // The same once more is no write.
  EXPECT_EQ(version(*api_->update(kConfigMaps, *updated)), version(*updated));
}

TEST_F(ApiRules, PatchesMayBeConditional) {
  const Json made = *api_->create(kConfigMaps, config_map("c", {{"a", "1"}, {"b", "2"}}));
  const auto next = api_->patch(kConfigMaps, key("c"), {{"data", {{"a", nullptr}, {"c", "3"}}}});
  ASSERT_TRUE(next.ok()) << next.error().detail;
  EXPECT_EQ(next->at("data").dump(), R"({"b":"2","c":"3"})");
  EXPECT_EQ(cause(api_->patch(
                kConfigMaps, key("c"),
                {{"metadata", {{"resourceVersion", version(made)}}}, {"data", {{"d", "4"}}}})),
            "conflict");
  EXPECT_EQ(cause(api_->patch(kConfigMaps, key("c"), {{"metadata", {{"uid", "another"}}}})),
            "invalid");
  EXPECT_EQ(cause(api_->patch(kConfigMaps, key("none"), {{"data", {{"d", "4"}}}})), "not found");
  const Json test = Json::parse(R"([{"op":"test","path":"/data/b","value":"9"}])");
  EXPECT_EQ(cause(api_->patch(kConfigMaps, key("c"), test, PatchKind::kJson)), "invalid");
}

TEST_F(ApiRules, ApplyMakesAndOwns) {
  const auto made = api_->apply(kConfigMaps, config_map("c", {{"a", "1"}, {"b", "2"}}));
  ASSERT_TRUE(made.ok()) << made.error().detail;
  EXPECT_EQ(version(*api_->apply(kConfigMaps, config_map("c", {{"a", "1"}, {"b", "2"}}))),
            version(*made));
  ASSERT_TRUE(api_->patch(kConfigMaps, key("c"), {{"data", {{"a", "theirs"}, {"x", "y"}}}}).ok());
  const auto refused = api_->apply(kConfigMaps, config_map("c", {{"a", "1"}, {"b", "2"}}),
                                   {.ownership = Ownership::kRespect});
  EXPECT_EQ(cause(refused), "conflict");
  EXPECT_THAT(refused.error().detail, HasSubstr(".data.a"));
  const auto taken = api_->apply(kConfigMaps, config_map("c", {{"a", "1"}}));
  EXPECT_EQ(taken->at("data").dump(), R"({"a":"1","x":"y"})");
}

TEST_F(ApiRules, ApplyMayBeConditional) {
  const Json made = *api_->apply(kConfigMaps, config_map("c", {{"a", "1"}}));
  ASSERT_TRUE(api_->patch(kConfigMaps, key("c"), {{"data", {{"x", "y"}}}}).ok());
  Json stale = config_map("c", {{"a", "2"}});
  stale["metadata"]["resourceVersion"] = version(made);
  EXPECT_EQ(cause(api_->apply(kConfigMaps, stale)), "conflict");
  Json of_another = config_map("c", {{"a", "2"}});
  of_another["metadata"]["uid"] = "00000000-0000-0000-0000-000000000001";
  EXPECT_EQ(cause(api_->apply(kConfigMaps, of_another)), "invalid");
  of_another["metadata"]["name"] = "none";
  EXPECT_EQ(cause(api_->apply(kConfigMaps, of_another)), "conflict");
}

TEST_F(ApiRules, ApplyMergesListsByTheirKeys) {
  Json set = stateful_set(1);
  set["spec"]["template"]["spec"]["containers"].push_back({{"name", "helper"}, {"image", "h:1"}});
  ASSERT_TRUE(api_->apply(kStatefulSets, set).ok());
  Json theirs = stateful_set(1);
  theirs["spec"] = {{"template",
                     {{"spec",
                       {{"containers",
                         {{{"name", "broker"}, {"env", {{{"name", "X"}, {"value", "1"}}}}},
                          {{"name", "sidecar"}, {"image", "s:1"}}}}}}}}};
  const auto added = api_->apply(kStatefulSets, theirs, {.field_manager = "mesh"});
  ASSERT_TRUE(added.ok()) << added.error().detail;
  const auto next = api_->apply(kStatefulSets, stateful_set(1));
  ASSERT_TRUE(next.ok()) << next.error().detail;
  std::vector<std::string> names;
  for (const Json& container : next->at("spec").at("template").at("spec").at("containers")) {
    names.push_back(text_at(container, {"name"}));
  }
  EXPECT_THAT(names, ElementsAre("broker", "sidecar"));
  EXPECT_EQ(
      text_at(next->at("spec").at("template").at("spec").at("containers").at(0).at("env").at(0),
              {"value"}),
      "1");
}

TEST_F(ApiRules, GenerationCountsChangesOfTheSpec) {
  const auto made = api_->apply(kStatefulSets, stateful_set(1));
  ASSERT_TRUE(made.ok()) << made.error().detail;
  const auto generation = [](const Json& object) {
    return number_at(object, {"metadata", "generation"}).value_or(-1);
  };
  EXPECT_EQ(generation(*made), 1);
  auto next = api_->patch(kStatefulSets, key("events"),
                          {{"spec", {{"replicas", 7}}}, {"status", {{"replicas", 1}}}},
                          PatchKind::kMerge, Part::kStatus);
  ASSERT_TRUE(next.ok()) << next.error().detail;
  EXPECT_EQ(number_at(*next, {"spec", "replicas"}), 1);
  EXPECT_EQ(number_at(*next, {"status", "replicas"}), 1);
  EXPECT_EQ(generation(*next), 1);
  next =
      api_->patch(kStatefulSets, key("events"),
                  {{"metadata", {{"annotations", {{"a", "b"}}}}}, {"status", {{"replicas", 5}}}});
  EXPECT_EQ(number_at(*next, {"status", "replicas"}), 1);
  EXPECT_EQ(generation(*next), 1);
  const auto scale = api_->patch(kStatefulSets, key("events"), {{"spec", {{"replicas", 2}}}},
                                 PatchKind::kMerge, Part::kScale);
  ASSERT_TRUE(scale.ok()) << scale.error().detail;
  EXPECT_EQ(text_at(*scale, {"kind"}), "Scale");
  EXPECT_EQ(number_at(*api_->get(kStatefulSets, key("events"), Part::kScale), {"spec", "replicas"}),
            2);
  EXPECT_EQ(generation(*api_->get(kStatefulSets, key("events"))), 2);
}

TEST_F(ApiRules, WhatMayNotChangeIsInvalid) {
  ASSERT_TRUE(api_->apply(kStatefulSets, stateful_set(1)).ok());
  Json other = stateful_set(1);
  other["spec"]["volumeClaimTemplates"][0]["spec"]["resources"]["requests"]["storage"] = "20Gi";
  const auto refused = api_->apply(kStatefulSets, other);
  EXPECT_EQ(cause(refused), "invalid");
  EXPECT_THAT(refused.error().detail,
              HasSubstr("updates to statefulset spec for fields other than"));
}

TEST_F(ApiRules, AnObjectGoesWithItsLastFinalizer) {
  Json held = config_map("c", {{"a", "1"}});
  held["metadata"]["finalizers"] = {"millrace.dev/topic"};
  ASSERT_TRUE(api_->create(kConfigMaps, held).ok());
  ASSERT_EQ(cause(api_->remove(kConfigMaps, key("c"))), "ok");
  const Json going = *api_->get(kConfigMaps, key("c"));
  EXPECT_FALSE(text_at(going, {"metadata", "deletionTimestamp"}).empty());
  // Once more is no error.
  EXPECT_EQ(cause(api_->remove(kConfigMaps, key("c"))), "ok");
  EXPECT_EQ(cause(api_->create(kConfigMaps, held)), "already exists");
  EXPECT_EQ(cause(api_->patch(
                kConfigMaps, key("c"),
                {{"metadata", {{"finalizers", {"millrace.dev/topic", "millrace.dev/new"}}}}})),
            "invalid");
  EXPECT_EQ(cause(api_->patch(kConfigMaps, key("c"), {{"metadata", {{"finalizers", nullptr}}}})),
            "ok");
  EXPECT_EQ(cause(api_->get(kConfigMaps, key("c"))), "not found");
}

TEST_F(ApiRules, PagesAreOfOneMoment) {
  for (int i = 0; i < 5; ++i) {
    ASSERT_TRUE(api_->create(kConfigMaps, config_map(fmt::format("c{}", i), {{"a", "1"}})).ok());
  }
  // Real namespaces have one of their own.
  const ListOptions options{
      .space = space_, .field_selector = "metadata.name!=kube-root-ca.crt", .limit = 2};
  auto page = api_->list(kConfigMaps, options);
  ASSERT_TRUE(page.ok()) << page.error().detail;
  const std::string first_version = page->resource_version;
  ASSERT_EQ(cause(api_->remove(kConfigMaps, key("c3"))), "ok");
  ASSERT_TRUE(api_->create(kConfigMaps, config_map("c9", {{"a", "1"}})).ok());
  std::vector<std::string> names;
  for (;;) {
    EXPECT_EQ(page->resource_version, first_version);
    EXPECT_LE(page->items.size(), 2);
    for (const Json& one : page->items) {
      EXPECT_EQ(text_at(one, {"kind"}), "ConfigMap");
      names.push_back(key_of(one).name);
    }
    if (page->continue_token.empty()) break;
    ListOptions next = options;
    next.continue_token = page->continue_token;
    page = api_->list(kConfigMaps, next);
    ASSERT_TRUE(page.ok()) << page.error().detail;
  }
  EXPECT_THAT(names, ElementsAre("c0", "c1", "c2", "c3", "c4"));
}

TEST_F(ApiRules, SelectorsSelect) {
  for (const char* color : {"red", "green", "blue"}) {
    Json one = config_map(color, {{"a", "1"}});
    one["metadata"]["labels"] = {{"color", color}};
    ASSERT_TRUE(api_->create(kConfigMaps, one).ok());
  }
  const auto selected = [&](const char* labels) {
    std::vector<std::string> names;
    const auto page = api_->list(kConfigMaps, {.space = space_, .label_selector = labels});
    for (const Json& one : page->items) {
      names.push_back(key_of(one).name);
    }
    return names;
  };
  EXPECT_THAT(selected("color=red"), ElementsAre("red"));
  EXPECT_THAT(selected("color in (red,blue)"), ElementsAre("blue", "red"));
  EXPECT_THAT(selected("color,color!=red"), ElementsAre("blue", "green"));
}

TEST_F(ApiRules, AWatchTellsWhatHappenedSince) {
  const std::string since = api_->list(kConfigMaps, {.space = space_})->resource_version;
  Json one = config_map("c", {{"a", "1"}});
  one["metadata"]["labels"] = {{"color", "red"}};
  ASSERT_TRUE(api_->create(kConfigMaps, one).ok());
  ASSERT_TRUE(api_->patch(kConfigMaps, key("c"), {{"data", {{"a", "2"}}}}).ok());
  // For one who looks for red things it is deleted now.
  const Json last =
      *api_->patch(kConfigMaps, key("c"), {{"metadata", {{"labels", {{"color", "blue"}}}}}});
  std::vector<ChangeKind> kinds;
  const auto ended = api_->watch(
      kConfigMaps, {.space = space_, .label_selector = "color=red", .resource_version = since},
      [&](WatchEvent&& event) {
        if (event.kind == ChangeKind::kBookmark) return true;
        kinds.push_back(event.kind);
        EXPECT_FALSE(event.object.at("metadata").contains("managedFields"));
        if (event.kind == ChangeKind::kDeleted) {
          EXPECT_EQ(version(event.object), version(last));
          EXPECT_EQ(text_at(event.object, {"metadata", "labels", "color"}), "red");
        }
        return event.kind != ChangeKind::kDeleted;
      },
      {});
  EXPECT_TRUE(ended.ok()) << ended.error().detail;
  EXPECT_THAT(kinds, ElementsAre(ChangeKind::kAdded, ChangeKind::kModified, ChangeKind::kDeleted));
}

TEST_F(ApiRules, WhatIsNoObjectIsInvalid) {
  EXPECT_EQ(cause(api_->create(kConfigMaps, config_map("", {}))), "invalid");
  Json strange = config_map("c", {});
  strange["kind"] = "Secret";
  EXPECT_EQ(cause(api_->create(kConfigMaps, strange)), "invalid");
}

}  // namespace
}  // namespace millrace::kube
