// waits.wait(key, 500ms, [] { ... });   ...   waits.fire(key);
//
// Who waits until a replica has another role: for a new leader to know what is committed, or for an
// old one to have handed over.
#pragma once

#include <cstdint>
#include <map>
#include <utility>

#include "broker/env/loop.h"
#include "broker/model/ids.h"
#include "broker/storage/lifeline.h"
#include "common/function.h"

namespace millrace::service {

/// Loop thread only. To be closed before it goes, where somebody may wait.
class RoleWaits {
 public:
  explicit RoleWaits(env::Loop& loop) : loop_(loop) {}
  RoleWaits(const RoleWaits&) = delete;
  RoleWaits& operator=(const RoleWaits&) = delete;

  /// Calls `then` once: at the next fire() of the key, after `limit`, or at close(). Never inside
  /// of this call.
  void wait(const model::PartitionKey& key, common::Duration limit, common::Function<void()> then);
  void fire(const model::PartitionKey& key);
  /// Calls all; whoever waits from now on is called in the next turn.
  void close();
  std::size_t size() const { return waiting_.size(); }

 private:
  struct Waiter {
    env::TimerId timer = env::TimerId::kNone;
    common::Function<void()> then;
  };
  using Place = std::pair<model::PartitionKey, std::uint64_t>;
  void call(const Place& place);

  env::Loop& loop_;
  std::map<Place, Waiter> waiting_;
  std::uint64_t last_ = 0;
  bool closed_ = false;
  storage::Lifeline lifeline_;
};

}  // namespace millrace::service
