#include "common/bulk_copy.h"

#include <gtest/gtest.h>

#include <vector>

namespace millrace::common {
namespace {

// Every alignment of both ends, sizes around the limits of lines and of the way that is taken:
// exactly the bytes asked for are written.
TEST(BulkCopyTest, WritesTheBytesAndNoOthers) {
  constexpr std::uint8_t kUntouched = 0xee;
  constexpr std::size_t kMargin = 128;
  std::vector<std::uint8_t> source(40'000);
  for (std::size_t i = 0; i < source.size(); ++i)
    source[i] = static_cast<std::uint8_t>(i * 31 + i / 251);
  for (const std::size_t size :
       {0U, 1U, 63U, 64U, 65U, 8191U, 8192U, 8193U, 8255U, 8256U, 16'384U, 33'333U}) {
    for (std::size_t at = 0; at < 65; at += size < 100 ? 1 : 7) {
      const ByteView from(source.data() + at % 13, size);
      std::vector<std::uint8_t> target(size + 2 * kMargin, kUntouched);
      bulk_copy(target.data() + kMargin + at, from);
      const auto begin = target.begin() + static_cast<std::ptrdiff_t>(kMargin + at);
      EXPECT_TRUE(std::equal(from.begin(), from.end(), begin)) << size << " at " << at;
      EXPECT_TRUE(std::all_of(target.begin(), begin, [](auto b) { return b == kUntouched; }));
      EXPECT_TRUE(std::all_of(begin + static_cast<std::ptrdiff_t>(size), target.end(),
                              [](auto b) { return b == kUntouched; }));
    }
  }
}

}  // namespace
}  // namespace millrace::common
