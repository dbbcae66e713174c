// What brokers say about themselves and about topics, as plain values (proto/millrace/v1).
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace millrace::brokers {

/// Settings by name.
using Configs = std::map<std::string, std::string>;

enum class BrokerState : std::uint8_t { kActive, kDraining, kDrained, kUnregistered };

/// A process may stop until then.
struct Permit {
  std::string incarnation;
  std::int64_t expires_at_ms = 0;  ///< since 1970-01-01 UTC
  bool operator==(const Permit&) const = default;
};

struct Broker {
  std::int32_t id = -1;
  BrokerState state = BrokerState::kActive;
  bool alive = false;
  std::int64_t silent_ms = 0;  ///< since it was last heard; -1: not known
  bool recovered = false;      ///< its partitions are replayed and caught up
  std::int32_t leaders = 0;
  std::int32_t replicas = 0;
  std::int32_t replicas_behind = 0;
  std::string directory_id;
  std::string incarnation;
  std::string endpoint;  ///< where other brokers reach it, HOST:PORT; empty: not known
  std::string rack;
  std::optional<Permit> permit;
  bool metadata_voter = false;
  bool operator==(const Broker&) const = default;
};

enum class Health : std::uint8_t { kUnknown, kGreen, kYellow, kRed };

/// The cluster as the broker that answered knows it.
struct Cluster {
  std::string cluster_id;
  Health health = Health::kUnknown;
  std::int32_t controller = -1;      ///< leads the metadata log; -1: none is known to
  std::vector<std::string> reasons;  ///< why it is not green, one sentence each
  std::vector<Broker> brokers;       ///< by id
  std::int64_t partitions = 0;
  std::int64_t offline = 0;
  std::int64_t under_min_in_sync = 0;
  std::int64_t under_replicated = 0;
  std::int64_t moving = 0;
  std::string version;  ///< of the broker that answered
  bool operator==(const Cluster&) const = default;
};

/// Whether a broker may stop now.
struct PermitAnswer {
  bool granted = false;
  Permit permit;    ///< if granted
  std::string why;  ///< if not: in a sentence, with the partitions that block
};

/// How far a drain is.
struct DrainAnswer {
  BrokerState state = BrokerState::kDraining;
  std::int32_t replicas_left = 0;
  std::string blockers;  ///< what keeps it from going on, in a sentence; empty: nothing does
};

/// The proof that a broker's disk is empty and will never be taken back.
struct Receipt {
  std::int32_t broker = -1;
  std::string directory_id;
  std::int64_t epoch = 0;
  bool operator==(const Receipt&) const = default;
};

struct Topic {
  std::string name;
  std::string id;  ///< another one when the topic is made again
  std::int32_t partitions = 0;
  std::int32_t replication_factor = 0;
  Configs configs;  ///< made on the topic itself
  bool operator==(const Topic&) const = default;
};

struct NewTopic {
  std::string name;
  std::int32_t partitions = 0;          ///< 0: the broker's default
  std::int32_t replication_factor = 0;  ///< 0: the broker's default
  Configs configs;
};

/// Partitions of one topic that are not well.
struct TopicTrouble {
  std::int32_t offline = 0;
  std::int32_t under_replicated = 0;  ///< those offline count here, too
  bool operator==(const TopicTrouble&) const = default;
};

}  // namespace millrace::brokers
