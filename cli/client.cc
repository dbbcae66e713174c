#include "cli/client.h"

#include <fmt/format.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>

#include <cstdio>

namespace millrace::cli {
namespace {

constexpr int kMessageBytesMax = 64 << 20;

}  // namespace

Client::Client(const Global& global) : global_(global) {
  ::grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(kMessageBytesMax);
  arguments.SetMaxSendMessageSize(kMessageBytesMax);
  // A proxy named in the environment is for the web, not for the broker next door.
  arguments.SetInt("grpc.enable_http_proxy", 0);
  channel_ =
      ::grpc::CreateCustomChannel(global.broker, ::grpc::InsecureChannelCredentials(), arguments);
}

std::unique_ptr<::grpc::ClientContext> Client::context() const {
  auto context = endless_context();
  context->set_deadline(std::chrono::system_clock::now() +
                        std::chrono::milliseconds(global_.timeout_ms));
  return context;
}

std::unique_ptr<::grpc::ClientContext> Client::endless_context() const {
  return std::make_unique<::grpc::ClientContext>();
}

Exit Client::report(const ::grpc::Status& status) const {
  switch (status.error_code()) {
    case ::grpc::StatusCode::OK:
      return Exit::kOk;
    case ::grpc::StatusCode::UNAVAILABLE:
    case ::grpc::StatusCode::DEADLINE_EXCEEDED:
      fmt::print(stderr,
                 "millctl: not now, says {}: {}. If that is no answer of a broker: is it running, "
                 "and is this its gRPC port? Name another with --broker HOST:PORT or "
                 "MILLRACE_BROKER.\n",
                 global_.broker, status.error_message());
      return Exit::kUnreachable;
    case ::grpc::StatusCode::NOT_FOUND:
      fmt::print(stderr, "millctl: {}\n", status.error_message());
      return Exit::kNotFound;
    default:
      fmt::print(stderr, "millctl: {}\n", status.error_message());
      return Exit::kFailed;
  }
}

}  // namespace millrace::cli
