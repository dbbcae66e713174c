// The store end to end on the simulated disk: what it keeps over crashes, kills and clean stops,
// and how it reads.
#include "broker/storage/store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "broker/storage/segment.h"
#include "broker/storage/testing/store_machine.h"

namespace millrace::storage {
namespace {

using env::testing::Survival;
using model::ErrorCode;
using testing::key_of;
using testing::make_batch;
using testing::StoreMachine;

// Goal: an acknowledged append survives the worst loss of power. Method: append, crash with nothing
// unsynced, reopen.
TEST(StoreTest, KeepsWhatWasAcknowledged) {
  StoreMachine machine(1);
  machine.start();
  Log& log = machine.create(key_of(0));
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(machine.append(log, 3).ok());
  EXPECT_EQ(log.durable_offset(), Offset{30});
  const auto before = machine.read_all(log, Offset{0}, Offset{30});
  ASSERT_TRUE(before.ok());
  machine.crash(Survival::kNothing);
  machine.start();
  Log* again = machine.store().find(key_of(0));
  ASSERT_NE(again, nullptr);
  EXPECT_EQ(again->topic_name(), "orders");
  EXPECT_EQ(again->end_offset(), Offset{30});
  EXPECT_EQ(again->durable_offset(), Offset{30});
  EXPECT_EQ(*machine.read_all(*again, Offset{0}, Offset{30}), *before);
}

// Goal: data that left memory comes back from the segments the same. Method: many times the cache,
// small segments.
TEST(StoreTest, ReadsFromDiskWhatLeftMemory) {
  StoreMachine machine(2);
  machine.start();
  Log& log = machine.create(key_of(0), {.segment_bytes = 50'000});
  std::vector<std::uint8_t> model;
  for (int i = 0; i < 400; ++i) {
    const Bytes batch = make_batch(
        machine.random, {.base = log.end_offset(),
                         .count = static_cast<std::int32_t>(machine.random.between(1, 5)),
                         .value_bytes = machine.random.below(3000)});
    model.insert(model.end(), batch.view().begin(), batch.view().end());
    ASSERT_TRUE(machine.wait<void>([&](auto reply) { log.append(batch, std::move(reply)); }).ok());
  }
  ASSERT_GT(machine.store().stats().segment_bytes_written, 500'000U);
  for (const std::size_t bytes_max : {std::size_t{1}, std::size_t{5000}, std::size_t{1} << 20}) {
    const auto read = machine.read_all(log, Offset{0}, log.end_offset(), bytes_max);
    ASSERT_TRUE(read.ok()) << read.error().detail;
    EXPECT_EQ(*read, model);
  }
  EXPECT_GT(machine.store().stats().checkpoints, 0U);
  machine.crash();
  machine.start();
  Log& again = *machine.store().find(key_of(0));
  EXPECT_EQ(*machine.read_all(again, Offset{0}, again.end_offset()), model);
  machine.stop();
  machine.start();
  EXPECT_EQ(machine.store().recovery().entries_replayed, 0U);
  Log& third = *machine.store().find(key_of(0));
  EXPECT_EQ(*machine.read_all(third, Offset{0}, third.end_offset()), model);
}

// A machine with one log of `batches` batches, all written behind and out of memory.
class OldDataTest : public ::testing::Test {
 protected:
  void fill(int batches, const LogSettings& settings = {.segment_bytes = 20'000}) {
    machine.start();
    Log& log = machine.create(key_of(0), settings);
    for (int i = 0; i < batches; ++i) ASSERT_TRUE(machine.append(log, 2, 500).ok());
    machine.stop();
    machine.start();
  }
  Log& log() { return *machine.store().find(key_of(0)); }
  std::string folder() const { return "topics/orders." + key_of(0).topic.text() + "/0/"; }
  StoreMachine machine{7};
};

// Goal: rotten bits are never served. Method: flip one bit of a sealed and of the active segment
// and read everything.
TEST_F(OldDataTest, BitRotIsNamedAndNotServed) {
  fill(60);
  const Offset end = log().end_offset();
  machine.stop();
  machine.hardware.flip_bit(folder() + "00000000000000000000.log", 5000, 3);
  machine.start();
  const auto all = machine.read_all(log(), Offset{0}, end);
  ASSERT_FALSE(all.ok());
  EXPECT_EQ(all.error().code, ErrorCode::kCorruptLog);
  EXPECT_THAT(all.error().detail,
              ::testing::HasSubstr("00000000000000000000.log is damaged at byte"));
  ASSERT_TRUE(log().damage().has_value());
  // What lies in other segments is served still, and what comes is taken.
  EXPECT_TRUE(machine.read(log(), end - 2, {.up_to = end}).ok());
  EXPECT_TRUE(machine.append(log(), 1).ok());
}

TEST_F(OldDataTest, MissingShortAndZeroedSegmentsAreDamage) {
  fill(60);
  const Offset end = log().end_offset();
  const std::string segment = folder() + "00000000000000000000.log";
  const auto original = machine.hardware.content(segment);
  const auto expect_damage = [&](std::string_view words) {
    machine.start();
    const auto all = machine.read_all(log(), Offset{0}, end);
    ASSERT_FALSE(all.ok()) << words;
    EXPECT_EQ(all.error().code, ErrorCode::kCorruptLog);
    EXPECT_THAT(all.error().detail, ::testing::HasSubstr(std::string(words)));
    machine.stop();
  };
  machine.stop();
  machine.hardware.truncate(segment, 5000);
  expect_damage("ends at byte 5000");
  machine.hardware.truncate(segment, original.size());
  expect_damage("is damaged at byte");
  machine.hardware.overwrite(segment, 0, original);
  machine.hardware.zero(segment, 8192, 4096);
  expect_damage("is damaged at byte");
}

// Goal: a batch whose rotten size reaches beyond what was written behind is damage, where the
// segment has room for it because more is in memory (seed 157687765). Method: make the last one on
// disk larger, append in front of the reader, and read.
TEST_F(OldDataTest, RottenSizeBeyondWhatIsWrittenIsDamage) {
  constexpr std::uint64_t kThirdByteOfSize = 10;
  constexpr int k2048 = 3;  // of that byte
  fill(3);
  const Offset last = log().end_offset() - 2;
  const auto in_front = machine.read_all(log(), Offset{0}, last);
  ASSERT_TRUE(in_front.ok());
  machine.stop();
  machine.hardware.flip_bit(folder() + "00000000000000000000.log",
                            in_front->size() + kThirdByteOfSize, k2048);
  machine.start();
  ASSERT_TRUE(machine.append(log(), 2, 2000).ok());
  const auto read = machine.read(log(), last, {.up_to = log().end_offset()});
  ASSERT_FALSE(read.ok());
  EXPECT_EQ(read.error().code, ErrorCode::kCorruptLog);
  EXPECT_THAT(read.error().detail, ::testing::HasSubstr("is damaged at byte"));
  EXPECT_TRUE(log().damage().has_value());
}

// Goal: large batches are written behind from where they lie, small ones and shared blocks by copy,
// and the segments hold exactly what was appended: also what a crash left only in the journal.
TEST(StoreTest, LargeBatchesReachTheirSegmentsWithoutACopy) {
  StoreMachine machine(21);
  machine.start();
  const LogSettings settings{.segment_bytes = 200'000};
  Log* log = &machine.create(key_of(0), settings);
  std::vector<std::uint8_t> appended;
  std::vector<Offset> segments{Offset{0}};
  std::size_t segment_begin = 0;
  for (int i = 0; i < 60; ++i) {
    const std::size_t value = i % 5 == 4 ? 100 : 13'000 + static_cast<std::size_t>(i) * 37;
    const Bytes batch =
        make_batch(machine.random, {.base = log->end_offset(), .count = 1, .value_bytes = value});
    ASSERT_TRUE(machine.wait<void>([&](auto reply) { log->append(batch, std::move(reply)); }).ok());
    if (appended.size() + batch.size() - segment_begin > 200'000) {
      segments.push_back(log->end_offset() - 1);
      segment_begin = appended.size();
    }
    appended.insert(appended.end(), batch.view().begin(), batch.view().end());
    if (i == 20 || i == 41) {
      machine.crash();
      machine.start();
      log = machine.store().find(key_of(0));
      log->set_settings(settings);
    }
  }
  const auto all = machine.read_all(*log, Offset{0}, log->end_offset());
  ASSERT_TRUE(all.ok()) << all.error().detail;
  EXPECT_EQ(*all, appended);
  ASSERT_TRUE(machine.checkpoint().ok());
  const StoreStats stats = machine.store().stats();
  EXPECT_GT(stats.segment_bytes_written, 150'000U);
  EXPECT_LT(stats.segment_bytes_copied, stats.segment_bytes_written / 2);
  machine.stop();
  std::vector<std::uint8_t> on_disk;
  const std::string folder = "topics/orders." + key_of(0).topic.text() + "/0/";
  for (const Offset base : segments) {
    const auto content = machine.hardware.content(folder + segment_name(base));
    on_disk.insert(on_disk.end(), content.begin(), content.end());
  }
  on_disk.resize(std::min(on_disk.size(), appended.size()));
  EXPECT_EQ(on_disk, appended);
}

TEST_F(OldDataTest, ReadsFromAnyOffsetWithoutItsIndexFile) {
  fill(100);
  const Offset end = log().end_offset();
  for (const bool without : {false, true}) {
    if (without) {
      machine.stop();
      machine.hardware.overwrite(folder() + "00000000000000000000.idx", 50,
                                 std::vector<std::uint8_t>(8, 0x55));
      machine.start();
    }
    for (std::int64_t from = 0; from < end.value(); from += 7) {
      const auto result = machine.read(log(), Offset{from}, {.up_to = end, .bytes_max = 1});
      ASSERT_TRUE(result.ok()) << result.error().detail;
      ASSERT_EQ(result->pieces.size(), 1U);
      const auto batch = model::BatchView::parse(result->pieces[0]);
      ASSERT_TRUE(batch.ok());
      EXPECT_LE(batch->base_offset(), Offset{from});
      EXPECT_GT(batch->next_offset(), Offset{from});
    }
  }
}

TEST_F(OldDataTest, FindsRecordsByTime) {
  machine.start();
  Log& fresh = machine.create(key_of(0), {.segment_bytes = 20'000});
  for (int i = 0; i < 80; ++i) {
    const Bytes batch = make_batch(machine.random, {.base = fresh.end_offset(),
                                                    .count = 3,
                                                    .value_bytes = 300,
                                                    .timestamp = common::Timestamp{1000 + 10 * i}});
    ASSERT_TRUE(
        machine.wait<void>([&](auto reply) { fresh.append(batch, std::move(reply)); }).ok());
  }
  const auto find = [&](std::int64_t time, Offset up_to) {
    auto found = machine.wait<std::optional<TimedOffset>>(
        [&](auto reply) { log().find_time(common::Timestamp{time}, up_to, std::move(reply)); });
    CHECK(found.ok(), "{}", found.error().detail);
    return *found;
  };
  const auto newest = [&](Offset up_to) {
    auto found = machine.wait<std::optional<TimedOffset>>(
        [&](auto reply) { log().find_max_time(up_to, std::move(reply)); });
    CHECK(found.ok(), "{}", found.error().detail);
    return *found;
  };
  for (const bool restarted : {false, true}) {
    if (restarted) {
      machine.stop();
      machine.start();
    }
    const Offset end = log().end_offset();
    EXPECT_EQ(find(0, end)->offset, Offset{0});
    EXPECT_EQ(find(1411, end)->offset, Offset{3 * 41 + 1});
    EXPECT_EQ(find(1411, end)->timestamp, common::Timestamp{1411});
    EXPECT_EQ(find(1413, end)->offset, Offset{3 * 42});
    EXPECT_EQ(find(1793, end), std::nullopt);
    EXPECT_EQ(find(1411, Offset{3 * 41 + 1}), std::nullopt);
    EXPECT_EQ(newest(end)->offset, Offset{3 * 79 + 2});
    EXPECT_EQ(newest(Offset{3 * 41 + 1})->offset, Offset{3 * 41});
    EXPECT_EQ(newest(Offset{0}), std::nullopt);
  }
}

TEST_F(OldDataTest, RetentionBySizeRemovesWholeSegmentsAndTheirFiles) {
  fill(100);
  LogSettings settings{.segment_bytes = 20'000,
                       .retention_bytes = 45'000,
                       .retention_ms = -1,
                       .file_delete_delay_ms = 1000};
  log().set_settings(settings);
  machine.store().apply_retention();
  EXPECT_GT(log().start_offset(), Offset{0});
  machine.world.run_for(std::chrono::seconds(20));
  EXPECT_GE(log().size_bytes(), 45'000U);
  EXPECT_LE(log().size_bytes(), 65'000U);
  EXPECT_EQ(machine.read(log(), Offset{0}, {.up_to = log().end_offset()}).error().code,
            ErrorCode::kOffsetOutOfRange);
  EXPECT_TRUE(machine.read_all(log(), log().start_offset(), log().end_offset()).ok());
}

TEST_F(OldDataTest, RetentionByTimeTakesTheActiveSegmentToo) {
  fill(30);
  log().set_settings({.segment_bytes = 20'000, .retention_ms = 60'000});
  machine.store().apply_retention();
  machine.world.run_for(std::chrono::seconds(1));
  EXPECT_EQ(log().start_offset(), log().end_offset());  // its records are from 1970
  EXPECT_EQ(log().size_bytes(), 0U);
  ASSERT_TRUE(machine.append(log(), 1).ok());
  machine.crash();
  machine.start();
  EXPECT_EQ(log().end_offset() - log().start_offset(), 1);
}

TEST_F(OldDataTest, RetentionWaitsForTheSettings) {
  fill(30);
  machine.store().apply_retention();
  EXPECT_EQ(log().start_offset(), Offset{0});
}

TEST_F(OldDataTest, QuarantineSetsTheFilesAside) {
  fill(30);
  ASSERT_TRUE(machine.append(log(), 5).ok());
  ASSERT_TRUE(
      machine
          .wait<void>([&](auto reply) { machine.store().quarantine(key_of(0), std::move(reply)); })
          .ok());
  EXPECT_EQ(machine.store().find(key_of(0)), nullptr);
  machine.crash();
  machine.start();
  EXPECT_EQ(machine.store().find(key_of(0)), nullptr);
  const std::string flat =
      "quarantine/topics~orders." + key_of(0).topic.text() + "~0.0/00000000000000000000.log";
  EXPECT_FALSE(machine.hardware.content(flat).empty());
}

// Goal: what recovery finds of producers is what was checkpointed and what came behind it.
TEST(StoreTest, ProducersComeFromTheCheckpointAndTheJournal) {
  StoreMachine machine(9);
  machine.start();
  Log& log = machine.create(key_of(0));
  log.on_checkpoint(
      [&log] { return ProducersAt{.bytes = Bytes::copy_of("state"), .at = log.end_offset()}; });
  ASSERT_TRUE(machine.append(log, 4).ok());
  ASSERT_TRUE(machine.checkpoint().ok());
  const Bytes batch = make_batch(
      machine.random,
      {.base = log.end_offset(), .count = 2, .producer = model::ProducerId{77}, .sequence = 5});
  ASSERT_TRUE(machine.wait<void>([&](auto reply) { log.append(batch, std::move(reply)); }).ok());
  machine.crash();
  machine.start();
  Log& again = *machine.store().find(key_of(0));
  const auto found = again.take_recovered_producers();
  EXPECT_EQ(found.snapshot.text(), "state");
  EXPECT_EQ(found.at, Offset{4});
  ASSERT_EQ(found.batches_behind.size(), 1U);
  EXPECT_EQ(model::BatchView::parse(found.batches_behind[0])->producer_id(), model::ProducerId{77});
  EXPECT_EQ(model::BatchView::parse(found.batches_behind[0])->base_offset(), Offset{4});
}

// Goal: a full disk refuses appends before it changes anything, keeps what was acknowledged, and
// heals by itself.
TEST(StoreTest, FullDiskRefusesAndHeals) {
  StoreOptions options = testing::tiny_options();
  options.free_bytes_min = 64 << 10;
  StoreMachine machine(11, options);
  machine.start();
  Log& log = machine.create(key_of(0), {.segment_bytes = 30'000});
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(machine.append(log, 2, 1000).ok());
  machine.hardware.set_capacity(machine.hardware.used() + (32 << 10));
  std::optional<ErrorCode> refused;
  for (int i = 0; i < 2000 && !refused.has_value(); ++i) {
    const Offset before = log.end_offset();
    const auto appended = machine.append(log, 2, 1000);
    if (appended.ok()) continue;
    refused = appended.error().code;
    EXPECT_EQ(log.end_offset(), before);
  }
  EXPECT_EQ(refused, ErrorCode::kNoSpace);
  EXPECT_TRUE(machine.store().out_of_space());
  const Offset end = log.end_offset();
  EXPECT_TRUE(machine.read_all(log, Offset{0}, end).ok());
  machine.hardware.set_capacity(std::uint64_t{1} << 40);
  ASSERT_TRUE(machine.world.run_until([&] { return !machine.store().out_of_space(); }));
  EXPECT_TRUE(machine.append(log, 2).ok());
  EXPECT_FALSE(machine.fatal.has_value());
  machine.crash();
  machine.start();
  EXPECT_EQ(machine.store().find(key_of(0))->end_offset(), end + 2);
}

// Goal: the journal damaged in its middle is not taken for its end.
TEST(StoreTest, DamageInTheMiddleOfTheJournalIsNamed) {
  StoreMachine machine(13);
  machine.start();
  Log& log = machine.create(key_of(0));
  for (int i = 0; i < 6; ++i) ASSERT_TRUE(machine.append(log, 1).ok());
  machine.crash(Survival::kNothing);
  machine.hardware.flip_bit("journal/0/000001.wal", 2 * 4096 + 100, 1);
  const auto started = machine.try_start();
  ASSERT_FALSE(started.ok());
  EXPECT_EQ(started.error().code, ErrorCode::kCorruptLog);
  EXPECT_THAT(started.error().detail, ::testing::HasSubstr("journal/0/000001.wal"));
}

TEST(StoreTest, LostCheckpointIsNotAFreshStart) {
  StoreMachine machine(14);
  machine.start();
  ASSERT_TRUE(machine.append(machine.create(key_of(0)), 1).ok());
  machine.crash(Survival::kNothing);
  machine.hardware.flip_bit("journal/0/checkpoint", 20, 1);
  const auto started = machine.try_start();
  ASSERT_FALSE(started.ok());
  EXPECT_EQ(started.error().code, ErrorCode::kCorruptLog);
}

// Goal: no round waits for the metadata of space that was never written, once a spare file is
// there. Method: wait until nothing is under way, write more than the front of the first file
// takes, and see where it went; power is lost, and all is there.
TEST(StoreTest, RoundsGoWhereTheDiskWasWrittenBefore) {
  StoreMachine machine(15);
  machine.start();
  Log& log = machine.create(key_of(0));
  const std::string spare = "journal/0/000002.wal";
  const std::size_t last = 15 * std::size_t{4096};  // block of the files, which have 16
  machine.world.run_for(std::chrono::seconds(1));
  ASSERT_NE(machine.hardware.content(spare)[last], 0);
  ASSERT_EQ(machine.hardware.content("journal/0/000001.wal")[last], 0);
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(machine.append(log, 1).ok());
  const auto first = machine.hardware.content("journal/0/000001.wal");
  EXPECT_NE(first[0], 0);
  EXPECT_TRUE(std::all_of(first.begin() + 4096, first.end(), [](auto byte) { return byte == 0; }));
  EXPECT_NE(machine.hardware.content(spare)[0], 0);
  machine.crash(Survival::kNothing);
  machine.start();
  EXPECT_EQ(machine.store().find(key_of(0))->end_offset(), Offset{4});
}

// Goal: giving back much space at once keeps the disk from all else for long. Method: remove a log
// of large segments; from one event to the next little space comes free.
TEST(StoreTest, RemovedFilesGiveBackTheirSpaceInSteps) {
  StoreMachine machine(16);
  machine.start();
  Log& log = machine.create(key_of(0), {.segment_bytes = 100'000, .file_delete_delay_ms = 60'000});
  while (log.end_offset() < Offset{500}) ASSERT_TRUE(machine.append(log, 1, 1000).ok());
  ASSERT_TRUE(machine.checkpoint().ok());
  ASSERT_TRUE(
      machine.wait<void>([&](auto reply) { machine.store().remove(key_of(0), std::move(reply)); })
          .ok());
  ASSERT_TRUE(machine.checkpoint().ok());
  const std::uint64_t begin = machine.hardware.used();
  std::uint64_t most = 0;
  for (std::uint64_t used = begin; begin - used < 480'000;) {
    ASSERT_TRUE(machine.world.step());
    const std::uint64_t now = machine.hardware.used();
    if (now < used) most = std::max(most, used - now);
    used = now;
  }
  EXPECT_LE(most, 3 * testing::tiny_options().removal_step_bytes);
}

// Goal: however much is to be removed, the considerate pace ends after a while: else what retention
// removes could come back more slowly than it is written. Method: a log of twice as many steps as
// that while has.
TEST(StoreTest, RemovalsThatAreBehindTakeNoPauses) {
  StoreMachine machine(17);
  machine.start();
  Log& log = machine.create(key_of(0), {.segment_bytes = 1 << 20, .file_delete_delay_ms = 0});
  const std::uint64_t steps = 2500;  // of 4 ms at least
  const std::uint64_t bytes = steps * testing::tiny_options().removal_step_bytes;
  while (log.size_bytes() < bytes) ASSERT_TRUE(machine.append(log, 1, 10'000).ok());
  ASSERT_TRUE(machine.checkpoint().ok());
  const std::uint64_t begin = machine.hardware.used();
  ASSERT_TRUE(
      machine.wait<void>([&](auto reply) { machine.store().remove(key_of(0), std::move(reply)); })
          .ok());
  ASSERT_TRUE(machine.checkpoint().ok());
  machine.world.run_for(std::chrono::seconds(7));
  EXPECT_LT(machine.hardware.used(), begin - bytes * 9 / 10);
}

}  // namespace
}  // namespace millrace::storage
