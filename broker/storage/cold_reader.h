// Reads of what is not in memory any more: large reads from the segment files, through the cache.
#pragma once

#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <vector>

#include "broker/env/disk.h"
#include "broker/storage/file_table.h"
#include "broker/storage/index.h"
#include "broker/storage/log.h"
#include "broker/storage/segment.h"
#include "broker/storage/segment_scan.h"

namespace millrace::storage {

class PartitionLog;
class Shard;

/// Every byte it gives out was checked since it came from the disk. A reader that goes on where it
/// was gets larger reads, and the next one is begun before it is asked for. Shard thread only.
class ColdReader {
 public:
  explicit ColdReader(Shard& shard) : shard_(shard) {}
  ~ColdReader();
  /// Answers all that waits with kShuttingDown.
  void abandon();

  /// As Log::read(), for an offset inside the log that is not in its tail.
  void read(PartitionLog& log, Offset from, const ReadLimits& limits,
            Reply<Result<ReadResult>> done);

  /// Brings the run that holds `offset` into the cache. Requires start_offset() <= offset and that
  /// it was written behind. The log stays until the answer. kOffsetOutOfRange: the offset was
  /// removed meanwhile.
  using Loaded = common::Function<void(Result<void>)>;
  void load(PartitionLog& log, Offset offset, Loaded done);
  /// Brings the index of the segment with this base into memory, building it anew if need be.
  /// Answers where to begin for a time or an offset through find_index().
  void load_index(PartitionLog& log, Offset segment_base, Loaded done);
  /// The whole index of a segment; nullptr: not in memory.
  const SegmentIndex* find_index(PartitionLog& log, const Segment& segment);

 private:
  struct Load;
  struct Read;
  using LoadKey = std::pair<LogNumber, Offset>;

  void go_on(std::shared_ptr<Read> read);
  void read_ahead(PartitionLog& log, Offset next);
  void locate(std::shared_ptr<Load> load);
  void begin(std::shared_ptr<Load> load);
  void got_file(std::shared_ptr<Load> load, Result<FileTable::Opened> opened);
  void read_window(std::shared_ptr<Load> load, std::size_t wanted);
  void got_window(std::shared_ptr<Load> load, Result<std::size_t> got);
  void finish(std::shared_ptr<Load> load, Result<void> result);

  Shard& shard_;
  Lifeline lifeline_;
  std::map<LoadKey, std::shared_ptr<Load>> loads_;
  std::map<LoadKey, std::vector<Loaded>> index_loads_;
};

}  // namespace millrace::storage
