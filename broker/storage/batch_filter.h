// BatchFilter filter({.latest = map, .map_end = end, ...});
// const Filtered filtered = filter.apply(batch);   // keep it, write another one, or leave it out
//
// What compaction leaves of a batch. Pure.
#pragma once

#include <cstdint>
#include <vector>

#include "broker/model/batch.h"
#include "broker/storage/key_map.h"
#include "broker/storage/log.h"

namespace millrace::storage {

/// Notes the last offset of each key of the batches that are to be compacted, oldest first.
class KeyCollector {
 public:
  /// Looks at records from `from` on. Both references outlive it.
  KeyCollector(KeyMap& map, const CompactionLimits& limits, Offset from)
      : map_(map), limits_(limits), from_(from), end_(from) {}
  /// False: the map has no room any more. Records behind end() are then not in it.
  bool add(const model::BatchView& batch);
  /// All keyed records in [from, end()) that can be read are in the map.
  Offset end() const { return end_; }

 private:
  struct Keyed {
    common::ByteView key;
    Offset offset;
  };
  KeyMap& map_;
  const CompactionLimits& limits_;
  const Offset from_;
  Offset end_;
  std::vector<Keyed> keyed_;  // of the batch being looked at
};

/// What the filter goes by.
struct FilterRules {
  const KeyMap& latest;
  /// Records from here on are not in `latest` and stay.
  Offset map_end;
  common::Timestamp now;
  /// delete.retention.ms: a tombstone goes when it is this much older than the first compaction
  /// that saw it (KIP-534).
  std::int64_t delete_retention_ms = 0;
  const CompactionLimits& limits;
};

struct Filtered {
  enum class Fate : std::uint8_t {
    kAsIs,       // its bytes stay as they are
    kRewritten,  // `bytes` take its place
    kEmptied,    // no record is left; `bytes`, a batch without records, take its place
    kGone,       // no record is left; nothing need take its place
  };
  Fate fate = Fate::kAsIs;
  common::Bytes bytes;
};

/// Rules, as Kafka's:
/// - a record goes when `latest` knows a later one with its key;
/// - a record without a key goes: it is from a time when the topic was not compacted;
/// - a tombstone goes when the batch's delete horizon has passed. The horizon is set, in place of
///   the base timestamp, by the first compaction that leaves a tombstone in the batch;
/// - records of aborted transactions go; control batches stay;
/// - the last batch of a producer that is still known stays, without records if need be: its
///   sequence tells a retry from a new batch.
/// A batch whose records cannot be read, or are more than a million, stays, and so do those in
/// front with its keys.
class BatchFilter {
 public:
  explicit BatchFilter(const FilterRules& rules) : rules_(rules) {}
  Filtered apply(const model::BatchView& batch);
  std::uint64_t records_seen() const { return records_seen_; }
  std::uint64_t records_removed() const { return records_removed_; }

 private:
  struct Kept {
    common::ByteView bytes;
    common::Timestamp timestamp{0};
  };
  Filtered without_records(const model::BatchView& batch) const;
  Filtered rewrite(const model::BatchView& batch, bool set_horizon) const;

  const FilterRules rules_;
  std::vector<Kept> kept_;  // of the batch being looked at
  std::uint64_t records_seen_ = 0;
  std::uint64_t records_removed_ = 0;
};

/// A batch of this header without its records: the same offsets and producer, no time.
common::Bytes emptied_batch(model::BatchHeader header);

}  // namespace millrace::storage
