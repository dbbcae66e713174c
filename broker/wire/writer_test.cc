#include "broker/wire/writer.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>

#include "common/random.h"

namespace millrace::wire {
namespace {

TEST(Chunks, ReadAsOneByteString) {
  Chunks chunks(common::Bytes::copy_of("ab"));
  chunks.add(common::Bytes());
  chunks.add(common::Bytes::copy_of("cde"));
  EXPECT_EQ(chunks.size(), 5u);
  EXPECT_EQ(chunks.count(), 2u);
  EXPECT_EQ(chunks.joined().text(), "abcde");
  EXPECT_TRUE(chunks == Chunks(common::Bytes::copy_of("abcde")));
  EXPECT_FALSE(chunks == Chunks(common::Bytes::copy_of("abcdE")));
  EXPECT_TRUE(Chunks() == Chunks(common::Bytes()));
  const common::Bytes one = common::Bytes::copy_of("one");
  EXPECT_EQ(Chunks(one).joined().data(), one.data());
}

// Goal: pieces in any order and size give the bytes that were written. Method: against a plain
// string.
TEST(Writer, AnyMixOfSmallAndSharedPieces) {
  common::Random random(11);
  for (int round = 0; round < 200; ++round) {
    Writer out;
    std::string expected;
    for (std::uint64_t step = random.below(60); step > 0; --step) {
      const std::string text(random.below(random.chance(1, 5) ? 70'000 : 600),
                             static_cast<char>('a' + random.below(26)));
      if (random.chance(1, 2)) {
        out.raw(text.data(), text.size());
      } else {
        out.shared(common::Bytes::copy_of(text));
      }
      out.i16(static_cast<std::int16_t>(0x4142));
      expected += text + "AB";
      ASSERT_EQ(out.size(), expected.size());
    }
    EXPECT_EQ(out.take().joined().text(), expected);
    EXPECT_EQ(out.size(), 0u);
  }
}

TEST(Writer, MarksStayValidWhileItGrows) {
  Writer out;
  out.i8(1);
  const Writer::Mark mark = out.reserve_i32();
  for (int i = 0; i < 100'000; ++i) out.i32(i);
  out.fill_i32(mark, 0x01020304);
  const common::Bytes all = out.take().joined();
  EXPECT_EQ(common::load_big<std::int32_t>(all.data() + 1), 0x01020304);
  EXPECT_EQ(all.size(), 400'005u);
}

TEST(Writer, SmallByteFieldsAreCopiedAndLargeOnesShared) {
  Writer out;
  const common::Bytes small = common::Bytes::zeros(Writer::kCopiedBytesMax);
  const common::Bytes large = common::Bytes::zeros(Writer::kCopiedBytesMax + 1);
  out.bytes(small, true);
  out.bytes(large, true);
  out.i8(0);
  const Chunks all = out.take();
  bool shares_small = false;
  bool shares_large = false;
  for (std::size_t i = 0; i < all.count(); ++i) {
    shares_small |= all[i].data() == small.data();
    shares_large |= all[i].data() == large.data();
  }
  EXPECT_FALSE(shares_small);
  EXPECT_TRUE(shares_large);
}

TEST(Writer, NullWhereAVersionHasNoneIsWrittenAsEmpty) {
  Writer out;
  out.string(std::optional<std::string>(), false, false);
  out.string(std::optional<std::string>(), true, false);
  out.bytes(std::optional<Chunks>(), true, false);
  const common::Bytes all = out.take().joined();
  EXPECT_EQ(all.text(), std::string_view("\0\0\1\1", 4));
}

TEST(Writer, TaggedFieldsCarryTheirSize) {
  Writer out;
  out.tagged(300, [](auto& body) {
    body.i32(7);
    body.string("ab", true);
  });
  const common::Bytes all = out.take().joined();
  EXPECT_EQ(all.text(), std::string_view("\xac\x02\x07\0\0\0\x07\x03"
                                         "ab",
                                         10));
}

TEST(Writer, CounterCountsWhatAWriterWrites) {
  const auto write = [](auto& sink) {
    sink.f64(1.5);
    sink.uuid({});
    sink.varuint(1u << 28);
    sink.string("text", false);
    sink.bytes(common::Bytes::zeros(700), true);
    sink.null_length(true);
    sink.null_length(false);
  };
  Writer out;
  Counter counter;
  write(out);
  write(counter);
  EXPECT_EQ(out.size(), counter.size());
}

}  // namespace
}  // namespace millrace::wire
