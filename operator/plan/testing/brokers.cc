// The brokers of World, as one cluster.
#include <fmt/format.h>

#include <algorithm>

#include "operator/plan/testing/world.h"
#include "operator/resources/fields.h"
#include "operator/resources/names.h"

namespace millrace::plan::testing {
namespace {

constexpr std::int32_t kReplicasEach = 4;

}  // namespace

using resources::at;
using resources::text_of;

void World::stop_broker(std::int32_t broker) {
  processes.erase(broker);
}

void World::kill(std::int32_t broker) {
  processes.erase(broker);
}

void World::stop(std::int32_t broker, bool stopped) {
  if (stopped) {
    stopped_.insert(broker);
    processes.erase(broker);
  } else {
    stopped_.erase(broker);
  }
}

/// It begins once, when all voters are there with blank disks.
bool World::found_cluster() {
  if (!members.empty() || !receipts.empty()) return true;
  const std::int32_t voters = std::min(3, replicas());
  if (voters == 0) return false;
  for (std::int32_t broker = 0; broker < voters; ++broker) {
    if (processes.count(broker) == 0) return false;
  }
  return true;
}

bool World::is_retired(const std::string& directory_id) const {
  return std::any_of(receipts.begin(), receipts.end(), [&](const resources::Receipt& receipt) {
    return receipt.directory_id == directory_id;
  });
}

std::set<std::int32_t> World::away() const {
  std::set<std::int32_t> away;
  for (const auto& [id, member] : members) {
    const auto process = processes.find(id);
    const bool permitted = member.permit && member.permit->expires_at > now_;
    if (process == processes.end() || process->second.recovers > 0 || permitted) away.insert(id);
  }
  return away;
}

void World::end_permits() {
  for (auto& [id, member] : members) {
    if (!member.permit) continue;
    const auto process = processes.find(id);
    const bool back = process != processes.end() &&
                      process->second.incarnation != member.permit->incarnation &&
                      process->second.recovers == 0;
    if (back || member.permit->expires_at <= now_) member.permit.reset();
  }
}

void World::run_brokers() {
  if (!found_cluster()) return;
  for (auto& [id, process] : processes) {
    if (is_retired(process.directory_id)) continue;
    if (no_joins && members.count(id) == 0) continue;
    Member& member = members[id];
    if (member.directory_id != process.directory_id) {
      // Another disk: built anew from the others.
      if (!member.directory_id.empty()) process.recovers = std::max(process.recovers, 1);
      member = {process.directory_id, ++epoch_, BrokerState::kActive, process.rack, {}};
    }
    member.rack = process.rack;
    if (process.recovers > 0 && !stuck) --process.recovers;
  }
  end_permits();
  const auto active = std::count_if(members.begin(), members.end(), [](const auto& member) {
    return member.second.state == BrokerState::kActive;
  });
  for (auto& [uid, disk] : disks) {
    const auto member = std::find_if(members.begin(), members.end(), [&](const auto& one) {
      return one.second.directory_id == disk.directory_id;
    });
    if (member == members.end()) continue;
    if (member->second.state == BrokerState::kActive) {
      disk.replicas = kReplicasEach;
    } else if (disk.replicas > 0 && active >= 1 && !stuck && !no_drain) {
      disk.replicas -= 2;
    } else if (disk.replicas <= 0) {
      member->second.state = BrokerState::kDrained;
    }
  }
}

bool World::permit(const AcquirePermit& permit) {
  if (!brokers_reachable) return fail(Answer::Kind::kFailed, "no broker answers");
  const auto member = members.find(permit.broker);
  const auto process = processes.find(permit.broker);
  if (member == members.end() || process == processes.end() ||
      process->second.incarnation != permit.incarnation) {
    return fail(Answer::Kind::kRefused, "the process is another one");
  }
  if (no_permit) return fail(Answer::Kind::kRefused, *no_permit);
  for (const std::int32_t other : away()) {
    if (other == permit.broker) continue;
    const std::string& rack = members[other].rack;
    if (rack.empty() || rack != member->second.rack) {
      return fail(
          Answer::Kind::kRefused,
          fmt::format("orders/0 would have 1 of 2 replicas in sync: broker {} is away", other));
    }
  }
  member->second.permit = {permit.incarnation, now_ + permit.lasts_ms};
  return true;
}

bool World::drain(const Drain& drain) {
  if (!brokers_reachable) return fail(Answer::Kind::kFailed, "no broker answers");
  const auto member = members.find(drain.broker);
  if (member == members.end()) return fail(Answer::Kind::kRefused, "there is no such broker");
  if (no_drain) return fail(Answer::Kind::kRefused, *no_drain);
  const auto stay = std::count_if(members.begin(), members.end(), [&](const auto& one) {
    return one.first != drain.broker && one.second.state == BrokerState::kActive;
  });
  if (stay < 3 && member->second.state == BrokerState::kActive) {
    return fail(Answer::Kind::kRefused, "topic orders has 3 replicas and 2 brokers stay");
  }
  if (member->second.state == BrokerState::kActive) member->second.state = BrokerState::kDraining;
  return true;
}

bool World::leave(std::int32_t broker) {
  const auto member = members.find(broker);
  if (member == members.end() || member->second.state != BrokerState::kDrained) return false;
  receipts.push_back({broker, member->second.directory_id, member->second.epoch});
  members.erase(member);
  return true;
}

bool World::decommission(const Decommission& gone) {
  if (!brokers_reachable) return fail(Answer::Kind::kFailed, "no broker answers");
  auto receipt = std::find_if(receipts.begin(), receipts.end(), [&](const auto& one) {
    return one.broker == gone.broker && one.directory_id == gone.directory_id;
  });
  if (receipt == receipts.end()) {
    const auto member = members.find(gone.broker);
    if (member == members.end() || member->second.directory_id != gone.directory_id ||
        !leave(gone.broker)) {
      return fail(Answer::Kind::kRefused, "the broker is not drained, or has another directory");
    }
    receipt = receipts.end() - 1;
    if (lost_answers > 0) {
      --lost_answers;
      return fail(Answer::Kind::kFailed, "the answer was lost");
    }
  }
  return patch({.target = gone.volume,
                .patch = {{"metadata",
                           {{"annotations",
                             {{resources::kReceiptAnnotation, resources::to_text(*receipt)}}}}}},
                .uid = gone.volume_uid,
                .resource_version = {}});
}

ClusterView World::view() const {
  ClusterView view;
  if (brokers_asked) view.why_not = "events-bootstrap.shop.svc:9094: connection refused";
  if (!brokers_reachable || members.empty()) return view;
  const bool any = std::any_of(members.begin(), members.end(),
                               [&](const auto& member) { return is_alive(member.first); });
  if (!any) return view;
  view.reachable = true;
  view.why_not.clear();
  const auto set = objects_.find("StatefulSet");
  if (set != objects_.end() && set->second.count("events") > 0) {
    view.cluster_id = text_of(
        at(set->second.at("events"), "metadata", "annotations", resources::kClusterIdAnnotation));
  }
  if (other_cluster) view.cluster_id = "another";
  std::size_t alive = 0;
  for (const auto& [id, member] : members) {
    const auto process = processes.find(id);
    BrokerView broker{.id = id, .state = member.state};
    broker.alive =
        process != processes.end() && process->second.directory_id == member.directory_id;
    broker.recovered = broker.alive && process->second.recovers == 0;
    broker.directory_id = member.directory_id;
    broker.incarnation = process == processes.end() ? "" : process->second.incarnation;
    broker.endpoint = resources::names::host("shop", "events", id) + ":9093";
    broker.rack = member.rack;
    broker.permit = member.permit;
    for (const auto& [uid, disk] : disks) {
      if (disk.directory_id == member.directory_id) broker.replicas = disk.replicas;
    }
    if (broker.alive) {
      ++alive;
      if (view.controller < 0) view.controller = id;
    } else {
      view.under_replicated = 4;
    }
    if (broker.alive && !broker.recovered) view.under_replicated = 4;
    view.brokers.push_back(broker);
  }
  // Heard, and not registered: not yet, or not any more.
  for (const auto& [id, process] : processes) {
    if (members.count(id) > 0) continue;
    BrokerView guest{.id = id, .state = BrokerState::kUnregistered, .alive = true};
    guest.recovered = true;
    guest.directory_id = process.directory_id;
    guest.incarnation = process.incarnation;
    view.brokers.push_back(guest);
  }
  if (alive * 2 <= members.size()) {
    view.controller = -1;
    view.offline = 4;
  }
  view.moving = moving;
  view.partitions = 12;
  view.health = view.offline > 0            ? Health::kRed
                : view.under_replicated > 0 ? Health::kYellow
                                            : Health::kGreen;
  view.version = "0.1.0";
  view.dynamic_config = dynamic_config;
  return view;
}

}  // namespace millrace::plan::testing
