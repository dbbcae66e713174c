// millctl config describe|alter topic NAME | broker [ID]
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/commands.h"
#include "cli/table.h"
#include "millrace/v1/admin.grpc.pb.h"

namespace millrace::cli {
namespace {

struct ConfigOptions {
  std::string kind;
  std::string name;
  std::vector<std::string> set;
  std::vector<std::string> unset;
  bool all = false;
};

v1::ResourceType type_of(const std::string& kind) {
  return kind == "broker" ? v1::RESOURCE_TYPE_BROKER : v1::RESOURCE_TYPE_TOPIC;
}

Exit describe(const Global& global, const ConfigOptions& options) {
  const Client client(global);
  v1::DescribeConfigsRequest request;
  request.set_type(type_of(options.kind));
  request.set_name(options.name);
  v1::DescribeConfigsResponse response;
  const auto context = client.context();
  const ::grpc::Status status =
      v1::Admin::NewStub(client.channel())->DescribeConfigs(context.get(), request, &response);
  if (!status.ok()) return client.report(status);
  nlohmann::json rows = nlohmann::json::array();
  Table table({"NAME", "VALUE", "SOURCE", "MEANING"});
  for (const v1::Config& config : response.configs()) {
    if (!options.all && config.source() == "default") continue;
    const std::string value =
        config.has_value() ? config.value() : (config.sensitive() ? "(hidden)" : "-");
    table.add({config.name(), value, config.source(), config.documentation()});
    rows.push_back(
        {{"name", config.name()},
         {"value", config.has_value() ? nlohmann::json(config.value()) : nlohmann::json(nullptr)},
         {"source", config.source()},
         {"read_only", config.read_only()}});
  }
  if (global.json) {
    fmt::print("{}\n", rows.dump());
  } else {
    fmt::print("{}", table.text());
    if (!options.all) fmt::print("(only what is set; --all shows the defaults too)\n");
  }
  return Exit::kOk;
}

Exit alter(const Global& global, const ConfigOptions& options) {
  const Client client(global);
  v1::AlterConfigsRequest request;
  request.set_type(type_of(options.kind));
  request.set_name(options.name);
  for (const std::string& setting : options.set) {
    const std::size_t equals = setting.find('=');
    if (equals == std::string::npos) {
      fmt::print(stderr, "millctl: --set takes NAME=VALUE, not {}\n", setting);
      return Exit::kUsage;
    }
    v1::ConfigChange& change = *request.add_changes();
    change.set_name(setting.substr(0, equals));
    change.set_value(setting.substr(equals + 1));
  }
  for (const std::string& name : options.unset) {
    v1::ConfigChange& change = *request.add_changes();
    change.set_name(name);
    change.set_operation(v1::CONFIG_OPERATION_DELETE);
  }
  v1::AlterConfigsResponse response;
  const auto context = client.context();
  const ::grpc::Status status =
      v1::Admin::NewStub(client.channel())->AlterConfigs(context.get(), request, &response);
  if (!status.ok()) return client.report(status);
  if (!global.json) fmt::print("altered {} {}\n", options.kind, options.name);
  return Exit::kOk;
}

}  // namespace

void add_config_commands(CLI::App& app, const Global& global, Exit& exit) {
  CLI::App* config = app.add_subcommand("config", "Show and change settings of topics and brokers");
  config->require_subcommand(1);
  auto options = std::make_shared<ConfigOptions>();
  const auto add_resource = [options](CLI::App* command) {
    command->add_option("kind", options->kind, "topic or broker")
        ->required()
        ->check(CLI::IsMember({"topic", "broker"}));
    command->add_option("name", options->name,
                        "topic name, or broker id (empty: the defaults of all brokers)");
  };
  CLI::App* show = config->add_subcommand("describe", "Show settings");
  add_resource(show);
  show->add_flag("--all", options->all, "defaults too");
  show->callback([options, &global, &exit] { exit = describe(global, *options); });
  CLI::App* change = config->add_subcommand("alter", "Change settings");
  add_resource(change);
  change->add_option("-s,--set", options->set, "NAME=VALUE; may be given several times");
  change->add_option("-u,--unset", options->unset,
                     "NAME: back to its default; may be given several times");
  change->callback([options, &global, &exit] { exit = alter(global, *options); });
}

}  // namespace millrace::cli
