// millctl doctor: settings that are not safe.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>

#include "cli/commands.h"
#include "cli/diagnosis.h"
#include "millrace/v1/admin.grpc.pb.h"

namespace millrace::cli {
namespace {

/// The values in force of one topic or broker.
::grpc::Status read_configs(const Client& client, v1::Admin::Stub& admin, v1::ResourceType type,
                            const std::string& name, std::map<std::string, std::string>& configs) {
  v1::DescribeConfigsRequest request;
  request.set_type(type);
  request.set_name(name);
  v1::DescribeConfigsResponse response;
  const auto context = client.context();
  const ::grpc::Status status = admin.DescribeConfigs(context.get(), request, &response);
  for (const v1::Config& config : response.configs()) {
    if (config.has_value()) configs[config.name()] = config.value();
  }
  return status;
}

::grpc::Status look(const Client& client, ClusterSeen& seen) {
  const auto admin = v1::Admin::NewStub(client.channel());
  v1::DescribeClusterResponse cluster;
  auto context = client.context();
  ::grpc::Status status = admin->DescribeCluster(context.get(), {}, &cluster);
  if (!status.ok()) return status;
  seen.brokers = static_cast<std::size_t>(cluster.brokers_size());
  seen.disk_free_bytes = cluster.disk_free_bytes();
  seen.disk_total_bytes = cluster.disk_total_bytes();
  status = read_configs(client, *admin, v1::RESOURCE_TYPE_BROKER,
                        std::to_string(cluster.answered_by()), seen.configs);
  if (!status.ok()) return status;
  v1::ListTopicsResponse topics;
  context = client.context();
  status = admin->ListTopics(context.get(), {}, &topics);
  if (!status.ok()) return status;
  for (const v1::TopicSummary& topic : topics.topics()) {
    TopicSettingsSeen one{
        .name = topic.name(), .replicas = topic.replication_factor(), .configs = {}};
    status = read_configs(client, *admin, v1::RESOURCE_TYPE_TOPIC, topic.name(), one.configs);
    // Deleted since it was listed.
    if (status.error_code() == ::grpc::StatusCode::NOT_FOUND) continue;
    if (!status.ok()) return status;
    seen.topics.push_back(std::move(one));
  }
  return ::grpc::Status::OK;
}

Exit doctor(const Global& global, const std::vector<std::string>& ignored) {
  const Client client(global);
  ClusterSeen seen;
  if (const ::grpc::Status status = look(client, seen); !status.ok()) return client.report(status);
  const Report report = diagnose(seen, ignored);
  fmt::print("{}\n", global.json ? findings_json(report) : findings_text(report));
  return exit_of(report, Level::kWarning);
}

}  // namespace

void add_doctor_command(CLI::App& app, const Global& global, Exit& exit) {
  auto ignored = std::make_shared<std::vector<std::string>>();
  CLI::App* command = app.add_subcommand("doctor", "Name settings that are not safe");
  command->add_option("--ignore", *ignored,
                      "a finding's code, as it stands in brackets; may be given several times");
  command->footer(
      "examples:\n  millctl doctor\n  millctl doctor --ignore one-copy --ignore one-copy-default\n"
      "Ends with 5 if there is a warning or a problem.");
  command->callback([ignored, &global, &exit] { exit = doctor(global, *ignored); });
}

}  // namespace millrace::cli
