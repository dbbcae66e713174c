// ClusterModel cluster;  cluster.add_broker(0, "a");  cluster.add_topic("t", 10, 3);
// cluster.run(plan_moves(cluster.image, cluster.view, limits));   cluster.settle();
//
// An image, and a world that does what the image wants of it: brokers that live and die, partitions
// that follow their assignments at once or later. For tests of the planners.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "broker/metadata/machine_cluster.h"
#include "broker/metadata/plan_leaders.h"
#include "broker/metadata/plan_moves.h"
#include "common/random.h"

namespace millrace::metadata::testing {

/// An id that is told apart by kind and number.
common::Uuid id_of(std::uint8_t kind, std::int32_t number);
common::Uuid directory_of(std::int32_t broker, std::int32_t disk = 0);

class ClusterModel {
 public:
  /// At `level`; the metadata log's partition is known, and nobody's.
  explicit ClusterModel(std::int32_t level = kClusterLevel);

  /// Applies a record, which must fit.
  void commit(const Record& record);
  void commit_all(const std::vector<Record>& records);
  template <typename Outcome>
  bool commit_decision(const Result<Decision<Outcome>>& decision) {
    if (!decision.ok()) return false;
    commit_all(decision->records);
    return true;
  }
  void run(const MovePlan& plan);

  /// Registers a process of the broker with this disk; it is alive from now on.
  void add_broker(std::int32_t id, const std::string& rack, std::int32_t disk = 0);
  /// Placed by the machine; false: refused. Its partitions settle.
  bool add_topic(const std::string& name, std::int32_t partitions, std::int16_t factor);

  bool alive(const Replica& replica) const;
  std::int64_t alive_of(const ReplicaSet& replicas) const;

  /// A partition's group becomes what is wanted, as far as it can: without a majority of its voters
  /// there is no leader, and nothing changes.
  void settle(const model::PartitionKey& key);
  void settle();
  /// Leaders go where the plan wants them.
  void hand_over(const std::vector<LeaderTransfer>& transfers);

  /// Every partition of every topic.
  std::vector<model::PartitionKey> partitions() const;
  /// The number of different racks of a set; a broker without one counts as one of its own.
  std::int64_t racks_of(const ReplicaSet& replicas) const;
  /// Replicas of active brokers; leaderships that they are preferred for; bytes.
  std::vector<std::int64_t> counts() const;
  std::vector<std::int64_t> leads() const;
  std::vector<std::int64_t> bytes() const;

  Image image;
  View view;
  /// Bytes of partitions that have no entry: 1000.
  std::map<model::PartitionKey, std::int64_t> sizes;

 private:
  std::int32_t topics_made_ = 0;
  std::int32_t processes_started_ = 0;
};

/// A cluster of 3 to 8 brokers on up to 3 racks, and some topics.
ClusterModel random_cluster(common::Random& random);

/// The largest less the smallest.
std::int64_t spread(const std::vector<std::int64_t>& values);

}  // namespace millrace::metadata::testing
