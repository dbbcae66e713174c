// watch.start();   ...   if (watch.silent(group, topic, partition)) ...
//
// Finds members that are assigned a partition, send heartbeats, and leave its records lying: a
// consumer that is stuck looks well to everybody else.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "broker/env/loop.h"
#include "broker/service/group_positions.h"
#include "broker/storage/lifeline.h"

namespace millrace::service {

class Shard;

/// Looks at the groups of its shard twice in each group.fetch.silence.ms. A partition that nobody
/// has fetched for that long, though a member holds it and records wait, is suspected at one look
/// and told at the next, if the same member still holds it. One log line for each member.
/// Bound: one entry for each such partition. Shard thread only.
class SilenceWatch {
 public:
  explicit SilenceWatch(Shard& shard) : shard_(shard) {}
  /// Idempotent.
  void start();
  void stop();
  /// Told, and not over since.
  bool silent(const std::string& group, const std::string& topic, std::int32_t partition) const;
  /// Partitions told now.
  std::size_t silent_now() const;

 private:
  using Place = std::tuple<std::string, std::string, std::int32_t>;  // group, topic, partition
  struct Suspect {
    std::string member;
    std::uint64_t look = 0;  // when it was last seen so
    bool told = false;
  };
  void schedule();
  void look();
  void look_at_next(std::vector<model::PartitionIndex> left);
  void judge(const GroupPositions& group);
  bool suspicious(const GroupPosition& position) const;
  void tell(const GroupPositions& group, const std::string& member,
            const std::vector<const GroupPosition*>& positions) const;
  void end_look();

  Shard& shard_;
  std::map<Place, Suspect> suspects_;
  std::uint64_t looks_ = 0;
  common::Duration limit_{0};  // as set when the next look was planned
  bool started_ = false;
  env::TimerId timer_ = env::TimerId::kNone;
  storage::Lifeline lifeline_;
};

}  // namespace millrace::service
