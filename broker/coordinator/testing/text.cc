#include "broker/coordinator/testing/text.h"

#include <fmt/format.h>

#include "broker/model/errors.h"

namespace millrace::coordinator {
namespace {

std::string partitions_text(const std::vector<TopicPartitions>& topics) {
  std::string text;
  for (const TopicPartitions& topic : topics) {
    // Test topics have ids whose last byte is their name.
    const auto name = static_cast<char>(topic.topic.bytes[15]);
    for (const std::int32_t partition : topic.partitions) {
      text += fmt::format("{}{}:{}", text.empty() ? "" : ",", name, partition);
    }
  }
  return text;
}

std::string held_text(const std::vector<HeldPartitions>& topics) {
  std::vector<TopicPartitions> plain;
  for (const HeldPartitions& topic : topics) plain.push_back({topic.topic, topic.partitions});
  return partitions_text(plain);
}

std::string text_of(const OffsetRecord& record) {
  std::string text = fmt::format("offset {} {}:{}", record.group, record.topic, record.partition);
  if (!record.value.has_value()) return text + " gone";
  text += fmt::format(" {}", record.value->offset);
  if (!record.value->metadata.empty()) text += fmt::format(" '{}'", record.value->metadata);
  if (record.value->expires.value() >= 0) text += " expires";
  return text;
}

std::string text_of(const ClassicGroupRecord& record) {
  std::string text = fmt::format("classic {}", record.group);
  if (!record.value.has_value()) return text + " gone";
  text +=
      fmt::format(" type={} generation={}", record.value->protocol_type, record.value->generation);
  if (record.value->protocol.has_value()) text += " protocol=" + *record.value->protocol;
  if (record.value->leader.has_value()) text += " leader=" + *record.value->leader;
  for (const auto& member : record.value->members) {
    text += fmt::format(" {}={}", member.member, member.assignment.text());
  }
  return text;
}

std::string text_of(const ConsumerGroupRecord& record) {
  const std::string text = fmt::format("consumer {}", record.group);
  return record.value.has_value() ? fmt::format("{} epoch={}", text, record.value->epoch)
                                  : text + " gone";
}

std::string text_of(const ConsumerMemberRecord& record) {
  std::string text = fmt::format("member {} {}", record.group, record.member);
  if (!record.value.has_value()) return text + " gone";
  if (record.value->instance.has_value()) text += " instance=" + *record.value->instance;
  text += fmt::format(" topics={}", fmt::join(record.value->topics, ","));
  if (record.value->classic.has_value()) text += " classic";
  return text;
}

std::string text_of(const TargetEpochRecord& record) {
  const std::string text = fmt::format("targets {}", record.group);
  return record.value.has_value() ? fmt::format("{} epoch={}", text, *record.value)
                                  : text + " gone";
}

std::string text_of(const TargetRecord& record) {
  const std::string text = fmt::format("target {} {}", record.group, record.member);
  return record.value.has_value() ? fmt::format("{} [{}]", text, partitions_text(*record.value))
                                  : text + " gone";
}

std::string text_of(const CurrentRecord& record) {
  std::string text = fmt::format("current {} {}", record.group, record.member);
  if (!record.value.has_value()) return text + " gone";
  text += fmt::format(" epoch={} [{}]", record.value->epoch, held_text(record.value->assigned));
  if (!record.value->pending_revocation.empty()) {
    text += fmt::format(" revoking [{}]", held_text(record.value->pending_revocation));
  }
  return text;
}

std::string text_of(const RegexRecord& record) {
  const std::string text = fmt::format("regex {} {}", record.group, record.regex);
  return record.value.has_value()
             ? fmt::format("{} topics={}", text, fmt::join(record.value->topics, ","))
             : text + " gone";
}

std::string text_of(const Status& status) {
  return to_text(status);
}

std::string text_of(const JoinOutcome& outcome) {
  std::string text = to_text(outcome.status);
  if (!outcome.status.ok()) {
    return outcome.member.empty() ? text : fmt::format("{} member={}", text, outcome.member);
  }
  text += fmt::format(" member={} generation={} type={} protocol={} leader={}", outcome.member,
                      outcome.generation, outcome.protocol_type.value_or("null"),
                      outcome.protocol.value_or("null"), outcome.leader);
  if (outcome.skip_assignment) text += " skip-assignment";
  for (std::size_t i = 0; i < outcome.members.size(); ++i) {
    text += fmt::format("{}{}", i == 0 ? " members=" : ",", outcome.members[i].member);
  }
  return text;
}

std::string text_of(const SyncOutcome& outcome) {
  if (!outcome.status.ok()) return to_text(outcome.status);
  return fmt::format("ok type={} protocol={} assignment='{}'",
                     outcome.protocol_type.value_or("null"), outcome.protocol.value_or("null"),
                     outcome.assignment.text());
}

std::string text_of(const LeaveOutcome& outcome) {
  std::string text = to_text(outcome.status);
  for (const Status& member : outcome.members) text += " " + to_text(member);
  return text;
}

std::string text_of(const ConsumerHeartbeatOutcome& outcome) {
  std::string text = to_text(outcome.status);
  if (!outcome.status.ok()) return text;
  text += fmt::format(" member={} epoch={}", outcome.member, outcome.epoch);
  if (outcome.assignment.has_value()) text += " [" + partitions_text(*outcome.assignment) + "]";
  return text;
}

std::string codes_text(const Status& status, const std::vector<ErrorCode>& codes) {
  std::string text = to_text(status);
  for (const ErrorCode code : codes) text += " " + to_text(Status{.code = code});
  return text;
}
std::string text_of(const OffsetCommitOutcome& outcome) {
  return codes_text(outcome.status, outcome.partitions);
}
std::string text_of(const OffsetDeleteOutcome& outcome) {
  return codes_text(outcome.status, outcome.partitions);
}

}  // namespace

std::string to_text(const Record& record) {
  return std::visit([](const auto& one) { return text_of(one); }, record);
}

std::string key_text(const Record& record) {
  struct Namer {
    std::string operator()(const OffsetRecord& r) const {
      return fmt::format("offset {} {}:{}", r.group, r.topic, r.partition);
    }
    std::string operator()(const ClassicGroupRecord& r) const { return "classic " + r.group; }
    std::string operator()(const ConsumerGroupRecord& r) const { return "consumer " + r.group; }
    std::string operator()(const ConsumerMemberRecord& r) const {
      return fmt::format("member {} {}", r.group, r.member);
    }
    std::string operator()(const TargetEpochRecord& r) const { return "targets " + r.group; }
    std::string operator()(const TargetRecord& r) const {
      return fmt::format("target {} {}", r.group, r.member);
    }
    std::string operator()(const CurrentRecord& r) const {
      return fmt::format("current {} {}", r.group, r.member);
    }
    std::string operator()(const RegexRecord& r) const {
      return fmt::format("regex {} {}", r.group, r.regex);
    }
  };
  return std::visit(Namer{}, record);
}

std::string to_text(const Answer& answer) {
  return std::visit([](const auto& one) { return text_of(one); }, answer);
}

std::string to_text(const Status& status) {
  return status.ok() ? "ok" : std::string(model::error_row(status.code).kafka_name);
}

std::string to_text(const OffsetFetchOutcome& outcome) {
  std::string text = to_text(outcome.status);
  for (const auto& partition : outcome.partitions) {
    text += fmt::format(" {}:{}={}", partition.topic.name, partition.partition,
                        partition.committed.offset);
    if (!partition.committed.metadata.empty()) {
      text += fmt::format("'{}'", partition.committed.metadata);
    }
  }
  return text;
}

std::string to_text(const GroupDescription& description) {
  std::string text = to_text(description.status);
  text += fmt::format(" {} state={} type={}", description.summary.group,
                      name_of(description.summary.state), name_of(description.summary.type));
  if (!description.summary.protocol_type.empty()) {
    text += " protocol-type=" + description.summary.protocol_type;
  }
  text += fmt::format(" epoch={}", description.epoch);
  if (!description.protocol.empty()) text += " protocol=" + description.protocol;
  for (const auto& member : description.members) {
    text += fmt::format("\n  {}", member.member);
    if (member.instance.has_value()) text += " instance=" + *member.instance;
    if (!member.client.id.empty()) text += " client=" + member.client.id + member.client.host;
    if (!member.metadata.empty()) text += fmt::format(" metadata={}b", member.metadata.size());
    if (!member.assignment_bytes.empty()) {
      text += fmt::format(" assignment='{}'", member.assignment_bytes.text());
    }
  }
  return text;
}

}  // namespace millrace::coordinator
