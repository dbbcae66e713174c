#include "tests/sim/operator/people.h"

#include <fmt/format.h>

#include <algorithm>

#include "operator/kube/fields.h"
#include "operator/kube/kinds.h"

namespace millrace::sim {

using kube::Json;
using kube::number_at;
using kube::ObjectKey;
using kube::text_at;
using std::chrono::milliseconds;

namespace {

constexpr const char* kZone = "topology.kubernetes.io/zone";
constexpr const char* kHold = "millrace.dev/hold";
constexpr const char* kPaused = "millrace.dev/paused";
constexpr const char* kRevision = "millrace.dev/revision";
constexpr const char* kBadSetting = "no.such.setting";
constexpr const char* kLostImage = "lost";
constexpr int kNodes = 4;
constexpr std::int32_t kPartitionsMax = 5;
constexpr std::size_t kPassingMax = 2;

std::string name_of(const Json& object) {
  return text_at(object, {"metadata", "name"});
}

bool is_going(const Json& object) {
  return kube::find(object, {"metadata", "deletionTimestamp"}) != nullptr;
}

/// "Ready is False, PodsStarting: ..." where the condition is another one; empty: it is that.
std::string unless(const Json& object, std::string_view type, std::string_view wanted) {
  const Json* const conditions = kube::find(object, {"status", "conditions"});
  if (conditions == nullptr || !conditions->is_array()) return "it has no status";
  for (const Json& one : *conditions) {
    if (text_at(one, {"type"}) != type) continue;
    if (text_at(one, {"status"}) == wanted) return {};
    return fmt::format("{} is {}, {}: {}", type, text_at(one, {"status"}), text_at(one, {"reason"}),
                       text_at(one, {"message"}));
  }
  return fmt::format("it has no condition {}", type);
}

std::string unobserved(const Json& object) {
  const auto now = number_at(object, {"metadata", "generation"});
  const auto seen = number_at(object, {"status", "observedGeneration"});
  if (now == seen) return {};
  return fmt::format("generation {} is not observed, {} was", now.value_or(-1), seen.value_or(-1));
}

}  // namespace

// ---- The beginning

void People::install() {
  make_nodes();
  spec_ = cluster_object();
  make_cluster();
  const Scenario& scenario = story_.scenario;
  make_topic(scenario.busy.name, scenario.busy.partitions, "Retain");
  make_topic(scenario.trimmed.name, scenario.trimmed.partitions, "Delete");
}

void People::make_nodes() {
  const bool racks = chance(2);
  for (int i = 0; i < kNodes; ++i) {
    Json node = {{"apiVersion", "v1"},
                 {"kind", "Node"},
                 {"metadata", {{"name", fmt::format("node-{}", i)}}}};
    if (racks) node["metadata"]["labels"][kZone] = fmt::format("zone-{}", i % 3);
    CHECK(parts_.model.create(kube::kNodes, node).ok());
  }
}

Json People::cluster_object() {
  Json config = Json::object();
  for (const auto& [name, value] : story_.scenario.config) config[name] = value;
  return {
      {"brokers", story_.scenario.brokers},
      {"config", config},
      {"storage", {{"size", "10Gi"}, {"deleteOnScaleDown", chance(2)}}},
      {"rollout", {{"pauseSeconds", parts_.random.below(2)}, {"atOnce", parts_.random.below(3)}}}};
}

void People::make_cluster() {
  const Json object = {{"apiVersion", "millrace.dev/v1alpha1"},
                       {"kind", "MillraceCluster"},
                       {"metadata", {{"namespace", cluster_.space}, {"name", cluster_.name}}},
                       {"spec", spec_}};
  say("make the cluster, of {} brokers", spec_.at("brokers").get<int>());
  const auto made = parts_.model.create(kube::kClusters, object);
  CHECK(made.ok(), "{}", made.error().detail);
}

void People::make_topic(const std::string& name, std::int32_t partitions, const char* policy) {
  const Json object = {{"apiVersion", "millrace.dev/v1alpha1"},
                       {"kind", "MillraceTopic"},
                       {"metadata", {{"namespace", cluster_.space}, {"name", name}}},
                       {"spec",
                        {{"cluster", cluster_.name},
                         {"partitions", partitions},
                         {"replicationFactor", story_.scenario.replication_factor},
                         {"deletionPolicy", policy},
                         {"config", {{"segment.bytes", "1048576"}}}}}};
  say("make topic {} of {} partitions", name, partitions);
  partitions_most_[name] = std::max<std::int64_t>(partitions_most_[name], partitions);
  if (parts_.model.create(kube::kTopics, object).ok() && std::ranges::count(topics_, name) == 0)
    topics_.push_back(name);
}

// ---- One thing after the other

void People::next() {
  if (story_.edits.empty()) return;
  const auto most = 2 * story_.edit_interval / milliseconds(1);
  parts_.agenda.after(milliseconds(parts_.random.between(0, most)), [this] {
    if (calm_) return;
    const Edit edit = story_.edits[parts_.random.below(story_.edits.size())];
    const bool there = parts_.model.get(kube::kClusters, cluster_).ok();
    if (there && !remaking_) make(edit);
    next();
  });
}

void People::make(Edit edit) {
  switch (edit) {
    case Edit::kScale:
      return scale();
    case Edit::kImage:
      return set_image();
    case Edit::kSetting:
      return set_setting();
    case Edit::kDynamicSetting:
      return set_config(
          "message.max.bytes",
          chance(3) ? Json() : Json(std::to_string(1'000'000 + parts_.random.below(3))));
    case Edit::kBadSetting:
      return set_config(kBadSetting, chance(2) ? Json("1") : Json());
    case Edit::kStorage:
      return set_storage();
    case Edit::kRollout:
      return set_rollout();
    case Edit::kRack:
      return set_rack();
    case Edit::kHold:
      return chance(2) ? release_holds() : hold_one();
    case Edit::kPause:
      return pause(chance(3));
    case Edit::kDeletePod:
      return delete_pod();
    case Edit::kDrift:
      return drift();
    case Edit::kMakeTopic:
      return make_some_topic();
    case Edit::kChangeTopic:
      return change_topic();
    case Edit::kGrowTopic:
      return grow_topic();
    case Edit::kDeleteTopic:
      return delete_topic();
    case Edit::kRecreate:
      return recreate();
    case Edit::kCount:
      break;
  }
}

std::vector<Json> People::all(const kube::Resource& resource) const {
  kube::ListOptions options;
  options.limit = 0;
  auto page = parts_.model.list(resource, options);
  return page.ok() ? std::move(page->items) : std::vector<Json>{};
}

Json People::any(const kube::Resource& resource) {
  std::vector<Json> objects = all(resource);
  return objects.empty() ? Json() : objects[parts_.random.below(objects.size())];
}

void People::edit(const Json& spec) {
  (void)parts_.model.patch(kube::kClusters, cluster_, {{"spec", spec}});
}

void People::annotate(const kube::Resource& resource, const ObjectKey& key, const std::string& name,
                      const Json& value) {
  (void)parts_.model.patch(resource, key, {{"metadata", {{"annotations", {{name, value}}}}}});
}

std::int32_t People::brokers_asked_for() const {
  const auto cluster = parts_.model.get(kube::kClusters, cluster_);
  if (!cluster.ok()) return spec_.at("brokers").get<std::int32_t>();
  return static_cast<std::int32_t>(number_at(*cluster, {"spec", "brokers"}).value_or(0));
}

/// Mostly to what can be had.
void People::scale() {
  const std::int32_t least = chance(6) ? 1 : story_.scenario.replication_factor;
  const std::int32_t before = brokers_asked_for();
  const auto brokers = parts_.random.between(least, story_.machines);
  say("scale to {}", brokers);
  edit({{"brokers", brokers}});
  if (!story_.fickle || !chance(2)) return;
  parts_.agenda.after(milliseconds(parts_.random.between(200, 6'000)), [this, before] {
    if (calm_) return;
    say("scale back to {}", before);
    edit({{"brokers", before}});
  });
}

void People::set_image() {
  const bool lost = chance(5);
  const std::string image = lost ? fmt::format("localhost/millrace:{}", kLostImage)
                                 : fmt::format("localhost/millrace:0.{}.0", parts_.random.below(4));
  say("image {}", image);
  edit({{"image", image}});
}

/// One that brokers read only when they start.
void People::set_setting() {
  set_config("connections.max.idle.ms", std::to_string(600'000 + parts_.random.below(3)));
}

void People::set_config(const std::string& name, const Json& value) {
  say("{} = {}", name, value.dump());
  edit({{"config", {{name, value}}}});
}

void People::set_storage() {
  const std::string size = fmt::format("{}Gi", 10 + 5 * parts_.random.below(3));
  const bool goes = chance(2);
  say("volumes of {}, deleteOnScaleDown {}", size, goes);
  edit({{"storage", {{"size", size}, {"deleteOnScaleDown", goes}}}});
}

void People::set_rollout() {
  const auto at_once = parts_.random.below(4);
  say("{} at once", at_once);
  edit({{"rollout", {{"atOnce", at_once}, {"pauseSeconds", parts_.random.below(3)}}}});
}

void People::set_rack() {
  const Json node = any(kube::kNodes);
  const Json zone = chance(6) ? Json() : Json(fmt::format("zone-{}", parts_.random.below(4)));
  say("{} is in {}", name_of(node), zone.dump());
  (void)parts_.model.patch(kube::kNodes, kube::key_of(node),
                           {{"metadata", {{"labels", {{kZone, zone}}}}}});
}

/// One at a time, as several keep nearly everything from happening, and mostly before a roll, which
/// is to leave it out.
void People::hold_one() {
  release_holds();
  const Json pod = any(kube::kPods);
  if (pod.is_null()) return;
  say("hold {}", name_of(pod));
  annotate(kube::kPods, kube::key_of(pod), kHold, "true");
  if (!chance(3)) set_setting();
}

void People::release_holds() {
  say("hold nothing");
  for (const Json& pod : all(kube::kPods)) {
    if (!text_at(pod, {"metadata", "annotations", kHold}).empty())
      annotate(kube::kPods, kube::key_of(pod), kHold, Json());
  }
}

void People::pause(bool yes) {
  say("{}", yes ? "pause the cluster" : "let the cluster go on");
  annotate(kube::kClusters, cluster_, kPaused, yes ? Json("true") : Json());
}

void People::delete_pod() {
  const Json pod = any(kube::kPods);
  if (pod.is_null()) return;
  say("delete pod {}", name_of(pod));
  (void)parts_.model.remove(kube::kPods, kube::key_of(pod));
}

/// Somebody changes what is the operator's.
void People::drift() {
  switch (parts_.random.below(4)) {
    case 0: {
      const Json service = any(kube::kServices);
      if (service.is_null()) return;
      say("delete service {}", name_of(service));
      (void)parts_.model.remove(kube::kServices, kube::key_of(service));
      return;
    }
    case 1: {
      const auto replicas = parts_.random.between(1, story_.machines);
      say("scale the StatefulSet to {}", replicas);
      (void)parts_.model.patch(kube::kStatefulSets, cluster_, {{"spec", {{"replicas", replicas}}}});
      return;
    }
    case 2: {
      const Json budget = any(kube::kDisruptionBudgets);
      if (budget.is_null()) return;
      say("change the disruption budget");
      (void)parts_.model.patch(kube::kDisruptionBudgets, kube::key_of(budget),
                               {{"spec", {{"maxUnavailable", 2}}}});
      return;
    }
    default: {
      const Json map = any(kube::kConfigMaps);
      if (map.is_null()) return;
      say("change {}", name_of(map));
      (void)parts_.model.patch(kube::kConfigMaps, kube::key_of(map),
                               {{"data", {{"by-hand.yaml", "x: 1"}}}});
    }
  }
}

// ---- Topics

void People::make_some_topic() {
  const std::string name = fmt::format("passing-{}", parts_.random.below(kPassingMax));
  make_topic(name, static_cast<std::int32_t>(parts_.random.between(1, 3)),
             chance(2) ? "Delete" : "Retain");
}

void People::change_topic() {
  const Json topic = any(kube::kTopics);
  const Json value = chance(3) ? Json() : Json(std::to_string(7'000 + parts_.random.below(3)));
  say("topic {}: segment.ms = {}", name_of(topic), value.dump());
  (void)parts_.model.patch(kube::kTopics, kube::key_of(topic),
                           {{"spec", {{"config", {{"segment.ms", value}}}}}});
}

void People::grow_topic() {
  const Json topic = any(kube::kTopics);
  const auto now = number_at(topic, {"spec", "partitions"}).value_or(1);
  if (now >= kPartitionsMax) return;
  say("topic {} of {} partitions", name_of(topic), now + 1);
  std::int64_t& most = partitions_most_[name_of(topic)];
  most = std::max(most, now + 1);
  (void)parts_.model.patch(kube::kTopics, kube::key_of(topic),
                           {{"spec", {{"partitions", now + 1}}}});
}

/// Not those that clients use.
void People::delete_topic() {
  std::vector<Json> topics = all(kube::kTopics);
  std::erase_if(topics, [this](const Json& topic) {
    const std::string name = name_of(topic);
    return name == story_.scenario.busy.name || name == story_.scenario.trimmed.name;
  });
  if (topics.empty() && story_.fickle) return make_some_topic();
  if (topics.empty()) return;
  const Json& topic = topics[parts_.random.below(topics.size())];
  say("delete topic {}", name_of(topic));
  (void)parts_.model.remove(kube::kTopics, kube::key_of(topic));
}

// ---- The cluster is deleted and made anew

void People::recreate() {
  const auto cluster = parts_.model.get(kube::kClusters, cluster_);
  spec_ = cluster->at("spec");
  remaking_ = true;
  say("delete the cluster");
  (void)parts_.model.remove(kube::kClusters, cluster_);
  remake_when_gone();
}

void People::remake_when_gone() {
  parts_.agenda.after(milliseconds(parts_.random.between(200, 8'000)), [this] {
    if (!remaking_) return;
    if (parts_.model.get(kube::kClusters, cluster_).ok()) return remake_when_gone();
    remaking_ = false;
    make_cluster();
  });
}

// ---- The end

void People::calm() {
  calm_ = true;
  say("ask for what can be had");
  if (std::exchange(remaking_, false)) make_cluster();
  parts_.kubelet.lose_image("");
  pause(false);
  release_holds();
  edit({{"image", "localhost/millrace:0.1.0"}, {"config", {{kBadSetting, nullptr}}}});
  // One that was kept when its resource went, and made anew with fewer.
  for (const Json& topic : all(kube::kTopics)) {
    const std::int64_t most = partitions_most_[name_of(topic)];
    if (number_at(topic, {"spec", "partitions"}) == most) continue;
    (void)parts_.model.patch(kube::kTopics, kube::key_of(topic),
                             {{"spec", {{"partitions", most}}}});
  }
  const std::int32_t least = story_.scenario.replication_factor;
  const bool had = brokers_asked_for() >= least && brokers_asked_for() <= story_.machines;
  if (!had || chance(2)) {
    const auto brokers = parts_.random.between(least, std::max(least, story_.machines - 1));
    say("scale to {}", brokers);
    edit({{"brokers", brokers}});
  }
}

std::string People::unsettled() const {
  std::string lack = unsettled_cluster();
  return lack.empty() ? unsettled_topics() : lack;
}

std::string People::unsettled_cluster() const {
  const auto cluster = parts_.model.get(kube::kClusters, cluster_);
  if (!cluster.ok()) return "the cluster is not there";
  for (const std::string& lack :
       {unobserved(*cluster), unless(*cluster, "Ready", "True"),
        unless(*cluster, "Progressing", "False"), unless(*cluster, "Degraded", "False")}) {
    if (!lack.empty()) return "the cluster: " + lack;
  }
  const Json* const leaving = kube::find(*cluster, {"status", "leaving"});
  if (leaving != nullptr && !leaving->empty()) return "brokers are leaving: " + leaving->dump();
  const auto brokers = number_at(*cluster, {"spec", "brokers"}).value_or(0);
  const auto set = parts_.model.get(kube::kStatefulSets, cluster_);
  if (!set.ok()) return "there is no StatefulSet";
  if (number_at(*set, {"spec", "replicas"}) != brokers)
    return fmt::format("the StatefulSet has not {} replicas", brokers);
  return unsettled_pods(brokers);
}

std::string People::unsettled_pods(std::int64_t brokers) const {
  const auto set = parts_.model.get(kube::kStatefulSets, cluster_);
  const std::string wanted =
      text_at(*set, {"spec", "template", "metadata", "annotations", kRevision});
  const std::vector<Json> pods = all(kube::kPods);
  if (std::cmp_not_equal(pods.size(), brokers))
    return fmt::format("there are {} pods for {} brokers", pods.size(), brokers);
  for (const Json& pod : pods) {
    if (is_going(pod)) return fmt::format("pod {} is going", name_of(pod));
    if (text_at(pod, {"metadata", "annotations", kRevision}) != wanted)
      return fmt::format("pod {} is stale", name_of(pod));
    if (const std::string lack = unless(pod, "Ready", "True"); !lack.empty())
      return fmt::format("pod {}: {}", name_of(pod), lack);
  }
  return {};
}

std::string People::unsettled_topics() const {
  for (const Json& topic : all(kube::kTopics)) {
    if (is_going(topic)) return fmt::format("topic {} is going", name_of(topic));
    for (const std::string& lack : {unobserved(topic), unless(topic, "Ready", "True")})
      if (!lack.empty()) return fmt::format("topic {}: {}", name_of(topic), lack);
  }
  return {};
}

}  // namespace millrace::sim
