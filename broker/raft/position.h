// Where a log is, in the words that elections and replication compare.
#pragma once

#include <compare>
#include <cstdint>

#include "broker/model/ids.h"

namespace millrace::raft {

using model::Offset;
using model::Term;

/// The end of a log, or of a prefix of one: the term that wrote last and the offset behind what it
/// wrote. Terms only grow along a log, so this order is the order of the log; and as a term has one
/// leader, two logs that both contain a position are the same up to it. {0, 0}: nothing.
struct Position {
  Term term;
  Offset offset;
  auto operator<=>(const Position&) const = default;
};

/// The first offset that a term wrote, or will write: an entry of no width in front of that offset.
struct TermStart {
  Term term;
  Offset offset;
  bool operator==(const TermStart&) const = default;
};

/// Names a state of the local log towards the caller. `cuts` counts the times that something was
/// taken away from the log's end: what became durable before the newest cut says nothing about what
/// is written behind it.
struct LogMark {
  std::uint32_t cuts = 0;
  Position end;
  bool operator==(const LogMark&) const = default;
};

}  // namespace millrace::raft
