// history.append(batch, wall);   history.commit(end);   history.cut(end);
//
// The producers of a partition whose log may lose its uncommitted end again.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "broker/model/producer_state.h"

namespace millrace::replica {

using common::Bytes;
using common::Result;
using model::Offset;

/// A table of producers at the log's end, with what each uncommitted batch has replaced in it: a
/// cut puts that back, newest first, and what is committed is forgotten. So the table is at any
/// time what a replay of the log gives, up to two things that are no part of a log: when a producer
/// was last seen, and producers forgotten because they were idle or too many.
///
/// Bounded by the batches that are not committed yet, some 200 bytes for each that has a producer.
class ProducerHistory {
 public:
  model::ProducerVerdict check(const model::BatchView& batch, std::string_view partition) const {
    return table_.check(batch, partition);
  }
  /// A batch that is now the last one of the log. Requires that it ends behind committed().
  void append(const model::BatchView& batch, common::Timestamp now);
  /// What lies in front of `end` stays. Never falls, but with reset().
  void commit(Offset end);
  Offset committed() const { return committed_; }
  /// The log ends here now. Below committed() (where an unclean election lost something) what is
  /// known of the batches behind is forgotten, and of some in front of them perhaps.
  void cut(Offset end);
  /// The log begins anew at `at`, which is committed, with this table (empty: no producers).
  /// kCorruptLog: nothing was changed.
  Result<void> reset(common::ByteView snapshot, Offset at);

  /// The table as bytes; empty: no producers.
  struct Snapshot {
    Bytes bytes;
    Offset at;
  };
  Snapshot at_commit() const;
  /// What a log that begins at `start` must begin with, so that the batches in [start, committed())
  /// make of it what is known here at committed(). Requires start <= committed().
  ///
  /// It is the table at committed() without the batches at or behind `start`. That is not the table
  /// as it was at `start`: of a producer with batches on both sides, older ones are missing, as
  /// only the last five are kept. But all that is missing has been pushed out by the batches behind
  /// `start`, so the replay pushes it out again: with n of a producer's batches behind `start`, the
  /// table at committed() has min(n, 5) of them, and in front of them its 5 - n last ones before
  /// `start`, which are those left here. An epoch that began behind `start` begins again with its
  /// first batch. Only a leader asks the table, and nobody leads that lacks what is committed here.
  Bytes before(Offset start) const;

  void expire(common::Timestamp now, std::int64_t idle_ms) { table_.expire(now, idle_ms); }
  const model::ProducerTable& table() const { return table_; }
  /// In order: the last offsets of the last batches that tell a retry from a new batch, now or
  /// after a cut.
  std::vector<Offset> last_batches() const;

 private:
  struct Replaced {
    Offset base;
    model::ProducerId producer;
    std::optional<model::ProducerEntry> before;
  };
  void take_back(model::ProducerTable& table, std::size_t down_to) const;
  model::ProducerTable table_at_commit() const;

  model::ProducerTable table_;
  Offset committed_;
  /// Oldest first; those in front of first_ are committed.
  std::vector<Replaced> replaced_;
  std::size_t first_ = 0;
};

}  // namespace millrace::replica
