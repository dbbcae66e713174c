// Use cases: what is wrong with a group, a topic or a broker, what blocks it, and what to do.
// The judgements are functions of what was gathered; docs/millctl.md lists the findings' codes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "broker/metadata/plan_moves.h"
#include "broker/service/cluster_report.h"
#include "broker/service/group_lag.h"

namespace millrace::service {

/// Ordered: a greater one is worse.
enum class Severity : std::uint8_t { kNote = 1, kWarning = 2, kProblem = 3 };

struct Finding {
  Severity severity = Severity::kNote;
  std::string code;        // a name that stays the same, for programs
  std::string what;        // a sentence
  std::string blocked_by;  // empty: nothing but what `what` says
  std::string advice;
};

struct Explanation {
  std::string summary;            // one line
  std::vector<Finding> findings;  // the worst first
};

/// What a group's judgement needs besides the group itself.
struct GroupFacts {
  common::Instant now;
  /// Topics that members asked for by name and that do not exist.
  std::vector<std::string> missing_topics;
};
Explanation judge_group(const GroupLag& lag, const GroupFacts& facts);

/// One partition as its shard sees it.
struct PartitionState {
  std::int32_t partition = 0;
  bool served = true;                 // its leader answers
  std::optional<std::string> damage;  // why it does not serve
  model::Offset log_start{-1};
  model::Offset end{-1};
};
struct TopicFacts {
  std::string topic;
  std::int32_t replicas = 1;
  std::int32_t replicas_min = 1;  // min.insync.replicas
  bool out_of_space = false;
  std::vector<PartitionState> partitions;
  std::vector<GroupLagSummary> readers;  // groups that have offsets of it or read it
  /// Of the same partitions, in order: who leads, and where the replicas are.
  std::vector<PartitionReport> replication;
};
/// With `only` given: of this partition alone.
Explanation judge_topic(const TopicFacts& facts, std::optional<std::int32_t> only);

/// How a broker stands in its cluster.
struct BrokerStanding {
  BrokerReport report;
  /// -1: nobody leads the metadata log.
  model::BrokerId metadata_leader{-1};
  /// What keeps its replicas from moving, as the leader of the metadata log says.
  std::vector<metadata::MoveBlocker> blockers;
  /// By the wall clock.
  common::Timestamp now{0};
};

struct BrokerFacts {
  model::BrokerId broker;
  bool out_of_space = false;
  std::uint64_t free_bytes = 0;
  std::uint64_t total_bytes = 0;
  std::uint64_t reserve_bytes = 0;   // disk.reserve.bytes
  std::vector<std::string> damages;  // of its partitions, one sentence each
  std::uint64_t records_rejected = 0;
  std::string last_rejection;
  std::size_t partitions = 0;
  std::vector<GroupLagSummary> groups;
  std::optional<BrokerStanding> standing;
};
Explanation judge_broker(const BrokerFacts& facts);
/// What others know of a broker that is not there.
Explanation judge_absent_broker(const BrokerStanding& standing);

// What replication adds to a judgement (judge_cluster.cc).
std::vector<Finding> judge_replication(const std::vector<PartitionReport>& partitions,
                                       std::optional<std::int32_t> only);
std::vector<Finding> judge_standing(const BrokerStanding& standing);
/// The worst first; equal ones stay in order.
void put_worst_first(std::vector<Finding>& findings);

/// Gather, then judge. Answers on `here`'s loop. kGroupIdNotFound, kCoordinatorLoadInProgress ...
void explain_group(Shard& here, std::string group, common::Reply<common::Result<Explanation>> done);
/// kUnknownTopicOrPartition.
void explain_topic(Shard& here, std::string topic, std::optional<std::int32_t> partition,
                   common::Reply<common::Result<Explanation>> done);
/// Of this broker, or of one that is not there: what others know of it. One that is there had
/// better be asked itself. kBrokerIdNotRegistered.
void explain_broker(Shard& here, model::BrokerId broker,
                    common::Reply<common::Result<Explanation>> done);

}  // namespace millrace::service
