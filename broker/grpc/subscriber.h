// The Subscriber service.
#pragma once

#include "broker/grpc/call.h"
#include "broker/grpc/record_decoder.h"
#include "millrace/v1/subscriber.grpc.pb.h"

namespace millrace::grpc {

class Subscriber final : public v1::Subscriber::CallbackService {
 public:
  explicit Subscriber(Dealer& dealer) : dealer_(dealer) {}
  ::grpc::ServerWriteReactor<v1::ReadResponse>* Read(::grpc::CallbackServerContext* context,
                                                     const v1::ReadRequest* request) override;
  ::grpc::ServerBidiReactor<v1::SubscribeRequest, v1::SubscribeResponse>* Subscribe(
      ::grpc::CallbackServerContext* context) override;

 private:
  Dealer& dealer_;
  UnpackedBytes unpacked_;
};

}  // namespace millrace::grpc
