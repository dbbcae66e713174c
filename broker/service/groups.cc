#include "broker/service/groups.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "broker/service/group_routing.h"
#include "broker/service/leaders.h"

namespace millrace::service {

using coordinator::Machine;
using coordinator::Now;
using coordinator::Status;
using coordinator::Ticket;
using model::ErrorCode;

namespace {

constexpr std::uint32_t kReplacement = 0xFFFD;

/// The next code point of UTF-8 text, and one step on; what is malformed reads as U+FFFD, byte by
/// byte, as Java decodes it.
std::uint32_t next_code_point(std::string_view& text) {
  const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(text[i]); };
  const std::uint8_t first = byte(0);
  std::size_t size = 1;
  std::uint32_t point = first;
  if (first >= 0xF0 && first < 0xF8) {
    size = 4;
    point = first & 0x07U;
  } else if (first >= 0xE0) {
    size = 3;
    point = first & 0x0FU;
  } else if (first >= 0xC0) {
    size = 2;
    point = first & 0x1FU;
  } else if (first >= 0x80) {
    point = kReplacement;
  }
  bool whole = size <= text.size() && first < 0xF8;
  for (std::size_t i = 1; whole && i < size; ++i) {
    whole = (byte(i) & 0xC0U) == 0x80U;
    point = (point << 6) | (byte(i) & 0x3FU);
  }
  text.remove_prefix(whole ? size : 1);
  return whole ? point : kReplacement;
}

/// String.hashCode of Java: over UTF-16 units.
std::int32_t java_hash(std::string_view text) {
  std::uint32_t hash = 0;
  const auto add = [&hash](std::uint32_t unit) { hash = 31 * hash + unit; };
  while (!text.empty()) {
    const std::uint32_t point = next_code_point(text);
    if (point < 0x10000) {
      add(point);
    } else {
      add(0xD800 + ((point - 0x10000) >> 10));
      add(0xDC00 + ((point - 0x10000) & 0x3FF));
    }
  }
  return static_cast<std::int32_t>(hash);
}

/// Hands a request to the machine of its group: (machine.*input)(ticket, request, now).
template <typename Outcome, typename Request, typename Input>
void ask(Shard& here, NoTopic no_topic, Request request, Input input, common::Reply<Outcome> done) {
  std::string group = request.group;
  at_coordinator<Outcome>(
      here, group, no_topic,
      [request = std::move(request), input](Shard&, GroupCoordinator& coordinator,
                                            common::Reply<Outcome> reply) mutable {
        coordinator.ask<Outcome>(std::move(reply), [&](Machine& machine, Ticket ticket, Now now) {
          (machine.*input)(ticket, std::move(request), now);
        });
      },
      std::move(done));
}

/// What a coordinator without any group says: for reads while no group was ever made.
Machine no_groups(const Shard& here) {
  return Machine(here.coordinators().settings());
}

/// Outcomes of one request for each of several groups, in order.
template <typename Outcome>
struct InOrder {
  std::vector<Outcome> outcomes;
  std::size_t missing = 0;
  common::Reply<std::vector<Outcome>> done;
};

/// one(group, reply) for each group, all at once.
template <typename Outcome, typename One>
void for_each_group(std::vector<std::string> groups, One one,
                    common::Reply<std::vector<Outcome>> done) {
  if (groups.empty()) return done({});
  auto order = std::make_shared<InOrder<Outcome>>();
  order->outcomes.resize(groups.size());
  order->missing = groups.size();
  order->done = std::move(done);
  for (std::size_t i = 0; i < groups.size(); ++i) {
    one(groups[i], common::Reply<Outcome>([order, i](Outcome outcome) {
          order->outcomes[i] = std::move(outcome);
          if (--order->missing == 0) order->done(std::move(order->outcomes));
        }));
  }
}

template <typename T>
bool wanted(const std::vector<T>& filter, T value) {
  return filter.empty() || std::find(filter.begin(), filter.end(), value) != filter.end();
}

/// The groups of one shard, or why they cannot be told.
struct ShardList {
  Status status;
  std::vector<coordinator::GroupSummary> groups;
};

ShardList list_here(Shard& shard, const GroupFilter& filter) {
  ShardList list;
  for (const auto& [index, coordinator] : shard.coordinators().all()) {
    // Groups that cannot be read are named in the log; the others are listed all the same.
    if (coordinator->failed()) continue;
    if (auto why = coordinator->refusal()) {
      list.status = *std::move(why);
      return list;
    }
    for (auto& group : coordinator->machine()->list()) {
      if (wanted(filter.states, group.state) && wanted(filter.types, group.type))
        list.groups.push_back(std::move(group));
    }
  }
  return list;
}

void describe_group(Shard& here, const std::string& group,
                    common::Reply<coordinator::GroupDescription> done) {
  if (!group_place(here, group)) return done(no_groups(here).describe(group));
  at_coordinator<coordinator::GroupDescription>(
      here, group, NoTopic::kRefuse,
      [group](Shard&, GroupCoordinator& coordinator,
              common::Reply<coordinator::GroupDescription> reply) {
        coordinator.read<coordinator::GroupDescription>(
            std::move(reply), [&](const Machine& machine) {
              return coordinator::Read<coordinator::GroupDescription>{machine.describe(group), 0};
            });
      },
      [group, done = std::move(done)](coordinator::GroupDescription description) mutable {
        description.summary.group = group;  // also where nobody could be asked
        done(std::move(description));
      });
}

void delete_group(Shard& here, const std::string& group, common::Reply<Status> done) {
  if (!group_place(here, group)) {
    const common::Error unknown = model::error(ErrorCode::kGroupIdNotFound);
    return done({unknown.code, unknown.detail});
  }
  at_coordinator<Status>(
      here, group, NoTopic::kRefuse,
      [group](Shard&, GroupCoordinator& coordinator, common::Reply<Status> reply) {
        coordinator.ask<Status>(std::move(reply), [&](Machine& machine, Ticket ticket, Now now) {
          machine.delete_group(ticket, group, now);
        });
      },
      std::move(done));
}

}  // namespace

model::PartitionIndex coordinator_partition(std::string_view group, std::int32_t partitions) {
  CHECK(partitions > 0);
  const std::int32_t hash = java_hash(group);
  const std::int32_t positive = hash == INT32_MIN ? 0 : (hash < 0 ? -hash : hash);
  return model::PartitionIndex{positive % partitions};
}

Status no_coordinator(Shard& owner, model::PartitionIndex index) {
  const auto topic = owner.image().topic(kOffsetsTopic);
  const replica::Partition* const here =
      topic == nullptr ? nullptr : owner.partition({topic->id, index});
  if (here != nullptr && here->role() == raft::Role::kLeader && !here->is_leader())
    return {ErrorCode::kCoordinatorLoadInProgress, "The group's partition has a new leader"};
  return {ErrorCode::kNotCoordinator, "This broker does not lead the group's partition"};
}

std::optional<GroupPlace> group_place(Shard& here, std::string_view group) {
  const auto topic = here.image().topic(kOffsetsTopic);
  if (topic == nullptr) return std::nullopt;
  const model::PartitionIndex index = coordinator_partition(group, topic->partition_count());
  return GroupPlace{&here.owner({topic->id, index}), index};
}

std::optional<std::size_t> group_shard(Shard& here, std::string_view group) {
  const auto place = group_place(here, group);
  return place ? std::optional<std::size_t>(place->owner->index()) : std::nullopt;
}

void find_coordinator(Shard& here, std::string, common::Reply<Status> done) {
  ensure_offsets_topic(here, std::move(done));
}

void locate_coordinator(Shard& here, std::string group, common::Reply<CoordinatorHome> done) {
  ensure_offsets_topic(
      here, [&here, group = std::move(group), done = std::move(done)](Status made) mutable {
        const auto topic = here.image().topic(kOffsetsTopic);
        if (made.ok() && topic == nullptr)
          made = {ErrorCode::kCoordinatorNotAvailable, "__consumer_offsets was deleted meanwhile"};
        if (!made.ok()) return done({.status = std::move(made)});
        const model::PartitionIndex index = coordinator_partition(group, topic->partition_count());
        std::vector<model::PartitionKey> keys{{topic->id, index}};
        known_leaders(
            here, std::move(keys),
            [&here, index, done = std::move(done)](std::vector<KnownLeader> leaders) mutable {
              const model::BrokerId leader = leaders.front().leader;
              if (here.alive(leader)) return done({.status = {}, .broker = leader});
              done({.status = {ErrorCode::kCoordinatorNotAvailable,
                               fmt::format("Nobody leads partition {} of the groups now", index)}});
            });
      });
}

void join_group(Shard& here, coordinator::JoinGroup request,
                common::Reply<coordinator::JoinOutcome> done) {
  ask(here, NoTopic::kMake, std::move(request), &Machine::join, std::move(done));
}

void sync_group(Shard& here, coordinator::SyncGroup request,
                common::Reply<coordinator::SyncOutcome> done) {
  ask(here, NoTopic::kRefuse, std::move(request), &Machine::sync, std::move(done));
}

void heartbeat(Shard& here, coordinator::Heartbeat request, common::Reply<Status> done) {
  ask(here, NoTopic::kRefuse, std::move(request), &Machine::heartbeat, std::move(done));
}

void leave_group(Shard& here, coordinator::LeaveGroup request,
                 common::Reply<coordinator::LeaveOutcome> done) {
  ask(here, NoTopic::kRefuse, std::move(request), &Machine::leave, std::move(done));
}

void consumer_heartbeat(Shard& here, coordinator::ConsumerHeartbeat request,
                        common::Reply<coordinator::ConsumerHeartbeatOutcome> done) {
  using Outcome = coordinator::ConsumerHeartbeatOutcome;
  std::string group = request.group;
  at_coordinator<Outcome>(
      here, group, NoTopic::kMake,
      [request = std::move(request)](Shard& owner, GroupCoordinator& coordinator,
                                     common::Reply<Outcome> reply) {
        // It may name topics that were made just before.
        if (request.topics || request.topic_regex) owner.coordinators().catch_up();
        coordinator.ask<Outcome>(std::move(reply), [&](Machine& machine, Ticket ticket, Now now) {
          machine.consumer_heartbeat(ticket, request, now);
        });
      },
      std::move(done));
}

void commit_offsets(Shard& here, coordinator::OffsetCommit request,
                    common::Reply<coordinator::OffsetCommitOutcome> done) {
  ask(here, NoTopic::kMake, std::move(request), &Machine::commit, std::move(done));
}

void fetch_offsets(Shard& here, coordinator::OffsetFetch request,
                   common::Reply<coordinator::OffsetFetchOutcome> done) {
  using Outcome = coordinator::OffsetFetchOutcome;
  std::string group = request.group;
  if (!group_place(here, group)) return done(no_groups(here).fetch_offsets(request).value);
  at_coordinator<Outcome>(
      here, group, NoTopic::kRefuse,
      [request = std::move(request)](Shard&, GroupCoordinator& coordinator,
                                     common::Reply<Outcome> reply) {
        coordinator.read<Outcome>(std::move(reply), [&](const Machine& machine) {
          return machine.fetch_offsets(request);
        });
      },
      std::move(done));
}

void delete_offsets(Shard& here, coordinator::OffsetDelete request,
                    common::Reply<coordinator::OffsetDeleteOutcome> done) {
  if (!group_place(here, request.group)) {
    const common::Error unknown = model::error(ErrorCode::kGroupIdNotFound);
    return done(failed_outcome<coordinator::OffsetDeleteOutcome>({unknown.code, unknown.detail}));
  }
  ask(here, NoTopic::kRefuse, std::move(request), &Machine::delete_offsets, std::move(done));
}

void list_groups(Shard& here, GroupFilter filter,
                 common::Reply<common::Result<std::vector<coordinator::GroupSummary>>> done) {
  on_every_shard<ShardList>(
      here,
      [filter = std::move(filter)](Shard& shard, common::Reply<ShardList> reply) {
        reply(list_here(shard, filter));
      },
      [done = std::move(done)](std::vector<ShardList> lists) mutable {
        std::vector<coordinator::GroupSummary> groups;
        for (ShardList& list : lists) {
          if (!list.status.ok()) return done(common::Error{list.status.code, list.status.detail});
          std::move(list.groups.begin(), list.groups.end(), std::back_inserter(groups));
        }
        std::sort(groups.begin(), groups.end(),
                  [](const auto& a, const auto& b) { return a.group < b.group; });
        done(std::move(groups));
      });
}

void describe_groups(Shard& here, std::vector<std::string> groups,
                     common::Reply<std::vector<coordinator::GroupDescription>> done) {
  for_each_group<coordinator::GroupDescription>(
      std::move(groups),
      [&here](const std::string& group, common::Reply<coordinator::GroupDescription> reply) {
        describe_group(here, group, std::move(reply));
      },
      std::move(done));
}

void delete_groups(Shard& here, std::vector<std::string> groups,
                   common::Reply<std::vector<Status>> done) {
  for_each_group<Status>(
      std::move(groups),
      [&here](const std::string& group, common::Reply<Status> reply) {
        delete_group(here, group, std::move(reply));
      },
      std::move(done));
}

}  // namespace millrace::service
