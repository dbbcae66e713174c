// departures.watch(key);
//
// Replicas that the metadata does not want any more, and that their groups may still need.
#pragma once

#include <set>

#include "broker/env/loop.h"
#include "broker/model/ids.h"
#include "broker/storage/lifeline.h"

namespace millrace::service {

class Shard;

/// A move that is called off, or replaced by another one, leaves replicas behind that may be voters
/// already: their leader takes them out of the group one by one, and they go then. The word of it
/// may get lost, so the leader is asked from time to time. A replica that the metadata wants again
/// stays. Loop thread only.
class Departures {
 public:
  explicit Departures(Shard& shard) : shard_(shard) {}
  void watch(const model::PartitionKey& key);
  void forget(const model::PartitionKey& key) { leaving_.erase(key); }
  void stop();
  std::size_t size() const { return leaving_.size(); }

 private:
  void arm();
  void look();
  void ask_leader(const model::PartitionKey& key);

  Shard& shard_;
  std::set<model::PartitionKey> leaving_;
  env::TimerId timer_ = env::TimerId::kNone;
  bool stopped_ = false;
  storage::Lifeline lifeline_;
};

}  // namespace millrace::service
