// constexpr Forwardable<v1::DescribeGroupRequest, v1::DescribeGroupResponse> kDescribeGroup{
//     "DescribeGroup", describe_group};
// run_at(shard, broker, kDescribeGroup, request, response, answer);
//
// Unary calls that another broker must answer. A call is passed on once at most: what comes from
// another broker is run where it arrives, whatever that means.
#pragma once

#include <google/protobuf/message_lite.h>

#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "broker/grpc/call.h"
#include "broker/service/door_calls.h"
#include "common/bytes.h"

namespace millrace::grpc {

/// A call by name, and how this broker answers it itself.
template <typename Request, typename Response>
struct Forwardable {
  std::string_view name;
  void (*run)(service::Shard& here, const Request& request, Response& response,
              const UnaryAnswer& answer);
};

/// What is sent: the name and the request.
common::Bytes to_body(std::string_view name, const google::protobuf::MessageLite& request);
/// kCorruptMessage: it is none. The views are into `body`.
struct NamedRequest {
  std::string_view name;
  common::ByteView request;
};
common::Result<NamedRequest> parse_body(common::ByteView body);
common::Bytes to_bytes(const google::protobuf::MessageLite& message);
/// kCorruptMessage.
common::Result<void> parse_into(google::protobuf::MessageLite& message, common::ByteView bytes);

/// The longest that another broker is waited for.
inline constexpr common::Duration kForwardMax = std::chrono::seconds(20);

/// Runs a call on a broker; -1: on this one. On the shard's loop, where the answer is given too.
template <typename Request, typename Response>
void run_at(service::Shard& here, model::BrokerId broker,
            const Forwardable<Request, Response>& call, const Request& request, Response& response,
            const UnaryAnswer& answer) {
  if (broker == model::BrokerId{-1} || broker == here.identity().node)
    return call.run(here, request, response, answer);
  service::ask_door(here, broker, to_body(call.name, request), kForwardMax,
                    [&response, answer](common::Result<common::Bytes> answered) {
                      if (!answered.ok()) return answer.fail(answered.error());
                      if (auto read = parse_into(response, answered->view()); !read.ok())
                        return answer.fail(read.error());
                      answer.ok();
                    });
}

/// A call of another broker while this one works on it.
template <typename Request, typename Response>
class BrokerCall final : public UnaryCall {
 public:
  explicit BrokerCall(common::Reply<common::Result<common::Bytes>> reply)
      : reply_(std::move(reply)) {}
  Request request;
  Response response;

  void ok() override { reply_(to_bytes(response)); }
  void fail(model::ErrorCode code, const std::string& detail) override {
    reply_(common::Error{code, detail});
  }

 private:
  common::Reply<common::Result<common::Bytes>> reply_;
};

/// Runs what another broker sent.
template <typename Request, typename Response>
void run_for_broker(service::Shard& first, const Forwardable<Request, Response>& call,
                    common::ByteView request, common::Reply<common::Result<common::Bytes>> reply) {
  auto broker_call = std::make_shared<BrokerCall<Request, Response>>(std::move(reply));
  const UnaryAnswer answer(broker_call);
  if (auto read = parse_into(broker_call->request, request); !read.ok())
    return answer.fail(read.error());
  call.run(first, broker_call->request, broker_call->response, answer);
}

}  // namespace millrace::grpc
