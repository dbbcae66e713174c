#include "broker/storage/batch_filter.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "broker/model/compression.h"
#include "broker/model/record.h"
#include "broker/storage/testing/keyed_records.h"

namespace millrace::storage {
namespace {

using common::Bytes;
using common::Timestamp;
using model::BatchView;
using testing::KeyedRecord;
using testing::records_of;
using Fate = Filtered::Fate;

constexpr std::int64_t kRetentionMs = 5000;

struct Row {
  const char* key;    // nullptr: none
  const char* value;  // nullptr: a tombstone
  std::int64_t time = 1000;
};

std::optional<common::ByteView> bytes_of(const char* text) {
  if (text == nullptr) return std::nullopt;
  return common::as_bytes(text);
}

Bytes make(Offset base, const std::vector<Row>& rows, model::BatchOptions options = {}) {
  options.base_offset = base;
  model::BatchBuilder builder(options);
  const model::HeaderView header{.key = "h", .value = common::as_bytes("v")};
  for (const Row& row : rows) {
    builder.append({.timestamp = Timestamp{row.time},
                    .key = bytes_of(row.key),
                    .value = bytes_of(row.value),
                    .headers = {&header, 1}});
  }
  return builder.build();
}

class BatchFilterTest : public ::testing::Test {
 protected:
  /// Filters each batch, knowing all of them: what is left, back to back.
  std::vector<Bytes> run(const std::vector<Bytes>& batches) {
    KeyMap map({.bytes_max = 1 << 16, .keys_max = 1000}, {});
    KeyCollector collector(map, limits, Offset{0});
    for (const Bytes& batch : batches) EXPECT_TRUE(collector.add(*BatchView::parse(batch)));
    BatchFilter filter({.latest = map,
                        .map_end = collector.end(),
                        .now = now,
                        .delete_retention_ms = kRetentionMs,
                        .limits = limits});
    std::vector<Bytes> left;
    fates.clear();
    for (const Bytes& batch : batches) {
      const Filtered filtered = filter.apply(*BatchView::parse(batch));
      fates.push_back(filtered.fate);
      if (filtered.fate == Fate::kAsIs) left.push_back(batch);
      if (!filtered.bytes.empty()) left.push_back(filtered.bytes);
    }
    return left;
  }
  static std::vector<std::string> texts(const std::vector<Bytes>& batches) {
    std::vector<std::string> all;
    for (const Bytes& batch : batches) {
      for (const KeyedRecord& record : records_of(batch)) {
        all.push_back(fmt::format("{} {}={} @{}", record.offset, record.key.value_or("-"),
                                  record.value.value_or("-"), record.timestamp));
      }
    }
    return all;
  }
  CompactionLimits limits;
  Timestamp now{10'000};
  std::vector<Fate> fates;
};

using Texts = std::vector<std::string>;
using Fates = std::vector<Fate>;

TEST_F(BatchFilterTest, KeepsTheLastRecordOfEachKey) {
  for (const auto codec :
       {model::Compression::kNone, model::Compression::kGzip, model::Compression::kSnappy,
        model::Compression::kLz4, model::Compression::kZstd}) {
    const auto left = run(
        {make(Offset{0}, {{"a", "1"}, {"b", "1", 1007}, {"a", "2", 1003}}, {.compression = codec}),
         make(Offset{3}, {{"c", "1"}, {"b", "2"}}, {.compression = codec}),
         make(Offset{5}, {{"c", "2"}}, {.compression = codec})});
    EXPECT_EQ(texts(left), (Texts{"2 a=2 @1003", "4 b=2 @1000", "5 c=2 @1000"}));
    EXPECT_EQ(fates, (Fates{Fate::kRewritten, Fate::kRewritten, Fate::kAsIs}));
    const auto first = BatchView::parse(left[0]);
    ASSERT_TRUE(first.ok());
    EXPECT_TRUE(first->crc_matches());
    EXPECT_EQ(first->base_offset(), Offset{0});
    EXPECT_EQ(first->last_offset(), Offset{2});
    EXPECT_EQ(first->record_count(), 1);
    EXPECT_EQ(first->compression(), codec);
    EXPECT_EQ(first->max_timestamp(), Timestamp{1003});
  }
}

TEST_F(BatchFilterTest, RecordsBehindTheMapStay) {
  KeyMap map({.bytes_max = KeyMap::kBytesPerKey, .keys_max = 100}, {});
  KeyCollector collector(map, limits, Offset{0});
  const Bytes batch = make(Offset{0}, {{"a", "1"}, {"a", "2"}, {"b", "1"}, {"b", "2"}});
  EXPECT_FALSE(collector.add(*BatchView::parse(batch)));
  EXPECT_EQ(collector.end(), Offset{2});
  BatchFilter filter({.latest = map, .map_end = collector.end(), .now = now, .limits = limits});
  const Filtered filtered = filter.apply(*BatchView::parse(batch));
  EXPECT_EQ(texts({filtered.bytes}), (Texts{"1 a=2 @1000", "2 b=1 @1000", "3 b=2 @1000"}));
  EXPECT_EQ(filter.records_removed(), 1U);
}

// KIP-534: the first compaction that sees a tombstone sets the horizon, one behind it takes it
// away.
TEST_F(BatchFilterTest, TombstonesGoAfterTheirHorizon) {
  std::vector<Bytes> left = run({make(Offset{0}, {{"a", "1"}, {"b", "1", 1001}}),
                                 make(Offset{2}, {{"a", nullptr, 1002}, {"c", "1", 1003}})});
  EXPECT_EQ(texts(left), (Texts{"1 b=1 @1001", "2 a=- @1002", "3 c=1 @1003"}));
  auto batch = BatchView::parse(left[1]);
  EXPECT_TRUE(batch->has_delete_horizon());
  EXPECT_EQ(batch->base_timestamp(), now + kRetentionMs);
  EXPECT_EQ(batch->max_timestamp(), Timestamp{1003});
  const std::vector<Bytes> before = left;
  now = now + kRetentionMs - 1;
  EXPECT_EQ(run(left), before);
  now = now + 1;
  left = run(left);
  EXPECT_EQ(texts(left), (Texts{"1 b=1 @1001", "3 c=1 @1003"}));
  EXPECT_TRUE(BatchView::parse(left[1])->has_delete_horizon());
}

TEST_F(BatchFilterTest, AppendTimeStaysTheTimeOfAllRecords) {
  Bytes stamped = make(Offset{0}, {{"a", "1"}, {"b", nullptr}});
  model::set_append_time(stamped.mutable_view(), Timestamp{7777});
  const auto left = run({stamped, make(Offset{2}, {{"a", "2"}})});
  EXPECT_EQ(texts(left), (Texts{"1 b=- @7777", "2 a=2 @1000"}));
}

TEST_F(BatchFilterTest, RecordsWithoutAKeyGo) {
  EXPECT_EQ(texts(run({make(Offset{0}, {{nullptr, "1"}, {"a", "1"}})})), (Texts{"1 a=1 @1000"}));
  run({make(Offset{0}, {{nullptr, "1"}})});
  EXPECT_EQ(fates, (Fates{Fate::kGone}));
}

// Goal: a producer's last sequence outlives its records, for replicas that learn it from the log.
TEST_F(BatchFilterTest, TheLastBatchOfAProducerStaysWithoutRecords) {
  const model::BatchOptions producer{.compression = model::Compression::kLz4,
                                     .producer_id = model::ProducerId{7},
                                     .producer_epoch = 3,
                                     .base_sequence = 40};
  const Bytes early = make(Offset{0}, {{"a", "0"}}, producer);
  const Bytes last = make(Offset{1}, {{"a", "1"}, {"a", "2"}}, producer);
  const Bytes other = make(Offset{3}, {{"a", "3"}});
  limits.last_batches = {Offset{2}};
  const auto left = run({early, last, other});
  EXPECT_EQ(fates, (Fates{Fate::kGone, Fate::kEmptied, Fate::kAsIs}));
  const auto emptied = BatchView::parse(left[0]);
  ASSERT_TRUE(emptied.ok());
  EXPECT_TRUE(emptied->crc_matches());
  EXPECT_EQ(emptied->size(), model::kBatchHeaderBytes);
  EXPECT_EQ(emptied->record_count(), 0);
  EXPECT_EQ(emptied->base_offset(), Offset{1});
  EXPECT_EQ(emptied->last_offset(), Offset{2});
  EXPECT_EQ(emptied->producer_id(), model::ProducerId{7});
  EXPECT_EQ(emptied->last_sequence(), 41);
  EXPECT_EQ(emptied->compression(), model::Compression::kNone);
  EXPECT_EQ(run(left), left);
  EXPECT_EQ(fates, (Fates{Fate::kAsIs, Fate::kAsIs}));
  limits.last_batches.clear();  // the producer was forgotten
  EXPECT_EQ(run(left), (std::vector<Bytes>{other}));
}

TEST_F(BatchFilterTest, AbortedRecordsGoAndTakeNoOtherWithThem) {
  const model::BatchOptions in_transaction{.producer_id = model::ProducerId{7},
                                           .producer_epoch = 0,
                                           .base_sequence = 0,
                                           .transactional = true};
  model::BatchOptions marker = in_transaction;
  marker.control = true;
  const Bytes committed = make(Offset{0}, {{"a", "1"}});
  const Bytes aborted = make(Offset{1}, {{"a", "2"}, {"b", "1"}}, in_transaction);
  const Bytes control = make(Offset{3}, {{"a", "abort"}}, marker);
  const Bytes next = make(Offset{4}, {{"b", "2"}}, in_transaction);
  limits.aborted = {{.producer = model::ProducerId{7}, .first = Offset{1}, .last = Offset{3}}};
  EXPECT_EQ(run({committed, aborted, control, next}),
            (std::vector<Bytes>{committed, control, next}));
}

// Goal: bytes that no check kept out, from a time when the topic was not compacted, do no harm.
// Method: offsets that go back, records cut short, wrong counts.
TEST_F(BatchFilterTest, ABatchThatCannotBeReadStays) {
  const Bytes good = make(Offset{0}, {{"a", "1"}, {"b", "1"}});
  const std::size_t record = (good.size() - model::kBatchHeaderBytes) / 2;
  for (int way = 0; way < 4; ++way) {
    Bytes bad = Bytes::copy_of(good.view());
    model::BatchHeader header = model::header_of(*BatchView::parse(good));
    std::uint8_t* const records = bad.mutable_data() + model::kBatchHeaderBytes;
    if (way == 0) records[record + 3] = 0;  // the second record's offset delta
    if (way == 1) records[record] = 0x7e;   // its length
    if (way == 2) header.record_count = 1;
    if (way == 3) records[4] = 0x55;  // the first record's key length
    model::seal_batch(bad.mutable_view(), header);
    const Bytes later = make(Offset{2}, {{"c", "1"}});
    EXPECT_EQ(run({bad, later}), (std::vector<Bytes>{bad, later})) << way;
  }
}

// Goal: one message of a client does not take memory without measure. Method: more records than
// that, in a batch that packs well.
TEST_F(BatchFilterTest, ABatchOfTooManyRecordsStays) {
  model::BatchBuilder builder({.compression = model::Compression::kZstd});
  for (int i = 0; i <= 1 << 20; ++i) builder.append({.key = common::as_bytes("a")});
  const Bytes many = builder.build();
  const Bytes later = make(BatchView::parse(many)->next_offset(), {{"a", "1"}});
  EXPECT_TRUE(run({many, later}) == (std::vector<Bytes>{many, later}));
}

}  // namespace
}  // namespace millrace::storage
