#include "broker/raft/mutation.h"

namespace millrace::raft {

Mutation& active_mutation() {
  static Mutation active = Mutation::kNone;
  return active;
}

}  // namespace millrace::raft
