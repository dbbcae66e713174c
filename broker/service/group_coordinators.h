// shard.coordinators().find(index)->ask<JoinOutcome>(...);
//
// The coordinators of one shard: one for each partition of __consumer_offsets that is led here, and
// what they share.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "broker/coordinator/settings.h"
#include "broker/coordinator/topics.h"
#include "broker/env/loop.h"
#include "broker/metadata/records.h"
#include "broker/service/group_coordinator.h"
#include "broker/service/group_linger.h"
#include "broker/service/silence_watch.h"
#include "broker/storage/lifeline.h"

namespace millrace::service {

class Shard;

/// Counted since the start, for metrics.
struct GroupCounters {
  std::uint64_t offsets_committed = 0;
  /// Assignments that a classic group's leader handed out; target changes of consumer groups.
  std::uint64_t rebalances_classic = 0;
  std::uint64_t rebalances_consumer = 0;
  std::uint64_t appends = 0;
  std::uint64_t rewrites = 0;
  std::uint64_t loads = 0;
  std::uint64_t loads_failed = 0;
  std::uint64_t records_skipped = 0;
};

/// Follows the leadership of its partitions: lead() when this replica begins to lead one, resign()
/// when it ends. Shard thread only.
class GroupCoordinators {
 public:
  explicit GroupCoordinators(Shard& shard);
  ~GroupCoordinators();

  /// Begins to load. The partition stays until resign() or close().
  void lead(replica::Partition& partition);
  /// Answers everything of this partition: what is on its way to the log as well, since nobody
  /// knows what becomes of it.
  void resign(model::PartitionIndex index, model::ErrorCode code);
  /// nullptr: not led here.
  GroupCoordinator* find(model::PartitionIndex index);
  const std::map<model::PartitionIndex, std::shared_ptr<GroupCoordinator>>& all() const {
    return coordinators_;
  }

  /// A metadata record was applied to the shard's image.
  void image_changed(const metadata::Record& record);
  /// Another image took the place of the one there was.
  void image_replaced();
  /// Tells the machines of changed topics at once instead of shortly: for requests that name topics
  /// which may be new.
  void catch_up();
  /// Answers everything that waits, refuses what comes; answers whose records are on their way
  /// follow. Idempotent.
  void close(model::ErrorCode code);

  // ---- What the coordinators share.
  env::Loop& loop();
  const coordinator::Settings& settings() const { return settings_; }
  /// As the image says now.
  std::shared_ptr<const coordinator::Topics> topics();
  /// Some request's records came, which flush_soon() is called for or was.
  void records_came();
  /// flush() in this turn of the loop, or a little later together with others; rewrite() soon, one
  /// after the other.
  void flush_soon(GroupCoordinator& coordinator);
  void rewrite_soon(GroupCoordinator& coordinator);
  void note(std::string_view line);
  GroupCounters& counters() { return counters_; }
  const GroupCounters& counters() const { return counters_; }
  const SilenceWatch& silence() const { return silence_; }

 private:
  void read_settings();
  void settings_changed();
  void topics_changed();
  void tell_topics();
  void flush_when_due();
  void flush_all();
  void arm_rewrites();

  Shard& shard_;
  coordinator::Settings settings_;
  std::map<model::PartitionIndex, std::shared_ptr<GroupCoordinator>> coordinators_;
  std::optional<model::ErrorCode> closed_;
  std::shared_ptr<const coordinator::Topics> topics_;
  bool topics_stale_ = true;
  bool machines_stale_ = false;
  env::TimerId topics_timer_ = env::TimerId::kNone;
  GroupLinger linger_;
  std::vector<std::weak_ptr<GroupCoordinator>> unflushed_;
  env::TimerId flush_timer_ = env::TimerId::kNone;
  std::deque<std::weak_ptr<GroupCoordinator>> rewrites_;
  bool rewrites_armed_ = false;
  GroupCounters counters_;
  SilenceWatch silence_;
  storage::Lifeline lifeline_;
};

}  // namespace millrace::service
