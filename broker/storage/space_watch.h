// Free space on the disk: refuses appends before it runs out, and notices when it is back.
#pragma once

#include <cstdint>
#include <vector>

#include "broker/env/disk.h"
#include "broker/env/loop.h"
#include "broker/storage/lifeline.h"

namespace millrace::storage {

/// Looks at the free space from time to time, more often while it is scarce. A ballast file is
/// given up first, so that deleting, which must write a little itself, is possible on a full disk.
/// Shard thread only.
class SpaceWatch {
 public:
  struct Options {
    std::uint64_t free_bytes_min = 0;
    /// Only one shard of a data directory keeps the ballast.
    bool ballast = false;
  };
  SpaceWatch(env::Disk& disk, env::Loop& loop, Options options);

  /// Blocking, at start-up.
  void start();
  bool full() const { return full_; }
  /// A write found no space.
  void report_full();
  /// Called when space is back.
  void set_on_healed(common::Function<void()> callback) { on_healed_ = std::move(callback); }
  /// Called after each look that finds the disk full: what was kept only for a while should go.
  void set_on_full(common::Function<void()> callback) { on_full_ = std::move(callback); }

 private:
  struct Look {
    std::uint64_t free = 0;
    bool known = false;
    bool ballast_there = false;
  };
  static Look look(env::Disk& disk, Options options, bool give_up_ballast);
  void check();
  void judge(const Look& seen);
  void schedule();

  env::Disk& disk_;
  env::Loop& loop_;
  const Options options_;
  common::Function<void()> on_healed_;
  common::Function<void()> on_full_;
  Lifeline lifeline_;
  bool full_ = false;
  bool write_failed_ = false;
  bool scarce_ = false;
  bool checking_ = false;
  env::TimerId timer_ = env::TimerId::kNone;
};

}  // namespace millrace::storage
