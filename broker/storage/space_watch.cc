#include "broker/storage/space_watch.h"

#include <chrono>

namespace millrace::storage {
namespace {

constexpr std::string_view kBallastPath = "ballast";
constexpr std::chrono::seconds kCalmInterval{5};
constexpr std::chrono::milliseconds kScarceInterval{500};
// "Scarce" begins here, in multiples of what must be free.
constexpr std::uint64_t kScarceFactor = 8;

}  // namespace

SpaceWatch::SpaceWatch(env::Disk& disk, env::Loop& loop, Options options)
    : disk_(disk), loop_(loop), options_(options) {}

// Runs on the I/O pool. The ballast is half of what must be free: giving it up alone does not end a
// shortage.
SpaceWatch::Look SpaceWatch::look(env::Disk& disk, Options options, bool give_up_ballast) {
  Look seen;
  const std::uint64_t ballast_bytes = options.free_bytes_min / 2;
  if (options.ballast) {
    const auto there = disk.exists(kBallastPath);
    seen.ballast_there = there.ok() && *there;
    if (seen.ballast_there && give_up_ballast) seen.ballast_there = !disk.remove(kBallastPath).ok();
  }
  const auto space = disk.space();
  if (!space.ok()) return seen;
  seen.known = true;
  seen.free = space->free;
  const bool plenty = seen.free >= options.free_bytes_min * 2 + ballast_bytes;
  if (options.ballast && !seen.ballast_there && plenty && !give_up_ballast && ballast_bytes > 0) {
    seen.ballast_there = disk.open(kBallastPath, {.create = true, .reserve = ballast_bytes}).ok();
  }
  return seen;
}

void SpaceWatch::start() {
  judge(look(disk_, options_, false));
  schedule();
}

void SpaceWatch::report_full() {
  full_ = true;
  write_failed_ = true;
  schedule();
}

void SpaceWatch::judge(const Look& seen) {
  if (!seen.known) return;
  const bool was_full = full_;
  // A little more must be free than what made it full, so that it does not flap.
  const std::uint64_t enough =
      was_full ? options_.free_bytes_min + options_.free_bytes_min / 8 : options_.free_bytes_min;
  full_ = seen.free < enough;
  scarce_ = seen.free < options_.free_bytes_min * kScarceFactor;
  if (full_) {
    if (on_full_) on_full_();
    return;
  }
  const bool healed = std::exchange(write_failed_, false) || was_full;
  if (healed && on_healed_) on_healed_();
}

void SpaceWatch::check() {
  if (std::exchange(checking_, true)) return;
  auto seen = std::make_shared<Look>();
  disk_.offload([&disk = disk_, options = options_, give_up = write_failed_,
                 seen] { *seen = look(disk, options, give_up); },
                lifeline_.guard([this, seen] {
                  checking_ = false;
                  judge(*seen);
                  schedule();
                }));
}

void SpaceWatch::schedule() {
  if (checking_) return;
  if (timer_ != env::TimerId::kNone) loop_.cancel(timer_);
  const common::Duration delay =
      full_ || scarce_ ? common::Duration(kScarceInterval) : common::Duration(kCalmInterval);
  timer_ = loop_.after(delay, lifeline_.guard([this] {
    timer_ = env::TimerId::kNone;
    check();
  }));
}

}  // namespace millrace::storage
