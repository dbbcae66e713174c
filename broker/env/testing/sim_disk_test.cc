// What a crash may and may not do to a simulated disk.
#include "broker/env/testing/sim_disk.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <set>

namespace millrace::env::testing {
namespace {

using model::ErrorCode;
using namespace std::chrono_literals;

constexpr std::size_t kBlock = common::kDiskAlignment;

class SimDiskTest : public ::testing::Test {
 protected:
  explicit SimDiskTest(std::uint64_t seed = 1) : world(seed) {}

  static Bytes block(std::uint8_t fill, std::size_t size = kBlock) {
    Bytes bytes = Bytes::allocate(size, kBlock);
    std::memset(bytes.mutable_data(), fill, size);
    return bytes;
  }
  std::unique_ptr<File> open(std::string_view path, OpenOptions options = {.create = true}) {
    return std::move(disk->open(path, options)).value();
  }
  Result<void> write(File& file, std::uint64_t position, Bytes bytes, Durable durable) {
    std::optional<Result<void>> answer;
    file.write(position, {std::move(bytes)}, durable,
               [&answer](Result<void> r) { answer = std::move(r); });
    CHECK(world.run_until([&answer] { return answer.has_value(); }));
    return *answer;
  }
  Result<void> sync(File& file) {
    std::optional<Result<void>> answer;
    file.sync([&answer](Result<void> r) { answer = std::move(r); });
    CHECK(world.run_until([&answer] { return answer.has_value(); }));
    return *answer;
  }
  void reboot() {
    loop->stop();
    loop = &world.make_loop();
    disk = hardware.mount(*loop);
  }
  template <typename... How>
  void crash(How... how) {
    hardware.crash(how...);
    reboot();
  }

  SimWorld world;
  SimDisk hardware{world};
  SimLoop* loop = &world.make_loop();
  std::unique_ptr<Disk> disk = hardware.mount(*loop);
};

TEST_F(SimDiskTest, DurableWriteAndNameSurvive) {
  {
    const auto file = open("a");
    ASSERT_TRUE(write(*file, 0, block(7), Durable::kYes).ok());
    ASSERT_TRUE(disk->sync_directory("").ok());
  }
  crash(Survival::kNothing);
  EXPECT_EQ(hardware.content("a"), std::vector<std::uint8_t>(kBlock, 7));
}

TEST_F(SimDiskTest, UnsyncedNameIsLostWithItsDurableContent) {
  {
    const auto file = open("a");
    ASSERT_TRUE(write(*file, 0, block(7), Durable::kYes).ok());
    ASSERT_TRUE(file->sync_now().ok());
  }
  crash(Survival::kNothing);
  EXPECT_FALSE(*disk->exists("a"));
}

TEST_F(SimDiskTest, UnsyncedWriteIsLost) {
  {
    const auto file = open("a", {.create = true, .reserve = 4 * kBlock});
    ASSERT_TRUE(write(*file, 0, block(1), Durable::kNo).ok());
    ASSERT_TRUE(file->sync_now().ok());
    ASSERT_TRUE(disk->sync_directory("").ok());
    ASSERT_TRUE(write(*file, 0, block(2), Durable::kNo).ok());
    EXPECT_EQ(hardware.content("a")[0], 2);
  }
  crash(Survival::kNothing);
  const auto content = hardware.content("a");
  EXPECT_EQ(content.size(), 4 * kBlock);
  EXPECT_EQ(content[0], 1);
  EXPECT_EQ(content[kBlock], 0);
}

// Goal: torn writes happen, in units of sectors. Method: many seeds; count what one unsynced block
// looks like after.
TEST(SimDisk, UnsyncedWriteTearsBySector) {
  std::set<std::size_t> survivors;
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    SimWorld world(seed);
    SimDisk hardware(world);
    SimLoop& loop = world.make_loop();
    auto disk = hardware.mount(loop);
    {
      const auto file = std::move(disk->open("a", {.create = true, .reserve = kBlock})).value();
      ASSERT_TRUE(file->sync_now().ok());
      ASSERT_TRUE(disk->sync_all().ok());
      const std::vector<std::uint8_t> bytes(kBlock, 9);
      Bytes block = Bytes::allocate(kBlock, kBlock);
      std::memcpy(block.mutable_data(), bytes.data(), kBlock);
      ASSERT_TRUE(file->write_now(0, block).ok());
    }
    hardware.crash();
    const auto content = hardware.content("a");
    std::size_t count = 0;
    for (std::size_t sector = 0; sector < kBlock / kSectorBytes; ++sector) {
      const auto first = content.begin() + static_cast<std::ptrdiff_t>(sector * kSectorBytes);
      const std::set<std::uint8_t> values(first, first + kSectorBytes);
      ASSERT_EQ(values.size(), 1U) << "a sector was torn";
      if (*values.begin() == 9) ++count;
    }
    survivors.insert(count);
  }
  EXPECT_EQ(survivors.size(), kBlock / kSectorBytes + 1);  // none, all, and everything between
}

TEST_F(SimDiskTest, CallsUnderWayAreNeverAnsweredAfterACrash) {
  auto file = open("a");
  file->write(0, {block(1)}, Durable::kYes,
              [](Result<void>) { FAIL() << "answered by a dead machine"; });
  file->sync([](Result<void>) { FAIL() << "answered by a dead machine"; });
  EXPECT_EQ(hardware.pending(), 2U);
  crash();
  file.reset();
  world.run();
  EXPECT_EQ(hardware.pending(), 0U);
}

TEST_F(SimDiskTest, SyncCoversWhatWasAnsweredBeforeItAndMayMissTheRest) {
  const auto file = open("a", {.create = true, .reserve = 2 * kBlock});
  ASSERT_TRUE(disk->sync_all().ok());
  ASSERT_TRUE(write(*file, 0, block(1), Durable::kNo).ok());
  bool synced = false;
  file->sync([&synced](Result<void> r) { synced = r.ok(); });
  ASSERT_TRUE(file->write_now(0, block(2)).ok());
  ASSERT_TRUE(file->write_now(kBlock, block(3)).ok());
  ASSERT_TRUE(world.run_until([&synced] { return synced; }));
  crash(Survival::kNothing);
  EXPECT_EQ(hardware.content("a")[0], 1);
  EXPECT_EQ(hardware.content("a")[kBlock], 0);
}

TEST_F(SimDiskTest, FailedSyncLosesForGood) {
  const auto file = open("a", {.create = true, .reserve = 64 * kBlock});
  ASSERT_TRUE(disk->sync_all().ok());
  ASSERT_TRUE(write(*file, 0, block(1, 64 * kBlock), Durable::kNo).ok());
  hardware.fail_next_sync();
  EXPECT_EQ(sync(*file).error().code, ErrorCode::kIo);
  EXPECT_TRUE(sync(*file).ok()) << "as Linux does: the second one claims success";
  crash(Survival::kEverything);
  const auto content = hardware.content("a");
  EXPECT_NE(std::ranges::count(content, 0), 0);
  EXPECT_NE(std::ranges::count(content, 1), 0);
}

TEST_F(SimDiskTest, FullDiskAnswersNoSpaceAndHeals) {
  hardware.set_capacity(16 * kBlock);
  ASSERT_TRUE(disk->make_directories("d").ok());
  auto big = open("d/big", {.create = true, .reserve = 15 * kBlock});
  const auto small = open("small");
  EXPECT_TRUE(write(*small, 0, block(1), Durable::kYes).ok());
  EXPECT_EQ(write(*small, kBlock, block(1), Durable::kYes).error().code, ErrorCode::kNoSpace);
  EXPECT_EQ(disk->open("other", {.create = true, .reserve = kBlock}).error().code,
            ErrorCode::kNoSpace);
  EXPECT_EQ(disk->space()->free, 0U);
  ASSERT_TRUE(disk->remove("d/big").ok());
  EXPECT_EQ(disk->space()->free, 0U) << "an open file keeps its space";
  big.reset();
  EXPECT_EQ(disk->space()->free, 15 * kBlock);
  EXPECT_TRUE(write(*small, kBlock, block(1), Durable::kYes).ok());
}

TEST_F(SimDiskTest, PowerCutAfterSoManyOperations) {
  auto file = open("a");
  hardware.cut_power_after(2);
  EXPECT_TRUE(file->write_now(0, block(1)).ok());
  EXPECT_TRUE(file->sync_now().ok());
  EXPECT_EQ(disk->sync_directory("").error().code, ErrorCode::kIo);
  EXPECT_EQ(file->size().error().code, ErrorCode::kIo);
  file->write(0, {block(2)}, Durable::kYes, [](Result<void>) { FAIL(); });
  world.run();
  crash(Survival::kEverything);
  EXPECT_EQ(hardware.content("a")[0], 1);
}

TEST_F(SimDiskTest, KilledProcessLosesNothingItWasAnswered) {
  auto file = open("a");
  ASSERT_TRUE(write(*file, 0, block(1), Durable::kNo).ok());
  file->write(kBlock, {block(2)}, Durable::kNo, [](Result<void>) { FAIL(); });
  hardware.kill();
  reboot();
  file.reset();
  world.run();
  EXPECT_EQ(hardware.content("a")[0], 1);
}

// Goal: names go back to a prefix of each folder's history, and a move is never half done.
TEST(SimDisk, NamesKeepAPrefixPerFolder) {
  std::set<std::string> outcomes;
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    SimWorld world(seed);
    SimDisk hardware(world);
    SimLoop& loop = world.make_loop();
    auto disk = hardware.mount(loop);
    ASSERT_TRUE(disk->make_directories("p").ok());
    ASSERT_TRUE(disk->make_directories("q").ok());
    ASSERT_TRUE(disk->open("p/1", {.create = true}).ok());
    ASSERT_TRUE(disk->sync_all().ok());
    ASSERT_TRUE(disk->open("p/2", {.create = true}).ok());
    ASSERT_TRUE(disk->rename("p/1", "q/1").ok());
    ASSERT_TRUE(disk->open("p/3", {.create = true}).ok());
    ASSERT_TRUE(disk->remove("q/1").ok());
    hardware.crash();
    disk = hardware.mount(loop);
    std::string outcome;
    for (const char* path : {"p/1", "p/2", "p/3", "q/1"})
      outcome += *disk->exists(path) ? 'y' : 'n';
    outcomes.insert(outcome);
  }
  // Without the move 1 stays in p and 3 is not there; with it, 1 is in q or removed from there.
  EXPECT_EQ(outcomes, (std::set<std::string>{"ynnn", "yynn", "nyny", "nynn", "nyyy", "nyyn"}));
}

TEST_F(SimDiskTest, SyncOfOneFolderOfAMoveKeepsBothHalves) {
  ASSERT_TRUE(disk->make_directories("p").ok());
  ASSERT_TRUE(disk->make_directories("q").ok());
  open("p/1").reset();
  ASSERT_TRUE(disk->sync_all().ok());
  ASSERT_TRUE(disk->rename("p/1", "q/1").ok());
  ASSERT_TRUE(disk->sync_directory("q").ok());
  crash(Survival::kNothing);
  EXPECT_FALSE(*disk->exists("p/1"));
  EXPECT_TRUE(*disk->exists("q/1"));
}

TEST_F(SimDiskTest, BitRotShows) {
  {
    const auto file = open("a");
    ASSERT_TRUE(write(*file, 0, block(0), Durable::kYes).ok());
  }
  hardware.flip_bit("a", 100, 3);
  EXPECT_EQ(hardware.content("a")[100], 8);
}

TEST_F(SimDiskTest, OffloadedJobsAreNoTasksOfTheLoop) {
  bool there = true;
  bool done = false;
  disk->offload([&] { there = loop->here(); }, [&] { done = loop->here(); });
  world.run();
  EXPECT_FALSE(there);
  EXPECT_TRUE(done);
}

// Goal: one seed, one history. Method: a random mix of calls and a crash, twice; digests and
// contents must agree.
TEST(SimDisk, SameSeedSameHistory) {
  const auto history = [](std::uint64_t seed) {
    SimWorld world(seed);
    SimDisk hardware(world);
    SimLoop& loop = world.make_loop();
    auto disk = hardware.mount(loop);
    auto file = std::move(disk->open("a", {.create = true, .reserve = 64 * kBlock})).value();
    CHECK(disk->sync_all().ok());
    for (int i = 0; i < 100; ++i) {
      Bytes bytes = Bytes::zeros(kBlock, kBlock);
      bytes.mutable_data()[0] = static_cast<std::uint8_t>(i);
      file->write(world.random().below(64) * kBlock, {bytes},
                  world.random().chance(1, 2) ? Durable::kYes : Durable::kNo, [](Result<void>) {});
    }
    world.run_for(2ms);
    hardware.crash();
    loop.stop();
    return std::pair(world.digest(), hardware.content("a"));
  };
  for (std::uint64_t seed = 0; seed < 20; ++seed) EXPECT_EQ(history(seed), history(seed));
  EXPECT_NE(history(1), history(2));
}

}  // namespace
}  // namespace millrace::env::testing
