// The judgements of explain.h: functions of what was gathered, without I/O.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <set>
#include <utility>

#include "broker/service/explain.h"

namespace millrace::service {
namespace {

using coordinator::GroupDescription;
using coordinator::GroupState;
using coordinator::TopicPartitions;
using Member = GroupDescription::Member;
using Key = model::PartitionKey;

/// A member that is not heard for so long missed more than one heartbeat of every usual client.
constexpr auto kSilence = std::chrono::seconds(15);
/// So many things are named one by one; of more, the number is told.
constexpr std::size_t kNamedMax = 5;

std::int64_t seconds_in(common::Duration span) {
  return span / std::chrono::seconds(1);
}

/// "a, b, c and 4 more"
std::string joined(const std::vector<std::string>& names) {
  if (names.size() <= kNamedMax) return fmt::format("{}", fmt::join(names, ", "));
  const std::vector<std::string> first(names.begin(), names.begin() + kNamedMax);
  return fmt::format("{} and {} more", fmt::join(first, ", "), names.size() - kNamedMax);
}

std::string name_of(const PartitionLag& row) {
  return fmt::format("{}-{}", row.topic, row.partition);
}

std::string name_of(const Member& member) {
  std::string name = member.instance ? *member.instance : member.member;
  if (!member.client.id.empty()) name += fmt::format(" (client {}", member.client.id);
  if (!member.client.id.empty() && !member.client.host.empty())
    name += fmt::format(" at {}", member.client.host);
  if (!member.client.id.empty()) name += ")";
  return name;
}

std::set<Key> keys_of(const std::vector<TopicPartitions>& topics) {
  std::set<Key> keys;
  for (const TopicPartitions& topic : topics) {
    for (const std::int32_t index : topic.partitions)
      keys.insert({topic.topic, model::PartitionIndex{index}});
  }
  return keys;
}

/// Judges one group. The checks run in the order of judge(); finish() puts the worst first.
class GroupJudge {
 public:
  GroupJudge(const GroupLag& lag, const GroupFacts& facts) : lag_(lag), facts_(facts) {
    for (const Member& member : group().members) members_[member.member] = &member;
  }

  Explanation judge() {
    state();
    moving();
    not_fetching();
    silent();
    offsets();
    unread();
    idle();
    missing_topics();
    std::stable_sort(findings_.begin(), findings_.end(),
                     [](const Finding& a, const Finding& b) { return a.severity > b.severity; });
    return {
        .summary = fmt::format("group {}: {}, {} member(s), {} partition(s), {} record(s) behind",
                               group().summary.group, coordinator::name_of(group().summary.state),
                               group().members.size(), lag_.partitions.size(), lag_.lag),
        .findings = std::move(findings_)};
  }

 private:
  const GroupDescription& group() const { return lag_.group; }
  void find(Severity severity, std::string code, std::string what, std::string blocked_by,
            std::string advice) {
    findings_.push_back(
        {severity, std::move(code), std::move(what), std::move(blocked_by), std::move(advice)});
  }

  void state() {
    const GroupState state = group().summary.state;
    if (group().members.empty()) {
      return find(lag_.lag > 0 ? Severity::kWarning : Severity::kNote, "no-members",
                  lag_.lag > 0
                      ? fmt::format("No consumer is in the group, and {} record(s) wait", lag_.lag)
                      : "No consumer is in the group, and nothing waits for it",
                  "",
                  fmt::format("Start a consumer with group.id={}. If one should be running: it has "
                              "left, or it uses another group.id, or it reaches another cluster; "
                              "its own log says which",
                              group().summary.group));
    }
    if (state == GroupState::kPreparingRebalance) {
      find(Severity::kWarning, "rebalancing",
           "The group waits for its members to join again; none of them reads meanwhile",
           longest_silent(),
           "It goes on when the last one joins, or without it after its max.poll.interval.ms. "
           "A client that works for long between two polls holds everybody up: let it poll more "
           "often, or take fewer records at once (max.poll.records)");
    }
    if (state == GroupState::kCompletingRebalance) {
      find(Severity::kWarning, "rebalancing",
           "The group waits for the member that shares out the partitions; none of them reads "
           "meanwhile",
           longest_silent(),
           "It goes on when that member has answered, or without it after its session timeout");
    }
    if (state == GroupState::kAssigning) {
      find(Severity::kNote, "assigning", "The group is working out who gets which partition", "",
           "Nothing: it is done within group.consumer.assignment.interval.ms");
    }
  }

  std::string longest_silent() const {
    const Member& member = *std::min_element(
        group().members.begin(), group().members.end(),
        [](const Member& a, const Member& b) { return a.last_heard < b.last_heard; });
    return fmt::format("{} was not heard for the longest time: {} s", name_of(member),
                       seconds_in(facts_.now - member.last_heard));
  }

  /// Partitions on their way from one member to another (KIP-848).
  void moving() {
    if (group().summary.state != GroupState::kReconciling) return;
    std::map<Key, const Member*> wanted_by;
    std::map<Key, const Member*> held_by;
    for (const Member& member : group().members) {
      for (const Key& key : keys_of(member.target)) wanted_by[key] = &member;
      for (const Key& key : keys_of(member.assignment)) held_by[key] = &member;
    }
    std::map<std::pair<const Member*, const Member*>, std::size_t> moves;
    for (const auto& [key, wants] : wanted_by) {
      const auto holds = held_by.find(key);
      if (holds == held_by.end()) {
        ++moves[{nullptr, wants}];
      } else if (holds->second != wants) {
        ++moves[{holds->second, wants}];
      }
    }
    for (const auto& [way, count] : moves) move(way.first, *way.second, count);
  }
  void move(const Member* holds, const Member& wants, std::size_t count) {
    if (holds == nullptr) {
      return find(
          Severity::kNote, "taking",
          fmt::format("{} partition(s) are free for {}, which takes them with its next "
                      "heartbeat",
                      count, name_of(wants)),
          fmt::format("It was last heard {} s ago", seconds_in(facts_.now - wants.last_heard)),
          "Nothing, if it sends heartbeats; else it is given up after its session timeout");
    }
    find(Severity::kWarning, "revoking",
         fmt::format("{} partition(s) go from {} to {}", count, name_of(*holds), name_of(wants)),
         fmt::format("{} has not given them up yet; it was last heard {} s ago", name_of(*holds),
                     seconds_in(facts_.now - holds->last_heard)),
         "It finishes and commits what it has of them first. A client that works for long between "
         "two polls takes that long; after its max.poll.interval.ms the group goes on without it");
  }

  void not_fetching() {
    std::map<std::string, std::vector<const PartitionLag*>> rows;
    for (const PartitionLag& row : lag_.partitions) {
      if (row.not_fetching) rows[row.member].push_back(&row);
    }
    for (const auto& [id, stuck] : rows) {
      std::vector<std::string> names;
      std::int64_t waiting = 0;
      common::Duration longest{};
      bool ever = true;  // each of them was fetched once
      for (const PartitionLag* row : stuck) {
        names.push_back(name_of(*row));
        waiting += std::max<std::int64_t>(0, row->lag);
        ever = ever && row->unfetched.has_value();
        longest = std::max(longest, row->unfetched.value_or(common::Duration{}));
      }
      const auto member = members_.find(id);
      const std::string who = member == members_.end() ? id : name_of(*member->second);
      find(Severity::kProblem, "not-fetching",
           fmt::format("{} has {} and sends heartbeats, and nobody has fetched them {}, while {} "
                       "record(s) wait",
                       who, joined(names),
                       ever ? fmt::format("for {} s", seconds_in(longest))
                            : std::string("since the broker started"),
                       waiting),
           "The client: its poll loop stands still, the partitions are paused, or it fell silent "
           "after a rebalance (a known fault of several client libraries)",
           "Look at that process (a thread dump, its log); restarting it gives its partitions to "
           "the others at once");
    }
  }

  void silent() {
    for (const Member& member : group().members) {
      const common::Duration span = facts_.now - member.last_heard;
      if (span < kSilence || group().summary.state == GroupState::kPreparingRebalance) continue;
      find(Severity::kWarning, "silent-member",
           fmt::format("{} was not heard for {} s", name_of(member), seconds_in(span)),
           "The client or the network: heartbeats do not arrive",
           "If it does not come back, its partitions go to the others after its session timeout; "
           "a static member (group.instance.id) keeps them that long after a stop, too");
    }
  }

  void offsets() {
    for (const PartitionLag& row : lag_.partitions) {
      const std::int64_t committed = row.committed.offset.value();
      if (committed < 0) continue;
      if (row.end.value() < 0) {
        find(Severity::kNote, "topic-gone",
             fmt::format("The group has an offset of {}, which does not exist", name_of(row)), "",
             fmt::format("millctl group delete-offsets {} --topic {}", group().summary.group,
                         row.topic));
      } else if (committed < row.log_start.value()) {
        find(Severity::kProblem, "records-lost",
             fmt::format("{} record(s) of {} were deleted before the group read them",
                         row.log_start.value() - committed, name_of(row)),
             "Retention or DeleteRecords was faster than the group",
             "Raise retention.ms or retention.bytes, or read faster. Consumers go on as their "
             "auto.offset.reset says: with latest they skip what is there, too");
      } else if (committed > row.end.value()) {
        find(Severity::kProblem, "offset-beyond-end",
             fmt::format("The group's offset of {} is {}, and the log ends at {}", name_of(row),
                         committed, row.end.value()),
             "The topic was made anew, or the offset was set by hand",
             fmt::format("Stop the consumers, then: millctl group reset-offsets {} --topic {} --to "
                         "latest",
                         group().summary.group, row.topic));
      }
    }
  }

  /// Partitions with records that no member has, though there are members.
  void unread() {
    if (group().members.empty() || group().summary.state != GroupState::kStable) return;
    std::vector<std::string> names;
    std::int64_t waiting = 0;
    for (const PartitionLag& row : lag_.partitions) {
      if (!row.member.empty() || row.lag <= 0) continue;
      names.push_back(name_of(row));
      waiting += row.lag;
    }
    if (names.empty()) return;
    find(Severity::kWarning, "unread",
         fmt::format("No member has {}, where {} record(s) wait", joined(names), waiting),
         "No member subscribes to that topic (any more)",
         fmt::format("Subscribe to it, or forget the offsets: millctl group delete-offsets {} "
                     "--topic TOPIC",
                     group().summary.group));
  }

  void idle() {
    if (group().summary.state != GroupState::kStable) return;
    std::set<std::string> busy;
    for (const PartitionLag& row : lag_.partitions) busy.insert(row.member);
    std::vector<std::string> idle;
    for (const Member& member : group().members) {
      if (!busy.contains(member.member)) idle.push_back(name_of(member));
    }
    if (idle.empty()) return;
    find(Severity::kNote, "idle-members",
         fmt::format("{} member(s) have no partition: {}", idle.size(), joined(idle)),
         "There are fewer partitions than members",
         "Stop them, or raise the number of partitions: millctl topic add-partitions TOPIC --total "
         "N");
  }

  void missing_topics() {
    if (facts_.missing_topics.empty()) return;
    find(Severity::kWarning, "topic-missing",
         fmt::format("Members ask for {}, which does not exist", joined(facts_.missing_topics)), "",
         "Create it, or correct the name; members take it up by themselves when it is there");
  }

  const GroupLag& lag_;
  const GroupFacts& facts_;
  std::map<std::string, const Member*> members_;
  std::vector<Finding> findings_;
};

Finding out_of_space() {
  return {.severity = Severity::kProblem,
          .code = "disk-full",
          .what = "Writes are refused: the disk has less free space than disk.reserve.bytes",
          .blocked_by = "What is on the disk",
          .advice =
              "Give it space: delete topics, shorten retention.ms, or grow the volume. "
              "Reading, deleting and trimming go on; writes resume by themselves"};
}

}  // namespace

void put_worst_first(std::vector<Finding>& findings) {
  std::stable_sort(findings.begin(), findings.end(),
                   [](const Finding& a, const Finding& b) { return a.severity > b.severity; });
}

Explanation judge_group(const GroupLag& lag, const GroupFacts& facts) {
  return GroupJudge(lag, facts).judge();
}

namespace {

bool is_offline(const TopicFacts& facts, std::int32_t partition) {
  return std::any_of(facts.replication.begin(), facts.replication.end(),
                     [partition](const PartitionReport& one) {
                       return one.key.index.value() == partition && one.offline();
                     });
}

}  // namespace

Explanation judge_topic(const TopicFacts& facts, std::optional<std::int32_t> only) {
  Explanation result;
  std::size_t well = 0;
  std::int64_t records = 0;
  for (const PartitionState& partition : facts.partitions) {
    if (only && partition.partition != *only) continue;
    // One that nobody leads is told of with its replicas, below.
    if (!partition.damage && is_offline(facts, partition.partition)) continue;
    if (partition.damage || !partition.served) {
      result.findings.push_back(
          {.severity = Severity::kProblem,
           .code = partition.damage ? "damaged" : "not-served",
           .what = fmt::format("{}-{} cannot be read or written", facts.topic, partition.partition),
           .blocked_by = partition.damage.value_or("It is not open on this broker"),
           .advice = partition.damage
                         ? "Look at the files: millctl log dump FILE. With no other copy, what is "
                           "damaged is lost; delete the topic and make it anew, or bring back a "
                           "backup"
                         : "Ask again in a few seconds: a broker that has just started opens its "
                           "partitions first"});
      continue;
    }
    ++well;
    records += partition.end.value() - partition.log_start.value();
  }
  for (Finding& finding : judge_replication(facts.replication, only))
    result.findings.push_back(std::move(finding));
  if (facts.out_of_space) result.findings.push_back(out_of_space());
  if (facts.replicas_min > facts.replicas) {
    result.findings.push_back(
        {.severity = Severity::kWarning,
         .code = "too-few-replicas",
         .what = fmt::format("min.insync.replicas is {}, and the topic has {} replica(s)",
                             facts.replicas_min, facts.replicas),
         .blocked_by = "",
         .advice = fmt::format("millctl topic alter {} --set min.insync.replicas={}", facts.topic,
                               facts.replicas)});
  }
  if (facts.replicas == 1) {
    result.findings.push_back({.severity = Severity::kNote,
                               .code = "one-copy",
                               .what = "There is one copy: with the disk, the records are gone",
                               .blocked_by = "",
                               .advice = "millctl doctor tells more of what is not safe"});
  }
  for (const GroupLagSummary& reader : facts.readers) {
    const auto row =
        std::find_if(reader.topics.begin(), reader.topics.end(),
                     [&](const TopicLag& topic) { return topic.topic == facts.topic; });
    if (row == reader.topics.end() || row->not_fetching == 0) continue;
    result.findings.push_back(
        {.severity = Severity::kWarning,
         .code = "not-fetching",
         .what =
             fmt::format("Group {} has {} partition(s) of it that its members do not fetch, and "
                         "is {} record(s) behind",
                         reader.group.group, row->not_fetching, row->lag),
         .blocked_by = "A client of that group",
         .advice = fmt::format("millctl why {}", reader.group.group)});
  }
  put_worst_first(result.findings);
  result.summary = fmt::format("topic {}{}: {} of {} partition(s) well, {} record(s), {} group(s)",
                               facts.topic, only ? fmt::format("/{}", *only) : std::string(), well,
                               only ? 1 : facts.partitions.size(), records, facts.readers.size());
  return result;
}

Explanation judge_broker(const BrokerFacts& facts) {
  Explanation result;
  constexpr std::uint64_t kLowShare = 10;  // per cent
  if (facts.out_of_space) {
    result.findings.push_back(out_of_space());
  } else if (facts.total_bytes > 0 && facts.free_bytes < facts.total_bytes / 100 * kLowShare) {
    result.findings.push_back(
        {.severity = Severity::kWarning,
         .code = "disk-low",
         .what = fmt::format("{} of {} MiB of the disk are free; below {} MiB writes are refused",
                             facts.free_bytes >> 20, facts.total_bytes >> 20,
                             facts.reserve_bytes >> 20),
         .blocked_by = "",
         .advice = "Shorten retention.ms of large topics (millctl topic describe), or grow the "
                   "volume"});
  }
  for (const std::string& damage : facts.damages) {
    result.findings.push_back({.severity = Severity::kProblem,
                               .code = "damaged",
                               .what = damage,
                               .blocked_by = "",
                               .advice = "millctl why TOPIC tells more"});
  }
  if (facts.records_rejected > 0) {
    result.findings.push_back(
        {.severity = Severity::kProblem,
         .code = "metadata-rejected",
         .what = fmt::format("{} record(s) of the metadata made no sense to this version and were "
                             "skipped; the last: {}",
                             facts.records_rejected, facts.last_rejection),
         .blocked_by = "",
         .advice = "Start the newer version again that wrote them"});
  }
  for (const GroupLagSummary& group : facts.groups) {
    if (group.not_fetching == 0) continue;
    result.findings.push_back(
        {.severity = Severity::kWarning,
         .code = "not-fetching",
         .what = fmt::format("Group {} has {} partition(s) that its members do not fetch",
                             group.group.group, group.not_fetching),
         .blocked_by = "A client of that group",
         .advice = fmt::format("millctl why {}", group.group.group)});
  }
  if (facts.standing) {
    for (Finding& finding : judge_standing(*facts.standing))
      result.findings.push_back(std::move(finding));
  }
  put_worst_first(result.findings);
  result.summary = fmt::format("broker {}: {} partition(s), {} group(s), {} of {} MiB free",
                               facts.broker, facts.partitions, facts.groups.size(),
                               facts.free_bytes >> 20, facts.total_bytes >> 20);
  return result;
}

}  // namespace millrace::service
