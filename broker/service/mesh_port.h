// MeshPort port(shard);   Mesh mesh({.handler = port, ...});
//
// What arrives from other brokers for one shard, handed to those whom it concerns.
#pragma once

#include <utility>
#include <vector>

#include "broker/cluster/mesh.h"
#include "broker/service/announcer.h"
#include "broker/service/calls.h"
#include "broker/service/replicas.h"
#include "broker/service/shard.h"

namespace millrace::service {

/// The shard outlives it.
class MeshPort final : public cluster::MeshHandler {
 public:
  explicit MeshPort(Shard& shard) : shard_(shard) {}

  void on_raft(const model::PartitionKey& group, raft::Message message,
               std::vector<common::Bytes> data) override {
    shard_.replicas().deliver(group, message, data);
  }
  void on_request(cluster::Request request,
                  common::Reply<common::Result<common::Bytes>> reply) override {
    shard_.calls().answer(std::move(request), std::move(reply));
  }
  void on_transition(const cluster::Transition& transition) override {
    shard_.replicas().broker_changed(transition);
    shard_.announcer().look_soon();
  }
  void on_word(model::BrokerId node, const raft::Word& word) override {
    shard_.replicas().heard_word(node, word);
  }
  void on_reconnect(model::BrokerId node) override { shard_.replicas().reconnected(node); }
  void on_leadership(const model::PartitionKey& group,
                     const cluster::Leadership& leadership) override {
    shard_.replicas().heard_of_term(group, leadership.term);
  }

 private:
  Shard& shard_;
};

}  // namespace millrace::service
