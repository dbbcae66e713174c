// Tables, sizes and times as people read them.
#include "cli/table.h"

#include <gtest/gtest.h>

namespace millrace::cli {
namespace {

TEST(Table, ColumnsAreAsWideAsTheirWidestCell) {
  Table table({"NAME", "BYTES", "NOTE"});
  table.add({"a", "1", ""});
  table.add({"a-long-name", "12345678", "last columns are not padded"});
  EXPECT_EQ(table.text(),
            "NAME         BYTES     NOTE\n"
            "a            1         \n"
            "a-long-name  12345678  last columns are not padded\n");
  EXPECT_EQ(Table({"ALONE"}).text(), "ALONE\n");
}

TEST(HumanBytes, UseTheUnitThatFits) {
  EXPECT_EQ(human_bytes(0), "0 B");
  EXPECT_EQ(human_bytes(1023), "1023 B");
  EXPECT_EQ(human_bytes(1536), "1.5 KiB");
  EXPECT_EQ(human_bytes(64 << 20), "64.0 MiB");
  EXPECT_EQ(human_bytes(INT64_MAX), "8388608.0 TiB");
}

// Goal: whatever time a producer stamped can be shown. Method: the ends of what fits.
TEST(HumanTime, AnyTimestamp) {
  EXPECT_EQ(human_time(-1), "-");
  EXPECT_EQ(human_time(0), "1970-01-01T00:00:00.000Z");
  EXPECT_EQ(human_time(1'700'000'000'042), "2023-11-14T22:13:20.042Z");
  EXPECT_EQ(human_time(253'402'300'799'999), "9999-12-31T23:59:59.999Z");
  EXPECT_EQ(human_time(253'402'300'800'000), "253402300800000 ms");
  EXPECT_EQ(human_time(INT64_MAX), "9223372036854775807 ms");
}

}  // namespace
}  // namespace millrace::cli
