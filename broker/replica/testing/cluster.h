// Cluster cluster({.seed = 7});   cluster.start_all();   cluster.wait_for_leader();
// cluster.crash(cluster.leader());
//
// One partition on several simulated brokers: each has its disk, its process and its loop; messages
// go over a network that may lose, delay and repeat them.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "broker/env/testing/sim_disk.h"
#include "broker/env/testing/sim_world.h"
#include "broker/replica/partition.h"
#include "broker/storage/store.h"
#include "broker/storage/testing/store_machine.h"

namespace millrace::replica::testing {

/// Broker numbers of the cluster, from 0.
using Node = std::size_t;

/// Chances and times of the network. They hold for what is sent from now on.
struct NetworkFaults {
  int drop_percent = 0;
  int repeat_percent = 0;
  common::Duration delay_max = std::chrono::microseconds(200);
};

struct ClusterOptions {
  std::uint64_t seed = 1;
  std::size_t nodes = 3;
  /// The first so many are the first voters; others begin with nothing.
  std::size_t voters = 3;
  model::TopicSettings settings;
  raft::Settings raft;
  CatchUpLimits catch_up;
  storage::StoreOptions store = storage::testing::tiny_options();
};

class Cluster {
 public:
  explicit Cluster(ClusterOptions options);
  ~Cluster();

  raft::ReplicaId id(Node node) const;
  model::PartitionKey key() const { return storage::testing::key_of(0); }

  /// Starts a process, which opens what is on the disk. Requires that none runs.
  void start(Node node);
  void start_all();
  /// Closes the partition and the store, as a broker does that is told to stop.
  void stop(Node node);
  /// The machine loses its power; chance decides what of the unsynced survives, unless it is said.
  void crash(Node node);
  void crash(Node node, env::testing::Survival how);
  /// The process dies and the machine does not.
  void kill(Node node);
  /// The replica goes away from here (retirement.h) and comes back at once, in the same process.
  void retire_and_return(Node node);
  /// A new, empty disk comes in place of this one: another replica. Requires that nothing runs.
  void replace_disk(Node node);
  bool up(Node node) const;

  Partition& at(Node node);
  const Partition& at(Node node) const;
  storage::Store& store(Node node);
  env::testing::SimDisk& disk(Node node);
  /// Nothing of its process runs for so long.
  void pause(Node node, common::Duration span);
  /// Runs the task on this broker's loop soon; not at all if it ends before.
  void on(Node node, env::Task task);

  /// Messages from one to the other are lost; heartbeats too.
  void cut(Node from, Node to, bool is_cut = true);
  /// Both ways, to all others.
  void isolate(Node node);
  void heal();
  NetworkFaults faults;
  /// What Peers::has_room() says.
  bool room = true;
  /// Looks at each message before it is sent; false: it is lost. May change it.
  common::Function<bool(raft::Message&, std::vector<Bytes>&)> on_message;

  /// The confirmed leader of the newest term; nullopt: none.
  std::optional<Node> leader() const;
  /// Waits for a confirmed leader. Ends the process if none comes in a minute.
  Node wait_for_leader();
  bool wait(common::Function<bool()> condition, common::Duration limit = std::chrono::seconds(60));
  /// Waits until all that run have the same log and know that all of it is committed.
  bool wait_until_level();

  /// Appends at this broker and waits for the outcome, at most for so long; nullopt: none came.
  std::optional<AppendOutcome> append(Node node, Bytes batch, AppendOptions options = {},
                                      common::Duration limit = std::chrono::seconds(5));
  /// Appends as the leader, who must be there and take it. The base offset.
  Offset appended(Bytes batch, AppendOptions options = {});
  /// All batches that a reader at this broker sees.
  std::vector<Bytes> read_all(Node node);
  /// All batches of this broker's log in front of `end`; nullopt: it was trimmed or cut meanwhile.
  std::optional<std::vector<Bytes>> read_log(Node node, Offset end);

  /// What was told of roles, newest last; lines for the log. Of this process.
  const std::vector<raft::RoleChange>& roles(Node node) const;
  const std::vector<std::string>& notes(Node node) const;
  /// Messages that were sent so far.
  std::uint64_t sent() const { return sent_; }
  const ClusterOptions& options() const { return options_; }
  void set_settings(const model::TopicSettings& settings);
  /// What a replica that is not one of the first voters begins with.
  raft::VoterSet first_voters(Node node) const;

  env::testing::SimWorld world;

 private:
  class Machine;
  struct Link {
    bool is_cut = false;
  };
  void deliver(Node from, std::uint64_t life, raft::Message message, std::vector<Bytes> data);
  void arrive(Node from, Node to, std::uint64_t life, const raft::Message& message,
              const std::vector<Bytes>& data);
  void beat(Node node);
  bool linked(Node from, Node to) const { return !links_[from * machines_.size() + to].is_cut; }

  ClusterOptions options_;
  common::Random random_;
  std::vector<std::unique_ptr<Machine>> machines_;
  std::vector<Link> links_;
  std::uint64_t sent_ = 0;
};

}  // namespace millrace::replica::testing
