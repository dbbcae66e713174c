// Machine machine({world, network, trace, ...});   machine.start();   ...   machine.kill();
//
// One broker's machine: its disk, its place in the network, and the process that runs there or does
// not.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "broker/env/testing/sim_disk.h"
#include "broker/env/testing/sim_transport.h"
#include "broker/env/testing/sim_world.h"
#include "broker/server/node.h"
#include "tests/sim/agenda.h"
#include "tests/sim/trace.h"

namespace millrace::sim {

/// What the machine's broker is told by its file of settings.
struct MachineOptions {
  std::int32_t node = 0;
  /// Its host; empty: "broker-N".
  std::string name;
  std::uint32_t shards = 2;
  model::ConfigMap config;
  /// Machines by which the cluster begins; one: it stays alone.
  std::uint32_t first_voters = 1;
  /// Clients come by a listener for clients outside.
  bool outside = false;
  /// What the shards may take of memory, together.
  std::uint64_t memory_bytes = std::uint64_t{64} << 20;
};

/// A supervisor starts the process again after it ended, unless it is told to rest. A process that
/// cannot start is a failure of the run, unless an injected fault explains it; so is one that finds
/// damage, or has something to replay after a clean stop. Used between the world's events.
class Machine final : private server::NodeHost {
 public:
  struct Place {
    env::testing::SimWorld& world;
    env::testing::SimNetwork& network;
    Agenda& agenda;
    Trace& trace;
  };
  Machine(Place place, MachineOptions options);
  ~Machine() override;
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;

  /// Starts the process, if none runs.
  void start();
  /// The file of settings of the next processes, from now on: with nothing added to it.
  void use_settings(model::ConfigMap settings);
  /// The process dies as by SIGKILL; what it had written stays.
  void kill();
  /// The machine loses its power; what was not synced may be gone. Its peers are told by their
  /// switch, or find out.
  enum class Told : bool { kNo, kYes };
  void lose_power(Told told);
  /// Its power goes, and when it comes back there is a new, empty disk.
  void lose_disk();
  /// A bit flips in one of the segments on its disk, if there are any.
  void rot();
  /// Whether that ever happened to this disk: it need not be found at once.
  bool is_rotten() const { return rotten_; }
  /// The same as lose_power(), at the disk's call after so many more.
  void lose_power_after(std::uint64_t disk_calls);
  /// SIGTERM. The process ends by itself, later.
  void stop();
  /// Nothing of the process runs for so long (SIGSTOP, SIGCONT).
  void pause(common::Duration span);
  /// The same for one of its shards, whichever.
  void pause_one_thread(common::Duration span);
  /// The machine's wall clock is wrong by so much from now on.
  void set_wall_skew(std::int64_t ms);
  /// Whether a process that ended comes back by itself.
  void supervise(bool yes) { supervised_ = yes; }
  /// Counts injected faults that explain why a process does not start, or finds its disk bad.
  void excuse(int more) { excuses_ += more; }

  enum class State : std::uint8_t { kOff, kStarting, kServing, kStopping };
  State state() const { return state_; }
  const std::string& name() const { return name_; }
  model::BrokerId id() const { return model::BrokerId{options_.node}; }
  env::testing::SimDisk& disk() { return disk_; }
  /// Of the process that serves. Requires kServing.
  server::Node& node() { return *node_; }
  /// Of the process that is there, whatever it does; nullptr: none is.
  server::Node* running() { return ended_ ? nullptr : node_.get(); }
  /// Counts processes.
  std::uint64_t process() const { return process_; }
  /// Where clients find it.
  env::Endpoint endpoint() const;
  std::uint64_t starts() const { return starts_; }

 private:
  void log(Level level, std::string_view line) override;
  void fatal_disk(const common::Error& error) override;
  service::Loggers& loggers() override;

  common::Result<void> open();
  void recover();
  void listen();
  void serve();
  void served();
  void tell_outside();
  auto unless_it_ended(void (Machine::*next)());
  void could_not_start(const common::Error& error);
  void begin_to_stop();
  void exit_process(bool clean);
  void end_process(Told told);
  void take_apart();
  void start_later();

  class Levels;
  const Place place_;
  const MachineOptions options_;
  const std::string name_;
  common::Random random_;
  env::testing::SimDisk disk_;
  std::unique_ptr<Levels> levels_;
  std::shared_ptr<const model::ConfigMap> config_;

  State state_ = State::kOff;
  bool supervised_ = true;
  int excuses_ = 0;
  bool rotten_ = false;
  bool ended_ = true;          // the process runs no more, but is still there in memory
  bool clean_ = false;         // the last process wrote everything behind
  std::uint64_t process_ = 0;  // counts processes: what an earlier one asked for is late
  std::uint64_t starts_ = 0;
  std::int64_t wall_skew_ms_ = 0;
  std::vector<env::testing::SimLoop*> loops_;
  std::vector<std::unique_ptr<env::Disk>> mounts_;
  std::vector<std::unique_ptr<env::Transport>> transports_;
  std::unique_ptr<server::Node> node_;
};

}  // namespace millrace::sim
