// catch_up.enter([...] { ... read ... });   ...   catch_up.leave(bytes);
//
// How fast a shard brings replicas level that are far behind, so that the disk and the network stay
// free for those that are not.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>

#include "broker/env/loop.h"

namespace millrace::replica {

struct CatchUpLimits {
  /// Reads under way at once. At least 1.
  std::uint32_t reads_max = 4;
  /// Of all groups of the shard together; 0: as fast as it goes.
  std::uint64_t bytes_per_second = 0;
  bool operator==(const CatchUpLimits&) const = default;
};

/// Reads for others wait here for their turn: first come, first served. How much one brings is only
/// known afterwards; it is paid for by those behind it. Who waits is bounded by its clients: each
/// group asks once at a time for each replica. Loop thread only.
class CatchUp {
 public:
  CatchUp(env::Loop& loop, CatchUpLimits limits);
  ~CatchUp();
  CatchUp(const CatchUp&) = delete;
  CatchUp& operator=(const CatchUp&) = delete;

  /// Runs `begin` once, now or when its turn comes. For each one that has begun leave() must
  /// follow.
  void enter(env::Task begin);
  /// It brought so many bytes.
  void leave(std::uint64_t bytes);
  /// For those who leave late: a store that ends answers its reads when this may be gone.
  std::weak_ptr<CatchUp*> weak() const { return self_; }
  /// What is not paid for yet is paid for at the new rate.
  void set_limits(CatchUpLimits limits);

  std::size_t waiting() const { return waiting_.size(); }
  /// Since the start.
  std::uint64_t bytes() const { return bytes_; }

 private:
  void go_on();

  env::Loop& loop_;
  CatchUpLimits limits_;
  std::deque<env::Task> waiting_;
  std::uint32_t reading_ = 0;
  std::uint64_t bytes_ = 0;
  /// What was read until now is paid for at this time.
  common::Instant free_at_{};
  env::TimerId timer_ = env::TimerId::kNone;
  bool going_on_ = false;
  const std::shared_ptr<CatchUp*> self_ = std::make_shared<CatchUp*>(this);
};

}  // namespace millrace::replica
