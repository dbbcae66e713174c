// Write-behind: moves what is durable in the journal from the logs' tails to their segment files.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "broker/env/disk.h"
#include "broker/model/errors.h"
#include "broker/storage/file_table.h"
#include "broker/storage/journal_format.h"
#include "broker/storage/lifeline.h"
#include "broker/storage/segment.h"
#include "broker/storage/tail.h"
#include "common/bytes.h"

namespace millrace::storage {

class PartitionLog;
class Shard;

/// Works on a bounded number of logs at a time, on each log with one write at a time, in order.
/// What it writes is not synced: the checkpoint does that for all files at once. Shard thread only.
class Flusher {
 public:
  explicit Flusher(Shard& shard) : shard_(shard) {}

  /// Writes the log's full chunks and finishes its sealed segments.
  void request(PartitionLog& log);
  /// Writes everything up to this position of the log's stream, as far as it is durable, with the
  /// last partial block.
  void force(PartitionLog& log, std::uint64_t stream);
  /// The log is being removed: it waits for nothing any more.
  void forget(PartitionLog& log);
  /// Called whenever a log got further or was given up.
  void set_on_progress(common::Function<void(PartitionLog&)> callback) {
    on_progress_ = std::move(callback);
  }
  /// Goes on after a full disk.
  void resume();
  bool idle() const { return running_ == 0 && queue_.empty() && stalled_.empty(); }

 private:
  struct Range {
    Segment segment;          // a copy: the log may change meanwhile
    std::uint64_t begin = 0;  // positions in the log's stream
    std::uint64_t end = 0;
  };
  struct Write;

  void pump();
  void step(PartitionLog& log);
  void end(PartitionLog& log);
  void stall(PartitionLog& log);
  bool next_range(PartitionLog& log, Range& range) const;
  void write(PartitionLog& log, const Range& range);
  void gather(const Tail& tail, Write& write);
  static std::size_t copy(const Tail& tail, const Range& range, std::uint64_t position,
                          common::Bytes out);
  void got_file(std::shared_ptr<Write> write, common::Result<FileTable::Opened> opened);
  void send(std::shared_ptr<Write> write);
  void wrote(const Write& write, common::Result<void> result);
  void seal(PartitionLog& log, const Segment& segment);
  void failed(PartitionLog& log, const common::Error& error);

  Shard& shard_;
  common::Function<void(PartitionLog&)> on_progress_;
  Lifeline lifeline_;
  std::deque<PartitionLog*> queue_;
  std::vector<PartitionLog*> stalled_;
  std::size_t running_ = 0;
};

}  // namespace millrace::storage
