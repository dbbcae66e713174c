// One partition's log as its replica uses it: append, read, trim, find by time.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "broker/model/batch.h"
#include "broker/model/ids.h"
#include "common/bytes.h"
#include "common/reply.h"

namespace millrace::storage {

using common::Bytes;
using common::Reply;
using common::Result;
using model::Offset;
using model::PartitionKey;
using model::Term;

/// What the log itself needs of a topic's settings. May change while it runs.
struct LogSettings {
  std::uint64_t segment_bytes = 1ULL << 30;    // segment.bytes
  std::int64_t segment_ms = 604'800'000;       // segment.ms
  std::int64_t retention_bytes = -1;           // retention.bytes of this partition; -1: no limit
  std::int64_t retention_ms = 604'800'000;     // retention.ms; -1: for ever
  std::int64_t file_delete_delay_ms = 60'000;  // file.delete.delay.ms
  /// False for topics that are only compacted: retention then never removes segments.
  bool delete_old = true;
  /// True for topics that are compacted (cleanup.policy has "compact").
  bool compact = false;
  std::int64_t delete_retention_ms = 86'400'000;   // delete.retention.ms
  std::int64_t min_compaction_lag_ms = 0;          // min.compaction.lag.ms
  std::int64_t max_compaction_lag_ms = INT64_MAX;  // max.compaction.lag.ms
  double min_cleanable_dirty_ratio = 0.5;          // min.cleanable.dirty.ratio
  bool operator==(const LogSettings&) const = default;
};

/// Offsets [first, last] of a transaction that was aborted, of one producer.
struct AbortedRange {
  model::ProducerId producer;
  Offset first;
  Offset last;
};

/// What only the replica knows and compaction goes by.
struct CompactionLimits {
  /// Only what lies in front of this is compacted: it is committed and no transaction is open in
  /// it. Never moves back; the log is not cut in front of it any more.
  Offset up_to;
  /// Last offset of the last batch of each known producer, in order.
  std::vector<Offset> last_batches;
  /// Every aborted transaction with records in front of up_to.
  std::vector<AbortedRange> aborted;
};

/// The first offset that a term wrote, or will write.
struct TermStart {
  Term term;
  Offset offset;
  bool operator==(const TermStart&) const = default;
};

/// Batches of one read. Pieces follow one another in the log; each is whole batches and shares
/// memory with the cache. Offsets grow, and are dense where the log was not compacted.
struct ReadResult {
  std::vector<Bytes> pieces;
  /// The offset after the last batch of the pieces; equals the asked one when there are none.
  Offset next_offset;
};

struct ReadLimits {
  /// Only batches that end at or below this offset are returned (the high watermark, or the LSO).
  Offset up_to;
  /// No more bytes than this...
  std::size_t bytes_max = 1 << 20;
  /// ... except that the first batch with records comes whole when this is set (KIP-74).
  bool at_least_one_batch = true;
};

/// A record found by its time.
struct TimedOffset {
  common::Timestamp timestamp;
  Offset offset;
  Term leader_epoch;
};

/// One partition's log. Made and owned by its shard's Store; shard thread only.
///
/// Offsets: start_offset() <= durable_offset() <= end_offset(). Appends are in memory at once (and
/// may be read at once: readers are limited by their `up_to`), on stable storage when their reply
/// says so. Replies to appends come in order of the appends.
class Log {
 public:
  virtual ~Log() = default;
  virtual const PartitionKey& key() const = 0;
  virtual const std::string& topic_name() const = 0;

  virtual Offset start_offset() const = 0;
  virtual Offset end_offset() const = 0;
  virtual Offset durable_offset() const = 0;
  /// Bytes of the batches from start_offset()'s segment on, as DescribeLogDirs and retention count
  /// them.
  virtual std::uint64_t size_bytes() const = 0;

  /// Appends whole batches with offset and term already set: the first base offset is end_offset(),
  /// dense from there, CRCs checked by the caller. The answer comes when they are durable.
  /// kNoSpace: refused before anything was changed; try again when there is room. Any disk error
  /// after that ends the process.
  virtual void append(Bytes batches, Reply<Result<void>> durable) = 0;
  /// Why append() would refuse one batch of so many bytes if it were called now; nullopt: it would
  /// take it. Requires that damage() is nullopt.
  virtual std::optional<common::Error> refusal(std::size_t batch_bytes) const = 0;

  /// Reads from the batch that holds `from` on; where compaction removed that one, from the next.
  /// Answers inline when the data is in memory.
  /// kOffsetOutOfRange: from < start_offset() or from > end_offset(). kCorruptLog: the stored bytes
  /// are damaged; this range is not served. The caller keeps the Store alive until it is answered.
  virtual void read(Offset from, ReadLimits limits, Reply<Result<ReadResult>> done) = 0;

  /// The first record, below `up_to`, whose timestamp is >= `target` (KIP-79); nullopt if none.
  /// Looks into compressed batches.
  virtual void find_time(common::Timestamp target, Offset up_to,
                         Reply<Result<std::optional<TimedOffset>>> done) = 0;
  /// The record with the largest timestamp below `up_to`, the earliest of them (KIP-734); nullopt
  /// if the log is empty.
  virtual void find_max_time(Offset up_to, Reply<Result<std::optional<TimedOffset>>> done) = 0;

  /// Moves start_offset() up to `offset` (at most end_offset()), durably; whole segments below it
  /// are removed later. Moving it back is not an error and does nothing.
  virtual void delete_before(Offset offset, Reply<Result<void>> durable) = 0;

  /// Cuts the log's end back to `offset`, a batch boundary (Raft: a conflicting suffix), and not in
  /// front of what CompactionLimits::up_to said. The answer comes when it is durable.
  virtual void truncate(Offset offset, Reply<Result<void>> durable) = 0;

  /// Records that `start.term` begins at `start.offset` == end_offset(); terms only grow. A term
  /// that wrote nothing is replaced by the next one that starts at the same offset.
  virtual void start_term(TermStart start, Reply<Result<void>> durable) = 0;
  /// Oldest first; never empty once start_term() was called; covers start_offset() on.
  virtual const std::vector<TermStart>& term_starts() const = 0;

  /// State of the idempotent producers at some point of the log, as the replica wrote it with its
  /// own encoding: kept in the next checkpoint, so that start-up need not read the whole log. `at`
  /// is the offset up to which it is true. The log asks for it through this function when it makes
  /// a checkpoint.
  using ProducerSnapshot = common::Function<Bytes()>;
  virtual void on_checkpoint(ProducerSnapshot snapshot) = 0;
  /// What the checkpoint held (empty: nothing), and the batches behind it that recovery replayed,
  /// oldest first: the replica feeds both to its producer table and then lets go of them.
  struct RecoveredProducers {
    Bytes snapshot;
    Offset at;
    std::vector<Bytes> batches_behind;
  };
  virtual RecoveredProducers take_recovered_producers() = 0;

  /// Without this function a log is not compacted. It is asked at the begin of each compaction.
  using LimitsSource = common::Function<CompactionLimits()>;
  virtual void on_compaction(LimitsSource limits) = 0;

  virtual void set_settings(const LogSettings& settings) = 0;
  virtual const LogSettings& settings() const = 0;

  /// Why the log does not serve (damaged data found), or nullopt.
  virtual std::optional<common::Error> damage() const = 0;
};

}  // namespace millrace::storage
