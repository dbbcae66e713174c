// The part of the uniform assignor for groups whose members subscribe to different topics.
#pragma once

#include "broker/coordinator/assignor.h"

namespace millrace::coordinator {

/// As assign_uniform(), for any subscriptions. Cost: O(topics * subscribers * log(subscribers)) a
/// pass, and in practice two or three passes; each pass but the last makes loads more even.
Shares assign_uniform_mixed(const AssignorInput& input);

}  // namespace millrace::coordinator
