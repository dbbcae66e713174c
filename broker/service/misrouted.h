// Whether another broker could have done it.
#pragma once

#include "broker/model/errors.h"

namespace millrace::service {

/// The broker is the wrong one, or the right one is not known yet: nothing was done, and a little
/// later somebody may do it.
inline bool is_misrouted(model::ErrorCode code) {
  using model::ErrorCode;
  return code == ErrorCode::kNotLeaderOrFollower || code == ErrorCode::kLeaderNotAvailable ||
         code == ErrorCode::kBrokerNotAvailable || code == ErrorCode::kOffsetNotAvailable;
}

}  // namespace millrace::service
