// if (const cluster::Leadership* known = neighbours.leaders().find(key)) ...
// neighbours.call(node, 0, Method::kProposeRecords, body, 5s, [](Result<Bytes> answer) { ... });
//
// The other brokers of the cluster, as one shard sees them.
#pragma once

#include <memory>
#include <vector>

#include "broker/cluster/mesh.h"

namespace millrace::service {

/// Implemented over cluster::Mesh, and by tests without sockets. A broker that is alone has none.
/// Used on the shard's loop. What is said of the methods of Mesh holds here too.
class Neighbours {
 public:
  virtual ~Neighbours() = default;

  virtual const cluster::LeaderTable& leaders() const = 0;
  /// Of other brokers only.
  virtual bool alive(model::BrokerId node) const = 0;
  virtual bool just_lost(model::BrokerId node) const = 0;
  virtual bool lost_any() const = 0;
  virtual std::shared_ptr<const cluster::Introduction> introduction(model::BrokerId node) const = 0;

  virtual void send(const model::PartitionKey& key, const raft::Message& message,
                    std::vector<common::Bytes> data) = 0;
  /// See replica::Peers.
  virtual bool has_room(const model::PartitionKey& key, model::BrokerId node) const = 0;
  virtual void announce(const model::PartitionKey& key, cluster::Leadership leadership) = 0;
  virtual void call(model::BrokerId node, std::uint32_t shard, cluster::Method method,
                    common::Bytes body, common::Duration timeout,
                    common::Reply<common::Result<common::Bytes>> reply) = 0;
  virtual void forget_topic(const model::TopicId& topic, std::int32_t partitions) = 0;
};

/// Those that a mesh reaches; the mesh outlives it.
class MeshNeighbours final : public Neighbours {
 public:
  explicit MeshNeighbours(cluster::Mesh& mesh) : mesh_(mesh) {}

  const cluster::LeaderTable& leaders() const override { return mesh_.leaders(); }
  bool alive(model::BrokerId node) const override { return mesh_.alive(node); }
  bool just_lost(model::BrokerId node) const override { return mesh_.just_lost(node); }
  bool lost_any() const override { return mesh_.lost_any(); }
  std::shared_ptr<const cluster::Introduction> introduction(model::BrokerId node) const override {
    return mesh_.introduction(node);
  }
  void send(const model::PartitionKey& key, const raft::Message& message,
            std::vector<common::Bytes> data) override {
    mesh_.send(message.to.node, key, message, std::move(data));
  }
  bool has_room(const model::PartitionKey& key, model::BrokerId node) const override {
    return mesh_.has_room(node, key);
  }
  void announce(const model::PartitionKey& key, cluster::Leadership leadership) override {
    mesh_.announce(key, std::move(leadership));
  }
  void call(model::BrokerId node, std::uint32_t shard, cluster::Method method, common::Bytes body,
            common::Duration timeout, common::Reply<common::Result<common::Bytes>> reply) override {
    mesh_.call(node, shard, method, std::move(body), timeout, std::move(reply));
  }
  void forget_topic(const model::TopicId& topic, std::int32_t partitions) override {
    mesh_.forget_topic(topic, partitions);
  }

 private:
  cluster::Mesh& mesh_;
};

}  // namespace millrace::service
