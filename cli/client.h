// The connection of a command to the broker, and how its errors end the program.
#pragma once

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>

#include <chrono>
#include <memory>
#include <string>

namespace millrace::cli {

/// Exit codes, for scripts. docs/millctl.md lists them.
enum class Exit : int {
  kOk = 0,
  kFailed = 1,       // the broker refused or an error came back
  kUsage = 2,        // the command line is wrong
  kNotFound = 3,     // the topic, partition, group or broker does not exist
  kUnreachable = 4,  // no broker answered in time
  kUnwell = 5,       // `why` or `doctor` found something that should not stay so
};

/// Options that every command has.
struct Global {
  std::string broker = "localhost:9094";
  bool json = false;
  int timeout_ms = 10'000;
};

/// One broker, reached over gRPC. Any broker answers any call.
class Client {
 public:
  explicit Client(const Global& global);
  const std::shared_ptr<::grpc::Channel>& channel() const { return channel_; }
  /// A context with the deadline of the command.
  std::unique_ptr<::grpc::ClientContext> context() const;
  /// A context without one, for streams that last.
  std::unique_ptr<::grpc::ClientContext> endless_context() const;
  /// Prints what went wrong and what to do, and answers the exit code.
  Exit report(const ::grpc::Status& status) const;

 private:
  Global global_;
  std::shared_ptr<::grpc::Channel> channel_;
};

}  // namespace millrace::cli
