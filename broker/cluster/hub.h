// Hub hub({...});   hub.join(meshes);   hub.listen(endpoint);   hub.start(introduction);
// hub.set_peer({.node = 2, .endpoint = endpoint});
//
// What a broker has once, on its first shard: the door for other brokers, the heartbeats, and the
// word of who leads what.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "broker/cluster/mesh.h"

namespace millrace::cluster {

class Pulse;
class Visitor;

/// Used on the loop of the first shard, or while no loop runs.
class Hub final : private LinkOwner {
 public:
  struct Parts {
    env::Loop& loop;  // the first shard's
    env::Transport& transport;
    const Settings& settings;  // outlives it, as all of these
    common::Random random;
    /// Takes one line, "event=... key=value ...", for whoever runs the broker.
    common::Function<void(std::string_view)> log;
  };
  explicit Hub(Parts parts);
  ~Hub() override;
  Hub(const Hub&) = delete;
  Hub& operator=(const Hub&) = delete;

  /// The meshes of all shards, in order. Once, before start(). They may go at any time; the hub
  /// goes on without them.
  void join(std::span<Mesh* const> meshes);
  /// Opens the door for other brokers; answers with the port that was chosen. They are let in from
  /// start() on.
  Result<env::Endpoint> listen(const env::Endpoint& endpoint);
  /// Begins to seek the peers and to be heard by them.
  void start(std::shared_ptr<const Introduction> self);

  /// A broker of the cluster, or a seed, and where it should be; replaces what was said before. Its
  /// own word of where it listens counts too, once it is met. This broker itself is passed over.
  /// A broker that nobody told of and that introduces itself is a guest: it is treated the same
  /// until it falls silent.
  void set_peer(const Peer& peer);
  /// It left for good. Its connections end.
  void remove_peer(model::BrokerId node);

  /// What the heartbeats tell from now on; the sum of the table of leaders is filled in here. The
  /// flags are told at once when they change.
  void set_state(const BrokerState& state);
  /// Every other broker, by id.
  std::vector<Health> health() const;
  /// Why our connection to it is not there, as far as is known; empty: it is.
  std::string trouble(model::BrokerId node) const;
  /// How a broker introduced itself last, alive or not; nullptr: never met.
  std::shared_ptr<const Introduction> introduction(model::BrokerId node) const;

  /// Tells the others that this process ends, so that nobody waits for it, lets nobody in any more,
  /// and closes all meshes. The last thing after leaderships were handed over: what is still on its
  /// way may not arrive.
  void goodbye();

  const HubMetrics& metrics_now();
  /// What the heartbeats and the like take.
  const MeshMetrics& traffic() const { return traffic_; }

 private:
  friend class Mesh;
  friend class Visitor;
  friend class Pulse;
  /// Another broker.
  struct Neighbour {
    std::optional<env::Endpoint> told;        // by set_peer(); a guest has none
    std::shared_ptr<const Introduction> who;  // as met last
    std::vector<env::Endpoint> endpoints;     // where to seek it
    std::unique_ptr<Link> link;               // nullptr: no endpoints, or not started
    std::unique_ptr<Pulse> pulse;             // what it sends us
    bool beats = false;                       // a heartbeat came since it came to life
    Instant repair_at{};                      // not before, if the tables differ
    Instant answered_at{};                    // when its sums were answered last
    std::string complaint;                    // why it turned us away, as logged last
    std::string trouble;                      // why our link is not open
  };

  // hub.cc
  Neighbour& neighbour_of(model::BrokerId node);
  void look_for(model::BrokerId node, Neighbour& neighbour);
  Doubt meet(Neighbour& neighbour, const Introduction& who, Approach approach);
  void pump();
  void act_on(const Transition& transition, Neighbour& neighbour);
  void drop_pulse(Neighbour& neighbour);
  void drop_neighbour(model::BrokerId node);
  template <typename Task>
  void post_to_all(Task task) const {
    for (const Elsewhere<Mesh>& shard : shards_) shard.post(task);
  }
  Instant now() const { return pool_.now(); }
  void say(const std::string& line);
  bool on_greeted(Link& link, const Introduction& who) override;
  void on_open(Link& link) override;
  void on_down(Link& link, LinkEnd end, const std::string& why) override;

  // hub_door.cc
  void accept(std::unique_ptr<env::Connection> connection);
  void on_hello(Visitor& visitor, const Hello& hello);
  std::optional<TurnedAway> admit(const Introduction& who);
  void let_in(Visitor& visitor);
  void begin_pulse(std::unique_ptr<env::Connection> connection, const Hello& hello);
  void drop_visitor(Visitor& visitor);
  void on_garbage(const std::string& peer, const std::string& why);
  void complain(const Hello& hello, const TurnedAway& refusal, const std::string& peer);
  void sweep_visitors();

  // hub_talk.cc
  void beat();
  void beat_soon(Duration delay);
  void watch_deadline();
  void forget_guests();
  const LeaderTable* table() const;
  BrokerState own_state() const;
  void send_heartbeat(Link& link);
  void take_heartbeat(Neighbour& neighbour, const Introduction& who, const Heartbeat& heartbeat,
                      std::uint8_t version);
  raft::Word word_of(const Heartbeat& heartbeat, std::uint8_t version) const;
  void repair(model::BrokerId node, Neighbour& neighbour);
  void answer_sums(Neighbour& neighbour, const Sums& sums);
  void send_leaders(Link& link, std::span<const LeaderEntry> entries);
  void take_announcements(std::uint32_t origin, const Mesh::Entries& entries);
  void take_leaders(Leaders leaders);
  Result<void> on_pulse(Pulse& pulse, const FrameHead& head, ByteView body);
  void pulse_lost(Pulse& pulse);

  env::Loop& loop_;
  env::Transport& transport_;
  const Settings& settings_;
  common::Random random_;
  common::Function<void(std::string_view)> log_;
  MeshMetrics traffic_;
  HubMetrics metrics_;
  StreamPool pool_;
  Liveness liveness_;
  const Instant began_;
  std::shared_ptr<const Introduction> self_;  // from start() on
  std::vector<Elsewhere<Mesh>> shards_;
  std::unique_ptr<env::Listener> listener_;
  std::map<model::BrokerId, Neighbour> neighbours_;
  std::vector<std::unique_ptr<Visitor>> visitors_;                  // oldest first
  std::set<std::pair<model::BrokerId, RefusalReason>> complained_;  // refusals that were logged
  std::optional<Instant> garbage_logged_;
  BrokerState state_;
  env::TimerId beat_timer_ = env::TimerId::kNone;
  env::TimerId deadline_timer_ = env::TimerId::kNone;
  bool leaving_ = false;
  const std::shared_ptr<bool> here_ = std::make_shared<bool>(true);
};

}  // namespace millrace::cluster
