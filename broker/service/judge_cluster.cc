// The judgements of explain.h that concern brokers and replicas: functions of what was gathered,
// without I/O.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <string>
#include <utility>

#include "broker/service/explain.h"

namespace millrace::service {
namespace {

using metadata::BrokerState;
using model::BrokerId;

/// So many partitions are named one by one; of more, the number is told.
constexpr std::size_t kNamedMax = 5;

std::string listed(const metadata::Replicas& brokers) {
  std::vector<std::int32_t> ids;
  for (const BrokerId broker : brokers) ids.push_back(broker.value());
  return fmt::format("{}", fmt::join(ids, ", "));
}

metadata::Replicas missing_of(const PartitionReport& partition) {
  metadata::Replicas missing;
  for (const BrokerId broker : partition.replicas) {
    const auto& in_sync = partition.in_sync;
    if (std::find(in_sync.begin(), in_sync.end(), broker) == in_sync.end())
      missing.push_back(broker);
  }
  return missing;
}

/// Partitions with the same trouble for the same reason, as one finding.
struct Group {
  Finding finding;
  std::vector<std::string> names;
};

Finding offline(const PartitionReport& partition) {
  return {.severity = Severity::kProblem,
          .code = "offline",
          .what = "nobody leads it: it can be neither read nor written",
          .blocked_by = fmt::format("A majority of brokers {} must be there and agree",
                                    listed(partition.replicas)),
          .advice = fmt::format(
              "Start the brokers that are away (millctl broker list). If their disks are lost for "
              "good, and records that only they had may be lost with them: millctl partition "
              "recover {}/{} --accept-data-loss",
              partition.topic, partition.key.index)};
}

Finding below_min(const PartitionReport& partition) {
  return {
      .severity = Severity::kProblem,
      .code = "under-min-in-sync",
      .what =
          fmt::format("{} of {} replicas are in sync and {} must be: writes with acks=all "
                      "are refused",
                      partition.in_sync.size(), partition.replicas.size(), partition.in_sync_min),
      .blocked_by = fmt::format("Broker(s) {} are away or behind", listed(missing_of(partition))),
      .advice =
          "Start them, or wait until they have caught up: millctl why BROKER tells how "
          "far they are"};
}

Finding under_replicated(const PartitionReport& partition) {
  const bool last = partition.at_min();
  return {
      .severity = Severity::kWarning,
      .code = "under-replicated",
      .what =
          fmt::format("{} of {} replicas are in sync{}", partition.in_sync.size(),
                      partition.replicas.size(), last ? "; with one less, writes are refused" : ""),
      .blocked_by = fmt::format("Broker(s) {} are away or behind", listed(missing_of(partition))),
      .advice =
          "Nothing, if they were just started: they catch up by themselves. Else: "
          "millctl why BROKER"};
}

Finding moving(const PartitionReport& partition) {
  return {.severity = Severity::kNote,
          .code = "moving",
          .what = fmt::format("its replicas go from brokers {} to {}", listed(partition.replicas),
                              listed(partition.target)),
          .blocked_by = "",
          .advice = "Nothing: it goes on by itself. millctl partition move --cancel calls it off"};
}

void add(std::map<std::string, Group>& groups, const PartitionReport& partition, Finding finding) {
  // What is said of offline partitions names them; of others, equal sentences are told once.
  std::string key = fmt::format("{}{}{}", finding.code, finding.what, finding.blocked_by);
  Group& group = groups.try_emplace(std::move(key), Group{std::move(finding), {}}).first->second;
  group.names.push_back(fmt::format("{}-{}", partition.topic, partition.key.index));
}

Finding told(Group group) {
  const std::size_t more = group.names.size() > kNamedMax ? group.names.size() - kNamedMax : 0;
  if (more > 0) group.names.resize(kNamedMax);
  group.finding.what =
      fmt::format("{}{}: {}", fmt::join(group.names, ", "),
                  more > 0 ? fmt::format(" and {} more", more) : std::string(), group.finding.what);
  return std::move(group.finding);
}

std::int64_t seconds_of(common::Duration span) {
  return span / std::chrono::seconds(1);
}

Finding away(const BrokerReport& broker) {
  const std::string since =
      broker.life.silence ? fmt::format("was not heard for {} s", seconds_of(*broker.life.silence))
                          : std::string("was not heard since this broker started");
  return {.severity = Severity::kProblem,
          .code = "broker-away",
          .what = fmt::format("Broker {} {}; {} replica(s) are on it", broker.id, since,
                              broker.replicas),
          .blocked_by = "Its process, its machine, or the network to it",
          .advice =
              "Start it again with its disk: it catches up by itself. If it stays away for "
              "broker.dead.after.ms its replicas are made anew on other brokers, if there "
              "are enough; with a new disk under the same id that happens at once"};
}

void judge_drain(const BrokerStanding& standing, std::vector<Finding>& findings) {
  const BrokerReport& broker = standing.report;
  if (broker.state == BrokerState::kDrained) {
    findings.push_back({.severity = Severity::kNote,
                        .code = "drained",
                        .what = fmt::format("Broker {} is drained: nothing is on it", broker.id),
                        .blocked_by = "",
                        .advice = fmt::format("millctl broker decommission {} gives the receipt "
                                              "for its disk; millctl broker undrain {} keeps it",
                                              broker.id, broker.id)});
  }
  std::vector<std::string> causes;
  for (const metadata::MoveBlocker& blocker : standing.blockers)
    causes.push_back(fmt::format("{} ({} partition(s))", blocker.cause, blocker.partitions));
  if (broker.state == BrokerState::kDraining) {
    findings.push_back({.severity = causes.empty() ? Severity::kNote : Severity::kWarning,
                        .code = "draining",
                        .what = fmt::format("Broker {} is being drained: {} replica(s) are left",
                                            broker.id, broker.replicas),
                        .blocked_by = fmt::format("{}", fmt::join(causes, "; ")),
                        .advice = causes.empty()
                                      ? "Nothing: it goes on by itself"
                                      : "Remove what blocks it; it goes on by itself then. millctl "
                                        "broker undrain calls it off"});
  } else if (!causes.empty()) {
    findings.push_back({.severity = Severity::kWarning,
                        .code = "replicas-stay",
                        .what = fmt::format("Replicas of broker {} cannot be replaced", broker.id),
                        .blocked_by = fmt::format("{}", fmt::join(causes, "; ")),
                        .advice = "Add a broker, or bring this one back"});
  }
}

}  // namespace

std::vector<Finding> judge_replication(const std::vector<PartitionReport>& partitions,
                                       std::optional<std::int32_t> only) {
  std::map<std::string, Group> groups;
  for (const PartitionReport& partition : partitions) {
    if (only && partition.key.index.value() != *only) continue;
    if (partition.offline()) {
      add(groups, partition, offline(partition));
    } else if (partition.below_min()) {
      add(groups, partition, below_min(partition));
    } else if (partition.under_replicated()) {
      add(groups, partition, under_replicated(partition));
    }
    if (partition.moving()) add(groups, partition, moving(partition));
  }
  std::vector<Finding> findings;
  for (auto& [key, group] : groups) findings.push_back(told(std::move(group)));
  return findings;
}

std::vector<Finding> judge_standing(const BrokerStanding& standing) {
  std::vector<Finding> findings;
  const BrokerReport& broker = standing.report;
  if (!broker.life.alive) {
    findings.push_back(away(broker));
  } else if (broker.behind > 0) {
    findings.push_back(
        {.severity = Severity::kWarning,
         .code = "catching-up",
         .what = fmt::format("{} of the {} replica(s) of broker {} are not in sync", broker.behind,
                             broker.replicas, broker.id),
         .blocked_by = "",
         .advice = "Nothing, if it was just started: it catches up by itself. If the number does "
                   "not fall: its disk or the network is slower than what is written"});
  }
  if (standing.metadata_leader == BrokerId{-1}) {
    findings.push_back({.severity = Severity::kProblem,
                        .code = "no-controller",
                        .what = "Nobody leads the metadata log: nothing can be created, altered or "
                                "moved",
                        .blocked_by = "A majority of the metadata's voters must be there",
                        .advice = "Start the brokers that are away: millctl cluster describe marks "
                                  "the voters. If their disks are lost for good: millctl partition "
                                  "recover __cluster_metadata/0 --accept-data-loss"});
  }
  if (!broker.registered) {
    findings.push_back({.severity = Severity::kWarning,
                        .code = "not-registered",
                        .what = fmt::format("Broker {} is heard and is not registered", broker.id),
                        .blocked_by = "It waits for the metadata, or was decommissioned",
                        .advice = "Nothing, if it was just started; a decommissioned disk cannot "
                                  "come back: start it with an empty one"});
  }
  judge_drain(standing, findings);
  if (broker.permit && broker.permit->expires_at_ms > standing.now.value()) {
    findings.push_back(
        {.severity = Severity::kNote,
         .code = "may-stop",
         .what = fmt::format("Broker {} has a restart permit for {} more second(s)", broker.id,
                             (broker.permit->expires_at_ms - standing.now.value()) / 1000),
         .blocked_by = "",
         .advice = "Nothing: it ends by itself, or with millctl broker permit --give-back"});
  }
  return findings;
}

Explanation judge_absent_broker(const BrokerStanding& standing) {
  Explanation result{.summary = fmt::format("broker {}: {}", standing.report.id,
                                            standing.report.life.alive ? "there" : "away"),
                     .findings = judge_standing(standing)};
  put_worst_first(result.findings);
  return result;
}

}  // namespace millrace::service
