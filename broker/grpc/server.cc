#include "broker/grpc/server.h"

#include <fmt/format.h>
#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include <chrono>
#include <utility>

#include "broker/grpc/admin.h"
#include "broker/grpc/admin_calls.h"
#include "broker/grpc/publisher.h"
#include "broker/grpc/subscriber.h"

namespace millrace::grpc {
namespace {

constexpr int kMessageBytesMax = 64 << 20;
/// A peer that vanished without a word (its machine lost power) is noticed after both: a member of
/// a group must not hold its partitions for a stream that nobody reads.
constexpr int kKeepaliveMs = 20'000;
constexpr int kKeepaliveTimeoutMs = 10'000;
constexpr auto kStopGrace = std::chrono::seconds(1);

class RealServer final : public Server {
 public:
  explicit RealServer(std::span<service::Shard* const> shards)
      : dealer_({shards.begin(), shards.end()}),
        publisher_(dealer_),
        subscriber_(dealer_),
        admin_(dealer_) {
    service::Shard& first = *shards.front();
    first.loop().post([&first] {
      service::serve_door(first, [&first](const common::Bytes& body,
                                          common::Reply<common::Result<common::Bytes>> reply) {
        answer_broker(first, body, std::move(reply));
      });
    });
  }
  ~RealServer() override { stop(); }

  common::Result<void> listen(const env::Endpoint& endpoint) {
    ::grpc::EnableDefaultHealthCheckService(true);
    ::grpc::reflection::InitProtoReflectionServerBuilderPlugin();
    ::grpc::ServerBuilder builder;
    int port = 0;
    builder.AddListeningPort(endpoint.text(), ::grpc::InsecureServerCredentials(), &port);
    // Without it two brokers could share one port without knowing.
    builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
    builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveMs);
    builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveTimeoutMs);
    builder.SetMaxReceiveMessageSize(kMessageBytesMax);
    builder.SetMaxSendMessageSize(kMessageBytesMax);
    builder.RegisterService(&publisher_);
    builder.RegisterService(&subscriber_);
    builder.RegisterService(&admin_);
    server_ = builder.BuildAndStart();
    if (server_ == nullptr || port == 0) {
      return common::Error{
          model::ErrorCode::kAddressInUse,
          fmt::format("grpc.listen: cannot listen on {}: the address is in use or not of this "
                      "machine; choose another with --grpc.listen",
                      endpoint.text())};
    }
    endpoint_ = {endpoint.host, static_cast<std::uint16_t>(port)};
    server_->GetHealthCheckService()->SetServingStatus(true);
    return common::ok();
  }

  env::Endpoint endpoint() const override { return endpoint_; }

  void stop() override {
    if (server_ == nullptr) return;
    server_->GetHealthCheckService()->SetServingStatus(false);
    server_->Shutdown(std::chrono::system_clock::now() + kStopGrace);
    server_->Wait();
    server_.reset();
  }

 private:
  Dealer dealer_;
  Publisher publisher_;
  Subscriber subscriber_;
  Admin admin_;
  env::Endpoint endpoint_;
  std::unique_ptr<::grpc::Server> server_;
};

}  // namespace

common::Result<std::unique_ptr<Server>> Server::start(const env::Endpoint& endpoint,
                                                      std::span<service::Shard* const> shards) {
  auto server = std::make_unique<RealServer>(shards);
  TRY(server->listen(endpoint));
  return std::unique_ptr<Server>(std::move(server));
}

}  // namespace millrace::grpc
