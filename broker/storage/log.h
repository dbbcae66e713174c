// One partition's log as its replica uses it: append, read, trim, find by time; and what else its
// replica has to keep.
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

/// More is no state of a replica.
inline constexpr std::size_t kStateBytesMax = 4096;

/// The idempotent producers at one place of a log, as the replica wrote them with its own encoding.
struct ProducersAt {
  Bytes bytes;  // empty: there are none
  /// They follow from what lies in front of this.
  Offset at;
};

/// One partition's log. Made and owned by its shard's Store; shard thread only.
///
/// Offsets: start_offset() <= durable_offset() <= end_offset(). Changes (append, delete_before,
/// truncate, start_term, reset, put_state) are in memory at once (and what was appended may be read
/// at once: readers are limited by their `up_to`), on stable storage when their reply says so. They
/// become durable in the order in which they were asked for, and their replies come in this order;
/// a crash loses all from some point on. Changes of one turn of the loop share one round of the
/// journal.
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
  /// dense from there; the term is that of the newest of term_starts(), if there are any; CRCs
  /// checked by the caller. The answer comes when they are durable.
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

  /// Whether read() from there answers without the disk, as far as can be told.
  virtual bool in_memory(Offset from) const = 0;

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

  /// Cuts the log's end back to `offset`, a batch boundary (Raft: a conflicting suffix). Terms that
  /// start at or behind `offset` go too, also where that is end_offset(). The answer comes when it
  /// is durable. Requires that take_recovered_producers() was called. If the place cannot be found
  /// in a file (which is read through, with every check), or compaction was behind it, nothing is
  /// cut, and that is damage().
  virtual void truncate(Offset offset, Reply<Result<void>> durable) = 0;

  /// Empties the log: it then begins and ends at `at`, with this one term start (at or in front of
  /// `at`; nullopt: none) and with `producers` as the state of the producers there. A crash leaves
  /// the whole old log or the empty new one. Files of the old one are removed once this is durable;
  /// damage() goes with them, state() stays. Reads under way are answered.
  /// kRecordListTooLarge: `producers` does not fit into the journal; nothing was changed.
  virtual void reset(Offset at, std::optional<TermStart> first, Bytes producers,
                     Reply<Result<void>> durable) = 0;

  /// Records that `start.term` begins at `start.offset` == end_offset(); terms only grow. A term
  /// that wrote nothing is replaced by the next one that starts at the same offset.
  virtual void start_term(TermStart start, Reply<Result<void>> durable) = 0;
  /// Oldest first; terms and offsets grow. Covers start_offset() on: of the terms that start in
  /// front of it the last one stays, which wrote the record in front of start_offset(), so that a
  /// term that starts right there can be cut off.
  virtual const std::vector<TermStart>& term_starts() const = 0;

  /// Keeps a small state of the replica that is no part of the log (Raft: term, vote and voter set)
  /// in the place of the one before. Empty: none. Requires at most kStateBytesMax bytes.
  virtual void put_state(Bytes state, Reply<Result<void>> durable) = 0;
  /// As last put; empty: never.
  virtual const Bytes& state() const = 0;

  /// Kept in the next checkpoint, so that start-up need not read the whole log. The log asks for it
  /// through this function when it makes one. `at` is a batch boundary, end_offset() at most; what
  /// lies behind it may still be cut off (a replica answers its commit offset), and is read again
  /// at start-up.
  using ProducerSnapshot = common::Function<ProducersAt()>;
  virtual void on_checkpoint(ProducerSnapshot snapshot) = 0;
  /// What recovery knows of the producers: their state at some offset (as a checkpoint or reset()
  /// told) and all batches of producers that the log has from there to end_offset(), oldest first.
  /// Where the log was trimmed since, `at` may lie in front of start_offset(). Where it was cut
  /// back in front of the state that was kept, that is not handed over, and the batches are all
  /// that the log has, or as many of the newest as StoreOptions::journal_bytes_max allows. The
  /// replica feeds both to its producer table and then lets go of them.
  struct RecoveredProducers {
    Bytes snapshot;
    Offset at;
    std::vector<Bytes> batches_behind;
  };
  virtual RecoveredProducers take_recovered_producers() = 0;

  /// Without this function a log is not compacted. It is asked at the begin of each compaction.
  using LimitsSource = common::Function<CompactionLimits()>;
  virtual void on_compaction(LimitsSource limits) = 0;
  /// In front of this records may be gone that are followed by newer ones of their keys: a log that
  /// is cut back to somewhere in front of this is none that ever was. 0: it was never compacted. It
  /// never moves back but with reset().
  virtual Offset compacted_to() const = 0;

  /// Answers the offset behind which retention removes nothing (Raft: the commit offset). Without
  /// this function it goes by durable_offset() alone.
  using RetentionLimit = common::Function<Offset()>;
  virtual void on_retention(RetentionLimit limit) = 0;

  virtual void set_settings(const LogSettings& settings) = 0;
  virtual const LogSettings& settings() const = 0;

  /// Why the log does not serve (damaged data found), or nullopt.
  virtual std::optional<common::Error> damage() const = 0;
  /// `found` is called as often as damage is found where none was known, somewhere in a read or a
  /// job of the log: it should do no more than make a note of it.
  virtual void on_damage(common::Function<void()> found) = 0;
  /// Recovery found damage behind what the checkpoint says of the producers, and cut it off with
  /// all that follows: the log may lack what was acknowledged. Stays true, over restarts too, until
  /// put_state(): a replica notes it there. (What a loss of power tore was never acknowledged and
  /// does not count.)
  virtual bool lost_suffix() const = 0;
};

}  // namespace millrace::storage
