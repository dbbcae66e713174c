#include "broker/storage/key_map.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <numeric>

#include "common/endian.h"

namespace millrace::storage {
namespace {

using model::Offset;

common::ByteView view(const std::string& text) {
  return common::as_bytes(text);
}

// The published test vectors: key 00 01 ... 0f, messages of 0 and of 1 byte (which is 00).
TEST(KeyMapTest, HashesAsSipHashDoes) {
  std::uint8_t key[16];
  std::iota(std::begin(key), std::end(key), std::uint8_t{0});
  const HashSecret secret{.first = common::load_little<std::uint64_t>(key),
                          .second = common::load_little<std::uint64_t>(key + 8)};
  const auto text = [&](common::ByteView message) {
    const KeyHash hash = hash_key(message, secret);
    std::uint8_t bytes[16];
    common::store_little(bytes, hash.high);
    common::store_little(bytes + 8, hash.low);
    return fmt::format("{:02x}", fmt::join(bytes, ""));
  };
  EXPECT_EQ(text({}), "a3817f04ba25a8e66df67214c7550293");
  const std::uint8_t zero[] = {0};
  EXPECT_EQ(text(zero), "da87c1d86b99af44347659119b22fc45");
}

TEST(KeyMapTest, KeepsTheLastOffsetOfEachKey) {
  KeyMap map({.bytes_max = 1 << 20, .keys_max = 1000}, {});
  for (std::int64_t offset = 0; offset < 5000; ++offset)
    ASSERT_TRUE(map.put(view(fmt::format("key {}", offset % 1000)), Offset{offset}));
  EXPECT_EQ(map.size(), 1000U);
  for (std::int64_t key = 0; key < 1000; ++key)
    EXPECT_EQ(map.find(view(fmt::format("key {}", key))), Offset{4000 + key});
  EXPECT_EQ(map.find(view("key")), std::nullopt);
  EXPECT_EQ(map.find(view("")), std::nullopt);
}

TEST(KeyMapTest, StaysWithinItsBytes) {
  constexpr std::uint64_t kBytes = 32 * 100;
  KeyMap map({.bytes_max = kBytes, .keys_max = 1'000'000}, {});
  std::int64_t count = 0;
  while (map.put(view(std::to_string(count)), Offset{count})) ++count;
  EXPECT_EQ(count, 100);
  EXPECT_LE(map.memory_bytes(), kBytes + 32);
  // What is there may still move on, and nothing was lost.
  EXPECT_TRUE(map.put(view("7"), Offset{1000}));
  EXPECT_EQ(map.find(view("7")), Offset{1000});
  EXPECT_EQ(map.find(view("99")), Offset{99});
  EXPECT_EQ(map.find(view("100")), std::nullopt);
}

TEST(KeyMapTest, HasRoomForOneKeyAtLeast) {
  KeyMap map({.bytes_max = 0, .keys_max = 10}, {});
  EXPECT_TRUE(map.put(view("a"), Offset{0}));
  EXPECT_FALSE(map.put(view("b"), Offset{1}));
}

}  // namespace
}  // namespace millrace::storage
