#include "cli/cluster_text.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "cli/table.h"

namespace millrace::cli {
namespace {

using nlohmann::json;

/// "TROUBLE_UNDER_REPLICATED" of prefix "TROUBLE_" as "under-replicated".
std::string plain(std::string name, std::string_view prefix) {
  name.erase(0, prefix.size());
  for (char& letter : name) letter = letter == '_' ? '-' : static_cast<char>(std::tolower(letter));
  return name == "unspecified" ? "" : name;
}

template <typename Ids>
std::string ids_text(const Ids& ids) {
  return ids.empty() ? "-" : fmt::format("{}", fmt::join(ids, ","));
}

template <typename Ids>
json ids_json(const Ids& ids) {
  json list = json::array();
  for (const auto id : ids) list.push_back(id);
  return list;
}

std::string leader_text(std::int32_t leader) {
  return leader < 0 ? "none" : std::to_string(leader);
}

/// "3.5 s", "2 min".
std::string silence_text(std::int64_t silent_ms) {
  if (silent_ms < 0) return "never heard";
  if (silent_ms < 120'000)
    return fmt::format("away {:.1f} s", static_cast<double>(silent_ms) / 1000);
  return fmt::format("away {} min", silent_ms / 60'000);
}

std::string life_text(const v1::Broker& broker) {
  if (!broker.alive()) return silence_text(broker.silent_ms());
  return broker.recovered() ? "alive" : "catching up";
}

std::string roles_text(const v1::Broker& broker, std::int32_t controller) {
  if (broker.id() == controller) return "controller";
  return broker.metadata_voter() ? "voter" : "-";
}

std::string or_dash(const std::string& text) {
  return text.empty() ? "-" : text;
}

void add_rows(Table& table, const google::protobuf::RepeatedPtrField<v1::Broker>& brokers,
              std::int32_t controller) {
  for (const v1::Broker& broker : brokers) {
    table.add({std::to_string(broker.id()), life_text(broker), name_of(broker.state()),
               roles_text(broker, controller), or_dash(broker.rack()),
               std::to_string(broker.leaders()), std::to_string(broker.replicas()),
               std::to_string(broker.replicas_behind()), or_dash(broker.kafka_endpoint()),
               or_dash(broker.grpc_endpoint())});
  }
}

std::string broker_table(const google::protobuf::RepeatedPtrField<v1::Broker>& brokers,
                         std::int32_t controller) {
  Table table({"BROKER", "HEALTH", "STATE", "METADATA", "RACK", "LEADS", "REPLICAS", "BEHIND",
               "KAFKA", "GRPC"});
  add_rows(table, brokers, controller);
  return table.text();
}

json outside_json(const v1::Broker& broker) {
  json outside = json::object();
  for (const v1::OutsideEndpoint& one : broker.outside_endpoints())
    outside[one.listener()] = one.address();
  return outside;
}

json broker_json(const v1::Broker& broker) {
  json row{{"id", broker.id()},
           {"kafka", broker.kafka_endpoint()},
           {"grpc", broker.grpc_endpoint()},
           {"internal", broker.internal_endpoint()},
           {"outside", outside_json(broker)},
           {"rack", broker.rack()},
           {"directory_id", broker.directory_id()},
           {"incarnation", broker.incarnation()},
           {"epoch", broker.epoch()},
           {"version", broker.version()},
           {"state", name_of(broker.state())},
           {"alive", broker.alive()},
           {"silent_ms", broker.silent_ms()},
           {"recovered", broker.recovered()},
           {"metadata_voter", broker.metadata_voter()},
           {"leaders", broker.leaders()},
           {"replicas", broker.replicas()},
           {"replicas_behind", broker.replicas_behind()},
           {"shards", broker.shards()},
           {"permit", nullptr}};
  if (broker.has_permit()) {
    row["permit"] = {{"incarnation", broker.permit().incarnation()},
                     {"expires_at_ms", broker.permit().expires_at_ms()}};
  }
  return row;
}

json brokers_array(const google::protobuf::RepeatedPtrField<v1::Broker>& brokers) {
  json rows = json::array();
  for (const v1::Broker& broker : brokers) rows.push_back(broker_json(broker));
  return rows;
}

std::string partition_table(
    const google::protobuf::RepeatedPtrField<v1::PartitionHealth>& partitions) {
  Table table({"TOPIC", "PARTITION", "LEADER", "REPLICAS", "IN-SYNC", "TARGET", "TROUBLE"});
  for (const v1::PartitionHealth& row : partitions) {
    table.add({row.topic(), std::to_string(row.partition()), leader_text(row.leader()),
               ids_text(row.replicas()), ids_text(row.in_sync()), ids_text(row.target()),
               or_dash(name_of(row.trouble()))});
  }
  return table.text();
}

json partitions_array(const google::protobuf::RepeatedPtrField<v1::PartitionHealth>& partitions) {
  json rows = json::array();
  for (const v1::PartitionHealth& row : partitions) {
    rows.push_back({{"topic", row.topic()},
                    {"partition", row.partition()},
                    {"leader", row.leader()},
                    {"replicas", ids_json(row.replicas())},
                    {"in_sync", ids_json(row.in_sync())},
                    {"target", ids_json(row.target())},
                    {"trouble", name_of(row.trouble())}});
  }
  return rows;
}

}  // namespace

std::string name_of(v1::BrokerState state) {
  return plain(v1::BrokerState_Name(state), "BROKER_STATE_");
}
std::string name_of(v1::PartitionTrouble trouble) {
  return plain(v1::PartitionTrouble_Name(trouble), "PARTITION_TROUBLE_");
}
std::string name_of(v1::Health health) {
  return plain(v1::Health_Name(health), "HEALTH_");
}

v1::PartitionTrouble trouble_named(const std::string& name) {
  for (int number = 1; v1::PartitionTrouble_IsValid(number); ++number) {
    const auto trouble = static_cast<v1::PartitionTrouble>(number);
    if (name_of(trouble) == name) return trouble;
  }
  return v1::PARTITION_TROUBLE_UNSPECIFIED;
}

std::string cluster_text(const v1::DescribeClusterResponse& response) {
  std::string text =
      fmt::format("cluster {}  controller {}  topics {}  partitions {}\n", response.cluster_id(),
                  leader_text(response.controller()), response.topics(), response.partitions());
  text += fmt::format("broker {}: logs {}  disk free {} of {}\n", response.answered_by(),
                      human_bytes(response.log_bytes()), human_bytes(response.disk_free_bytes()),
                      human_bytes(response.disk_total_bytes()));
  return text + brokers_text(response);
}

std::string cluster_json(const v1::DescribeClusterResponse& response) {
  return json{{"cluster_id", response.cluster_id()},
              {"controller", response.controller()},
              {"answered_by", response.answered_by()},
              {"feature_level", response.feature_level()},
              {"brokers", brokers_array(response.brokers())},
              {"topics", response.topics()},
              {"partitions", response.partitions()},
              {"log_bytes", response.log_bytes()},
              {"disk_free_bytes", response.disk_free_bytes()},
              {"disk_total_bytes", response.disk_total_bytes()}}
      .dump();
}

std::string brokers_text(const v1::DescribeClusterResponse& response) {
  return broker_table(response.brokers(), response.controller());
}
std::string brokers_json(const v1::DescribeClusterResponse& response) {
  return brokers_array(response.brokers()).dump();
}

std::string health_text(const v1::ClusterHealthResponse& response) {
  std::string text =
      fmt::format("{}  brokers {} of {}  controller {}  partitions {}\n",
                  name_of(response.health()), response.brokers_alive(), response.brokers(),
                  leader_text(response.controller()), response.partitions());
  for (const std::string& reason : response.reasons()) text += fmt::format("  - {}\n", reason);
  text += "\n" + broker_table(response.broker_states(), response.controller());
  if (response.unwell().empty()) return text;
  return text + "\n" + partition_table(response.unwell()) +
         "\nmillctl why TOPIC/PARTITION says what blocks one of them; millctl partition list "
         "--unwell lists all\n";
}

std::string health_json(const v1::ClusterHealthResponse& response) {
  return json{
      {"health", name_of(response.health())},
      {"reasons", std::vector<std::string>(response.reasons().begin(), response.reasons().end())},
      {"answered_by", response.answered_by()},
      {"cluster_id", response.cluster_id()},
      {"controller", response.controller()},
      {"brokers", response.brokers()},
      {"brokers_alive", response.brokers_alive()},
      {"partitions", response.partitions()},
      {"offline", response.offline()},
      {"under_min_in_sync", response.under_min_in_sync()},
      {"at_min_in_sync", response.at_min_in_sync()},
      {"under_replicated", response.under_replicated()},
      {"moving", response.moving()},
      {"not_preferred", response.not_preferred()},
      {"unwell", partitions_array(response.unwell())},
      {"broker_states", brokers_array(response.broker_states())}}
      .dump();
}

std::string partitions_text(const v1::ListPartitionsResponse& response) {
  return partition_table(response.partitions());
}
std::string partitions_json(const v1::ListPartitionsResponse& response) {
  return partitions_array(response.partitions()).dump();
}

std::string drain_text(std::int32_t broker, const v1::DrainBrokerResponse& response) {
  std::string text = fmt::format("broker {} is {}: {} replica(s) left\n", broker,
                                 name_of(response.state()), response.replicas_left());
  for (const v1::Blocker& blocker : response.blockers()) {
    text += fmt::format("  blocked: {}", blocker.cause());
    if (blocker.partitions() > 0)
      text += fmt::format(" ({} partition(s), such as {}/{})", blocker.partitions(),
                          blocker.topic(), blocker.partition());
    text += "\n";
  }
  return text;
}

std::string drain_json(std::int32_t broker, const v1::DrainBrokerResponse& response) {
  json blockers = json::array();
  for (const v1::Blocker& blocker : response.blockers()) {
    blockers.push_back({{"cause", blocker.cause()},
                        {"partitions", blocker.partitions()},
                        {"topic", blocker.topic()},
                        {"partition", blocker.partition()}});
  }
  return json{{"broker", broker},
              {"state", name_of(response.state())},
              {"replicas_left", response.replicas_left()},
              {"blockers", blockers}}
      .dump();
}

std::string permit_text(std::int32_t broker, const v1::AcquireRestartPermitResponse& response) {
  if (response.granted()) {
    std::string text = fmt::format("broker {} may stop until {}\n", broker,
                                   human_time(response.permit().expires_at_ms()));
    if (response.pausing_partitions() > 0) {
      text += fmt::format("{} partition(s) have no replica to spare and pause meanwhile\n",
                          response.pausing_partitions());
    }
    return text;
  }
  std::string text = fmt::format("broker {} must not stop now: {}\n", broker, response.reason());
  if (response.blockers().empty()) return text;
  Table table({"TOPIC", "PARTITION", "LEFT", "NEEDED", "AWAY OR BEHIND"});
  for (const v1::PermitBlocker& blocker : response.blockers()) {
    table.add({blocker.topic(), std::to_string(blocker.partition()), std::to_string(blocker.left()),
               std::to_string(blocker.needed()), ids_text(blocker.missing())});
  }
  return text + table.text();
}

std::string permit_json(std::int32_t broker, const v1::AcquireRestartPermitResponse& response) {
  json blockers = json::array();
  for (const v1::PermitBlocker& blocker : response.blockers()) {
    blockers.push_back({{"topic", blocker.topic()},
                        {"partition", blocker.partition()},
                        {"left", blocker.left()},
                        {"needed", blocker.needed()},
                        {"missing", ids_json(blocker.missing())}});
  }
  return json{{"broker", broker},
              {"granted", response.granted()},
              {"incarnation", response.permit().incarnation()},
              {"expires_at_ms", response.permit().expires_at_ms()},
              {"reason", response.reason()},
              {"blocked_partitions", response.blocked_partitions()},
              {"pausing_partitions", response.pausing_partitions()},
              {"blockers", blockers}}
      .dump();
}

}  // namespace millrace::cli
