// Somebody who reads a topic without a group.
#pragma once

#include <string>

#include "tests/sim/client/fetcher.h"
#include "tests/sim/workload/actor.h"

namespace millrace::sim {

/// Reads every partition from its start, and now and then goes back to read a part again: what it
/// read once must still be there.
class Reader final : public Actor {
 public:
  Reader(Client::Parts client, History& history, std::string topic);
  void start() override;
  void finish() override;
  std::string unfinished() const override;

 private:
  void look_for_partitions();
  void go_back();

  Client client_;
  Fetcher fetcher_;
  const std::string topic_;
  bool finishing_ = false;
  common::Instant finished_writing_{};
};

}  // namespace millrace::sim
