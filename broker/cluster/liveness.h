// liveness.heard(node, incarnation, state, now);   liveness.tick(now);
// for (const Transition& transition : liveness.take()) ...
//
// Which brokers are there: decided once per broker, from heartbeats, handshakes, refused
// connections and words of farewell.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "broker/cluster/settings.h"
#include "broker/model/ids.h"
#include "broker/raft/contacts.h"
#include "common/uuid.h"

namespace millrace::cluster {

/// What a broker tells of itself with every heartbeat.
struct BrokerState {
  /// Its partitions are replayed and caught up: it may lead.
  bool recovered = false;
  /// Its directory holds nothing yet, not even the voters of the metadata log.
  bool blank = false;
  /// Its disk is full: it refuses writes, and should lead nothing that another broker can.
  bool out_of_space = false;
  /// How far it has applied the metadata log.
  model::Offset applied;
  /// LeaderTable::sum() of its table.
  std::uint64_t leaders = 0;
  bool operator==(const BrokerState&) const = default;
};

enum class Sign : std::uint8_t { kSuspect, kAlive, kRestarted };

/// Told to every shard exactly once, in the same order. For each broker:
/// - kAlive: it is heard, for the first time or after kSuspect.
/// - kSuspect: it is heard no more, or never was; never twice without kAlive between.
/// - kRestarted: another process than before answers. Nothing of the old one comes after it. A
///   suspected broker stays suspected until its kAlive, one that was alive stays alive.
/// What arrives from a broker arrives between its kAlive and its next kSuspect.
struct Transition {
  Sign sign = Sign::kSuspect;
  model::BrokerId node{-1};
  /// Of the process that is heard; of a kSuspect the one that was, zero if none ever was.
  common::Uuid directory;
  common::Uuid incarnation;
  /// From now on it is taken for alive under this number; kNone: it is not.
  raft::Trust trust = raft::Trust::kNone;
  bool operator==(const Transition&) const = default;
};

/// What a broker can be told that its leaders may rely on (raft/contacts.h): how it stands here,
/// and the newest of its heartbeats that was heard.
struct Reliance {
  raft::Trust trust = raft::Trust::kNone;
  /// As the heartbeat said when it was sent; 0: none was heard.
  std::uint64_t heard = 0;
  bool operator==(const Reliance&) const = default;
};

/// How a broker stands.
struct Health {
  model::BrokerId node{-1};
  bool alive = false;
  /// Since anything was heard of it; of one that never was heard, since it was told of.
  Duration silence{0};
  common::Uuid directory;    // zero: never met
  common::Uuid incarnation;  // likewise
  /// As last heard.
  BrokerState state;
};

/// Why somebody who calls himself a broker is not taken for it.
enum class Doubt : std::uint8_t {
  kNone,
  kOtherDirectory,  // a process of this broker with another directory is alive
  kReplaced,        // a newer process of this broker is known
  kLeft,            // this process has said goodbye
  kUnknown,         // nobody watches this broker
};

/// Who made the connection by which two meet.
enum class Approach : std::uint8_t { kItCame, kWeWent };

/// States of a broker and what leads to another:
///
///   new       -> alive      it comes, or is heard
///   new       -> suspected  silence; connections refused
///   alive     -> suspected  silence; connections refused and none of its own open; goodbye
///   suspected -> alive      it comes, or is heard again
///
/// That it can be reached does not make it alive: what it has to say comes on connections of its
/// own. A connection refused shows that its host is there and its process is not, unless a
/// connection that it made itself is open: then it listens somewhere else by now. Silence while
/// this process itself did not run (a stopped process, a paused machine) counts for a heartbeat
/// only. Pure: time comes in, transitions go out. `now` never goes back.
class Liveness {
 public:
  /// `settings` outlives it.
  explicit Liveness(const Settings& settings) : settings_(settings) {}

  /// False: there are too many. Nothing happens if it is watched already.
  bool watch(model::BrokerId node, Instant now);
  /// A kSuspect comes first, where the broker was alive.
  void forget(model::BrokerId node);
  bool watches(model::BrokerId node) const { return brokers_.contains(node); }

  /// A process introduced itself. kNone: it is this broker, and where it came by itself it is
  /// alive.
  Doubt meet(model::BrokerId node, const common::Uuid& directory, const common::Uuid& incarnation,
             Approach approach, Instant now);
  /// Something came from a process that was met. False: it is not, or no more, this broker.
  bool heard(model::BrokerId node, const common::Uuid& incarnation, Instant now);
  /// As heard(), with a heartbeat.
  bool heard(model::BrokerId node, const common::Uuid& incarnation, const BrokerState& state,
             Instant now);
  /// The heartbeat just heard says that it was sent then, by the sender's clock.
  void note_sent(model::BrokerId node, std::uint64_t sent);
  /// Nothing for another process than the one that is known.
  Reliance reliance(model::BrokerId node, const common::Uuid& incarnation) const;
  /// The connection by which the process sends its heartbeats is there, or is no more.
  void attached(model::BrokerId node, const common::Uuid& incarnation);
  void detached(model::BrokerId node, const common::Uuid& incarnation);
  /// Nobody listens where the broker should.
  void connection_refused(model::BrokerId node);
  /// The process is about to end.
  void goodbye(model::BrokerId node, const common::Uuid& incarnation);
  void tick(Instant now);
  /// When somebody will be suspected if nothing is heard; nullopt: nobody is left to be.
  std::optional<Instant> next_deadline() const;

  /// What happened since the last call, in order.
  std::vector<Transition> take() { return std::exchange(transitions_, {}); }

  bool alive(model::BrokerId node) const;
  /// nullopt: not watched.
  std::optional<Health> health(model::BrokerId node, Instant now) const;
  std::vector<Health> all(Instant now) const;
  /// Heartbeats that came later than twice their interval after the one before.
  std::uint64_t late() const { return late_; }

 private:
  enum class Standing : std::uint8_t { kNew, kAlive, kSuspected };
  struct Broker {
    Standing standing = Standing::kNew;
    Instant heard{};
    common::Uuid directory;
    common::Uuid incarnation;
    common::Uuid told;  // the incarnation of the last transition
    /// Those before, oldest first: what they sent may still arrive.
    std::vector<common::Uuid> replaced;
    BrokerState state;
    raft::Trust trust = raft::Trust::kNone;  // unless kAlive
    std::uint64_t sent = 0;                  // the newest heartbeat of this incarnation
    bool attached = false;
    bool refused = false;  // since it was last met
    bool left = false;     // said goodbye
  };

  Broker* current(model::BrokerId node, const common::Uuid& incarnation);
  void become_alive(model::BrokerId node, Broker& broker, Instant now);
  void suspect(model::BrokerId node, Broker& broker);
  void suspect_if_gone(model::BrokerId node, Broker& broker);
  void trust_anew(Broker& broker) { broker.trust = raft::Trust{++trusts_}; }
  void tell(Sign sign, model::BrokerId node, Broker& broker);
  static Health health_of(model::BrokerId node, const Broker& broker, Instant now);

  const Settings& settings_;
  std::map<model::BrokerId, Broker> brokers_;
  std::vector<Transition> transitions_;
  std::optional<Instant> ticked_;
  std::uint64_t trusts_ = 0;  // numbers drawn, for all brokers
  std::uint64_t late_ = 0;
};

}  // namespace millrace::cluster
