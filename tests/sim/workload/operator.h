// Operator people({...}, plan);   people.start();   ...   people.finish();
//
// Those who run the cluster: move leaders and replicas, drain brokers, restart them in turn, add
// and remove them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "broker/metadata/machine_cluster.h"
#include "broker/metadata/restart_permit.h"
#include "common/random.h"
#include "tests/sim/fleet.h"

namespace millrace::sim {

enum class Errand : std::uint8_t {
  kElect,     // leaders where they are preferred
  kTransfer,  // a leader elsewhere
  kReassign,  // a partition's replicas elsewhere, or a move cancelled
  kDrain,     // and later the other way
  kRestart,   // all brokers one after the other, each with a permit
  kAdd,
  kRemove,  // drained, and decommissioned
  kCount,
};

struct OperatorPlan {
  std::vector<Errand> errands;
  /// Mean time between two.
  common::Duration interval = std::chrono::seconds(2);
};

/// One errand at a time. Asks the brokers below their doors, through any that serves, and takes no
/// for an answer; what it began comes to an end after finish(). Used between the world's events.
class Operator {
 public:
  struct Parts {
    Agenda& agenda;
    Trace& trace;
    common::Random random;
    Fleet& fleet;
  };
  Operator(Parts parts, OperatorPlan plan) : parts_(std::move(parts)), plan_(std::move(plan)) {}

  void start();
  /// The faults are over: begins nothing new.
  void finish() { finishing_ = true; }
  /// After finish(): what is under way; empty: nothing.
  std::string unfinished() const;

 private:
  struct Removal {
    Machine* machine = nullptr;
    bool drained = false;
  };
  struct Round {
    std::vector<Machine*> left;
    Machine* down = nullptr;
    std::uint64_t process = 0;  // of the one that is down
    common::Instant give_up{};
  };

  void look_around();
  void begin(Errand errand);
  void elect(service::Shard& door);
  void transfer(service::Shard& door);
  void reassign(service::Shard& door);
  void drain(service::Shard& door);
  void begin_removal();
  void go_on_removing(service::Shard& door);
  void go_on_restarting(service::Shard& door);
  void undrain(service::Shard& door);
  template <typename Command>
  void decide(service::Shard& door, const Command& command, const char* what);
  /// The first shard of a broker that serves; nullptr: none.
  service::Shard* any_door();
  Machine* any_member();
  std::vector<model::PartitionKey> partitions(service::Shard& door) const;
  void say(std::string_view what, const common::Result<void>& outcome);

  Parts parts_;
  const OperatorPlan plan_;
  bool finishing_ = false;
  bool idle_ = false;  // finishing, and nothing is under way
  common::Instant next_errand_at_{};
  Removal removal_;
  Round round_;
  Machine* draining_ = nullptr;  // to be undrained again
  common::Instant undrain_at_{};
};

}  // namespace millrace::sim
