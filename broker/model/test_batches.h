// Random records and batches for the tests of this module.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "broker/model/record.h"
#include "common/random.h"

namespace millrace::model {

/// A record that owns its bytes.
struct OwnedRecord {
  std::int64_t timestamp = 0;
  std::optional<std::string> key;
  std::optional<std::string> value;
  std::vector<std::pair<std::string, std::optional<std::string>>> headers;
  bool operator==(const OwnedRecord&) const = default;
};

inline std::string random_text(common::Random& random, std::size_t size_max) {
  std::string text(random.below(size_max + 1), '\0');
  const bool repetitive = random.chance(1, 2);
  for (char& c : text)
    c = static_cast<char>(repetitive ? 'a' + random.below(2) : random.below(256));
  return text;
}

inline std::optional<std::string> random_field(common::Random& random, std::size_t size_max) {
  if (random.chance(1, 8)) return std::nullopt;
  return random_text(random, size_max);
}

inline std::vector<OwnedRecord> random_records(common::Random& random) {
  std::vector<OwnedRecord> records(1 + random.below(random.chance(1, 4) ? 300 : 8));
  for (OwnedRecord& record : records) {
    record.timestamp = 1'700'000'000'000 + random.between(-5'000, 5'000);
    record.key = random_field(random, 20);
    record.value = random_field(random, random.chance(1, 50) ? 100'000 : 200);
    for (std::uint64_t i = random.below(4); i > 0; --i) {
      record.headers.emplace_back(random_text(random, 8), random_field(random, 8));
    }
  }
  return records;
}

inline std::optional<common::ByteView> view_of(const std::optional<std::string>& text) {
  return text ? std::optional(common::as_bytes(*text)) : std::nullopt;
}

inline common::Bytes batch_of(const std::vector<OwnedRecord>& records, BatchOptions options = {}) {
  BatchBuilder builder(options);
  for (const OwnedRecord& record : records) {
    std::vector<HeaderView> headers;
    for (const auto& [key, value] : record.headers)
      headers.push_back({.key = key, .value = view_of(value)});
    builder.append({.timestamp = common::Timestamp{record.timestamp},
                    .key = view_of(record.key),
                    .value = view_of(record.value),
                    .headers = headers});
  }
  return builder.build();
}

/// Reads all records of a batch whose records stand in `plain`.
inline Result<std::vector<OwnedRecord>> records_of(const BatchView& batch, common::ByteView plain) {
  const auto text_of = [](const std::optional<common::ByteView>& bytes) {
    return bytes ? std::optional(std::string(common::as_text(*bytes))) : std::nullopt;
  };
  std::vector<OwnedRecord> records;
  RecordReader reader(plain, batch.record_count());
  for (;;) {
    TRY_ASSIGN(const std::optional<RecordView> record, reader.next());
    if (!record) return records;
    OwnedRecord& owned = records.emplace_back();
    owned.timestamp = record->timestamp(batch).value();
    owned.key = text_of(record->key);
    owned.value = text_of(record->value);
    HeaderReader headers = record->headers;
    while (const auto header = headers.next())
      owned.headers.emplace_back(header->key, text_of(header->value));
  }
}

/// A copy with some bytes changed, cut off or put in: what a broken or hostile sender may send.
inline std::vector<std::uint8_t> damaged(common::ByteView bytes, common::Random& random) {
  std::vector<std::uint8_t> copy(bytes.begin(), bytes.end());
  for (std::uint64_t i = 1 + random.below(4); i > 0 && !copy.empty(); --i) {
    const auto at = static_cast<std::ptrdiff_t>(random.below(copy.size()));
    switch (random.below(4)) {
      case 0:
        copy[static_cast<std::size_t>(at)] = static_cast<std::uint8_t>(random.next());
        break;
      case 1:
        copy[static_cast<std::size_t>(at)] ^= static_cast<std::uint8_t>(1U << random.below(8));
        break;
      case 2:
        copy.resize(static_cast<std::size_t>(at));
        break;
      default:
        copy.insert(copy.begin() + at, static_cast<std::uint8_t>(random.next()));
    }
  }
  return copy;
}

}  // namespace millrace::model
