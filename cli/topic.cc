// millctl topic create|list|describe|alter|delete|add-partitions|offsets|trim
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/commands.h"
#include "cli/table.h"
#include "millrace/v1/admin.grpc.pb.h"

namespace millrace::cli {
namespace {

using nlohmann::json;

std::unique_ptr<v1::Admin::Stub> admin(const Client& client) {
  return v1::Admin::NewStub(client.channel());
}

json summary_json(const v1::TopicSummary& topic) {
  return {{"name", topic.name()},
          {"topic_id", topic.topic_id()},
          {"partitions", topic.partitions()},
          {"replication_factor", topic.replication_factor()},
          {"internal", topic.internal()}};
}

/// "a=b" split; false if there is no '='.
bool split_setting(const std::string& text, std::string& name, std::string& value) {
  const std::size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0) return false;
  name = text.substr(0, equals);
  value = text.substr(equals + 1);
  return true;
}

Exit usage(const std::string& text) {
  fmt::print(stderr, "millctl: {}\n", text);
  return Exit::kUsage;
}

struct CreateOptions {
  std::string name;
  int partitions = 0;
  int replication_factor = 0;
  std::vector<std::string> configs;
  bool if_not_exists = false;
  bool validate_only = false;
};

Exit create(const Global& global, const CreateOptions& options) {
  const Client client(global);
  v1::CreateTopicRequest request;
  request.set_name(options.name);
  request.set_partitions(options.partitions);
  request.set_replication_factor(options.replication_factor);
  request.set_validate_only(options.validate_only);
  for (const std::string& setting : options.configs) {
    std::string name;
    std::string value;
    if (!split_setting(setting, name, value))
      return usage(fmt::format("--config takes NAME=VALUE, not {}", setting));
    (*request.mutable_configs())[name] = value;
  }
  v1::CreateTopicResponse response;
  const auto context = client.context();
  const ::grpc::Status status = admin(client)->CreateTopic(context.get(), request, &response);
  if (status.error_code() == ::grpc::StatusCode::ALREADY_EXISTS && options.if_not_exists) {
    if (!global.json) fmt::print("topic {} exists\n", options.name);
    return Exit::kOk;
  }
  if (!status.ok()) return client.report(status);
  if (global.json) {
    fmt::print("{}\n", json{{"name", response.name()},
                            {"topic_id", response.topic_id()},
                            {"partitions", response.partitions()},
                            {"replication_factor", response.replication_factor()}}
                           .dump());
  } else {
    fmt::print("{} topic {}: {} partition(s), replication factor {}\n",
               options.validate_only ? "would create" : "created", response.name(),
               response.partitions(), response.replication_factor());
  }
  return Exit::kOk;
}

Exit list(const Global& global, bool internal) {
  const Client client(global);
  v1::ListTopicsRequest request;
  request.set_include_internal(internal);
  v1::ListTopicsResponse response;
  const auto context = client.context();
  const ::grpc::Status status = admin(client)->ListTopics(context.get(), request, &response);
  if (!status.ok()) return client.report(status);
  if (global.json) {
    json rows = json::array();
    for (const v1::TopicSummary& topic : response.topics()) rows.push_back(summary_json(topic));
    fmt::print("{}\n", rows.dump());
    return Exit::kOk;
  }
  Table table({"TOPIC", "PARTITIONS", "REPLICATION", "TOPIC ID"});
  for (const v1::TopicSummary& topic : response.topics()) {
    table.add({topic.name(), std::to_string(topic.partitions()),
               std::to_string(topic.replication_factor()), topic.topic_id()});
  }
  fmt::print("{}", table.text());
  return Exit::kOk;
}

template <typename Numbers>
std::string joined(const Numbers& numbers) {
  return fmt::format("{}", fmt::join(numbers, ","));
}

/// -1: its leader does not answer, or there is none.
std::string known(std::int64_t number) {
  return number < 0 ? "-" : std::to_string(number);
}

void print_description(const v1::DescribeTopicResponse& response) {
  fmt::print("topic {}  id {}  partitions {}  replication {}\n", response.topic().name(),
             response.topic().topic_id(), response.topic().partitions(),
             response.topic().replication_factor());
  for (const auto& [name, value] :
       std::map<std::string, std::string>(response.configs().begin(), response.configs().end())) {
    fmt::print("  {} = {}\n", name, value);
  }
  Table table({"PARTITION", "LEADER", "EPOCH", "REPLICAS", "IN SYNC", "TARGET", "START",
               "HIGH WATERMARK", "SIZE"});
  for (const v1::PartitionDescription& row : response.partitions()) {
    table.add({std::to_string(row.partition()), row.leader() < 0 ? "none" : known(row.leader()),
               known(row.leader_epoch()), joined(row.replicas()), joined(row.in_sync()),
               row.target().empty() ? "-" : joined(row.target()), known(row.log_start_offset()),
               known(row.high_watermark()),
               row.size_bytes() < 0 ? "-" : human_bytes(row.size_bytes())});
  }
  fmt::print("{}", table.text());
}

Exit describe(const Global& global, const std::string& name) {
  const Client client(global);
  v1::DescribeTopicRequest request;
  request.set_name(name);
  v1::DescribeTopicResponse response;
  const auto context = client.context();
  const ::grpc::Status status = admin(client)->DescribeTopic(context.get(), request, &response);
  if (!status.ok()) return client.report(status);
  if (!global.json) {
    print_description(response);
    return Exit::kOk;
  }
  json topic = summary_json(response.topic());
  topic["configs"] =
      std::map<std::string, std::string>(response.configs().begin(), response.configs().end());
  json rows = json::array();
  for (const v1::PartitionDescription& row : response.partitions()) {
    rows.push_back({{"partition", row.partition()},
                    {"leader", row.leader()},
                    {"leader_epoch", row.leader_epoch()},
                    {"replicas", std::vector<int>(row.replicas().begin(), row.replicas().end())},
                    {"in_sync", std::vector<int>(row.in_sync().begin(), row.in_sync().end())},
                    {"target", std::vector<int>(row.target().begin(), row.target().end())},
                    {"log_start_offset", row.log_start_offset()},
                    {"high_watermark", row.high_watermark()},
                    {"size_bytes", row.size_bytes()}});
  }
  topic["partition_details"] = rows;
  fmt::print("{}\n", topic.dump());
  return Exit::kOk;
}

struct AlterOptions {
  std::string name;
  std::vector<std::string> set;
  std::vector<std::string> unset;
};

Exit alter(const Global& global, const AlterOptions& options) {
  const Client client(global);
  v1::AlterConfigsRequest request;
  request.set_type(v1::RESOURCE_TYPE_TOPIC);
  request.set_name(options.name);
  for (const std::string& setting : options.set) {
    v1::ConfigChange& change = *request.add_changes();
    if (!split_setting(setting, *change.mutable_name(), *change.mutable_value())) {
      return usage(fmt::format("--set takes NAME=VALUE, not {}", setting));
    }
  }
  for (const std::string& name : options.unset) {
    v1::ConfigChange& change = *request.add_changes();
    change.set_name(name);
    change.set_operation(v1::CONFIG_OPERATION_DELETE);
  }
  if (request.changes().empty())
    return usage("nothing to change: give --set NAME=VALUE or --unset NAME");
  v1::AlterConfigsResponse response;
  const auto context = client.context();
  const ::grpc::Status status = admin(client)->AlterConfigs(context.get(), request, &response);
  if (!status.ok()) return client.report(status);
  if (!global.json) fmt::print("altered topic {}\n", options.name);
  return Exit::kOk;
}

Exit remove(const Global& global, const std::string& name, bool if_exists) {
  const Client client(global);
  v1::DeleteTopicRequest request;
  request.set_name(name);
  v1::DeleteTopicResponse response;
  const auto context = client.context();
  const ::grpc::Status status = admin(client)->DeleteTopic(context.get(), request, &response);
  if (status.error_code() == ::grpc::StatusCode::NOT_FOUND && if_exists) return Exit::kOk;
  if (!status.ok()) return client.report(status);
  if (!global.json) fmt::print("deleted topic {}\n", name);
  return Exit::kOk;
}

Exit add_partitions(const Global& global, const std::string& name, int total) {
  const Client client(global);
  v1::CreatePartitionsRequest request;
  request.set_topic(name);
  request.set_partitions(total);
  v1::CreatePartitionsResponse response;
  const auto context = client.context();
  const ::grpc::Status status = admin(client)->CreatePartitions(context.get(), request, &response);
  if (!status.ok()) return client.report(status);
  if (!global.json) fmt::print("topic {} has {} partitions now\n", name, response.partitions());
  return Exit::kOk;
}

Exit trim(const Global& global, const std::string& name, const std::vector<std::string>& before) {
  const Client client(global);
  v1::DeleteRecordsRequest request;
  request.set_topic(name);
  for (const std::string& entry : before) {
    std::string partition;
    std::string offset;
    if (!split_setting(entry, partition, offset))
      return usage(fmt::format("--before takes PARTITION=OFFSET, not {}", entry));
    try {
      (*request.mutable_before())[std::stoi(partition)] = offset == "end" ? -1 : std::stoll(offset);
    } catch (const std::exception&) {
      return usage(fmt::format("--before takes numbers, as in 0=100 or 0=end, not {}", entry));
    }
  }
  v1::DeleteRecordsResponse response;
  const auto context = client.context();
  const ::grpc::Status status = admin(client)->DeleteRecords(context.get(), request, &response);
  if (!status.ok()) return client.report(status);
  const std::map<int, std::int64_t> starts(response.log_start_offsets().begin(),
                                           response.log_start_offsets().end());
  if (global.json) {
    json rows = json::array();
    for (const auto& [partition, start] : starts)
      rows.push_back({{"partition", partition}, {"log_start_offset", start}});
    fmt::print("{}\n", rows.dump());
    return Exit::kOk;
  }
  for (const auto& [partition, start] : starts)
    fmt::print("partition {} starts at offset {} now\n", partition, start);
  return Exit::kOk;
}

void add_create(CLI::App& topic, const Global& global, Exit& exit) {
  auto options = std::make_shared<CreateOptions>();
  CLI::App* command = topic.add_subcommand("create", "Create a topic");
  command->add_option("name", options->name, "name of the topic")->required();
  command
      ->add_option("-p,--partitions", options->partitions,
                   "number of partitions (default: the broker's num.partitions)")
      ->check(CLI::PositiveNumber);
  command
      ->add_option("-r,--replication-factor", options->replication_factor,
                   "copies of each partition")
      ->check(CLI::PositiveNumber);
  command->add_option("-c,--config", options->configs,
                      "a topic setting, NAME=VALUE; may be given several times");
  command->add_flag("--if-not-exists", options->if_not_exists,
                    "succeed when the topic is there already");
  command->add_flag("--validate-only", options->validate_only,
                    "check everything and create nothing");
  command->footer("example: millctl topic create orders -p 6 -c retention.ms=86400000");
  command->callback([options, &global, &exit] { exit = create(global, *options); });
}

void add_alter(CLI::App& topic, const Global& global, Exit& exit) {
  auto options = std::make_shared<AlterOptions>();
  CLI::App* command = topic.add_subcommand("alter", "Change settings of a topic");
  command->add_option("name", options->name, "name of the topic")->required();
  command->add_option("-s,--set", options->set, "NAME=VALUE; may be given several times");
  command->add_option("-u,--unset", options->unset,
                      "NAME: back to its default; may be given several times");
  command->footer(
      "example: millctl topic alter orders --set retention.ms=3600000 --unset max.message.bytes");
  command->callback([options, &global, &exit] { exit = alter(global, *options); });
}

void add_named(CLI::App& topic, const Global& global, Exit& exit) {
  auto name = std::make_shared<std::string>();
  CLI::App* one =
      topic.add_subcommand("describe", "Show partitions, offsets, sizes and settings of a topic");
  one->add_option("name", *name, "name of the topic")->required();
  one->callback([name, &global, &exit] { exit = describe(global, *name); });

  auto if_exists = std::make_shared<bool>(false);
  CLI::App* gone = topic.add_subcommand("delete", "Delete a topic and all its records");
  gone->add_option("name", *name, "name of the topic")->required();
  gone->add_flag("--if-exists", *if_exists, "succeed when there is no such topic");
  gone->callback([name, if_exists, &global, &exit] { exit = remove(global, *name, *if_exists); });

  auto total = std::make_shared<int>(0);
  CLI::App* more =
      topic.add_subcommand("add-partitions", "Raise the number of partitions (it can never fall)");
  more->add_option("name", *name, "name of the topic")->required();
  more->add_option("--total", *total, "the new number of partitions")
      ->required()
      ->check(CLI::PositiveNumber);
  more->callback([name, total, &global, &exit] { exit = add_partitions(global, *name, *total); });

  auto before = std::make_shared<std::vector<std::string>>();
  CLI::App* cut = topic.add_subcommand("trim", "Delete records from the front of partitions");
  cut->add_option("name", *name, "name of the topic")->required();
  cut->add_option("--before", *before, "PARTITION=OFFSET or PARTITION=end: what is below goes")
      ->required();
  cut->footer("example: millctl topic trim orders --before 0=1000 --before 1=end");
  cut->callback([name, before, &global, &exit] { exit = trim(global, *name, *before); });
}

}  // namespace

void add_topic_commands(CLI::App& app, const Global& global, Exit& exit) {
  CLI::App* topic = app.add_subcommand("topic", "Create, list, describe, alter and delete topics");
  topic->require_subcommand(1);
  add_create(*topic, global, exit);
  auto internal = std::make_shared<bool>(false);
  CLI::App* all = topic->add_subcommand("list", "List topics");
  all->add_flag("--internal", *internal, "the broker's own topics too");
  all->callback([internal, &global, &exit] { exit = list(global, *internal); });
  add_alter(*topic, global, exit);
  add_named(*topic, global, exit);
}

}  // namespace millrace::cli
