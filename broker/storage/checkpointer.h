// Makes checkpoints: everything in front of a place in the journal is written behind and synced,
// and the logs' state at that place is stored, so that the journal in front of it is free.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <vector>

#include "broker/model/errors.h"
#include "broker/storage/checkpoint_file.h"
#include "broker/storage/journal_format.h"
#include "broker/storage/lifeline.h"
#include "common/reply.h"

namespace millrace::storage {

class Shard;

/// Steps: capture the state (idle -> marking), wait until the journal is durable up to there (->
/// writing), write behind what belongs to it (-> confirming), wait for the entries that changed it
/// since (-> storing), sync all files and replace the checkpoint file (-> idle). Appends go on
/// meanwhile. Shard thread only.
class Checkpointer {
 public:
  Checkpointer(Shard& shard, JournalPosition last);
  ~Checkpointer();

  /// Makes a checkpoint that covers everything done so far.
  void request(common::Reply<common::Result<void>> done);
  /// Makes one if the journal has grown enough. Holds the journal when it is too long. Called after
  /// each round.
  void check();
  /// The write-behind of a log got further.
  void progressed(PartitionLog& log);
  /// Goes on after a full disk.
  void resume();
  bool idle() const { return phase_ == Phase::kIdle; }
  /// The place of the checkpoint that is on the disk.
  const JournalPosition& stored_position() const { return last_; }

 private:
  enum class Phase : std::uint8_t { kIdle, kMarking, kWriting, kConfirming, kStoring, kStalled };

  void begin();
  void reached(JournalPosition position);
  bool written(const PartitionLog& log) const;
  void write_behind();
  void confirm();
  void store();
  void stored(common::Result<void> result);
  void finish(const common::Result<void>& result);
  std::uint64_t live_bytes() const;

  Shard& shard_;
  Lifeline lifeline_;
  Phase phase_ = Phase::kIdle;
  JournalPosition last_;  // of the checkpoint that is on disk
  JournalPosition next_;  // of the one being made
  std::optional<CheckpointWriter> writer_;
  std::set<LogNumber> waiting_;                           // logs that must be written behind first
  std::vector<common::Reply<common::Result<void>>> now_;  // answered by the one being made
  std::vector<common::Reply<common::Result<void>>> later_;  // asked while one was being made
};

}  // namespace millrace::storage
