#include "broker/coordinator/testing/session.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <sstream>

#include "broker/coordinator/consumer_protocol.h"
#include "broker/coordinator/testing/text.h"
#include "common/check.h"

namespace millrace::coordinator {
namespace {

using common::ScriptCommand;

std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> parts;
  std::istringstream stream(text);
  for (std::string part; std::getline(stream, part, separator);) parts.push_back(part);
  return parts;
}

/// "a:b" -> {"a", "b"}; without the separator the second is empty.
std::pair<std::string, std::string> cut(const std::string& text, char separator) {
  const std::size_t at = text.find(separator);
  if (at == std::string::npos) return {text, ""};
  return {text.substr(0, at), text.substr(at + 1)};
}

std::int32_t number(const ScriptCommand& command, std::string_view key, std::int32_t otherwise) {
  const auto given = command.value(key);
  return given.has_value() ? std::stoi(*given) : otherwise;
}

/// The group, which every request names first; '' is the empty name.
std::string group_of(const ScriptCommand& command) {
  const std::string& name = command.arguments.at(0);
  return name == "''" ? "" : name;
}

bool has(const ScriptCommand& command, std::string_view flag) {
  return std::find(command.arguments.begin(), command.arguments.end(), flag) !=
         command.arguments.end();
}

/// "range:t+u" of a consumer is a subscription; what begins with '!' is taken as it is.
Protocol parse_protocol(const std::string& text, bool is_consumer) {
  const auto [name, about] = cut(text, ':');
  if (!is_consumer || about.starts_with('!')) {
    return {.name = name, .metadata = common::Bytes::copy_of(about)};
  }
  Subscription subscription;
  subscription.topics = split(about, '+');
  return {.name = name, .metadata = encode(subscription)};
}

OffsetFetch::Partition parse_partition(const std::string& text, std::uint8_t incarnation) {
  const auto [topic, partition] = cut(text, ':');
  return {.topic = {.name = topic, .id = Harness::topic_id(topic, incarnation)},
          .partition = std::stoi(partition)};
}

}  // namespace

std::string Session::run(const ScriptCommand& command) {
  if (command.name == "settings") {
    begin(command);
  } else if (!request(command) && !world(command)) {
    return read(command);
  }
  return happened();
}

bool Session::request(const ScriptCommand& command) {
  if (command.name == "join") return join(command), true;
  if (command.name == "sync") return sync(command), true;
  if (command.name == "heartbeat") return heartbeat(command), true;
  if (command.name == "leave") return leave(command), true;
  if (command.name == "commit") return commit(command), true;
  if (command.name == "delete-offsets") return delete_offsets(command), true;
  if (command.name != "delete") return false;
  harness_->machine().delete_group(harness_->ticket("delete"), command.arguments.at(0),
                                   harness_->now());
  harness_->perform();
  return true;
}

bool Session::world(const ScriptCommand& command) {
  if (command.name == "topics") return topics(command), true;
  if (command.name == "advance") {
    harness_->advance(std::chrono::milliseconds(std::stoi(command.arguments.at(0))));
  } else if (command.name == "hold" || command.name == "release") {
    harness_->hold_commits(command.name == "hold");
  } else if (command.name == "refuse") {
    harness_->refuse_next(static_cast<ErrorCode>(std::stoi(command.arguments.at(0))));
  } else if (command.name == "crash") {
    harness_->crash(has(command, "compacted")  ? Harness::LoadFrom::kCompactedLog
                    : has(command, "snapshot") ? Harness::LoadFrom::kSnapshot
                                               : Harness::LoadFrom::kLog);
  } else if (command.name == "resign") {
    harness_->resign(ErrorCode::kNotCoordinator);
  } else {
    return false;
  }
  return true;
}

std::string Session::happened() {
  std::string text;
  for (const Record& record : harness_->take_appended()) text += "+ " + to_text(record) + "\n";
  for (const auto& [label, answer] : harness_->take_answers()) {
    text += label + ": " + to_text(answer) + "\n";
  }
  return text;
}

std::string Session::read(const ScriptCommand& command) {
  std::string text;
  if (command.name == "fetch") return fetch(command);
  if (command.name == "describe") {
    return to_text(harness_->machine().describe(command.arguments.at(0))) + "\n";
  }
  if (command.name == "waiting") {
    const auto waiting = harness_->waiting();
    return waiting.empty() ? "nobody\n" : fmt::format("{}\n", fmt::join(waiting, ", "));
  }
  if (command.name == "snapshot") {
    for (const Record& record : harness_->machine().snapshot()) text += to_text(record) + "\n";
    return text;
  }
  if (command.name != "list") return "unknown command " + command.name + "\n";
  for (const GroupSummary& group : harness_->machine().list()) {
    text += fmt::format("{} {} {} '{}'\n", group.group, name_of(group.state), name_of(group.type),
                        group.protocol_type);
  }
  return text;
}

void Session::begin(const ScriptCommand& command) {
  Settings settings;
  settings.group_initial_rebalance_delay_ms =
      number(command, "initial-delay", settings.group_initial_rebalance_delay_ms);
  settings.group_max_size = number(command, "max-size", settings.group_max_size);
  settings.offset_metadata_bytes_max =
      number(command, "metadata-max", settings.offset_metadata_bytes_max);
  settings.offsets_retention_ms =
      number(command, "retention", static_cast<std::int32_t>(settings.offsets_retention_ms));
  harness_ = std::make_unique<Harness>(settings);
}

void Session::topics(const ScriptCommand& command) {
  std::map<std::string, std::int32_t> partitions;
  for (const std::string& argument : command.arguments) {
    const auto [name, count] = cut(argument, '=');
    if (name != "incarnation") partitions[name] = std::stoi(count);
  }
  incarnation_ = static_cast<std::uint8_t>(number(command, "incarnation", 0));
  harness_->set_topics(partitions, incarnation_);
}

void Session::join(const ScriptCommand& command) {
  JoinGroup request;
  request.group = group_of(command);
  request.fresh_member = command.arguments.at(1);
  request.member = command.value("as").value_or("");
  request.instance = command.value("instance");
  request.protocol_type = command.value("type").value_or("consumer");
  for (const auto& text : split(command.value("protocols").value_or("range:t"), ',')) {
    request.protocols.push_back(parse_protocol(text, request.protocol_type == "consumer"));
  }
  request.session_timeout_ms = number(command, "session", 10'000);
  request.rebalance_timeout_ms = number(command, "rebalance", 30'000);
  request.client = {.id = "c", .host = "/h"};
  request.member_id_required = has(command, "required");
  request.skip_assignment_known = has(command, "skip");
  harness_->machine().join(harness_->ticket("join " + command.arguments.at(1)), request,
                           harness_->now());
  harness_->perform();
}

void Session::sync(const ScriptCommand& command) {
  SyncGroup request;
  request.group = group_of(command);
  request.member = command.arguments.at(1);
  request.generation = Epoch{number(command, "gen", -1)};
  request.instance = command.value("instance");
  request.protocol_type = command.value("type");
  request.protocol = command.value("protocol");
  for (const std::string& text : split(command.value("assign").value_or(""), ',')) {
    const auto [member, assignment] = cut(text, ':');
    request.assignments.push_back(
        {.member = member, .assignment = common::Bytes::copy_of(assignment)});
  }
  harness_->machine().sync(harness_->ticket("sync " + request.member), request, harness_->now());
  harness_->perform();
}

void Session::heartbeat(const ScriptCommand& command) {
  const Heartbeat request{.group = group_of(command),
                          .generation = Epoch{number(command, "gen", -1)},
                          .member = command.arguments.at(1),
                          .instance = command.value("instance")};
  harness_->machine().heartbeat(harness_->ticket("heartbeat " + request.member), request,
                                harness_->now());
  harness_->perform();
}

void Session::leave(const ScriptCommand& command) {
  LeaveGroup request{.group = group_of(command)};
  for (std::size_t i = 1; i < command.arguments.size(); ++i) {
    const auto [member, instance] = cut(command.arguments[i], '/');
    request.members.push_back({.member = member});
    if (!instance.empty()) request.members.back().instance = instance;
  }
  harness_->machine().leave(harness_->ticket("leave"), request, harness_->now());
  harness_->perform();
}

void Session::commit(const ScriptCommand& command) {
  OffsetCommit request;
  request.group = group_of(command);
  request.member = command.value("member").value_or("");
  request.instance = command.value("instance");
  request.epoch = Epoch{number(command, "gen", -1)};
  if (const auto own = command.value("retention")) request.retention_ms = std::stoll(*own);
  request.member_epochs_known = !has(command, "old");
  for (const std::string& argument : command.arguments) {
    const auto [partition, committed] = cut(argument, '=');
    if (partition.find(':') == std::string::npos) continue;
    const auto [offset, metadata] = cut(committed, ':');
    const auto where = parse_partition(partition, incarnation_);
    request.partitions.push_back({.topic = where.topic,
                                  .partition = where.partition,
                                  .offset = model::Offset{std::stoll(offset)},
                                  .metadata = metadata});
  }
  harness_->machine().commit(harness_->ticket("commit"), request, harness_->now());
  harness_->perform();
}

void Session::delete_offsets(const ScriptCommand& command) {
  OffsetDelete request{.group = group_of(command)};
  for (std::size_t i = 1; i < command.arguments.size(); ++i) {
    request.partitions.push_back(parse_partition(command.arguments[i], incarnation_));
  }
  harness_->machine().delete_offsets(harness_->ticket("delete-offsets"), request, harness_->now());
  harness_->perform();
}

std::string Session::fetch(const ScriptCommand& command) {
  OffsetFetch request{.group = group_of(command)};
  if (command.arguments.size() > 1) request.partitions.emplace();
  for (std::size_t i = 1; i < command.arguments.size(); ++i) {
    request.partitions->push_back(parse_partition(command.arguments[i], incarnation_));
  }
  const auto read = harness_->machine().fetch_offsets(request);
  const std::string text = "fetch: " + to_text(read.value);
  return text + (harness_->may_tell(read.after) ? "\n" : " (to be told later)\n");
}

}  // namespace millrace::coordinator
