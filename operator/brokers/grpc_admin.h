// GrpcAdmin admin({"10.0.0.7:9094", "10.0.0.8:9094"}, {});
// const Answer<Cluster> cluster = admin.cluster();
//
// The brokers of one cluster by gRPC.
#pragma once

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "millrace/v1/admin.grpc.pb.h"
#include "operator/brokers/admin.h"

namespace millrace::brokers {

/// How long calls may take. Each try has a deadline of its own; a call is tried at one address
/// after the other while `whole` lasts.
struct Patience {
  std::chrono::milliseconds read{3'000};
  /// What goes through the metadata log.
  std::chrono::milliseconds change{10'000};
  /// Up to kTopicsMax topics.
  std::chrono::milliseconds batch{60'000};
  /// Of all tries of one call together, or that of one try where that is longer.
  std::chrono::milliseconds whole{15'000};
};

/// One call has ended, for metrics: "DrainBroker", and "ok" or the name of the trouble.
using CallObserver = std::function<void(std::string_view method, std::string_view outcome)>;

/// A call goes to the address that answered last; where that one gives no answer, or cannot do it
/// now, to the next, each one once. So one broker that is up is enough.
class GrpcAdmin final : public Admin {
 public:
  explicit GrpcAdmin(std::vector<std::string> addresses, Patience patience = {},
                     CallObserver observer = nullptr);
  ~GrpcAdmin() override;

  /// From the next call on. Connections to those that stay are kept.
  void set_addresses(std::vector<std::string> addresses);

  Answer<Cluster> cluster() override;
  Answer<Configs> dynamic_defaults() override;
  Answer<void> alter_defaults(const Configs& set, const std::vector<std::string>& remove) override;
  Answer<PermitAnswer> acquire_permit(const PermitRequest& request) override;
  Answer<void> release_permit(std::int32_t broker) override;
  Answer<DrainAnswer> drain(std::int32_t broker) override;
  Answer<void> cancel_drain(std::int32_t broker) override;
  Answer<Receipt> decommission(std::int32_t broker, const std::string& directory_id) override;
  Answer<std::vector<Topic>> topics() override;
  Answer<std::map<std::string, TopicTrouble>> unwell_topics() override;
  Answer<std::vector<Answer<Topic>>> create_topics(const std::vector<NewTopic>& topics) override;
  Answer<void> add_partitions(const std::string& topic, std::int32_t partitions) override;
  Answer<void> alter_topic(const std::string& topic, const Configs& set,
                           const std::vector<std::string>& remove) override;
  Answer<void> delete_topic(const std::string& topic_id) override;

 private:
  using Stub = v1::Admin::Stub;
  /// One broker, perhaps.
  struct Door {
    std::string address;
    std::shared_ptr<Stub> stub;
  };
  template <typename Request, typename Response>
  using Method = ::grpc::Status (Stub::*)(::grpc::ClientContext*, const Request&, Response*);

  /// What is called and how long one try may take.
  struct Call {
    std::string_view name;
    std::chrono::milliseconds deadline;
  };
  template <typename Request, typename Response>
  Answer<Response> ask(const Call& call, Method<Request, Response> method, const Request& request);
  Answer<void> alter(v1::AlterConfigsRequest request, const Configs& set,
                     const std::vector<std::string>& remove);

  /// All doors, the one that answered last in front.
  std::vector<Door> doors() const;
  void answered(const std::string& address);
  void observe(std::string_view method, std::string_view outcome) const;

  const Patience patience_;
  const CallObserver observer_;
  mutable std::mutex mutex_;  // guards what follows
  std::vector<Door> doors_;
  std::string answered_last_;
};

}  // namespace millrace::brokers
