// auto store = Store::open({.disk = disk, .loop = loop, .shard = 0}, options);
// Log& log = store->create({topic_id, PartitionIndex{0}}, "orders", settings);
//
// The logs of one shard, and what they share: the journal, the write-behind, the cache, checkpoints
// and retention.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "broker/env/disk.h"
#include "broker/env/loop.h"
#include "broker/storage/log.h"

namespace millrace::storage {

/// How a shard compacts its logs: one at a time.
struct CompactionOptions {
  /// False: logs whose topics ask for it are not compacted.
  bool enabled = true;
  /// Time between two looks for logs that are due.
  std::int64_t check_interval_ms = 15'000;
  /// Memory for the keys of one run, which takes several passes if they do not fit.
  std::uint64_t map_bytes_max = 64ULL << 20;
  /// Reading and writing together; 0: no limit but the courtesy to appends.
  std::uint64_t bytes_per_second_max = 0;
  /// Work on the I/O pool comes in steps of about so many bytes.
  std::uint64_t step_bytes = 4ULL << 20;
};

struct StoreOptions {
  /// Size of one journal file, preallocated and recycled.
  std::uint64_t journal_file_bytes = 64ULL << 20;
  /// Journal that may wait for its segments to be written: a checkpoint begins at half of this,
  /// appends are held back at twice this, or when this and cache_bytes together wait in memory.
  /// Bounds start-up after a crash, in time and in memory.
  std::uint64_t journal_bytes_max = 128ULL << 20;
  /// One round (one write and sync of the journal) carries at most this.
  std::uint64_t round_bytes_max = 1ULL << 20;
  /// Write-behind of a partition starts at this many unwritten bytes.
  std::uint64_t chunk_bytes = 1ULL << 20;
  /// Batches from this size on are laid out in memory so that the write-behind needs no copy.
  std::uint64_t direct_bytes_min = 32ULL << 10;
  /// Memory for recent and read-ahead data.
  std::uint64_t cache_bytes = 64ULL << 20;
  std::uint32_t index_interval_bytes = 16 << 10;
  /// Segment files that may be open at once.
  std::size_t open_files_max = 512;
  /// Writes are refused (kNoSpace) below this much free space; they heal by themselves.
  std::uint64_t free_bytes_min = 64ULL << 20;
  std::int64_t retention_check_interval_ms = 300'000;
  /// Removed files give back their space this much at a time.
  std::uint64_t removal_step_bytes = 2ULL << 20;
  /// Memory for loaded offset and time indexes.
  std::uint64_t index_cache_bytes = 8ULL << 20;
  CompactionOptions compaction;
};

/// What compaction did and has before it.
struct CompactionStats {
  std::uint64_t runs = 0;
  /// Runs that ended early: the log was removed, its policy changed, or the disk is full.
  std::uint64_t runs_given_up = 0;
  std::uint64_t segments_replaced = 0;
  std::uint64_t bytes_read = 0;
  std::uint64_t bytes_written = 0;
  std::uint64_t records_removed = 0;
  /// Time of finished runs, with their pauses.
  double seconds = 0;
  /// When it was last looked: uncompacted bytes of sealed segments, and logs that are due.
  std::uint64_t dirty_bytes = 0;
  std::uint64_t logs_due = 0;
  /// Memory of the run under way.
  std::uint64_t map_bytes = 0;
};

/// Counters and gauges, read by metrics and by tests.
struct StoreStats {
  std::uint64_t journal_rounds = 0;
  std::uint64_t journal_bytes = 0;
  std::uint64_t journal_live_bytes = 0;
  std::uint64_t segment_bytes_written = 0;
  /// Of these, the bytes that had to be laid out anew; the others went from where appends had put
  /// them.
  std::uint64_t segment_bytes_copied = 0;
  std::uint64_t checkpoints = 0;
  std::uint64_t cache_bytes = 0;
  std::uint64_t cache_hits = 0;
  std::uint64_t cache_misses = 0;
  std::uint64_t open_files = 0;
  CompactionStats compaction;
  /// Seconds of the latest rounds, write and sync together, as a histogram the caller drains:
  /// bounded.
  std::vector<double> recent_round_seconds;
};

/// How start-up went, for the log line, the replicas and the tests.
struct RecoveryReport {
  /// The process before this one ended with Store::close(), and nothing was written since; or there
  /// was none. If not, what was in its memory alone is lost.
  bool closed_cleanly = false;
  std::uint64_t journal_bytes_read = 0;
  std::uint64_t entries_replayed = 0;
  std::uint64_t batches_cut = 0;     // torn ends
  std::vector<std::string> damages;  // one sentence each: what is damaged and what it means
};

struct StoreWorld {
  env::Disk& disk;
  env::Loop& loop;
  /// Number of this shard: names its journal folder.
  std::uint32_t shard = 0;
  /// Called, on the loop, when the disk can no longer be trusted (a failed or short write, a failed
  /// sync). Must not return to serving: the real broker ends the process.
  common::Function<void(const common::Error&)> on_fatal;
  /// Told a line for the broker's log, key=value, when something happened that an operator may want
  /// to know. May be empty.
  common::Function<void(std::string_view)> on_notice = {};
};

/// Owns the logs of one shard. Shard thread only, except open().
class Store {
 public:
  /// Reads the checkpoint and replays the journal; blocking, before the loop runs. Torn ends are
  /// cut and counted. Of the segments only what lies behind the producers' state in the checkpoint
  /// is read: damage there is cut off with what follows (Log::lost_suffix), damage in front of it
  /// leaves that log refusing to serve (Log::damage); both are named in the report. kCorruptLog:
  /// the journal or checkpoint itself is damaged where a torn end cannot explain it. kForeignData:
  /// not ours.
  static Result<std::unique_ptr<Store>> open(StoreWorld world, const StoreOptions& options);

  virtual ~Store() = default;
  virtual const RecoveryReport& recovery() const = 0;
  /// All logs, ordered by key.
  virtual std::vector<Log*> logs() = 0;
  /// nullptr: this shard has no such log.
  virtual Log* find(const PartitionKey& key) = 0;
  /// A new empty log. Durable no later than the first append to it. Requires that find(key) is
  /// nullptr.
  virtual Log& create(const PartitionKey& key, std::string_view topic_name,
                      const LogSettings& settings) = 0;
  /// Forgets the log and removes its files later (file.delete.delay.ms). Durable when answered.
  /// Reads under way finish.
  virtual void remove(const PartitionKey& key, Reply<Result<void>> durable) = 0;
  /// Sets the log's files aside under quarantine/ and forgets it: for logs that the metadata does
  /// not know. Never deletes.
  virtual void quarantine(const PartitionKey& key, Reply<Result<void>> durable) = 0;
  /// Applies retention to every log now (also done every retention_check_interval_ms).
  virtual void apply_retention() = 0;
  /// Looks for a log to compact now (also done every check_interval_ms).
  virtual void compact() = 0;
  /// Writes everything behind, makes a checkpoint and answers; appends are refused from now on. For
  /// clean shutdown: the next start has nothing to replay and knows of it
  /// (RecoveryReport::closed_cleanly).
  virtual void close(Reply<Result<void>> closed) = 0;
  /// Makes a checkpoint now (tests; close() does it by itself).
  virtual void checkpoint(Reply<Result<void>> done) = 0;
  virtual StoreStats stats() = 0;
  /// Appends are refused (kNoSpace): less is free than StoreOptions asks for, or a write failed for
  /// it. Ends by itself when there is room.
  virtual bool out_of_space() const = 0;
};

}  // namespace millrace::storage
