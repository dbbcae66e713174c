// Committed offsets, as scripts ask for them. The first argument is the group; as=NAME: asked as
// the member of that name.
#include <fmt/format.h>

#include "broker/kafka/testing/scripted_client.h"
#include "broker/wire/messages/offset_commit.h"
#include "broker/wire/messages/offset_delete.h"
#include "broker/wire/messages/offset_fetch.h"

namespace millrace::kafka::testing {

void ScriptedClient::add_offset_rows(std::map<std::string, Row>& table) {
  table["commit"] = row<wire::OffsetCommitRequest>(&ScriptedClient::commit);
  table["committed"] = row<wire::OffsetFetchRequest>(&ScriptedClient::committed);
  table["delete-offsets"] = row<wire::OffsetDeleteRequest>(&ScriptedClient::delete_offsets);
}

std::string ScriptedClient::commit(const Command& command, std::int16_t version) {
  wire::OffsetCommitRequest request;
  request.group_id = command.arguments.at(0);
  request.generation_id_or_member_epoch = -1;
  if (command.value("as") || command.value("member")) {
    request.generation_id_or_member_epoch = generation_of(command);
    request.member_id = member_of(command);
  }
  request.group_instance_id = command.value("instance");
  request.retention_time_ms = number(command, "retention", -1);
  for (const Target& target : targets(rest_of(command))) {
    auto& topic = request.topics.emplace_back();
    topic.name = target.name;
    topic.topic_id = target.id;
    auto& partition = topic.partitions.emplace_back();
    partition.partition_index = target.number.value_or(0);
    partition.committed_offset = target.offset;
    partition.committed_leader_epoch = static_cast<std::int32_t>(number(command, "epoch", -1));
    partition.committed_metadata = command.value("metadata");
  }
  std::string out;
  for (const auto& topic : client_->call(request, version).topics) {
    for (const auto& partition : topic.partitions) {
      out += fmt::format("{}:{} {}\n", version < 10 ? topic.name : name_of_topic(topic.topic_id),
                         partition.partition_index, shown(partition.error_code));
    }
  }
  return out;
}

namespace {

template <typename Partition>
std::string committed_line(const std::string& topic, const Partition& partition) {
  std::string out = fmt::format("  {}:{} {} offset={}", topic, partition.partition_index,
                                shown(partition.error_code), partition.committed_offset);
  if (partition.committed_leader_epoch != -1)
    out += fmt::format(" epoch={}", partition.committed_leader_epoch);
  if (partition.metadata != "") out += " metadata=" + partition.metadata.value_or("null");
  return out + "\n";
}

}  // namespace

std::string ScriptedClient::committed(const Command& command, std::int16_t version) {
  wire::OffsetFetchRequest request;
  request.require_stable = flag(command, "stable");
  wire::OffsetFetchRequest::Group wanted;
  if (flag(command, "all")) {
    wanted.topics.reset();
    request.topics.reset();
  }
  for (const Target& target : targets(rest_of(command))) {
    const std::vector<std::int32_t> partitions{target.number.value_or(0)};
    wanted.topics->push_back(
        {.name = target.name, .topic_id = target.id, .partition_indexes = partitions});
    request.topics->push_back({.name = target.name, .partition_indexes = partitions});
  }
  if (command.value("as") || command.value("member")) {
    wanted.member_epoch = generation_of(command);
    wanted.member_id = member_of(command);
  }
  for (const std::string& group : split(command.arguments.at(0))) {
    wanted.group_id = request.group_id = group;
    request.groups.push_back(wanted);
  }
  const auto response = client_->call(request, version);
  std::string out;
  if (version < 8) {
    out = shown(response.error_code) + "\n";
    for (const auto& topic : response.topics) {
      for (const auto& partition : topic.partitions) out += committed_line(topic.name, partition);
    }
    return out;
  }
  for (const auto& group : response.groups) {
    out += fmt::format("{} {}\n", group.group_id, shown(group.error_code));
    for (const auto& topic : group.topics) {
      const std::string name = version < 10 ? topic.name : name_of_topic(topic.topic_id);
      for (const auto& partition : topic.partitions) out += committed_line(name, partition);
    }
  }
  return out;
}

std::string ScriptedClient::delete_offsets(const Command& command, std::int16_t version) {
  wire::OffsetDeleteRequest request;
  request.group_id = command.arguments.at(0) == "''" ? "" : command.arguments.at(0);
  for (const Target& target : targets(rest_of(command))) {
    auto& topic = request.topics.emplace_back();
    topic.name = target.name;
    topic.partitions.emplace_back().partition_index = target.number.value_or(0);
  }
  const auto response = client_->call(request, version);
  std::string out = shown(response.error_code) + "\n";
  for (const auto& topic : response.topics) {
    for (const auto& partition : topic.partitions) {
      out += fmt::format("  {}:{} {}\n", topic.name, partition.partition_index,
                         shown(partition.error_code));
    }
  }
  return out;
}

}  // namespace millrace::kafka::testing
