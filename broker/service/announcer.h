// announcer.role_changed(key, change);
//
// Tells the other brokers, and the other shards of this one, what the replicas of a shard lead and
// who is in sync with them.
#pragma once

#include <unordered_map>
#include <vector>

#include "broker/env/loop.h"
#include "broker/model/ids.h"
#include "broker/raft/ready.h"
#include "broker/storage/lifeline.h"

namespace millrace::service {

class Shard;

/// Loop thread only. A broker without neighbours tells nobody.
class Announcer {
 public:
  explicit Announcer(Shard& shard) : shard_(shard) {}

  void role_changed(const model::PartitionKey& key, const raft::RoleChange& change);
  /// Brokers came or went: looks at once who is in sync now.
  void look_soon();
  void stop();

 private:
  struct Said {
    model::Term term;
    std::vector<model::BrokerId> in_sync;
  };
  /// True: this is another one than was said.
  bool say(const model::PartitionKey& key);
  void look();
  void arm();

  Shard& shard_;
  std::unordered_map<model::PartitionKey, Said> said_;  // of what is led here
  env::TimerId timer_ = env::TimerId::kNone;
  bool stopped_ = false;
  bool soon_ = false;
  storage::Lifeline lifeline_;
};

}  // namespace millrace::service
