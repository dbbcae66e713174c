// Calls of Admin that only one broker can answer: who looks after a group, or the broker that is
// asked about.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "broker/grpc/forward.h"
#include "broker/service/coordinator_home.h"
#include "millrace/v1/admin.pb.h"

namespace millrace::grpc {

extern const Forwardable<v1::ListGroupsRequest, v1::ListGroupsResponse> kListGroups;
extern const Forwardable<v1::DescribeGroupRequest, v1::DescribeGroupResponse> kDescribeGroup;
extern const Forwardable<v1::DeleteGroupRequest, v1::DeleteGroupResponse> kDeleteGroup;
extern const Forwardable<v1::ResetGroupOffsetsRequest, v1::ResetGroupOffsetsResponse>
    kResetGroupOffsets;
extern const Forwardable<v1::DeleteGroupOffsetsRequest, v1::DeleteGroupOffsetsResponse>
    kDeleteGroupOffsets;
extern const Forwardable<v1::ExplainRequest, v1::ExplainResponse> kExplain;
extern const Forwardable<v1::DescribeConfigsRequest, v1::DescribeConfigsResponse> kDescribeConfigs;

/// Runs one of these for another broker. On the first shard's loop.
void answer_broker(service::Shard& first, const common::Bytes& body,
                   common::Reply<common::Result<common::Bytes>> reply);

/// Nothing was done, because it was the wrong broker or too early; the right one will be known
/// soon.
bool worth_another_try(model::ErrorCode code);

/// A call about a group while its coordinator is looked for. Lives on the asking shard's loop.
template <typename Request, typename Response>
class CoordinatorCall final
    : public UnaryCall,
      public std::enable_shared_from_this<CoordinatorCall<Request, Response>> {
 public:
  using Call = Forwardable<Request, Response>;
  CoordinatorCall(service::Shard& here, const Call& call, std::string group, const Request& request,
                  Response& response, UnaryAnswer answer)
      : here_(here),
        call_(call),
        group_(std::move(group)),
        request_(request),
        response_(response),
        answer_(std::move(answer)),
        until_(here.clock().now() + kSeekMax) {}

  void attempt() {
    service::coordinator_home(here_, group_,
                              [self = this->shared_from_this()](model::BrokerId broker) {
                                run_at(self->here_, broker, self->call_, self->request_,
                                       self->response_, UnaryAnswer(self));
                              });
  }
  void ok() override { answer_.ok(); }
  void fail(model::ErrorCode code, const std::string& detail) override {
    if (!worth_another_try(code) || here_.clock().now() >= until_)
      return answer_.fail(code, detail);
    response_.Clear();
    here_.loop().after(kPause, [self = this->shared_from_this()] { self->attempt(); });
  }

 private:
  /// Longer than it takes to notice that a coordinator is gone, and to have another one.
  static constexpr common::Duration kSeekMax = std::chrono::seconds(5);
  static constexpr common::Duration kPause = std::chrono::milliseconds(100);

  service::Shard& here_;
  const Call& call_;
  const std::string group_;
  const Request& request_;
  Response& response_;
  const UnaryAnswer answer_;
  const common::Instant until_;
};

/// Runs a call on the broker that looks after a group.
template <typename Request, typename Response>
void run_at_coordinator(service::Shard& here, const Forwardable<Request, Response>& call,
                        const std::string& group, const Request& request, Response& response,
                        const UnaryAnswer& answer) {
  std::make_shared<CoordinatorCall<Request, Response>>(here, call, group, request, response, answer)
      ->attempt();
}

template <typename Request, typename Response>
::grpc::ServerUnaryReactor* on_coordinator(::grpc::CallbackServerContext* context, Dealer& dealer,
                                           const Forwardable<Request, Response>& call,
                                           const std::string& group, const Request* request,
                                           Response* response) {
  return on_shard(
      context, dealer,
      [&call, group, request, response](service::Shard& shard, const UnaryAnswer& answer) {
        run_at_coordinator(shard, call, group, *request, *response, answer);
      });
}

}  // namespace millrace::grpc
