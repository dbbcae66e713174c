// millctl group list|describe|reset-offsets|delete-offsets|delete
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <charconv>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "cli/commands.h"
#include "cli/group_text.h"
#include "cli/table.h"
#include "millrace/v1/admin.grpc.pb.h"

namespace millrace::cli {
namespace {

std::unique_ptr<v1::Admin::Stub> admin(const Client& client) {
  return v1::Admin::NewStub(client.channel());
}

Exit usage(const std::string& text) {
  fmt::print(stderr, "millctl: {}\n", text);
  return Exit::kUsage;
}

std::optional<std::int64_t> number_in(std::string_view text) {
  std::int64_t number = 0;
  if (text.starts_with('+')) text.remove_prefix(1);
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return number;
}

struct ListOptions {
  std::vector<std::string> states;
  std::vector<std::string> types;
};

Exit list(const Global& global, const ListOptions& options) {
  const Client client(global);
  v1::ListGroupsRequest request;
  request.set_with_lag(true);
  for (const std::string& state : options.states) request.add_states(state);
  for (const std::string& type : options.types) request.add_types(type);
  v1::ListGroupsResponse response;
  const auto context = client.context();
  const ::grpc::Status status = admin(client)->ListGroups(context.get(), request, &response);
  if (!status.ok()) return client.report(status);
  fmt::print("{}", global.json ? groups_json(response) + "\n" : groups_text(response));
  return Exit::kOk;
}

Exit describe(const Global& global, const std::string& name) {
  const Client client(global);
  v1::DescribeGroupRequest request;
  request.set_name(name);
  v1::DescribeGroupResponse response;
  const auto context = client.context();
  const ::grpc::Status status = admin(client)->DescribeGroup(context.get(), request, &response);
  if (!status.ok()) return client.report(status);
  fmt::print("{}", global.json ? group_json(response) + "\n" : group_text(response));
  return Exit::kOk;
}

/// "orders" or "orders:0,2" (as Kafka's tools write it).
bool parse_topic(const std::string& text, v1::TopicPartitions& out) {
  const std::size_t colon = text.find(':');
  out.set_topic(text.substr(0, colon));
  if (colon == std::string::npos) return !out.topic().empty();
  std::string_view rest = std::string_view(text).substr(colon + 1);
  while (true) {
    const std::size_t comma = rest.find(',');
    const auto partition = number_in(rest.substr(0, comma));
    if (!partition || *partition < 0 || *partition > INT32_MAX) return false;
    out.add_partitions(static_cast<std::int32_t>(*partition));
    if (comma == std::string_view::npos) return !out.topic().empty();
    rest.remove_prefix(comma + 1);
  }
}

struct ResetOptions {
  std::string group;
  std::vector<std::string> topics;
  bool all_topics = false;
  std::string to;
  std::optional<std::int64_t> shift_by;
  bool dry_run = false;
};

/// "earliest", "latest", an offset, or "@" with milliseconds since 1970.
bool parse_target(const std::string& text, v1::ResetGroupOffsetsRequest& request) {
  if (text == "earliest") {
    request.set_earliest(true);
    return true;
  }
  if (text == "latest") {
    request.set_latest(true);
    return true;
  }
  const bool time = text.starts_with('@');
  const auto number = number_in(std::string_view(text).substr(time ? 1 : 0));
  if (!number || *number < 0) return false;
  if (time) {
    request.set_timestamp_ms(*number);
  } else {
    request.set_offset(*number);
  }
  return true;
}

Exit reset(const Global& global, const ResetOptions& options) {
  v1::ResetGroupOffsetsRequest request;
  request.set_group(options.group);
  request.set_dry_run(options.dry_run);
  if (options.topics.empty() != options.all_topics)
    return usage("give --topic NAME or --all-topics, and not both");
  for (const std::string& topic : options.topics) {
    if (!parse_topic(topic, *request.add_topics()))
      return usage(fmt::format("--topic takes NAME or NAME:0,1,2, not {}", topic));
  }
  if (options.to.empty() != options.shift_by.has_value())
    return usage("give --to or --shift-by, and not both");
  if (options.shift_by) {
    request.set_shift_by(*options.shift_by);
  } else if (!parse_target(options.to, request)) {
    return usage(fmt::format("--to takes earliest, latest, an offset, or @MILLISECONDS, not {}",
                             options.to));
  }
  const Client client(global);
  v1::ResetGroupOffsetsResponse response;
  const auto context = client.context();
  const ::grpc::Status status = admin(client)->ResetGroupOffsets(context.get(), request, &response);
  if (!status.ok()) return client.report(status);
  fmt::print("{}", global.json ? reset_json(response) + "\n" : reset_text(response));
  if (!global.json && options.dry_run) fmt::print("(a dry run: nothing was changed)\n");
  for (const v1::OffsetReset& row : response.partitions()) {
    if (!row.error().empty()) return Exit::kFailed;
  }
  return Exit::kOk;
}

Exit delete_offsets(const Global& global, const std::string& group,
                    const std::vector<std::string>& topics) {
  v1::DeleteGroupOffsetsRequest request;
  request.set_group(group);
  for (const std::string& topic : topics) {
    if (!parse_topic(topic, *request.add_topics()))
      return usage(fmt::format("--topic takes NAME or NAME:0,1,2, not {}", topic));
  }
  const Client client(global);
  v1::DeleteGroupOffsetsResponse response;
  const auto context = client.context();
  const ::grpc::Status status =
      admin(client)->DeleteGroupOffsets(context.get(), request, &response);
  if (!status.ok()) return client.report(status);
  Exit exit = Exit::kOk;
  nlohmann::json rows = nlohmann::json::array();
  Table table({"TOPIC", "PARTITION", "OUTCOME"});
  for (const v1::DeletedOffset& row : response.partitions()) {
    rows.push_back(
        {{"topic", row.topic()}, {"partition", row.partition()}, {"error", row.error()}});
    table.add({row.topic(), std::to_string(row.partition()),
               row.error().empty() ? "deleted" : row.error_message()});
    if (!row.error().empty()) exit = Exit::kFailed;
  }
  fmt::print("{}", global.json ? rows.dump() + "\n" : table.text());
  return exit;
}

Exit remove(const Global& global, const std::string& name, bool if_exists) {
  const Client client(global);
  v1::DeleteGroupRequest request;
  request.set_name(name);
  v1::DeleteGroupResponse response;
  const auto context = client.context();
  const ::grpc::Status status = admin(client)->DeleteGroup(context.get(), request, &response);
  if (status.error_code() == ::grpc::StatusCode::NOT_FOUND && if_exists) return Exit::kOk;
  if (!status.ok()) return client.report(status);
  if (!global.json) fmt::print("deleted group {}\n", name);
  return Exit::kOk;
}

void add_list(CLI::App& group, const Global& global, Exit& exit) {
  auto options = std::make_shared<ListOptions>();
  CLI::App* command = group.add_subcommand("list", "List groups with their lag");
  command->add_option("--state", options->states,
                      "only groups in this state (Stable, Empty, ...); may be given several times");
  command->add_option("--type", options->types, "only classic or consumer groups");
  command->footer(
      "examples:\n  millctl group list\n  millctl group list --state empty -o json | jq "
      "'.[].name'");
  command->callback([options, &global, &exit] { exit = list(global, *options); });
}

void add_reset(CLI::App& group, const Global& global, Exit& exit) {
  auto options = std::make_shared<ResetOptions>();
  CLI::App* command = group.add_subcommand(
      "reset-offsets", "Move the offsets of a group whose consumers are stopped");
  command->add_option("name", options->group, "name of the group")->required();
  command->add_option("-t,--topic", options->topics,
                      "NAME, or NAME:0,2 for some partitions; may be given several times");
  command->add_flag("--all-topics", options->all_topics,
                    "every partition that the group has an offset of");
  command->add_option("--to", options->to,
                      "earliest, latest, an offset, or @MILLISECONDS since 1970");
  command->add_option("--shift-by", options->shift_by,
                      "so many records on from where the group stands; negative: back");
  command->add_flag("-n,--dry-run", options->dry_run, "only show where the offsets would go");
  command->footer(
      "examples:\n"
      "  millctl group reset-offsets orders-app --topic orders --to earliest --dry-run\n"
      "  millctl group reset-offsets orders-app --topic orders:0,2 --to @1767225600000\n"
      "  millctl group reset-offsets orders-app --all-topics --shift-by -100");
  command->callback([options, &global, &exit] { exit = reset(global, *options); });
}

void add_named(CLI::App& group, const Global& global, Exit& exit) {
  auto name = std::make_shared<std::string>();
  CLI::App* one = group.add_subcommand(
      "describe", "Show members, who owns which partition, offsets and lag of a group");
  one->add_option("name", *name, "name of the group")->required();
  one->footer("example: millctl group describe orders-app");
  one->callback([name, &global, &exit] { exit = describe(global, *name); });

  auto if_exists = std::make_shared<bool>(false);
  CLI::App* gone = group.add_subcommand("delete", "Delete a group without members and its offsets");
  gone->add_option("name", *name, "name of the group")->required();
  gone->add_flag("--if-exists", *if_exists, "succeed when there is no such group");
  gone->footer("example: millctl group delete orders-app");
  gone->callback([name, if_exists, &global, &exit] { exit = remove(global, *name, *if_exists); });

  auto topics = std::make_shared<std::vector<std::string>>();
  CLI::App* forget = group.add_subcommand(
      "delete-offsets", "Forget a group's offsets of topics that its members do not read");
  forget->add_option("name", *name, "name of the group")->required();
  forget
      ->add_option("-t,--topic", *topics,
                   "NAME, or NAME:0,2 for some partitions; may be given several times")
      ->required();
  forget->footer("example: millctl group delete-offsets orders-app --topic orders-old");
  forget->callback(
      [name, topics, &global, &exit] { exit = delete_offsets(global, *name, *topics); });
}

}  // namespace

void add_group_commands(CLI::App& app, const Global& global, Exit& exit) {
  CLI::App* group =
      app.add_subcommand("group", "List, describe, rewind and delete consumer groups");
  group->require_subcommand(1);
  add_list(*group, global, exit);
  add_reset(*group, global, exit);
  add_named(*group, global, exit);
}

}  // namespace millrace::cli
