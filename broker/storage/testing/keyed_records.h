// What compaction may leave of keyed records, and what it must: a map as the model.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "broker/model/batch.h"
#include "broker/storage/log.h"
#include "common/random.h"

namespace millrace::storage::testing {

/// A batch of records with keys "k0" ... drawn from so many; some of them tombstones.
struct KeyedSpec {
  Offset base;
  std::int32_t count = 1;
  std::uint64_t keys = 10;
  std::uint64_t tombstone_one_in = 6;  // 0: none
  std::size_t value_bytes_max = 40;
  Term term{0};
  common::Timestamp timestamp{1000};
  model::Compression compression = model::Compression::kNone;
  model::ProducerId producer = model::kNoProducerId;
  std::int32_t sequence = -1;
};
common::Bytes make_keyed_batch(common::Random& random, const KeyedSpec& spec);

struct KeyedRecord {
  Offset offset;
  common::Timestamp timestamp;
  std::optional<std::string> key;
  std::optional<std::string> value;
  bool operator==(const KeyedRecord&) const = default;
};
/// The records of batches that lie back to back.
std::vector<KeyedRecord> records_of(common::ByteView batches);

/// The last value of each key, of records from `from` on; deleted keys are not in it.
std::map<std::string, std::string> state_of(const std::vector<KeyedRecord>& records,
                                            Offset from = Offset{0});

/// Nullopt: `found`, read in [from, to), is what compaction up to `limit` may leave of `appended`:
/// records in order, each as it was appended, and none is missing but older ones of a key, and
/// tombstones. Otherwise what is wrong. Whether keys came back from the dead, only state_of()
/// tells.
struct CompactedRange {
  Offset from;
  Offset to;
  Offset limit;
};
std::optional<std::string> check_compacted(const std::vector<KeyedRecord>& appended,
                                           const std::vector<KeyedRecord>& found,
                                           const CompactedRange& range);

}  // namespace millrace::storage::testing
