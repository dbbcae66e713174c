#include "broker/model/batch_rules.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "broker/model/compression.h"
#include "broker/model/test_batches.h"

namespace millrace::model {
namespace {

using ::testing::HasSubstr;

constexpr common::Timestamp kNow{1'700'000'000'000};

class BatchRulesTest : public ::testing::Test {
 protected:
  TopicSettings settings_;

  BatchVerdict judge(common::Bytes bytes) {
    return accept_batch(std::move(bytes),
                        {.settings = settings_, .partition = "orders-0", .now = kNow});
  }
  ErrorCode code(common::Bytes bytes) {
    const BatchVerdict verdict = judge(std::move(bytes));
    EXPECT_NE(verdict.accepted.has_value(), verdict.refused.has_value());
    return verdict.refused ? verdict.refused->error.code : ErrorCode::kNone;
  }
  std::string text(common::Bytes bytes) {
    const BatchVerdict verdict = judge(std::move(bytes));
    return verdict.refused ? verdict.refused->error.detail : "";
  }
  static OwnedRecord record(std::string key, std::string value) {
    return {.timestamp = kNow.value(), .key = std::move(key), .value = std::move(value)};
  }
  static common::Bytes one(BatchOptions options = {}) {
    return batch_of({record("k", "v")}, options);
  }
  /// The batch with other header fields and a right checksum.
  template <typename Change>
  static common::Bytes resealed(common::Bytes bytes, Change change) {
    BatchHeader header = header_of(BatchView::parse(bytes).value());
    change(header);
    seal_batch(bytes.mutable_view(), header);
    return bytes;
  }
};

TEST_F(BatchRulesTest, AnOrdinaryBatchPassesAsItIs) {
  const common::Bytes bytes = one();
  const BatchVerdict verdict = judge(bytes);
  ASSERT_TRUE(verdict.accepted);
  EXPECT_EQ(verdict.accepted->bytes.data(), bytes.data()) << "nothing is copied";
  EXPECT_FALSE(verdict.accepted->append_time);
}

TEST_F(BatchRulesTest, ExactlyOneBatch) {
  EXPECT_EQ(code({}), ErrorCode::kInvalidRecord);
  const common::Bytes bytes = one();
  common::Bytes two = common::Bytes::allocate(bytes.size() * 2);
  std::copy(bytes.view().begin(), bytes.view().end(), two.mutable_data());
  std::copy(bytes.view().begin(), bytes.view().end(), two.mutable_data() + bytes.size());
  EXPECT_THAT(text(two), HasSubstr("exactly one record batch"));
  EXPECT_EQ(code(bytes.slice(0, bytes.size() - 1)), ErrorCode::kCorruptMessage);
  common::Bytes old = one();
  old.mutable_data()[16] = 1;
  EXPECT_EQ(code(old), ErrorCode::kInvalidRecord);
}

TEST_F(BatchRulesTest, Sizes) {
  settings_.max_message_bytes = 100;
  EXPECT_EQ(code(one()), ErrorCode::kNone);
  const common::Bytes large = batch_of({record("k", std::string(200, 'x'))});
  EXPECT_EQ(code(large), ErrorCode::kMessageTooLarge);
  EXPECT_THAT(text(large), HasSubstr("exceeds the maximum configured value of 100"));
  settings_.max_message_bytes = 1000;
  settings_.segment_bytes = 200;
  EXPECT_EQ(code(large), ErrorCode::kRecordListTooLarge);
}

TEST_F(BatchRulesTest, TheHeaderMustBeHonest) {
  common::Bytes flipped = one();
  flipped.mutable_data()[flipped.size() - 2] ^= 1;
  EXPECT_EQ(code(flipped), ErrorCode::kCorruptMessage);
  EXPECT_EQ(code(one({.base_offset = Offset{5}})), ErrorCode::kInvalidRecord);
  EXPECT_THAT(text(resealed(one(), [](BatchHeader& h) { h.last_offset_delta = 1; })),
              HasSubstr("Inconsistent batch offset range"));
  EXPECT_THAT(text(resealed(one(), [](BatchHeader& h) { h.record_count = 0; })),
              HasSubstr("Invalid reported count"));
  EXPECT_EQ(code(one({.control = true})), ErrorCode::kInvalidRecord);
  EXPECT_EQ(code(one({.producer_id = ProducerId{1},
                      .producer_epoch = 0,
                      .base_sequence = 0,
                      .transactional = true})),
            ErrorCode::kInvalidTxnState);
  EXPECT_EQ(code(one({.producer_id = ProducerId{1}, .producer_epoch = 0, .base_sequence = -1})),
            ErrorCode::kInvalidRecord);
  EXPECT_EQ(code(one({.producer_id = ProducerId{1}, .producer_epoch = -1, .base_sequence = 0})),
            ErrorCode::kInvalidRecord);
  EXPECT_EQ(code(one({.producer_id = ProducerId{1}, .producer_epoch = 0, .base_sequence = 0})),
            ErrorCode::kNone);
  EXPECT_EQ(code(one({.timestamp_type = TimestampType::kLogAppendTime})),
            ErrorCode::kInvalidTimestamp);
}

TEST_F(BatchRulesTest, TimestampsAhead) {
  settings_.timestamp_after_ms_max = 1000;
  OwnedRecord late = record("k", "v");
  late.timestamp += 1001;
  const BatchVerdict verdict = judge(batch_of({record("a", "b"), late}));
  ASSERT_TRUE(verdict.refused);
  EXPECT_EQ(verdict.refused->error.code, ErrorCode::kInvalidTimestamp);
  ASSERT_EQ(verdict.refused->records.size(), 1U);
  EXPECT_EQ(verdict.refused->records[0].index, 1);
  late.timestamp -= 1;
  EXPECT_EQ(code(batch_of({late})), ErrorCode::kNone);
  late.timestamp = -1;  // none given
  EXPECT_EQ(code(batch_of({late})), ErrorCode::kNone);
  // A header that alone is ahead is a lie that readers would go by.
  EXPECT_EQ(
      code(resealed(one(), [](BatchHeader& h) { h.max_timestamp = common::Timestamp{INT64_MAX}; })),
      ErrorCode::kInvalidTimestamp);
}

TEST_F(BatchRulesTest, TimestampsBehind) {
  OwnedRecord early = record("k", "v");
  early.timestamp -= 5000;
  EXPECT_EQ(code(batch_of({record("a", "b"), early})), ErrorCode::kNone);
  settings_.timestamp_before_ms_max = 4999;
  EXPECT_EQ(code(batch_of({record("a", "b"), early})), ErrorCode::kInvalidTimestamp);
  settings_.timestamp_before_ms_max = 5000;
  EXPECT_EQ(code(batch_of({record("a", "b"), early})), ErrorCode::kNone);
  settings_.timestamp_type = TimestampType::kLogAppendTime;
  settings_.timestamp_before_ms_max = 0;
  EXPECT_EQ(code(batch_of({early})), ErrorCode::kNone) << "the broker's own time counts";
}

TEST_F(BatchRulesTest, AppendTimeIsWrittenIntoTheBatch) {
  settings_.timestamp_type = TimestampType::kLogAppendTime;
  const BatchVerdict verdict = judge(one());
  ASSERT_TRUE(verdict.accepted);
  EXPECT_EQ(verdict.accepted->append_time, kNow);
  const BatchView batch = verdict.accepted->view();
  EXPECT_TRUE(batch.crc_matches());
  EXPECT_EQ(batch.timestamp_type(), TimestampType::kLogAppendTime);
  EXPECT_EQ(batch.max_timestamp(), kNow);
}

TEST_F(BatchRulesTest, CompactedTopicsNeedKeys) {
  settings_.compact = true;
  EXPECT_EQ(code(one()), ErrorCode::kNone);
  for (const Compression codec : {Compression::kNone, Compression::kZstd}) {
    OwnedRecord keyless = record("", "v");
    keyless.key.reset();
    const BatchVerdict verdict =
        judge(batch_of({record("a", "b"), keyless, keyless}, {.compression = codec}));
    ASSERT_TRUE(verdict.refused);
    EXPECT_EQ(verdict.refused->error.code, ErrorCode::kInvalidRecord);
    EXPECT_THAT(verdict.refused->error.detail, HasSubstr("2 record errors in total"));
    ASSERT_EQ(verdict.refused->records.size(), 2U);
    EXPECT_EQ(verdict.refused->records[1].index, 2);
    EXPECT_EQ(verdict.refused->records[1].message,
              "Compacted topic cannot accept message without key in topic partition orders-0");
  }
}

TEST_F(BatchRulesTest, TheTopicsOwnCodec) {
  common::Random random(6);
  for (int i = 0; i < 40; ++i) {
    std::vector<OwnedRecord> records = random_records(random);
    const auto from = static_cast<Compression>(random.below(5));
    settings_.compression = static_cast<Compression>(random.below(5));
    const common::Bytes bytes = batch_of(records, {.compression = from});
    const BatchVerdict verdict = judge(bytes);
    ASSERT_TRUE(verdict.accepted) << verdict.refused->error.detail;
    const BatchView batch = verdict.accepted->view();
    EXPECT_EQ(batch.compression(), *settings_.compression);
    EXPECT_TRUE(batch.crc_matches());
    EXPECT_EQ(verdict.accepted->bytes.data() == bytes.data(), from == *settings_.compression);
    const PlainRecords plain = plain_records(batch, kRecordsBytesMax).value();
    EXPECT_EQ(records_of(batch, plain.records).value(), records);
  }
}

TEST_F(BatchRulesTest, NoBytesDoHarm) {
  common::Random random(7);
  for (int i = 0; i < 500; ++i) {
    settings_.compact = random.chance(1, 2);
    settings_.timestamp_before_ms_max = random.chance(1, 2) ? INT64_MAX : 10;
    settings_.compression.reset();
    if (random.chance(1, 2)) settings_.compression = static_cast<Compression>(random.below(5));
    const common::Bytes bytes = batch_of(
        random_records(random), {.compression = static_cast<Compression>(random.below(5))});
    std::vector<std::uint8_t> broken = damaged(bytes, random);
    common::Bytes sent = common::Bytes::copy_of(broken);
    // A hostile sender makes the checksum right.
    if (const auto batch = BatchView::parse(sent); batch.ok() && random.chance(3, 4)) {
      const BatchHeader header = header_of(*batch);
      seal_batch(sent.mutable_view().first(batch->size()), header);
    }
    const BatchVerdict verdict = judge(sent);
    if (verdict.accepted) {
      EXPECT_TRUE(verdict.accepted->view().crc_matches());
    }
  }
}

}  // namespace
}  // namespace millrace::model
