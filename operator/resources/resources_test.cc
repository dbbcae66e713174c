#include <fmt/format.h>
#include <gtest/gtest.h>

#include "broker/model/broker_settings.h"
#include "broker/model/outside_listeners.h"
#include "operator/resources/cluster.h"
#include "operator/resources/fields.h"
#include "operator/resources/manifests.h"
#include "operator/resources/names.h"
#include "operator/resources/quantity.h"
#include "operator/resources/receipt.h"
#include "operator/resources/topic.h"

namespace millrace::resources {
namespace {

ManifestRequest request_of(const Json& spec) {
  const Json object = {{"metadata", {{"name", "events"}, {"namespace", "shop"}, {"uid", "3f1e"}}},
                       {"spec", spec}};
  return {.cluster = identity_of(object),
          .spec = parse_cluster_spec(object, {.image = "millrace:1"}).value,
          .cluster_id = "3f1e",
          .voters = 3,
          .replicas = 3,
          .older_settings = {},
          .claim_templates = {}};
}

// Goal: the operator and the brokers agree on which settings change at run time. Method: compare
// our list with the brokers' own table.
TEST(Settings, DynamicOnesAreTheBrokers) {
  for (const model::ConfigKey& key : model::broker_keys()) {
    EXPECT_EQ(is_dynamic_setting(key.name), key.update == model::ConfigUpdate::kClusterWide)
        << key.name;
  }
}

// Goal: every reserved name is a setting of brokers, or nobody could give it anyhow.
TEST(Settings, ReservedOnesExist) {
  for (const model::ConfigKey& key : model::broker_keys()) {
    const bool ours = key.name.find(".listen") != key.name.npos ||
                      key.name.find("advertised") != key.name.npos || key.name == "node.id";
    EXPECT_TRUE(!ours || is_reserved_setting(key.name)) << key.name;
  }
  EXPECT_FALSE(is_reserved_setting("min.insync.replicas"));
}

// Goal: brokers understand what they are told of listeners outside, and where these are. Method:
// give what we write to the brokers' own readers.
TEST(Settings, OutsideListenersAreUnderstoodByBrokers) {
  const ManifestRequest request =
      request_of({{"listeners",
                   {{{"name", "plain"}, {"port", 9092}},
                    {{"name", "nodes"}, {"port", 9095}, {"type", "nodeport"}},
                    {{"name", "cloud"}, {"port", 9096}, {"type", "loadbalancer"}}}}});
  model::ConfigMap config;
  const Json set = stateful_set(request);
  for (const Json& variable : at(set, "spec", "template", "spec")["containers"][0]["env"]) {
    const std::string name = variable["name"];
    if (name == "MILLRACE_KAFKA_OUTSIDE_LISTEN") config["kafka.outside.listen"] = variable["value"];
    if (name == "MILLRACE_KAFKA_OUTSIDE_ADDRESSES")
      config["kafka.outside.addresses"] = variable["value"];
  }
  const model::BrokerLayers layers{.from_start = &config};
  const model::OutsideSettings outside = model::resolve_outside_settings(layers);
  EXPECT_EQ(outside.listeners, (std::vector<model::OutsideListener>{{"nodes", {"0.0.0.0", 9095}},
                                                                    {"cloud", {"0.0.0.0", 9096}}}));
  EXPECT_TRUE(model::check_outside(outside, model::resolve_broker_settings(layers)).ok());
  const Json map = outside_map(request, {{"nodes", {{0, "10.0.0.1:31000"}, {1, "[fd00::2]:31001"}}},
                                         {"cloud", {{1, "b1.example.com:9096"}}}});
  const auto lines =
      model::read_outside_addresses(std::string(map["data"]["addresses"]), model::BrokerId{1});
  EXPECT_EQ(lines.problem, "");
  EXPECT_EQ(lines.addresses, (model::OutsideAddresses{{"nodes", {"fd00::2", 31001}},
                                                      {"cloud", {"b1.example.com", 9096}}}));
}

TEST(Settings, RunTimeOnesAreInNoFileAndNoRevision) {
  const ManifestRequest before = request_of(Json::object());
  const ManifestRequest live = request_of({{"config", {{"message.max.bytes", 5}}}});
  const ManifestRequest fixed = request_of({{"config", {{"shards", 5}}}});
  EXPECT_EQ(settings_file(live), settings_file(before));
  EXPECT_EQ(pod_revision(live), pod_revision(before));
  EXPECT_NE(settings_revision(fixed), settings_revision(before));
  EXPECT_NE(pod_revision(fixed), pod_revision(before));
  EXPECT_EQ(dynamic_config(live.spec).at("message.max.bytes"), "5");
}

// Goal: scale, volumes and older files restart nobody.
TEST(Revision, DependsOnPodsOnly) {
  const ManifestRequest before = request_of(Json::object());
  ManifestRequest after = request_of(
      {{"brokers", 7}, {"storage", {{"size", "1Ti"}}}, {"metrics", {{"podMonitor", true}}}});
  after.replicas = 7;
  after.older_settings = {{"abc", "x: y\n"}};
  EXPECT_EQ(pod_revision(after), pod_revision(before));
}

TEST(Settings, AnyTextIsOneYamlString) {
  const ManifestRequest odd = request_of({{"config", {{"shards", "a: \"b\"\nnode.id: 5 # \\"}}}});
  EXPECT_NE(settings_file(odd).find("shards: \"a: \\\"b\\\"\\nnode.id: 5 # \\\\\"\n"),
            std::string::npos);
}

TEST(Settings, ThePodTellsItsFile) {
  const ManifestRequest request = request_of(Json::object());
  const Json set = stateful_set(request);
  EXPECT_EQ(settings_revision_of(set["spec"]["template"]), settings_revision(request));
  EXPECT_EQ(settings_revision_of(Json::object()), "");
}

TEST(Quantity, IsReadAsKubernetesDoes) {
  const std::map<std::string, std::int64_t> amounts = {
      {"100Gi", 107374182400}, {"1.5Ki", 1536},       {"1k", 1000}, {"1e3", 1000},
      {"2E+3", 2000},          {"500m", 1},           {"0", 0},     {"7", 7},
      {".5Ki", 512},           {"3Ti", 3298534883328}};
  for (const auto& [text, bytes] : amounts) EXPECT_EQ(quantity_bytes(text), bytes) << text;
  for (const char* text : {"", "Gi", "1.2.3", "1 Gi", "10GB", "e3", "1e", "x", ".", "9e30"}) {
    EXPECT_EQ(quantity_bytes(text), std::nullopt) << text;
  }
  EXPECT_EQ(quantity_milli("500m"), 500);
  EXPECT_EQ(quantity_milli("0.1"), 100);
}

TEST(Receipt, ComesBackAsItWas) {
  const Receipt receipt{3, "XJ4-_abc", 17};
  EXPECT_EQ(to_text(receipt), "3/XJ4-_abc/17");
  EXPECT_EQ(parse_receipt("3/XJ4-_abc/17"), receipt);
  for (const char* text : {"", "3", "3/a", "/a/1", "3//1", "3/a/b/1", "3/a/", "x/a/1", "3/a/1x"}) {
    EXPECT_EQ(parse_receipt(text), std::nullopt) << text;
  }
}

TEST(Names, OrdinalsAreThoseOfTheClusterOnly) {
  EXPECT_EQ(ordinal_of_pod("events", "events-2"), 2);
  EXPECT_EQ(ordinal_of_volume("events", "data-events-12"), 12);
  for (const char* pod : {"events", "events-", "events-x", "events-02", "events-1-0", "event-1",
                          "events--1", "events-99999999999"}) {
    EXPECT_EQ(ordinal_of_pod("events", pod), std::nullopt) << pod;
  }
  EXPECT_EQ(ordinal_of_volume("events", "data-events-1-0"), std::nullopt);
}

// Goal: what the API server adds is no difference, and what somebody changes is one.
TEST(Applied, DefaultsAreNoDifference) {
  const Json desired = stamped(stateful_set(request_of(
      {{"pod", {{"resources", {{"requests", {{"cpu", "1000m"}, {"memory", "1024Mi"}}}}}}}})));
  Json observed = desired;
  Json& pod = observed["spec"]["template"]["spec"];
  observed["status"] = {{"replicas", 3}};
  observed["metadata"]["annotations"]["somebody"] = "else";
  pod["dnsPolicy"] = "ClusterFirst";
  pod["containers"][0]["terminationMessagePath"] = "/dev/termination-log";
  pod["containers"][0]["resources"]["requests"] = {{"cpu", "1"}, {"memory", "1Gi"}};
  pod["containers"].insert(pod["containers"].begin(), Json{{"name", "sidecar"}});
  EXPECT_TRUE(is_applied(desired, observed));
  Json changed = observed;
  changed["spec"]["template"]["spec"]["containers"][1]["image"] = "other";
  EXPECT_FALSE(is_applied(desired, changed));
  changed = observed;
  changed["spec"]["template"]["spec"]["containers"][1]["args"].push_back("--more");
  EXPECT_FALSE(is_applied(desired, changed));
  changed = observed;
  changed["spec"]["template"]["spec"]["containers"][1]["resources"]["requests"]["cpu"] = "2";
  EXPECT_FALSE(is_applied(desired, changed));
  changed = observed;
  changed["metadata"]["labels"].erase("millrace.dev/cluster");
  EXPECT_FALSE(is_applied(desired, changed));
  changed = observed;
  changed["spec"]["template"]["spec"].erase("volumes");
  EXPECT_FALSE(is_applied(desired, changed));
}

// Goal: a field that is no longer asked for is seen, although the rest of the object covers.
TEST(Applied, AFieldThatIsNoLongerAskedForIsADifference) {
  const Json before = stamped(stateful_set(request_of({{"pod", {{"priorityClassName", "high"}}}})));
  const Json after = stamped(stateful_set(request_of(Json::object())));
  EXPECT_FALSE(is_applied(after, before));
}

TEST(Volume, TheLargerSizeAndTheOldClassStay) {
  const ManifestRequest request =
      request_of({{"storage", {{"size", "20Gi"}, {"storageClassName", "fast"}}}});
  Json there = {{"spec",
                 {{"accessModes", {"ReadWriteOncePod"}},
                  {"storageClassName", "slow"},
                  {"resources", {{"requests", {{"storage", "30Gi"}}}}}}}};
  Json claim = volume(request, 1, there);
  EXPECT_EQ(claim["spec"]["resources"]["requests"]["storage"], "30Gi");
  EXPECT_EQ(claim["spec"]["storageClassName"], "slow");
  EXPECT_EQ(claim["spec"]["accessModes"], Json::array({"ReadWriteOncePod"}));
  there["spec"]["resources"]["requests"]["storage"] = "10Gi";
  EXPECT_EQ(volume(request, 1, there)["spec"]["resources"]["requests"]["storage"], "20Gi");
  claim = volume(request, 1, Json());
  EXPECT_EQ(claim["spec"]["storageClassName"], "fast");
  EXPECT_FALSE(claim["metadata"].contains("ownerReferences"));
}

// Goal: no JSON, however odd, ends the process, and each oddity is a sentence.
TEST(Parse, OddJsonIsSentences) {
  const Json odd = Json::parse(R"({"spec": {"brokers": "many", "image": 5, "storage": [],
    "pod": {"resources": 1, "labels": {"a": 1, "millrace.dev/x": "y"}, "tolerations": {}},
    "listeners": [{"name": "Plain", "port": 80, "type": "odd"}, 5, {"name": "http", "port": 9644}],
    "config": {"node.id": 1, "a": {}, "default.replication.factor": 9}, "rollout": {"atOnce": -1},
    "metrics": {"podMonitor": "yes"}}})");
  const auto parsed = parse_cluster_spec(odd, {.image = "x"});
  EXPECT_GE(parsed.problems.size(), 15U);
  EXPECT_EQ(parsed.value.brokers, 3);
  for (const Json& value : {Json(), Json(5), Json::array(), Json{{"spec", 5}}}) {
    EXPECT_EQ(parse_cluster_spec(value, {.image = "x"}).value.brokers, 3);
    EXPECT_FALSE(parse_topic_spec(value).problems.empty());
  }
}

TEST(Parse, ScalarsOfSettingsAreTexts) {
  const Json object = {{"spec", {{"config", {{"a", true}, {"b", 5}, {"c", 0.5}, {"d", "x"}}}}}};
  const auto parsed = parse_cluster_spec(object, {.image = "x"});
  EXPECT_EQ(parsed.problems, std::vector<std::string>{});
  const std::map<std::string, std::string> texts = {
      {"a", "true"}, {"b", "5"}, {"c", "0.5"}, {"d", "x"}};
  EXPECT_EQ(parsed.value.config, texts);
}

}  // namespace
}  // namespace millrace::resources
