// What a log does for a replica of a group: its state, the producers at its commit offset, a new
// begin, and what it says of an end that was not clean.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "broker/storage/segment.h"
#include "broker/storage/testing/store_machine.h"

namespace millrace::storage {
namespace {

using env::testing::Survival;
using model::ErrorCode;
using testing::key_of;
using testing::StoreMachine;

class ReplicaLogTest : public ::testing::Test {
 protected:
  ReplicaLogTest() { machine.start(); }

  Log& log() { return *machine.store().find(key_of(0)); }
  void append(std::int32_t count = 2, std::size_t value_bytes = 100) {
    append_of(model::kNoProducerId, count, value_bytes);
  }
  // One batch of a producer.
  void append_of(model::ProducerId producer, std::int32_t count = 2,
                 std::size_t value_bytes = 100) {
    const auto& terms = log().term_starts();
    const Bytes batch =
        testing::make_batch(machine.random, {.base = log().end_offset(),
                                             .count = count,
                                             .value_bytes = value_bytes,
                                             .term = terms.empty() ? Term{0} : terms.back().term,
                                             .producer = producer,
                                             .sequence = producer.value() < 0 ? -1 : 0});
    ASSERT_TRUE(
        machine.wait<void>([&](auto reply) { log().append(batch, std::move(reply)); }).ok());
  }
  void truncate(Offset to) {
    ASSERT_TRUE(machine.wait<void>([&](auto reply) { log().truncate(to, std::move(reply)); }).ok());
  }
  void put_state(std::string_view text) {
    ASSERT_TRUE(machine
                    .wait<void>([&](auto reply) {
                      log().put_state(Bytes::copy_of(text), std::move(reply));
                    })
                    .ok());
  }
  void reset(Offset at, std::optional<TermStart> first = std::nullopt,
             std::string_view producers = "") {
    ASSERT_TRUE(machine
                    .wait<void>([&](auto reply) {
                      log().reset(at, first, Bytes::copy_of(producers), std::move(reply));
                    })
                    .ok());
  }
  void restart() {
    machine.crash();
    machine.start();
  }
  // From the next checkpoint on the producers are known at this offset.
  void commit_at(Offset at) {
    log().on_checkpoint([at] { return ProducersAt{.bytes = Bytes::copy_of("state"), .at = at}; });
  }
  // Base offsets of what recovery hands over.
  static std::vector<Offset> bases(const Log::RecoveredProducers& recovered) {
    std::vector<Offset> found;
    for (const Bytes& bytes : recovered.batches_behind)
      found.push_back(model::BatchView::parse(bytes)->base_offset());
    return found;
  }
  std::string folder(std::string_view suffix = "") const {
    return "topics/orders." + key_of(0).topic.text() + "/0" + std::string(suffix);
  }
  bool exists(const std::string& path) {
    auto& loop = machine.world.make_loop();
    const auto disk = machine.hardware.mount(loop);
    const auto there = disk->exists(path);
    loop.stop();
    return there.ok() && *there;
  }

  StoreMachine machine{31};
};

TEST_F(ReplicaLogTest, StateIsReplacedAndKept) {
  machine.create(key_of(0));
  EXPECT_TRUE(log().state().empty());
  put_state("one");
  put_state("two");
  EXPECT_EQ(log().state().text(), "two");
  restart();
  EXPECT_EQ(log().state().text(), "two");
  append();
  ASSERT_TRUE(machine.checkpoint().ok());
  restart();
  EXPECT_EQ(machine.store().recovery().entries_replayed, 0U);
  EXPECT_EQ(log().state().text(), "two");
  put_state("");
  restart();
  EXPECT_TRUE(log().state().empty());
}

TEST_F(ReplicaLogTest, StateIsNoPartOfTheLog) {
  machine.create(key_of(0));
  append();
  put_state("kept");
  truncate(Offset{0});
  EXPECT_EQ(log().state().text(), "kept");
  reset(Offset{7});
  restart();
  EXPECT_EQ(log().state().text(), "kept");
  EXPECT_EQ(log().end_offset(), Offset{7});
}

TEST_F(ReplicaLogTest, ChangesOfOneTurnShareARoundAndAreAnsweredInOrder) {
  machine.create(key_of(0));
  append();
  const std::uint64_t rounds = machine.store().stats().journal_rounds;
  std::vector<int> order;
  const auto note = [&](int number) {
    return [&order, number](Result<void> done) {
      ASSERT_TRUE(done.ok());
      order.push_back(number);
    };
  };
  const Bytes batch = testing::make_batch(machine.random, {.base = Offset{1}, .term = Term{5}});
  log().put_state(Bytes::copy_of("term 5"), note(1));
  log().truncate(Offset{0}, note(2));
  log().reset(Offset{1}, TermStart{.term = Term{4}, .offset = Offset{1}}, {}, note(3));
  log().start_term({.term = Term{5}, .offset = Offset{1}}, note(4));
  log().append(batch, note(5));
  log().put_state(Bytes::copy_of("term 6"), note(6));
  ASSERT_TRUE(machine.world.run_until([&] { return order.size() == 6; }));
  EXPECT_EQ(order, (std::vector<int>{1, 2, 3, 4, 5, 6}));
  EXPECT_EQ(machine.store().stats().journal_rounds, rounds + 1);
}

// Goal: a reset empties the log, and the old files go. Method: a log of several segments, begun
// anew behind its end, with crashes before and after.
TEST_F(ReplicaLogTest, ResetBeginsAnew) {
  machine.create(key_of(0), {.segment_bytes = 5'000, .file_delete_delay_ms = 0});
  for (int i = 0; i < 40; ++i) append(2, 300);
  ASSERT_TRUE(machine.checkpoint().ok());
  ASSERT_TRUE(exists(folder() + "/" + segment_name(Offset{0})));
  const TermStart first{.term = Term{9}, .offset = Offset{900}};
  reset(Offset{1000}, first, "producers");
  const auto expect_empty = [&] {
    EXPECT_EQ(log().start_offset(), Offset{1000});
    EXPECT_EQ(log().end_offset(), Offset{1000});
    EXPECT_EQ(log().term_starts(), std::vector{first});
    EXPECT_EQ(log().size_bytes(), 0U);
    const auto read = machine.read(log(), Offset{10}, {.up_to = Offset{80}});
    ASSERT_FALSE(read.ok());
    EXPECT_EQ(read.error().code, ErrorCode::kOffsetOutOfRange);
  };
  expect_empty();
  restart();
  expect_empty();
  const auto recovered = log().take_recovered_producers();
  EXPECT_EQ(recovered.snapshot.text(), "producers");
  EXPECT_EQ(recovered.at, Offset{1000});
  EXPECT_TRUE(recovered.batches_behind.empty());
  machine.world.run_for(std::chrono::seconds(2));
  EXPECT_FALSE(exists(folder()));

  log().set_settings({.segment_bytes = 5'000});
  for (int i = 0; i < 40; ++i) append(2, 300);
  const auto all = machine.read_all(log(), Offset{1000}, Offset{1080});
  machine.stop();
  machine.start();
  EXPECT_EQ(log().start_offset(), Offset{1000});
  EXPECT_EQ(*machine.read_all(log(), Offset{1000}, Offset{1080}), *all);
}

TEST_F(ReplicaLogTest, ResetThatWasNotDurableLeavesTheOldLog) {
  machine.create(key_of(0), {.segment_bytes = 5'000, .file_delete_delay_ms = 0});
  for (int i = 0; i < 20; ++i) append(2, 300);
  put_state("old");
  const auto all = machine.read_all(log(), Offset{0}, Offset{40});
  log().reset(Offset{50}, std::nullopt, {}, [](Result<void>) {});
  log().put_state(Bytes::copy_of("new"), [](Result<void>) {});
  machine.crash(Survival::kNothing);
  machine.start();
  EXPECT_EQ(log().start_offset(), Offset{0});
  EXPECT_EQ(log().end_offset(), Offset{40});
  EXPECT_EQ(log().state().text(), "old");
  EXPECT_EQ(*machine.read_all(log(), Offset{0}, Offset{40}), *all);
}

// Goal: the new log uses the same names for its segments as the old one did, and nothing mixes.
// Method: reset to where a segment of the old log begins, again and again, with reads of old data
// under way.
TEST_F(ReplicaLogTest, ResetToAnOldPlaceMixesNothing) {
  machine.create(key_of(0), {.segment_bytes = 5'000, .file_delete_delay_ms = 0});
  for (int round = 0; round < 6; ++round) {
    for (int i = 0; i < 30; ++i) append(2, 300);
    ASSERT_TRUE(machine.checkpoint().ok());
    int answered = 0;
    for (std::int64_t from = 0; from < 60; from += 10) {
      log().read(Offset{from}, {.up_to = Offset{60}}, [&](Result<ReadResult> result) {
        ++answered;
        EXPECT_TRUE(result.ok() || result.error().code == ErrorCode::kOffsetOutOfRange);
      });
    }
    reset(Offset{0});
    EXPECT_EQ(log().end_offset(), Offset{0});
    ASSERT_TRUE(machine.world.run_until([&] { return answered == 6; }));
  }
  std::vector<std::uint8_t> appended;
  for (int i = 0; i < 30; ++i) {
    const Bytes batch = testing::make_batch(
        machine.random, {.base = log().end_offset(), .count = 2, .value_bytes = 300});
    appended.insert(appended.end(), batch.view().begin(), batch.view().end());
    log().append(batch, [](Result<void>) {});
  }
  ASSERT_TRUE(machine.checkpoint().ok());
  machine.world.run_for(std::chrono::seconds(2));
  machine.stop();
  machine.start();
  EXPECT_EQ(*machine.read_all(log(), Offset{0}, Offset{60}), appended);
  EXPECT_FALSE(log().damage().has_value());
}

TEST_F(ReplicaLogTest, ResetLeavesDamageBehind) {
  machine.create(key_of(0), {.segment_bytes = 5'000});
  for (int i = 0; i < 30; ++i) append(2, 300);
  machine.stop();
  machine.hardware.flip_bit(folder() + "/" + segment_name(Offset{0}), 700, 2);
  machine.start();
  ASSERT_FALSE(machine.read_all(log(), Offset{0}, Offset{60}).ok());
  ASSERT_TRUE(log().damage().has_value());
  reset(Offset{20});
  EXPECT_FALSE(log().damage().has_value());
  append(3);
  restart();
  EXPECT_EQ(log().end_offset(), Offset{23});
  EXPECT_TRUE(machine.read_all(log(), Offset{20}, Offset{23}).ok());
}

// Goal: a cut that damage prevents is known as damage, and takes nothing away. Method: rot in front
// of the place, which is looked for in the file.
TEST_F(ReplicaLogTest, DamageThatATruncationMeetsIsKnown) {
  machine.create(key_of(0), {.segment_bytes = 1 << 20});
  for (int i = 0; i < 30; ++i) append(2, 300);
  machine.stop();
  machine.hardware.flip_bit(folder() + "/" + segment_name(Offset{0}), 700, 2);
  machine.start();
  (void)log().take_recovered_producers();
  int told = 0;
  log().on_damage([&] { ++told; });
  const auto done =
      machine.wait<void>([&](auto reply) { log().truncate(Offset{40}, std::move(reply)); });
  ASSERT_FALSE(done.ok());
  EXPECT_EQ(done.error().code, ErrorCode::kCorruptLog);
  ASSERT_TRUE(log().damage().has_value());
  EXPECT_EQ(told, 1);
  EXPECT_EQ(log().end_offset(), Offset{60});
}

TEST_F(ReplicaLogTest, ResetWithTooManyProducersIsRefused) {
  machine.create(key_of(0));
  append();
  const Bytes producers = Bytes::zeros(testing::tiny_options().journal_file_bytes);
  const auto done = machine.wait<void>(
      [&](auto reply) { log().reset(Offset{9}, std::nullopt, producers, std::move(reply)); });
  ASSERT_FALSE(done.ok());
  EXPECT_EQ(done.error().code, ErrorCode::kRecordListTooLarge);
  EXPECT_EQ(log().end_offset(), Offset{2});
}

// Goal: what was not committed when the checkpoint was made is handed over, from the segments and
// from the journal, and no more than that is read. Method: damage in front of it goes unnoticed.
TEST_F(ReplicaLogTest, BatchesBehindTheCommitOffsetComeFromTheSegments) {
  machine.create(key_of(0), {.segment_bytes = 1 << 20});
  for (int i = 0; i < 30; ++i) append_of(model::ProducerId{i}, 2, 1000);
  commit_at(Offset{50});
  ASSERT_TRUE(machine.checkpoint().ok());
  append();
  append_of(model::ProducerId{99});
  machine.crash();
  machine.hardware.flip_bit(folder() + "/" + segment_name(Offset{0}), 3000, 2);
  machine.start();
  EXPECT_TRUE(machine.store().recovery().damages.empty());
  const auto recovered = log().take_recovered_producers();
  EXPECT_EQ(recovered.snapshot.text(), "state");
  EXPECT_EQ(recovered.at, Offset{50});
  EXPECT_EQ(bases(recovered),
            (std::vector{Offset{50}, Offset{52}, Offset{54}, Offset{56}, Offset{58}, Offset{62}}));
}

TEST_F(ReplicaLogTest, BatchesBehindTheCommitOffsetComeFromSealedSegmentsToo) {
  machine.create(key_of(0), {.segment_bytes = 5'000});
  for (int i = 0; i < 30; ++i) append_of(model::ProducerId{i % 3}, 2, 1000);
  commit_at(Offset{22});
  for (const bool clean : {true, false}) {
    if (clean) {
      machine.stop();
    } else {
      machine.crash();
    }
    machine.start();
    const auto recovered = log().take_recovered_producers();
    EXPECT_EQ(recovered.at, Offset{22});
    ASSERT_EQ(recovered.batches_behind.size(), 19U) << clean;
    EXPECT_EQ(bases(recovered).front(), Offset{22});
    EXPECT_EQ(bases(recovered).back(), Offset{58});
    commit_at(Offset{22});
    ASSERT_TRUE(machine.checkpoint().ok());
  }
}

// What the replica did not take yet is not lost by a checkpoint.
TEST_F(ReplicaLogTest, UntakenProducersOutliveCheckpoints) {
  machine.create(key_of(0));
  commit_at(Offset{0});
  append_of(model::ProducerId{1});
  ASSERT_TRUE(machine.checkpoint().ok());
  append_of(model::ProducerId{2});
  for (int i = 0; i < 2; ++i) {
    restart();
    ASSERT_TRUE(machine.checkpoint().ok());
  }
  const auto recovered = log().take_recovered_producers();
  EXPECT_EQ(recovered.snapshot.text(), "state");
  EXPECT_EQ(bases(recovered), (std::vector{Offset{0}, Offset{2}}));
}

// Goal: what lies between the producers' state in the checkpoint and a new start of the log goes,
// and what it says of producers stays. Method: a checkpoint at an early commit offset, a trim
// behind it, and a loss of power.
TEST_F(ReplicaLogTest, TrimmingBehindTheCheckpointKeepsTheProducers) {
  machine.create(key_of(0), {.segment_bytes = 1000, .file_delete_delay_ms = 0});
  for (int i = 0; i < 6; ++i) append_of(model::ProducerId{i});
  commit_at(Offset{2});
  ASSERT_TRUE(machine.checkpoint().ok());
  log().on_checkpoint(
      [] { return ProducersAt{.bytes = Bytes::copy_of("later"), .at = Offset{10}}; });
  const auto trim = [&](Offset to) {
    return machine.wait<void>([&](auto reply) { log().delete_before(to, std::move(reply)); });
  };
  ASSERT_TRUE(trim(Offset{8}).ok());
  append_of(model::ProducerId{9});
  restart();
  const auto recovered = log().take_recovered_producers();
  EXPECT_EQ(recovered.snapshot.text(), "later");
  EXPECT_EQ(recovered.at, Offset{10});
  EXPECT_EQ(bases(recovered), (std::vector{Offset{10}, Offset{12}}));
  log().on_checkpoint([] { return ProducersAt{.bytes = Bytes::copy_of("no"), .at = Offset{10}}; });
  ASSERT_TRUE(trim(Offset{9}).ok());
  restart();
  EXPECT_EQ(log().take_recovered_producers().snapshot.text(), "later") << "it knew enough";
}

TEST_F(ReplicaLogTest, TruncationTakesUncommittedBatchesAway) {
  machine.create(key_of(0));
  for (int i = 0; i < 10; ++i) append_of(model::ProducerId{i});
  commit_at(Offset{6});
  ASSERT_TRUE(machine.checkpoint().ok());
  truncate(Offset{12});
  append_of(model::ProducerId{50});
  append_of(model::ProducerId{51});
  truncate(Offset{14});
  restart();
  const auto recovered = log().take_recovered_producers();
  EXPECT_EQ(recovered.snapshot.text(), "state");
  EXPECT_EQ(recovered.at, Offset{6});
  ASSERT_EQ(bases(recovered), (std::vector{Offset{6}, Offset{8}, Offset{10}, Offset{12}}));
  EXPECT_EQ(model::BatchView::parse(recovered.batches_behind.back())->producer_id(),
            model::ProducerId{50});
}

// Goal: where even something committed was cut off, the stored state is not handed over. Method:
// cut in front of it; all batches that are left come instead.
TEST_F(ReplicaLogTest, ATruncationInFrontOfTheProducersVoidsThem) {
  machine.create(key_of(0), {.segment_bytes = 1000});
  for (int i = 0; i < 10; ++i) append_of(model::ProducerId{i});
  commit_at(Offset{16});
  ASSERT_TRUE(machine.checkpoint().ok());
  truncate(Offset{8});
  append_of(model::ProducerId{70});
  restart();
  const auto recovered = log().take_recovered_producers();
  EXPECT_TRUE(recovered.snapshot.empty());
  EXPECT_EQ(recovered.at, Offset{0});
  EXPECT_EQ(bases(recovered), (std::vector{Offset{0}, Offset{2}, Offset{4}, Offset{6}, Offset{8}}));
}

// The same where the state came with a new start of the log, and the batches are in the journal.
TEST_F(ReplicaLogTest, ATruncationInFrontOfProducersKeptByATrimVoidsThem) {
  machine.create(key_of(0));
  for (int i = 0; i < 10; ++i) append_of(model::ProducerId{i});
  commit_at(Offset{16});
  ASSERT_TRUE(
      machine.wait<void>([&](auto reply) { log().delete_before(Offset{2}, std::move(reply)); })
          .ok());
  truncate(Offset{8});
  append_of(model::ProducerId{70});
  restart();
  const auto recovered = log().take_recovered_producers();
  EXPECT_TRUE(recovered.snapshot.empty());
  EXPECT_EQ(recovered.at, Offset{2});
  EXPECT_EQ(bases(recovered), (std::vector{Offset{2}, Offset{4}, Offset{6}, Offset{8}}));
}

TEST_F(ReplicaLogTest, OfManyBatchesOnlyTheNewestReplaceVoidProducers) {
  machine.create(key_of(0), {.segment_bytes = 50'000});
  for (int i = 0; i < 150; ++i) append_of(model::ProducerId{i}, 2, 2000);
  commit_at(Offset{300});
  ASSERT_TRUE(machine.checkpoint().ok());
  truncate(Offset{298});
  restart();
  const auto recovered = log().take_recovered_producers();
  std::uint64_t bytes = 0;
  for (const Bytes& batch : recovered.batches_behind) bytes += batch.size();
  EXPECT_LE(bytes, testing::tiny_options().journal_bytes_max);
  EXPECT_GT(bytes, testing::tiny_options().journal_bytes_max / 2);
  EXPECT_EQ(bases(recovered).back(), Offset{296});
  EXPECT_EQ(bases(recovered).front(), recovered.at);
}

// Goal: damage behind what is committed is cut off, and the replica hears of it until it has noted
// that. Method: rot in the part of a segment that start-up reads; restarts at every stage.
TEST_F(ReplicaLogTest, DamageBehindTheCommitOffsetIsCutOff) {
  machine.create(key_of(0), {.segment_bytes = 1 << 20});
  for (int i = 0; i < 10; ++i) append_of(model::ProducerId{i}, 2, 1000);
  const std::uint64_t batch_bytes = log().size_bytes() / 10;
  commit_at(Offset{12});
  ASSERT_TRUE(machine.checkpoint().ok());
  append_of(model::ProducerId{77});
  machine.crash();
  machine.hardware.flip_bit(folder() + "/" + segment_name(Offset{0}), 8 * batch_bytes + 500, 2);
  for (int i = 0; i < 2; ++i) {
    machine.start();
    EXPECT_EQ(log().end_offset(), Offset{16});
    EXPECT_TRUE(log().lost_suffix());
    EXPECT_FALSE(log().damage().has_value());
    ASSERT_EQ(machine.store().recovery().damages.size(), 1U);
    EXPECT_THAT(machine.store().recovery().damages[0],
                ::testing::HasSubstr("is cut back from 22 to 16"));
    EXPECT_EQ(bases(log().take_recovered_producers()), (std::vector{Offset{12}, Offset{14}}));
    // At first nothing of that reaches the disk.
    if (i == 0) machine.crash(Survival::kNothing);
  }
  append_of(model::ProducerId{5});
  for (int i = 0; i < 2; ++i) {
    restart();
    EXPECT_TRUE(machine.store().recovery().damages.empty());
    EXPECT_EQ(log().end_offset(), Offset{18});
    EXPECT_TRUE(log().lost_suffix());
    (void)log().take_recovered_producers();
    ASSERT_TRUE(machine.checkpoint().ok());
  }
  put_state("unclean");
  EXPECT_FALSE(log().lost_suffix());
  restart();
  EXPECT_FALSE(log().lost_suffix());
  EXPECT_TRUE(machine.read_all(log(), Offset{0}, Offset{18}).ok());
}

TEST_F(ReplicaLogTest, AMissingSegmentBehindTheCommitOffsetIsCutOff) {
  machine.create(key_of(0), {.segment_bytes = 5'000});
  for (int i = 0; i < 10; ++i) append_of(model::ProducerId{i}, 2, 1000);
  commit_at(Offset{4});
  ASSERT_TRUE(machine.checkpoint().ok());
  machine.crash();
  machine.hardware.truncate(folder() + "/" + segment_name(Offset{8}), 0);
  machine.start();
  EXPECT_EQ(log().end_offset(), Offset{8});
  EXPECT_TRUE(log().lost_suffix());
  append();
  restart();
  EXPECT_EQ(log().end_offset(), Offset{10});
  EXPECT_TRUE(machine.read_all(log(), Offset{0}, Offset{10}).ok());
}

TEST_F(ReplicaLogTest, DamageInFrontOfTheCommitOffsetStays) {
  machine.create(key_of(0), {.segment_bytes = 5'000});
  for (int i = 0; i < 10; ++i) append_of(model::ProducerId{i}, 2, 1000);
  commit_at(Offset{6});
  ASSERT_TRUE(machine.checkpoint().ok());
  machine.crash();
  // Without its index, and with nothing to read of it, the segment has to be read from its front.
  machine.hardware.truncate(folder() + "/" + segment_name(Offset{4}), 100);
  machine.hardware.truncate(folder() + "/" + index_name(Offset{4}), 0);
  machine.start();
  EXPECT_FALSE(log().lost_suffix());
  EXPECT_EQ(log().end_offset(), Offset{20});
  ASSERT_TRUE(log().damage().has_value());
  ASSERT_EQ(machine.store().recovery().damages.size(), 1U);
  EXPECT_THAT(machine.store().recovery().damages[0], ::testing::HasSubstr("is not served"));
}

TEST_F(ReplicaLogTest, ACleanEndIsTold) {
  EXPECT_TRUE(machine.store().recovery().closed_cleanly) << "a new store";
  restart();
  EXPECT_FALSE(machine.store().recovery().closed_cleanly);
  machine.create(key_of(0));
  append();
  machine.stop();
  machine.start();
  EXPECT_TRUE(machine.store().recovery().closed_cleanly);
  EXPECT_EQ(machine.store().recovery().entries_replayed, 0U);
  // What a process has in memory is lost, even if it never wrote anything.
  restart();
  EXPECT_FALSE(machine.store().recovery().closed_cleanly);
  machine.stop();
  machine.start();
  EXPECT_TRUE(machine.store().recovery().closed_cleanly);
  machine.kill();
  machine.start();
  EXPECT_FALSE(machine.store().recovery().closed_cleanly);
}

TEST_F(ReplicaLogTest, RetentionStopsAtTheCommitOffset) {
  machine.create(key_of(0), {.segment_bytes = 1000, .retention_bytes = 0});
  for (int i = 0; i < 20; ++i) append(1, 500);
  Offset committed{5};
  log().on_retention([&committed] { return committed; });
  machine.store().apply_retention();
  EXPECT_LE(log().start_offset(), Offset{5});
  EXPECT_GT(log().start_offset(), Offset{0});
  committed = Offset{20};
  machine.store().apply_retention();
  EXPECT_GT(log().start_offset(), Offset{5});
}

}  // namespace
}  // namespace millrace::storage
