#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "broker/grpc/admin.h"
#include "broker/grpc/cluster_view.h"
#include "broker/model/topic_name.h"
#include "broker/service/log_dirs.h"

namespace millrace::grpc {
namespace {

using service::ClusterReport;

constexpr std::int32_t kNamedDefault = 20;

/// An advertised address for people: one without a host (each Kafka client is told the address it
/// came to) shows as where the broker listens.
std::string shown(env::Endpoint advertised, const model::ListenAddress& listening) {
  if (advertised.host.empty())
    advertised.host = listening.host.empty() ? "0.0.0.0" : listening.host;
  return advertised.text();
}

/// What a broker knows best of itself.
void fill_own(v1::Broker& out, const service::Shard& shard) {
  const service::Identity& identity = shard.identity();
  out.set_kafka_endpoint(shown(identity.kafka_advertised, shard.settings().kafka_listen));
  out.set_grpc_endpoint(shown(identity.grpc_advertised, shard.settings().grpc_listen));
  out.set_rack(shard.settings().rack);
  out.set_directory_id(identity.directory.text());
  out.set_version(identity.version);
}

/// Brokers hear of nobody's version but their own.
void tell_version(v1::ClusterHealthResponse& out, const service::Shard& shard) {
  for (v1::Broker& broker : *out.mutable_broker_states()) {
    if (broker.id() == shard.identity().node.value()) broker.set_version(shard.identity().version);
  }
}

void describe(const service::Shard& shard, const ClusterReport& report,
              const service::LogDirs& dirs, v1::DescribeClusterResponse& out) {
  out.set_cluster_id(shard.identity().cluster_id);
  out.set_controller(report.metadata_leader.value());
  out.set_answered_by(shard.identity().node.value());
  out.set_feature_level(shard.image().feature_level());
  for (const service::BrokerReport& broker : report.brokers) {
    v1::Broker& added = *out.add_brokers();
    fill(added, broker);
    if (broker.id == shard.identity().node) fill_own(added, shard);
  }
  out.set_topics(static_cast<std::int64_t>(shard.image().topics().size()));
  out.set_partitions(shard.image().partition_total());
  std::uint64_t bytes = 0;
  for (const service::PartitionSize& size : dirs.partitions) bytes += size.bytes;
  out.set_log_bytes(static_cast<std::int64_t>(bytes));
  out.set_disk_free_bytes(static_cast<std::int64_t>(dirs.space.free));
  out.set_disk_total_bytes(static_cast<std::int64_t>(dirs.space.total));
}

bool wanted(const v1::ListPartitionsRequest& request, const service::PartitionReport& partition) {
  if (request.topic().empty() && !request.include_internal() &&
      model::is_internal_topic(partition.topic))
    return false;
  if (!request.topic().empty() && partition.topic != request.topic()) return false;
  const auto& troubles = request.troubles();
  if (!troubles.empty() &&
      std::find(troubles.begin(), troubles.end(), trouble_of(partition)) == troubles.end())
    return false;
  if (!request.has_broker()) return true;
  const model::BrokerId broker{request.broker()};
  const auto has = [broker](const metadata::Replicas& replicas) {
    return std::find(replicas.begin(), replicas.end(), broker) != replicas.end();
  };
  return has(partition.replicas) || has(partition.target);
}

}  // namespace

::grpc::ServerUnaryReactor* Admin::DescribeCluster(::grpc::CallbackServerContext* context,
                                                   const v1::DescribeClusterRequest*,
                                                   v1::DescribeClusterResponse* response) {
  return on_shard(context, dealer_, [response](service::Shard& shard, const UnaryAnswer& answer) {
    service::report_cluster(shard, [&shard, response, answer](ClusterReport report) {
      service::describe_log_dirs(shard, [&shard, report = std::move(report), response,
                                         answer](const common::Result<service::LogDirs>& dirs) {
        if (!dirs.ok()) return answer.fail(dirs.error());
        describe(shard, report, *dirs, *response);
        answer.ok();
      });
    });
  });
}

::grpc::ServerUnaryReactor* Admin::ClusterHealth(::grpc::CallbackServerContext* context,
                                                 const v1::ClusterHealthRequest* request,
                                                 v1::ClusterHealthResponse* response) {
  return on_shard(context, dealer_,
                  [request, response](service::Shard& shard, const UnaryAnswer& answer) {
                    service::report_cluster(
                        shard, [&shard, request, response, answer](const ClusterReport& report) {
                          const std::int32_t max = request->partitions_max() == 0
                                                       ? kNamedDefault
                                                       : std::max(0, request->partitions_max());
                          response->set_cluster_id(shard.identity().cluster_id);
                          response->set_answered_by(shard.identity().node.value());
                          fill(*response, report, static_cast<std::size_t>(max));
                          tell_version(*response, shard);
                          answer.ok();
                        });
                  });
}

::grpc::ServerUnaryReactor* Admin::ListPartitions(::grpc::CallbackServerContext* context,
                                                  const v1::ListPartitionsRequest* request,
                                                  v1::ListPartitionsResponse* response) {
  return on_shard(
      context, dealer_, [request, response](service::Shard& shard, const UnaryAnswer& answer) {
        if (!request->topic().empty() && find_topic(shard, request->topic(), answer) == nullptr)
          return;
        service::report_cluster(shard, [request, response, answer](const ClusterReport& report) {
          for (const service::PartitionReport& partition : report.partitions) {
            if (wanted(*request, partition)) fill(*response->add_partitions(), partition);
          }
          answer.ok();
        });
      });
}

}  // namespace millrace::grpc
