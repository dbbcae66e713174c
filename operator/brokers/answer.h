// Answer<Receipt> receipt = admin.decommission(3, directory);
// if (!receipt.ok() && receipt.error().trouble == Trouble::kNotFound) ...
//
// What brokers answer, and why they do not.
#pragma once

#include <string>
#include <string_view>

#include "common/outcome.h"

namespace millrace::brokers {

/// Why a call did not do what was asked, as far as a caller's decision depends on it.
enum class Trouble {
  /// No broker answered in time. With `maybe_done` one of them may have heard the call.
  kUnreachable,
  /// A broker answered and cannot now: no leader of the metadata, too busy, somebody else was
  /// quicker. Ask again.
  kNotNow,
  /// There is no such topic, broker or directory.
  kNotFound,
  /// There is one already.
  kExists,
  /// Understood and denied: `detail` says what to change.
  kRefused,
  /// All brokers that answered are too old for the call: `detail` says what to do.
  kTooOld,
  /// Anything else: a fault of the broker.
  kFailed,
};

/// "unreachable", "not_now" ...: for log lines and metric labels.
std::string_view name(Trouble trouble);

/// The trouble alone drives behaviour.
struct BrokerError {
  Trouble trouble = Trouble::kFailed;
  /// A sentence for people: the broker's own, where one answered.
  std::string detail;
  /// The error's name in the table of brokers, such as INVALID_PARTITIONS; empty: none was sent.
  std::string code = {};
  /// The call may have been done all the same: its answer is lost.
  bool maybe_done = false;
};

template <typename T>
using Answer = common::Outcome<T, BrokerError>;

}  // namespace millrace::brokers
