// What log dump says of good, unfinished and damaged segments.
#include "cli/log_dump.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "broker/model/record.h"
#include "common/endian.h"

namespace millrace::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

class LogDump : public ::testing::Test {
 protected:
  void add(model::BatchOptions options, int records) {
    options.base_offset = model::Offset{next_};
    next_ += records;
    model::BatchBuilder builder(options);
    const model::HeaderView header{"source", common::as_bytes("shop")};
    for (int i = 0; i < records; ++i) {
      builder.append(
          {.timestamp = common::Timestamp{1'700'000'000'000 + i},
           .key = i == 0 ? std::optional(common::as_bytes("k")) : std::nullopt,
           .value = i == 1 ? std::nullopt : std::optional(common::as_bytes("v")),
           .headers = i == 0 ? std::span(&header, 1) : std::span<const model::HeaderView>()});
    }
    const common::Bytes batch = builder.build();
    file_.insert(file_.end(), batch.view().begin(), batch.view().end());
  }
  DumpSummary dump(const DumpOptions& options = {}) {
    lines_.clear();
    return dump_segment(file_, options,
                        [this](std::string_view line) { lines_.emplace_back(line); });
  }

  std::vector<std::uint8_t> file_;
  std::vector<std::string> lines_;
  std::int64_t next_ = 5;
};

TEST_F(LogDump, OneLinePerBatch) {
  add({.leader_epoch = model::Term{2}}, 3);
  add({.compression = model::Compression::kZstd,
       .producer_id = model::ProducerId{9},
       .producer_epoch = 1,
       .base_sequence = 4},
      2);
  const DumpSummary summary = dump();
  EXPECT_EQ(summary.batches, 2u);
  EXPECT_EQ(summary.records, 5u);
  EXPECT_THAT(summary.damage, IsEmpty());
  ASSERT_EQ(lines_.size(), 2u);
  EXPECT_THAT(lines_[0], StartsWith("position=0 offsets=5..7 records=3 bytes="));
  EXPECT_THAT(lines_[0],
              HasSubstr("codec=uncompressed "
                        "time=2023-11-14T22:13:20.000Z..2023-11-14T22:13:20.002Z epoch=2 crc=ok"));
  EXPECT_THAT(lines_[1], HasSubstr("offsets=8..9"));
  EXPECT_THAT(lines_[1], HasSubstr("codec=zstd"));
  EXPECT_THAT(lines_[1], HasSubstr("producer=9 producer_epoch=1 sequences=4..5"));
}

// What compaction writes: a batch with the horizon of its tombstones, and one without records.
TEST_F(LogDump, CompactedBatches) {
  add({}, 2);
  add({.compression = model::Compression::kZstd}, 3);
  const auto first = model::BatchView::parse(file_);
  model::BatchHeader header = model::header_of(*first);
  header.attributes |= 0x40;
  const std::size_t second_at = first->size();
  model::seal_batch({file_.data(), second_at}, header);
  header = model::header_of(*model::BatchView::parse(common::ByteView(file_).subspan(second_at)));
  header.attributes = 0;
  header.record_count = 0;
  header.base_offset = model::Offset{20};
  header.base_timestamp = header.max_timestamp = common::Timestamp{-1};
  file_.resize(second_at + model::kBatchHeaderBytes);
  model::seal_batch({file_.data() + second_at, model::kBatchHeaderBytes}, header);
  const DumpSummary summary = dump({.records = true});
  EXPECT_THAT(summary.damage, IsEmpty());
  EXPECT_EQ(summary.batches, 2u);
  ASSERT_EQ(lines_.size(), 4u);
  EXPECT_THAT(lines_[0], HasSubstr(" delete_horizon=2023-11-14T22:13:20.000Z"));
  EXPECT_THAT(lines_[3], HasSubstr("offsets=20..22 records=0 bytes=61"));
  EXPECT_THAT(lines_[3], HasSubstr("time=-..-"));
}

TEST_F(LogDump, RecordsAndJson) {
  add({.compression = model::Compression::kLz4}, 2);
  dump({.records = true});
  EXPECT_THAT(
      lines_,
      ElementsAre(StartsWith("position=0"),
                  "  offset=5 time=2023-11-14T22:13:20.000Z key=k value=v header=source:shop",
                  "  offset=6 time=2023-11-14T22:13:20.001Z key=(null) value=(null)"));
  dump({.records = true, .json = true});
  ASSERT_EQ(lines_.size(), 1u);
  const auto row = nlohmann::json::parse(lines_[0]);
  EXPECT_EQ(row["base_offset"], 5);
  EXPECT_EQ(row["codec"], "lz4");
  EXPECT_EQ(row["crc_ok"], true);
  EXPECT_EQ(row["records"][0]["headers"][0]["value"], "shop");
  EXPECT_TRUE(row["records"][1]["value"].is_null());
}

TEST_F(LogDump, ZerosAtTheEndAreSpaceNotDamage) {
  add({}, 1);
  file_.resize(file_.size() + 4096);
  const DumpSummary summary = dump();
  EXPECT_EQ(summary.batches, 1u);
  EXPECT_EQ(summary.unwritten_bytes, 4096u);
  EXPECT_THAT(summary.damage, IsEmpty());
  file_.clear();
  EXPECT_THAT(dump().damage, IsEmpty());
}

TEST_F(LogDump, DamageIsNamedWithItsPlace) {
  add({}, 1);
  const std::size_t second = file_.size();
  add({}, 1);
  add({}, 1);
  file_[second + 70] ^= 1;
  DumpSummary summary = dump({.records = true});
  EXPECT_EQ(summary.batches, 3u) << "the walk goes on";
  EXPECT_THAT(summary.damage, HasSubstr(std::to_string(second) + ": the checksum"));
  EXPECT_THAT(lines_[2], HasSubstr("crc=wrong"));
  file_[second + 16] = 9;  // magic
  summary = dump();
  EXPECT_EQ(summary.batches, 1u);
  EXPECT_THAT(summary.damage, StartsWith("at position " + std::to_string(second)));
}

// Goal: an offset from the end of the numbers is damage. Method: a batch whose last offset would
// overflow.
TEST_F(LogDump, AnOffsetThatNoLogHasIsDamage) {
  add({}, 2);
  common::store_big(file_.data(), INT64_MAX);
  const DumpSummary summary = dump({.records = true});
  EXPECT_EQ(summary.batches, 0u);
  EXPECT_THAT(summary.damage, HasSubstr("no log has an offset 9223372036854775807"));
}

// Goal: no file ends the process. Method: every length of a good file, and every byte of it
// inverted.
TEST_F(LogDump, AnyBytesAreFine) {
  add({.compression = model::Compression::kSnappy}, 3);
  const std::vector<std::uint8_t> good = file_;
  for (std::size_t i = 0; i < good.size(); ++i) {
    file_.assign(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(i));
    dump({.records = true});
    file_ = good;
    file_[i] ^= 0xff;
    dump({.records = true, .json = true});
  }
}

}  // namespace
}  // namespace millrace::cli
