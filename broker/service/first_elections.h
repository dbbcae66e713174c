// elections.stand(key);
//
// The first leader of a new partition should be its preferred one, and at once.
#pragma once

#include <vector>

#include "broker/env/loop.h"
#include "broker/model/ids.h"
#include "broker/storage/lifeline.h"

namespace millrace::service {

class Shard;

/// Lets the replicas that are preferred as leaders of new partitions stand for election shortly
/// after they were made, and again while the others may not have heard of the partition yet. Loop
/// thread only.
class FirstElections {
 public:
  explicit FirstElections(Shard& shard) : shard_(shard) {}
  void stand(const model::PartitionKey& key);
  void stop();

 private:
  struct Candidate {
    model::PartitionKey key;
    int tries = 0;
  };
  void arm();
  /// False: somebody leads, or others should try.
  bool try_once(Candidate& candidate);

  Shard& shard_;
  std::vector<Candidate> candidates_;
  env::TimerId timer_ = env::TimerId::kNone;
  bool stopped_ = false;
  storage::Lifeline lifeline_;
};

}  // namespace millrace::service
