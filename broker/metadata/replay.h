// Replay replay(log_start);
// for (each committed batch, in order) { TRY_ASSIGN(const ReplayStep step, replay.take(batch)); ...
// }
//
// What the batches of the metadata log mean to the images. Pure.
//
// A snapshot is a run of batches whose first record is a SnapshotPart. It takes effect as a whole,
// with its last part; one that another batch interrupts (its writer lost its leadership) never
// does. Only when it is committed as a whole is the log cut off in front of it, so a log that
// begins elsewhere than at 0 begins with a whole snapshot.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "broker/metadata/image.h"
#include "broker/metadata/records.h"

namespace millrace::metadata {

/// What one batch does.
struct ReplayStep {
  enum class Kind : std::uint8_t {
    kRecords,   // apply them in order
    kSnapshot,  // the whole state is what these records make out of nothing
    kNothing,   // a part of a snapshot that is not complete
  };
  Kind kind = Kind::kNothing;
  std::vector<Record> records;
  /// Values that are no record this code can read: counted by the images.
  std::vector<common::Bytes> unreadable;
  /// Zero: none.
  common::Uuid proposal;
  model::Offset base;
  model::Offset next;
};

class Replay {
 public:
  /// The log begins at `start`, and nothing of it was taken.
  explicit Replay(model::Offset start) { begin(start); }
  /// The log begins anew, further on than was taken.
  void begin(model::Offset start);

  /// kCorruptMessage, kInvalidRecord: the batch is damaged. Requires that it is the next one.
  Result<ReplayStep> take(const model::BatchView& batch);

  /// Everything in front of this was taken.
  model::Offset next() const { return next_; }
  /// The state that was taken so far is the whole one: false while the snapshot at the start of a
  /// log is not complete.
  bool whole() const { return whole_; }
  /// Bytes of the batches that were taken since the log's start, or since the newest complete
  /// snapshot's.
  std::uint64_t bytes() const { return bytes_; }
  /// Goes on at `next`: what is in front of it there is known to add nothing.
  void skip_to(model::Offset next);
  /// Where the newest complete snapshot begins; nullopt: there is none behind the log's start.
  std::optional<model::Offset> snapshot_start() const { return snapshot_start_; }

 private:
  struct Gathering {
    SnapshotPart last;
    std::vector<Record> records;
    std::uint64_t bytes = 0;
  };
  bool continues(const SnapshotPart& part) const;

  model::Offset start_;
  model::Offset next_;
  bool whole_ = true;
  std::uint64_t bytes_ = 0;
  std::optional<Gathering> gathering_;
  std::optional<model::Offset> snapshot_start_;
};

/// A snapshot of the image as batches to append at `at`, one behind the other, each of about
/// `bytes_max` at most. Requires kClusterLevel.
std::vector<common::Bytes> snapshot_batches(const Image& image, model::Offset at,
                                            common::Timestamp now, std::size_t bytes_max);

/// The image that the records make out of nothing.
Image image_of(const std::vector<Record>& records);

}  // namespace millrace::metadata
