#include "operator/plan/picture.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <set>
#include <utility>

#include "operator/resources/fields.h"
#include "operator/resources/names.h"
#include "operator/resources/quantity.h"

namespace millrace::plan {
namespace {

using resources::at;
using resources::integer_of;
using resources::text_of;

std::string annotation(const Json& object, std::string_view name) {
  return text_of(at(object, "metadata", "annotations", name));
}

std::optional<std::int32_t> small_number(std::string_view digits) {
  std::int32_t value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error != std::errc{} || end != digits.data() + digits.size()) return std::nullopt;
  return value;
}

Volume read_volume(std::int32_t ordinal, const Json& object) {
  const resources::Identity identity = resources::identity_of(object);
  Volume volume{.ordinal = ordinal, .name = identity.name, .uid = identity.uid};
  volume.cluster_id = annotation(object, resources::kClusterIdAnnotation);
  volume.directory_id = annotation(object, resources::kDirectoryAnnotation);
  const auto receipt = resources::parse_receipt(annotation(object, resources::kReceiptAnnotation));
  // A receipt for another disk proves nothing about this one.
  if (receipt && receipt->broker == ordinal && receipt->directory_id == volume.directory_id) {
    volume.receipt = receipt;
  }
  volume.rack = annotation(object, resources::kRackAnnotation);
  volume.storage_class = text_of(at(object, "spec", "storageClassName"));
  volume.requested_bytes =
      resources::quantity_bytes(text_of(at(object, "spec", "resources", "requests", "storage")))
          .value_or(0);
  volume.capacity_bytes =
      resources::quantity_bytes(text_of(at(object, "status", "capacity", "storage"))).value_or(0);
  volume.lost = text_of(at(object, "status", "phase")) == "Lost";
  volume.deleting = identity.deleting;
  volume.object = &object;
  return volume;
}

void read_status(Picture& picture) {
  const Json& status = *picture.status;
  if (const Json& list = at(status, "leaving"); list.is_array()) {
    for (const Json& element : list) {
      const auto broker = integer_of(at(element, "broker"));
      if (!broker) continue;
      picture.leaving.push_back(
          {static_cast<std::int32_t>(*broker), parse_rfc3339(text_of(at(element, "keptSince")))});
    }
  }
  if (const Json& list = at(status, "managedConfig"); list.is_array()) {
    for (const Json& name : list) picture.managed_config.push_back(text_of(name));
  }
}

void read_stateful_set(Picture& picture) {
  picture.stateful_set =
      picture.child("StatefulSet", resources::names::stateful_set(picture.identity.name));
  if (picture.stateful_set == nullptr) return;
  const Json& set = *picture.stateful_set;
  picture.replicas = static_cast<std::int32_t>(integer_of(at(set, "spec", "replicas")).value_or(1));
  const auto seen = integer_of(at(set, "status", "observedGeneration"));
  const auto newest = integer_of(at(set, "metadata", "generation"));
  picture.template_taken_up = seen && newest && *seen >= *newest;
}

/// A resource that was made anew on volumes that were kept, and that has no status yet. Whom the
/// operator had begun to drain went with the old one: it may be any.
void recall_leaving(Picture& picture) {
  if (integer_of(at(*picture.status, "observedGeneration"))) return;
  for (const auto& [ordinal, volume] : picture.volumes) {
    if (!volume.retired() && !volume.deleting) picture.leaving.push_back({ordinal, std::nullopt});
  }
}

/// Who the cluster is was decided when it was made, and is looked for wherever it was written down.
void read_cluster_id(Picture& picture) {
  std::set<std::string> on_volumes;
  for (const auto& [ordinal, volume] : picture.volumes) {
    if (!volume.cluster_id.empty() && !volume.retired()) on_volumes.insert(volume.cluster_id);
  }
  std::string& id = picture.cluster_id;
  if (on_volumes.size() == 1) id = *on_volumes.begin();
  if (id.empty() && picture.stateful_set != nullptr) {
    id = annotation(*picture.stateful_set, resources::kClusterIdAnnotation);
  }
  if (id.empty()) id = text_of(at(*picture.status, "clusterId"));

  // Volumes of several clusters and none that is ours: somebody has to say which.
  if (id.empty() && on_volumes.empty()) id = picture.identity.uid;
  for (const auto& [ordinal, volume] : picture.volumes) {
    if (volume.cluster_id.empty() || volume.cluster_id == id || volume.retired()) continue;
    picture.foreign_volumes.push_back(volume.name);
  }
}

void read_voters(Picture& picture) {
  std::optional<std::int32_t> voters;
  if (picture.stateful_set != nullptr) {
    voters = small_number(annotation(*picture.stateful_set, resources::kVotersAnnotation));
  }
  if (!voters) {
    if (const auto said = integer_of(at(*picture.status, "voters"))) {
      voters = static_cast<std::int32_t>(*said);
    }
  }
  for (const auto& [ordinal, volume] : picture.volumes) {
    if (voters) break;
    if (volume.cluster_id != picture.cluster_id) continue;
    voters = small_number(annotation(*volume.object, resources::kVotersAnnotation));
  }
  const std::int32_t first = std::min(picture.wanted().brokers, resources::kVotersMax);
  picture.voters = std::clamp(voters.value_or(first), 1, resources::kVotersMax);
}

void read_view(Picture& picture) {
  picture.view = picture.observation->view;
  if (picture.view.reachable && !picture.view.cluster_id.empty() &&
      picture.view.cluster_id != picture.cluster_id) {
    const std::string other = picture.view.cluster_id;
    picture.view = {};
    picture.view.why_not = fmt::format("who answers belongs to cluster {}", other);
  }
  picture.knows_enough =
      picture.view.reachable && picture.view.controller >= 0 && picture.observation->synced;
}

}  // namespace

const Pod* Picture::pod(std::int32_t ordinal) const {
  const auto found = pods.find(ordinal);
  return found == pods.end() ? nullptr : &found->second;
}

const Volume* Picture::volume(std::int32_t ordinal) const {
  const auto found = volumes.find(ordinal);
  return found == volumes.end() ? nullptr : &found->second;
}

const Json* Picture::child(const std::string& kind, const std::string& name) const {
  const auto of_kind = observation->children.find(kind);
  if (of_kind == observation->children.end()) return nullptr;
  const auto found = of_kind->second.find(name);
  return found == of_kind->second.end() ? nullptr : &found->second;
}

const Answer* Picture::answer(const std::string& key) const {
  const auto found = observation->answers.find(key);
  return found == observation->answers.end() ? nullptr : &found->second;
}

bool Picture::has_joined(std::int32_t ordinal) const {
  const Volume* const its = volume(ordinal);
  if (its != nullptr && !its->directory_id.empty()) return true;
  const BrokerView* const known = broker(ordinal);
  return known != nullptr && known->state != BrokerState::kUnregistered;
}

bool Picture::is_listed(std::int32_t ordinal) const {
  return std::any_of(leaving.begin(), leaving.end(),
                     [&](const Leaving& one) { return one.broker == ordinal; });
}

bool Picture::left_by_hand(std::int32_t ordinal) const {
  const Pod* const its_pod = pod(ordinal);
  const Volume* const its = volume(ordinal);
  if (!knows_enough || leaves(ordinal) || is_listed(ordinal)) return false;
  if (its_pod == nullptr || its_pod->deleting || its == nullptr || its->deleting) return false;
  const BrokerView* const known = broker(ordinal);
  const bool registered = known != nullptr && known->state != BrokerState::kUnregistered;
  // The operator writes down the receipts of those that it made leave.
  if (registered || its->directory_id.empty() || its->retired()) return false;
  // Who answered may not have heard yet of one that has just joined.
  const bool long_there =
      its_pod->ready_since &&
      now - *its_pod->ready_since >= std::chrono::milliseconds(kHeardWithin).count();
  return long_there || its_pod->failing.has_value();
}

bool Picture::is_well(const Pod& pod) const {
  if (!pod.ready || pod.deleting || pod.failing) return false;
  const BrokerView* const its = broker(pod.ordinal);
  return its != nullptr && its->alive && its->recovered && its->state != BrokerState::kUnregistered;
}

std::string Picture::rack_of(const Pod& pod) const {
  const std::string& key = wanted().rack_topology_key;
  const auto node = observation->nodes.find(pod.node);
  if (key.empty() || node == observation->nodes.end()) return {};
  return text_of(at(node->second, "metadata", "labels", key));
}

resources::ManifestRequest Picture::request(std::int32_t with_replicas) const {
  resources::ManifestRequest request{.cluster = identity,
                                     .spec = wanted(),
                                     .cluster_id = cluster_id,
                                     .voters = voters,
                                     .replicas = with_replicas,
                                     .older_settings = {},
                                     .claim_templates = {}};
  if (stateful_set != nullptr) {
    request.claim_templates = at(*stateful_set, "spec", "volumeClaimTemplates");
  }
  // What a pod runs must be there when it starts again by itself; so must what the StatefulSet
  // makes pods of until it has the new template.
  const Json* const map = child("ConfigMap", resources::names::config(identity.name));
  if (map == nullptr) return request;
  const auto keep = [&](const std::string& settings) {
    const Json& file = at(*map, "data", settings + ".yaml");
    if (file.is_string()) request.older_settings[settings] = file.get<std::string>();
  };
  const auto keep_all = [&] {
    if (map == nullptr || !at(*map, "data").is_object()) return;
    constexpr std::string_view kSuffix = ".yaml";
    for (const auto& [name, file] : at(*map, "data").items()) {
      if (name.ends_with(kSuffix)) keep(name.substr(0, name.size() - kSuffix.size()));
    }
  };
  for (const auto& [ordinal, pod] : pods) keep(pod.settings);
  if (stateful_set != nullptr) {
    keep(resources::settings_revision_of(at(*stateful_set, "spec", "template")));
    // Pods may have been made of a template before this one, and not be seen yet.
    const auto made = integer_of(at(*stateful_set, "status", "replicas")).value_or(0);
    const bool all_seen = template_taken_up && std::cmp_greater_equal(pods.size(), made);
    if (!all_seen) keep_all();
  }
  request.older_settings.erase(resources::settings_revision(request));
  return request;
}

Picture draw(const ClusterObservation& observation, common::Timestamp now) {
  Picture picture;
  picture.observation = &observation;
  picture.now = now;
  picture.identity = resources::identity_of(observation.cluster);
  picture.spec = resources::parse_cluster_spec(observation.cluster, observation.defaults);
  picture.paused = annotation(observation.cluster, resources::kPausedAnnotation) == "true";
  picture.status = &at(observation.cluster, "status");
  read_status(picture);
  read_stateful_set(picture);
  const std::string& name = picture.identity.name;
  for (const auto& [pod_name, object] : observation.pods) {
    if (auto pod = read_pod(name, object, now)) picture.pods.emplace(pod->ordinal, std::move(*pod));
  }
  for (const auto& [volume_name, object] : observation.volumes) {
    const auto ordinal = resources::ordinal_of_volume(name, volume_name);
    if (ordinal) picture.volumes.emplace(*ordinal, read_volume(*ordinal, object));
  }
  recall_leaving(picture);
  read_cluster_id(picture);
  read_voters(picture);
  read_view(picture);
  return picture;
}

void Draft::act(Step step, Reason reason, std::string note, Deed deed) {
  plan.actions.push_back({step, reason, std::move(note), std::move(deed)});
}

void Draft::say(Reason reason, std::string object, std::string detail) {
  plan.findings.push_back({reason, std::move(object), std::move(detail)});
}

void Draft::again(std::chrono::milliseconds after) {
  if (!plan.requeue_after || after < *plan.requeue_after) plan.requeue_after = after;
}

ObjectRef volume_ref(const Picture& picture, const Volume& volume) {
  return {"v1", "PersistentVolumeClaim", picture.identity.space, volume.name};
}

ObjectRef pod_ref(const Picture& picture, const Pod& pod) {
  return {"v1", "Pod", picture.identity.space, pod.name};
}

std::string broker_name(std::int32_t broker) {
  return fmt::format("broker {}", broker);
}

}  // namespace millrace::plan
