// ClusterKeeper keeper({.first = shard, .health = ..., .leads = ...});   keeper.start();
//
// What the leader of the metadata log does for the cluster: looks at all brokers and partitions,
// and sees to it that replicas move, leaders are where they should be and permits end.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "broker/cluster/liveness.h"
#include "broker/metadata/plan_leaders.h"
#include "broker/metadata/plan_moves.h"
#include "broker/metadata/restart_permit.h"
#include "broker/service/cluster_view.h"
#include "broker/service/led_report.h"
#include "broker/service/metadata_members.h"
#include "broker/service/mover.h"
#include "broker/service/shard.h"
#include "broker/storage/lifeline.h"

namespace millrace::service {

struct KeeperSettings {
  /// Between two looks, and how long a broker may take to answer one.
  common::Duration interval = std::chrono::seconds(1);
  common::Duration answer_max = std::chrono::seconds(2);
  metadata::MoveLimits moves;
  MetadataMembersSettings members;
  /// Leaders that hand over at once: because they must, or to their preferred replica.
  std::size_t transfers_max = 200;
  std::size_t wished_transfers_max = 10;
  /// A partition whose leader did not hand over is left alone for so long.
  common::Duration transfer_pause = std::chrono::seconds(30);
};

/// Counted since the start, for metrics.
struct KeeperCounters {
  std::uint64_t looks = 0;
  /// Of the looks those after which there was something to think about.
  std::uint64_t plans = 0;
  std::uint64_t moves_started = 0;
  std::uint64_t moves_completed = 0;
  std::uint64_t transfers = 0;
  std::uint64_t transfers_failed = 0;
  std::uint64_t answers_missing = 0;
};

/// On every broker; acts where this broker leads the metadata log, and forgets everything when it
/// does not any more. First shard's loop.
class ClusterKeeper {
 public:
  struct Parts {
    Shard& first;
    /// Of all other brokers.
    common::Function<std::vector<cluster::Health>()> health;
    /// Whether this broker leads the metadata log.
    common::Function<bool()> leads;
    /// Whether this broker takes writes.
    common::Function<bool()> has_room;
    KeeperSettings settings;
  };
  explicit ClusterKeeper(Parts parts);

  void start();
  void stop();

  /// Looks at all brokers anew, now, then answers with what it sees. kNotController: this broker
  /// does not lead the metadata log.
  void look(common::Reply<common::Result<metadata::View>> done);
  /// How all other brokers are, as far as this one heard.
  std::vector<cluster::Health> health() { return health_(); }
  /// Whether this broker takes writes.
  bool has_room() { return has_room_(); }
  /// What the last look found to do, and what blocks it.
  const metadata::MovePlan& plan() const { return plan_; }
  const KeeperCounters& counters() const { return counters_; }
  const MoverCounters& member_counters() const { return member_counters_; }

 private:
  using Brokers = std::map<model::BrokerId, metadata::BrokerHealth>;
  struct Look;
  /// All that plans are made of, in short.
  struct Situation {
    model::Offset applied;
    struct Standing {
      bool recovered = false;
      bool has_room = false;
      std::uint64_t leads = 0;  // the sum of its report
      bool operator==(const Standing&) const = default;
    };
    /// Of each broker that is heard.
    std::map<model::BrokerId, Standing> brokers;
    bool operator==(const Situation&) const = default;
  };
  void arm(common::Duration delay);
  void turn();
  Brokers health_now();
  void gather(common::Reply<common::Result<void>> done);
  void take(const std::shared_ptr<Look>& look, model::BrokerId broker,
            common::Result<LedAnswer> answer);
  void finish(const std::shared_ptr<Look>& look);
  std::optional<Situation> situation(const Brokers& brokers) const;
  void act();
  void keep_members(const Brokers& brokers);
  void move_replicas(metadata::View view, std::optional<Situation> rest);
  void planned(metadata::MovePlan plan);
  bool move_leaders(const metadata::View& view);
  void transfer(const metadata::LeaderTransfer& wanted);
  void forget();
  std::int64_t wall_ms() const { return first_.clock().wall().value(); }

  Shard& first_;
  common::Function<std::vector<cluster::Health>()> health_;
  common::Function<bool()> leads_;
  common::Function<bool()> has_room_;
  const KeeperSettings settings_;
  ClusterView known_;
  std::map<model::BrokerId, std::uint64_t> sums_;  // of the brokers' last reports
  std::optional<Situation> at_rest_;               // in this one nothing is to be done
  metadata::MovePlan plan_;
  std::set<std::string> told_;  // blockers that were logged
  std::set<model::PartitionKey> handing_over_;
  std::map<model::PartitionKey, common::Instant> paused_;
  KeeperCounters counters_;
  MoverCounters member_counters_;
  env::TimerId timer_ = env::TimerId::kNone;
  bool looking_ = false;
  bool planning_ = false;
  bool stopped_ = false;
  storage::Lifeline lifeline_;
};

}  // namespace millrace::service
