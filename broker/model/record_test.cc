#include "broker/model/record.h"

#include <gtest/gtest.h>

#include "broker/model/test_batches.h"
#include "common/endian.h"

namespace millrace::model {
namespace {

TEST(BatchBuilder, WritesWhatItWasTold) {
  BatchBuilder builder({.base_offset = Offset{100},
                        .leader_epoch = Term{7},
                        .producer_id = ProducerId{9},
                        .producer_epoch = 2,
                        .base_sequence = INT32_MAX,
                        .transactional = true});
  builder.append({.timestamp = common::Timestamp{50}, .value = common::as_bytes("a")});
  builder.append({.timestamp = common::Timestamp{70}, .value = common::as_bytes("b")});
  builder.append({.timestamp = common::Timestamp{60}, .value = common::as_bytes("c")});
  const common::Bytes bytes = builder.build();
  const BatchView batch = BatchView::parse(bytes).value();
  EXPECT_TRUE(batch.crc_matches());
  EXPECT_EQ(batch.size(), bytes.size());
  EXPECT_EQ(batch.base_offset(), Offset{100});
  EXPECT_EQ(batch.next_offset(), Offset{103});
  EXPECT_EQ(batch.leader_epoch(), Term{7});
  EXPECT_EQ(batch.base_timestamp(), common::Timestamp{50});
  EXPECT_EQ(batch.max_timestamp(), common::Timestamp{70});
  EXPECT_EQ(batch.producer_id(), ProducerId{9});
  EXPECT_EQ(batch.producer_epoch(), 2);
  EXPECT_EQ(batch.base_sequence(), INT32_MAX);
  EXPECT_EQ(batch.last_sequence(), 1) << "sequences wrap to 0 behind 2^31-1";
  EXPECT_TRUE(batch.transactional());
  EXPECT_FALSE(batch.control());
  EXPECT_EQ(batch.record_count(), 3);
}

// Goal: what goes in comes out. Method: random records, built and read back.
TEST(Records, RoundTrip) {
  common::Random random(1);
  for (int i = 0; i < 300; ++i) {
    const std::vector<OwnedRecord> records = random_records(random);
    const common::Bytes bytes = batch_of(records);
    const BatchView batch = BatchView::parse(bytes).value();
    EXPECT_EQ(records_of(batch, batch.payload()).value(), records);
    const RecordSurvey survey = survey_records(batch, batch.payload()).value();
    std::int64_t highest = INT64_MIN;
    std::int32_t highest_at = 0;
    for (std::size_t at = 0; at < records.size(); ++at) {
      if (records[at].timestamp > highest) {
        highest = records[at].timestamp;
        highest_at = static_cast<std::int32_t>(at);
      }
    }
    EXPECT_EQ(survey.timestamp_max.value(), highest);
    EXPECT_EQ(survey.timestamp_max_offset_delta, highest_at);
    EXPECT_EQ(batch.max_timestamp().value(), highest);
  }
}

// Goal: a client's times are kept, however far apart. Method: the ends of the range in one batch,
// whose difference is no 64-bit number.
TEST(Records, TimesFromBothEndsOfTheRange) {
  BatchBuilder builder;
  for (const std::int64_t time : {INT64_MAX, INT64_MIN, std::int64_t{-1}})
    builder.append({.timestamp = common::Timestamp{time}});
  const common::Bytes bytes = builder.build();
  const BatchView batch = BatchView::parse(bytes).value();
  RecordReader reader(batch.payload(), batch.record_count());
  for (const std::int64_t time : {INT64_MAX, INT64_MIN, std::int64_t{-1}})
    EXPECT_EQ(reader.next().value()->timestamp(batch).value(), time);
  EXPECT_EQ(batch.max_timestamp().value(), INT64_MAX);
}

TEST(Records, AppendTimeCountsForEveryRecord) {
  common::Bytes bytes = batch_of({{.timestamp = 5, .value = "a"}, {.timestamp = 9, .value = "b"}});
  set_append_time(bytes.mutable_view(), common::Timestamp{1000});
  const BatchView batch = BatchView::parse(bytes).value();
  EXPECT_TRUE(batch.crc_matches());
  const auto records = records_of(batch, batch.payload());
  ASSERT_TRUE(records.ok());
  for (const OwnedRecord& record : *records) EXPECT_EQ(record.timestamp, 1000);
}

// Goal: no bytes make the reader fail other than by an error. Method: damage real records at
// random.
TEST(Records, DamageIsAnErrorOrHarmless) {
  common::Random random(2);
  int refused = 0;
  for (int i = 0; i < 500; ++i) {
    const common::Bytes bytes = batch_of(random_records(random));
    const BatchView batch = BatchView::parse(bytes).value();
    const std::vector<std::uint8_t> broken = damaged(batch.payload(), random);
    if (!survey_records(batch, broken).ok()) ++refused;
    static_cast<void>(records_of(batch, broken).ok());
  }
  EXPECT_GT(refused, 250);
}

TEST(Records, LyingCountsAndLengths) {
  const common::Bytes bytes = batch_of({{.value = "a"}, {.value = "b"}});
  const common::ByteView payload = BatchView::parse(bytes).value().payload();
  RecordReader short_count(payload, 1);
  ASSERT_TRUE(short_count.next().ok());
  EXPECT_EQ(short_count.next().error().code, ErrorCode::kInvalidRecord)
      << "bytes follow the last record";
  RecordReader long_count(payload, 3);
  ASSERT_TRUE(long_count.next().ok());
  ASSERT_TRUE(long_count.next().ok());
  EXPECT_EQ(long_count.next().error().code, ErrorCode::kInvalidRecord);
  // A record of 5 bytes whose header count is 2^31-1.
  const std::uint8_t many_headers[] = {22, 0, 0, 0, 1, 1, 0xfe, 0xff, 0xff, 0xff, 0x0f, 0};
  EXPECT_FALSE(RecordReader(many_headers, 1).next().ok());
}

TEST(BatchView, RefusesWhatIsNoBatch) {
  const common::Bytes good = batch_of({{.value = "a"}});
  const auto code = [&](std::size_t at, std::uint8_t value) {
    common::Bytes copy = common::Bytes::copy_of(good.view());
    copy.mutable_data()[at] = value;
    const auto parsed = BatchView::parse(copy);
    return parsed.ok() ? ErrorCode::kNone : parsed.error().code;
  };
  EXPECT_EQ(code(16, 2), ErrorCode::kNone);
  EXPECT_EQ(code(16, 1), ErrorCode::kUnsupportedForMessageFormat);
  EXPECT_EQ(code(16, 3), ErrorCode::kCorruptMessage);
  EXPECT_EQ(code(8, 0x80), ErrorCode::kCorruptMessage) << "negative length";
  EXPECT_EQ(code(11, 255), ErrorCode::kCorruptMessage) << "longer than the bytes";
  EXPECT_EQ(code(22, 5), ErrorCode::kCorruptMessage) << "unknown codec";
  EXPECT_EQ(code(23, 0x80), ErrorCode::kCorruptMessage) << "negative last offset";
  EXPECT_EQ(code(60, 9), ErrorCode::kCorruptMessage) << "more records than offsets";
  for (std::size_t size = 0; size < good.size(); ++size)
    EXPECT_FALSE(BatchView::parse(good.view().first(size)).ok());
}

}  // namespace
}  // namespace millrace::model
