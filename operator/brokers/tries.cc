#include "operator/brokers/tries.h"

#include <fmt/format.h>

#include <utility>

#include "operator/brokers/translate.h"

namespace millrace::brokers {
namespace {

int worth(Trouble trouble) {
  switch (trouble) {
    case Trouble::kUnreachable:
      return 0;
    case Trouble::kTooOld:
      return 1;
    case Trouble::kNotNow:
      return 2;
    default:
      return 3;
  }
}

/// In the middle of a roll the next broker may be a newer one.
bool next_may_do_better(const BrokerError& error) {
  return error.trouble == Trouble::kUnreachable || error.trouble == Trouble::kNotNow ||
         error.trouble == Trouble::kTooOld;
}

}  // namespace

BrokerError error_of(std::string_view call, const Said& said) {
  BrokerError error{.trouble = trouble_of(said.status.error_code()),
                    .detail = said.status.error_message(),
                    .code = said.code};
  error.maybe_done = said.status.error_code() == ::grpc::StatusCode::DEADLINE_EXCEEDED;
  if (!error.code.empty()) return error;
  if (error.trouble == Trouble::kTooOld) {
    error.detail = fmt::format(
        "the brokers do not know {}: they are older than the operator; give spec.image of the "
        "MillraceCluster the operator's release",
        call);
    return error;
  }
  const bool lost = said.status.error_code() == ::grpc::StatusCode::UNAVAILABLE ||
                    said.status.error_code() == ::grpc::StatusCode::CANCELLED;
  if (!lost && !error.maybe_done) return error;
  error.trouble = Trouble::kUnreachable;
  // A connection that breaks may have carried the call before.
  error.maybe_done = true;
  error.detail = fmt::format("{}: {}", said.address, said.status.error_message());
  return error;
}

bool Tries::go_on(BrokerError error) {
  maybe_done_ = maybe_done_ || error.maybe_done;
  if (!said_ || worth(error.trouble) > worth(said_->trouble)) said_ = std::move(error);
  return next_may_do_better(*said_);
}

BrokerError Tries::outcome() const {
  BrokerError outcome =
      said_.value_or(BrokerError{Trouble::kUnreachable, "no broker has an address yet"});
  outcome.maybe_done = maybe_done_;
  return outcome;
}

}  // namespace millrace::brokers
