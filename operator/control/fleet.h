// std::shared_ptr<brokers::Admin> admin = fleet.admin(cluster, addresses_of(pods));
//
// Which brokers to ask for which cluster.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "operator/brokers/grpc_admin.h"
#include "operator/kube/api.h"

namespace millrace::control {

/// One connection to the brokers of each cluster. Thread-safe.
class Fleet {
 public:
  virtual ~Fleet() = default;
  /// `addresses`: where its brokers are now, the likeliest first. The answer may be kept for one
  /// look at the cluster; it stays usable after forget().
  virtual std::shared_ptr<brokers::Admin> admin(const kube::ObjectKey& cluster,
                                                std::vector<std::string> addresses) = 0;
  /// The cluster is gone: its connections are closed.
  virtual void forget(const kube::ObjectKey& cluster) = 0;
};

/// By gRPC.
class GrpcFleet final : public Fleet {
 public:
  explicit GrpcFleet(brokers::CallObserver observer = nullptr) : observer_(std::move(observer)) {}
  std::shared_ptr<brokers::Admin> admin(const kube::ObjectKey& cluster,
                                        std::vector<std::string> addresses) override;
  void forget(const kube::ObjectKey& cluster) override;

 private:
  const brokers::CallObserver observer_;
  std::mutex mutex_;  // guards what follows
  std::map<kube::ObjectKey, std::shared_ptr<brokers::GrpcAdmin>> admins_;
};

/// "10.0.0.7:9094" of every pod that has an address and is not going: those that are ready first,
/// each group in order of name.
std::vector<std::string> addresses_of(const std::vector<kube::Json>& pods);

}  // namespace millrace::control
