#include "tests/sim/operator/story.h"

#include <fmt/format.h>

#include <algorithm>

namespace millrace::sim {

using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

/// Not among them: disks that are lost or rot, as nobody but people may say that a volume's data is
/// gone (docs/kubernetes.md).
constexpr Fault kFaults[] = {Fault::kKill,        Fault::kStop,      Fault::kPower,
                             Fault::kPowerAtCall, Fault::kPause,     Fault::kStutter,
                             Fault::kFullDisk,    Fault::kSlowDisk,  Fault::kDiskErrors,
                             Fault::kCut,         Fault::kCutOneWay, Fault::kIsolate,
                             Fault::kSlowNetwork, Fault::kResets,    Fault::kWrongClock};

/// Groups settle within seconds.
model::ConfigMap quick_config(std::int16_t replication_factor) {
  return {
      {"offsets.topic.num.partitions", "2"},
      {"offsets.topic.replication.factor", std::to_string(replication_factor)},
      {"group.initial.rebalance.delay.ms", "500"},
      {"group.consumer.heartbeat.interval.ms", "1000"},
      {"auto.create.topics.enable", "false"},
  };
}

ProducerPlan draw_producer(const Scenario& scenario, common::Random& random) {
  ProducerPlan plan;
  plan.topic = random.chance(3, 4) ? scenario.busy.name : scenario.trimmed.name;
  plan.promise = random.chance(2, 3) ? Promise::kExactlyOnce : Promise::kAtLeastOnce;
  plan.interval = milliseconds(random.between(80, 600));
  plan.records_max = static_cast<std::int32_t>(random.between(1, 4));
  plan.in_flight_max = static_cast<std::size_t>(random.between(1, 3));
  return plan;
}

Scenario draw_brokers_and_clients(std::uint32_t brokers, common::Random& random) {
  Scenario scenario;
  scenario.brokers = brokers;
  scenario.shards = {static_cast<std::uint32_t>(random.between(1, 2))};
  scenario.replication_factor = static_cast<std::int16_t>(std::min<std::uint32_t>(brokers, 3));
  scenario.config = quick_config(scenario.replication_factor);
  scenario.busy.partitions = static_cast<std::int32_t>(random.between(1, 3));
  for (std::int64_t i = random.between(1, 2); i > 0; --i)
    scenario.producers.push_back(draw_producer(scenario, random));
  scenario.readers = 1;
  scenario.classic_members = random.chance(1, 6) ? 1 : 0;
  scenario.consumer_members = random.chance(1, 6) ? 1 : 0;
  scenario.administered = false;
  return scenario;
}

template <typename Kind>
std::vector<Kind> draw_some(common::Random& random, std::uint64_t one_in) {
  std::vector<Kind> some;
  for (int kind = 0; kind < static_cast<int>(Kind::kCount); ++kind)
    if (random.chance(1, one_in)) some.push_back(static_cast<Kind>(kind));
  return some;
}

}  // namespace

std::uint32_t draw_cluster(common::Random& random) {
  constexpr std::uint32_t kSizes[] = {1, 2, 3, 3, 3, 3, 3, 4, 4, 5};
  return kSizes[random.below(std::size(kSizes))];
}

Story draw_story(std::uint32_t brokers, common::Random& random) {
  Story story;
  Scenario& scenario = story.scenario;
  scenario = draw_brokers_and_clients(brokers, random);
  story.operators = random.chance(1, 3) ? 2 : 1;
  constexpr int kLeases[] = {3, 6, 15};
  story.settings.lease = seconds(kLeases[random.below(3)]);
  story.settings.spacing = milliseconds(random.chance(1, 2) ? 50 : 500);
  story.settings.image = "localhost/millrace:0.1.0";
  story.edits = draw_some<Edit>(random, 3);
  // Everything else is only interesting while brokers come, go or restart.
  if (random.chance(2, 3)) story.edits.push_back(Edit::kScale);
  if (random.chance(1, 2)) story.edits.push_back(Edit::kSetting);
  story.edit_interval = milliseconds(random.between(500, 10'000));
  if (random.chance(3, 4)) story.mishaps = draw_some<Mishap>(random, 3);
  story.mishap_interval = milliseconds(random.between(500, 8'000));
  story.hard_birth = random.chance(1, 4);
  if (random.chance(1, 2)) {
    for (const Fault fault : kFaults)
      if (random.chance(1, 4)) scenario.chaos.faults.push_back(fault);
  }
  scenario.chaos.interval = milliseconds(random.between(1'000, 10'000));
  scenario.stormy = seconds(random.between(8, random.between(12, 60)));
  story.fickle = random.below(2) == 1;
  if (story.fickle) {
    for (const Edit edit : {Edit::kScale, Edit::kDeleteTopic, Edit::kHold, Edit::kSetting})
      story.edits.push_back(edit);
  }
  return story;
}

std::string Story::text() const {
  return fmt::format(
      "{}; {} operators with leases of {} s; {} kinds of edits, one in {} ms; {} kinds of mishaps, "
      "one in {} ms{}{}",
      scenario.text(), operators, settings.lease.count(), edits.size(),
      edit_interval / milliseconds(1), mishaps.size(), mishap_interval / milliseconds(1),
      hard_birth ? ", from the first moment" : "", fickle ? "; fickle people" : "");
}

}  // namespace millrace::sim
