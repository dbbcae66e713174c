// Membership membership({...});   membership.open();   membership.found(reply);
// membership.follow(writer);   membership.introduce();   ...   membership.leave();
//
// What a node has besides its shards when it is not alone: the others, how it becomes one of them,
// and what it keeps for all of them.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "broker/cluster/hub.h"
#include "broker/model/cluster_settings.h"
#include "broker/server/directory.h"
#include "broker/server/founding.h"
#include "broker/server/shortage.h"
#include "broker/service/cluster_keeper.h"
#include "broker/service/mesh_port.h"
#include "broker/service/metadata_calls.h"
#include "broker/service/metadata_writer.h"
#include "broker/service/neighbours.h"

namespace millrace::server {

cluster::Settings mesh_settings(const model::ClusterSettings& settings);
raft::Settings raft_settings(const model::ClusterSettings& settings);

/// What a broker that starts on this directory is to its cluster, before it has met anybody.
/// `has_log`: it holds a metadata log. A directory of a broker that was alone is one of a cluster
/// of one. kForeignData: it cannot be read, or belongs to a cluster and `settings` name none.
/// kInvalidConfig: the settings do not fit each other. Blocking.
common::Result<metadata::Standing> standing_of(env::Disk& disk, const std::string& path,
                                               const Directory& directory,
                                               const model::ClusterSettings& settings,
                                               bool has_log);

/// First shard's loop, but for its constructor and destructor, which run while no loop does.
class Membership {
 public:
  /// One shard and how it reaches the world.
  struct Place {
    service::Shard& shard;
    env::Transport& transport;
  };
  struct Parts {
    std::vector<Place> places;
    env::Disk& disk;
    const Directory& directory;
    model::ClusterSettings settings;
    env::Endpoint listen;
    std::string rack;
    metadata::Standing standing;
    common::Random random;
    /// Lines for the log, and those that somebody should do something about.
    common::Function<void(std::string_view)> log;
    common::Function<void(std::string_view)> warn;
    /// Why the broker has to wait, as a sentence.
    common::Function<void(std::string_view)> waits;
  };
  /// Gives the shards their neighbours.
  explicit Membership(Parts parts);
  ~Membership();
  Membership(const Membership&) = delete;
  Membership& operator=(const Membership&) = delete;

  /// Opens the door for other brokers; they wait in front of it until introduce(). kAddressInUse;
  /// kInvalidConfig: the others could not find this broker.
  common::Result<void> open();
  /// Answers when this broker belongs to a cluster: with what its replica of the metadata log
  /// begins.
  void found(common::Reply<common::Result<replica::Beginning>> done);
  /// found() is answered kShuttingDown, if it was not yet.
  void give_up() { founding_.stop(); }
  service::ClusterCalls& calls() { return calls_; }
  /// The metadata is there: its brokers are sought, and it is kept, where this broker leads it.
  void follow(service::MetadataWriter& writer);
  /// From now on the others hear this broker, and what they send is taken. Idempotent.
  void introduce();

  /// Clients are served: as soon as its replicas are caught up this broker may be given
  /// leaderships.
  void served();
  /// It is about to stop, and should not be given any more.
  void resign();
  /// Brokers that should not be given leaderships: not caught up yet, or about to stop. One that is
  /// out of space may be given some: better it leads for a moment than nobody.
  std::vector<model::BrokerId> unfit() const;
  /// Says goodbye. Nothing is sent or taken after it.
  void leave();

  const env::Endpoint& endpoint() const { return who_.internal; }
  const common::Uuid& incarnation() const { return who_.incarnation; }
  cluster::Hub& hub() { return *hub_; }
  /// Used on the shard's loop.
  cluster::Mesh& mesh(std::uint32_t shard) const { return *seats_[shard]->mesh; }
  const service::ClusterKeeper& keeper() const { return *keeper_; }

 private:
  struct Seat {
    service::Shard& shard;
    service::MeshPort port;
    std::unique_ptr<cluster::Mesh> mesh;
    std::unique_ptr<service::MeshNeighbours> neighbours;
  };

  service::Shard& first() { return seats_.front()->shard; }
  void tell_wait(metadata::FormationStep::Act act, const std::string& reason);
  void make_keeper();
  void arm();
  void look();
  void look_for_brokers();
  void look_for_leader();
  void tell_state();
  std::vector<model::BrokerId> no_heirs() const;
  void stand_first();
  void look_whether_recovered();

  const model::ClusterSettings settings_;
  const cluster::Settings mesh_settings_;
  const env::Endpoint listen_;
  common::Random random_;
  common::Function<void(std::string_view)> log_;
  common::Function<void(std::string_view)> warn_;
  common::Function<void(std::string_view)> waits_;
  std::string wait_told_;
  cluster::Introduction who_;
  std::vector<std::unique_ptr<Seat>> seats_;
  std::unique_ptr<cluster::Hub> hub_;
  service::MetadataCalls calls_;
  Founding founding_;
  std::unique_ptr<service::ClusterKeeper> keeper_;
  Shortage shortage_;
  service::MetadataWriter* writer_ = nullptr;
  metadata::Standing standing_;
  bool introduced_ = false;
  bool resigned_ = false;
  bool recovered_ = false;
  bool asking_ = false;  // the shards, whether they are caught up
  std::optional<common::Instant> served_at_;
  std::map<model::BrokerId, env::Endpoint> sought_;  // as the metadata and the hints say
  /// Leaders of the metadata log that others told of, until the metadata is known.
  std::map<model::BrokerId, env::Endpoint> hints_;
  std::optional<common::Instant> hint_asked_at_;
  env::TimerId timer_ = env::TimerId::kNone;
  storage::Lifeline lifeline_;
};

}  // namespace millrace::server
