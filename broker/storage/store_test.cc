// The store end to end on the simulated disk: what it keeps over crashes, kills and clean stops,
// and how it reads.
#include "broker/storage/store.h"

#include <gtest/gtest.h>

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

}  // namespace
}  // namespace millrace::storage
