#include "broker/kafka/testing/scripted_client.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "broker/wire/messages/alter_configs.h"
#include "broker/wire/messages/api_versions.h"
#include "broker/wire/messages/create_partitions.h"
#include "broker/wire/messages/delete_records.h"
#include "broker/wire/messages/delete_topics.h"
#include "broker/wire/messages/describe_cluster.h"
#include "broker/wire/messages/describe_configs.h"
#include "broker/wire/messages/describe_log_dirs.h"
#include "broker/wire/messages/describe_producers.h"
#include "broker/wire/messages/describe_topic_partitions.h"
#include "broker/wire/messages/incremental_alter_configs.h"
#include "broker/wire/messages/init_producer_id.h"
#include "broker/wire/messages/list_offsets.h"
#include "broker/wire/messages/metadata.h"
#include "broker/wire/messages/offset_for_leader_epoch.h"

namespace millrace::kafka::testing {
namespace {

const common::Uuid kNobody{{9, 9, 9}};

template <typename Number>
Number parse(std::string_view text) {
  Number number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  CHECK(error == std::errc{} && end == text.data() + text.size(), "'{}' is no number", text);
  return number;
}

/// What follows the separator, cut off the text.
std::optional<std::string> cut(std::string& text, char separator) {
  const std::size_t at = text.find(separator);
  if (at == std::string::npos) return std::nullopt;
  std::string rest = text.substr(at + 1);
  text.resize(at);
  return rest;
}

}  // namespace

std::string shown(std::int16_t error, const std::optional<std::string>& message) {
  const std::string_view name = model::error_row(static_cast<model::ErrorCode>(error)).kafka_name;
  return message ? fmt::format("{} \"{}\"", name, *message) : std::string(name);
}

const std::map<std::string, ScriptedClient::Row>& ScriptedClient::rows() {
  using Self = ScriptedClient;
  static const std::map<std::string, Row> table = [] {
    std::map<std::string, Row> all = {
        {"alter", row<wire::IncrementalAlterConfigsRequest>(&Self::alter)},
        {"api-versions", row<wire::ApiVersionsRequest>(&Self::api_versions)},
        {"cluster", row<wire::DescribeClusterRequest>(&Self::cluster)},
        {"configs", row<wire::DescribeConfigsRequest>(&Self::configs)},
        {"create", row<wire::CreateTopicsRequest>(&Self::create)},
        {"delete", row<wire::DeleteTopicsRequest>(&Self::remove)},
        {"delete-records", row<wire::DeleteRecordsRequest>(&Self::delete_records)},
        {"describe", row<wire::DescribeTopicPartitionsRequest>(&Self::describe)},
        {"epoch-end", row<wire::OffsetForLeaderEpochRequest>(&Self::epoch_end)},
        {"fetch", row<wire::FetchRequest>(&Self::fetch)},
        {"grow", row<wire::CreatePartitionsRequest>(&Self::grow)},
        {"init-producer", row<wire::InitProducerIdRequest>(&Self::init_producer)},
        {"log-dirs", row<wire::DescribeLogDirsRequest>(&Self::log_dirs)},
        {"metadata", row<wire::MetadataRequest>(&Self::metadata)},
        {"offsets", row<wire::ListOffsetsRequest>(&Self::offsets)},
        {"produce", row<wire::ProduceRequest>(&Self::produce)},
        {"producers", row<wire::DescribeProducersRequest>(&Self::producers)},
        {"replace-configs", row<wire::AlterConfigsRequest>(&Self::replace_configs)},
    };
    add_cluster_rows(all);
    add_group_rows(all);
    add_offset_rows(all);
    add_telemetry_rows(all);
    return all;
  }();
  return table;
}

std::string ScriptedClient::run(const Command& command) {
  if (command.name == "broker") return restart(command);
  if (command.name == "answer") return answer(command);
  if (const auto done = set_cluster(command)) return *done;
  const auto found = rows().find(command.name);
  CHECK(found != rows().end(), "there is no command '{}'", command.name);
  const Row& row = found->second;
  const std::string wanted = command.value("v").value_or(std::to_string(row.version_max));
  const std::size_t range = wanted.find("..");
  const auto first = parse<std::int16_t>(std::string_view(wanted).substr(0, range));
  const auto last = range == std::string::npos
                        ? first
                        : parse<std::int16_t>(std::string_view(wanted).substr(range + 2));
  CHECK(row.version_min <= first && first <= last && last <= row.version_max,
        "{} has the versions {} to {}", command.name, row.version_min, row.version_max);
  std::string all;
  std::string answer = (this->*row.handler)(command, first);
  for (std::int16_t from = first, version = first; from <= last; from = version) {
    std::string next;
    while (++version <= last && (next = (this->*row.handler)(command, version)) == answer) continue;
    if (from == first && version > last) return answer;
    all += fmt::format("v{}..{}:\n{}", from, version - 1, answer);
    answer = std::move(next);
  }
  return all;
}

std::string ScriptedClient::restart(const Command& command) {
  TestBrokerOptions options;
  for (const std::string& argument : command.arguments) {
    std::string key = argument;
    const std::string value = cut(key, '=').value_or("");
    if (key == "shards") {
      options.shards = parse<std::uint32_t>(value);
    } else if (key == "cluster") {
      options.neighbours = true;
    } else {
      options.config[key] = value;
    }
  }
  client_.reset();
  parties_.clear();
  broker_ = std::make_unique<TestBroker>(options);
  client_ = broker_->connect();
  ids_.clear();
  instance_ = {};
  return "ok\n";
}

void ScriptedClient::tell_outside(model::BrokerId broker, const Command& command) {
  std::vector<metadata::Endpoint> endpoints;
  for (std::string name : command.arguments) {
    const auto address = cut(name, '=');
    if (!address) continue;
    const auto place = env::Endpoint::parse(*address);
    CHECK(place.ok(), "'{}' is no address", *address);
    endpoints.push_back({name, place->host, place->port});
  }
  broker_->tell_outside(broker, std::move(endpoints));
}

std::optional<std::string> ScriptedClient::set_cluster(const Command& command) {
  service::testing::FakeNeighbours& others = broker_->others();
  const auto broker = [&] { return model::BrokerId{parse<std::int32_t>(command.arguments.at(0))}; };
  if (command.name == "come") {
    client_ = broker_->connect(0, command.arguments.at(0));
  } else if (command.name == "outside") {
    tell_outside(broker(), command);
  } else if (command.name == "enroll") {
    broker_->enroll(broker(), command.value("rack").value_or(""));
  } else if (command.name == "alive") {
    others.alive_now.insert(broker());
  } else if (command.name == "dead") {
    others.alive_now.erase(broker());
  } else if (command.name == "lost") {
    others.lost_now.insert(broker());
  } else if (command.name == "leads") {
    const Target target = targets(command).at(0);
    const auto topic = broker_->shard().image().topic(target.name);
    CHECK(topic != nullptr, "there is no topic '{}'", target.name);
    cluster::Leadership leadership{
        .leader = model::BrokerId{static_cast<std::int32_t>(number(command, "by", -1))},
        .term = model::Term{static_cast<std::int32_t>(number(command, "epoch", 0))},
        .in_sync = {}};
    for (const std::string& one : split(command.value("in-sync").value_or("")))
      leadership.in_sync.emplace_back(parse<std::int32_t>(one));
    CHECK(others.table.learn({topic->id, model::PartitionIndex{target.number.value_or(0)}},
                             leadership));
  } else {
    return std::nullopt;
  }
  return "ok\n";
}

std::vector<ScriptedClient::Target> ScriptedClient::targets(const Command& command) const {
  std::vector<Target> all;
  for (std::string text : command.arguments) {
    // Options have '=' in them; flags are known words.
    if (text.find('=') != std::string::npos || flag(command, text)) continue;
    Target target;
    target.by_id = text.starts_with('@');
    if (target.by_id) text.erase(0, 1);
    if (const auto offset = cut(text, '@')) target.offset = parse<std::int64_t>(*offset);
    if (auto number = cut(text, ':')) {
      if (const auto second = cut(*number, ':')) target.second = parse<std::int16_t>(*second);
      target.number = parse<std::int32_t>(*number);
    }
    target.name = text == "''" ? "" : text;
    const auto id = ids_.find(target.name);
    target.id = id == ids_.end() ? kNobody : id->second;
    all.push_back(std::move(target));
  }
  return all;
}

std::vector<std::pair<std::string, std::string>> ScriptedClient::pairs(const Command& command,
                                                                       const std::string& word) {
  std::vector<std::pair<std::string, std::string>> found;
  for (const std::string& argument : command.arguments) {
    if (!argument.starts_with(word + ":")) continue;
    const std::string rest = argument.substr(word.size() + 1);
    const std::size_t equals = rest.find('=');
    found.emplace_back(rest.substr(0, equals),
                       equals == std::string::npos ? "" : rest.substr(equals + 1));
  }
  return found;
}

std::int64_t ScriptedClient::number(const Command& command, std::string_view key,
                                    std::int64_t otherwise) {
  const auto value = command.value(key);
  return value ? parse<std::int64_t>(*value) : otherwise;
}

bool ScriptedClient::flag(const Command& command, std::string_view word) {
  static const std::vector<std::string_view> kWords = {
      "all", "brokers", "create!", "leaders", "later", "none", "same-factor", "stable", "validate"};
  return std::find(kWords.begin(), kWords.end(), word) != kWords.end() &&
         std::find(command.arguments.begin(), command.arguments.end(), word) !=
             command.arguments.end();
}

}  // namespace millrace::kafka::testing
