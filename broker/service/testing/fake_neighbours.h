// FakeNeighbours others;   shard.set_neighbours(&others);
// others.alive_now.insert(BrokerId{1});   others.table.learn(key, {.leader = BrokerId{1}, ...});
//
// Other brokers as a test says they are. Nothing gets to them.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "broker/service/neighbours.h"

namespace millrace::service::testing {

class FakeNeighbours final : public Neighbours {
 public:
  struct Announced {
    model::PartitionKey key;
    cluster::Leadership leadership;
  };
  struct Asked {
    model::BrokerId node{-1};
    std::uint32_t shard = 0;
    cluster::Method method{};
    common::Bytes body;
  };

  const cluster::LeaderTable& leaders() const override { return table; }
  bool alive(model::BrokerId node) const override { return alive_now.contains(node); }
  bool just_lost(model::BrokerId node) const override { return lost_now.contains(node); }
  bool lost_any() const override { return !lost_now.empty(); }
  std::shared_ptr<const cluster::Introduction> introduction(model::BrokerId node) const override {
    if (!alive(node)) return nullptr;
    auto who = std::make_shared<cluster::Introduction>();
    who->node = node;
    return who;
  }
  void send(const model::PartitionKey&, const raft::Message&, std::vector<common::Bytes>) override {
    ++sent;
  }
  bool has_room(const model::PartitionKey&, model::BrokerId) const override { return true; }
  void announce(const model::PartitionKey& key, cluster::Leadership leadership) override {
    announced.push_back({key, leadership});
    leadership.version = ++version_;
    table.learn(key, std::move(leadership));
  }
  void call(model::BrokerId node, std::uint32_t shard, cluster::Method method, common::Bytes body,
            common::Duration, common::Reply<common::Result<common::Bytes>> reply) override {
    asked.push_back({node, shard, method, std::move(body)});
    if (!alive(node)) return reply(model::error(model::ErrorCode::kBrokerNotAvailable));
    if (!answer) return reply(model::error(model::ErrorCode::kRequestTimedOut));
    reply(answer(asked.back()));
  }
  void forget_topic(const model::TopicId& topic, std::int32_t partitions) override {
    table.forget(topic, partitions);
  }

  cluster::LeaderTable table;
  std::set<model::BrokerId> alive_now;
  std::set<model::BrokerId> lost_now;
  /// What calls are answered with; empty: with a timeout.
  common::Function<common::Result<common::Bytes>(const Asked&)> answer;
  std::vector<Announced> announced;
  std::vector<Asked> asked;
  std::uint64_t sent = 0;

 private:
  std::uint32_t version_ = 0;
};

}  // namespace millrace::service::testing
