#include "cli/group_text.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "cli/table.h"

namespace millrace::cli {
namespace {

using nlohmann::json;
using Assignment = google::protobuf::RepeatedPtrField<v1::TopicPartitions>;

std::string or_dash(const std::string& text) {
  return text.empty() ? "-" : text;
}

/// "orders:0,1 payments:3"
std::string assignment_text(const Assignment& topics) {
  std::string text;
  for (const v1::TopicPartitions& topic : topics) {
    text += fmt::format("{}{}:{}", text.empty() ? "" : " ", topic.topic(),
                        fmt::join(topic.partitions(), ","));
  }
  return or_dash(text);
}

json assignment_json(const Assignment& topics) {
  json rows = json::array();
  for (const v1::TopicPartitions& topic : topics) {
    rows.push_back(
        {{"topic", topic.topic()},
         {"partitions", std::vector<int>(topic.partitions().begin(), topic.partitions().end())}});
  }
  return rows;
}

/// 1500 as "1.5 s".
std::string ago_text(std::int64_t ms) {
  if (ms < 0) return "-";
  return ms < 60'000 ? fmt::format("{:.1f} s", static_cast<double>(ms) / 1000)
                     : fmt::format("{} min", ms / 60'000);
}

std::string lag_text(std::int64_t lag) {
  return lag < 0 ? "?" : std::to_string(lag);
}

json summary_json(const v1::GroupSummary& group) {
  return {{"name", group.name()},
          {"state", group.state()},
          {"type", group.type()},
          {"protocol_type", group.protocol_type()},
          {"members", group.members()},
          {"lag", group.lag()},
          {"not_fetching", group.not_fetching()}};
}

json member_json(const v1::GroupMember& member) {
  return {{"member_id", member.member_id()},
          {"instance_id", member.instance_id()},
          {"client_id", member.client_id()},
          {"host", member.host()},
          {"rack", member.rack()},
          {"epoch", member.epoch()},
          {"classic", member.classic()},
          {"topics", std::vector<std::string>(member.topics().begin(), member.topics().end())},
          {"topic_regex", member.topic_regex()},
          {"assignment", assignment_json(member.assignment())},
          {"target", assignment_json(member.target())},
          {"silent_ms", member.silent_ms()}};
}

json partition_json(const v1::GroupPartition& row) {
  return {{"topic", row.topic()},
          {"partition", row.partition()},
          {"committed_offset",
           row.has_committed_offset() ? json(row.committed_offset()) : json(nullptr)},
          {"metadata", row.metadata()},
          {"committed_at_ms", row.committed_at_ms()},
          {"log_start_offset", row.log_start_offset()},
          {"end_offset", row.end_offset()},
          {"lag", row.lag()},
          {"member_id", row.member_id()},
          {"unfetched_ms", row.unfetched_ms()},
          {"not_fetching", row.not_fetching()}};
}

std::string dumped(const json& value) {
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

std::string members_text(const v1::DescribeGroupResponse& response) {
  Table table({"MEMBER", "INSTANCE", "CLIENT", "HOST", "EPOCH", "HEARD", "PARTITIONS"});
  for (const v1::GroupMember& member : response.members()) {
    table.add({member.member_id(), or_dash(member.instance_id()), or_dash(member.client_id()),
               or_dash(member.host()), member.epoch() < 0 ? "-" : std::to_string(member.epoch()),
               ago_text(member.silent_ms()), assignment_text(member.assignment())});
  }
  return table.text();
}

std::string partitions_text(const v1::DescribeGroupResponse& response) {
  Table table({"TOPIC", "PARTITION", "COMMITTED", "END", "LAG", "FETCHED", "MEMBER", ""});
  for (const v1::GroupPartition& row : response.partitions()) {
    table.add({row.topic(), std::to_string(row.partition()),
               row.has_committed_offset() ? std::to_string(row.committed_offset()) : "-",
               row.end_offset() < 0 ? "gone" : std::to_string(row.end_offset()),
               lag_text(row.lag()), ago_text(row.unfetched_ms()), or_dash(row.member_id()),
               row.not_fetching() ? "NOT FETCHING" : ""});
  }
  return table.text();
}

}  // namespace

std::string groups_text(const v1::ListGroupsResponse& response) {
  Table table({"GROUP", "STATE", "TYPE", "MEMBERS", "LAG", "NOT FETCHING"});
  for (const v1::GroupSummary& group : response.groups()) {
    table.add({group.name(), group.state(), group.type(), std::to_string(group.members()),
               std::to_string(group.lag()), std::to_string(group.not_fetching())});
  }
  return table.text();
}

std::string groups_json(const v1::ListGroupsResponse& response) {
  json rows = json::array();
  for (const v1::GroupSummary& group : response.groups()) rows.push_back(summary_json(group));
  return dumped(rows);
}

std::string group_text(const v1::DescribeGroupResponse& response) {
  const v1::GroupSummary& group = response.group();
  std::string text =
      fmt::format("group {}  {}  type {}  epoch {}  assignor {}  coordinator {}  lag {}\n",
                  group.name(), group.state(), group.type(), response.epoch(),
                  or_dash(response.assignor()), response.coordinator(), group.lag());
  if (response.members().empty()) {
    text += "no members\n";
  } else {
    text += "\n" + members_text(response);
  }
  if (response.partitions().empty()) return text + "no offsets\n";
  text += "\n" + partitions_text(response);
  if (group.not_fetching() > 0)
    text += fmt::format("\nmillctl why {} says more about what is not fetched\n", group.name());
  return text;
}

std::string group_json(const v1::DescribeGroupResponse& response) {
  json group = summary_json(response.group());
  group["epoch"] = response.epoch();
  group["assignment_epoch"] = response.assignment_epoch();
  group["assignor"] = response.assignor();
  group["coordinator"] = response.coordinator();
  json members = json::array();
  for (const v1::GroupMember& member : response.members()) members.push_back(member_json(member));
  json partitions = json::array();
  for (const v1::GroupPartition& row : response.partitions())
    partitions.push_back(partition_json(row));
  group["member_details"] = members;
  group["partitions"] = partitions;
  return dumped(group);
}

std::string reset_text(const v1::ResetGroupOffsetsResponse& response) {
  Table table({"TOPIC", "PARTITION", "BEFORE", "AFTER", "START", "END", "ERROR"});
  for (const v1::OffsetReset& row : response.partitions()) {
    table.add({row.topic(), std::to_string(row.partition()),
               row.has_before() ? std::to_string(row.before()) : "-",
               row.after() < 0 ? "-" : std::to_string(row.after()),
               std::to_string(row.log_start_offset()), std::to_string(row.end_offset()),
               or_dash(row.error_message())});
  }
  return table.text();
}

std::string reset_json(const v1::ResetGroupOffsetsResponse& response) {
  json rows = json::array();
  for (const v1::OffsetReset& row : response.partitions()) {
    rows.push_back({{"topic", row.topic()},
                    {"partition", row.partition()},
                    {"before", row.has_before() ? json(row.before()) : json(nullptr)},
                    {"after", row.after()},
                    {"log_start_offset", row.log_start_offset()},
                    {"end_offset", row.end_offset()},
                    {"error", row.error()},
                    {"error_message", row.error_message()}});
  }
  return dumped(rows);
}

}  // namespace millrace::cli
