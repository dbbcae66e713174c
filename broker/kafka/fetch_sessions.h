// Incremental fetch sessions (KIP-227): what a consumer reads is kept here, so that it need not
// name hundreds of partitions in every request and is told only of those with news.
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "broker/model/ids.h"
#include "broker/service/partition_ref.h"
#include "common/clock.h"
#include "common/random.h"

namespace millrace::kafka {

/// The epochs that do not count: a request with one of them names all its partitions.
inline constexpr std::int32_t kInitialFetchEpoch = 0;
inline constexpr std::int32_t kFinalFetchEpoch = -1;
inline constexpr std::int32_t kNoFetchSession = 0;

/// The epoch of the request after the one with `epoch`: counts up, skipping 0 when it wraps.
std::int32_t next_fetch_epoch(std::int32_t epoch);

/// One partition that a consumer reads, and what it was told of it last.
struct FetchedPartition {
  service::PartitionRef target;
  model::Offset from;
  std::int32_t bytes_max = 0;
  model::Term leader_epoch{-1};
  model::Term last_fetched_epoch{-1};
  model::Offset told_high_watermark{-1};
  model::Offset told_log_start{-1};
};

/// One consumer's partitions, in the order in which they are read: those that gave records move to
/// the end.
class FetchSession {
 public:
  using Partitions = std::list<FetchedPartition>;

  FetchSession(std::int32_t id, bool by_id, common::Instant now)
      : id_(id), by_id_(by_id), made_(now), used_(now) {}

  std::int32_t id() const { return id_; }
  /// Whether partitions are named by topic id (Fetch 13 and later); a session cannot change that.
  bool by_id() const { return by_id_; }
  /// The epoch that the next request must have.
  std::int32_t epoch() const { return epoch_; }
  void advance() { epoch_ = next_fetch_epoch(epoch_); }

  /// Adds a partition, or takes the new position of one that is there.
  void put(FetchedPartition partition);
  /// False: it was not there.
  bool remove(const service::PartitionRef& target);
  Partitions& partitions() { return partitions_; }
  /// nullptr: dropped from the session meanwhile.
  FetchedPartition* find(const service::PartitionRef& target);
  void move_to_end(const service::PartitionRef& target);
  std::size_t size() const { return index_.size(); }

 private:
  friend class FetchSessions;
  struct TargetHash {
    std::size_t operator()(const service::PartitionRef& target) const;
  };
  struct TargetEqual {
    bool operator()(const service::PartitionRef& a, const service::PartitionRef& b) const;
  };

  std::int32_t id_;
  bool by_id_;
  std::int32_t epoch_ = kInitialFetchEpoch + 1;
  common::Instant made_;
  common::Instant used_;
  std::size_t counted_ = 0;  // partitions counted by FetchSessions
  Partitions partitions_;
  std::unordered_map<service::PartitionRef, Partitions::iterator, TargetHash, TargetEqual> index_;
};

/// The sessions of one shard, at most as many as allowed. When all places are taken, a new session
/// gets the place of the one unused longest if that is two minutes or more, else of a smaller one
/// that is two minutes old, else none. Loop thread only.
class FetchSessions {
 public:
  /// Partitions of all sessions together: bounds their memory whatever clients ask for.
  static constexpr std::size_t kPartitionsMax = 200'000;

  FetchSessions(std::size_t sessions_max, common::Random random)
      : sessions_max_(sessions_max), random_(random) {}

  /// nullptr: unknown. Counts as a use.
  std::shared_ptr<FetchSession> find(std::int32_t id, common::Instant now);
  /// A new session with `partitions`; nullptr: there is no room.
  std::shared_ptr<FetchSession> create(std::vector<FetchedPartition> partitions, bool by_id,
                                       common::Instant now);
  void remove(std::int32_t id);
  /// To be called after partitions of a session were put or removed. False: there are too many, and
  /// the session was removed.
  bool recount(FetchSession& session);
  std::size_t size() const { return sessions_.size(); }
  std::size_t partitions() const { return partitions_; }
  std::uint64_t evictions() const { return evictions_; }

 private:
  bool make_room(std::size_t partitions, common::Instant now);

  std::size_t sessions_max_;
  common::Random random_;
  std::unordered_map<std::int32_t, std::shared_ptr<FetchSession>> sessions_;
  std::size_t partitions_ = 0;
  std::uint64_t evictions_ = 0;
};

}  // namespace millrace::kafka
