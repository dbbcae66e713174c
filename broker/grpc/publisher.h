// The Publisher service.
#pragma once

#include "broker/grpc/call.h"
#include "millrace/v1/publisher.grpc.pb.h"

namespace millrace::grpc {

class Publisher final : public v1::Publisher::CallbackService {
 public:
  explicit Publisher(Dealer& dealer) : dealer_(dealer) {}
  ::grpc::ServerUnaryReactor* Publish(::grpc::CallbackServerContext* context,
                                      const v1::PublishRequest* request,
                                      v1::PublishResponse* response) override;
  ::grpc::ServerBidiReactor<v1::PublishRequest, v1::PublishResponse>* PublishStream(
      ::grpc::CallbackServerContext* context) override;

 private:
  Dealer& dealer_;
};

}  // namespace millrace::grpc
