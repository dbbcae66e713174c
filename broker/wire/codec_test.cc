#include <gtest/gtest.h>

#include "broker/model/errors.h"
#include "broker/wire/header.h"
#include "broker/wire/messages/random.h"

namespace millrace::wire {
namespace {

/// Calls check(Message{}, version) for every message, request, response or record, in each of its
/// versions.
template <typename Check>
void for_each_message(Check check) {
  const auto versions = [&]<typename Message>(Message message) {
    for (std::int16_t v = Message::kVersionMin; v <= Message::kVersionMax; ++v) check(message, v);
  };
  std::apply(
      [&]<typename... Request>(Request...) {
        (versions(Request{}), ...);
        (versions(typename Request::Response{}), ...);
      },
      AllRequests{});
  std::apply(
      [&]<typename... Key>(Key...) {
        (versions(Key{}), ...);
        (versions(typename Key::Value{}), ...);
      },
      AllRecordKeys{});
  versions(RequestHeader{});
  versions(ResponseHeader{});
}

template <typename Message>
common::Bytes encoded(const Message& message, std::int16_t version) {
  Writer out;
  message.encode(out, version);
  return out.take().joined();
}

// Goal: what a version can carry survives the wire. Method: random messages that use only fields of
// the version.
TEST(Codec, RoundTripOfRandomMessages) {
  common::Random random(1);
  for_each_message([&](auto message, std::int16_t version) {
    for (int i = 0; i < 20; ++i) {
      message = {};
      randomize(message, random, version);
      const common::Bytes bytes = encoded(message, version);
      ASSERT_EQ(bytes.size(), message.size(version)) << message.debug();
      Reader in(bytes);
      auto decoded = decltype(message)::decode(in, version);
      ASSERT_TRUE(decoded.ok()) << decoded.error().detail << " v" << version << " "
                                << message.debug();
      ASSERT_EQ(in.remaining(), 0u);
      ASSERT_TRUE(*decoded == message) << version << message.debug() << decoded->debug();
    }
  });
}

// Goal: a frame cut anywhere is an error that names a field, never a crash. Method: every prefix of
// random messages.
TEST(Codec, EveryCutIsAnError) {
  common::Random random(2);
  for_each_message([&](auto message, std::int16_t version) {
    message = {};
    do {
      randomize(message, random, version);
    } while (message.size(version) > 3000);
    const common::Bytes bytes = encoded(message, version);
    for (std::size_t size = 0; size < bytes.size(); ++size) {
      Reader in(bytes.slice(0, size));
      const auto decoded = decltype(message)::decode(in, version);
      ASSERT_FALSE(decoded.ok()) << size << " of " << bytes.size() << " v" << version
                                 << message.debug();
      ASSERT_EQ(decoded.error().code, model::ErrorCode::kInvalidRequest);
      ASSERT_NE(decoded.error().detail.find(": "), std::string::npos);
    }
  });
}

// Goal: no bytes crash a decoder, and what is accepted can be written again. Method: flip,
// overwrite and insert bytes, favouring those that make lengths huge or negative.
TEST(Codec, DamagedMessagesNeverCrash) {
  common::Random random(3);
  std::size_t accepted = 0;
  for_each_message([&](auto message, std::int16_t version) {
    for (int i = 0; i < 60; ++i) {
      message = {};
      randomize(message, random, version);
      common::Bytes bytes = encoded(message, version);
      if (bytes.empty()) continue;
      for (std::uint64_t damages = 1 + random.below(3); damages > 0; --damages) {
        static constexpr std::uint8_t kNasty[] = {0x00, 0x01, 0x7f, 0x80, 0xff};
        const std::size_t at = random.below(bytes.size());
        const std::size_t run = std::min<std::size_t>(1 + random.below(5), bytes.size() - at);
        const std::uint8_t value = kNasty[random.below(std::size(kNasty))];
        std::fill_n(bytes.mutable_data() + at, run, value);
      }
      Reader in(bytes, ReadLimits{.decoded_bytes_max = 1 << 20});
      const auto decoded = decltype(message)::decode(in, version);
      if (!decoded.ok()) continue;
      ++accepted;
      const common::Bytes again = encoded(*decoded, version);
      Reader second(again);
      const auto twice = decltype(message)::decode(second, version);
      ASSERT_TRUE(twice.ok()) << twice.error().detail;
      ASSERT_EQ(encoded(*twice, version), again);
    }
  });
  EXPECT_GT(accepted, 0u);
}

TEST(Codec, AHugeArrayIsRefusedBeforeItIsAllocated) {
  Writer out;
  out.i32(0x7ffffff0);  // topics of a MetadataRequest
  Reader in(out.take().joined());
  const auto decoded = MetadataRequest::decode(in, 1);
  ASSERT_FALSE(decoded.ok());
  EXPECT_EQ(decoded.error().detail,
            "MetadataRequest.topics: more elements than the rest of the message could hold");
}

TEST(Codec, ArraysThatFitTheFrameButNotTheMemoryLimitAreRefused) {
  MetadataRequest request;
  for (int i = 0; i < 1000; ++i) request.topics->push_back({.name = "t"});
  const common::Bytes bytes = encoded(request, 12);
  Reader narrow(bytes, ReadLimits{.decoded_bytes_max = 10'000});
  const auto refused = MetadataRequest::decode(narrow, 12);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().detail, "MetadataRequest.topics: the message takes too much memory");
  Reader wide(bytes);
  EXPECT_TRUE(MetadataRequest::decode(wide, 12).ok());
}

TEST(Codec, NullWhereAValueIsRequiredIsRefused) {
  Writer out;
  out.i32(1);
  out.i16(-1);  // name, which may be null from version 10 on
  Reader in(out.take().joined());
  const auto decoded = MetadataRequest::decode(in, 1);
  ASSERT_FALSE(decoded.ok());
  EXPECT_EQ(decoded.error().detail, "MetadataRequest.topics.name: null where a value is required");
}

TEST(Codec, UnknownTaggedFieldsAreSkipped) {
  Writer out;
  out.varuint(2);  // an empty list of topics would be 1; this is one topic
  out.uuid({});
  out.string("t", true);
  out.varuint(0);
  out.boolean(true);
  out.boolean(false);
  out.varuint(1);  // one tagged field that nobody knows
  out.varuint(77);
  out.varuint(3);
  out.raw("abc", 3);
  Reader in(out.take().joined());
  const auto decoded = MetadataRequest::decode(in, 12);
  ASSERT_TRUE(decoded.ok()) << decoded.error().detail;
  EXPECT_EQ(in.remaining(), 0u);
  EXPECT_EQ(decoded->topics->at(0).name, "t");
}

TEST(Codec, ATaggedFieldMustFillItsSize) {
  Writer out;
  out.i16(0);
  out.varuint(1);  // no api keys
  out.i32(0);
  out.varuint(1);
  out.varuint(1);  // finalized_features_epoch, eight bytes
  out.varuint(9);
  out.i64(5);
  out.i8(0);
  Reader in(out.take().joined());
  const auto decoded = ApiVersionsResponse::decode(in, 3);
  ASSERT_FALSE(decoded.ok());
  EXPECT_EQ(decoded.error().detail,
            "ApiVersionsResponse.finalized_features_epoch: a tagged field longer than its content");
}

// Goal: record data is copied neither on its way in nor out.
TEST(Codec, RecordsShareTheFrame) {
  ProduceRequest request;
  request.topic_data.push_back(
      {.name = "t", .partition_data = {{.index = 3, .records = common::Bytes::zeros(4000)}}});
  const common::Bytes frame = encoded(request, 9);
  Reader in(frame);
  const auto decoded = ProduceRequest::decode(in, 9);
  ASSERT_TRUE(decoded.ok());
  const Chunks& records = *decoded->topic_data[0].partition_data[0].records;
  ASSERT_EQ(records.count(), 1u);
  EXPECT_GE(records[0].data(), frame.data());
  EXPECT_LT(records[0].data(), frame.data() + frame.size());

  FetchResponse response;
  response.responses.push_back({.topic = "t", .partitions = {{.records = records}}});
  response.responses[0].partitions[0].records->add(common::Bytes::zeros(5000));
  const Chunks answer = encode_response(response, 11, 42);
  ASSERT_EQ(answer.count(), 3u);
  EXPECT_EQ(answer[1].data(), records[0].data());
  EXPECT_EQ(common::load_big<std::int32_t>(answer[0].data()),
            static_cast<std::int32_t>(answer.size() - 4));
}

TEST(Header, FormsFollowTheVersion) {
  EXPECT_EQ(request_header_version(ApiKey::kProduce, 8), 1);
  EXPECT_EQ(request_header_version(ApiKey::kProduce, 9), 2);
  EXPECT_EQ(response_header_version(ApiKey::kProduce, 8), 0);
  EXPECT_EQ(response_header_version(ApiKey::kProduce, 9), 1);
  EXPECT_EQ(request_header_version(ApiKey::kApiVersions, 3), 2);
  EXPECT_EQ(response_header_version(ApiKey::kApiVersions, 3), 0);
}

TEST(Header, RequestFrameReadsBack) {
  MetadataRequest request;
  request.topics->push_back({.name = "orders"});
  for (const std::int16_t version : {0, 8, 9, 12}) {
    const common::Bytes frame = encode_request(request, version, 7, "me").joined();
    Reader in(frame.slice(4, frame.size() - 4));
    const auto header = read_request_header(in);
    ASSERT_TRUE(header.ok());
    EXPECT_TRUE(is_served(*header));
    EXPECT_EQ(header->correlation_id, 7);
    EXPECT_EQ(header->client_id, "me");
    const auto body = MetadataRequest::decode(in, version);
    ASSERT_TRUE(body.ok());
    EXPECT_EQ(body->topics->at(0).name, "orders");
  }
}

// Goal: an ApiVersions request from the future can be told from garbage and answered (KIP-511).
TEST(Header, UnknownVersionsAndKeysGiveTheirFixedPart) {
  for (const auto& [key, version] : {std::pair{18, 99}, std::pair{9999, 0}, std::pair{0, 2}}) {
    Writer out;
    out.i16(static_cast<std::int16_t>(key));
    out.i16(static_cast<std::int16_t>(version));
    out.i32(5);
    out.raw("\xff\xff\xff", 3);
    Reader in(out.take().joined());
    const auto header = read_request_header(in);
    ASSERT_TRUE(header.ok());
    EXPECT_FALSE(is_served(*header));
    EXPECT_EQ(header->request_api_key, key);
    EXPECT_EQ(header->correlation_id, 5);
  }
  Reader cut(common::Bytes::zeros(7));
  EXPECT_FALSE(read_request_header(cut).ok());
}

TEST(Apis, TableIsSortedAndSane) {
  for (std::size_t i = 0; i < kApis.size(); ++i) {
    const ApiVersionRow& row = kApis[i];
    EXPECT_LE(row.announced_min, row.version_min);
    EXPECT_LE(row.version_min, row.version_max);
    EXPECT_EQ(find_api(static_cast<std::int16_t>(row.key)), &row);
    EXPECT_TRUE(i == 0 || kApis[i - 1].key < row.key);
  }
  EXPECT_EQ(find_api(-1), nullptr);
  EXPECT_EQ(find_api(32000), nullptr);
}

}  // namespace
}  // namespace millrace::wire
