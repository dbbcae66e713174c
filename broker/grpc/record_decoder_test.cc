// Stored batches as responses: nothing lost, nothing too large, nothing worse than an error.
#include "broker/grpc/record_decoder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "broker/service/testing/node.h"

namespace millrace::grpc {
namespace {

using model::ErrorCode;
using model::Offset;
using model::PartitionIndex;

constexpr std::size_t kClientBytesMax = 4 << 20;  // what gRPC clients take unless told otherwise

struct Decoded {
  common::Result<void> outcome;
  v1::ReadResponse response;
  Offset place;
};

/// Everything in `piece` as one response.
Decoded decode(common::ByteView piece, Offset from = Offset{0}) {
  Decoded decoded{.outcome = {}, .response = {}, .place = from};
  UnpackedBytes unpacked;
  {
    RecordDecoder decoder("t", unpacked);
    decoder.add(PartitionIndex{0}, decoded.place, common::Bytes::copy_of(piece));
    decoded.outcome = decoder.take(SIZE_MAX, decoded.response);
    if (decoded.outcome.ok() && !decoder.empty())
      decoded.outcome = decoder.take(SIZE_MAX, decoded.response);
  }
  EXPECT_EQ(unpacked.used(), 0u);
  return decoded;
}

/// A batch of equal values, from offset `base` on.
common::Bytes batch_of(int records, std::size_t value_bytes, model::Compression compression,
                       Offset base = Offset{0}) {
  model::BatchBuilder builder(
      {.compression = compression, .compression_level = std::nullopt, .base_offset = base});
  const std::vector<std::uint8_t> value(value_bytes, 'v');
  for (int i = 0; i < records; ++i)
    builder.append({.timestamp = common::Timestamp{1}, .value = common::ByteView(value)});
  return builder.build();
}

// Goal: a header name that is no UTF-8 keeps nobody from reading on (protobuf refuses such
// strings). Method: good names pass unchanged, bad bytes become U+FFFD, and the response can be
// parsed.
TEST(RecordDecoder, HeaderNamesAreMadeUtf8) {
  const std::pair<std::string, std::string> names[] = {
      {"plain", "plain"},
      {"gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f"},
      {"\xf0\x9f\x90\x9f", "\xf0\x9f\x90\x9f"},
      {"a\xff"
       "b",
       "a\xef\xbf\xbd"
       "b"},
      {"cut\xe2\x82", "cut\xef\xbf\xbd\xef\xbf\xbd"},
      {"\xc0\x80", "\xef\xbf\xbd\xef\xbf\xbd"}};
  model::BatchBuilder builder;
  for (const auto& [name, wanted] : names) {
    const model::HeaderView header{name, std::nullopt};
    builder.append({.timestamp = common::Timestamp{1}, .headers = std::span(&header, 1)});
  }
  const Decoded decoded = decode(builder.build());
  ASSERT_TRUE(decoded.outcome.ok());
  v1::ReadResponse parsed;
  ASSERT_TRUE(parsed.ParseFromString(decoded.response.SerializeAsString()));
  for (int i = 0; i < parsed.records_size(); ++i)
    EXPECT_EQ(parsed.records(i).headers(0).key(), names[i].second);
}

// Goal: a stored batch that cannot be read is an error, never more. Method: damage and cut one.
TEST(RecordDecoder, DamageIsAnError) {
  const common::Bytes batch = service::testing::make_batch({.values = {"a", "b", "c"}});
  const Decoded whole = decode(batch, Offset{1});
  ASSERT_TRUE(whole.outcome.ok());
  EXPECT_EQ(whole.place, Offset{3});
  ASSERT_EQ(whole.response.records_size(), 2) << "what is below the start is left out";
  EXPECT_EQ(whole.response.records(0).value(), "b");
  for (std::size_t size = 1; size < batch.size(); ++size)
    EXPECT_FALSE(decode(batch.view().first(size)).outcome.ok());
  for (std::size_t at = 0; at < batch.size(); ++at) {
    std::vector<std::uint8_t> damaged(batch.view().begin(), batch.view().end());
    damaged[at] ^= 0xff;
    static_cast<void>(decode(damaged));
  }
}

// Goal: what is whole in front of damage is still delivered. Method: a good batch, then half of
// one.
TEST(RecordDecoder, RecordsInFrontOfDamageComeFirst) {
  UnpackedBytes unpacked;
  RecordDecoder decoder("t", unpacked);
  Offset place{0};
  decoder.add(PartitionIndex{0}, place, batch_of(2, 10, model::Compression::kNone));
  const common::Bytes second = batch_of(2, 10, model::Compression::kNone, Offset{2});
  decoder.add(PartitionIndex{0}, place, common::Bytes::copy_of(second.view().first(70)));
  v1::ReadResponse response;
  ASSERT_TRUE(decoder.take(SIZE_MAX, response).ok());
  EXPECT_EQ(response.records_size(), 2);
  EXPECT_EQ(place, Offset{2});
  EXPECT_FALSE(decoder.take(SIZE_MAX, response).ok());
  EXPECT_FALSE(decoder.take(SIZE_MAX, response).ok()) << "and it stays so";
}

// Goal: a batch that unpacks to far more than it takes on disk comes in responses that every client
// accepts, nothing of it lost. Method: 24 MB of equal bytes (a few kB packed) in records of 100 kB,
// then 300,000 empty records, whose fields are what takes space.
TEST(RecordDecoder, AStronglyCompressedBatchComesInPortions) {
  for (const auto compression : {model::Compression::kGzip, model::Compression::kSnappy,
                                 model::Compression::kLz4, model::Compression::kZstd}) {
    for (const auto& [count, bytes] : {std::pair{240, 100'000}, std::pair{300'000, 0}}) {
      UnpackedBytes unpacked;
      RecordDecoder decoder("orders", unpacked);
      Offset place{0};
      common::Bytes batch = batch_of(count, static_cast<std::size_t>(bytes), compression);
      ASSERT_LT(batch.size(), 2U << 20);
      decoder.add(PartitionIndex{3}, place, std::move(batch));
      std::int64_t next = 0;
      int responses = 0;
      for (; !decoder.empty(); ++responses) {
        v1::ReadResponse response;
        ASSERT_TRUE(decoder.take(1 << 20, response).ok());
        ASSERT_LE(response.ByteSizeLong(), 1U << 20);
        for (const v1::Record& record : response.records()) ASSERT_EQ(record.offset(), next++);
        EXPECT_EQ(place, Offset{next});
      }
      EXPECT_EQ(next, count);
      EXPECT_GT(responses, 10);
      EXPECT_EQ(unpacked.used(), 0u);
    }
  }
}

TEST(RecordDecoder, OneRecordComesHoweverLarge) {
  UnpackedBytes unpacked;
  RecordDecoder decoder("t", unpacked);
  Offset place{0};
  decoder.add(PartitionIndex{0}, place, batch_of(3, 3 << 20, model::Compression::kZstd));
  for (std::int64_t offset = 0; offset < 3; ++offset) {
    v1::ReadResponse response;
    ASSERT_TRUE(decoder.take(1000, response).ok());
    ASSERT_EQ(response.records_size(), 1);
    EXPECT_EQ(response.records(0).offset(), offset);
    EXPECT_LT(response.ByteSizeLong(), kClientBytesMax);
  }
  decoder.add(PartitionIndex{0}, place,
              batch_of(1, kRecordBytesMax + 1, model::Compression::kZstd, Offset{3}));
  v1::ReadResponse response;
  EXPECT_EQ(decoder.take(SIZE_MAX, response).error().code, ErrorCode::kMessageTooLarge);
}

// Goal: many readers of such batches cannot take the broker's memory. Method: a budget for one
// batch; the second reader is refused until the first has let go.
TEST(RecordDecoder, ReadersTogetherHoldABoundedAmount) {
  const common::Bytes batch = batch_of(100, 10'000, model::Compression::kZstd);
  UnpackedBytes unpacked(1'500'000);
  Offset place{0};
  Offset other_place{0};
  v1::ReadResponse response;
  auto first = std::make_unique<RecordDecoder>("t", unpacked);
  first->add(PartitionIndex{0}, place, batch);
  ASSERT_TRUE(first->take(1000, response).ok());
  EXPECT_GT(unpacked.used(), 1'000'000u);
  RecordDecoder second("t", unpacked);
  second.add(PartitionIndex{0}, other_place, batch);
  EXPECT_EQ(second.take(1000, response).error().code, ErrorCode::kMemoryExhausted);
  EXPECT_EQ(other_place, Offset{0});
  first.reset();
  EXPECT_EQ(unpacked.used(), 0u);
  EXPECT_TRUE(second.take(1000, response).ok());
  EXPECT_EQ(other_place, Offset{1});
}

TEST(RecordDecoder, PartitionsKeepTheirPlacesAndControlRecordsStayOut) {
  UnpackedBytes unpacked;
  RecordDecoder decoder("t", unpacked);
  Offset one{0};
  Offset two{0};
  decoder.add(PartitionIndex{1}, one, batch_of(2, 1, model::Compression::kNone));
  model::BatchBuilder marker({.base_offset = Offset{0}, .transactional = true, .control = true});
  marker.append({.timestamp = common::Timestamp{1}});
  decoder.add(PartitionIndex{2}, two, marker.build());
  decoder.add(PartitionIndex{2}, two, common::Bytes());
  v1::ReadResponse response;
  ASSERT_TRUE(decoder.take(SIZE_MAX, response).ok());
  EXPECT_TRUE(decoder.empty());
  EXPECT_EQ(response.records_size(), 2);
  EXPECT_EQ(one, Offset{2});
  EXPECT_EQ(two, Offset{1});
}

}  // namespace
}  // namespace millrace::grpc
