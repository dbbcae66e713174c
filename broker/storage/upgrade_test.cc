// Stores of older versions open, with all they held. The older bytes are written here as the pages
// of those versions said, not by the code that is tested.
#include <gtest/gtest.h>

#include "broker/storage/checkpoint_file.h"
#include "broker/storage/testing/store_machine.h"
#include "common/crc32c.h"

namespace millrace::storage {
namespace {

using testing::key_of;
using testing::StoreMachine;

constexpr const char* kCheckpointPath = "journal/0/checkpoint";

void put_segment(ByteWriter& out, const Segment& segment, std::uint32_t version) {
  out.put(segment.base.value());
  out.put(segment.end.value());
  out.put(segment.size);
  out.put(segment.max_timestamp.value());
  out.put(segment.created.value());
  out.put(segment.checksum);
  out.put(static_cast<std::uint8_t>((segment.finished ? 1 : 0) | (segment.checksum_known ? 2 : 0)));
  if (version >= 2) out.put(segment.generation);
}

void put_log(ByteWriter& out, const CheckpointLog& log, std::uint32_t version) {
  out.put(log.number.value());
  out.key(log.key);
  out.text(log.topic);
  out.put(log.folder_suffix.value());
  out.put(static_cast<std::uint8_t>(log.state.state));
  out.put(log.state.start.value());
  out.put(static_cast<std::uint32_t>(log.state.segments.size()));
  for (const Segment& segment : log.state.segments) put_segment(out, segment, version);
  out.put(static_cast<std::uint32_t>(log.state.terms.size()));
  for (const TermStart& start : log.state.terms) {
    out.put(start.term.value());
    out.put(start.offset.value());
  }
  out.put(std::uint32_t{0});  // leftovers
  out.put(log.state.producers.at.value());
  out.sized(log.state.producers.bytes);
  if (version < 2) return;
  out.put(log.state.compacted_to.value());
  out.put(log.state.last_generation);
}

// What this version would have written in place of that one.
Bytes as_version(const Checkpoint& now, std::uint32_t version) {
  ByteWriter out;
  out.put(std::uint64_t{0x315450435f524c4dULL});
  out.put(version);
  out.put(now.shard);
  out.put(now.salt);
  out.put(now.position.file_sequence);
  out.put(now.position.offset);
  out.put(now.position.round);
  out.put(now.last_number);
  out.put(static_cast<std::uint32_t>(now.removals.size()));
  for (const Removal& removal : now.removals) {
    out.put(static_cast<std::uint8_t>(removal.kind == Removal::Kind::kFolder ? 1 : 0));
    out.text(removal.path);
  }
  out.put(static_cast<std::uint32_t>(now.logs.size()));
  for (const CheckpointLog& log : now.logs) put_log(out, log, version);
  out.put(common::crc32c(out.view()));
  return Bytes::copy_of(out.view());
}

std::uint32_t stored_version(const StoreMachine& machine) {
  const auto content = machine.hardware.content(kCheckpointPath);
  return common::load_little<std::uint32_t>(content.data() + 8);
}

class UpgradeTest : public ::testing::TestWithParam<std::uint32_t> {
 protected:
  Log& log() { return *machine.store().find(key_of(0)); }
  void append() {
    const Bytes batch = testing::make_batch(machine.random, {.base = log().end_offset(),
                                                             .count = 2,
                                                             .value_bytes = 700,
                                                             .term = Term{4},
                                                             .producer = model::ProducerId{8},
                                                             .sequence = 0});
    ASSERT_TRUE(
        machine.wait<void>([&](auto reply) { log().append(batch, std::move(reply)); }).ok());
  }
  // Puts the checkpoint in the place of the one that is there.
  void downgrade() {
    const auto content = machine.hardware.content(kCheckpointPath);
    const auto checkpoint = read_checkpoint(content, 0);
    ASSERT_TRUE(checkpoint.ok());
    const Bytes older = as_version(*checkpoint, GetParam());
    machine.hardware.truncate(kCheckpointPath, older.size());
    machine.hardware.overwrite(kCheckpointPath, 0, older);
    ASSERT_EQ(stored_version(machine), GetParam());
  }
  StoreMachine machine{41};
};

// Goal: nothing is lost, and once the store is open no older program would take its journal for a
// torn one. Method: segments, a journal behind the checkpoint, producers and terms.
TEST_P(UpgradeTest, OpensWithAllThatItHeld) {
  machine.start();
  machine.create(key_of(0), {.segment_bytes = 5'000});
  ASSERT_TRUE(machine
                  .wait<void>([&](auto reply) {
                    log().start_term({.term = Term{4}, .offset = Offset{0}}, std::move(reply));
                  })
                  .ok());
  for (int i = 0; i < 20; ++i) append();
  log().on_checkpoint(
      [] { return ProducersAt{.bytes = Bytes::copy_of("producers"), .at = Offset{40}}; });
  ASSERT_TRUE(machine.checkpoint().ok());
  for (int i = 0; i < 3; ++i) append();
  const auto all = machine.read_all(log(), Offset{0}, Offset{46});
  ASSERT_TRUE(all.ok());
  machine.crash();
  downgrade();

  machine.start();
  EXPECT_EQ(stored_version(machine), kCheckpointVersion);
  EXPECT_FALSE(machine.store().recovery().closed_cleanly);
  EXPECT_EQ(log().end_offset(), Offset{46});
  EXPECT_EQ(log().term_starts(), (std::vector{TermStart{.term = Term{4}, .offset = Offset{0}}}));
  EXPECT_TRUE(log().state().empty());
  EXPECT_FALSE(log().lost_suffix());
  auto recovered = log().take_recovered_producers();
  EXPECT_EQ(recovered.snapshot.text(), "producers");
  EXPECT_EQ(recovered.at, Offset{40});
  EXPECT_EQ(recovered.batches_behind.size(), 3U);
  EXPECT_EQ(*machine.read_all(log(), Offset{0}, Offset{46}), *all);
  ASSERT_TRUE(machine
                  .wait<void>([&](auto reply) {
                    log().put_state(Bytes::copy_of("state"), std::move(reply));
                  })
                  .ok());
  machine.crash();
  machine.start();
  EXPECT_EQ(log().state().text(), "state");
  recovered = log().take_recovered_producers();
  EXPECT_EQ(recovered.snapshot.text(), "producers");
  EXPECT_EQ(recovered.batches_behind.size(), 3U);
  EXPECT_EQ(*machine.read_all(log(), Offset{0}, Offset{46}), *all);
}

// The same where the store had been closed: then nothing but the checkpoint is there.
TEST_P(UpgradeTest, OpensAfterACleanEnd) {
  machine.start();
  machine.create(key_of(0), {.segment_bytes = 5'000});
  for (int i = 0; i < 20; ++i) append();
  const auto all = machine.read_all(log(), Offset{0}, Offset{40});
  machine.stop();
  downgrade();
  machine.start();
  EXPECT_EQ(stored_version(machine), kCheckpointVersion);
  EXPECT_EQ(*machine.read_all(log(), Offset{0}, Offset{40}), *all);
}

TEST(NewerStoreTest, IsRefused) {
  StoreMachine machine(42);
  machine.start();
  machine.stop();
  const std::uint8_t newer = kCheckpointVersion + 1;
  machine.hardware.overwrite(kCheckpointPath, 8, common::ByteView(&newer, 1));
  const auto started = machine.try_start();
  ASSERT_FALSE(started.ok());
  EXPECT_EQ(started.error().code, model::ErrorCode::kForeignData);
}

INSTANTIATE_TEST_SUITE_P(Versions, UpgradeTest, ::testing::Values(1U, 2U));

}  // namespace
}  // namespace millrace::storage
