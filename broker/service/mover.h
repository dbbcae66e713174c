// mover.look_at(key);
//
// Carries out, for the partitions that a shard leads, what the metadata wants of their replicas.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string_view>

#include "broker/env/loop.h"
#include "broker/metadata/records.h"
#include "broker/service/motion.h"
#include "broker/storage/lifeline.h"

namespace millrace::replica {
class Partition;
}

namespace millrace::service {

class Shard;

/// Counted since the start, for metrics.
struct MoverCounters {
  std::uint64_t learners_added = 0;
  std::uint64_t promotions = 0;
  std::uint64_t demotions = 0;
  std::uint64_t removals = 0;
  std::uint64_t transfers = 0;
  /// Steps that the group refused for the time being.
  std::uint64_t refusals = 0;
};

/// What a leader knows of its group. Requires that it takes part in one.
MotionFacts motion_facts(const Shard& shard, const replica::Partition& partition);
/// False: the group refuses it for the time being.
bool carry_out(const MotionStep& step, replica::Partition& partition, MoverCounters& counters);

/// Looks again and again at the partitions that are not yet as they should be, one change of a
/// group at a time (motion.h); a partition that is costs nothing. Loop thread only.
class Mover {
 public:
  explicit Mover(Shard& shard) : shard_(shard) {}

  /// Something may be to be done: it is led here now, or its assignment is another one.
  void look_at(const model::PartitionKey& key);
  /// What all moves of the cluster may copy in a second.
  void set_rate(std::int64_t bytes_per_second);
  /// A record was applied to the shard's image.
  void image_changed(const metadata::Record& record);
  void stop();

  /// What is on its way and led here, and for what each waits; empty: for nothing.
  const std::map<model::PartitionKey, std::string_view>& under_way() const { return under_way_; }
  const MoverCounters& counters() const { return counters_; }

 private:
  void arm();
  void turn();
  void share_rate();
  /// False: nothing is left to be done, for this broker at least.
  bool advance(const model::PartitionKey& key);

  Shard& shard_;
  std::map<model::PartitionKey, std::string_view> under_way_;
  MoverCounters counters_;
  std::int64_t bytes_per_second_ = 1;
  env::TimerId timer_ = env::TimerId::kNone;
  bool stopped_ = false;
  storage::Lifeline lifeline_;
};

}  // namespace millrace::service
