#include "tests/sim/operator/kubelet.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "operator/kube/fields.h"
#include "operator/kube/kinds.h"
#include "operator/resources/names.h"
#include "tests/sim/operator/kube_link.h"
#include "tests/sim/operator/pod_settings.h"

namespace millrace::sim {
namespace {

using kube::Json;
using kube::ObjectKey;
using kube::text_at;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr int kKilled = 137;
constexpr int kUsage = 64;
/// A process that was up for so long begins its back-off anew.
constexpr std::int64_t kTrustedMs = 30'000;
constexpr std::int64_t kBackOffMsMax = 16'000;

/// What controllers look at.
constexpr kube::Resource kControlled[] = {kube::kStatefulSets, kube::kPods, kube::kVolumeClaims,
                                          kube::kServices};
/// What has owners, and what they are.
constexpr kube::Resource kOwned[] = {
    kube::kClusters,     kube::kTopics,          kube::kStatefulSets,    kube::kPods,
    kube::kServices,     kube::kConfigMaps,      kube::kServiceAccounts, kube::kDisruptionBudgets,
    kube::kVolumeClaims, kube::kNetworkPolicies, kube::kPodMonitors};

bool is_going(const Json& object) {
  return kube::find(object, {"metadata", "deletionTimestamp"}) != nullptr;
}

std::string uid_of(const Json& object) {
  return text_at(object, {"metadata", "uid"});
}

/// First at once, then twice as long each time.
std::int64_t back_off_ms(std::int32_t restarts) {
  if (restarts < 2) return 100;
  return std::min<std::int64_t>(std::int64_t{1000} << std::min(restarts - 2, 10), kBackOffMsMax);
}

}  // namespace

Kubelet::Kubelet(Parts parts, ObjectKey cluster)
    : parts_(std::move(parts)), cluster_(std::move(cluster)) {
  parts_.model.set_controllers(
      {.garbage = false, .stateful_sets = true, .pods = false, .volumes = true});
}

void Kubelet::start() {
  tick();
}

common::Duration Kubelet::between_ms(std::int64_t low, std::int64_t high) {
  return milliseconds(parts_.random.between(low, high));
}

void Kubelet::tick() {
  set_time(parts_.model, parts_.clock);
  run_controllers();
  look_at_pods();
  learn_directories();
  parts_.agenda.after(between_ms(50, 200), [this] { tick(); });
}

/// Each of them sees what happened a moment later.
void Kubelet::run_controllers() {
  if (parts_.agenda.now() < controllers_at_) return;
  controllers_at_ = parts_.agenda.now() + between_ms(20, 500);
  if (const std::string version = parts_.model.resource_version(kControlled);
      version != controlled_) {
    if (!parts_.model.step_controllers()) controlled_ = version;
    return;
  }
  const std::string version = parts_.model.resource_version(kOwned);
  if (version == swept_) return;
  parts_.model.set_controllers(
      {.garbage = true, .stateful_sets = false, .pods = false, .volumes = false});
  if (!parts_.model.step_controllers()) swept_ = version;
  parts_.model.set_controllers(
      {.garbage = false, .stateful_sets = true, .pods = false, .volumes = true});
}

void Kubelet::look_at_pods() {
  const std::string version = parts_.model.resource_version({&kube::kPods, 1});
  if (version != pods_of_) {
    kube::ListOptions all;
    all.space = cluster_.space;
    all.limit = 0;
    pods_ = parts_.model.list(kube::kPods, all)->items;
    pods_of_ = version;
  }
  std::set<std::string> there;
  for (const Json& pod : pods_) {
    there.insert(uid_of(pod));
    look_at(pod);
  }
  bury(there);
}

void Kubelet::look_at(const Json& pod) {
  if (text_at(pod, {"spec", "nodeName"}).empty()) return place(pod);
  const auto broker = resources::ordinal_of_pod(cluster_.name, text_at(pod, {"metadata", "name"}));
  CHECK(broker && std::cmp_less(*broker, parts_.fleet.all().size()), "a pod without a machine");
  const auto [found, is_new] = containers_.try_emplace(uid_of(pod));
  Container& container = found->second;
  if (is_new) {
    container.machine = &machine(*broker);
    ++addresses_;
    container.address = fmt::format("10.1.{}.{}", addresses_ / 250, addresses_ % 250 + 1);
    container.next_try = parts_.agenda.now() + between_ms(100, 2'500);
  }
  if (is_going(pod)) return take_down(pod, container);
  go_on(pod, container);
  if (std::string face = container.face(); face != container.told) {
    container.told = std::move(face);
    (void)parts_.model.patch(kube::kPods, kube::key_of(pod), {{"status", container.status(pod)}},
                             kube::PatchKind::kMerge, kube::Part::kStatus);
  }
}

/// Once its claim is there: a node takes it after a while.
void Kubelet::place(const Json& pod) {
  if (is_going(pod) || !parts_.random.chance(1, 3)) return;
  const std::string node = node_of(pod);
  if (node.empty()) return;
  (void)parts_.model.patch(kube::kPods, kube::key_of(pod), {{"spec", {{"nodeName", node}}}});
}

/// A volume stays on the node where it was first.
std::string Kubelet::node_of(const Json& pod) {
  const auto broker = resources::ordinal_of_pod(cluster_.name, text_at(pod, {"metadata", "name"}));
  const auto claim = parts_.model.get(
      kube::kVolumeClaims, {cluster_.space, resources::names::volume(cluster_.name, *broker)});
  if (!claim.ok() || is_going(*claim)) return {};
  std::string& node = nodes_[uid_of(*claim)];
  if (!node.empty()) return node;
  kube::ListOptions all;
  all.limit = 0;
  const auto nodes = parts_.model.list(kube::kNodes, all);
  node = kube::key_of(nodes->items[parts_.random.below(nodes->items.size())]).name;
  return node;
}

void Kubelet::go_on(const Json& pod, Container& container) {
  const common::Instant now = parts_.agenda.now();
  const common::Timestamp wall = parts_.clock.wall();
  if (container.process && !container.runs()) {
    parts_.trace.say("kubelet", "the process of {} has ended", container.machine->name());
    if (wall.value() - container.started_at.value() > kTrustedMs && container.restarts > 2)
      container.restarts = 2;
    container.process.reset();
    container.exit_code = kKilled;
    container.ready_from.reset();
    container.next_try = now + milliseconds(back_off_ms(container.restarts + 1));
    container.waiting = container.restarts >= 1 ? "CrashLoopBackOff" : "";
  }
  if (!container.process) {
    container.set_ready(false, wall);
    if (now >= container.next_try) try_to_start(pod, container);
    return;
  }
  if (container.machine->state() != Machine::State::kServing) {
    container.ready_from.reset();
    return container.set_ready(false, wall);
  }
  if (!container.ready_from) container.ready_from = now + between_ms(0, 3'000);
  if (now >= *container.ready_from) container.set_ready(true, wall);
}

void Kubelet::try_to_start(const Json& pod, Container& container) {
  container.next_try = parts_.agenda.now() + between_ms(300, 2'000);
  const std::string image = text_at(pod.at("spec").at("containers").at(0), {"image"});
  if (!lost_image_.empty() && image.find(lost_image_) != std::string::npos) {
    container.waiting = "ImagePullBackOff";
    return;
  }
  const std::int32_t broker = container.machine->id().value();
  PodSettings settings = settings_of(pod, config_maps());
  if (settings.missing || !attach_disk(broker)) {
    container.waiting.clear();
    return;
  }
  ++container.restarts;
  container.started_at = parts_.clock.wall();
  if (!settings.complaint.empty()) {
    parts_.trace.say("kubelet", "{} ends: {}", container.machine->name(), settings.complaint);
    container.exit_code = kUsage;
    container.waiting = container.restarts >= 1 ? "CrashLoopBackOff" : "";
    container.next_try = parts_.agenda.now() + milliseconds(back_off_ms(container.restarts + 1));
    return;
  }
  if (settings.config["node.id"] != std::to_string(broker))
    parts_.trace.fail(fmt::format("pod {} is broker {}", broker, settings.config["node.id"]));
  container.waiting.clear();
  parts_.fleet.admit(*container.machine);
  // Less than a broker lets people choose: files are rolled all the time.
  settings.config["journal.file.bytes"] = "262144";
  settings.config["journal.bytes.max"] = "1048576";
  settings.config["disk.reserve.bytes"] = "65536";
  container.machine->use_settings(std::move(settings.config));
  container.machine->start();
  container.process = container.machine->process();
}

std::map<std::string, Json> Kubelet::config_maps() {
  kube::ListOptions all;
  all.space = cluster_.space;
  all.limit = 0;
  std::map<std::string, Json> maps;
  auto page = parts_.model.list(kube::kConfigMaps, all);
  for (Json& map : page->items) maps.emplace(kube::key_of(map).name, std::move(map));
  return maps;
}

/// False: there is no claim, or the machine is still busy with an earlier pod.
bool Kubelet::attach_disk(std::int32_t broker) {
  Machine& its = machine(broker);
  if (its.state() != Machine::State::kOff) return false;
  const auto claim = parts_.model.get(
      kube::kVolumeClaims, {cluster_.space, resources::names::volume(cluster_.name, broker)});
  if (!claim.ok() || is_going(*claim)) return false;
  Disk& disk = disks_[broker];
  if (std::exchange(disk.claim_uid, uid_of(*claim)) == disk.claim_uid) return true;
  its.lose_disk();
  parts_.witness.forget(its);
  if (std::exchange(disk.retired, false)) its.excuse(-1);
  return true;
}

void Kubelet::take_down(const Json& pod, Container& container) {
  const common::Instant now = parts_.agenda.now();
  if (!container.stop_at) {
    const auto grace = kube::number_at(pod, {"metadata", "deletionGracePeriodSeconds"});
    container.stop_at = now + between_ms(20, 1'000);
    container.kill_at = *container.stop_at + seconds(grace.value_or(60));
  }
  if (!container.runs()) {
    if (now >= *container.stop_at) remove_pod(pod);
    return;
  }
  if (now >= *container.kill_at) return container.machine->kill();
  if (now >= *container.stop_at && !std::exchange(container.told_to_stop, true))
    container.machine->stop();
}

void Kubelet::remove_pod(const Json& pod) {
  kube::DeleteOptions now{.uid = uid_of(pod)};
  now.grace_seconds = 0;
  (void)parts_.model.remove(kube::kPods, kube::key_of(pod), now);
}

void Kubelet::bury(const std::set<std::string>& there) {
  std::erase_if(containers_, [&](const auto& one) {
    if (there.contains(one.first)) return false;
    const Container& container = one.second;
    if (container.runs()) container.machine->kill();
    parts_.fleet.dismiss(*container.machine);
    return true;
  });
}

void Kubelet::forget_back_offs() {
  for (auto& [uid, container] : containers_)
    container.next_try = std::min(container.next_try, parts_.agenda.now());
}

void Kubelet::learn_directories() {
  for (const auto& [uid, container] : containers_) {
    server::Node* const node = container.runs() ? container.machine->running() : nullptr;
    if (node == nullptr || node->shards().empty()) continue;
    const Disk& disk = disks_.at(container.machine->id().value());
    directories_[disk.claim_uid] = node->shards().front()->identity().directory;
  }
}

// ---- Who is where

Machine* Kubelet::machine_at(const std::string& address) {
  for (const auto& [uid, container] : containers_) {
    const bool its = address == fmt::format("{}:{}", container.address, resources::kGrpcPort);
    if (its) return container.runs() ? container.machine : nullptr;
  }
  return nullptr;
}

Machine* Kubelet::machine_of_pod(const std::string& uid) {
  const auto found = containers_.find(uid);
  if (found == containers_.end() || !found->second.runs()) return nullptr;
  return found->second.machine;
}

void Kubelet::retires(std::int32_t broker) {
  const auto disk = disks_.find(broker);
  if (disk == disks_.end() || std::exchange(disk->second.retired, true)) return;
  machine(broker).excuse(1);
}

common::Uuid Kubelet::directory_on(const std::string& claim_uid) {
  learn_directories();
  const auto found = directories_.find(claim_uid);
  return found == directories_.end() ? common::Uuid{} : found->second;
}

std::string Kubelet::claim_of(std::int32_t broker) {
  const auto found = disks_.find(broker);
  return found == disks_.end() ? "" : found->second.claim_uid;
}

}  // namespace millrace::sim
