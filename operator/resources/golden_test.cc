// What a cluster becomes, compared with testdata/*.yaml byte for byte. With REWRITE=1 in the
// environment the files are written anew; read every change.
#include <gtest/gtest.h>
#include <yaml-cpp/yaml.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "operator/resources/fields.h"
#include "operator/resources/manifests.h"
#include "operator/resources/topic.h"

namespace millrace::resources {
namespace {

constexpr const char* kCrds = "../../charts/millrace/crds";

YAML::Node node_of(const Json& value) {
  YAML::Node node;
  if (value.is_object()) {
    node = YAML::Node(YAML::NodeType::Map);
    for (const auto& [name, member] : value.items()) node[name] = node_of(member);
  } else if (value.is_array()) {
    node = YAML::Node(YAML::NodeType::Sequence);
    for (const Json& element : value) node.push_back(node_of(element));
  } else if (value.is_string()) {
    node = value.get<std::string>();
    // Texts that would be read as something else.
    const std::string text = value.get<std::string>();
    const Json parsed = Json::parse(text, nullptr, false);
    if (!parsed.is_discarded() || text.empty()) node.SetTag("!");
  } else {
    node = value.dump();
  }
  return node;
}

std::string yaml_of(const Json& value) {
  YAML::Emitter emitter;
  emitter << node_of(value);
  return emitter.c_str();
}

Json json_of(const YAML::Node& node) {
  if (node.IsMap()) {
    Json object = Json::object();
    for (const auto& member : node) object[member.first.as<std::string>()] = json_of(member.second);
    return object;
  }
  if (node.IsSequence()) {
    Json array = Json::array();
    for (const auto& element : node) array.push_back(json_of(element));
    return array;
  }
  const std::string text = node.IsNull() ? "null" : node.as<std::string>();
  if (node.Tag() == "!") return text;
  const Json parsed = Json::parse(text, nullptr, false);
  return parsed.is_discarded() ? Json(text) : parsed;
}

void compare(const std::string& path, const std::vector<Json>& objects) {
  std::string actual;
  for (const Json& object : objects) actual += "---\n" + yaml_of(object) + "\n";
  if (std::getenv("REWRITE") != nullptr) std::ofstream(path) << actual;
  std::ifstream file(path);
  std::stringstream expected;
  expected << file.rdbuf();
  EXPECT_EQ(actual, expected.str()) << path;
}

ManifestRequest request_of(const Json& spec) {
  const Json object = {{"metadata", {{"name", "events"}, {"namespace", "shop"}, {"uid", "3f1e"}}},
                       {"spec", spec}};
  const auto parsed = parse_cluster_spec(object, {.image = "registry.example/millrace:0.1.0"});
  EXPECT_EQ(parsed.problems, std::vector<std::string>{});
  return {.cluster = identity_of(object),
          .spec = parsed.value,
          .cluster_id = "3f1e",
          .voters = 3,
          .replicas = parsed.value.brokers,
          .older_settings = {},
          .claim_templates = {}};
}

std::vector<Json> everything(const ManifestRequest& request) {
  std::vector<Json> objects = manifests(request);
  objects.push_back(volume(request, 0, Json()));
  objects.push_back(racks_map(request, {{"node-1", "zone-a"}, {"node-2", "zone-b"}}));
  return objects;
}

TEST(Golden, WithDefaults) {
  compare("testdata/defaults.yaml", everything(request_of(Json::object())));
}

TEST(Golden, WithEverything) {
  const ManifestRequest request = request_of(Json::parse(R"({
    "brokers": 2, "image": "millrace:2", "imagePullPolicy": "Always",
    "storage": {"size": "1Ti", "storageClassName": "fast", "deleteWithCluster": true},
    "pod": {"resources": {"requests": {"cpu": 2, "memory": "8Gi"}}, "nodeSelector": {"disk": "ssd"},
      "affinity": {"nodeAffinity": {}}, "tolerations": [{"key": "kafka", "operator": "Exists"}],
      "priorityClassName": "high", "labels": {"team": "a"}, "annotations": {"note": "b"},
      "imagePullSecrets": [{"name": "registry"}], "terminationGracePeriodSeconds": 90},
    "rack": {"topologyKey": "kubernetes.io/hostname"},
    "listeners": [{"name": "plain", "port": 9092, "type": "internal"},
      {"name": "nodes", "port": 9095, "type": "nodeport", "firstNodePort": 31000},
      {"name": "cloud", "port": 9096, "type": "loadbalancer", "annotations": {"lb": "x"},
       "loadBalancerClass": "c", "advertisedHost": "b{broker}.example.com"}],
    "config": {"min.insync.replicas": 1, "shards": 4, "auto.create.topics.enable": false},
    "metrics": {"podMonitor": true, "podMonitorLabels": {"release": "prometheus"}},
    "networkPolicy": {"enabled": true}})"));
  std::vector<Json> objects = everything(request);
  objects.push_back(
      outside_map(request, {{"nodes", {{0, "10.0.0.1:31000"}, {1, "10.0.0.2:31001"}}}}));
  compare("testdata/everything.yaml", objects);
}

/// The defaults of a schema, as an object that says nothing becomes.
Json defaults_of(const Json& schema) {
  Json value = Json::object();
  const Json& properties = at(schema, "properties");
  if (!properties.is_object()) return value;
  for (const auto& [name, property] : properties.items()) {
    if (!property.contains("default")) continue;
    value[name] = property["default"];
    if (property["default"].is_object()) value[name] = defaults_of(property);
  }
  return value;
}

Json spec_schema(const std::string& file) {
  const Json definition = json_of(YAML::LoadFile(std::string(kCrds) + "/" + file));
  return definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
}

// Goal: a resource means the same whether the API server filled in the defaults or not. Method:
// parse an empty one and one with the defaults of the schema.
TEST(Schema, HasTheDefaultsOfTheParser) {
  const Json cluster = defaults_of(spec_schema("millraceclusters.yaml"));
  const auto filled = parse_cluster_spec({{"spec", cluster}}, {.image = "x"});
  EXPECT_EQ(filled.problems, std::vector<std::string>{});
  EXPECT_EQ(filled.value, parse_cluster_spec({{"spec", Json::object()}}, {.image = "x"}).value);
  EXPECT_EQ(cluster["brokers"], 3);
  Json topic = defaults_of(spec_schema("millracetopics.yaml"));
  topic["cluster"] = "events";
  const Json metadata = {{"name", "orders"}};
  const auto with = parse_topic_spec({{"metadata", metadata}, {"spec", topic}});
  EXPECT_EQ(with.problems, std::vector<std::string>{});
  EXPECT_EQ(with.value,
            parse_topic_spec({{"metadata", metadata}, {"spec", {{"cluster", "events"}}}}).value);
  EXPECT_EQ(topic["replicationFactor"], 3);
}

// Goal: every setting that the parser refuses is refused by the schema already, with a sentence.
TEST(Schema, KnowsTheReservedSettings) {
  const Json config = spec_schema("millraceclusters.yaml")["properties"]["config"];
  for (const auto& [name, property] : config["properties"].items()) {
    const bool reserved = name != "default.replication.factor" && name != "min.insync.replicas";
    EXPECT_EQ(is_reserved_setting(name), reserved) << name;
  }
  for (const char* name : {"node.id", "cluster.id", "data.dir", "metadata.voters", "listeners"}) {
    EXPECT_TRUE(config["properties"].contains(name)) << name;
  }
}

}  // namespace
}  // namespace millrace::resources
