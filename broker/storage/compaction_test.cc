// Compaction of a store on the simulated disk, with a map as the model.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "broker/model/record.h"
#include "broker/storage/checkpoint_file.h"
#include "broker/storage/key_map.h"
#include "broker/storage/store.h"
#include "broker/storage/testing/keyed_records.h"
#include "broker/storage/testing/store_machine.h"
#include "common/crc32c.h"

namespace millrace::storage {
namespace {

using env::testing::Survival;
using model::ErrorCode;
using testing::check_compacted;
using testing::key_of;
using testing::KeyedRecord;
using testing::make_keyed_batch;
using testing::records_of;
using testing::state_of;
using testing::StoreMachine;

StoreOptions options_of(std::uint64_t map_bytes_max) {
  StoreOptions options = testing::tiny_options();
  options.compaction.map_bytes_max = map_bytes_max;
  options.compaction.step_bytes = 2048;
  options.compaction.check_interval_ms = 3'600'000;  // tests say when
  return options;
}

LogSettings compacted() {
  return {.segment_bytes = 8'000,
          .retention_ms = -1,
          .file_delete_delay_ms = 0,
          .delete_old = false,
          .compact = true,
          .min_cleanable_dirty_ratio = 0};
}

class CompactionTest : public ::testing::Test {
 protected:
  CompactionTest() { start(); }
  void start() {
    machine.start();
    if (machine.store().find(key_of(0)) == nullptr) machine.create(key_of(0), settings);
    log().set_settings(settings);
    (void)log().take_recovered_producers();
    log().on_compaction(
        [this] { return CompactionLimits{.up_to = std::min(up_to, log().durable_offset())}; });
  }
  void restart() {
    machine.stop();
    start();
  }
  Log& log() { return *machine.store().find(key_of(0)); }
  std::string folder() const { return "topics/orders." + key_of(0).topic.text() + "/0"; }

  void append(int batches, testing::KeyedSpec spec = {}) {
    for (int i = 0; i < batches; ++i) {
      spec.base = log().end_offset();
      spec.count = static_cast<std::int32_t>(machine.random.between(1, 4));
      spec.timestamp = common::Timestamp{1'000 + 10 * spec.base.value()};
      const Bytes batch = make_keyed_batch(machine.random, spec);
      for (KeyedRecord& record : records_of(batch)) appended.push_back(std::move(record));
      const auto done =
          machine.wait<void>([&](auto reply) { log().append(batch, std::move(reply)); });
      ASSERT_TRUE(done.ok()) << done.error().detail;
    }
  }
  CompactionStats stats() { return machine.store().stats().compaction; }
  void look() {
    ASSERT_TRUE(machine.checkpoint().ok());
    machine.store().compact();
  }
  /// Compacts what there is until nothing is due any more.
  void compact() {
    const std::uint64_t runs = stats().runs;
    look();
    ASSERT_TRUE(machine.world.run_until([&] { return stats().runs > runs; }));
    machine.world.run_for(std::chrono::seconds(5));
  }
  std::vector<std::uint8_t> content(Offset from) {
    const auto read = machine.read_all(log(), from, log().end_offset(), 3'000);
    CHECK(read.ok(), "{}", read.error().detail);
    return *read;
  }
  void expect_as_the_model() {
    const auto found = records_of(content(log().start_offset()));
    const auto wrong = check_compacted(
        appended, found,
        {.from = log().start_offset(), .to = log().end_offset(), .limit = log().end_offset()});
    EXPECT_EQ(wrong, std::nullopt);
    EXPECT_EQ(state_of(found, log().start_offset()), state_of(appended, log().start_offset()));
  }
  std::vector<std::string> files() {
    env::testing::SimLoop& loop = machine.world.make_loop();
    const auto disk = machine.hardware.mount(loop);
    std::vector<std::string> names;
    const auto entries = disk->list(folder());
    for (const auto& entry : *entries) names.push_back(entry.name);
    return names;
  }
  /// Files that compaction wrote: BASE.GENERATION.log.
  std::vector<std::string> compacted_files() {
    std::vector<std::string> names = files();
    std::erase_if(names, [](const std::string& name) {
      return !name.ends_with(".log") || std::ranges::count(name, '.') != 2;
    });
    return names;
  }

  LogSettings settings = compacted();
  Offset up_to{INT64_MAX};
  std::vector<KeyedRecord> appended;
  StoreMachine machine{5, options_of(1 << 16)};
};

TEST_F(CompactionTest, LeavesTheLastValueOfEachKey) {
  append(600, {.keys = 30, .value_bytes_max = 200});
  const std::uint64_t before = log().size_bytes();
  const auto active = content(log().end_offset() - 2);
  compact();
  EXPECT_LT(log().size_bytes(), before / 4);
  EXPECT_GT(stats().records_removed, 500U);
  expect_as_the_model();
  EXPECT_EQ(content(log().end_offset() - 2), active);
  restart();
  expect_as_the_model();
  // Again and again, on top of what was compacted before.
  for (int round = 0; round < 5; ++round) {
    append(200, {.keys = 40, .value_bytes_max = 200});
    compact();
    expect_as_the_model();
    machine.crash();
    start();
    expect_as_the_model();
  }
  EXPECT_THAT(
      machine.notices,
      ::testing::Contains(::testing::HasSubstr("event=compacted topic=orders partition=0 ")));
}

// Goal: a reader from any offset, also one that is not there any more, gets the records that
// remain, in order, and always gets on. Method: every offset, small and large reads, in memory and
// not.
TEST_F(CompactionTest, ReadersFindTheirWayOverTheGaps) {
  append(400, {.keys = 12, .value_bytes_max = 300});
  compact();
  for (const bool restarted : {false, true}) {
    if (restarted) restart();
    const auto all = records_of(content(Offset{0}));
    ASSERT_LT(all.size(), 300U);
    for (std::int64_t from = 0; from < log().end_offset().value(); ++from) {
      const auto one =
          machine.read(log(), Offset{from}, {.up_to = log().end_offset(), .bytes_max = 1});
      ASSERT_TRUE(one.ok()) << from << ": " << one.error().detail;
      ASSERT_GT(one->next_offset, Offset{from});
      if (from % 7 != 0) continue;
      auto rest = records_of(content(Offset{from}));
      std::erase_if(rest, [&](const KeyedRecord& record) { return record.offset < Offset{from}; });
      const auto first = std::ranges::find_if(
          all, [&](const KeyedRecord& record) { return record.offset >= Offset{from}; });
      ASSERT_EQ(rest, std::vector<KeyedRecord>(first, all.end())) << from;
    }
  }
}

// Goal: an answer has a record wherever one is left, for clients that do not get on otherwise.
// Method: small reads from each offset, of a log in which many batches stay without records.
TEST_F(CompactionTest, AnAnswerHasRecordsUnlessItReachesTheEnd) {
  for (int i = 0; i < 150; ++i)
    append(1, {.keys = 4, .value_bytes_max = 300, .producer = model::ProducerId{i}, .sequence = 0});
  log().on_compaction([this] {
    CompactionLimits limits{.up_to = log().durable_offset()};
    for (std::int64_t i = 0; i < limits.up_to.value(); ++i)
      limits.last_batches.push_back(Offset{i});
    return limits;
  });
  compact();
  for (const bool cold : {false, true}) {
    if (cold) restart();
    int without = 0;
    for (std::int64_t from = 0; from < log().end_offset().value(); ++from) {
      const auto read =
          machine.read(log(), Offset{from}, {.up_to = log().end_offset(), .bytes_max = 9'150});
      ASSERT_TRUE(read.ok()) << from << ": " << read.error().detail;
      std::size_t records = 0;
      for (const Bytes& piece : read->pieces) records += records_of(piece).size();
      if (records == 0) {
        ASSERT_EQ(read->next_offset, log().end_offset()) << from;
      }
      const auto first = model::BatchView::parse(read->pieces.front());
      ASSERT_TRUE(first.ok());
      without += first->record_count() == 0 ? 1 : 0;
    }
    EXPECT_GT(without, 100) << "too few to say anything";
  }
}

TEST_F(CompactionTest, FindsRecordsByTime) {
  append(400, {.keys = 12, .value_bytes_max = 100});
  compact();
  const auto all = records_of(content(Offset{0}));
  const auto find = [&](std::int64_t time) {
    auto found = machine.wait<std::optional<TimedOffset>>([&](auto reply) {
      log().find_time(common::Timestamp{time}, log().end_offset(), std::move(reply));
    });
    CHECK(found.ok(), "{}", found.error().detail);
    return *found;
  };
  for (std::int64_t time = 0; time < 15'000; time += 37) {
    const auto expected = std::ranges::find_if(all, [&](const KeyedRecord& record) {
      return record.timestamp >= common::Timestamp{time};
    });
    const auto found = find(time);
    ASSERT_EQ(found.has_value(), expected != all.end()) << time;
    if (found.has_value()) {
      ASSERT_EQ(found->offset, expected->offset) << time;
    }
  }
  auto newest = machine.wait<std::optional<TimedOffset>>(
      [&](auto reply) { log().find_max_time(log().end_offset(), std::move(reply)); });
  ASSERT_TRUE(newest.ok() && newest->has_value());
  const auto latest = std::ranges::max(all, {}, &KeyedRecord::timestamp);
  EXPECT_EQ((*newest)->timestamp, latest.timestamp);
}

TEST_F(CompactionTest, SmallSegmentsGoTogetherAndNoFileIsLeftOver) {
  append(500, {.keys = 5, .value_bytes_max = 200});
  const std::size_t before = files().size();
  ASSERT_GT(before, 10U);
  compact();
  EXPECT_EQ(compacted_files().size(), 1U);
  EXPECT_LE(files().size(), 4U);  // with its index, and the active segment
  machine.crash();
  start();
  machine.world.run_for(std::chrono::seconds(20));
  EXPECT_LE(files().size(), 4U);
  expect_as_the_model();
}

// Goal: memory is bounded, whatever the number of keys. Method: room for 40 of 300 keys.
TEST(CompactionPassesTest, TakesSeveralPassesIfTheKeysDoNotFit) {
  StoreMachine machine(6, options_of(40 * KeyMap::kBytesPerKey));
  machine.start();
  Log& log = machine.create(key_of(0), compacted());
  log.on_compaction([&log] { return CompactionLimits{.up_to = log.durable_offset()}; });
  std::vector<KeyedRecord> appended;
  for (int i = 0; i < 600; ++i) {
    const Bytes batch =
        make_keyed_batch(machine.random, {.base = log.end_offset(), .count = 3, .keys = 300});
    for (KeyedRecord& record : records_of(batch)) appended.push_back(std::move(record));
    ASSERT_TRUE(machine.wait<void>([&](auto reply) { log.append(batch, std::move(reply)); }).ok());
  }
  ASSERT_TRUE(machine.checkpoint().ok());
  std::uint64_t map_bytes_max = 0;
  machine.store().compact();
  ASSERT_TRUE(machine.world.run_until([&] {
    const CompactionStats stats = machine.store().stats().compaction;
    map_bytes_max = std::max(map_bytes_max, stats.map_bytes);
    return stats.runs >= 10;
  }));
  machine.world.run_for(std::chrono::seconds(10));
  EXPECT_LE(map_bytes_max, 41 * KeyMap::kBytesPerKey);
  const auto read = machine.read_all(log, Offset{0}, log.end_offset());
  ASSERT_TRUE(read.ok());
  const auto found = records_of(*read);
  EXPECT_EQ(check_compacted(appended, found,
                            {.from = Offset{0}, .to = log.end_offset(), .limit = log.end_offset()}),
            std::nullopt);
  EXPECT_EQ(state_of(found), state_of(appended));
  EXPECT_LT(found.size(), 500U);
}

TEST_F(CompactionTest, TombstonesStayForTheirRetention) {
  settings.delete_retention_ms = 60'000;
  restart();
  append(200, {.keys = 3, .tombstone_one_in = 0});
  // A key that is deleted for good.
  const Bytes gone = [&] {
    model::BatchBuilder builder({.base_offset = log().end_offset()});
    builder.append({.timestamp = common::Timestamp{5}, .key = common::as_bytes("gone")});
    return builder.build();
  }();
  for (KeyedRecord& record : records_of(gone)) appended.push_back(std::move(record));
  ASSERT_TRUE(machine.wait<void>([&](auto reply) { log().append(gone, std::move(reply)); }).ok());
  const auto has_gone = [&] {
    const auto records = records_of(content(Offset{0}));
    return std::ranges::any_of(records,
                               [](const KeyedRecord& record) { return record.key == "gone"; });
  };
  append(200, {.keys = 3, .tombstone_one_in = 0});
  compact();
  EXPECT_TRUE(has_gone());
  machine.world.run_for(std::chrono::seconds(30));
  append(200, {.keys = 3, .tombstone_one_in = 0});
  compact();
  EXPECT_TRUE(has_gone());
  machine.world.run_for(std::chrono::seconds(40));
  append(200, {.keys = 3, .tombstone_one_in = 0});
  compact();
  EXPECT_FALSE(has_gone());
  expect_as_the_model();
}

TEST_F(CompactionTest, OnlyWhatIsAllowedAndAskedForIsCompacted) {
  append(300);
  settings.compact = false;
  log().set_settings(settings);
  look();
  machine.world.run_for(std::chrono::seconds(5));
  EXPECT_EQ(stats().segments_replaced, 0U);
  settings.compact = true;
  log().set_settings(settings);
  up_to = Offset{400};
  compact();
  const auto found = records_of(content(Offset{0}));
  EXPECT_EQ(check_compacted(appended, found,
                            {.from = Offset{0}, .to = log().end_offset(), .limit = Offset{400}}),
            std::nullopt);
  EXPECT_LT(found.size(), appended.size());
  up_to = Offset{INT64_MAX};
  settings.min_compaction_lag_ms = 1'000'000'000'000'000;
  log().set_settings(settings);
  const std::uint64_t replaced = stats().segments_replaced;
  look();
  machine.world.run_for(std::chrono::seconds(5));
  EXPECT_EQ(stats().segments_replaced, replaced);
}

// Goal: a topic that nobody writes to any more is compacted in time too.
TEST_F(CompactionTest, TheLongestLagSealsTheActiveSegment) {
  settings.max_compaction_lag_ms = 10'000;
  settings.min_cleanable_dirty_ratio = 1;
  restart();
  append(20, {.keys = 2, .tombstone_one_in = 0, .value_bytes_max = 10});
  look();
  machine.world.run_for(std::chrono::seconds(5));
  EXPECT_EQ(stats().runs, 0U);
  machine.world.run_for(std::chrono::seconds(6));
  look();
  // The next checkpoint must find the segment complete.
  machine.world.run_for(std::chrono::seconds(1));
  compact();
  EXPECT_LE(records_of(content(Offset{0})).size(), 2U);
  // The last batch is there, so that a reader gets to the end.
  expect_as_the_model();
}

// What may come in between while a run is under way.
class InterruptedTest : public CompactionTest {
 protected:
  InterruptedTest() {
    append(500, {.keys = 50, .value_bytes_max = 200});
    look();
    CHECK(machine.world.run_until([&] { return stats().segments_replaced > 0; }));
  }
  void expect_given_up() {
    ASSERT_TRUE(machine.world.run_until([&] { return stats().runs_given_up > 0; }));
    machine.world.run_for(std::chrono::seconds(30));
  }
};

TEST_F(InterruptedTest, ByAnotherPolicy) {
  settings.compact = false;
  log().set_settings(settings);
  expect_given_up();
  expect_as_the_model();
  const std::size_t left = compacted_files().size();
  restart();
  EXPECT_EQ(compacted_files().size(), left);
  expect_as_the_model();
  settings.compact = true;
  log().set_settings(settings);
  compact();
  expect_as_the_model();
}

TEST_F(InterruptedTest, ByRemoval) {
  ASSERT_TRUE(
      machine.wait<void>([&](auto reply) { machine.store().remove(key_of(0), std::move(reply)); })
          .ok());
  machine.world.run_for(std::chrono::seconds(30));
  EXPECT_EQ(stats().runs_given_up, 1U);
  appended.clear();
  machine.crash();
  start();
  EXPECT_EQ(log().end_offset(), Offset{0});
}

TEST_F(InterruptedTest, ByRetention) {
  const Offset from = log().end_offset() - 20;
  ASSERT_TRUE(
      machine.wait<void>([&](auto reply) { log().delete_before(from, std::move(reply)); }).ok());
  expect_given_up();
  EXPECT_EQ(log().start_offset(), from);
  expect_as_the_model();
  EXPECT_FALSE(log().damage().has_value());
  machine.crash();
  start();
  machine.world.run_for(std::chrono::seconds(20));
  expect_as_the_model();
  append(300, {.keys = 50, .value_bytes_max = 200});
  compact();
  expect_as_the_model();
}

TEST_F(InterruptedTest, ByALossOfPowerLeavesNoFileBehind) {
  machine.crash(Survival::kEverything);
  start();
  machine.world.run_for(std::chrono::seconds(20));
  expect_as_the_model();
  compact();
  machine.world.run_for(std::chrono::seconds(20));
  expect_as_the_model();
  for (const std::string& name : compacted_files())
    EXPECT_FALSE(machine.hardware.content(folder() + "/" + name).empty());
  EXPECT_LE(compacted_files().size(), 4U);
}

TEST_F(InterruptedTest, ByAFullDiskGoesOnLater) {
  machine.hardware.set_capacity(machine.hardware.used());
  expect_given_up();
  EXPECT_FALSE(machine.fatal.has_value());
  machine.hardware.set_capacity(std::uint64_t{1} << 40);
  ASSERT_TRUE(machine.world.run_until([&] { return !machine.store().out_of_space(); }));
  compact();
  expect_as_the_model();
}

TEST_F(CompactionTest, DamageIsNamedAndNothingIsBuiltOnIt) {
  append(300);
  restart();
  machine.hardware.flip_bit(folder() + "/00000000000000000000.log", 3000, 2);
  look();
  machine.world.run_for(std::chrono::seconds(5));
  ASSERT_TRUE(log().damage().has_value());
  EXPECT_THAT(log().damage()->detail, ::testing::HasSubstr("00000000000000000000.log is damaged"));
  EXPECT_EQ(stats().segments_replaced, 0U);
  EXPECT_EQ(stats().runs_given_up, 1U);
  EXPECT_THAT(machine.notices,
              ::testing::Contains(::testing::HasSubstr("event=compaction-failed")));
}

// Goal: damage of what compaction wrote is found as well. Method: rot in its first batch's offset,
// which no checksum of the batch covers, makes it reach behind its segment.
TEST_F(CompactionTest, DamageOfACompactedSegmentIsNamed) {
  append(300, {.keys = 5});
  compact();
  ASSERT_EQ(compacted_files().size(), 1U);
  const std::string file = folder() + "/" + compacted_files().front();
  machine.stop();
  machine.hardware.flip_bit(file, 2, 3);
  start();
  const auto read = machine.read_all(log(), Offset{0}, log().end_offset());
  ASSERT_FALSE(read.ok());
  EXPECT_EQ(read.error().code, ErrorCode::kCorruptLog);
  EXPECT_THAT(read.error().detail, ::testing::HasSubstr(file + " is damaged"));
}

// Goal: nor is a new segment built on damage that each batch's own checksum passes. Method: the
// last batch of a compacted segment gets another base offset, in the gap in front of it.
TEST_F(CompactionTest, DamagedOffsetsAreNotCompactedAgain) {
  append(300, {.keys = 20});
  compact();
  ASSERT_EQ(compacted_files().size(), 1U);
  const std::string file = folder() + "/" + compacted_files().front();
  const std::vector<std::uint8_t> bytes = machine.hardware.content(file);
  std::uint64_t last = 0;
  unsigned bit = 0;
  Offset before{0};
  for (std::uint64_t at = 0; at < bytes.size();) {
    const auto batch = model::BatchView::parse(common::ByteView(bytes).subspan(at));
    ASSERT_TRUE(batch.ok());
    for (unsigned b = 0; b < 8; ++b) {
      const bool inside =
          (bytes[at + 7] >> b & 1) == 1 && batch->base_offset() - (1 << b) >= before;
      if (inside) std::tie(last, bit) = std::pair(at, b);
    }
    before = batch->next_offset();
    at += batch->size();
  }
  ASSERT_GT(last, 0U);
  machine.stop();
  machine.hardware.flip_bit(file, last + 7, bit);
  start();
  append(300, {.keys = 5});
  look();
  ASSERT_TRUE(machine.world.run_until([&] { return stats().runs_given_up > 0; }));
  ASSERT_TRUE(log().damage().has_value());
  EXPECT_THAT(log().damage()->detail, ::testing::HasSubstr(file + " is damaged"));
  EXPECT_EQ(stats().segments_replaced, 0U);
}

// Goal: compaction leaves the space that appends need, where the disk is nearly full.
TEST(CompactionSpaceTest, EndsBeforeTheDiskIsFull) {
  StoreOptions options = options_of(1 << 16);
  options.free_bytes_min = 32 << 10;
  StoreMachine machine(9, options);
  machine.start();
  Log& log = machine.create(key_of(0), compacted());
  log.on_compaction([&log] { return CompactionLimits{.up_to = log.durable_offset()}; });
  const auto append = [&] {
    const Bytes batch = make_keyed_batch(machine.random, {.base = log.end_offset(), .count = 3});
    return machine.wait<void>([&](auto reply) { log.append(batch, std::move(reply)); }).ok();
  };
  for (int i = 0; i < 300; ++i) ASSERT_TRUE(append());
  ASSERT_TRUE(machine.checkpoint().ok());
  machine.hardware.set_capacity(machine.hardware.used() + 3 * options.free_bytes_min / 2);
  machine.store().compact();
  ASSERT_TRUE(machine.world.run_until(
      [&] { return machine.store().stats().compaction.runs_given_up > 0; }));
  EXPECT_EQ(machine.store().stats().compaction.bytes_written, 0U);
  EXPECT_FALSE(machine.store().out_of_space());
  EXPECT_TRUE(append());
  machine.hardware.set_capacity(std::uint64_t{1} << 40);
  machine.world.run_for(std::chrono::minutes(2));
  machine.store().compact();
  EXPECT_TRUE(machine.world.run_until([&] { return machine.store().stats().compaction.runs > 0; }));
}

// Goal: a log that cannot be read does not keep the others from being compacted. Method: it is the
// most dirty one each time, and its first read fails.
TEST(CompactionTurnsTest, ALogWhoseRunFailedLetsOthersGoFirst) {
  StoreMachine machine(10, options_of(1 << 16));
  machine.start();
  std::vector<Log*> logs;
  for (const int partition : {0, 1}) {
    Log& log = machine.create(key_of(partition), compacted());
    logs.push_back(&log);
    log.on_compaction([&log] { return CompactionLimits{.up_to = log.durable_offset()}; });
    for (int i = 0; i < 200; ++i) {
      const Bytes batch = make_keyed_batch(machine.random, {.base = log.end_offset(), .count = 3});
      ASSERT_TRUE(
          machine.wait<void>([&](auto reply) { log.append(batch, std::move(reply)); }).ok());
    }
  }
  const std::uint64_t before = logs[1]->size_bytes();
  ASSERT_TRUE(machine.checkpoint().ok());
  machine.hardware.fail_next_read();
  const auto compaction = [&] { return machine.store().stats().compaction; };
  machine.store().compact();
  ASSERT_TRUE(machine.world.run_until([&] { return compaction().runs_given_up > 0; }));
  EXPECT_FALSE(machine.fatal.has_value());
  machine.store().compact();
  ASSERT_TRUE(machine.world.run_until([&] { return compaction().runs > 0; }));
  EXPECT_LT(logs[1]->size_bytes(), before) << "the other one";
  machine.world.run_for(std::chrono::minutes(2));
  machine.store().compact();
  EXPECT_TRUE(machine.world.run_until([&] { return compaction().runs > 1; }));
}

TEST(CompactionThrottleTest, KeepsToItsRate) {
  StoreOptions options = options_of(1 << 16);
  options.compaction.bytes_per_second_max = 10'000;
  StoreMachine machine(8, options);
  machine.start();
  Log& log = machine.create(key_of(0), compacted());
  log.on_compaction([&log] { return CompactionLimits{.up_to = log.durable_offset()}; });
  for (int i = 0; i < 300; ++i) {
    const Bytes batch = make_keyed_batch(
        machine.random, {.base = log.end_offset(), .count = 3, .value_bytes_max = 100});
    ASSERT_TRUE(machine.wait<void>([&](auto reply) { log.append(batch, std::move(reply)); }).ok());
  }
  ASSERT_TRUE(machine.checkpoint().ok());
  machine.store().compact();
  ASSERT_TRUE(machine.world.run_until([&] { return machine.store().stats().compaction.runs > 0; }));
  const CompactionStats stats = machine.store().stats().compaction;
  const double bytes = static_cast<double>(stats.bytes_read + stats.bytes_written);
  EXPECT_GT(stats.bytes_read, 50'000U);
  EXPECT_GE(stats.seconds, 0.9 * bytes / 10'000);
  EXPECT_LE(stats.seconds, 1.2 * bytes / 10'000);
}

// The checkpoint as it was before compaction came: version 1, no generations, no compacted_to.
TEST(CheckpointVersionTest, TheOneBeforeCompactionIsRead) {
  ByteWriter out;
  out.put(std::uint64_t{0x315450435f524c4dULL});
  out.put(std::uint32_t{1});
  out.put(std::uint32_t{0});   // shard
  out.put(std::uint64_t{99});  // salt
  for (const std::uint64_t place : {2, 8192, 17}) out.put(place);
  out.put(std::uint32_t{5});  // last log number
  out.put(std::uint32_t{0});  // removals
  out.put(std::uint32_t{1});  // logs
  out.put(std::uint32_t{5});
  out.key(key_of(3));
  out.text("orders");
  out.put(std::uint32_t{0});
  out.put(std::uint8_t{0});
  out.put(std::int64_t{4});   // start
  out.put(std::uint32_t{2});  // segments
  const auto segment = [&](std::int64_t base, std::int64_t end, std::uint8_t flags) {
    out.put(base);
    out.put(end);
    out.put(std::uint64_t{1000});
    out.put(std::int64_t{77});
    out.put(std::int64_t{78});
    out.put(std::uint32_t{0xabcd});
    out.put(flags);
  };
  segment(0, 10, 3);
  segment(10, 15, 2);
  out.put(std::uint32_t{1});  // term starts
  out.put(std::int32_t{6});
  out.put(std::int64_t{0});
  out.put(std::uint32_t{0});  // leftovers
  out.put(std::int64_t{15});
  out.text("producers");
  out.put(common::crc32c(out.view()));
  const auto checkpoint = read_checkpoint(out.view(), 0);
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.error().detail;
  ASSERT_EQ(checkpoint->logs.size(), 1U);
  const PartitionLog::Restored& state = checkpoint->logs[0].state;
  ASSERT_EQ(state.segments.size(), 2U);
  EXPECT_EQ(state.segments[0].end, Offset{10});
  EXPECT_TRUE(state.segments[0].finished);
  EXPECT_FALSE(state.segments[0].compacted());
  EXPECT_EQ(state.segments[1].checksum, 0xabcdU);
  EXPECT_EQ(state.producers.bytes.text(), "producers");
  EXPECT_EQ(state.compacted_to, Offset{0});
  // A version that cannot read the journal of compactions must not be able to read the checkpoint.
  EXPECT_FALSE(state.compactable);
}

}  // namespace
}  // namespace millrace::storage
