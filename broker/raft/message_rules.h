// What a message must look like before anybody acts on it.
#pragma once

#include "broker/raft/messages.h"

namespace millrace::raft {

/// Whether a message could have been sent by a replica that works, as far as it can be told without
/// knowing the receiver's state. Everything else that a peer may send must be harmless.
bool is_sound(const Message& message);

}  // namespace millrace::raft
