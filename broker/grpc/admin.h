// The Admin service.
#pragma once

#include "broker/grpc/call.h"
#include "millrace/v1/admin.grpc.pb.h"

namespace millrace::grpc {

class Admin final : public v1::Admin::CallbackService {
 public:
  explicit Admin(Dealer& dealer) : dealer_(dealer) {}

  // admin_topics.cc
  ::grpc::ServerUnaryReactor* CreateTopic(::grpc::CallbackServerContext* context,
                                          const v1::CreateTopicRequest* request,
                                          v1::CreateTopicResponse* response) override;
  ::grpc::ServerUnaryReactor* CreateTopics(::grpc::CallbackServerContext* context,
                                           const v1::CreateTopicsRequest* request,
                                           v1::CreateTopicsResponse* response) override;
  ::grpc::ServerUnaryReactor* DeleteTopic(::grpc::CallbackServerContext* context,
                                          const v1::DeleteTopicRequest* request,
                                          v1::DeleteTopicResponse* response) override;
  ::grpc::ServerUnaryReactor* ListTopics(::grpc::CallbackServerContext* context,
                                         const v1::ListTopicsRequest* request,
                                         v1::ListTopicsResponse* response) override;
  ::grpc::ServerUnaryReactor* DescribeTopic(::grpc::CallbackServerContext* context,
                                            const v1::DescribeTopicRequest* request,
                                            v1::DescribeTopicResponse* response) override;
  ::grpc::ServerUnaryReactor* CreatePartitions(::grpc::CallbackServerContext* context,
                                               const v1::CreatePartitionsRequest* request,
                                               v1::CreatePartitionsResponse* response) override;
  // admin_data.cc
  ::grpc::ServerUnaryReactor* DeleteRecords(::grpc::CallbackServerContext* context,
                                            const v1::DeleteRecordsRequest* request,
                                            v1::DeleteRecordsResponse* response) override;
  ::grpc::ServerUnaryReactor* ListOffsets(::grpc::CallbackServerContext* context,
                                          const v1::ListOffsetsRequest* request,
                                          v1::ListOffsetsResponse* response) override;
  ::grpc::ServerUnaryReactor* InitProducer(::grpc::CallbackServerContext* context,
                                           const v1::InitProducerRequest* request,
                                           v1::InitProducerResponse* response) override;
  ::grpc::ServerUnaryReactor* DescribeProducers(::grpc::CallbackServerContext* context,
                                                const v1::DescribeProducersRequest* request,
                                                v1::DescribeProducersResponse* response) override;
  // admin_configs.cc
  ::grpc::ServerUnaryReactor* DescribeConfigs(::grpc::CallbackServerContext* context,
                                              const v1::DescribeConfigsRequest* request,
                                              v1::DescribeConfigsResponse* response) override;
  ::grpc::ServerUnaryReactor* AlterConfigs(::grpc::CallbackServerContext* context,
                                           const v1::AlterConfigsRequest* request,
                                           v1::AlterConfigsResponse* response) override;
  // admin_cluster.cc
  ::grpc::ServerUnaryReactor* DescribeCluster(::grpc::CallbackServerContext* context,
                                              const v1::DescribeClusterRequest* request,
                                              v1::DescribeClusterResponse* response) override;
  ::grpc::ServerUnaryReactor* ClusterHealth(::grpc::CallbackServerContext* context,
                                            const v1::ClusterHealthRequest* request,
                                            v1::ClusterHealthResponse* response) override;
  ::grpc::ServerUnaryReactor* ListPartitions(::grpc::CallbackServerContext* context,
                                             const v1::ListPartitionsRequest* request,
                                             v1::ListPartitionsResponse* response) override;
  // admin_brokers.cc
  ::grpc::ServerUnaryReactor* DrainBroker(::grpc::CallbackServerContext* context,
                                          const v1::DrainBrokerRequest* request,
                                          v1::DrainBrokerResponse* response) override;
  ::grpc::ServerUnaryReactor* CancelDrain(::grpc::CallbackServerContext* context,
                                          const v1::CancelDrainRequest* request,
                                          v1::CancelDrainResponse* response) override;
  ::grpc::ServerUnaryReactor* DecommissionBroker(::grpc::CallbackServerContext* context,
                                                 const v1::DecommissionBrokerRequest* request,
                                                 v1::DecommissionBrokerResponse* response) override;
  ::grpc::ServerUnaryReactor* AcquireRestartPermit(
      ::grpc::CallbackServerContext* context, const v1::AcquireRestartPermitRequest* request,
      v1::AcquireRestartPermitResponse* response) override;
  ::grpc::ServerUnaryReactor* ReleaseRestartPermit(
      ::grpc::CallbackServerContext* context, const v1::ReleaseRestartPermitRequest* request,
      v1::ReleaseRestartPermitResponse* response) override;
  // admin_partitions.cc
  ::grpc::ServerUnaryReactor* MovePartition(::grpc::CallbackServerContext* context,
                                            const v1::MovePartitionRequest* request,
                                            v1::MovePartitionResponse* response) override;
  ::grpc::ServerUnaryReactor* CancelMove(::grpc::CallbackServerContext* context,
                                         const v1::CancelMoveRequest* request,
                                         v1::CancelMoveResponse* response) override;
  ::grpc::ServerUnaryReactor* TransferLeader(::grpc::CallbackServerContext* context,
                                             const v1::TransferLeaderRequest* request,
                                             v1::TransferLeaderResponse* response) override;
  ::grpc::ServerUnaryReactor* RecoverPartition(::grpc::CallbackServerContext* context,
                                               const v1::RecoverPartitionRequest* request,
                                               v1::RecoverPartitionResponse* response) override;
  // admin_groups.cc
  ::grpc::ServerUnaryReactor* ListGroups(::grpc::CallbackServerContext* context,
                                         const v1::ListGroupsRequest* request,
                                         v1::ListGroupsResponse* response) override;
  ::grpc::ServerUnaryReactor* DescribeGroup(::grpc::CallbackServerContext* context,
                                            const v1::DescribeGroupRequest* request,
                                            v1::DescribeGroupResponse* response) override;
  ::grpc::ServerUnaryReactor* DeleteGroup(::grpc::CallbackServerContext* context,
                                          const v1::DeleteGroupRequest* request,
                                          v1::DeleteGroupResponse* response) override;
  ::grpc::ServerUnaryReactor* ResetGroupOffsets(::grpc::CallbackServerContext* context,
                                                const v1::ResetGroupOffsetsRequest* request,
                                                v1::ResetGroupOffsetsResponse* response) override;
  ::grpc::ServerUnaryReactor* DeleteGroupOffsets(::grpc::CallbackServerContext* context,
                                                 const v1::DeleteGroupOffsetsRequest* request,
                                                 v1::DeleteGroupOffsetsResponse* response) override;
  // admin_explain.cc
  ::grpc::ServerUnaryReactor* Explain(::grpc::CallbackServerContext* context,
                                      const v1::ExplainRequest* request,
                                      v1::ExplainResponse* response) override;

 private:
  Dealer& dealer_;
};

/// The topic, or nullptr after the call was failed with kUnknownTopicOrPartition.
std::shared_ptr<const metadata::Topic> find_topic(const service::Shard& here,
                                                  const std::string& name,
                                                  const UnaryAnswer& answer);

}  // namespace millrace::grpc
