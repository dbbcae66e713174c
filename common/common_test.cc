#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <type_traits>
#include <vector>

#include "common/bytes.h"
#include "common/clock.h"
#include "common/crc32c.h"
#include "common/endian.h"
#include "common/random.h"
#include "common/reply.h"
#include "common/result.h"
#include "common/uuid.h"
#include "common/varint.h"

namespace millrace::common {
namespace {

TEST(Crc32c, KnownAnswers) {
  // RFC 3720, B.4.
  EXPECT_EQ(crc32c(Bytes::zeros(32)), 0x8a9136aaU);
  EXPECT_EQ(crc32c(as_bytes("123456789")), 0xe3069283U);
  const Bytes whole = Bytes::copy_of("hello, world");
  EXPECT_EQ(crc32c(whole.slice(5, 7), crc32c(whole.slice(0, 5))), crc32c(whole));
}

// Walking over what a temporary Result holds must not outlive it: in C++20 a range-for keeps a
// value alive, but not what a reference into a temporary points at.
TEST(Result, ATemporaryGivesItsValueAway) {
  using Words = Result<std::vector<std::string>>;
  static_assert(std::is_same_v<decltype(std::declval<Words>().value()), std::vector<std::string>>);
  static_assert(std::is_same_v<decltype(*std::declval<Words>()), std::vector<std::string>>);
  static_assert(std::is_same_v<decltype(std::declval<Words>().error()), Error>);
  static_assert(std::is_same_v<decltype(std::declval<Result<void>>().error()), Error>);
  const auto read = [] { return Words(std::vector<std::string>{std::string(100, 'x')}); };
  std::size_t letters = 0;
  for (const std::string& word : *read()) letters += word.size();
  EXPECT_EQ(letters, 100u);
  Result<std::unique_ptr<int>> only_movable(std::make_unique<int>(7));
  EXPECT_EQ(*std::move(only_movable).value(), 7);
}

TEST(Varint, RoundTripAtEveryBoundary) {
  for (int shift = 0; shift < 64; ++shift) {
    for (const std::uint64_t value : {(1ULL << shift) - 1, 1ULL << shift, (1ULL << shift) + 1}) {
      std::uint8_t buffer[kVarintBytesMax];
      const std::size_t size = write_varint(buffer, value);
      EXPECT_EQ(size, varint_size(value));
      ByteView view{buffer, size};
      EXPECT_EQ(read_varint(view), value);
      EXPECT_TRUE(view.empty());
      EXPECT_EQ(unzigzag(zigzag(static_cast<std::int64_t>(value))),
                static_cast<std::int64_t>(value));
    }
  }
  ByteView cut{reinterpret_cast<const std::uint8_t*>("\xff\xff"), 2};
  EXPECT_EQ(read_varint(cut), std::nullopt);
}

TEST(Uuid, TextIsKafkasBase64) {
  // The identity of Kafka's metadata topic: a one in the last byte.
  Uuid metadata;
  metadata.bytes[15] = 1;
  EXPECT_EQ(metadata.text(), "AAAAAAAAAAAAAAAAAAAAAQ");
  EXPECT_EQ(Uuid::parse("AAAAAAAAAAAAAAAAAAAAAQ"), metadata);
  EXPECT_EQ(Uuid::parse("AAAAAAAAAAAAAAAAAAAAAR"), std::nullopt);
  EXPECT_EQ(Uuid::parse("AAAA"), std::nullopt);
  Random random(7);
  for (int i = 0; i < 1000; ++i) {
    const Uuid uuid = Uuid::random(random);
    EXPECT_EQ(Uuid::parse(uuid.text()), uuid);
    EXPECT_NE(uuid.text().front(), '-');
  }
}

TEST(Bytes, SlicesShareAndFreeTheirBlock) {
  const std::size_t before = live_block_bytes();
  {
    Bytes whole = Bytes::allocate(8192, kDiskAlignment);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(whole.data()) % kDiskAlignment, 0U);
    EXPECT_TRUE(whole.unique());
    Bytes part = whole.slice(100, 50);
    EXPECT_FALSE(whole.unique());
    whole = Bytes();
    EXPECT_EQ(part.block_size(), 8192U);
    EXPECT_EQ(live_block_bytes(), before + 8192);
  }
  EXPECT_EQ(live_block_bytes(), before);
}

TEST(ReplyDeathTest, MustBeAnsweredOnce) {
  int answer = 0;
  Reply<int> reply = [&, owned = std::make_unique<int>(1)](int value) { answer = value + *owned; };
  Reply<int> moved = std::move(reply);
  moved(41);
  EXPECT_EQ(answer, 42);
  EXPECT_DEATH({ Reply<int> dropped = [](int) {}; }, "dropped unanswered");
}

TEST(Random, SameSeedSameRun) {
  Random a(42);
  Random b(42);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(a.next(), b.next());
  for (int i = 0; i < 1000; ++i) {
    const std::int64_t drawn = a.between(-3, 3);
    EXPECT_GE(drawn, -3);
    EXPECT_LE(drawn, 3);
  }
}

}  // namespace
}  // namespace millrace::common
