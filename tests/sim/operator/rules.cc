#include "tests/sim/operator/rules.h"

#include <fmt/format.h>

#include <algorithm>

#include "broker/service/metadata_writer.h"
#include "operator/kube/fields.h"
#include "operator/kube/kinds.h"
#include "operator/resources/names.h"

namespace millrace::sim {
namespace {

using kube::Json;
using kube::number_at;
using kube::text_at;
using model::BrokerId;

constexpr std::string_view kHold = "millrace.dev/hold";

std::string annotation(const Json& object, std::string_view name) {
  return text_at(object, {"metadata", "annotations", name});
}

/// "True", "False"; empty without the condition.
std::string condition(const Json& object, std::string_view type, std::string_view member) {
  const Json* const all = kube::find(object, {"status", "conditions"});
  if (all == nullptr || !all->is_array()) return {};
  for (const Json& one : *all)
    if (text_at(one, {"type"}) == type) return text_at(one, {member});
  return {};
}

/// An operator may not have heard yet of a broker that has joined since: answers, and what it
/// writes itself, take as long on bad ways. As long as its pod is not ready that is no harm: it
/// leads nothing. And its volume stays: a pod that is gone is given back.
constexpr std::chrono::seconds kNewsMax{5};

bool holds(const metadata::ReplicaSet& replicas, BrokerId broker) {
  return std::ranges::count(replicas, broker, &metadata::Replica::broker) > 0;
}

/// For certain. While a partition moves, who comes or goes may be one of its voters or not; the
/// brokers that give a permit know.
bool is_voter(const metadata::PartitionAssignment& assignment, std::int32_t broker) {
  return holds(assignment.replicas, BrokerId{broker}) &&
         (!assignment.moving() || holds(assignment.target, BrokerId{broker}));
}

/// It has loaded its data and been told who it is.
bool takes_part(const Machine& machine) {
  return machine.state() == Machine::State::kStarting ||
         machine.state() == Machine::State::kServing;
}

}  // namespace

void Rules::fail(const Written& write, const std::string& what) {
  parts_.trace.fail(fmt::format("{}: {} {} {}: {}", write.by, write.verb, write.resource.kind,
                                write.key.text(), what));
}

const metadata::Image* Rules::truth() const {
  const metadata::Image* newest = nullptr;
  model::Offset known{-1};
  for (const auto& machine : parts_.fleet.all()) {
    server::Node* const node = machine->running();
    if (node == nullptr || node->shards().empty()) continue;
    service::Shard& first = *node->shards().front();
    const service::MetadataWriter* const writer = first.metadata_writer();
    if (writer == nullptr || writer->applied() <= known) continue;
    known = writer->applied();
    newest = &first.image();
  }
  return newest;
}

std::string Rules::drained() const {
  const metadata::Image* const image = truth();
  if (image == nullptr) return "no broker runs";
  for (const auto& [id, broker] : image->brokers()) {
    if (image->state(id) != metadata::BrokerState::kActive)
      return fmt::format("broker {} is drained, or is to be", id);
  }
  return {};
}

std::string Rules::strayed() const {
  const metadata::Image* const image = truth();
  const auto asked = parts_.model.list(kube::kTopics, {});
  if (image == nullptr || !asked.ok()) return "no broker runs, or nobody knows what is asked for";
  for (const Json& resource : asked->items) {
    const auto topic = image->topics().find(text_at(resource, {"metadata", "name"}));
    const Json* const settings = kube::find(resource, {"spec", "config"});
    if (topic == image->topics().end() || settings == nullptr) continue;
    for (const auto& [name, value] : settings->items()) {
      const auto set = topic->second->configs.find(name);
      if (set == topic->second->configs.end() || set->second != value.get<std::string>())
        return fmt::format("topic {}: {} is not {}", topic->first, name, value.dump());
    }
  }
  return {};
}

void Rules::look() {
  const metadata::Image* const image = truth();
  if (image == nullptr) return;
  for (const auto& [id, broker] : image->brokers())
    joined_.try_emplace({id.value(), broker.directory}, parts_.clock.now());
  for (const auto& [directory, receipt] : image->receipts()) receipts_.insert(directory);
  std::erase_if(away_, [&](const auto& one) {
    for (const auto& machine : parts_.fleet.all()) {
      if (machine->id().value() != one.first) continue;
      return machine->state() == Machine::State::kServing &&
             machine->process() != one.second.process &&
             parts_.ground.machine_of_pod(one.second.pod) == nullptr;
    }
    return true;
  });
}

bool Rules::is_news(common::Instant joined, const Json& pod) const {
  return condition(pod, "Ready", "status") != "True" && parts_.clock.now() - joined < kNewsMax;
}

bool Rules::has_left(const common::Uuid& directory) const {
  return receipts_.contains(directory);
}

void Rules::gave_receipt(std::int32_t, const std::string& directory_id) {
  if (const auto directory = common::Uuid::parse(directory_id)) receipts_.insert(*directory);
}

// What ends with the write itself: the process of the pod is told to stop by somebody else, later,
// but its permit may lapse at any time.
void Rules::before_write(std::string_view verb, const kube::Resource& resource,
                         const Json& object) {
  stopping_.reset();
  if (verb != "delete" || !(resource == kube::kPods)) return;
  look();
  const std::string pod = text_at(object, {"metadata", "uid"});
  Machine* const machine = parts_.ground.machine_of_pod(pod);
  const bool going = kube::find(object, {"metadata", "deletionTimestamp"}) != nullptr;
  if (machine == nullptr || going || !takes_part(*machine)) return;
  const std::int32_t broker = machine->id().value();
  const common::Uuid directory = parts_.ground.directory_on(parts_.ground.claim_of(broker));
  const auto joined = joined_.find({broker, directory});
  if (joined == joined_.end() || has_left(directory)) return;
  if (is_news(joined->second, object)) return;
  const metadata::Image* const image = truth();
  stopping_ = {.broker = broker,
               .how = {machine->process(), pod},
               .permitted = image != nullptr && image->permits().contains(machine->id())};
}

void Rules::wrote(const Written& write) {
  if (write.resource == kube::kLeases) return;
  ++writes_;
  last_write_ = fmt::format("{} {} {}", write.verb, write.resource.plural, write.key.text());
  if (write.verb == "delete" && write.resource == kube::kPods) return pod_deleted(write);
  if (write.verb == "delete" && write.resource == kube::kVolumeClaims) return claim_deleted(write);
  if (write.resource == kube::kStatefulSets) return replicas_changed(write);
  if (write.resource == kube::kClusters && write.after != nullptr) return status_written(write);
}

void Rules::pod_deleted(const Written& write) {
  if (write.before != nullptr && annotation(*write.before, kHold) == "true")
    return fail(write, "it is held");
  if (!stopping_) return;
  const Stopping one = *std::exchange(stopping_, std::nullopt);
  if (!one.permitted) return fail(write, fmt::format("broker {} has no permit", one.broker));
  away_[one.broker] = one.how;
  if (const metadata::Image* const image = truth()) check_partitions(write, *image, one.broker);
}

/// Three replicas, two of them in sync: one may be away. Fewer replicas have none to spare, and
/// would never be restarted; but even then one at a time.
void Rules::check_partitions(const Written& write, const metadata::Image& image,
                             std::int32_t broker) {
  for (const auto& [name, topic] : image.topics()) {
    for (std::size_t i = 0; i < topic->assignments.size(); ++i) {
      const metadata::PartitionAssignment& assignment = topic->assignments[i];
      const metadata::ReplicaSet& replicas = assignment.replicas;
      if (!is_voter(assignment, broker)) continue;
      const auto away = std::ranges::count_if(
          away_, [&](const auto& one) { return is_voter(assignment, one.first); });
      const std::size_t majority = replicas.size() / 2 + 1;
      const std::size_t spare = std::max<std::size_t>(1, replicas.size() - majority);
      if (std::cmp_greater(away, spare)) {
        return fail(write,
                    fmt::format("{} of {} replicas of {}-{} are away by the operator's doing", away,
                                replicas.size(), name, i));
      }
    }
  }
}

void Rules::claim_deleted(const Written& write) {
  look();
  const std::string uid = text_at(*write.before, {"metadata", "uid"});
  const common::Uuid directory = parts_.ground.directory_on(uid);
  if (!directory.is_zero() && !has_left(directory))
    return fail(write, fmt::format("its directory {} has no receipt", directory.text()));
  // One that has left may run still: nobody counts on it.
  if (!directory.is_zero()) return;
  for (const auto& machine : parts_.fleet.all()) {
    const bool uses = parts_.ground.claim_of(machine->id().value()) == uid;
    if (uses && machine->state() != Machine::State::kOff)
      return fail(write, fmt::format("{} runs on it", machine->name()));
  }
}

void Rules::replicas_changed(const Written& write) {
  if (write.before == nullptr || write.after == nullptr) {
    if (write.verb == "delete") fail(write, "the StatefulSet goes with its cluster only");
    return;
  }
  const auto old = number_at(*write.before, {"spec", "replicas"}).value_or(0);
  const auto now = number_at(*write.after, {"spec", "replicas"}).value_or(0);
  if (now >= old) return;
  if (now < old - 1) return fail(write, fmt::format("from {} to {} replicas at once", old, now));
  look();
  const auto broker = static_cast<std::int32_t>(now);
  const common::Uuid directory = parts_.ground.directory_on(parts_.ground.claim_of(broker));
  const auto joined = joined_.find({broker, directory});
  if (directory.is_zero() || joined == joined_.end() || has_left(directory)) return;
  const auto pod = parts_.model.get(
      kube::kPods, {write.key.space, resources::names::pod(write.key.name, broker)});
  if (pod.ok() && is_news(joined->second, *pod)) return;
  fail(write, fmt::format("broker {} has data and has not left the cluster", broker));
}

void Rules::status_written(const Written& write) {
  const Json& object = *write.after;
  for (const char* const type : {"Ready", "Progressing", "Degraded"}) {
    if (condition(object, type, "reason").empty() || condition(object, type, "message").empty())
      return fail(write, fmt::format("condition {} says nothing", type));
  }
  const auto wanted = number_at(object, {"spec", "brokers"});
  const auto there = number_at(object, {"status", "brokers"});
  const auto stale = number_at(object, {"status", "rollout", "stale"}).value_or(0);
  const bool as_asked = wanted == there && stale == 0;
  const bool told = condition(object, "Progressing", "reason") != "AllWell" ||
                    condition(object, "Degraded", "reason") != "AllWell";
  const bool current = number_at(object, {"status", "observedGeneration"}) ==
                       number_at(object, {"metadata", "generation"});
  if (!as_asked && !told && current)
    fail(write, fmt::format("{} of {} brokers, {} stale, and no word of it", there.value_or(-1),
                            wanted.value_or(-1), stale));
}

}  // namespace millrace::sim
