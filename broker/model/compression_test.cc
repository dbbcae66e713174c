#include "broker/model/compression.h"

#include <gtest/gtest.h>

#include <array>
#include <charconv>
#include <string>

#include "broker/model/test_batches.h"

namespace millrace::model {
namespace {

constexpr std::array kCodecs = {Compression::kNone, Compression::kGzip, Compression::kSnappy,
                                Compression::kLz4, Compression::kZstd};
constexpr std::size_t kLimit = 16 << 20;

std::vector<std::uint8_t> from_hex(std::string_view text) {
  std::vector<std::uint8_t> bytes(text.size() / 2);
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    std::from_chars(text.data() + 2 * i, text.data() + 2 * i + 2, bytes[i], 16);
  }
  return bytes;
}

std::string random_plain(common::Random& random) {
  std::string plain;
  const std::uint64_t kind = random.below(4);
  const std::size_t size = random.below(kind == 0 ? 4 : 200'000);
  while (plain.size() < size)
    plain += kind == 1 ? random_text(random, 100) : std::string(1 + random.below(500), 'x');
  return plain;
}

TEST(Compression, RoundTripOfEveryCodecAndLevel) {
  common::Random random(3);
  for (int i = 0; i < 40; ++i) {
    const std::string plain = random_plain(random);
    for (const Compression codec : kCodecs) {
      std::optional<int> level;
      if (codec == Compression::kGzip) level = static_cast<int>(random.between(-1, 9));
      if (codec == Compression::kLz4) level = static_cast<int>(random.between(1, 17));
      if (codec == Compression::kZstd) level = static_cast<int>(random.between(-5, 12));
      if (level == 0) level.reset();
      const common::Bytes packed = compress(codec, common::as_bytes(plain), level);
      const auto unpacked = decompress(codec, packed, plain.size());
      ASSERT_TRUE(unpacked.ok()) << compression_name(codec) << ": " << unpacked.error().detail;
      EXPECT_EQ(unpacked->text(), plain) << compression_name(codec);
    }
  }
}

TEST(Compression, NeverMoreThanTheLimit) {
  const std::string zeros(8 << 20, '\0');
  for (const Compression codec : kCodecs) {
    const common::Bytes packed = compress(codec, common::as_bytes(zeros));
    for (const std::size_t limit :
         {std::size_t{0}, std::size_t{1}, std::size_t{65'536}, zeros.size() - 1}) {
      const auto unpacked = decompress(codec, packed, limit);
      ASSERT_FALSE(unpacked.ok()) << compression_name(codec) << " " << limit;
      EXPECT_EQ(unpacked.error().code, ErrorCode::kMessageTooLarge) << compression_name(codec);
    }
    EXPECT_TRUE(decompress(codec, packed, zeros.size()).ok()) << compression_name(codec);
  }
}

TEST(Compression, CutOffOrDamagedInputIsAnError) {
  common::Random random(4);
  const std::string plain = random_plain(random) + "end";
  for (const Compression codec :
       {Compression::kGzip, Compression::kSnappy, Compression::kLz4, Compression::kZstd}) {
    const common::Bytes packed = compress(codec, common::as_bytes(plain));
    for (int i = 0; i < 300; ++i) {
      const auto broken = damaged(packed, random);
      const auto unpacked = decompress(codec, broken, kLimit);
      if (unpacked.ok()) {
        EXPECT_LE(unpacked->size(), kLimit);
      }
    }
    for (std::size_t cut = 1; cut < std::min<std::size_t>(packed.size(), 200); ++cut) {
      EXPECT_FALSE(decompress(codec, packed.view().first(packed.size() - cut), kLimit).ok() &&
                   codec != Compression::kSnappy)
          << compression_name(codec) << " " << cut;
    }
    EXPECT_FALSE(decompress(codec, {}, kLimit).ok()) << compression_name(codec);
  }
}

TEST(Compression, SnappyWithoutFrames) {
  // "aaaaaaaaaa" in raw snappy: length 10, literal 'a', copy of 9 from distance 1.
  const std::vector<std::uint8_t> raw = {10, 0x00, 'a', 0x15, 0x01};
  const auto unpacked = decompress(Compression::kSnappy, raw, kLimit);
  ASSERT_TRUE(unpacked.ok()) << unpacked.error().detail;
  EXPECT_EQ(unpacked->text(), "aaaaaaaaaa");
  // A length of 4 GiB in front of nothing takes no memory.
  const std::vector<std::uint8_t> lie = {0xff, 0xff, 0xff, 0xff, 0x0f, 0x00, 'a'};
  EXPECT_EQ(decompress(Compression::kSnappy, lie, SIZE_MAX).error().code,
            ErrorCode::kCorruptMessage);
}

TEST(Compression, MembersAndFramesMayFollowOneAnother) {
  for (const Compression codec :
       {Compression::kGzip, Compression::kSnappy, Compression::kLz4, Compression::kZstd}) {
    const common::Bytes one = compress(codec, common::as_bytes("first,"));
    const common::Bytes two = compress(codec, common::as_bytes("second"));
    std::vector<std::uint8_t> both(one.view().begin(), one.view().end());
    both.insert(both.end(), two.view().begin(), two.view().end());
    const auto unpacked = decompress(codec, both, kLimit);
    ASSERT_TRUE(unpacked.ok()) << compression_name(codec) << unpacked.error().detail;
    EXPECT_EQ(unpacked->text(), "first,second") << compression_name(codec);
  }
}

TEST(Recompress, KeepsEverythingButTheCodec) {
  common::Random random(5);
  for (int i = 0; i < 30; ++i) {
    const std::vector<OwnedRecord> records = random_records(random);
    const Compression from = kCodecs[random.below(kCodecs.size())];
    const Compression to = kCodecs[random.below(kCodecs.size())];
    const common::Bytes bytes = batch_of(records, {.compression = from,
                                                   .producer_id = ProducerId{5},
                                                   .producer_epoch = 1,
                                                   .base_sequence = 77,
                                                   .transactional = true});
    const auto changed = recompress(BatchView::parse(bytes).value(), to, std::nullopt, kLimit);
    ASSERT_TRUE(changed.ok());
    const BatchView batch = BatchView::parse(*changed).value();
    EXPECT_TRUE(batch.crc_matches());
    EXPECT_EQ(batch.compression(), to);
    EXPECT_EQ(batch.base_sequence(), 77);
    EXPECT_TRUE(batch.transactional());
    const PlainRecords plain = plain_records(batch, kLimit).value();
    EXPECT_EQ(records_of(batch, plain.records).value(), records);
  }
}

/// Batches as the Java client 4.3.1 writes them: three records, with and without key, value and
/// headers.
const std::vector<std::pair<Compression, std::string_view>> kFromJava = {
    {Compression::kNone,
     "000000000000000000000089ffffffff02c57282b70000000000020000018bcfe568000000018bcfe568070000"
     "00000000004d000300000029000000038001000000046b315e76616c75652076616c75652076616c7565207661"
     "6c75652076616c75652076616c75652076616c75652076616c75650404683102780468320118000e02010c7365"
     "636f6e640010000604046b330100"},
    {Compression::kGzip,
     "000000000000000000000076ffffffff02f9a595600001000000020000018bcfe568000000018bcfe568070000"
     "00000000004d000300000029000000031f8b08000000000000ff6b6064606060c9368c2b4bcc294d55209a6461"
     "c93064aa60c930629460e06362e4294e4dcecf4b611060606361c936666400009994395c58000000"},
    {Compression::kSnappy,
     "00000000000000000000007affffffff02f94437fb0002000000020000018bcfe568000000018bcfe568070000"
     "00000000004d0003000000290000000382534e415050590000000001000000010000003558388001000000046b"
     "315e76616c756520a206007c0404683102780468320118000e02010c7365636f6e640010000604046b330100"},
    {Compression::kLz4,
     "000000000000000000000076ffffffff02f2d339350003000000020000018bcfe568000000018bcfe568070000"
     "00000000004d0003000000290000000304224d1860408236000000ff008001000000046b315e76616c75652006"
     "0016f0110404683102780468320118000e02010c7365636f6e640010000604046b33010000000000"},
    {Compression::kZstd,
     "000000000000000000000073ffffffff026a8886700004000000020000018bcfe568000000018bcfe568070000"
     "00000000004d0003000000290000000328b52ffd0058b40100f4028001000000046b315e76616c756520040468"
     "3102780468320118000e02010c7365636f6e640010000604046b330100010002953a010000"},
};

TEST(Recompress, ReadsWhatTheJavaClientWrites) {
  const std::vector<OwnedRecord> expected = {{1700000000000,
                                              "k1",
                                              "value value value value value value value value",
                                              {{"h1", "x"}, {"h2", std::nullopt}}},
                                             {1700000000007, std::nullopt, "second", {}},
                                             {1700000000003, "k3", std::nullopt, {}}};
  for (const auto& [codec, hex] : kFromJava) {
    const std::vector<std::uint8_t> bytes = from_hex(hex);
    const auto batch = BatchView::parse(bytes);
    ASSERT_TRUE(batch.ok()) << compression_name(codec);
    EXPECT_TRUE(batch->crc_matches());
    EXPECT_EQ(batch->compression(), codec);
    EXPECT_EQ(batch->producer_id(), ProducerId{77});
    EXPECT_EQ(batch->base_sequence(), 41);
    const auto plain = plain_records(*batch, kLimit);
    ASSERT_TRUE(plain.ok()) << compression_name(codec) << plain.error().detail;
    EXPECT_EQ(records_of(*batch, plain->records).value(), expected) << compression_name(codec);
    EXPECT_TRUE(survey_records(*batch, plain->records).ok());
  }
}

TEST(BatchBuilder, WritesTheBytesOfTheJavaClient) {
  const std::vector<OwnedRecord> records = {{1700000000000,
                                             "k1",
                                             "value value value value value value value value",
                                             {{"h1", "x"}, {"h2", std::nullopt}}},
                                            {1700000000007, std::nullopt, "second", {}},
                                            {1700000000003, "k3", std::nullopt, {}}};
  const common::Bytes bytes =
      batch_of(records, {.producer_id = ProducerId{77}, .producer_epoch = 3, .base_sequence = 41});
  const std::vector<std::uint8_t> java = from_hex(kFromJava.front().second);
  EXPECT_EQ(std::vector<std::uint8_t>(bytes.view().begin(), bytes.view().end()), java);
}

}  // namespace
}  // namespace millrace::model
