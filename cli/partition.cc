// millctl partition list|move|transfer-leader|recover
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <charconv>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "cli/cluster_text.h"
#include "cli/commands.h"
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

void print(const Global& global, const std::string& text, const nlohmann::json& json) {
  fmt::print("{}", global.json ? json.dump() + "\n" : text);
}

struct Name {
  std::string topic;
  std::int32_t partition = 0;
  std::string text() const { return fmt::format("{}/{}", topic, partition); }
};

/// "orders/3"; names have no slash.
std::optional<Name> parse_name(const std::string& text) {
  const std::size_t slash = text.rfind('/');
  if (slash == std::string::npos || slash == 0) return std::nullopt;
  Name name{.topic = text.substr(0, slash)};
  const char* const end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data() + slash + 1, end, name.partition);
  if (error != std::errc{} || at != end || name.partition < 0) return std::nullopt;
  return name;
}

Exit bad_name(const std::string& text) {
  return usage(fmt::format("a partition is named TOPIC/NUMBER, not {}", text));
}

struct ListOptions {
  std::string topic;
  std::vector<std::string> troubles;
  std::optional<std::int32_t> broker;
  bool unwell = false;
  bool internal = false;
};

Exit list(const Global& global, const ListOptions& options) {
  v1::ListPartitionsRequest request;
  request.set_topic(options.topic);
  request.set_include_internal(options.internal || options.unwell);
  if (options.broker) request.set_broker(*options.broker);
  for (const std::string& name : options.troubles) {
    const v1::PartitionTrouble trouble = trouble_named(name);
    if (trouble == v1::PARTITION_TROUBLE_UNSPECIFIED)
      return usage(
          fmt::format("--trouble takes offline, under-min-in-sync, at-min-in-sync, "
                      "under-replicated or moving, not {}",
                      name));
    request.add_troubles(trouble);
  }
  if (options.unwell) {
    for (int number = 1; v1::PartitionTrouble_IsValid(number); ++number)
      request.add_troubles(static_cast<v1::PartitionTrouble>(number));
  }
  const Client client(global);
  v1::ListPartitionsResponse response;
  const auto context = client.context();
  const ::grpc::Status status = admin(client)->ListPartitions(context.get(), request, &response);
  if (!status.ok()) return client.report(status);
  fmt::print("{}", global.json ? partitions_json(response) + "\n" : partitions_text(response));
  return Exit::kOk;
}

struct MoveOptions {
  std::string partition;
  std::vector<std::int32_t> to;
  bool change_factor = false;
  bool cancel = false;
};

Exit cancel(const Global& global, const Name& name) {
  const Client client(global);
  v1::CancelMoveRequest request;
  request.set_topic(name.topic);
  request.set_partition(name.partition);
  v1::CancelMoveResponse response;
  const auto context = client.context();
  const ::grpc::Status status = admin(client)->CancelMove(context.get(), request, &response);
  if (!status.ok()) return client.report(status);
  print(global, fmt::format("{} stays where it was\n", name.text()),
        {{"topic", name.topic}, {"partition", name.partition}, {"cancelled", true}});
  return Exit::kOk;
}

Exit move(const Global& global, const MoveOptions& options) {
  const auto name = parse_name(options.partition);
  if (!name) return bad_name(options.partition);
  if (options.to.empty() != options.cancel) return usage("give --to or --cancel, and not both");
  if (options.cancel) return cancel(global, *name);
  const Client client(global);
  v1::MovePartitionRequest request;
  request.set_topic(name->topic);
  request.set_partition(name->partition);
  for (const std::int32_t broker : options.to) request.add_replicas(broker);
  request.set_change_replication_factor(options.change_factor);
  v1::MovePartitionResponse response;
  const auto context = client.context();
  const ::grpc::Status status = admin(client)->MovePartition(context.get(), request, &response);
  if (!status.ok()) return client.report(status);
  const bool moving = !response.target().empty();
  print(global,
        fmt::format("{} {} {}\n", name->text(), moving ? "goes to brokers" : "is on brokers",
                    fmt::join(options.to, ",")),
        {{"topic", name->topic},
         {"partition", name->partition},
         {"moving", moving},
         {"replicas", options.to}});
  return Exit::kOk;
}

struct TransferOptions {
  std::string partition;
  std::optional<std::int32_t> to;
};

Exit transfer(const Global& global, const TransferOptions& options) {
  const auto name = parse_name(options.partition);
  if (!name) return bad_name(options.partition);
  const Client client(global);
  v1::TransferLeaderRequest request;
  request.set_topic(name->topic);
  request.set_partition(name->partition);
  if (options.to) request.set_broker(*options.to);
  v1::TransferLeaderResponse response;
  const auto context = client.context();
  const ::grpc::Status status = admin(client)->TransferLeader(context.get(), request, &response);
  if (!status.ok()) return client.report(status);
  print(global, fmt::format("broker {} leads {}\n", response.leader(), name->text()),
        {{"topic", name->topic}, {"partition", name->partition}, {"leader", response.leader()}});
  return Exit::kOk;
}

struct RecoverOptions {
  std::string partition;
  std::optional<std::int32_t> broker;
  bool accept_data_loss = false;
};

Exit recover(const Global& global, const RecoverOptions& options) {
  const auto name = parse_name(options.partition);
  if (!name) return bad_name(options.partition);
  if (!options.accept_data_loss) {
    return usage(fmt::format(
        "records that only the lost replicas of {} have would be gone for good, and this cannot be "
        "taken back. First try to start the brokers that are away (millctl why {}). If they never "
        "come back, say --accept-data-loss",
        name->text(), name->text()));
  }
  const Client client(global);
  v1::RecoverPartitionRequest request;
  request.set_topic(name->topic);
  request.set_partition(name->partition);
  request.set_accept_data_loss(true);
  if (options.broker) request.set_broker(*options.broker);
  v1::RecoverPartitionResponse response;
  const auto context = client.context();
  const ::grpc::Status status = admin(client)->RecoverPartition(context.get(), request, &response);
  if (!status.ok()) return client.report(status);
  nlohmann::json rows = nlohmann::json::array();
  Table table({"BROKER", "LAST EPOCH", "END", "VOTES"});
  for (const v1::RemainingReplica& replica : response.replicas()) {
    rows.push_back({{"broker", replica.broker()},
                    {"last_epoch", replica.last_epoch()},
                    {"end_offset", replica.end_offset()},
                    {"votes", replica.votes()}});
    table.add({std::to_string(replica.broker()), std::to_string(replica.last_epoch()),
               std::to_string(replica.end_offset()), replica.votes() ? "yes" : "no"});
  }
  print(global,
        fmt::format("{}{} goes on with what broker {} has; its other replicas are made anew\n",
                    table.text(), name->text(), response.leader()),
        {{"topic", name->topic},
         {"partition", name->partition},
         {"leader", response.leader()},
         {"replicas", rows}});
  return Exit::kOk;
}

void add_list(CLI::App& group, const Global& global, Exit& exit) {
  auto options = std::make_shared<ListOptions>();
  CLI::App* command = group.add_subcommand("list", "Leaders and replicas of partitions");
  command->add_option("topic", options->topic, "only of this topic");
  command->add_flag("--unwell", options->unwell, "only those with a trouble, of all topics");
  command->add_option("--trouble", options->troubles,
                      "only those with this one: offline, under-min-in-sync, at-min-in-sync, "
                      "under-replicated, moving; may be given several times");
  command
      ->add_option("--on", options->broker, "only those that have, or get, a replica on a broker")
      ->check(CLI::NonNegativeNumber);
  command->add_flag("--internal", options->internal, "the brokers' own topics too");
  command->footer(
      "examples:\n  millctl partition list orders\n  millctl partition list --unwell\n"
      "  millctl partition list --on 3 -o json | jq length");
  command->callback([options, &global, &exit] { exit = list(global, *options); });
}

void add_move(CLI::App& group, const Global& global, Exit& exit) {
  auto options = std::make_shared<MoveOptions>();
  CLI::App* command =
      group.add_subcommand("move", "Bring the replicas of a partition to other brokers");
  command->add_option("partition", options->partition, "TOPIC/NUMBER")->required();
  command->add_option("--to", options->to, "the brokers, the preferred leader first: 2,0,1")
      ->delimiter(',');
  command->add_flag("--change-replication-factor", options->change_factor,
                    "more or fewer brokers than there were");
  command->add_flag("--cancel", options->cancel, "call off a move that is under way");
  command->footer(
      "It goes on by itself, throttled; millctl partition list TOPIC tells how far.\n"
      "example: millctl partition move orders/3 --to 2,0,1");
  command->callback([options, &global, &exit] { exit = move(global, *options); });
}

void add_leading(CLI::App& group, const Global& global, Exit& exit) {
  auto transferring = std::make_shared<TransferOptions>();
  CLI::App* hand_over =
      group.add_subcommand("transfer-leader", "Let another replica that is caught up lead");
  hand_over->add_option("partition", transferring->partition, "TOPIC/NUMBER")->required();
  hand_over->add_option("--to", transferring->to, "the broker (default: the preferred one)")
      ->check(CLI::NonNegativeNumber);
  hand_over->footer("example: millctl partition transfer-leader orders/3 --to 1");
  hand_over->callback([transferring, &global, &exit] { exit = transfer(global, *transferring); });

  auto recovering = std::make_shared<RecoverOptions>();
  CLI::App* rescue = group.add_subcommand(
      "recover", "Go on with what is left of a partition whose majority is lost for good");
  rescue
      ->add_option("partition", recovering->partition,
                   "TOPIC/NUMBER; __cluster_metadata/0 is the metadata itself")
      ->required();
  rescue->add_flag("--accept-data-loss", recovering->accept_data_loss,
                   "what only the lost replicas had may be gone for good");
  rescue
      ->add_option("--from", recovering->broker,
                   "the broker whose replica goes on (default: the one that has most)")
      ->check(CLI::NonNegativeNumber);
  rescue->footer(
      "Refused while it has a leader, or may get one by itself.\n"
      "example: millctl partition recover orders/3 --accept-data-loss");
  rescue->callback([recovering, &global, &exit] { exit = recover(global, *recovering); });
}

}  // namespace

void add_partition_commands(CLI::App& app, const Global& global, Exit& exit) {
  CLI::App* group = app.add_subcommand("partition", "Show, move, hand over and rescue partitions");
  group->require_subcommand(1);
  add_list(*group, global, exit);
  add_move(*group, global, exit);
  add_leading(*group, global, exit);
}

}  // namespace millrace::cli
