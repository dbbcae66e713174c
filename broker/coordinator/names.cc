// The names of states and types as Kafka's tools print them.
#include "broker/coordinator/requests.h"
#include "common/check.h"

namespace millrace::coordinator {

std::string_view name_of(GroupState state) {
  switch (state) {
    case GroupState::kEmpty:
      return "Empty";
    case GroupState::kPreparingRebalance:
      return "PreparingRebalance";
    case GroupState::kCompletingRebalance:
      return "CompletingRebalance";
    case GroupState::kStable:
      return "Stable";
    case GroupState::kDead:
      return "Dead";
    case GroupState::kAssigning:
      return "Assigning";
    case GroupState::kReconciling:
      return "Reconciling";
  }
  CHECK(false, "no such state");
}

std::string_view name_of(GroupType type) {
  switch (type) {
    case GroupType::kClassic:
      return "Classic";
    case GroupType::kConsumer:
      return "Consumer";
  }
  CHECK(false, "no such type");
}

}  // namespace millrace::coordinator
