// How calls reach a shard and come back.
#pragma once

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include <atomic>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "broker/grpc/status.h"
#include "broker/service/shard.h"

namespace millrace::grpc {

/// Deals calls out to the shards in turn. Thread-safe.
class Dealer {
 public:
  explicit Dealer(std::vector<service::Shard*> shards) : shards_(std::move(shards)) {}
  service::Shard& next() {
    return *shards_[turn_.fetch_add(1, std::memory_order_relaxed) % shards_.size()];
  }

 private:
  const std::vector<service::Shard*> shards_;
  std::atomic<std::size_t> turn_{0};
};

/// Where the answer of a unary call goes: to a client, to another broker (forward.h), or to whoever
/// tries again.
class UnaryCall {
 public:
  virtual ~UnaryCall() = default;
  virtual void ok() = 0;
  virtual void fail(model::ErrorCode code, const std::string& detail) = 0;
};

/// One unary call's answer: used once.
class UnaryAnswer {
 public:
  explicit UnaryAnswer(std::shared_ptr<UnaryCall> call) : call_(std::move(call)) {}
  void ok() const { call_->ok(); }
  void fail(const common::Error& error) const { fail(error.code, error.detail); }
  void fail(model::ErrorCode code, const std::string& detail) const { call_->fail(code, detail); }

 private:
  std::shared_ptr<UnaryCall> call_;
};

/// A client's call; may be answered on any thread.
class ClientCall final : public UnaryCall {
 public:
  ClientCall(::grpc::CallbackServerContext* context, ::grpc::ServerUnaryReactor* reactor)
      : context_(context), reactor_(reactor) {}
  void ok() override { reactor_->Finish(::grpc::Status::OK); }
  void fail(model::ErrorCode code, const std::string& detail) override {
    context_->AddTrailingMetadata(kErrorMetadata, error_name(code));
    reactor_->Finish(to_status(code, detail));
  }

 private:
  ::grpc::CallbackServerContext* context_;
  ::grpc::ServerUnaryReactor* reactor_;
};

/// Runs work(shard, answer) on a shard's loop; the work answers exactly once. Request and response
/// live until then.
template <typename Work>
::grpc::ServerUnaryReactor* on_shard(::grpc::CallbackServerContext* context, Dealer& dealer,
                                     Work work) {
  ::grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  service::Shard& shard = dealer.next();
  shard.loop().post([&shard, work = std::move(work),
                     answer = UnaryAnswer(std::make_shared<ClientCall>(
                         context, reactor))]() mutable { work(shard, answer); });
  return reactor;
}

}  // namespace millrace::grpc
