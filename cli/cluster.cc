// millctl cluster info, millctl offsets TOPIC
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/commands.h"
#include "cli/table.h"
#include "millrace/v1/admin.grpc.pb.h"

namespace millrace::cli {
namespace {

Exit info(const Global& global) {
  const Client client(global);
  v1::DescribeClusterResponse response;
  const auto context = client.context();
  const ::grpc::Status status =
      v1::Admin::NewStub(client.channel())
          ->DescribeCluster(context.get(), v1::DescribeClusterRequest(), &response);
  if (!status.ok()) return client.report(status);
  if (global.json) {
    nlohmann::json brokers = nlohmann::json::array();
    for (const v1::Broker& broker : response.brokers()) {
      brokers.push_back({{"id", broker.id()},
                         {"kafka", broker.kafka_endpoint()},
                         {"grpc", broker.grpc_endpoint()},
                         {"rack", broker.rack()},
                         {"directory_id", broker.directory_id()},
                         {"version", broker.version()}});
    }
    fmt::print("{}\n", nlohmann::json{{"cluster_id", response.cluster_id()},
                                      {"controller", response.controller()},
                                      {"brokers", brokers},
                                      {"topics", response.topics()},
                                      {"partitions", response.partitions()},
                                      {"log_bytes", response.log_bytes()},
                                      {"disk_free_bytes", response.disk_free_bytes()},
                                      {"disk_total_bytes", response.disk_total_bytes()}}
                           .dump());
    return Exit::kOk;
  }
  fmt::print("cluster {}  controller {}  topics {}  partitions {}\n", response.cluster_id(),
             response.controller(), response.topics(), response.partitions());
  fmt::print("logs {}  disk free {} of {}\n", human_bytes(response.log_bytes()),
             human_bytes(response.disk_free_bytes()), human_bytes(response.disk_total_bytes()));
  Table table({"BROKER", "KAFKA", "GRPC", "RACK", "VERSION"});
  for (const v1::Broker& broker : response.brokers()) {
    table.add({std::to_string(broker.id()), broker.kafka_endpoint(), broker.grpc_endpoint(),
               broker.rack().empty() ? "-" : broker.rack(), broker.version()});
  }
  fmt::print("{}", table.text());
  return Exit::kOk;
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
  CLI::App* cluster = app.add_subcommand("cluster", "Show the cluster");
  cluster->require_subcommand(1);
  cluster->add_subcommand("info", "Brokers, addresses, sizes")->callback([&global, &exit] {
    exit = info(global);
  });
  auto topic = std::make_shared<std::string>();
  auto at = std::make_shared<std::string>("latest");
  CLI::App* where = app.add_subcommand("offsets", "Show offsets of a topic's partitions by time");
  where->add_option("topic", *topic, "name of the topic")->required();
  where->add_option("--at", *at,
                    "earliest, latest (default), max-timestamp, or milliseconds since 1970");
  where->callback([topic, at, &global, &exit] { exit = offsets(global, *topic, *at); });
}

}  // namespace millrace::cli
