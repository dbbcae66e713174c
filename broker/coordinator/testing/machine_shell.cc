#include "broker/coordinator/testing/machine_shell.h"

#include <fmt/format.h>

#include <sstream>
#include <utility>

#include "common/check.h"

namespace millrace::coordinator {
namespace {

std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> parts;
  std::istringstream stream(text);
  for (std::string part; std::getline(stream, part, separator);) parts.push_back(part);
  return parts;
}

}  // namespace

MachineShell::MachineShell(const Settings& settings) : settings_(settings), harness_(settings) {
  harness_.set_topics(topics_);
}

void MachineShell::change_settings(const Settings& settings) {
  settings_ = settings;
  harness_.set_settings(settings);
}

void MachineShell::publish(Topics topics) {
  ++topics.version;
  topics_ = std::make_shared<const Topics>(std::move(topics));
  harness_.set_topics(topics_);
}

void MachineShell::set_topic(const std::string& name, std::int32_t partitions) {
  Topics changed = *topics_;
  Topic& topic = changed.by_name[name];
  if (topic.name.empty()) {
    topic.name = name;
    topic.id.bytes[0] = 1;
    topic.id.bytes[15] = static_cast<std::uint8_t>(++ids_made_);
    topic.id.bytes[14] = static_cast<std::uint8_t>(ids_made_ >> 8);
    changed.names[topic.id] = name;
  }
  topic.partitions = partitions;
  publish(std::move(changed));
}

void MachineShell::delete_topic(const std::string& name) {
  Topics changed = *topics_;
  const auto at = changed.by_name.find(name);
  if (at == changed.by_name.end()) return;
  changed.names.erase(at->second.id);
  changed.by_name.erase(at);
  publish(std::move(changed));
}

std::string MachineShell::text(const std::vector<TopicPartitions>& topics) const {
  std::string text;
  for (const TopicPartitions& one : topics) {
    const auto name = topics_->names.find(one.topic);
    text += fmt::format("{}{}:{}", text.empty() ? "" : ";",
                        name == topics_->names.end() ? one.topic.text() : name->second,
                        fmt::join(one.partitions, ","));
  }
  return text.empty() ? "nothing" : text;
}

std::vector<TopicPartitions> MachineShell::parse(const std::string& text) const {
  std::vector<TopicPartitions> topics;
  if (text == "nothing") return topics;
  for (const std::string& one : split(text, ';')) {
    const std::vector<std::string> sides = split(one, ':');
    const auto topic = topics_->by_name.find(sides.at(0));
    CHECK(topic != topics_->by_name.end(), "no topic {}", sides[0]);
    TopicPartitions parsed{topic->second.id, {}};
    for (const std::string& number : split(sides.at(1), ','))
      parsed.partitions.push_back(std::stoi(number));
    topics.push_back(std::move(parsed));
  }
  return topics;
}

Ticket MachineShell::draw() {
  const std::uint64_t number = ++tickets_;
  const Ticket ticket = harness_.ticket(std::to_string(number));
  CHECK(ticket == Ticket{number}, "somebody else draws tickets");
  return ticket;
}

void MachineShell::settle() {
  harness_.perform();
  for (auto& [label, answer] : harness_.take_answers())
    answers_.insert_or_assign(Ticket{std::stoull(label)}, std::move(answer));
}

template <typename Outcome>
Outcome MachineShell::taken(Ticket ticket) {
  settle();
  std::optional<Outcome> outcome = take<Outcome>(ticket);
  CHECK(outcome.has_value(), "no answer");
  return std::move(*outcome);
}

ConsumerHeartbeatOutcome MachineShell::beat(const ConsumerHeartbeat& request) {
  const Ticket ticket = draw();
  harness_.machine().consumer_heartbeat(ticket, request, harness_.now());
  return taken<ConsumerHeartbeatOutcome>(ticket);
}

SyncOutcome MachineShell::sync_consumer(const SyncGroup& request) {
  const Ticket ticket = draw();
  harness_.machine().sync(ticket, request, harness_.now());
  return taken<SyncOutcome>(ticket);
}

Status MachineShell::heartbeat(const Heartbeat& request) {
  const Ticket ticket = draw();
  harness_.machine().heartbeat(ticket, request, harness_.now());
  return taken<Status>(ticket);
}

LeaveOutcome MachineShell::leave(const LeaveGroup& request) {
  const Ticket ticket = draw();
  harness_.machine().leave(ticket, request, harness_.now());
  return taken<LeaveOutcome>(ticket);
}

OffsetCommitOutcome MachineShell::commit(const OffsetCommit& request) {
  const Ticket ticket = draw();
  harness_.machine().commit(ticket, request, harness_.now());
  return taken<OffsetCommitOutcome>(ticket);
}

Ticket MachineShell::join(const JoinGroup& request) {
  const Ticket ticket = draw();
  harness_.machine().join(ticket, request, harness_.now());
  settle();
  return ticket;
}

Ticket MachineShell::sync(const SyncGroup& request) {
  const Ticket ticket = draw();
  harness_.machine().sync(ticket, request, harness_.now());
  settle();
  return ticket;
}

void MachineShell::reload(Harness::LoadFrom from) {
  harness_.resign(ErrorCode::kNotCoordinator);
  harness_.crash(from);
  settle();
}

}  // namespace millrace::coordinator
