// What admin tools ask about the cluster, as scripts ask for it.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "broker/kafka/testing/scripted_client.h"
#include "broker/wire/messages/alter_client_quotas.h"
#include "broker/wire/messages/alter_partition_reassignments.h"
#include "broker/wire/messages/alter_replica_log_dirs.h"
#include "broker/wire/messages/alter_user_scram_credentials.h"
#include "broker/wire/messages/create_acls.h"
#include "broker/wire/messages/delete_acls.h"
#include "broker/wire/messages/describe_acls.h"
#include "broker/wire/messages/describe_client_quotas.h"
#include "broker/wire/messages/describe_quorum.h"
#include "broker/wire/messages/describe_transactions.h"
#include "broker/wire/messages/describe_user_scram_credentials.h"
#include "broker/wire/messages/elect_leaders.h"
#include "broker/wire/messages/list_config_resources.h"
#include "broker/wire/messages/list_partition_reassignments.h"
#include "broker/wire/messages/list_transactions.h"
#include "broker/wire/messages/unregister_broker.h"
#include "broker/wire/messages/update_features.h"

namespace millrace::kafka::testing {

void ScriptedClient::add_cluster_rows(std::map<std::string, Row>& table) {
  using Self = ScriptedClient;
  table["acls"] = row<wire::DescribeAclsRequest>(&Self::acls);
  table["create-acls"] = row<wire::CreateAclsRequest>(&Self::create_acls);
  table["delete-acls"] = row<wire::DeleteAclsRequest>(&Self::delete_acls);
  table["describe-transactions"] =
      row<wire::DescribeTransactionsRequest>(&Self::describe_transactions);
  table["elect"] = row<wire::ElectLeadersRequest>(&Self::elect);
  table["list-transactions"] = row<wire::ListTransactionsRequest>(&Self::list_transactions);
  table["move"] = row<wire::AlterPartitionReassignmentsRequest>(&Self::move);
  table["move-dir"] = row<wire::AlterReplicaLogDirsRequest>(&Self::move_dir);
  table["moves"] = row<wire::ListPartitionReassignmentsRequest>(&Self::moves);
  table["quorum"] = row<wire::DescribeQuorumRequest>(&Self::quorum);
  table["quotas"] = row<wire::DescribeClientQuotasRequest>(&Self::quotas);
  table["resources"] = row<wire::ListConfigResourcesRequest>(&Self::resources);
  table["scram"] = row<wire::DescribeUserScramCredentialsRequest>(&Self::scram);
  table["set-quota"] = row<wire::AlterClientQuotasRequest>(&Self::set_quota);
  table["set-scram"] = row<wire::AlterUserScramCredentialsRequest>(&Self::set_scram);
  table["unregister"] = row<wire::UnregisterBrokerRequest>(&Self::unregister);
  table["update-features"] = row<wire::UpdateFeaturesRequest>(&Self::update_features);
}

std::string ScriptedClient::acls(const Command&, std::int16_t version) {
  const auto response = client_->call(wire::DescribeAclsRequest{}, version);
  return fmt::format("{} acls={}\n", shown(response.error_code, response.error_message),
                     response.resources.size());
}

std::string ScriptedClient::create_acls(const Command& command, std::int16_t version) {
  wire::CreateAclsRequest request;
  request.creations.resize(static_cast<std::size_t>(number(command, "count", 1)));
  std::string out;
  for (const auto& result : client_->call(request, version).results)
    out += shown(result.error_code, result.error_message) + "\n";
  return out;
}

std::string ScriptedClient::delete_acls(const Command& command, std::int16_t version) {
  wire::DeleteAclsRequest request;
  request.filters.resize(static_cast<std::size_t>(number(command, "count", 1)));
  std::string out;
  for (const auto& result : client_->call(request, version).filter_results) {
    out += fmt::format("{} acls={}\n", shown(result.error_code, result.error_message),
                       result.matching_acls.size());
  }
  return out;
}

std::string ScriptedClient::describe_transactions(const Command& command, std::int16_t version) {
  wire::DescribeTransactionsRequest request;
  for (const Target& target : targets(command)) request.transactional_ids.push_back(target.name);
  std::string out;
  for (const auto& state : client_->call(request, version).transaction_states)
    out += fmt::format("{} {}\n", state.transactional_id, shown(state.error_code));
  return out;
}

std::string ScriptedClient::list_transactions(const Command& command, std::int16_t version) {
  wire::ListTransactionsRequest request;
  for (const auto& [state, unused] : pairs(command, "state"))
    request.state_filters.push_back(state);
  const auto response = client_->call(request, version);
  return fmt::format("{} transactions={} unknown=[{}]\n", shown(response.error_code),
                     response.transaction_states.size(),
                     fmt::join(response.unknown_state_filters, " "));
}

std::string ScriptedClient::elect(const Command& command, std::int16_t version) {
  wire::ElectLeadersRequest request;
  request.election_type = static_cast<std::int8_t>(number(command, "type", 0));
  if (flag(command, "all")) request.topic_partitions.reset();
  for (const Target& target : targets(command))
    request.topic_partitions->push_back({target.name, {target.number.value_or(0)}});
  const auto response = client_->call(request, version);
  std::string out = shown(response.error_code) + "\n";
  for (const auto& topic : response.replica_election_results) {
    for (const auto& partition : topic.partition_result) {
      out += fmt::format("  {}:{} {}\n", topic.topic, partition.partition_id,
                         shown(partition.error_code, partition.error_message));
    }
  }
  return out;
}

/// move TOPIC:PARTITION … to=0,1 (without: ends the move), same-factor: only as many as there are
std::string ScriptedClient::move(const Command& command, std::int16_t version) {
  wire::AlterPartitionReassignmentsRequest request;
  for (const Target& target : targets(command)) {
    auto& partition =
        request.topics
            .emplace_back(wire::AlterPartitionReassignmentsRequest::Topic{target.name, {}})
            .partitions.emplace_back();
    partition.partition_index = target.number.value_or(0);
    if (const auto to = command.value("to")) {
      partition.replicas.emplace();
      for (const char c : *to) {
        if (c != ',') partition.replicas->push_back(c - '0');
      }
    }
  }
  request.allow_replication_factor_change = !flag(command, "same-factor");
  const auto response = client_->call(request, version);
  std::string out = shown(response.error_code, response.error_message) + "\n";
  for (const auto& topic : response.responses) {
    for (const auto& partition : topic.partitions) {
      out += fmt::format("  {}:{} {}\n", topic.name, partition.partition_index,
                         shown(partition.error_code, partition.error_message));
    }
  }
  return out;
}

std::string ScriptedClient::move_dir(const Command& command, std::int16_t version) {
  wire::AlterReplicaLogDirsRequest request;
  auto& directory = request.dirs.emplace_back();
  directory.path = command.value("path").value_or("");
  for (const Target& target : targets(command))
    directory.topics.push_back({target.name, {target.number.value_or(0)}});
  std::string out;
  for (const auto& topic : client_->call(request, version).results) {
    for (const auto& partition : topic.partitions) {
      out += fmt::format("{}:{} {}\n", topic.topic_name, partition.partition_index,
                         shown(partition.error_code));
    }
  }
  return out;
}

std::string ScriptedClient::moves(const Command& command, std::int16_t version) {
  wire::ListPartitionReassignmentsRequest request;
  for (const Target& target : targets(command)) {
    if (!request.topics) request.topics.emplace();
    request.topics->push_back({target.name, {target.number.value_or(0)}});
  }
  const auto response = client_->call(request, version);
  std::string out = fmt::format("{} moves={}\n", shown(response.error_code, response.error_message),
                                response.topics.size());
  for (const auto& topic : response.topics) {
    for (const auto& partition : topic.partitions) {
      out += fmt::format("  {}:{} replicas=[{}] adding=[{}] removing=[{}]\n", topic.name,
                         partition.partition_index, fmt::join(partition.replicas, " "),
                         fmt::join(partition.adding_replicas, " "),
                         fmt::join(partition.removing_replicas, " "));
    }
  }
  return out;
}

std::string ScriptedClient::quorum(const Command& command, std::int16_t version) {
  wire::DescribeQuorumRequest request;
  for (const Target& target : targets(command))
    request.topics.push_back({target.name, {{target.number.value_or(0)}}});
  const auto response = client_->call(request, version);
  std::string out = shown(response.error_code, response.error_message) + "\n";
  for (const auto& topic : response.topics) {
    for (const auto& partition : topic.partitions) {
      out +=
          fmt::format("  {}:{} {} leader={} epoch={}", topic.topic_name, partition.partition_index,
                      shown(partition.error_code, partition.error_message), partition.leader_id,
                      partition.leader_epoch > 0 ? "some" : "none");
      for (const auto& voter : partition.current_voters) {
        const bool end = voter.log_end_offset == partition.high_watermark;
        out += fmt::format(" voter={} {} directory={} fetched={}", voter.replica_id,
                           end ? "caught-up" : "behind",
                           voter.replica_directory_id.is_zero() ? "none" : "some",
                           voter.last_fetch_timestamp > 0 ? "some" : "none");
      }
      out += fmt::format(" observers={}\n", partition.observers.size());
    }
  }
  for (const auto& node : response.nodes) {
    for (const auto& listener : node.listeners) {
      out += fmt::format("  node {} {} {}:{}\n", node.node_id, listener.name, listener.host,
                         listener.port);
    }
  }
  return out;
}

/// quotas part:TYPE=NAME part:TYPE (any) part:TYPE= … match=N (overrides the match type)
std::string ScriptedClient::quotas(const Command& command, std::int16_t version) {
  constexpr std::int8_t kExact = 0;
  constexpr std::int8_t kSpecified = 2;
  wire::DescribeClientQuotasRequest request;
  for (const auto& [type, name] : pairs(command, "part")) {
    auto& component = request.components.emplace_back();
    component.entity_type = type;
    component.match_type =
        static_cast<std::int8_t>(number(command, "match", name.empty() ? kSpecified : kExact));
    component.match = name.empty() ? std::nullopt : std::optional(name);
  }
  const auto response = client_->call(request, version);
  return fmt::format(
      "{} entries={}\n", shown(response.error_code, response.error_message),
      response.entries ? fmt::format("{}", response.entries->size()) : std::string("null"));
}

std::string ScriptedClient::set_quota(const Command& command, std::int16_t version) {
  wire::AlterClientQuotasRequest request;
  request.validate_only = flag(command, "validate");
  for (const auto& [type, name] : pairs(command, "entity")) {
    auto& entry = request.entries.emplace_back();
    entry.entity.push_back({type, name.empty() ? std::nullopt : std::optional(name)});
    entry.ops.push_back({"producer_byte_rate", 1000, false});
  }
  std::string out;
  for (const auto& entry : client_->call(request, version).entries) {
    out += fmt::format("{}={} {}\n", entry.entity.at(0).entity_type,
                       entry.entity.at(0).entity_name.value_or("null"),
                       shown(entry.error_code, entry.error_message));
  }
  return out;
}

std::string ScriptedClient::scram(const Command& command, std::int16_t version) {
  wire::DescribeUserScramCredentialsRequest request;
  if (flag(command, "all")) request.users.reset();
  for (const Target& target : targets(command)) request.users->push_back({target.name});
  const auto response = client_->call(request, version);
  std::string out = shown(response.error_code, response.error_message) + "\n";
  for (const auto& result : response.results) {
    out += fmt::format("  {} {}\n", result.user, shown(result.error_code, result.error_message));
  }
  return out;
}

std::string ScriptedClient::set_scram(const Command& command, std::int16_t version) {
  wire::AlterUserScramCredentialsRequest request;
  for (const auto& [user, unused] : pairs(command, "delete"))
    request.deletions.push_back({user, 1});
  for (const auto& [user, unused] : pairs(command, "set"))
    request.upsertions.push_back({user, 1, 4096, {}, {}});
  std::string out;
  for (const auto& result : client_->call(request, version).results)
    out += fmt::format("{} {}\n", result.user, shown(result.error_code, result.error_message));
  return out;
}

std::string ScriptedClient::resources(const Command& command, std::int16_t version) {
  wire::ListConfigResourcesRequest request;
  for (const auto& [type, unused] : pairs(command, "type"))
    request.resource_types.push_back(static_cast<std::int8_t>(std::stoi(type)));
  const auto response = client_->call(request, version);
  std::string out = shown(response.error_code) + "\n";
  for (const auto& resource : response.config_resources)
    out += fmt::format("  {} {}\n", resource.resource_type, resource.resource_name);
  return out;
}

std::string ScriptedClient::unregister(const Command& command, std::int16_t version) {
  wire::UnregisterBrokerRequest request;
  request.broker_id = static_cast<std::int32_t>(number(command, "id", 0));
  const auto response = client_->call(request, version);
  return shown(response.error_code, response.error_message) + "\n";
}

std::string ScriptedClient::update_features(const Command& command, std::int16_t version) {
  wire::UpdateFeaturesRequest request;
  request.validate_only = flag(command, "validate");
  for (const auto& [name, level] : pairs(command, "feature")) {
    auto& update = request.feature_updates.emplace_back();
    update.feature = name;
    update.max_version_level = static_cast<std::int16_t>(std::stoi(level));
    update.upgrade_type = static_cast<std::int8_t>(number(command, "kind", 1));
    update.allow_downgrade = update.upgrade_type != 1;
  }
  const auto response = client_->call(request, version);
  std::string out = shown(response.error_code, response.error_message) + "\n";
  for (const auto& result : response.results)
    out += fmt::format("  {} {}\n", result.feature, shown(result.error_code, result.error_message));
  return out;
}

}  // namespace millrace::kafka::testing
