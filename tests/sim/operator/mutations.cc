#include "operator/plan/mutation.h"

namespace millrace::plan {
inline namespace mutant {

Mutation& active_mutation() {
  static Mutation active = Mutation::kNone;
  return active;
}

}  // namespace mutant
}  // namespace millrace::plan
