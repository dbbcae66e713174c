// The checkpoint: what all logs of a shard were at one place of the journal. Format:
// docs/formats/checkpoint.md.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "broker/storage/codec.h"
#include "broker/storage/journal_format.h"
#include "broker/storage/log.h"
#include "broker/storage/partition_log.h"
#include "broker/storage/removals.h"
#include "broker/storage/segment.h"

namespace millrace::storage {

/// One log in a checkpoint.
struct CheckpointLog {
  LogNumber number;
  PartitionKey key;
  std::string topic;
  LogNumber folder_suffix;
  PartitionLog::Restored state;
};

struct Checkpoint {
  /// Made just now, for a store that was never used.
  bool fresh = false;
  std::uint32_t version = 0;
  std::uint32_t shard = 0;
  std::uint64_t salt = 0;
  /// Entries in front of this are in the checkpoint, those behind it must be replayed.
  JournalPosition position;
  std::uint32_t last_number = 0;
  std::vector<Removal> removals;
  std::vector<CheckpointLog> logs;
};

/// The version that is written.
inline constexpr std::uint32_t kCheckpointVersion = 3;

/// Writes a checkpoint piece by piece, straight from the logs.
class CheckpointWriter {
 public:
  CheckpointWriter(std::uint32_t shard, std::uint64_t salt, std::uint32_t last_number,
                   const std::vector<Removal>& removals);
  void add(PartitionLog& log);
  /// Known only when everything in front of it is durable.
  void set_position(const JournalPosition& position);
  /// The file's bytes.
  common::Bytes finish();

 private:
  void add_segment(const Segment& segment);
  ByteWriter out_;
  std::size_t position_at_ = 0;
  std::size_t count_at_ = 0;
  std::uint32_t count_ = 0;
};

/// kCorruptLog: damaged. kForeignData: of a newer version of this program, or of another shard.
Result<Checkpoint> read_checkpoint(common::ByteView bytes, std::uint32_t shard);

}  // namespace millrace::storage
