#include "broker/model/mutation.h"

namespace millrace::model {
inline namespace mutant {

Mutation& active_mutation() {
  static Mutation active = Mutation::kNone;
  return active;
}

}  // namespace mutant
}  // namespace millrace::model
