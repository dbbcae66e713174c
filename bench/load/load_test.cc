// Goal: what the load generator sends is valid and what it reports is right. Method: its encodings
// and its histogram against values worked out by hand; fetch answers fed in pieces of every size.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>

#include "bench/load/fetch_stream.h"
#include "bench/load/histogram.h"
#include "bench/load/options.h"
#include "bench/load/wire.h"
#include "common/crc32c.h"
#include "common/endian.h"

namespace millrace::bench {
namespace {

using ::testing::ElementsAre;
using ::testing::Pair;

std::uint32_t stored_crc(common::ByteView batch) {
  return common::load_big<std::uint32_t>(batch.data() + 17);
}

TEST(Histogram, IsExactForSmallValues) {
  Histogram histogram;
  for (int i = 1; i <= 60; ++i) histogram.add(i);
  EXPECT_EQ(histogram.percentile(50), 30);
  EXPECT_EQ(histogram.percentile(100), 60);
  EXPECT_EQ(histogram.mean(), 30.5);
}

TEST(Histogram, StaysWithinOneStepForLargeValues) {
  for (std::int64_t value = 1; value < std::int64_t{1} << 50; value = value * 5 / 3 + 1) {
    Histogram histogram;
    histogram.add(value);
    histogram.add(std::int64_t{1} << 55);
    EXPECT_GE(histogram.percentile(50), static_cast<double>(value));
    EXPECT_LE(histogram.percentile(50), static_cast<double>(value) * 1.016 + 1);
  }
}

TEST(Batch, CarriesItsLengthAndChecksum) {
  Buffer batch;
  append_batch(batch, {.records = 3, .record_bytes = 200}, Producer{});
  EXPECT_EQ(common::load_big<std::int32_t>(batch.data() + 8),
            static_cast<std::int32_t>(batch.size()) - 12);
  EXPECT_EQ(stored_crc(batch), common::crc32c(common::ByteView(batch).subspan(21)));
  EXPECT_EQ(common::load_big<std::int32_t>(batch.data() + 23), 2);
  EXPECT_EQ(common::load_big<std::int32_t>(batch.data() + 57), 3);
}

TEST(Batch, IsSealedAgainWithAProducer) {
  Buffer batch;
  append_batch(batch, {.records = 1, .record_bytes = 10}, Producer{});
  set_producer(batch, {.id = 77, .epoch = 2, .sequence = 5});
  EXPECT_EQ(common::load_big<std::int64_t>(batch.data() + 43), 77);
  EXPECT_EQ(common::load_big<std::int16_t>(batch.data() + 51), 2);
  EXPECT_EQ(common::load_big<std::int32_t>(batch.data() + 53), 5);
  EXPECT_EQ(stored_crc(batch), common::crc32c(common::ByteView(batch).subspan(21)));
}

TEST(ProduceBody, SaysWhereItsBatchesLie) {
  const std::array partitions{4, 5};
  const auto body = produce_body({"topic", -1, partitions}, {2, 20});
  ASSERT_EQ(body.batches.size(), 2U);
  for (const auto& slot : body.batches) {
    const common::ByteView batch = common::ByteView(body.bytes).subspan(slot.position, slot.size);
    EXPECT_EQ(stored_crc(batch), common::crc32c(batch.subspan(21)));
    EXPECT_EQ(common::load_big<std::int32_t>(body.bytes.data() + slot.position - 8),
              slot.partition);
  }
}

/// A fetch answer on topic "t" with two batches of three records at offset 10, and the front of a
/// third.
Buffer fetch_answer() {
  Buffer records;
  for (const std::int64_t base : {10, 13, 16}) {
    Buffer batch;
    append_batch(batch, {.records = 3, .record_bytes = 50}, Producer{});
    common::store_big<std::int64_t>(batch.data(), base);
    if (base == 16) batch.erase(batch.end() - 7, batch.end());
    records.insert(records.end(), batch.begin(), batch.end());
  }
  Buffer answer;
  Writer writer(answer);
  for (int i = 0; i < 3; ++i) writer.i32(0);  // size, correlation id, throttle
  writer.i16(0);
  writer.i32(0);
  writer.i32(1);
  writer.text("t");
  writer.i32(1);
  writer.i32(0);
  writer.i16(0);
  for (const std::int64_t offset : {19, 19, 0}) writer.i64(offset);
  writer.i32(-1);
  writer.i32(-1);
  writer.i32(static_cast<std::int32_t>(records.size()));
  writer.raw(records);
  return answer;
}

TEST(FetchStream, FindsWholeBatchesInPiecesOfEverySize) {
  const Buffer answer = fetch_answer();
  for (std::size_t piece = 1; piece <= answer.size(); ++piece) {
    FetchStream stream(1);
    stream.seek(10);
    std::vector<std::pair<std::int64_t, std::int64_t>> batches;
    for (std::size_t at = 0; at < answer.size(); at += piece) {
      EXPECT_FALSE(stream.complete());
      stream.take(
          common::ByteView(answer).subspan(at, std::min(piece, answer.size() - at)),
          [&](std::int64_t first, std::int64_t last) { batches.emplace_back(first, last); });
    }
    EXPECT_TRUE(stream.complete());
    EXPECT_THAT(batches, ElementsAre(Pair(10, 12), Pair(13, 15)));
    EXPECT_EQ(stream.offset(), 16);
    EXPECT_EQ(stream.high_watermark(), 19);
  }
}

TEST(FetchStreamDeathTest, RefusesAGap) {
  const Buffer answer = fetch_answer();
  FetchStream stream(1);
  stream.seek(8);
  EXPECT_EXIT(stream.take(answer, [](std::int64_t, std::int64_t) {}), ::testing::ExitedWithCode(1),
              "offset 8 was due");
}

TEST(EndpointDeathTest, IsOnThisMachineOnly) {
  EXPECT_EQ(parse_endpoint("localhost:9092"), (Endpoint{"127.0.0.1", 9092}));
  EXPECT_EXIT(parse_endpoint("192.0.2.1:9092"), ::testing::ExitedWithCode(1),
              "loopback addresses only");
  EXPECT_EXIT(parse_endpoint("127.0.0.1:0"), ::testing::ExitedWithCode(1), "has no port");
}

}  // namespace
}  // namespace millrace::bench
