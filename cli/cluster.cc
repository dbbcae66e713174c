// millctl cluster describe|health, millctl offsets TOPIC
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "cli/cluster_text.h"
#include "cli/commands.h"
#include "cli/patience.h"
#include "cli/table.h"
#include "millrace/v1/admin.grpc.pb.h"

namespace millrace::cli {
namespace {

Exit describe(const Global& global) {
  const Client client(global);
  v1::DescribeClusterResponse response;
  const auto context = client.context();
  const ::grpc::Status status =
      v1::Admin::NewStub(client.channel())
          ->DescribeCluster(context.get(), v1::DescribeClusterRequest(), &response);
  if (!status.ok()) return client.report(status);
  fmt::print("{}", global.json ? cluster_json(response) + "\n" : cluster_text(response));
  return Exit::kOk;
}

struct HealthOptions {
  int wait_s = 0;
  int brokers = 0;
};

/// One look. nullopt: the broker did not answer; `status` says why.
std::optional<v1::ClusterHealthResponse> look(const Client& client, ::grpc::Status& status) {
  v1::ClusterHealthResponse response;
  const auto context = client.context();
  status = v1::Admin::NewStub(client.channel())
               ->ClusterHealth(context.get(), v1::ClusterHealthRequest(), &response);
  if (!status.ok()) return std::nullopt;
  return response;
}

bool is_well(const v1::ClusterHealthResponse& response, const HealthOptions& options) {
  return response.health() == v1::HEALTH_GREEN && response.brokers_alive() >= options.brokers;
}

Exit health(const Global& global, const HealthOptions& options) {
  const Client client(global);
  const Patience patience(std::chrono::seconds(options.wait_s));
  while (true) {
    ::grpc::Status status;
    const auto response = look(client, status);
    const bool last = patience.over();
    if (response && (last || is_well(*response, options))) {
      fmt::print("{}", global.json ? health_json(*response) + "\n" : health_text(*response));
      return is_well(*response, options) ? Exit::kOk : Exit::kUnwell;
    }
    if (last) return client.report(status);
    patience.pause();
  }
}

Exit offsets(const Global& global, const std::string& topic, const std::string& at) {
  const Client client(global);
  v1::ListOffsetsRequest request;
  request.set_topic(topic);
  if (at == "earliest") {
    request.set_earliest(true);
  } else if (at == "latest") {
    request.set_latest(true);
  } else if (at == "max-timestamp") {
    request.set_max_timestamp(true);
  } else {
    try {
      request.set_timestamp_ms(std::stoll(at));
    } catch (const std::exception&) {
      fmt::print(stderr,
                 "millctl: --at takes earliest, latest, max-timestamp or milliseconds since 1970, "
                 "not {}\n",
                 at);
      return Exit::kUsage;
    }
  }
  v1::ListOffsetsResponse response;
  const auto context = client.context();
  const ::grpc::Status status =
      v1::Admin::NewStub(client.channel())->ListOffsets(context.get(), request, &response);
  if (!status.ok()) return client.report(status);
  nlohmann::json rows = nlohmann::json::array();
  Table table({"PARTITION", "OFFSET", "TIME"});
  for (const v1::PartitionOffset& row : response.offsets()) {
    rows.push_back({{"partition", row.partition()},
                    {"offset", row.offset()},
                    {"timestamp_ms", row.timestamp_ms()}});
    table.add({std::to_string(row.partition()), std::to_string(row.offset()),
               human_time(row.timestamp_ms())});
  }
  fmt::print("{}", global.json ? rows.dump() + "\n" : table.text());
  return Exit::kOk;
}

}  // namespace

void add_cluster_commands(CLI::App& app, const Global& global, Exit& exit) {
  CLI::App* cluster = app.add_subcommand("cluster", "Show the cluster, and whether it is well");
  cluster->require_subcommand(1);
  for (const char* name : {"describe", "info"}) {
    CLI::App* command = cluster->add_subcommand(name, name == std::string_view("info")
                                                          ? "The same as describe"
                                                          : "Brokers, addresses, roles, sizes");
    command->callback([&global, &exit] { exit = describe(global); });
  }
  auto options = std::make_shared<HealthOptions>();
  CLI::App* well = cluster->add_subcommand(
      "health", "Whether everything is there, led and caught up, and what is not");
  well->add_option("--wait", options->wait_s, "wait so many seconds for it to be green")
      ->check(CLI::NonNegativeNumber);
  well->add_option("--brokers", options->brokers, "so many brokers must be there")
      ->check(CLI::NonNegativeNumber);
  well->footer(
      "green: everything is there. yellow: all can be read and written; something is missing, or "
      "on "
      "its way.\nred: something cannot be written.\nEnds with 0 if it is green, else with 5.\n"
      "example: millctl cluster health --wait 60 --brokers 3");
  well->callback([options, &global, &exit] { exit = health(global, *options); });
  auto topic = std::make_shared<std::string>();
  auto at = std::make_shared<std::string>("latest");
  CLI::App* where = app.add_subcommand("offsets", "Show offsets of a topic's partitions by time");
  where->add_option("topic", *topic, "name of the topic")->required();
  where->add_option("--at", *at,
                    "earliest, latest (default), max-timestamp, or milliseconds since 1970");
  where->callback([topic, at, &global, &exit] { exit = offsets(global, *topic, *at); });
}

}  // namespace millrace::cli
