#include "cli/local_cluster.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

namespace millrace::cli {
namespace {

using nlohmann::json;

constexpr const char* kHost = "127.0.0.1";
constexpr std::size_t kVotersMax = 3;

/// A member that is a whole number in [0, high]; -1: it is not.
std::int64_t number_of(const json& object, const char* name, std::int64_t high) {
  const auto found = object.find(name);
  if (found == object.end() || !found->is_number_integer()) return -1;
  const auto value = found->get<std::int64_t>();
  return value <= high ? value : -1;
}

/// False: a member is missing or makes no sense.
bool read_broker(const json& object, LocalBroker& broker) {
  if (!object.is_object()) return false;
  const std::int64_t node = number_of(object, "node", INT32_MAX);
  const std::int64_t pid = number_of(object, "pid", INT32_MAX);
  if (node < 0 || pid < 0) return false;
  const auto settings = object.find("settings");
  if (settings == object.end() || !settings->is_array()) return false;
  for (const json& setting : *settings) {
    if (!setting.is_string()) return false;
    broker.settings.push_back(setting.get<std::string>());
  }
  broker.node = static_cast<std::int32_t>(node);
  broker.pid = static_cast<pid_t>(pid);
  for (const auto& [name, port] : {std::pair{"kafka", &broker.kafka},
                                   {"internal", &broker.internal},
                                   {"grpc", &broker.grpc},
                                   {"http", &broker.http}}) {
    const std::int64_t value = number_of(object, name, UINT16_MAX);
    if (value <= 0) return false;
    *port = static_cast<std::uint16_t>(value);
  }
  return true;
}

}  // namespace

std::string to_json(const LocalCluster& cluster) {
  json brokers = json::array();
  for (const LocalBroker& broker : cluster.brokers) {
    brokers.push_back({{"node", broker.node},
                       {"kafka", broker.kafka},
                       {"internal", broker.internal},
                       {"grpc", broker.grpc},
                       {"http", broker.http},
                       {"pid", broker.pid},
                       {"settings", broker.settings}});
  }
  return json{{"cluster_id", cluster.cluster_id},
              {"voters", cluster.voters},
              {"base_port", cluster.base_port},
              {"brokers", brokers}}
      .dump(2);
}

model::Result<LocalCluster> parse_local(std::string_view text) {
  const json whole = json::parse(text, nullptr, false);
  LocalCluster cluster;
  bool sound = whole.is_object() && whole.contains("cluster_id") &&
               whole["cluster_id"].is_string() && whole.contains("brokers") &&
               whole["brokers"].is_array();
  if (sound) {
    cluster.cluster_id = whole["cluster_id"].get<std::string>();
    for (const json& object : whole["brokers"])
      sound = sound && read_broker(object, cluster.brokers.emplace_back());
    const std::int64_t voters =
        number_of(whole, "voters", static_cast<std::int64_t>(cluster.brokers.size()));
    const std::int64_t base_port = number_of(whole, "base_port", UINT16_MAX);
    sound = sound && voters > 0 && base_port >= 0;
    cluster.base_port = static_cast<std::uint16_t>(std::max<std::int64_t>(base_port, 0));
    cluster.voters = static_cast<std::size_t>(std::max<std::int64_t>(voters, 0));
  }
  if (!sound) {
    return model::Error{model::ErrorCode::kCorruptMessage,
                        "it does not describe brokers of this machine: it was changed by hand"};
  }
  return cluster;
}

bool set_ports(LocalBroker& broker, std::uint16_t base_port) {
  constexpr int kPortsPerBroker = 10;
  int port = base_port + kPortsPerBroker * broker.node;
  for (std::uint16_t* const place : {&broker.kafka, &broker.internal, &broker.grpc, &broker.http}) {
    if (port > UINT16_MAX) return false;
    *place = static_cast<std::uint16_t>(port++);
  }
  return true;
}

std::size_t voters_of(std::size_t brokers) {
  const std::size_t most = std::min(brokers, kVotersMax);
  return most % 2 == 1 ? most : most - 1;
}

std::vector<std::string> broker_arguments(const LocalCluster& cluster, std::size_t index,
                                          const std::string& data) {
  const LocalBroker& broker = cluster.brokers[index];
  std::string voters;
  for (std::size_t i = 0; i < cluster.voters; ++i) {
    const LocalBroker& voter = cluster.brokers[i];
    voters += fmt::format("{}{}@{}:{}", i == 0 ? "" : ",", voter.node, kHost, voter.internal);
  }
  std::vector<std::string> arguments = {
      "--data",
      data,
      fmt::format("--node.id={}", broker.node),
      fmt::format("--cluster.id={}", cluster.cluster_id),
      fmt::format("--metadata.voters={}", voters),
      fmt::format("--kafka.listen={}:{}", kHost, broker.kafka),
      fmt::format("--internal.listen={}:{}", kHost, broker.internal),
      fmt::format("--grpc.listen={}:{}", kHost, broker.grpc),
      fmt::format("--http.listen={}:{}", kHost, broker.http)};
  for (const std::string& setting : broker.settings) arguments.push_back("--" + setting);
  return arguments;
}

}  // namespace millrace::cli
