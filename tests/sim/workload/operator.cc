#include "tests/sim/workload/operator.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "broker/service/elections.h"
#include "broker/service/hand_over.h"
#include "broker/service/metadata_writer.h"
#include "broker/service/permits.h"
#include "broker/service/reassignments.h"

namespace millrace::sim {

using model::BrokerId;
using model::PartitionKey;
using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

constexpr common::Duration kLookEvery = milliseconds(500);
constexpr common::Duration kAnswerMax = seconds(5);
constexpr common::Duration kStepMax = seconds(20);
/// Fewer are no cluster that can spare one.
constexpr std::size_t kMembersMin = 4;

}  // namespace

void Operator::start() {
  if (plan_.errands.empty()) {
    idle_ = true;
    return;
  }
  look_around();
}

std::string Operator::unfinished() const {
  if (idle_) return {};
  if (removal_.machine != nullptr)
    return fmt::format("{} is not removed", removal_.machine->name());
  if (draining_ != nullptr) return fmt::format("{} is still draining", draining_->name());
  return "the operators are not done";
}

void Operator::say(std::string_view what, const common::Result<void>& outcome) {
  parts_.trace.say("operator", "{}: {}", what, outcome.ok() ? "done" : outcome.error().detail);
}

service::Shard* Operator::any_door() {
  std::vector<service::Shard*> doors;
  for (Machine* machine : parts_.fleet.members()) {
    if (machine->state() == Machine::State::kServing)
      doors.push_back(machine->node().shards().front());
  }
  return doors.empty() ? nullptr : doors[parts_.random.below(doors.size())];
}

Machine* Operator::any_member() {
  const Members& members = parts_.fleet.members();
  return members[parts_.random.below(members.size())];
}

std::vector<PartitionKey> Operator::partitions(service::Shard& door) const {
  std::vector<PartitionKey> keys;
  for (const auto& [name, topic] : door.image().topics()) {
    for (std::int32_t i = 0; i < topic->partition_count(); ++i)
      keys.push_back({topic->id, model::PartitionIndex{i}});
  }
  return keys;
}

void Operator::look_around() {
  if (service::Shard* const door = any_door()) {
    if (removal_.machine != nullptr) go_on_removing(*door);
    if (draining_ != nullptr) undrain(*door);
    if (!round_.left.empty() || round_.down != nullptr) go_on_restarting(*door);
    const bool busy = removal_.machine != nullptr || !round_.left.empty() || round_.down != nullptr;
    if (finishing_) {
      idle_ = removal_.machine == nullptr && draining_ == nullptr;
      if (idle_) return;
    } else if (!busy && parts_.agenda.now() >= next_errand_at_) {
      next_errand_at_ = parts_.agenda.now() +
                        common::Duration{parts_.random.between(0, 2 * plan_.interval.count())};
      begin(plan_.errands[parts_.random.below(plan_.errands.size())]);
    }
  }
  parts_.agenda.after(kLookEvery, [this] { look_around(); });
}

void Operator::begin(Errand errand) {
  service::Shard* const door = any_door();
  if (door == nullptr) return;
  switch (errand) {
    case Errand::kElect:
      return elect(*door);
    case Errand::kTransfer:
      return transfer(*door);
    case Errand::kReassign:
      return reassign(*door);
    case Errand::kDrain:
      return drain(*door);
    case Errand::kRestart:
      parts_.trace.say("operator", "restarts all brokers in turn");
      round_.left = parts_.fleet.members();
      round_.give_up = parts_.agenda.now() + kStepMax;
      return;
    case Errand::kAdd: {
      const Members& spares = parts_.fleet.spares();
      if (spares.empty() || spares.front()->state() != Machine::State::kOff) return;
      parts_.trace.say("operator", "adds {}", spares.front()->name());
      return parts_.fleet.enlist(*spares.front());
    }
    case Errand::kRemove:
      return begin_removal();
    case Errand::kCount:
      break;
  }
}

void Operator::elect(service::Shard& door) {
  const auto keys = partitions(door);
  if (keys.empty()) return;
  const PartitionKey key = keys[parts_.random.below(keys.size())];
  service::elect_leaders(door, {{key.topic, "", key.index}}, service::Election::kPreferred,
                         kAnswerMax, [this](std::vector<service::ElectionOutcome> outcomes) {
                           parts_.trace.say("operator", "a preferred leader was elected: {}",
                                            outcomes.front().detail);
                         });
}

void Operator::transfer(service::Shard& door) {
  const auto keys = partitions(door);
  if (keys.empty()) return;
  const PartitionKey key = keys[parts_.random.below(keys.size())];
  service::transfer_leader(
      door, key, any_member()->id(), kAnswerMax,
      [this](common::Result<void> outcome) { say("a leader was moved", outcome); });
}

void Operator::reassign(service::Shard& door) {
  const auto keys = partitions(door);
  if (keys.empty()) return;
  const PartitionKey key = keys[parts_.random.below(keys.size())];
  metadata::ReassignPartition wish{
      .topic = door.image().topic(key.topic)->name, .index = key.index.value(), .replicas = {}};
  if (!parts_.random.chance(1, 6)) {
    std::vector<BrokerId> brokers;
    for (Machine* machine : parts_.fleet.members()) brokers.push_back(machine->id());
    const std::size_t count =
        std::min(brokers.size(), door.image().assignment(key)->replicas.size());
    wish.replicas.emplace();
    for (std::size_t i = 0; i < count; ++i) {
      const std::size_t chosen = parts_.random.below(brokers.size());
      wish.replicas->push_back(brokers[chosen]);
      brokers.erase(brokers.begin() + static_cast<std::ptrdiff_t>(chosen));
    }
  }
  service::reassign_partitions(door, {wish}, service::FactorChange::kRefused,
                               [this](std::vector<common::Result<void>> outcomes) {
                                 say("a partition was reassigned", outcomes.front());
                               });
}

template <typename Command>
void Operator::decide(service::Shard& door, const Command& command, const char* what) {
  using Decision = decltype(metadata::decide(door.image(), command));
  using Outcome = decltype(std::declval<Decision>()->outcome);
  service::MetadataWriter::decide_on<Outcome>(
      door, [command](const metadata::Image& image) { return metadata::decide(image, command); },
      [this, what](common::Result<Outcome> outcome) {
        parts_.trace.say("operator", "{}: {}", what,
                         outcome.ok() ? "done" : outcome.error().detail);
      });
}

void Operator::drain(service::Shard& door) {
  if (draining_ != nullptr || parts_.fleet.members().size() < kMembersMin) return;
  draining_ = any_member();
  undrain_at_ = parts_.agenda.now() + seconds(parts_.random.between(1, 15));
  parts_.trace.say("operator", "drains {} for a while", draining_->name());
  decide(door, metadata::DrainBroker{draining_->id()}, "the drain");
}

void Operator::undrain(service::Shard& door) {
  if (!finishing_ && parts_.agenda.now() < undrain_at_) return;
  if (door.image().state(draining_->id()) == metadata::BrokerState::kActive &&
      parts_.agenda.now() > undrain_at_ + seconds(2)) {
    draining_ = nullptr;
    return;
  }
  decide(door, metadata::UndrainBroker{draining_->id()}, "the end of the drain");
}

// ---- Removing a broker

void Operator::begin_removal() {
  if (parts_.fleet.members().size() < kMembersMin || draining_ != nullptr) return;
  removal_ = {any_member()};
  parts_.trace.say("operator", "removes {}", removal_.machine->name());
}

void Operator::go_on_removing(service::Shard& door) {
  Machine& machine = *removal_.machine;
  const metadata::Image& image = door.image();
  const auto registered = image.brokers().find(machine.id());
  const bool gone = registered == image.brokers().end();
  if (gone && removal_.drained) {
    parts_.trace.say("operator", "{} is decommissioned", machine.name());
    parts_.fleet.retire(machine);
    machine.excuse(-1);
    removal_ = {};
    return;
  }
  if (gone) return;  // not registered yet
  const metadata::BrokerState state = image.state(machine.id());
  if (state == metadata::BrokerState::kActive)
    return decide(door, metadata::DrainBroker{machine.id()}, "the drain");
  if (state != metadata::BrokerState::kDrained) return;
  // From now on its process may be told that its directory was retired.
  if (!std::exchange(removal_.drained, true)) machine.excuse(1);
  decide(door,
         metadata::DecommissionBroker{.broker = machine.id(),
                                      .directory = registered->second.directory},
         "the decommission");
}

// ---- Restarting all in turn

void Operator::go_on_restarting(service::Shard& door) {
  if (finishing_ || parts_.agenda.now() >= round_.give_up) {
    round_ = {};
    return;
  }
  if (round_.down != nullptr) {
    if (round_.down->process() == round_.process ||
        round_.down->state() != Machine::State::kServing)
      return;
    round_.down = nullptr;
    round_.give_up = parts_.agenda.now() + kStepMax;
  }
  if (round_.left.empty()) return;
  Machine* const next = round_.left.back();
  const bool member = std::ranges::count(parts_.fleet.members(), next) > 0;
  if (!member || next->state() != Machine::State::kServing) {
    round_.left.pop_back();
    return;
  }
  service::ask_permit(
      door, {.broker = next->id(), .incarnation = {}, .lasts_ms = 20'000},
      [this, next, process = next->process()](common::Result<metadata::PermitAnswer> answer) {
        parts_.trace.say("operator", "{} {} be restarted", next->name(),
                         answer.ok() && answer->granted ? "may" : "may not");
        if (!answer.ok() || !answer->granted) return;
        parts_.agenda.after(common::Duration{0}, [this, next, process] {
          if (round_.left.empty() || round_.left.back() != next || round_.down != nullptr ||
              next->process() != process || next->state() != Machine::State::kServing)
            return;
          round_.left.pop_back();
          round_.down = next;
          round_.process = process;
          next->stop();
        });
      });
}

}  // namespace millrace::sim
