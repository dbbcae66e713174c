// The contract of Disk and File, kept by the machine's and by the simulator's.
#include "broker/env/disk.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <fstream>
#include <optional>

#include "broker/env/posix_io.h"
#include "broker/env/real_disk.h"
#include "broker/env/real_loop.h"
#include "broker/env/testing/both_worlds.h"

namespace millrace::env {
namespace {

using model::ErrorCode;

constexpr std::size_t kBlock = common::kDiskAlignment;

Bytes block(std::uint8_t fill, std::size_t size = kBlock) {
  Bytes bytes = Bytes::allocate(size, kBlock);
  std::memset(bytes.mutable_data(), fill, size);
  return bytes;
}

class DiskTest : public ::testing::TestWithParam<std::string> {
 protected:
  std::unique_ptr<File> open(std::string_view path, OpenOptions options = {.create = true}) {
    auto file = disk().open(path, options);
    CHECK(file.ok(), "{}", file.error().detail);
    return std::move(file).value();
  }
  Disk& disk() { return world->disk(); }
  Result<void> write(File& file, std::uint64_t position, std::vector<Bytes> pieces,
                     Durable durable) {
    std::optional<Result<void>> answer;
    world->run([&] {
      file.write(position, std::move(pieces), durable,
                 [&](Result<void> r) { answer = std::move(r); });
      EXPECT_FALSE(answer.has_value());
    });
    CHECK(world->wait([&] { return answer.has_value(); }));
    return *answer;
  }
  Result<std::size_t> read(File& file, std::uint64_t position, const Bytes& into) {
    std::optional<Result<std::size_t>> answer;
    world->run(
        [&] { file.read(position, into, [&](Result<std::size_t> r) { answer = std::move(r); }); });
    CHECK(world->wait([&] { return answer.has_value(); }));
    return *answer;
  }
  Result<void> sync(File& file) {
    std::optional<Result<void>> answer;
    world->run([&] { file.sync([&](Result<void> r) { answer = std::move(r); }); });
    CHECK(world->wait([&] { return answer.has_value(); }));
    return *answer;
  }

  std::unique_ptr<testing::World> world = testing::make_world(GetParam());
};

TEST_P(DiskTest, WritesExtendAndReadBack) {
  const auto file = open("a");
  EXPECT_EQ(*file->size(), 0U);
  ASSERT_TRUE(write(*file, 0, {block(1), block(2, 2 * kBlock)}, Durable::kNo).ok());
  ASSERT_TRUE(write(*file, 3 * kBlock, {block(4)}, Durable::kYes).ok());
  EXPECT_EQ(*file->size(), 4 * kBlock);
  const Bytes into = Bytes::zeros(8 * kBlock, kBlock);
  EXPECT_EQ(*read(*file, kBlock, into), 3 * kBlock);
  EXPECT_EQ(into.data()[0], 2);
  EXPECT_EQ(into.data()[2 * kBlock - 1], 2);
  EXPECT_EQ(into.data()[2 * kBlock], 4);
  EXPECT_EQ(*read(*file, 4 * kBlock, into), 0U);
  EXPECT_TRUE(sync(*file).ok());
}

TEST_P(DiskTest, ReservedFileIsLongAndReadsZeros) {
  const auto file = open("journal", {.create = true, .reserve = 16 * kBlock});
  EXPECT_EQ(*file->size(), 16 * kBlock);
  ASSERT_TRUE(write(*file, 4 * kBlock, {block(9)}, Durable::kYes).ok());
  const Bytes into = block(1, 16 * kBlock);
  EXPECT_EQ(*read(*file, 0, into), 16 * kBlock);
  EXPECT_EQ(std::ranges::count(into.view(), 0), static_cast<std::ptrdiff_t>(15 * kBlock));
  EXPECT_EQ(*disk().open("journal", {.create = true, .reserve = 99 * kBlock}).value()->size(),
            16 * kBlock)
      << "a file that is there keeps its size";
}

TEST_P(DiskTest, ManyCallsAtOnce) {
  constexpr int kCalls = 600;  // more than AIO takes at once
  const auto file = open("a", {.create = true, .reserve = kCalls * kBlock});
  int done = 0;
  world->run([&] {
    for (int i = 0; i < kCalls; ++i) {
      file->write(static_cast<std::uint64_t>(i) * kBlock, {block(static_cast<std::uint8_t>(i))},
                  Durable::kNo, [&](Result<void> r) { done += r.ok() ? 1 : 0; });
    }
  });
  ASSERT_TRUE(world->wait([&] { return done == kCalls; }));
  const Bytes into = Bytes::zeros(kCalls * kBlock, kBlock);
  ASSERT_EQ(*read(*file, 0, into), kCalls * kBlock);
  for (int i = 0; i < kCalls; ++i) EXPECT_EQ(into.data()[i * kBlock], static_cast<std::uint8_t>(i));
}

TEST_P(DiskTest, WritesOfMoreThanAThousandPieces) {
  const auto file = open("a", {.create = true, .reserve = 1500 * kBlock});
  std::vector<Bytes> pieces;
  for (int i = 0; i < 1500; ++i) pieces.push_back(block(static_cast<std::uint8_t>(i)));
  ASSERT_TRUE(write(*file, 0, pieces, Durable::kYes).ok());
  const Bytes into = Bytes::zeros(kBlock, kBlock);
  ASSERT_EQ(*read(*file, 1499 * kBlock, into), kBlock);
  EXPECT_EQ(into.data()[0], static_cast<std::uint8_t>(1499));
}

TEST_P(DiskTest, BlockingCallsOnCachedFilesNeedNoAlignment) {
  const auto file = open("small", {.create = true, .caching = OpenOptions::Caching::kYes});
  ASSERT_TRUE(file->write_now(3, common::as_bytes("hello")).ok());
  ASSERT_TRUE(file->sync_now().ok());
  std::uint8_t into[16] = {};
  EXPECT_EQ(*file->read_now(4, into), 4U);
  EXPECT_EQ(into[0], 'e');
  ASSERT_TRUE(file->resize(5).ok());
  EXPECT_EQ(*file->size(), 5U);
  ASSERT_TRUE(file->resize(7).ok());
  EXPECT_EQ(*file->read_now(0, into), 7U);
  EXPECT_EQ(into[4], 'e');
  EXPECT_EQ(into[5], 0) << "what was cut off reads as zeros";
}

TEST_P(DiskTest, BlockingReadOfAFileAroundThePageCacheMayBeUnaligned) {
  const auto file = open("a");
  ASSERT_TRUE(write(*file, 0, {block(1), block(2)}, Durable::kNo).ok());
  std::uint8_t into[10] = {};
  EXPECT_EQ(*file->read_now(kBlock - 5, into), 10U);
  EXPECT_EQ(into[4], 1);
  EXPECT_EQ(into[5], 2);
  EXPECT_EQ(*file->read_now(2 * kBlock - 5, into), 5U);
  EXPECT_EQ(*file->read_now(3 * kBlock, into), 0U);
}

TEST_P(DiskTest, Names) {
  EXPECT_EQ(disk().open("d/a", {.create = true}).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(disk().list("d").error().code, ErrorCode::kNotFound);
  ASSERT_TRUE(disk().make_directories("d/e/f").ok());
  ASSERT_TRUE(disk().make_directories("d/e").ok());
  EXPECT_EQ(disk().open("d/a", {}).error().code, ErrorCode::kNotFound);
  open("d/b", {.create = true, .reserve = kBlock}).reset();
  open("d/a").reset();
  const auto entries = *disk().list("d");
  ASSERT_EQ(entries.size(), 3U);
  EXPECT_EQ(entries[0].name, "a");
  EXPECT_EQ(entries[1].size, kBlock);
  EXPECT_TRUE(entries[2].directory);
  ASSERT_TRUE(disk().rename("d/b", "d/e/a").ok());
  ASSERT_TRUE(disk().rename("d/e/a", "d/a").ok());
  EXPECT_EQ(disk().list("d")->size(), 2U);
  EXPECT_EQ(disk().list("d")->front().size, kBlock) << "the old one was replaced";
  EXPECT_EQ(disk().rename("d/x", "d/y").error().code, ErrorCode::kNotFound);
  EXPECT_EQ(disk().remove("d/x").error().code, ErrorCode::kNotFound);
  ASSERT_TRUE(disk().sync_directory("d").ok());
  ASSERT_TRUE(disk().sync_all().ok());
  EXPECT_TRUE(*disk().exists("d/a"));
  EXPECT_FALSE(*disk().exists("x/a"));
  ASSERT_TRUE(disk().remove_all("d").ok());
  ASSERT_TRUE(disk().remove_all("d").ok());
  EXPECT_FALSE(*disk().exists("d"));
  EXPECT_TRUE(disk().list("")->empty());
}

TEST_P(DiskTest, RemovedFileServesThoseWhoHaveIt) {
  const auto file = open("a");
  ASSERT_TRUE(write(*file, 0, {block(3)}, Durable::kNo).ok());
  ASSERT_TRUE(disk().remove("a").ok());
  const Bytes into = Bytes::zeros(kBlock, kBlock);
  EXPECT_EQ(*read(*file, 0, into), kBlock);
  EXPECT_EQ(into.data()[0], 3);
}

TEST_P(DiskTest, SmallFilesAreReplacedWhole) {
  EXPECT_EQ(read_file(disk(), "state").error().code, ErrorCode::kNotFound);
  ASSERT_TRUE(replace_file(disk(), "state", common::as_bytes("a longer first content")).ok());
  ASSERT_TRUE(replace_file(disk(), "state", common::as_bytes("second")).ok());
  EXPECT_EQ(read_file(disk(), "state")->text(), "second");
  EXPECT_EQ(disk().list("")->size(), 1U);
}

TEST_P(DiskTest, OffloadRunsElsewhereAndAnswersOnTheLoop) {
  bool job_here = true;
  bool done_here = false;
  bool done = false;
  world->run([&] {
    disk().offload([&] { job_here = world->loop().here(); },
                   [&] {
                     done_here = world->loop().here();
                     done = true;
                   });
  });
  ASSERT_TRUE(world->wait([&] { return done; }));
  EXPECT_FALSE(job_here);
  EXPECT_TRUE(done_here);
}

TEST_P(DiskTest, SpaceIsPlausible) {
  const auto space = *disk().space();
  EXPECT_GT(space.total, 0U);
  EXPECT_LE(space.free, space.total);
}

INSTANTIATE_TEST_SUITE_P(Worlds, DiskTest, ::testing::Values("real", "simulated"),
                         [](const auto& chosen) { return chosen.param; });

TEST(DataDirectory, SecondProcessIsToldWhoHasIt) {
  const testing::TemporaryFolder folder;
  const auto data = DataDirectory::open(folder.path(), {});
  ASSERT_TRUE(data.ok());
  const auto second = DataDirectory::open(folder.path(), {});
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().code, ErrorCode::kDataInUse);
  EXPECT_NE(second.error().detail.find(std::to_string(::getpid())), std::string::npos)
      << second.error().detail;
}

TEST(DataDirectory, LockEndsWithItsHolder) {
  const testing::TemporaryFolder folder;
  { ASSERT_TRUE(DataDirectory::open(folder.path(), {}).ok()); }
  EXPECT_TRUE(DataDirectory::open(folder.path(), {}).ok());
}

TEST(DataDirectory, AFileInTheWayIsNamed) {
  const testing::TemporaryFolder folder;
  { std::ofstream(folder.path() + "/x") << "y"; }
  const auto data = DataDirectory::open(folder.path() + "/x", {});
  ASSERT_FALSE(data.ok());
  EXPECT_EQ(data.error().code, ErrorCode::kIo);
  EXPECT_NE(data.error().detail.find("a file is in the way"), std::string::npos)
      << data.error().detail;
}

// Goal: what is offloaded may use the disk to its end. Method: a job is let go on only when the
// disk is about to go; a store of the machine stopped in the middle of a compaction found this.
TEST(DataDirectory, ADiskWaitsForItsJobs) {
  const testing::TemporaryFolder folder;
  const auto data = DataDirectory::open(folder.path(), {});
  ASSERT_TRUE(data.ok());
  for (int round = 0; round < 50; ++round) {
    RealLoop loop({.name = "jobs"});
    auto disk = (*data)->disk(loop);
    std::atomic<bool> begun = false;
    std::atomic<bool> go = false;
    std::atomic<bool> ended = false;
    disk->offload(
        [&, used = disk.get()] {
          begun = true;
          begun.notify_all();
          go.wait(false);
          EXPECT_TRUE(used->make_directories("a/b").ok());
          ended = true;
        },
        [] {});
    begun.wait(false);
    go = true;
    go.notify_all();
    disk.reset();
    EXPECT_TRUE(ended) << round;
    ended.wait(false);
  }
}

// Goal: a full disk is its own error. Method: /dev/full answers every write with ENOSPC.
TEST(PosixIo, FullDeviceIsNoSpace) {
  const int number = ::open("/dev/full", O_RDWR | O_CLOEXEC);
  ASSERT_GE(number, 0);
  const Descriptor full(number, "/dev/full");
  const common::ByteView piece = common::as_bytes("x");
  EXPECT_EQ(write_fully(full, 0, std::span(&piece, 1), Durable::kNo).error().code,
            ErrorCode::kNoSpace);
}

// Goal: without O_DIRECT everything still works and one notice is given. Method: /dev/shm, where it
// is a tmpfs without it.
TEST(DataDirectory, FileSystemWithoutDirectIoIsNoticedAndUsed) {
  std::string name = "/dev/shm/millrace-test-XXXXXX";
  if (::mkdtemp(name.data()) == nullptr) GTEST_SKIP() << "no /dev/shm";
  int notices = 0;
  {
    RealLoop loop;
    auto data = std::move(DataDirectory::open(name + "/data", [&](std::string_view) {
                  ++notices;
                })).value();
    const auto disk = data->disk(loop);
    EXPECT_EQ(notices, disk->direct() ? 0 : 1);
    auto file = std::move(disk->open("a", {.create = true, .reserve = kBlock})).value();
    std::optional<bool> written;
    loop.post([&] {
      file->write(0, {block(5)}, Durable::kYes, [&](Result<void> r) {
        written = r.ok();
        file.reset();
      });
    });
    loop.start();
    std::atomic<bool> done{false};
    common::Function<void()> poll;
    poll = [&] {
      if (!written.has_value()) {
        loop.after(std::chrono::milliseconds(1), [&] { poll(); });
        return;
      }
      done = true;
      done.notify_one();
    };
    loop.post([&] { poll(); });
    done.wait(false);
    loop.stop();
    EXPECT_EQ(written, true);
    EXPECT_TRUE(disk->remove_all("a").ok());
  }
  EXPECT_EQ(std::system(("rm -r " + name).c_str()), 0);
}

}  // namespace
}  // namespace millrace::env
