// Node node({...});   node.open_store(0);   node.assemble();   node.recover(reply);
// node.listen(reply);   node.serve(grpc_endpoint, reply);   ...   node.stop(reply);
//
// A broker without its process: everything between the disk and the doors, over whatever loops,
// disks and transports it is given. The real broker gives it threads, the simulator one thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "broker/env/disk.h"
#include "broker/env/loop.h"
#include "broker/env/transport.h"
#include "broker/kafka/server.h"
#include "broker/model/cluster_settings.h"
#include "broker/model/outside_listeners.h"
#include "broker/server/directory.h"
#include "broker/server/membership.h"
#include "broker/server/memory_plan.h"
#include "broker/service/loggers.h"
#include "broker/service/metadata_writer.h"
#include "broker/service/shard.h"
#include "common/reply.h"

namespace millrace::server {

/// The process around a node. Thread-safe.
class NodeHost {
 public:
  enum class Level : std::uint8_t { kInfo, kWarning, kError };
  virtual ~NodeHost() = default;
  /// Takes one line, "event=... key=value ...".
  virtual void log(Level level, std::string_view line) = 0;
  /// What reached the disk is unknown: nothing may be written or answered after this. Called on a
  /// shard's loop.
  virtual void fatal_disk(const common::Error& error) = 0;
  /// The levels of the log, for Kafka's tools.
  virtual service::Loggers& loggers() = 0;
  /// Why a step of the start is not done yet, as a sentence.
  virtual void waits(std::string_view why) { log(Level::kInfo, why); }
};

/// What one shard has of the world. Outlives the node.
struct ShardWorld {
  env::Loop& loop;
  env::Disk& disk;
  env::Transport& transport;
};

/// Its steps are taken one at a time, in the order of the declarations: each is asked for when the
/// one before was answered, from any thread, and answered on the first shard's loop. When a step
/// failed, or instead of the next one, or while one is under way (which is then answered
/// kShuttingDown), stop() ends it all. Destroyed when the loops have stopped; without stop() that
/// is the death of the process, and the caller lets replies be dropped.
///
/// A broker that is not alone (metadata.voters) may have to wait for others in recover() and
/// serve(), for as long as it takes.
class Node {
 public:
  struct Parts {
    /// As many as the directory says.
    std::vector<ShardWorld> shards;
    Directory directory;
    /// Broker settings from file, environment and flags, by name; already checked, each for itself
    /// and by check_outside().
    std::shared_ptr<const model::ConfigMap> start_config;
    MemoryPlan memory;
    common::Random random;
    std::string version;
    NodeHost& host;
  };
  explicit Node(Parts parts);
  ~Node();
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;

  /// Recovers one shard's logs. Blocking, before the loops run; several may be opened at a time, on
  /// a thread each.
  common::Result<void> open_store(std::uint32_t shard);
  /// Puts the shards together. Before the loops run, when every store is open. Blocking.
  /// kForeignData, kInvalidConfig: the directory cannot be served with these settings.
  common::Result<void> assemble();

  /// Becomes one of its cluster, reads the metadata and opens the partitions; answers when the
  /// metadata is the newest.
  void recover(common::Reply<common::Result<void>> done);
  /// Opens the Kafka doors: that of kafka.listen, and those of kafka.outside.listen. Nothing is
  /// read from them yet.
  void listen(common::Reply<common::Result<void>> done);
  /// Tells the cluster where this broker is and begins to answer. `grpc`: where the gRPC door is.
  void serve(const env::Endpoint& grpc, common::Reply<common::Result<void>> done);
  /// Where clients find this broker by its listeners for clients outside; on one that is not named
  /// it has no address (yet). The others are told in serve(), and from then on at each change, as
  /// soon as the cluster takes it. From any thread, after assemble().
  void set_outside(model::OutsideAddresses addresses);
  /// Gives every leadership to other brokers that can take it, for a moment at most. Clients are
  /// still served, and find their way to the new leaders. After serve(), before stop(), or never.
  void hand_over(common::Reply<common::Result<void>> done);
  /// The step under way is answered kShuttingDown if it waits for others, and no further one is
  /// taken. From any thread, after assemble(); stop() does it too.
  void give_up();
  /// hand_over(); then answers what is under way (clients that do not take their answers in time
  /// are left), and writes everything behind, so that the next start has nothing to replay. Once,
  /// after assemble().
  void stop(common::Reply<common::Result<void>> done);

  /// Empty before assemble().
  std::vector<service::Shard*> shards() const;
  /// nullptr before listen().
  kafka::Server* kafka(std::uint32_t shard) const { return seats_[shard].kafka.get(); }
  const env::Endpoint& kafka_endpoint() const { return kafka_endpoint_; }
  const model::OutsideSettings& outside() const { return outside_; }
  /// Where its listeners are, in their order.
  const std::vector<env::Endpoint>& outside_endpoints() const { return outside_endpoints_; }
  /// nullptr: this broker is alone, or before assemble(). Its parts are used on the first shard's
  /// loop.
  Membership* membership() const { return membership_.get(); }

 private:
  /// One shard and its doors. Members are destroyed in reverse order.
  struct Seat {
    ShardWorld world;
    std::unique_ptr<storage::Store> store;  // until assemble()
    std::unique_ptr<service::Shard> shard;
    std::unique_ptr<kafka::Server> kafka;
    bool closing = false;  // no door is opened any more
  };
  using Done = common::Reply<common::Result<void>>;

  service::Shard& first() { return *seats_.front().shard; }
  common::Function<void(std::string_view)> log_at(NodeHost::Level level);
  template <typename Step>
  void on_first(Step step);
  template <typename Step>
  void on_all(Step step, Done done);
  template <typename Next>
  Done and_then(Done done, Next next);
  storage::StoreOptions store_options() const;
  void make_membership(metadata::Standing standing);

  template <typename Attempt>
  void insist(Attempt attempt, Done done);
  template <typename Attempt>
  void try_again(Attempt attempt, std::uint64_t wait);

  // ---- node.cc: start
  void begin(const replica::Beginning& beginning, Done done);
  std::optional<model::BrokerId> another_broker();
  void open_partitions(Done done);
  void catch_up(Done done);

  // ---- node_doors.cc
  void listen_from(std::size_t seat, kafka::Limits limits,
                   std::shared_ptr<kafka::ConnectionCount> connections, Done done);
  void tell_identity(const env::Endpoint& grpc, Done done);
  common::Result<void> listen_at(kafka::Server& server);
  metadata::Broker registration();
  void register_broker(Done done);
  void tell_outside();
  void raise_level(Done done);
  void serve_kafka(Done done);

  // ---- node_stop.cc
  void stop_waiting();
  void hand_over_here(Done done);
  void hand_over_until(common::Instant limit, Done done);
  void close_doors(Done done);
  void drain(Seat& seat, Done done);
  void close_shards(Done done);

  std::vector<Seat> seats_;
  const Directory directory_;
  const std::shared_ptr<const model::ConfigMap> start_config_;
  const model::BrokerSettings settings_;
  const model::ClusterSettings cluster_settings_;
  const model::OutsideSettings outside_;
  const MemoryPlan memory_;
  common::Random random_;
  const std::string version_;
  NodeHost& host_;
  std::unique_ptr<Membership> membership_;  // nullptr: alone
  std::unique_ptr<service::MetadataWriter> writer_;
  bool stopping_ = false;
  bool handed_over_ = false;
  /// The step that waits for others.
  Done waiting_;
  std::uint64_t waits_ = 0;
  env::Endpoint kafka_endpoint_;
  std::vector<env::Endpoint> outside_endpoints_;
  model::OutsideAddresses outside_addresses_;
  bool registered_ = false;
  bool telling_outside_ = false;
};

}  // namespace millrace::server
