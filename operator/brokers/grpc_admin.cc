#include "operator/brokers/grpc_admin.h"

#include <fmt/format.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/channel_arguments.h>

#include <algorithm>
#include <utility>

#include "operator/brokers/translate.h"
#include "operator/brokers/tries.h"

namespace millrace::brokers {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

/// A list of tens of thousands of topics with their settings.
constexpr int kMessageBytesMax = 64 << 20;
constexpr const char* kErrorMetadata = "millrace-error";

std::shared_ptr<::grpc::Channel> open(const std::string& address) {
  ::grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(kMessageBytesMax);
  arguments.SetMaxSendMessageSize(kMessageBytesMax);
  // A proxy named in the environment is for the web, not for pods.
  arguments.SetInt("grpc.enable_http_proxy", 0);
  // A broker that was restarted is found again soon, and one whose node is gone holds up no call
  // for longer than a try.
  arguments.SetInt("grpc.initial_reconnect_backoff_ms", 200);
  arguments.SetInt("grpc.min_reconnect_backoff_ms", 2'000);
  arguments.SetInt("grpc.max_reconnect_backoff_ms", 2'000);
  return ::grpc::CreateCustomChannel(address, ::grpc::InsecureChannelCredentials(), arguments);
}

std::string error_code(const ::grpc::ClientContext& context) {
  const auto& metadata = context.GetServerTrailingMetadata();
  const auto found = metadata.find(kErrorMetadata);
  return found == metadata.end() ? "" : std::string(found->second.data(), found->second.size());
}

}  // namespace

GrpcAdmin::GrpcAdmin(std::vector<std::string> addresses, Patience patience, CallObserver observer)
    : patience_(patience), observer_(std::move(observer)) {
  set_addresses(std::move(addresses));
}

GrpcAdmin::~GrpcAdmin() = default;

void GrpcAdmin::set_addresses(std::vector<std::string> addresses) {
  std::vector<Door> doors;
  const std::lock_guard lock(mutex_);
  for (std::string& address : addresses) {
    const auto known = std::find_if(doors_.begin(), doors_.end(),
                                    [&](const Door& door) { return door.address == address; });
    if (known != doors_.end()) {
      doors.push_back(*known);
    } else {
      std::shared_ptr<Stub> stub = v1::Admin::NewStub(open(address));
      doors.push_back({std::move(address), std::move(stub)});
    }
  }
  doors_ = std::move(doors);
}

std::vector<GrpcAdmin::Door> GrpcAdmin::doors() const {
  const std::lock_guard lock(mutex_);
  std::vector<Door> doors = doors_;
  const auto last = std::find_if(doors.begin(), doors.end(),
                                 [&](const Door& door) { return door.address == answered_last_; });
  if (last != doors.end()) std::rotate(doors.begin(), last, last + 1);
  return doors;
}

void GrpcAdmin::answered(const std::string& address) {
  const std::lock_guard lock(mutex_);
  answered_last_ = address;
}

void GrpcAdmin::observe(std::string_view method, std::string_view outcome) const {
  if (observer_) observer_(method, outcome);
}

template <typename Request, typename Response>
Answer<Response> GrpcAdmin::ask(const Call& call, Method<Request, Response> method,
                                const Request& request) {
  const auto began = steady_clock::now();
  const milliseconds whole = std::max(patience_.whole, call.deadline);
  Tries tries;
  for (const Door& door : doors()) {
    const auto left = whole - std::chrono::duration_cast<milliseconds>(steady_clock::now() - began);
    if (left <= milliseconds(0)) break;
    ::grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::min(left, call.deadline));
    Response response;
    const ::grpc::Status status = ((*door.stub).*method)(&context, request, &response);
    if (status.ok()) {
      answered(door.address);
      observe(call.name, "ok");
      return response;
    }
    if (!tries.go_on(error_of(call.name, {status, error_code(context), door.address}))) break;
  }
  BrokerError error = tries.outcome();
  observe(call.name, name(error.trouble));
  return error;
}

Answer<Cluster> GrpcAdmin::cluster() {
  v1::ClusterHealthRequest request;
  request.set_partitions_max(1);
  TRY_ASSIGN(const v1::ClusterHealthResponse response,
             ask({"ClusterHealth", patience_.read}, &Stub::ClusterHealth, request));
  return translate(response);
}

Answer<Configs> GrpcAdmin::dynamic_defaults() {
  v1::DescribeConfigsRequest request;
  request.set_type(v1::RESOURCE_TYPE_BROKER);
  TRY_ASSIGN(const v1::DescribeConfigsResponse response,
             ask({"DescribeConfigs", patience_.read}, &Stub::DescribeConfigs, request));
  return translate(response);
}

Answer<void> GrpcAdmin::alter(v1::AlterConfigsRequest request, const Configs& set,
                              const std::vector<std::string>& remove) {
  for (const auto& [setting, value] : set) {
    v1::ConfigChange& change = *request.add_changes();
    change.set_name(setting);
    change.set_operation(v1::CONFIG_OPERATION_SET);
    change.set_value(value);
  }
  for (const std::string& setting : remove) {
    v1::ConfigChange& change = *request.add_changes();
    change.set_name(setting);
    change.set_operation(v1::CONFIG_OPERATION_DELETE);
  }
  TRY(ask({"AlterConfigs", patience_.change}, &Stub::AlterConfigs, request));
  return {};
}

Answer<void> GrpcAdmin::alter_defaults(const Configs& set, const std::vector<std::string>& remove) {
  v1::AlterConfigsRequest request;
  request.set_type(v1::RESOURCE_TYPE_BROKER);
  return alter(std::move(request), set, remove);
}

Answer<PermitAnswer> GrpcAdmin::acquire_permit(const PermitRequest& wanted) {
  v1::AcquireRestartPermitRequest request;
  request.set_broker(wanted.broker);
  request.set_incarnation(wanted.incarnation);
  request.set_lasts_ms(wanted.lasts_ms);
  TRY_ASSIGN(const v1::AcquireRestartPermitResponse response,
             ask({"AcquireRestartPermit", patience_.change}, &Stub::AcquireRestartPermit, request));
  return translate(response);
}

Answer<void> GrpcAdmin::release_permit(std::int32_t broker) {
  v1::ReleaseRestartPermitRequest request;
  request.set_broker(broker);
  TRY(ask({"ReleaseRestartPermit", patience_.change}, &Stub::ReleaseRestartPermit, request));
  return {};
}

Answer<DrainAnswer> GrpcAdmin::drain(std::int32_t broker) {
  v1::DrainBrokerRequest request;
  request.set_broker(broker);
  TRY_ASSIGN(const v1::DrainBrokerResponse response,
             ask({"DrainBroker", patience_.change}, &Stub::DrainBroker, request));
  return translate(response);
}

Answer<void> GrpcAdmin::cancel_drain(std::int32_t broker) {
  v1::CancelDrainRequest request;
  request.set_broker(broker);
  TRY(ask({"CancelDrain", patience_.change}, &Stub::CancelDrain, request));
  return {};
}

Answer<Receipt> GrpcAdmin::decommission(std::int32_t broker, const std::string& directory_id) {
  v1::DecommissionBrokerRequest request;
  request.set_broker(broker);
  request.set_directory_id(directory_id);
  TRY_ASSIGN(const v1::DecommissionBrokerResponse response,
             ask({"DecommissionBroker", patience_.change}, &Stub::DecommissionBroker, request));
  const v1::Receipt& receipt = response.receipt();
  return Receipt{receipt.broker(), receipt.directory_id(), receipt.epoch()};
}

Answer<std::vector<Topic>> GrpcAdmin::topics() {
  v1::ListTopicsRequest request;
  request.set_with_configs(true);
  TRY_ASSIGN(const v1::ListTopicsResponse response,
             ask({"ListTopics", patience_.change}, &Stub::ListTopics, request));
  std::vector<Topic> topics;
  topics.reserve(static_cast<std::size_t>(response.topics_size()));
  for (const v1::TopicSummary& topic : response.topics()) topics.push_back(translate(topic));
  return topics;
}

Answer<std::map<std::string, TopicTrouble>> GrpcAdmin::unwell_topics() {
  v1::ListPartitionsRequest request;
  request.add_troubles(v1::PARTITION_TROUBLE_OFFLINE);
  request.add_troubles(v1::PARTITION_TROUBLE_UNDER_MIN_IN_SYNC);
  request.add_troubles(v1::PARTITION_TROUBLE_AT_MIN_IN_SYNC);
  request.add_troubles(v1::PARTITION_TROUBLE_UNDER_REPLICATED);
  TRY_ASSIGN(const v1::ListPartitionsResponse response,
             ask({"ListPartitions", patience_.change}, &Stub::ListPartitions, request));
  return translate(response);
}

Answer<std::vector<Answer<Topic>>> GrpcAdmin::create_topics(const std::vector<NewTopic>& topics) {
  CHECK(topics.size() <= kTopicsMax, "{} topics at once", topics.size());
  v1::CreateTopicsRequest request;
  for (const NewTopic& topic : topics) {
    v1::NewTopic& wanted = *request.add_topics();
    wanted.set_name(topic.name);
    wanted.set_partitions(topic.partitions);
    wanted.set_replication_factor(topic.replication_factor);
    for (const auto& [setting, value] : topic.configs) (*wanted.mutable_configs())[setting] = value;
  }
  TRY_ASSIGN(const v1::CreateTopicsResponse response,
             ask({"CreateTopics", patience_.batch}, &Stub::CreateTopics, request));
  if (static_cast<std::size_t>(response.topics_size()) != topics.size()) {
    return BrokerError{.trouble = Trouble::kFailed,
                       .detail = fmt::format("{} topics were asked for and {} answered for",
                                             topics.size(), response.topics_size()),
                       .maybe_done = true};
  }
  std::vector<Answer<Topic>> answers;
  for (const v1::NewTopicOutcome& outcome : response.topics())
    answers.push_back(translate(outcome));
  return answers;
}

Answer<void> GrpcAdmin::add_partitions(const std::string& topic, std::int32_t partitions) {
  v1::CreatePartitionsRequest request;
  request.set_topic(topic);
  request.set_partitions(partitions);
  TRY(ask({"CreatePartitions", patience_.change}, &Stub::CreatePartitions, request));
  return {};
}

Answer<void> GrpcAdmin::alter_topic(const std::string& topic, const Configs& set,
                                    const std::vector<std::string>& remove) {
  v1::AlterConfigsRequest request;
  request.set_type(v1::RESOURCE_TYPE_TOPIC);
  request.set_name(topic);
  return alter(std::move(request), set, remove);
}

Answer<void> GrpcAdmin::delete_topic(const std::string& topic_id) {
  v1::DeleteTopicRequest request;
  request.set_topic_id(topic_id);
  TRY(ask({"DeleteTopic", patience_.change}, &Stub::DeleteTopic, request));
  return {};
}

}  // namespace millrace::brokers
