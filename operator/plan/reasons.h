// text(Reason::kDraining).meaning
//
// The reasons of reasons.def: condition texts, events, metric labels and docs all come from there.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace millrace::plan {

enum class Reason : std::uint8_t {
#define REASON(enumerator, code, severity, meaning, next_step) enumerator,
#include "operator/plan/reasons.def"
#undef REASON
};

/// How much a reason concerns a person.
enum class Severity : std::uint8_t {
  /// As it should be.
  kNote,
  /// Goes on by itself.
  kWait,
  /// Works, and should not stay so.
  kWarning,
  /// Somebody must act.
  kProblem,
};

struct ReasonText {
  Reason reason;
  /// "WaitingForPermit": in conditions, events and metrics; the same for ever.
  std::string_view code;
  Severity severity;
  /// A sentence without its full stop.
  std::string_view meaning;
  /// What a person does; empty: nothing.
  std::string_view next_step;
};

const ReasonText& text(Reason reason);
/// "WaitingForPermit".
std::string_view code(Reason reason);
/// All of them, in the order of the table.
std::span<const ReasonText> reasons();

}  // namespace millrace::plan
