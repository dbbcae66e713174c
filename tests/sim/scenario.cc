#include "tests/sim/scenario.h"

#include <fmt/format.h>

#include <algorithm>

namespace millrace::sim {

using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

model::ConfigMap small_config() {
  return {
      // So small that files are rolled, checkpoints made and caches overrun all the time.
      {"journal.file.bytes", "262144"},
      {"journal.bytes.max", "1048576"},
      {"disk.reserve.bytes", "65536"},
      {"offsets.topic.num.partitions", "3"},
      {"log.cleaner.backoff.ms", "2000"},
      {"log.retention.check.interval.ms", "5000"},
      // Groups settle within seconds.
      {"group.initial.rebalance.delay.ms", "500"},
      {"group.consumer.heartbeat.interval.ms", "1000"},
      {"group.consumer.assignment.interval.ms", "200"},
  };
}

model::Compression draw_compression(common::Random& random) {
  constexpr model::Compression kAll[] = {model::Compression::kNone, model::Compression::kGzip,
                                         model::Compression::kSnappy, model::Compression::kLz4,
                                         model::Compression::kZstd};
  return random.chance(2, 3) ? model::Compression::kNone : kAll[random.below(5)];
}

ProducerPlan draw_producer(const Scenario& scenario, common::Random& random) {
  ProducerPlan plan;
  plan.topic = random.chance(3, 4) ? scenario.busy.name : scenario.trimmed.name;
  switch (random.below(6)) {
    case 0:
      plan.promise = Promise::kNone;
      plan.acks = static_cast<std::int16_t>(random.below(2));
      break;
    case 1:
    case 2:
      plan.promise = Promise::kAtLeastOnce;
      break;
    default:
      plan.promise = Promise::kExactlyOnce;
      plan.restarts = random.chance(1, 3);
  }
  plan.interval = milliseconds(random.between(5, 120));
  plan.records_max = static_cast<std::int32_t>(random.between(1, 8));
  plan.bytes_max = random.chance(1, 4) ? 8000 : 100;
  plan.in_flight_max = random.chance(1, 3) ? 1 : static_cast<std::size_t>(random.between(2, 5));
  plan.compression = draw_compression(random);
  return plan;
}

/// What may happen before there is a cluster.
ChaosPlan draw_birth(common::Random& random) {
  constexpr Fault kFaults[] = {Fault::kKill,        Fault::kStop,        Fault::kPower,
                               Fault::kPowerAtCall, Fault::kPowerOfAll,  Fault::kPause,
                               Fault::kStutter,     Fault::kCut,         Fault::kCutOneWay,
                               Fault::kIsolate,     Fault::kSlowNetwork, Fault::kResets};
  ChaosPlan plan;
  for (const Fault fault : kFaults)
    if (random.chance(1, 3)) plan.faults.push_back(fault);
  plan.interval = milliseconds(random.between(50, 600));
  return plan;
}

void draw_operators(Scenario& scenario, common::Random& random) {
  scenario.spares = static_cast<std::uint32_t>(random.between(0, 2));
  for (int errand = 0; errand < static_cast<int>(Errand::kCount); ++errand) {
    if (random.chance(1, 3)) scenario.operators.errands.push_back(static_cast<Errand>(errand));
  }
  scenario.operators.interval = milliseconds(random.between(500, 6000));
}

}  // namespace

Scenario draw_scenario(std::uint32_t brokers, common::Random& random) {
  Scenario scenario;
  scenario.brokers = brokers;
  scenario.shards.clear();
  for (int i = 0; i < 3; ++i)
    scenario.shards.push_back(static_cast<std::uint32_t>(random.between(1, 3)));
  scenario.config = small_config();
  scenario.replication_factor = static_cast<std::int16_t>(std::min<std::uint32_t>(brokers, 3));
  scenario.config["offsets.topic.replication.factor"] = std::to_string(scenario.replication_factor);
  scenario.config["group.consumer.session.timeout.ms"] =
      std::to_string(scenario.session / milliseconds(1));
  scenario.busy.partitions = static_cast<std::int32_t>(random.between(1, 4));
  scenario.trimmed.partitions = static_cast<std::int32_t>(random.between(1, 2));
  for (std::uint64_t i = random.below(3); i > 0; --i)
    scenario.passing.push_back(fmt::format("passing-{}", i));
  for (std::int64_t i = random.between(1, 4); i > 0; --i)
    scenario.producers.push_back(draw_producer(scenario, random));
  scenario.readers = static_cast<std::size_t>(random.between(1, 2));
  scenario.classic_members = random.chance(1, 2) ? random.between(1, 3) : 0;
  scenario.consumer_members = random.chance(1, 2) ? random.between(1, 3) : 0;
  for (int fault = 0; fault < static_cast<int>(Fault::kCount); ++fault) {
    if (random.chance(1, 3)) scenario.chaos.faults.push_back(static_cast<Fault>(fault));
  }
  if (brokers > 1) draw_operators(scenario, random);
  // What rots on one disk is on others only as long as those are not lost.
  const bool disks_go = std::ranges::count(scenario.chaos.faults, Fault::kLostDisk) > 0;
  if (brokers < 3 || disks_go) std::erase(scenario.chaos.faults, Fault::kRot);
  scenario.chaos.interval = milliseconds(random.between(200, 4000));
  // Most are short: what happens in the first seconds depends on the seed most of all.
  scenario.stormy = seconds(random.between(4, random.between(6, 30)));
  if (random.chance(1, 4)) scenario.birth = draw_birth(random);
  scenario.finale = static_cast<Scenario::Finale>(random.below(3));
  scenario.outside = random.chance(1, 4);
  return scenario;
}

Scenario quiet_scenario(std::uint32_t brokers) {
  common::Random random(1);
  Scenario scenario = draw_scenario(brokers, random);
  scenario.shards = {2};
  scenario.spares = 0;
  scenario.operators.errands.clear();
  scenario.producers.clear();
  scenario.passing.clear();
  scenario.readers = 0;
  scenario.classic_members = 0;
  scenario.consumer_members = 0;
  scenario.chaos.faults.clear();
  scenario.birth.faults.clear();
  scenario.finale = Scenario::Finale::kNone;
  scenario.outside = false;
  return scenario;
}

std::string Scenario::text() const {
  return fmt::format(
      "{} brokers of {} shards, {} spares, {} + {} partitions, {} producers, {} readers, {} + {} "
      "members, {} kinds of errands, {} kinds of faults for {} s, {} at birth{}",
      brokers, fmt::join(shards, " or "), spares, busy.partitions, trimmed.partitions,
      producers.size(), readers, classic_members, consumer_members, operators.errands.size(),
      chaos.faults.size(), stormy / seconds(1), birth.faults.size(),
      outside ? ", clients outside" : "");
}

}  // namespace millrace::sim
