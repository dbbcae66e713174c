// outline.begin_term(Term{3});  outline.extend(Offset{40});  outline.contains({Term{3},
// Offset{20}})
//
// A log without its bytes: where it begins and ends, and where its terms start.
#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "broker/raft/position.h"

namespace millrace::raft {

/// What follows a position in a log, as far as one term wrote it: first the start of `term`, where
/// that is another than the position's, then data up to `end`.
struct Stretch {
  Term term;
  Offset end;
  bool operator==(const Stretch&) const = default;
};

/// Invariants: start() <= end(); terms and offsets of starts() both grow; only the first start lies
/// in front of start(), where that is not 0, and none behind end(). So the term of the last record
/// in front of start() is known: a term that starts there may still be cut off. A term that wrote
/// nothing is forgotten when the next one starts at the same offset: a log that has the later start
/// has had the earlier one.
class Outline {
 public:
  Outline() = default;
  /// nullopt: what was read back is not the outline of any log.
  static std::optional<Outline> make(Offset start, Offset end, std::vector<TermStart> starts);

  Offset start() const { return start_; }
  Offset end() const { return end_; }
  const std::vector<TermStart>& starts() const { return starts_; }
  Position last() const;
  /// The position in front of the newest term's start; nullopt if that lies in front of start().
  std::optional<Position> before_last_start() const;
  /// False for what lies in front of start(): nothing is known of it.
  bool contains(Position position) const;
  /// The last position in front of or at `offset`. Requires start() <= offset <= end().
  Position at(Offset offset) const;
  /// Requires contains(position).
  Stretch after(Position position) const;
  /// The last position of a term older than this one; nullopt: none in this log.
  std::optional<Position> before(Term term) const;
  /// Of the stretch of `term` up to `to` behind `prev`: how far this log has the same.
  /// Requires contains(prev), prev.term <= term, prev.offset <= to.
  Position agreement(Position prev, Term term, Offset to) const;
  /// The last position that is also in a log with these newest starts and this end; nullopt: none
  /// that can be told.
  std::optional<Position> fork(const std::vector<TermStart>& starts, Offset end,
                               Offset other_start) const;
  /// At most `count` of the newest starts, oldest first.
  std::vector<TermStart> newest(std::size_t count) const;

  void extend(Offset end);
  /// Requires that the term is newer than all others.
  void begin_term(Term term);
  /// Takes away everything behind a position. Requires contains(position).
  void cut(Position position);
  /// The log is empty and begins here, with everything in front of it known to be in `position`.
  void reset(Position position, TermStart first);
  /// The term that another log is to be reset to that goes on from start(): of the last record in
  /// front of it. {0, 0}: start() is 0.
  TermStart first() const;
  /// What lies in front of `start` is gone. Requires start() <= start <= end().
  void trim(Offset start);

 private:
  std::size_t index_of(Term term) const;  // npos: the term wrote nothing here
  Offset end_of(std::size_t index) const;

  Offset start_;
  Offset end_;
  std::vector<TermStart> starts_;
};

}  // namespace millrace::raft
