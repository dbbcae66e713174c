#include "broker/wire/reader.h"

#include <gtest/gtest.h>

#include <limits>

#include "broker/wire/writer.h"

namespace millrace::wire {
namespace {

common::Bytes bytes_of(std::initializer_list<int> values) {
  common::Bytes bytes = common::Bytes::allocate(values.size());
  std::size_t at = 0;
  for (const int value : values) bytes.mutable_data()[at++] = static_cast<std::uint8_t>(value);
  return bytes;
}

TEST(Reader, FixedValuesAreBigEndian) {
  Reader in(bytes_of({0x80, 0x01, 0x02, 0xff, 0xfe, 0x00, 0x00, 0x00, 0x07, 0x02, 0x00}));
  EXPECT_EQ(in.i8("a"), -128);
  EXPECT_EQ(in.i16("b"), 0x0102);
  EXPECT_EQ(in.u16("c"), 0xfffe);
  EXPECT_EQ(in.i32("d"), 7);
  EXPECT_TRUE(in.boolean("e"));
  EXPECT_FALSE(in.boolean("f"));
  EXPECT_TRUE(in.good());
  EXPECT_EQ(in.remaining(), 0u);
}

// Goal: the text tells where decoding went wrong first, whatever is read after that.
TEST(Reader, TheFirstFailureSticks) {
  Reader in(bytes_of({1, 2, 3}));
  EXPECT_EQ(in.i32("first"), 0);
  EXPECT_EQ(in.i8("second"), 0);
  std::string text = "kept";
  in.string(text, false, "third");
  EXPECT_EQ(text, "kept");
  EXPECT_EQ(in.array({1, 1}, true, true, "fourth"), 0);
  EXPECT_FALSE(in.good());
  EXPECT_EQ(in.remaining(), 0u);
  EXPECT_EQ(in.error().detail, "first: the message ends inside of it");
}

TEST(Reader, VaruintTakesAtMost32Bits) {
  EXPECT_EQ(Reader(bytes_of({0xff, 0xff, 0xff, 0xff, 0x0f})).varuint("a"),
            std::numeric_limits<std::uint32_t>::max());
  for (const auto& bad :
       {bytes_of({0xff, 0xff, 0xff, 0xff, 0x1f}), bytes_of({0x80, 0x80, 0x80, 0x80, 0x80, 0x00})}) {
    Reader in(bad);
    in.varuint("a");
    ASSERT_FALSE(in.good());
    EXPECT_EQ(in.error().detail, "a: a varint of more than 32 bits");
  }
  Reader cut(bytes_of({0x80}));
  cut.varuint("a");
  EXPECT_FALSE(cut.good());
}

TEST(Reader, LengthsAreChecked) {
  struct Case {
    common::Bytes frame;
    bool compact;
    const char* reason;
  };
  const Case cases[] = {
      {bytes_of({0xff, 0xff}), false, "null where a value is required"},
      {bytes_of({0xff, 0xfe}), false, "a negative length"},
      {bytes_of({0x00, 0x02, 'x'}), false, "longer than the rest of the message"},
      {bytes_of({0x00}), true, "null where a value is required"},
      {bytes_of({0x03, 'x'}), true, "longer than the rest of the message"},
      {bytes_of({0x81, 0x80, 0x02}), true, "a string of more than 32767 bytes"},
  };
  for (const Case& c : cases) {
    Reader in(c.frame);
    std::string text;
    in.string(text, c.compact, "f");
    ASSERT_FALSE(in.good());
    EXPECT_EQ(in.error().detail, std::string("f: ") + c.reason);
  }
}

TEST(Reader, NullsOfEveryForm) {
  Reader in(
      bytes_of({0xff, 0xff, 0x00, 0xff, 0xff, 0xff, 0xff, 0x00, 0xff, 0xff, 0xff, 0xff, 0x00}));
  std::optional<std::string> text = "x";
  in.string(text, false, true, "a");
  EXPECT_EQ(text, std::nullopt);
  text = "x";
  in.string(text, true, true, "b");
  EXPECT_EQ(text, std::nullopt);
  std::optional<Chunks> chunks = Chunks();
  in.bytes(chunks, false, true, "c");
  EXPECT_EQ(chunks, std::nullopt);
  std::optional<common::Bytes> bytes = common::Bytes();
  in.bytes(bytes, true, true, "d");
  EXPECT_EQ(bytes, std::nullopt);
  EXPECT_EQ(in.array({1, 1}, false, true, "e"), -1);
  EXPECT_EQ(in.array({1, 1}, true, true, "f"), -1);
  EXPECT_TRUE(in.good());
}

TEST(Reader, StringsCountAgainstTheMemoryLimit) {
  Writer out;
  out.string(std::string(600, 'x'), true);
  out.string(std::string(600, 'y'), true);
  Reader in(out.take().joined(), ReadLimits{.decoded_bytes_max = 1000});
  std::string text;
  in.string(text, true, "first");
  EXPECT_TRUE(in.good());
  in.string(text, true, "second");
  ASSERT_FALSE(in.good());
  EXPECT_EQ(in.error().detail, "second: the message takes too much memory");
}

// Goal: inside of a tagged field nothing after it can be read.
TEST(Reader, AWindowHidesWhatFollows) {
  Reader in(bytes_of({1, 2, 3, 4, 5, 6}));
  const Reader::Window window = in.enter(2, "tag");
  EXPECT_EQ(in.remaining(), 2u);
  EXPECT_EQ(in.i16("a"), 0x0102);
  in.leave(window, "tag");
  EXPECT_EQ(in.remaining(), 4u);
  const Reader::Window narrow = in.enter(3, "tag");
  EXPECT_EQ(in.i32("b"), 0);
  in.leave(narrow, "tag");
  EXPECT_EQ(in.error().detail, "b: the message ends inside of it");
  Reader other(bytes_of({1, 2}));
  other.leave(other.enter(3, "tag"), "tag");
  EXPECT_EQ(other.error().detail, "tag: a tagged field longer than the rest of the message");
}

TEST(Reader, AnEmptyFrameHasNothing) {
  Reader in{common::Bytes()};
  EXPECT_EQ(in.remaining(), 0u);
  in.i8("a");
  EXPECT_FALSE(in.good());
}

}  // namespace
}  // namespace millrace::wire
