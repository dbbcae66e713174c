#include "broker/service/testing/group_clients.h"

#include <memory>
#include <optional>
#include <utility>

#include "broker/coordinator/consumer_protocol.h"
#include "broker/service/group_coordinators.h"
#include "broker/service/group_routing.h"

namespace millrace::service::testing {

using coordinator::GroupDescription;
using coordinator::JoinGroup;
using coordinator::JoinOutcome;
using coordinator::OffsetCommit;
using coordinator::OffsetCommitOutcome;
using coordinator::OffsetFetchOutcome;
using coordinator::Status;
using coordinator::SyncGroup;
using coordinator::SyncOutcome;

namespace {

common::Bytes subscription(const std::string& topic) {
  coordinator::Subscription wanted;
  wanted.topics = {topic};
  return coordinator::encode(wanted);
}

JoinGroup join_request(Node& node, const std::string& group, const std::string& topic) {
  JoinGroup request;
  request.group = group;
  request.protocol_type = "consumer";
  request.protocols.push_back({"range", subscription(topic)});
  request.session_timeout_ms = 45'000;
  request.rebalance_timeout_ms = 60'000;
  request.client = {"test", "/10.0.0.1"};
  request.fresh_member = "test-" + common::Uuid::random(node.world.random()).text();
  return request;
}

/// Partition i to member i modulo their number.
SyncGroup sync_request(const std::string& group, const std::string& topic,
                       const JoinOutcome& joined, std::int32_t partitions) {
  SyncGroup request;
  request.group = group;
  request.generation = joined.generation;
  request.member = joined.member;
  if (joined.leader != joined.member) return request;
  for (std::size_t i = 0; i < joined.members.size(); ++i) {
    coordinator::Assignment assignment;
    coordinator::NamedPartitions given{topic, {}};
    for (auto p = static_cast<std::int32_t>(i); p < partitions;
         p += static_cast<std::int32_t>(joined.members.size())) {
      given.partitions.push_back(p);
    }
    if (!given.partitions.empty()) assignment.partitions.push_back(std::move(given));
    request.assignments.push_back({joined.members[i].member, coordinator::encode(assignment)});
  }
  return request;
}

}  // namespace

Status GroupClients::find(const std::string& group, std::size_t shard) {
  return node_.wait<Status>(
      [&](auto reply) { find_coordinator(node_.shard(shard), group, std::move(reply)); });
}

void GroupClients::join(const std::string& group, const std::string& topic, std::size_t shard,
                        common::Reply<JoinOutcome> done) {
  join_group(node_.shard(shard), join_request(node_, group, topic), std::move(done));
}

std::vector<ClassicMember> GroupClients::join_all(const std::string& group,
                                                  const std::string& topic, std::int32_t partitions,
                                                  std::size_t members) {
  std::vector<std::optional<JoinOutcome>> joined(members);
  for (std::size_t i = 0; i < members; ++i) {
    join(group, topic, 0, [&joined, i](JoinOutcome outcome) { joined[i] = std::move(outcome); });
  }
  for (const auto& one : joined) {
    CHECK(node_.world.run_until([&one] { return one.has_value(); }), "a join was not answered");
    CHECK(one->status.ok(), "join: {}", model::error_row(one->status.code).kafka_name);
  }
  std::vector<std::optional<SyncOutcome>> synced(members);
  for (std::size_t i = 0; i < members; ++i) {
    sync_group(node_.shard(), sync_request(group, topic, *joined[i], partitions),
               [&synced, i](SyncOutcome outcome) { synced[i] = std::move(outcome); });
  }
  std::vector<ClassicMember> out;
  for (std::size_t i = 0; i < members; ++i) {
    CHECK(node_.world.run_until([&one = synced[i]] { return one.has_value(); }));
    CHECK(synced[i]->status.ok(), "sync: {}", model::error_row(synced[i]->status.code).kafka_name);
    ClassicMember member{joined[i]->member, joined[i]->generation, {}};
    const auto assignment = coordinator::decode_assignment(synced[i]->assignment);
    for (const auto& topic_of : assignment.value().partitions) {
      member.partitions.insert(member.partitions.end(), topic_of.partitions.begin(),
                               topic_of.partitions.end());
    }
    out.push_back(std::move(member));
  }
  return out;
}

OffsetCommitOutcome GroupClients::commit(const OffsetCommit& request, std::size_t shard) {
  return node_.wait<OffsetCommitOutcome>(
      [&](auto reply) { commit_offsets(node_.shard(shard), request, std::move(reply)); });
}

OffsetCommit GroupClients::simple_commit(const std::string& group, const std::string& topic,
                                         std::int32_t partition, std::int64_t offset) {
  OffsetCommit request;
  request.group = group;
  OffsetCommit::Partition one;
  one.topic.name = topic;
  one.partition = partition;
  one.offset = model::Offset{offset};
  request.partitions.push_back(std::move(one));
  return request;
}

std::int64_t GroupClients::committed(const std::string& group, const std::string& topic,
                                     std::int32_t partition, std::size_t shard) {
  wait_until_loaded(group);
  coordinator::OffsetFetch request;
  request.group = group;
  request.partitions.emplace();
  request.partitions->push_back({.topic = {.name = topic, .id = {}}, .partition = partition});
  const auto fetched = node_.wait<OffsetFetchOutcome>(
      [&](auto reply) { fetch_offsets(node_.shard(shard), request, std::move(reply)); });
  CHECK(fetched.status.ok(), "fetch: {}", fetched.status.detail);
  CHECK(fetched.partitions.size() == 1);
  return fetched.partitions.front().committed.offset.value();
}

Status GroupClients::heartbeat(const std::string& group, const ClassicMember& member) {
  coordinator::Heartbeat request;
  request.group = group;
  request.generation = member.generation;
  request.member = member.id;
  return node_.wait<Status>(
      [&](auto reply) { service::heartbeat(node_.shard(), std::move(request), std::move(reply)); });
}

GroupDescription GroupClients::describe(const std::string& group, std::size_t shard) {
  return node_
      .wait<std::vector<GroupDescription>>(
          [&](auto reply) { describe_groups(node_.shard(shard), {group}, std::move(reply)); })
      .front();
}

std::vector<std::string> GroupClients::list(const GroupFilter& filter, std::size_t shard) {
  for (;;) {
    const auto listed = node_.wait<common::Result<std::vector<coordinator::GroupSummary>>>(
        [&](auto reply) { list_groups(node_.shard(shard), filter, std::move(reply)); });
    std::vector<std::string> names;
    if (listed.ok()) {
      for (const auto& group : *listed) names.push_back(group.group);
      return names;
    }
    CHECK(listed.error().code == model::ErrorCode::kCoordinatorLoadInProgress);
    node_.world.run_for(std::chrono::milliseconds(1));
  }
}

GroupLag GroupClients::lag(const std::string& group, std::size_t shard) {
  return node_.wait<GroupLag>(
      [&](auto reply) { describe_group_lag(node_.shard(shard), group, std::move(reply)); });
}

void GroupClients::wait_until_loaded(const std::string& group) {
  const auto place = group_place(node_.shard(), group);
  if (!place) return;
  CHECK(node_.world.run_until([&] {
    const GroupCoordinator* coordinator = place->owner->coordinators().find(place->index);
    return coordinator != nullptr && !coordinator->loading();
  }));
}

}  // namespace millrace::service::testing
