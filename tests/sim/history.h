// const WriteId write = history.begin(writer, partition, 3);   history.sent(write);
// history.acknowledged(write, base);   ...   history.read(partition, offset, value);
//
// What clients wrote, were told and read, and whether all of it can be true of one log per
// partition.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "broker/model/ids.h"
#include "tests/sim/trace.h"

namespace millrace::sim {

using model::Offset;
using model::PartitionKey;

/// Names one producer for the run: one that starts anew is another writer.
enum class WriterId : std::uint32_t {};
/// Names one batch, however often it is sent.
enum class WriteId : std::uint32_t {};

/// What a writer asked for.
enum class Promise : std::uint8_t {
  kNone,         // acks=0 or 1: a record may be there or not
  kAtLeastOnce,  // acks=all with retries
  kExactlyOnce,  // idempotent
};

/// A record of one partition, as read.
struct ReadRecord {
  Offset offset;
  std::string value;
};

/// Checks while the run goes on:
/// - one offset has one value for ever, whoever reads it (E20);
/// - what is acknowledged is at the offset that was told (E21) and behind all that was acknowledged
///   before it was sent;
/// - a record is on the partition that it was sent to (E23), was sent at all, and was not refused;
/// - no more copies than were sent, and one where the producer is idempotent (E22), in its order;
/// - whoever asks a leader is told of no lower high watermark than anybody was told, or had
///   acknowledged, before he asked (E08).
/// And at the end, from a complete reading of each partition: nothing acknowledged is missing
/// (E01, E02, E24).
class History {
 public:
  /// Whether a partition never has but one broker that could lead it.
  enum class Leaders : std::uint8_t { kOne, kSeveral };
  explicit History(Trace& trace, Leaders leaders = Leaders::kOne)
      : trace_(trace), leaders_(leaders) {}

  WriterId new_writer(Promise promise);
  /// Values are made of this and unique: "TOPIC-PARTITION#WRITER.NUMBER", with anything behind a
  /// blank.
  WriteId begin(WriterId writer, const PartitionKey& partition, std::int32_t records);
  /// Record `index` of the batch.
  std::string value(WriteId write, std::int32_t index) const;

  /// An attempt leaves.
  void sent(WriteId write);
  void acknowledged(WriteId write, Offset base);
  /// A repeated batch that was there already, with an offset that nobody knows any more.
  void acknowledged_before(WriteId write);
  /// None of its attempts was or will be appended.
  void refused(WriteId write);

  /// No producer id is handed out twice in one epoch.
  void producer_id_given(std::int64_t id, std::int16_t epoch);

  void read(const PartitionKey& partition, Offset offset, std::string_view value);

  /// The highest that anybody was told of. To be taken when a request leaves, and handed in with
  /// its answer; or less, if a replica may answer that is behind.
  Offset high_watermark_seen(const PartitionKey& partition);
  void saw_high_watermark(const PartitionKey& partition, Offset seen_before, Offset now);
  Leaders leaders() const { return leaders_; }

  /// Somebody asked that records before `offset` go.
  void trim_asked(const PartitionKey& partition, Offset offset);
  void trimmed(const PartitionKey& partition, Offset low_watermark);
  void saw_log_start(const PartitionKey& partition, Offset start);
  /// The topic may go: what it held is no longer looked for.
  void deletion_asked(const model::TopicId& topic);

  /// Partitions that something was written to, in order, without those that may be deleted.
  std::vector<PartitionKey> partitions() const;
  /// All records from the log's start to its end, read when nothing moves any more.
  void check_whole(const PartitionKey& partition, Offset start, Offset end,
                   const std::vector<ReadRecord>& records);

  /// Counted over all writers, for the run's summary.
  std::uint64_t records_acknowledged() const { return acknowledged_; }
  std::uint64_t records_read() const { return read_; }

 private:
  enum class Fate : std::uint8_t { kUnknown, kAcknowledged, kRefused };
  struct Writer {
    Promise promise;
  };
  struct Write {
    WriterId writer;
    PartitionKey partition;
    std::int64_t first = 0;  // its number among the writer's records in this partition
    std::int32_t records = 0;
    std::uint32_t attempts = 0;
    Fate fate = Fate::kUnknown;
    Offset floor;  // all that was acknowledged before the first attempt ends here
    std::optional<Offset> base;
  };
  /// What is known of one writer's records in one partition, by number.
  struct Lane {
    std::vector<WriteId> writes;
    struct Copies {
      std::vector<Offset> offsets;
    };
    std::vector<Copies> copies;
  };
  struct Slot {
    std::optional<std::pair<WriterId, std::int64_t>> record;  // told or read
    bool acknowledged = false;
    bool read = false;
  };
  struct Partition {
    std::vector<Slot> slots;  // by offset
    std::map<WriterId, Lane> lanes;
    Offset acknowledged_end;
    Offset high_watermark;
    Offset trim_asked;
    Offset trimmed;
  };

  Write& at(WriteId id) { return writes_[static_cast<std::size_t>(id)]; }
  const Write& at(WriteId id) const { return writes_[static_cast<std::size_t>(id)]; }
  static std::string prefix(const PartitionKey& partition);
  Slot& slot(Partition& partition, Offset offset);
  bool place(const PartitionKey& key, Partition& partition, Offset offset, WriterId writer,
             std::int64_t number, std::string_view how);
  void note_copy(const PartitionKey& key, Lane& lane, WriterId writer, std::int64_t number,
                 Offset offset);
  void check_order(const PartitionKey& key, const Partition& partition, Offset start);

  Trace& trace_;
  const Leaders leaders_;
  std::vector<Writer> writers_;
  std::vector<Write> writes_;
  std::map<PartitionKey, Partition> partitions_;
  std::set<model::TopicId> deleted_;
  std::set<std::pair<std::int64_t, std::int16_t>> producer_ids_;
  std::uint64_t acknowledged_ = 0;
  std::uint64_t read_ = 0;
};

}  // namespace millrace::sim
