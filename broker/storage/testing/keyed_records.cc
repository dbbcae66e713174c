#include "broker/storage/testing/keyed_records.h"

#include <fmt/format.h>

#include "broker/model/compression.h"
#include "broker/model/record.h"

namespace millrace::storage::testing {

using common::ByteView;
using model::BatchView;

common::Bytes make_keyed_batch(common::Random& random, const KeyedSpec& spec) {
  model::BatchOptions options;
  options.compression = spec.compression;
  options.base_offset = spec.base;
  options.leader_epoch = spec.term;
  options.producer_id = spec.producer;
  options.producer_epoch = spec.producer == model::kNoProducerId ? -1 : 0;
  options.base_sequence = spec.sequence;
  model::BatchBuilder builder(options);
  for (std::int32_t i = 0; i < spec.count; ++i) {
    const std::string key = fmt::format("k{}", random.below(spec.keys));
    // The offset makes every value another one.
    std::string value = fmt::format("{}:", spec.base + i);
    for (std::uint64_t size = random.below(spec.value_bytes_max + 1); size > 0; --size)
      value += static_cast<char>('a' + random.below(26));
    const bool tombstone = spec.tombstone_one_in > 0 && random.chance(1, spec.tombstone_one_in);
    builder.append({.timestamp = spec.timestamp + i,
                    .key = common::as_bytes(key),
                    .value = tombstone ? std::nullopt : std::optional(common::as_bytes(value))});
  }
  return builder.build();
}

std::vector<KeyedRecord> records_of(ByteView batches) {
  std::vector<KeyedRecord> records;
  const auto text = [](const std::optional<ByteView>& bytes) {
    return bytes ? std::optional(std::string(common::as_text(*bytes))) : std::nullopt;
  };
  while (!batches.empty()) {
    const auto batch = BatchView::parse(batches);
    CHECK(batch.ok(), "{}", batch.error().detail);
    CHECK(batch->crc_matches());
    const auto plain = model::plain_records(*batch, 64 << 20);
    CHECK(plain.ok(), "{}", plain.error().detail);
    model::RecordReader reader(plain->records, batch->record_count());
    for (;;) {
      const auto record = reader.next();
      CHECK(record.ok(), "{}", record.error().detail);
      if (!record->has_value()) break;
      records.push_back({.offset = (*record)->offset(*batch),
                         .timestamp = (*record)->timestamp(*batch),
                         .key = text((*record)->key),
                         .value = text((*record)->value)});
    }
    batches = batches.subspan(batch->size());
  }
  return records;
}

std::map<std::string, std::string> state_of(const std::vector<KeyedRecord>& records, Offset from) {
  std::map<std::string, std::string> state;
  for (const KeyedRecord& record : records) {
    if (record.offset < from || !record.key) continue;
    if (record.value) {
      state[*record.key] = *record.value;
    } else {
      state.erase(*record.key);
    }
  }
  return state;
}

std::optional<std::string> check_compacted(const std::vector<KeyedRecord>& appended,
                                           const std::vector<KeyedRecord>& found,
                                           const CompactedRange& range) {
  std::map<std::string, Offset> last;  // of each key, in front of the limit
  for (const KeyedRecord& record : appended) {
    if (record.key && record.offset < range.limit) last[*record.key] = record.offset;
  }
  auto next = found.begin();
  while (next != found.end() && next->offset < range.from) ++next;
  for (const KeyedRecord& record : appended) {
    if (record.offset < range.from || record.offset >= range.to) continue;
    if (next != found.end() && next->offset == record.offset) {
      if (!(*next == record)) return fmt::format("another record at {}", record.offset);
      ++next;
      continue;
    }
    if (record.offset >= range.limit)
      return fmt::format("{} is missing, compaction may go up to {}", record.offset, range.limit);
    const bool superseded = record.key && last[*record.key] > record.offset;
    if (record.key && record.value && !superseded)
      return fmt::format("the last value of {} at {} is missing", *record.key, record.offset);
  }
  if (next != found.end())
    return fmt::format("a record at {} that was not appended there", next->offset);
  return std::nullopt;
}

}  // namespace millrace::storage::testing
