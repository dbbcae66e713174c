// Somebody who asks all brokers where partitions end.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "tests/sim/client/client.h"
#include "tests/sim/client/fetcher.h"
#include "tests/sim/history.h"
#include "tests/sim/workload/actor.h"

namespace millrace::sim {

/// Asks any broker for the end of any partition, as if it led it, the way one does whose metadata
/// are old. Who answers must not tell less than anybody was told before (E08).
class Surveyor final : public Actor {
 public:
  Surveyor(Client::Parts client, History& history, std::vector<std::string> topics);
  void start() override;
  void finish() override;
  std::string unfinished() const override;

 private:
  void look_for_partitions();
  void ask_soon();
  void ask();

  Client client_;
  History& history_;
  const std::vector<std::string> topics_;
  std::vector<Target> targets_;
  std::set<Target> answered_;  // since finish()
  std::size_t asking_ = 0;
  bool finishing_ = false;
};

}  // namespace millrace::sim
