// Tries tries;   for (door : doors) { ... if (!tries.go_on(error_of("DrainBroker", said))) break; }
// return tries.outcome();
//
// What one try of a call came to, and what is to be made of several. Pure.
#pragma once

#include <grpcpp/support/status.h>

#include <optional>
#include <string>
#include <string_view>

#include "operator/brokers/answer.h"

namespace millrace::brokers {

/// What came back from one address.
struct Said {
  ::grpc::Status status;
  /// The error's name in the table of brokers (trailing metadata); empty: no broker spoke.
  std::string code;
  std::string address;
};

/// Requires that the status is not OK. Without a code of ours nobody answered who is a broker.
BrokerError error_of(std::string_view call, const Said& said);

/// A call that is made to one broker after the other.
class Tries {
 public:
  /// One of them could not do it. True: another one may do better.
  bool go_on(BrokerError error);
  /// When no further one is tried: of what several brokers say the caller learns one thing. That
  /// one is not there is worth least, and a final word most.
  BrokerError outcome() const;

 private:
  std::optional<BrokerError> said_;
  bool maybe_done_ = false;
};

}  // namespace millrace::brokers
