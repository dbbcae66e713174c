#include "operator/plan/reasons.h"

#include <array>

namespace millrace::plan {
namespace {

constexpr Severity kNote = Severity::kNote;
constexpr Severity kWait = Severity::kWait;
constexpr Severity kWarning = Severity::kWarning;
constexpr Severity kProblem = Severity::kProblem;

constexpr std::array kReasons = {
#define REASON(enumerator, code, severity, meaning, next_step) \
  ReasonText{Reason::enumerator, #code, k##severity, meaning, next_step},
#include "operator/plan/reasons.def"
#undef REASON
};

}  // namespace

const ReasonText& text(Reason reason) {
  return kReasons[static_cast<std::size_t>(reason)];
}

std::string_view code(Reason reason) {
  return text(reason).code;
}

std::span<const ReasonText> reasons() {
  return kReasons;
}

}  // namespace millrace::plan
