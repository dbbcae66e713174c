#include "operator/control/watching.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <utility>

#include "operator/kube/fields.h"
#include "operator/kube/kinds.h"

namespace millrace::control {
namespace {

/// Found by the label of their cluster.
constexpr std::array kChildren = {
    kube::kStatefulSets,      kube::kPods,
    kube::kVolumeClaims,      kube::kServices,
    kube::kConfigMaps,        kube::kServiceAccounts,
    kube::kDisruptionBudgets, kube::kNetworkPolicies,
};

/// The text that kubectl keeps of each object that it applied: as large as the object.
void drop_copies(Json& object) {
  const auto metadata = object.find("metadata");
  if (metadata == object.end()) return;
  const auto annotations = metadata->find("annotations");
  if (annotations != metadata->end() && annotations->is_object())
    annotations->erase("kubectl.kubernetes.io/last-applied-configuration");
}

/// Nodes say something every few seconds, and all that matters here are labels and addresses.
void keep_place(Json& node) {
  Json kept = {{"metadata", {}}, {"status", {}}};
  for (const char* member : {"name", "uid", "resourceVersion", "labels"}) {
    if (const Json* value = kube::find(node, {"metadata", member}))
      kept["metadata"][member] = *value;
  }
  if (const Json* addresses = kube::find(node, {"status", "addresses"}))
    kept["status"]["addresses"] = *addresses;
  for (const char* member : {"apiVersion", "kind"}) kept[member] = node.value(member, "");
  node = std::move(kept);
}

bool is_child(const Resource& resource) {
  return std::find(kChildren.begin(), kChildren.end(), resource) != kChildren.end();
}

}  // namespace

std::span<const Resource> child_kinds() {
  return kChildren;
}

kube::ChangeHandler handler_for(const Resource& resource, const World& world, Queue& queue,
                                TopicIndex& index, Metrics& metrics) {
  if (resource == kube::kTopics) {
    return [&](const kube::Change& change) {
      const bool gone = change.kind == kube::ChangeKind::kDeleted;
      if (gone) metrics.gone(Kind::kTopic, change.key);
      for (const ObjectKey& cluster : gone ? index.erase(change.key) : index.put(change.object))
        queue.add({Work::kTopics, cluster});
    };
  }
  if (resource == kube::kClusters) {
    return [&](const kube::Change& change) {
      queue.add({Work::kCluster, change.key});
      queue.add({Work::kTopics, change.key});
    };
  }
  if (resource == kube::kNodes) {
    return [&](const kube::Change&) {
      for (const ObjectKey& cluster : world.keys(kube::kClusters))
        queue.add({Work::kCluster, cluster});
    };
  }
  return [&](const kube::Change& change) {
    if (const auto cluster = kube::label_of(change.object, kClusterLabel))
      queue.add({Work::kCluster, {change.key.space, *cluster}});
  };
}

Watching::Watching(kube::Api& api, const common::Clock& clock, const WatchingSettings& settings,
                   common::Random random)
    : api_(api), clock_(clock), random_(random) {
  std::vector<std::string> spaces = settings.spaces;
  if (spaces.empty()) spaces.emplace_back();
  for (const std::string& space : spaces) {
    add(kube::kClusters, space);
    add(kube::kTopics, space);
    for (const Resource& resource : kChildren) add(resource, space);
  }
  if (settings.nodes) add(kube::kNodes, "");
  world_.on_synced([this] { return synced(); });
}

Watching::~Watching() {
  stop();
}

void Watching::add(const Resource& resource, const std::string& space) {
  kube::InformerOptions options{.resource = resource,
                                .space = space,
                                .label_selector = {},
                                .field_selector = {},
                                .projection = drop_copies,
                                .index_labels = {},
                                .page_limit = 500};
  if (is_child(resource)) {
    options.label_selector = std::string(kClusterLabel);
    options.index_labels = {std::string(kClusterLabel)};
  }
  if (resource == kube::kNodes) options.projection = keep_place;
  informers_.push_back(
      std::make_unique<kube::Informer>(api_, clock_, random_.fork(), std::move(options)));
  world_.add(resource, space, informers_.back()->cache());
}

void Watching::connect(Queue& queue, TopicIndex& index, Metrics& metrics) {
  for (const auto& informer : informers_)
    informer->on_change(handler_for(informer->resource(), world_, queue, index, metrics));
}

void Watching::start() {
  for (const auto& informer : informers_) {
    threads_.emplace_back(
        [&informer = *informer](std::stop_token stop) { informer.run(std::move(stop)); });
  }
}

void Watching::stop() {
  for (std::jthread& thread : threads_) thread.request_stop();
  threads_.clear();
}

bool Watching::synced() const {
  return std::all_of(informers_.begin(), informers_.end(),
                     [](const auto& informer) { return informer->synced(); });
}

bool Watching::wait_synced(const std::stop_token& stop) {
  constexpr std::chrono::seconds kLook{1};
  while (!synced()) {
    if (stop.stop_requested()) return false;
    for (const auto& informer : informers_) {
      if (!informer->synced()) informer->wait_synced(stop, kLook);
    }
  }
  return true;
}

std::string Watching::trouble() const {
  for (const auto& informer : informers_) {
    std::string trouble = informer->trouble();
    if (!trouble.empty()) return fmt::format("{}: {}", informer->resource().plural, trouble);
    if (!informer->synced()) return fmt::format("{}: not listed yet", informer->resource().plural);
  }
  return "";
}

void Watching::fill(Gauges& gauges) const {
  for (const auto& informer : informers_) {
    const std::string kind(informer->resource().plural);
    const kube::InformerCounts counts = informer->counts();
    gauges.objects[kind] += informer->cache().size();
    gauges.watches[kind] += counts.watches;
    gauges.lists[kind] += counts.lists;
  }
}

}  // namespace millrace::control
