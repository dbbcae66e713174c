// Groups and their members, as scripts ask for them.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "broker/kafka/testing/scripted_client.h"
#include "broker/wire/messages/consumer_group_describe.h"
#include "broker/wire/messages/consumer_group_heartbeat.h"
#include "broker/wire/messages/delete_groups.h"
#include "broker/wire/messages/describe_groups.h"
#include "broker/wire/messages/find_coordinator.h"
#include "broker/wire/messages/heartbeat.h"
#include "broker/wire/messages/join_group.h"
#include "broker/wire/messages/leave_group.h"
#include "broker/wire/messages/list_groups.h"
#include "broker/wire/messages/sync_group.h"

namespace millrace::kafka::testing {
namespace {

constexpr std::size_t kUuidTextBytes = 36;

/// What a member of the "consumer" protocol type joins with: version 0 of a subscription.
common::Bytes subscription(const std::vector<std::string>& topics) {
  wire::Writer out;
  out.i16(0);
  out.length(topics.size(), false);
  for (const std::string& topic : topics) out.string(topic, false);
  out.null_length(false);
  return out.take().joined();
}

/// The topics of such a subscription; its text if it is none.
std::string subscribed(const common::Bytes& metadata) {
  wire::Reader in(metadata);
  in.i16("version");
  const std::int32_t count = in.array({2, sizeof(std::string)}, false, false, "topics");
  std::vector<std::string> topics;
  for (std::int32_t i = 0; i < count; ++i) in.string(topics.emplace_back(), false, "topic");
  if (!in.good()) return std::string(metadata.text());
  return fmt::format("{}", fmt::join(topics, ","));
}

template <typename Topic>
std::string partitions_text(const std::vector<Topic>& topics, auto name_of) {
  std::string text;
  for (const Topic& topic : topics) {
    text += fmt::format("{}{}:{}", text.empty() ? "" : " ", name_of(topic),
                        fmt::join(topic.partitions, ","));
  }
  return text;
}

}  // namespace

void ScriptedClient::add_group_rows(std::map<std::string, Row>& table) {
  using Self = ScriptedClient;
  table["beat"] = row<wire::ConsumerGroupHeartbeatRequest>(&Self::consumer_heartbeat);
  table["delete-groups"] = row<wire::DeleteGroupsRequest>(&Self::delete_groups);
  table["describe-consumers"] = row<wire::ConsumerGroupDescribeRequest>(&Self::describe_consumers);
  table["describe-groups"] = row<wire::DescribeGroupsRequest>(&Self::describe_groups);
  table["find"] = row<wire::FindCoordinatorRequest>(&Self::find);
  table["groups"] = row<wire::ListGroupsRequest>(&Self::groups);
  table["heartbeat"] = row<wire::HeartbeatRequest>(&Self::heartbeat);
  table["join"] = row<wire::JoinGroupRequest>(&Self::join);
  table["leave"] = row<wire::LeaveGroupRequest>(&Self::leave);
  table["sync"] = row<wire::SyncGroupRequest>(&Self::sync);
}

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> parts;
  if (text.empty()) return parts;
  std::string rest = text;
  for (std::size_t at = 0; (at = rest.find(',')) != std::string::npos; rest.erase(0, at + 1))
    parts.push_back(rest.substr(0, at));
  parts.push_back(rest);
  return parts;
}

common::ScriptCommand rest_of(const common::ScriptCommand& command) {
  common::ScriptCommand rest = command;
  CHECK(!rest.arguments.empty(), "'{}' lacks an argument", command.line);
  rest.arguments.erase(rest.arguments.begin());
  return rest;
}

ScriptedClient::Party& ScriptedClient::party(const Command& command) {
  const std::string name = command.value("as").value_or("");
  Party& party = parties_[name];
  party.name = name;
  if (!party.client) party.client = broker_->connect();
  return party;
}

std::string ScriptedClient::answer(const Command& command) {
  Party& asked = party(command);
  CHECK(asked.pending, "'{}': nothing was asked", command.line);
  return std::exchange(asked.pending, {})();
}

template <typename Request, typename Show>
std::string ScriptedClient::ask(const Command& command, const Request& request,
                                std::int16_t version, Show show) {
  Party& asking = party(command);
  CHECK(!asking.pending, "'{}': an answer is still to come", command.line);
  const std::int32_t id = asking.client->send(request, version);
  asking.pending = [&asking, id, version, show] {
    return show(asking, asking.client->template receive_as<Request>(id, version));
  };
  return flag(command, "later") ? "" : answer(command);
}

std::string ScriptedClient::member_of(const Command& command) {
  const auto named = command.value("member");
  if (!named) return party(command).member;
  if (*named == "''") return "";
  const auto other = parties_.find(*named);
  return other == parties_.end() ? *named : other->second.member;
}

std::int32_t ScriptedClient::generation_of(const Command& command) {
  return static_cast<std::int32_t>(number(command, "gen", party(command).generation));
}

std::string ScriptedClient::name_of_member(const std::string& id) const {
  for (const auto& [name, party] : parties_) {
    if (!id.empty() && party.member == id) return name;
  }
  return id;
}

std::string ScriptedClient::name_of_topic(const common::Uuid& id) const {
  for (const auto& [name, known] : ids_) {
    if (known == id) return name;
  }
  return id.text();
}

common::Uuid ScriptedClient::id_of_topic(const std::string& name) const {
  const auto known = ids_.find(name);
  return known == ids_.end() ? common::Uuid{{9, 9, 9}} : known->second;
}

std::string ScriptedClient::find(const Command& command, std::int16_t version) {
  wire::FindCoordinatorRequest request;
  request.key_type = static_cast<std::int8_t>(number(command, "type", 0));
  for (const Target& key : targets(command)) request.coordinator_keys.push_back(key.name);
  if (version < 4) request.key = request.coordinator_keys.at(0);
  const auto response = client_->call(request, version);
  const auto line = [](const auto& found) {
    return fmt::format("{} node={} at {}:{}\n", shown(found.error_code, found.error_message),
                       found.node_id, found.host, found.port);
  };
  if (version < 4) return line(response);
  std::string out;
  for (const auto& found : response.coordinators) out += found.key + ": " + line(found);
  return out;
}

std::string ScriptedClient::join(const Command& command, std::int16_t version) {
  wire::JoinGroupRequest request;
  request.group_id = command.arguments.at(0) == "''" ? "" : command.arguments.at(0);
  request.session_timeout_ms = static_cast<std::int32_t>(number(command, "session", 10'000));
  request.rebalance_timeout_ms = static_cast<std::int32_t>(number(command, "rebalance", 20'000));
  request.member_id = member_of(command);
  request.group_instance_id = command.value("instance");
  request.protocol_type = command.value("type").value_or("consumer");
  const auto metadata = subscription(split(command.value("topics").value_or("")));
  for (const std::string& protocol : split(command.value("protocols").value_or("range")))
    request.protocols.push_back({.name = protocol, .metadata = metadata});
  return ask(command, request, version, [this](Party& joined, const auto& response) {
    const std::string& id = response.member_id;
    if (!id.empty()) joined.member = id;
    joined.generation = response.generation_id;
    std::string out = fmt::format(
        "{} gen={} type={} protocol={} leader={} member={}{}", shown(response.error_code),
        response.generation_id, response.protocol_type.value_or("null"),
        response.protocol_name.value_or("null"), name_of_member(response.leader),
        name_of_member(id), response.skip_assignment ? " skip" : "");
    if (id.size() > kUuidTextBytes) out += " known-by=" + id.substr(0, id.size() - kUuidTextBytes);
    std::vector<std::string> members;
    for (const auto& member : response.members) {
      members.push_back(fmt::format("  {} {}[{}]\n", name_of_member(member.member_id),
                                    member.group_instance_id ? *member.group_instance_id + " " : "",
                                    subscribed(member.metadata)));
    }
    std::sort(members.begin(), members.end());
    return out + fmt::format("\n{}", fmt::join(members, ""));
  });
}

std::string ScriptedClient::sync(const Command& command, std::int16_t version) {
  wire::SyncGroupRequest request;
  request.group_id = command.arguments.at(0) == "''" ? "" : command.arguments.at(0);
  request.generation_id = generation_of(command);
  request.member_id = member_of(command);
  request.group_instance_id = command.value("instance");
  if (!flag(command, "none")) {
    request.protocol_type = command.value("type").value_or("consumer");
    request.protocol_name = command.value("protocol").value_or("range");
  }
  for (const std::string& part : split(command.value("assign").value_or(""))) {
    const std::size_t colon = part.find(':');
    const auto whose = parties_.find(part.substr(0, colon));
    CHECK(whose != parties_.end(), "'{}': nobody is called so", part);
    request.assignments.push_back(
        {.member_id = whose->second.member,
         .assignment = common::Bytes::copy_of(std::string_view(part).substr(colon + 1))});
  }
  return ask(command, request, version, [](Party&, const auto& response) {
    return fmt::format("{} type={} protocol={} assignment={}\n", shown(response.error_code),
                       response.protocol_type.value_or("null"),
                       response.protocol_name.value_or("null"), response.assignment.text());
  });
}

std::string ScriptedClient::heartbeat(const Command& command, std::int16_t version) {
  wire::HeartbeatRequest request;
  request.group_id = command.arguments.at(0) == "''" ? "" : command.arguments.at(0);
  request.generation_id = generation_of(command);
  request.member_id = member_of(command);
  request.group_instance_id = command.value("instance");
  return ask(command, request, version,
             [](Party&, const auto& response) { return shown(response.error_code) + "\n"; });
}

std::string ScriptedClient::leave(const Command& command, std::int16_t version) {
  wire::LeaveGroupRequest request;
  request.group_id = command.arguments.at(0) == "''" ? "" : command.arguments.at(0);
  const auto id_of = [this](const std::string& name) {
    const auto party = parties_.find(name);
    return party == parties_.end() ? name : party->second.member;
  };
  for (const std::string& name : split(command.value("members").value_or("")))
    request.members.push_back({.member_id = id_of(name), .group_instance_id = {}, .reason = {}});
  for (const std::string& instance : split(command.value("instances").value_or("")))
    request.members.push_back({.member_id = "", .group_instance_id = instance, .reason = "bye"});
  if (version < 3) request.member_id = request.members.at(0).member_id;
  return ask(command, request, version, [this](Party&, const auto& response) {
    std::string out = shown(response.error_code) + "\n";
    for (const auto& member : response.members) {
      out += fmt::format("  {} {}{}\n", shown(member.error_code), name_of_member(member.member_id),
                         member.group_instance_id.value_or(""));
    }
    return out;
  });
}

std::string ScriptedClient::groups(const Command& command, std::int16_t version) {
  wire::ListGroupsRequest request;
  request.states_filter = split(command.value("states").value_or(""));
  request.types_filter = split(command.value("types").value_or(""));
  const auto response = client_->call(request, version);
  std::vector<std::string> lines;
  for (const auto& group : response.groups) {
    lines.push_back(fmt::format("  {} [{}] {} {}\n", group.group_id, group.protocol_type,
                                group.group_state, group.group_type));
  }
  std::sort(lines.begin(), lines.end());
  return fmt::format("{}\n{}", shown(response.error_code), fmt::join(lines, ""));
}

std::string ScriptedClient::describe_groups(const Command& command, std::int16_t version) {
  wire::DescribeGroupsRequest request;
  for (const Target& group : targets(command)) request.groups.push_back(group.name);
  request.include_authorized_operations = command.value("operations").has_value();
  std::string out;
  for (const auto& group : client_->call(request, version).groups) {
    out += fmt::format("{} {} {} type={} protocol={}", group.group_id,
                       shown(group.error_code, group.error_message), group.group_state,
                       group.protocol_type, group.protocol_data);
    if (group.authorized_operations != INT32_MIN)
      out += fmt::format(" operations={}", group.authorized_operations);
    out += '\n';
    for (const auto& member : group.members) {
      out +=
          fmt::format("  {} {} {} {} [{}] {}\n", name_of_member(member.member_id),
                      member.group_instance_id.value_or("-"), member.client_id, member.client_host,
                      subscribed(member.member_metadata), member.member_assignment.text());
    }
  }
  return out;
}

std::string ScriptedClient::delete_groups(const Command& command, std::int16_t version) {
  wire::DeleteGroupsRequest request;
  for (const Target& group : targets(command)) request.groups_names.push_back(group.name);
  std::string out;
  for (const auto& result : client_->call(request, version).results)
    out += fmt::format("{} {}\n", result.group_id, shown(result.error_code));
  return out;
}

std::string ScriptedClient::consumer_heartbeat(const Command& command, std::int16_t version) {
  wire::ConsumerGroupHeartbeatRequest request;
  request.group_id = command.arguments.at(0) == "''" ? "" : command.arguments.at(0);
  request.member_id = member_of(command);
  request.member_epoch =
      static_cast<std::int32_t>(number(command, "epoch", party(command).generation));
  request.instance_id = command.value("instance");
  request.rack_id = command.value("rack");
  request.rebalance_timeout_ms = static_cast<std::int32_t>(number(command, "rebalance", -1));
  if (const auto topics = command.value("topics")) request.subscribed_topic_names = split(*topics);
  request.subscribed_topic_regex = command.value("regex");
  request.server_assignor = command.value("assignor");
  if (const auto owned = command.value("owns")) {
    request.topic_partitions.emplace();
    for (const std::string& part : split(*owned == "none" ? "" : *owned)) {
      const std::size_t colon = part.find(':');
      request.topic_partitions->push_back({.topic_id = id_of_topic(part.substr(0, colon)),
                                           .partitions = {std::stoi(part.substr(colon + 1))}});
    }
  }
  return ask(command, request, version, [this](Party& beating, const auto& response) {
    if (response.error_code != 0)
      return fmt::format("{} member={}\n", shown(response.error_code, response.error_message),
                         response.member_id.value_or("null"));
    beating.member = response.member_id.value_or("");
    beating.generation = response.member_epoch;
    std::string out =
        fmt::format("NONE member={} epoch={} interval={}", name_of_member(beating.member),
                    response.member_epoch, response.heartbeat_interval_ms);
    if (response.assignment) {
      out += fmt::format(" assigned=[{}]",
                         partitions_text(response.assignment->topic_partitions,
                                         [&](const auto& t) { return name_of_topic(t.topic_id); }));
    }
    return out + "\n";
  });
}

std::string ScriptedClient::describe_consumers(const Command& command, std::int16_t version) {
  wire::ConsumerGroupDescribeRequest request;
  for (const Target& group : targets(command)) request.group_ids.push_back(group.name);
  request.include_authorized_operations = command.value("operations").has_value();
  const auto name = [](const auto& topic) { return topic.topic_name; };
  std::string out;
  for (const auto& group : client_->call(request, version).groups) {
    out += fmt::format("{} {} {} epoch={} assigned-for={} by={}", group.group_id,
                       shown(group.error_code, group.error_message), group.group_state,
                       group.group_epoch, group.assignment_epoch, group.assignor_name);
    if (group.authorized_operations != INT32_MIN)
      out += fmt::format(" operations={}", group.authorized_operations);
    out += '\n';
    for (const auto& member : group.members) {
      out += fmt::format(
          "  {} {} {} epoch={} {} {} topics=[{}] regex={} has=[{}] should=[{}] type={}\n",
          name_of_member(member.member_id), member.instance_id.value_or("-"),
          member.rack_id.value_or("-"), member.member_epoch, member.client_id, member.client_host,
          fmt::join(member.subscribed_topic_names, ","),
          member.subscribed_topic_regex.value_or("null"),
          partitions_text(member.assignment.topic_partitions, name),
          partitions_text(member.target_assignment.topic_partitions, name), member.member_type);
    }
  }
  return out;
}

}  // namespace millrace::kafka::testing
