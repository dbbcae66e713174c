// millctl broker list|drain|undrain|decommission|permit
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/cluster_text.h"
#include "cli/commands.h"
#include "cli/patience.h"
#include "millrace/v1/admin.grpc.pb.h"

namespace millrace::cli {
namespace {

std::unique_ptr<v1::Admin::Stub> admin(const Client& client) {
  return v1::Admin::NewStub(client.channel());
}

void print(const Global& global, const std::string& text, const std::string& json) {
  fmt::print("{}", global.json ? json + "\n" : text);
}

Exit list(const Global& global) {
  const Client client(global);
  v1::DescribeClusterResponse response;
  const auto context = client.context();
  const ::grpc::Status status = admin(client)->DescribeCluster(context.get(), {}, &response);
  if (!status.ok()) return client.report(status);
  print(global, brokers_text(response), brokers_json(response));
  return Exit::kOk;
}

struct DrainOptions {
  std::int32_t broker = 0;
  bool wait = false;
  int wait_s_max = 3600;
};

/// Asks, which begins the drain, and asks again until it is over. Progress goes to standard error.
Exit drain(const Global& global, const DrainOptions& options) {
  const Client client(global);
  const Patience patience(std::chrono::seconds(options.wait_s_max));
  std::string said;
  while (true) {
    v1::DrainBrokerRequest request;
    request.set_broker(options.broker);
    v1::DrainBrokerResponse response;
    const auto context = client.context();
    const ::grpc::Status status = admin(client)->DrainBroker(context.get(), request, &response);
    // Brokers come and go while replicas move: what was begun goes on without us.
    const bool passing = status.error_code() == ::grpc::StatusCode::UNAVAILABLE && !said.empty();
    if (!status.ok() && !passing) return client.report(status);
    const bool drained = response.state() == v1::BROKER_STATE_DRAINED;
    const bool over = patience.over();
    if (status.ok() && (drained || over || !options.wait)) {
      print(global, drain_text(options.broker, response), drain_json(options.broker, response));
      return drained || !options.wait ? Exit::kOk : Exit::kUnwell;
    }
    if (over) return client.report(status);
    const std::string now = status.ok() ? drain_text(options.broker, response) : said;
    if (now != said) fmt::print(stderr, "{}", now);
    said = now;
    patience.pause();
  }
}

Exit undrain(const Global& global, std::int32_t broker) {
  const Client client(global);
  v1::CancelDrainRequest request;
  request.set_broker(broker);
  v1::CancelDrainResponse response;
  const auto context = client.context();
  const ::grpc::Status status = admin(client)->CancelDrain(context.get(), request, &response);
  if (!status.ok()) return client.report(status);
  print(global, fmt::format("broker {} is {}\n", broker, name_of(response.state())),
        nlohmann::json{{"broker", broker}, {"state", name_of(response.state())}}.dump());
  return Exit::kOk;
}

Exit decommission(const Global& global, std::int32_t broker, const std::string& directory) {
  const Client client(global);
  v1::DecommissionBrokerRequest request;
  request.set_broker(broker);
  request.set_directory_id(directory);
  v1::DecommissionBrokerResponse response;
  const auto context = client.context();
  const ::grpc::Status status =
      admin(client)->DecommissionBroker(context.get(), request, &response);
  if (!status.ok()) return client.report(status);
  const v1::Receipt& receipt = response.receipt();
  print(
      global,
      fmt::format("broker {} has left\nreceipt: directory {} epoch {}\nIts process may be stopped "
                  "and its disk deleted; this directory never comes back.\n",
                  receipt.broker(), receipt.directory_id(), receipt.epoch()),
      nlohmann::json{{"broker", receipt.broker()},
                     {"directory_id", receipt.directory_id()},
                     {"epoch", receipt.epoch()}}
          .dump());
  return Exit::kOk;
}

struct PermitOptions {
  std::int32_t broker = 0;
  std::string incarnation;
  int lasts_s = 120;
  int wait_s = 0;
  bool give_back = false;
};

Exit give_back(const Global& global, std::int32_t broker) {
  const Client client(global);
  v1::ReleaseRestartPermitRequest request;
  request.set_broker(broker);
  v1::ReleaseRestartPermitResponse response;
  const auto context = client.context();
  const ::grpc::Status status =
      admin(client)->ReleaseRestartPermit(context.get(), request, &response);
  if (!status.ok()) return client.report(status);
  print(global,
        fmt::format("broker {} {}\n", broker,
                    response.released() ? "gave its permit back" : "had no permit"),
        nlohmann::json{{"broker", broker}, {"released", response.released()}}.dump());
  return Exit::kOk;
}

Exit permit(const Global& global, const PermitOptions& options) {
  if (options.give_back) return give_back(global, options.broker);
  const Client client(global);
  const Patience patience(std::chrono::seconds(options.wait_s));
  while (true) {
    v1::AcquireRestartPermitRequest request;
    request.set_broker(options.broker);
    request.set_incarnation(options.incarnation);
    request.set_lasts_ms(std::int64_t{1000} * options.lasts_s);
    v1::AcquireRestartPermitResponse response;
    const auto context = client.context();
    const ::grpc::Status status =
        admin(client)->AcquireRestartPermit(context.get(), request, &response);
    const bool passing = status.error_code() == ::grpc::StatusCode::UNAVAILABLE;
    const bool over = patience.over();
    if (!status.ok() && (over || !passing)) return client.report(status);
    if (status.ok() && (response.granted() || over)) {
      print(global, permit_text(options.broker, response), permit_json(options.broker, response));
      return response.granted() ? Exit::kOk : Exit::kFailed;
    }
    patience.pause();
  }
}

CLI::Option* add_id(CLI::App* command, std::int32_t& broker) {
  return command->add_option("broker", broker, "the broker's number")
      ->required()
      ->check(CLI::NonNegativeNumber);
}

void add_drain(CLI::App& group, const Global& global, Exit& exit) {
  auto options = std::make_shared<DrainOptions>();
  CLI::App* command = group.add_subcommand("drain", "Move everything off a broker, to retire it");
  add_id(command, options->broker);
  command->add_flag("--wait", options->wait, "until nothing is left on it");
  command
      ->add_option("--wait-max", options->wait_s_max,
                   "give up waiting after so many seconds (3600)")
      ->check(CLI::PositiveNumber);
  command->footer(
      "It goes on by itself; asked again, it tells how far it is. Clients notice nothing.\n"
      "Ends with 5 if it was waited for and is not over.\nexample: millctl broker drain 3 --wait");
  command->callback([options, &global, &exit] { exit = drain(global, *options); });
}

void add_leaving(CLI::App& group, const Global& global, Exit& exit) {
  auto broker = std::make_shared<std::int32_t>();
  CLI::App* back = group.add_subcommand("undrain",
                                        "A broker that is drained, or being drained, "
                                        "may have replicas again");
  add_id(back, *broker);
  back->footer("example: millctl broker undrain 3");
  back->callback([broker, &global, &exit] { exit = undrain(global, *broker); });

  auto directory = std::make_shared<std::string>();
  CLI::App* gone = group.add_subcommand(
      "decommission", "A drained broker leaves for good; prints the receipt for its disk");
  add_id(gone, *broker);
  gone->add_option("--directory", *directory,
                   "the directory that is to go, as broker list -o json shows it: another one is "
                   "refused");
  gone->footer(
      "Asked again with --directory, it prints the same receipt.\n"
      "example: millctl broker drain 3 --wait && millctl broker decommission 3");
  gone->callback(
      [broker, directory, &global, &exit] { exit = decommission(global, *broker, *directory); });
}

void add_permit(CLI::App& group, const Global& global, Exit& exit) {
  auto options = std::make_shared<PermitOptions>();
  CLI::App* command = group.add_subcommand(
      "permit", "Ask whether a broker may be stopped now, without a partition losing its majority");
  add_id(command, options->broker);
  command->add_option("--lasts", options->lasts_s, "for so many seconds (120)")
      ->check(CLI::Range(1, 3600));
  command->add_option("--wait", options->wait_s, "ask again for so many seconds if it is refused")
      ->check(CLI::NonNegativeNumber);
  command->add_option("--incarnation", options->incarnation,
                      "the process that is meant, as broker list -o json shows it");
  command->add_flag("--give-back", options->give_back, "the broker stays after all");
  command->footer(
      "Ends with 0 if it may, with 1 if not. The permit ends by itself when its time is over, or "
      "when\nthe broker is back and has caught up.\n"
      "example: millctl broker permit 1 --wait 600 && systemctl restart millrace");
  command->callback([options, &global, &exit] { exit = permit(global, *options); });
}

}  // namespace

void add_broker_commands(CLI::App& app, const Global& global, Exit& exit) {
  CLI::App* group = app.add_subcommand("broker",
                                       "List, drain and retire brokers, and restart "
                                       "them safely");
  group->require_subcommand(1);
  CLI::App* all = group->add_subcommand("list", "Brokers with state, roles and replicas");
  all->footer("example: millctl broker list -o json | jq '.[] | select(.alive | not).id'");
  all->callback([&global, &exit] { exit = list(global); });
  add_drain(*group, global, exit);
  add_leaving(*group, global, exit);
  add_permit(*group, global, exit);
}

}  // namespace millrace::cli
