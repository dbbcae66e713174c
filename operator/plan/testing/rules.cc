// What must never happen in World.
#include <fmt/format.h>

#include <algorithm>

#include "operator/plan/testing/world.h"
#include "operator/resources/fields.h"
#include "operator/resources/names.h"

namespace millrace::plan::testing {

using resources::at;
using resources::integer_of;
using resources::text_of;

/// It is written down somewhere that the cluster has begun.
bool World::is_known_to_have_begun() const {
  const auto claims = objects_.find("PersistentVolumeClaim");
  return claims != objects_.end() &&
         std::any_of(claims->second.begin(), claims->second.end(), [](const auto& claim) {
           return at(claim.second, "metadata", "annotations", resources::kDirectoryAnnotation)
               .is_string();
         });
}

void World::check_pod_deletion(const Json& pod) {
  const std::string name = text_of(at(pod, "metadata", "name"));
  const std::int32_t broker = resources::ordinal_of_pod("events", name).value_or(-1);
  if (text_of(at(pod, "metadata", "annotations", resources::kHoldAnnotation)) == "true") {
    broken.push_back(fmt::format("pod {} is held and was deleted", name));
  }
  const auto process = processes.find(broker);
  const auto member = members.find(broker);
  if (process == processes.end() || member == members.end()) return;
  // R2: a new cluster that begins unheard is not known to have begun.
  if (!is_known_to_have_begun() && !is_ready(pod)) return;
  if (process->second.recovers > 0) {
    broken.push_back(fmt::format("broker {} recovers and was stopped", broker));
  }
  const auto& permit = member->second.permit;
  const bool permitted =
      permit && permit->incarnation == process->second.incarnation && permit->expires_at > now_;
  if (!permitted) broken.push_back(fmt::format("broker {} was stopped without a permit", broker));
}

bool World::is_ready(const Json& pod) {
  const Json& conditions = at(pod, "status", "conditions");
  return conditions.is_array() &&
         std::any_of(conditions.begin(), conditions.end(), [](const Json& condition) {
           return text_of(at(condition, "type")) == "Ready" &&
                  text_of(at(condition, "status")) == "True";
         });
}

void World::check_volume_deletion(const Json& volume) {
  const std::string name = text_of(at(volume, "metadata", "name"));
  const auto disk = disks.find(text_of(at(volume, "metadata", "uid")));
  const bool empty = disk == disks.end() || disk->second.directory_id.empty();
  const bool retired =
      !empty && std::any_of(receipts.begin(), receipts.end(), [&](const auto& one) {
        return one.directory_id == disk->second.directory_id;
      });
  if (!empty && !retired) broken.push_back(fmt::format("{} was deleted without a receipt", name));
  if (!empty && disk->second.replicas > 0) {
    broken.push_back(fmt::format("{} was deleted with {} replicas", name, disk->second.replicas));
  }
  const auto broker = resources::ordinal_of_volume("events", name);
  const auto process = broker ? processes.find(*broker) : processes.end();
  if (process != processes.end() && !is_retired(process->second.directory_id)) {
    broken.push_back(fmt::format("{} was deleted under its broker", name));
  }
}

void World::check_replicas(const Json& before, const Json& after) {
  if (text_of(at(before, "kind")) != "StatefulSet") return;
  const auto old =
      static_cast<std::int32_t>(integer_of(at(before, "spec", "replicas")).value_or(0));
  const auto now = static_cast<std::int32_t>(integer_of(at(after, "spec", "replicas")).value_or(0));
  if (now < old - 1) broken.push_back(fmt::format("replicas fell from {} to {}", old, now));
  for (std::int32_t broker = now; broker < old; ++broker) {
    if (members.count(broker) > 0) {
      broken.push_back(fmt::format("broker {} was taken away and not decommissioned", broker));
    }
  }
}

bool World::is_as_asked() const {
  const std::int32_t brokers = cluster_brokers();
  if (replicas() != brokers || static_cast<std::int32_t>(members.size()) != brokers) return false;
  const auto pods = objects_.find("Pod");
  if (pods == objects_.end() || static_cast<std::int32_t>(pods->second.size()) != brokers) {
    return false;
  }
  const Json& set = objects_.at("StatefulSet").at("events");
  const auto revision = [](const Json& object) {
    return text_of(at(object, "metadata", "annotations", resources::kRevisionAnnotation));
  };
  for (const auto& [broker, member] : members) {
    const auto process = processes.find(broker);
    if (process == processes.end() || process->second.recovers > 0) return false;
    if (member.state != BrokerState::kActive) return false;
    const auto pod = pods->second.find(resources::names::pod("events", broker));
    if (pod == pods->second.end()) return false;
    if (revision(pod->second) != revision(at(set, "spec", "template"))) return false;
  }
  return true;
}

std::int32_t World::cluster_brokers() const {
  const Json& spec = at(objects_.at("MillraceCluster").at("events"), "spec");
  return static_cast<std::int32_t>(integer_of(at(spec, "brokers")).value_or(3));
}

}  // namespace millrace::plan::testing
