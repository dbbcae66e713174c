// What one seed is about: how many brokers, who uses them, and what goes wrong.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/random.h"
#include "tests/sim/chaos.h"
#include "tests/sim/workload/operator.h"
#include "tests/sim/workload/producer.h"

namespace millrace::sim {

struct TopicPlan {
  std::string name;
  std::int32_t partitions = 1;
};

struct Scenario {
  std::uint32_t brokers = 1;
  /// Machines that are there besides, and may be added.
  std::uint32_t spares = 0;
  /// Of each broker, in turn.
  std::vector<std::uint32_t> shards = {1};
  model::ConfigMap config;
  std::int16_t replication_factor = 1;
  TopicPlan busy{"busy", 1};        // everybody uses it; it may get more partitions
  TopicPlan trimmed{"trimmed", 1};  // its records go
  std::vector<std::string> passing;
  std::vector<ProducerPlan> producers;
  std::size_t readers = 1;
  std::size_t classic_members = 0;
  std::size_t consumer_members = 0;
  /// Somebody makes, changes and deletes topics.
  bool administered = true;
  common::Duration session = std::chrono::seconds(8);  // of the consumer group
  OperatorPlan operators;
  ChaosPlan chaos;
  common::Duration stormy = std::chrono::seconds(20);  // how long faults may happen
  /// Faults while the cluster is formed, too.
  ChaosPlan birth;
  /// At the end the power fails everywhere, or everything stops cleanly, and what was there must be
  /// there again.
  enum class Finale : std::uint8_t { kNone, kPowerFailure, kCleanStop } finale = Finale::kNone;
  /// Clients come by a listener for clients outside, whose addresses brokers may learn late.
  bool outside = false;

  std::string text() const;
};

/// Draws from what is possible with so many brokers. Each run has only some of the faults: those
/// that never happen together would hide each other's bugs.
Scenario draw_scenario(std::uint32_t brokers, common::Random& random);

/// Nobody uses the brokers, and nothing goes wrong.
Scenario quiet_scenario(std::uint32_t brokers);

}  // namespace millrace::sim
