#include "broker/grpc/cluster_view.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "broker/grpc/utf8.h"

namespace millrace::grpc {
namespace {

using service::BrokerReport;
using service::ClusterReport;
using service::PartitionReport;

std::int64_t milliseconds(common::Duration span) {
  return span / std::chrono::milliseconds(1);
}

std::string address(const BrokerReport& broker, std::string_view name) {
  const metadata::Endpoint* const endpoint = broker.endpoint(name);
  if (endpoint == nullptr) return "";
  // Without a host each client is told the address that it came to.
  return fmt::format("{}:{}", endpoint->host.empty() ? "0.0.0.0" : endpoint->host, endpoint->port);
}

std::string text_of(const metadata::Endpoint& endpoint) {
  return env::Endpoint{endpoint.host, static_cast<std::uint16_t>(endpoint.port)}.text();
}

void fill_registered(v1::Broker& out, const metadata::Broker& broker) {
  for (const metadata::Endpoint& endpoint : broker.endpoints) {
    if (!metadata::is_outside(endpoint)) continue;
    v1::OutsideEndpoint& outside = *out.add_outside_endpoints();
    outside.set_listener(as_utf8(endpoint.name));
    outside.set_address(as_utf8(text_of(endpoint)));
  }
  out.set_rack(broker.rack);
  out.set_directory_id(broker.directory.text());
  if (!broker.incarnation.is_zero()) out.set_incarnation(broker.incarnation.text());
  out.set_epoch(broker.epoch);
  out.set_shards(broker.shards);
}

template <typename Field>
void add_ids(Field& out, const metadata::Replicas& brokers) {
  for (const model::BrokerId broker : brokers) out.Add(broker.value());
}

void count(v1::ClusterHealthResponse& out, const ClusterReport& report) {
  for (const PartitionReport& partition : report.partitions) {
    if (partition.offline()) out.set_offline(out.offline() + 1);
    if (partition.below_min()) out.set_under_min_in_sync(out.under_min_in_sync() + 1);
    if (partition.at_min()) out.set_at_min_in_sync(out.at_min_in_sync() + 1);
    if (partition.under_replicated()) out.set_under_replicated(out.under_replicated() + 1);
    if (partition.moving()) out.set_moving(out.moving() + 1);
    if (!partition.preferred()) out.set_not_preferred(out.not_preferred() + 1);
  }
}

void name_unwell(v1::ClusterHealthResponse& out, const ClusterReport& report, std::size_t max) {
  std::vector<const PartitionReport*> unwell;
  for (const PartitionReport& partition : report.partitions) {
    if (trouble_of(partition) != v1::PARTITION_TROUBLE_UNSPECIFIED) unwell.push_back(&partition);
  }
  std::stable_sort(unwell.begin(), unwell.end(),
                   [](const PartitionReport* a, const PartitionReport* b) {
                     return trouble_of(*a) < trouble_of(*b);
                   });
  if (unwell.size() > max) unwell.resize(max);
  for (const PartitionReport* partition : unwell) fill(*out.add_unwell(), *partition);
}

/// Raises the health to what is told, and says why.
void say(v1::ClusterHealthResponse& out, v1::Health health, std::string why) {
  if (out.health() < health) out.set_health(health);
  out.add_reasons(std::move(why));
}

void judge_brokers(v1::ClusterHealthResponse& out, const ClusterReport& report) {
  for (const BrokerReport& broker : report.brokers) {
    if (!broker.registered) {
      say(out, v1::HEALTH_YELLOW,
          fmt::format("Broker {} is there and has not registered itself", broker.id));
    } else if (!broker.life.alive) {
      say(out, v1::HEALTH_YELLOW,
          fmt::format("Broker {} is not heard; {} replica(s) are on it", broker.id,
                      broker.replicas));
    } else if (broker.life.out_of_space) {
      say(out, v1::HEALTH_YELLOW,
          fmt::format(
              "Broker {} has less free space than disk.reserve.bytes: it refuses writes, and "
              "hands over what it leads",
              broker.id));
    } else if (!broker.life.recovered) {
      say(out, v1::HEALTH_YELLOW, fmt::format("Broker {} is catching up", broker.id));
    } else if (broker.state == metadata::BrokerState::kDraining) {
      say(out, v1::HEALTH_YELLOW,
          fmt::format("Broker {} is being drained: {} replica(s) are left", broker.id,
                      broker.replicas));
    }
  }
}

void judge(v1::ClusterHealthResponse& out, const ClusterReport& report) {
  out.set_health(v1::HEALTH_GREEN);
  if (report.metadata_leader == model::BrokerId{-1}) {
    say(out, v1::HEALTH_RED,
        "Nobody leads the metadata log: nothing can be created, altered or moved until a majority "
        "of its voters is there");
  }
  if (out.offline() > 0) {
    say(out, v1::HEALTH_RED,
        fmt::format("{} partition(s) have no leader: they can be neither read nor written",
                    out.offline()));
  }
  if (out.under_min_in_sync() > 0) {
    say(out, v1::HEALTH_RED,
        fmt::format("{} partition(s) have fewer replicas in sync than min.insync.replicas: writes "
                    "with acks=all are refused",
                    out.under_min_in_sync()));
  }
  if (out.under_replicated() > 0) {
    say(out, v1::HEALTH_YELLOW,
        fmt::format("{} partition(s) have replicas that are not in sync", out.under_replicated()));
  }
  if (out.moving() > 0) {
    say(out, v1::HEALTH_YELLOW,
        fmt::format("{} partition(s) are on their way to other brokers", out.moving()));
  }
  judge_brokers(out, report);
}

}  // namespace

v1::BrokerState state_of(metadata::BrokerState state) {
  switch (state) {
    case metadata::BrokerState::kActive:
      return v1::BROKER_STATE_ACTIVE;
    case metadata::BrokerState::kDraining:
      return v1::BROKER_STATE_DRAINING;
    case metadata::BrokerState::kDrained:
      return v1::BROKER_STATE_DRAINED;
  }
  return v1::BROKER_STATE_UNSPECIFIED;
}

v1::PartitionTrouble trouble_of(const PartitionReport& partition) {
  if (partition.offline()) return v1::PARTITION_TROUBLE_OFFLINE;
  if (partition.below_min()) return v1::PARTITION_TROUBLE_UNDER_MIN_IN_SYNC;
  if (partition.at_min()) return v1::PARTITION_TROUBLE_AT_MIN_IN_SYNC;
  if (partition.under_replicated()) return v1::PARTITION_TROUBLE_UNDER_REPLICATED;
  if (partition.moving()) return v1::PARTITION_TROUBLE_MOVING;
  return v1::PARTITION_TROUBLE_UNSPECIFIED;
}

void fill(v1::Broker& out, const BrokerReport& broker) {
  out.set_id(broker.id.value());
  if (broker.registered) fill_registered(out, *broker.registered);
  out.set_kafka_endpoint(address(broker, metadata::kKafkaEndpoint));
  out.set_grpc_endpoint(address(broker, metadata::kGrpcEndpoint));
  out.set_internal_endpoint(address(broker, metadata::kInternalEndpoint));
  out.set_state(broker.registered ? state_of(broker.state) : v1::BROKER_STATE_UNREGISTERED);
  out.set_alive(broker.life.alive);
  out.set_silent_ms(broker.life.silence ? milliseconds(*broker.life.silence) : -1);
  out.set_recovered(broker.life.recovered);
  out.set_leaders(broker.leads);
  out.set_replicas(broker.replicas);
  out.set_replicas_behind(broker.behind);
  out.set_metadata_voter(broker.votes_on_metadata);
  if (!broker.permit) return;
  out.mutable_permit()->set_incarnation(broker.permit->incarnation.text());
  out.mutable_permit()->set_expires_at_ms(broker.permit->expires_at_ms);
}

void fill(v1::PartitionHealth& out, const PartitionReport& partition) {
  out.set_topic(partition.topic);
  out.set_partition(partition.key.index.value());
  out.set_trouble(trouble_of(partition));
  out.set_leader(partition.leader.value());
  add_ids(*out.mutable_replicas(), partition.replicas);
  add_ids(*out.mutable_in_sync(), partition.in_sync);
  add_ids(*out.mutable_target(), partition.target);
}

void fill(v1::ClusterHealthResponse& out, const ClusterReport& report, std::size_t partitions_max) {
  out.set_controller(report.metadata_leader.value());
  out.set_partitions(static_cast<std::int64_t>(report.partitions.size()));
  for (const BrokerReport& broker : report.brokers) {
    if (broker.registered) out.set_brokers(out.brokers() + 1);
    if (broker.registered && broker.life.alive) out.set_brokers_alive(out.brokers_alive() + 1);
    fill(*out.add_broker_states(), broker);
  }
  count(out, report);
  judge(out, report);
  name_unwell(out, report, partitions_max);
}

}  // namespace millrace::grpc
