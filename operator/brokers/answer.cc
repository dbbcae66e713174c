#include "operator/brokers/answer.h"

namespace millrace::brokers {

std::string_view name(Trouble trouble) {
  switch (trouble) {
    case Trouble::kUnreachable:
      return "unreachable";
    case Trouble::kNotNow:
      return "not_now";
    case Trouble::kNotFound:
      return "not_found";
    case Trouble::kExists:
      return "exists";
    case Trouble::kRefused:
      return "refused";
    case Trouble::kTooOld:
      return "too_old";
    case Trouble::kFailed:
      return "failed";
  }
  CHECK(false, "no such trouble: {}", static_cast<int>(trouble));
  return {};
}

}  // namespace millrace::brokers
