// env_disk_bench DIR: what one durable write costs through AIO and through a thread, into files
// that were written before ("recycled") and into reserved space that was not ("reserved"). Numbers
// for docs/decisions/disk-submission.md.
#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/utsname.h>

#include <algorithm>
#include <atomic>

#include "broker/env/posix_io.h"
#include "broker/env/real_disk.h"

#include <fcntl.h>

namespace millrace::env {
namespace {

constexpr std::uint64_t kFileBytes = 64 << 20;
constexpr int kRounds = 1500;

enum class Way : std::uint8_t { kAio, kThread };

double cpu_us() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto us = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) * 1e6 + static_cast<double>(t.tv_usec);
  };
  return us(usage.ru_utime) + us(usage.ru_stime);
}

/// Writes one block after the other, each when the one before is durable.
class Rounds {
 public:
  Rounds(RealLoop& loop, Disk& disk, const std::string& path, std::size_t size, Way way,
         bool recycled)
      : loop_(loop), way_(way), block_(Bytes::zeros(size, common::kDiskAlignment)) {
    static_cast<void>(disk.remove("bench").ok());
    file_ = std::move(disk.open("bench", {.create = true, .reserve = kFileBytes})).value();
    const Bytes fill = Bytes::zeros(1 << 20, common::kDiskAlignment);
    for (std::uint64_t at = 0; recycled && at < kFileBytes; at += fill.size()) {
      CHECK(file_->write_now(at, fill).ok());
    }
    CHECK(file_->sync_now().ok());
    const int number = ::open((path + "/bench").c_str(), O_RDWR | O_DIRECT | O_CLOEXEC);
    descriptor_ = std::make_shared<Descriptor>(number, "bench");
  }

  void run() {
    const double cpu_before = cpu_us();
    const common::Instant start = loop_.clock().now();
    loop_.post([this] { next(); });
    done_.wait(false);
    const auto wall = loop_.clock().now() - start;
    std::ranges::sort(took_us_);
    fmt::print("  p50 {:7.1f}  p99 {:7.1f}  cpu {:6.1f} us/round  {:7.1f} MB/s\n",
               took_us_[took_us_.size() / 2], took_us_[took_us_.size() * 99 / 100],
               (cpu_us() - cpu_before) / kRounds,
               static_cast<double>(block_.size()) * kRounds / 1e6 /
                   (static_cast<double>(wall.count()) / 1e9));
  }

 private:
  void next() {
    const std::uint64_t position = round_ * block_.size() % kFileBytes;
    start_ = loop_.clock().now();
    if (way_ == Way::kAio) {
      file_->write(position, {block_}, Durable::kYes, [this](Result<void> r) { ended(r); });
      return;
    }
    pool_.run([this, position] {
      const common::ByteView view = block_;
      auto result = write_fully(*descriptor_, position, std::span(&view, 1), Durable::kYes);
      loop_.post([this, result = std::move(result)] { ended(result); });
    });
  }

  void ended(const Result<void>& result) {
    CHECK(result.ok(), "{}", result.error().detail);
    took_us_.push_back(static_cast<double>((loop_.clock().now() - start_).count()) / 1e3);
    if (++round_ < kRounds) {
      // Not from inside the answer: as the journal does, after the rest of the round.
      loop_.post([this] { next(); });
      return;
    }
    file_.reset();
    done_ = true;
    done_.notify_one();
  }

  RealLoop& loop_;
  const Way way_;
  const Bytes block_;
  std::unique_ptr<File> file_;
  std::shared_ptr<Descriptor> descriptor_;
  IoPool pool_{"bench", 1};
  std::uint64_t round_ = 0;
  common::Instant start_;
  std::vector<double> took_us_;
  std::atomic<bool> done_{false};
};

int run(const char* folder) {
  RealLoop loop;
  auto data = DataDirectory::open(folder, [](std::string_view text) { fmt::print("{}\n", text); });
  CHECK(data.ok(), "{}", data.error().detail);
  auto disk = data.value()->disk(loop);
  loop.start();
  for (const bool recycled : {true, false}) {
    for (const std::size_t size : {4U << 10, 64U << 10, 256U << 10, 1U << 20}) {
      // Unwritten space runs out after one pass, so large blocks cannot show it.
      if (!recycled && size * kRounds > kFileBytes) continue;
      for (const Way way : {Way::kAio, Way::kThread, Way::kAio, Way::kThread}) {
        fmt::print("{} {:5} KiB {}", recycled ? "recycled" : "reserved", size >> 10,
                   way == Way::kAio ? "aio   " : "thread");
        Rounds(loop, *disk, folder, size, way, recycled).run();
      }
    }
  }
  loop.stop();
  return 0;
}

}  // namespace
}  // namespace millrace::env

int main(int argc, char** argv) {
  return argc == 2 ? millrace::env::run(argv[1]) : 2;
}
