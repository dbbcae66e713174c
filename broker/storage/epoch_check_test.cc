// A batch's leader epoch is in no checksum: what rots there is found by the log's term starts.
#include "broker/storage/epoch_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "broker/storage/segment.h"
#include "broker/storage/testing/keyed_records.h"
#include "broker/storage/testing/store_machine.h"

namespace millrace::storage {
namespace {

using model::ErrorCode;
using ::testing::HasSubstr;
using testing::key_of;
using testing::make_batch;
using testing::StoreMachine;

/// Where the leader epoch lies in a batch.
constexpr std::uint64_t kEpochAt = 12;
constexpr std::uint64_t kEpochBytes = 4;

/// Whether a batch at this offset may be of this term.
bool passes(const std::vector<TermStart>& starts, std::int64_t base, std::int32_t epoch) {
  common::Random random(1);
  const Bytes bytes = make_batch(random, {.base = Offset{base}, .term = Term{epoch}});
  return EpochCheck(starts, Offset{base}).passes(*model::BatchView::parse(bytes));
}

TEST(EpochCheck, GoesByTheLastStartInFront) {
  const std::vector<TermStart> starts{{Term{3}, Offset{0}}, {Term{5}, Offset{10}}};
  EXPECT_TRUE(passes(starts, 0, 3));
  EXPECT_TRUE(passes(starts, 9, 3));
  EXPECT_FALSE(passes(starts, 9, 5));
  EXPECT_TRUE(passes(starts, 10, 5));
  EXPECT_FALSE(passes(starts, 10, 3));
  EXPECT_FALSE(passes(starts, 99, 4));
  EXPECT_FALSE(passes(starts, 99, 0));
}

TEST(EpochCheck, KnowsNothingInFrontOfTheFirstStart) {
  EXPECT_TRUE(passes({}, 7, 3));
  EXPECT_TRUE(passes({{Term{5}, Offset{10}}}, 9, 3));
}

// One bit lies between the two. Logs of versions that counted from 0 say so in their term starts.
TEST(EpochCheck, Term1IsNot0) {
  EXPECT_FALSE(passes({{Term{1}, Offset{0}}}, 4, 0));
  EXPECT_TRUE(passes({{Term{0}, Offset{0}}}, 4, 0));
  EXPECT_FALSE(passes({{Term{0}, Offset{0}}}, 4, 1));
}

TEST(EpochCheck, WalksOverManyTerms) {
  const std::vector<TermStart> starts{
      {Term{1}, Offset{0}}, {Term{2}, Offset{2}}, {Term{4}, Offset{3}}, {Term{9}, Offset{8}}};
  EpochCheck check(starts, Offset{1});
  common::Random random(1);
  for (const auto& [base, term] : {std::pair{1, 1}, {2, 2}, {8, 9}, {9, 9}}) {
    const Bytes bytes = make_batch(random, {.base = Offset{base}, .term = Term{term}});
    EXPECT_TRUE(check.passes(*model::BatchView::parse(bytes))) << base;
  }
}

class RottenEpochTest : public ::testing::Test {
 protected:
  RottenEpochTest() { machine.start(); }

  Log& log() { return *machine.store().find(key_of(0)); }
  std::string first_segment() const {
    return fmt::format("topics/orders.{}/0/{}", key_of(0).topic, segment_name(Offset{0}));
  }
  void begin_term(std::int32_t term) {
    const TermStart start{.term = Term{term}, .offset = log().end_offset()};
    ASSERT_TRUE(
        machine.wait<void>([&](auto reply) { log().start_term(start, std::move(reply)); }).ok());
  }
  void append(int batches) {
    for (int i = 0; i < batches; ++i) {
      const Bytes batch = make_batch(machine.random, {.base = log().end_offset(),
                                                      .count = 2,
                                                      .value_bytes = 300,
                                                      .term = log().term_starts().back().term,
                                                      .producer = model::ProducerId{i},
                                                      .sequence = 0});
      positions.push_back(log().size_bytes());
      ASSERT_TRUE(
          machine.wait<void>([&](auto reply) { log().append(batch, std::move(reply)); }).ok());
    }
  }
  /// Of terms 2 and 7, which is the newest in what is written.
  void make_log() {
    machine.create(key_of(0), {.segment_bytes = 1 << 20});
    begin_term(2);
    append(15);
    begin_term(7);
    append(15);
  }
  void rot(std::size_t batch, std::uint64_t byte) {
    machine.hardware.flip_bit(first_segment(), positions.at(batch) + kEpochAt + byte, 1);
  }

  StoreMachine machine{51};
  /// Where batches begin in the first segment.
  std::vector<std::uint64_t> positions;
};

// Goal: readers get no batch that says of itself what is not so, and the log knows that it is
// damaged. Method: each byte of the epoch, in both terms.
TEST_F(RottenEpochTest, IsNotServed) {
  make_log();
  for (const std::size_t batch : {3, 14, 15, 20}) {
    for (std::uint64_t byte = 0; byte < kEpochBytes; ++byte) {
      machine.stop();
      rot(batch, byte);
      machine.start();
      const auto read = machine.read_all(log(), Offset{0}, Offset{60});
      ASSERT_FALSE(read.ok()) << batch;
      EXPECT_EQ(read.error().code, ErrorCode::kCorruptLog);
      ASSERT_TRUE(log().damage().has_value());
      EXPECT_THAT(
          log().damage()->detail,
          HasSubstr(fmt::format("the batch at offset {} says that it is of term", 2 * batch)));
      machine.stop();
      rot(batch, byte);
      machine.start();
      ASSERT_TRUE(machine.read_all(log(), Offset{0}, Offset{60}).ok());
      EXPECT_FALSE(log().damage().has_value());
    }
  }
}

TEST_F(RottenEpochTest, IsMetByACut) {
  make_log();
  machine.stop();
  rot(10, 3);
  machine.start();
  (void)log().take_recovered_producers();
  const auto done =
      machine.wait<void>([&](auto reply) { log().truncate(Offset{50}, std::move(reply)); });
  ASSERT_FALSE(done.ok());
  EXPECT_TRUE(log().damage().has_value());
}

// Goal: what start-up reads is checked as well: behind what is committed it is cut off.
TEST_F(RottenEpochTest, IsCutOffBehindTheCommitOffset) {
  make_log();
  log().on_checkpoint(
      [] { return ProducersAt{.bytes = Bytes::copy_of("state"), .at = Offset{36}}; });
  ASSERT_TRUE(machine.checkpoint().ok());
  machine.crash();
  rot(20, 3);
  machine.start();
  EXPECT_EQ(log().end_offset(), Offset{40});
  EXPECT_TRUE(log().lost_suffix());
  EXPECT_FALSE(log().damage().has_value());
}

// Goal: terms that were trimmed away are missed by nobody. Method: the log begins inside a batch of
// its second term, then in front of a third one; all that is there can be read.
TEST_F(RottenEpochTest, ATrimmedLogIsWhole) {
  make_log();
  begin_term(8);
  append(5);
  for (const std::int64_t start : {37, 60}) {
    ASSERT_TRUE(
        machine
            .wait<void>([&](auto reply) { log().delete_before(Offset{start}, std::move(reply)); })
            .ok());
    machine.stop();
    machine.start();
    EXPECT_TRUE(machine.read_all(log(), Offset{start}, Offset{70}).ok());
  }
  machine.stop();
  rot(30, 2);
  machine.start();
  EXPECT_FALSE(machine.read_all(log(), Offset{60}, Offset{70}).ok());
}

// Goal: nothing is compacted out of a rotten batch, and what compaction wrote is checked too.
TEST_F(RottenEpochTest, IsNotCompacted) {
  machine.create(key_of(0));
  const auto prepare = [&] {
    log().set_settings({.segment_bytes = 4'000,
                        .retention_ms = -1,
                        .file_delete_delay_ms = 0,
                        .delete_old = false,
                        .compact = true,
                        .min_cleanable_dirty_ratio = 0});
    (void)log().take_recovered_producers();
    log().on_compaction([this] { return CompactionLimits{.up_to = log().durable_offset()}; });
  };
  prepare();
  for (const std::int32_t term : {2, 7}) {
    begin_term(term);
    for (int i = 0; i < 60; ++i) {
      const Bytes batch = testing::make_keyed_batch(
          machine.random, {.base = log().end_offset(), .count = 2, .keys = 10, .term = Term{term}});
      ASSERT_TRUE(
          machine.wait<void>([&](auto reply) { log().append(batch, std::move(reply)); }).ok());
    }
  }
  const auto restart = [&] {
    machine.stop();
    machine.start();
    prepare();
  };
  const auto look = [&] {
    ASSERT_TRUE(machine.checkpoint().ok());
    machine.store().compact();
    machine.world.run_for(std::chrono::seconds(5));
  };
  restart();
  machine.hardware.flip_bit(first_segment(), kEpochAt + 1, 1);
  look();
  ASSERT_TRUE(log().damage().has_value());
  EXPECT_EQ(machine.store().stats().compaction.segments_replaced, 0U);
  machine.hardware.flip_bit(first_segment(), kEpochAt + 1, 1);
  restart();
  look();
  ASSERT_GT(machine.store().stats().compaction.segments_replaced, 0U);
  restart();
  ASSERT_TRUE(machine.read_all(log(), Offset{0}, log().end_offset()).ok());
  const std::string compacted =
      fmt::format("topics/orders.{}/0/{}", key_of(0).topic, segment_name(Offset{0}, 1));
  restart();
  machine.hardware.flip_bit(compacted, kEpochAt + 3, 1);
  EXPECT_FALSE(machine.read_all(log(), Offset{0}, log().end_offset()).ok());
}

}  // namespace
}  // namespace millrace::storage
