// Topics, brokers and leaders as Metadata and its relatives tell of them, and as errors hint at
// them.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "broker/kafka/handlers/answers.h"
#include "broker/metadata/image.h"
#include "broker/model/topic_name.h"
#include "broker/service/leaders.h"
#include "broker/service/shard.h"

namespace millrace::kafka {

/// One broker with the address that Kafka clients should use.
struct BrokerView {
  std::int32_t id = -1;
  std::string host;
  std::int32_t port = 0;
  std::optional<std::string> rack;
};

/// Whether this broker hears no majority of the cluster's brokers. Then it is rather this one that
/// is cut off than all others that are dead, and what it knew before is better than nothing: a
/// client that was told of this broker alone would have nobody else to ask.
bool is_cut_off(const service::Shard& shard);

/// The brokers of the cluster that a client can be sent to, by id: those with an address on its
/// listener, as in Kafka. On the main one each broker has one, and this one is always among them.
/// Those that are not heard are left out, as Kafka leaves out fenced ones, unless this one is cut
/// off, or they were lost a moment ago: a client that is told of new leaders has to take its
/// partitions from the old one before it forgets who that is (librdkafka loses half a second
/// otherwise).
std::vector<BrokerView> broker_views(const service::Shard& shard, const Arrival& arrival);
/// nullopt: there is no such broker, it is not heard, or it has no address on that listener.
std::optional<BrokerView> broker_view(const service::Shard& shard, const Arrival& arrival,
                                      model::BrokerId id);
/// Whether a broker has an address on the listener, heard or not.
bool has_address(const service::Shard& shard, const Arrival& arrival, model::BrokerId id);

/// Whom clients take for the controller: who leads the metadata log. Any broker serves what Kafka's
/// controller does, so this one stands in while nobody leads, or where the client cannot be sent to
/// who does; and where it cannot be sent here either, any broker that it can be sent to.
std::int32_t controller_id(service::Shard& shard, const Arrival& arrival);

/// All replicas of a partition: while it is moved, where it goes and where it was.
std::vector<model::BrokerId> replicas_of(const metadata::PartitionAssignment& assignment);

/// A partition as the image knows it; who leads it is filled in by answer_with_leaders().
template <typename Partition>
Partition partition_view(const metadata::Topic& topic, std::int32_t index) {
  Partition view;
  view.partition_index = index;
  view.leader_id = -1;
  view.error_code = kafka_number(ErrorCode::kLeaderNotAvailable);
  for (const model::BrokerId replica :
       replicas_of(topic.assignments[static_cast<std::size_t>(index)]))
    view.replica_nodes.push_back(replica.value());
  return view;
}

/// Whom clients should ask for a partition; -1: nobody leads it. If this broker is cut off, others
/// lead by now: the one it knows of, or else another replica, which knows better. A client that is
/// told of nobody would ask here again and again, because its other connections are idle.
model::BrokerId leader_to_name(const service::Shard& shard, const Arrival& arrival,
                               const service::KnownLeader& known,
                               const std::vector<std::int32_t>& replicas);

/// What is known of a partition's leader and of the brokers of its replicas. As in Kafka, those
/// without an address on the client's listener are offline to it, and may be in sync all the same;
/// a leader without one is LISTENER_NOT_FOUND and not named.
template <typename Partition>
void put_leader(const service::Shard& shard, const Arrival& arrival,
                const service::KnownLeader& known, Partition& view) {
  for (const std::int32_t replica : view.replica_nodes) {
    const model::BrokerId broker{replica};
    const auto& in_sync = known.in_sync;
    const bool alive = shard.alive(broker);
    if (!alive || !has_address(shard, arrival, broker)) view.offline_replicas.push_back(replica);
    if (alive && std::find(in_sync.begin(), in_sync.end(), broker) != in_sync.end())
      view.isr_nodes.push_back(replica);
  }
  view.leader_epoch = known.epoch.value();
  const model::BrokerId leader = leader_to_name(shard, arrival, known, view.replica_nodes);
  if (leader == model::BrokerId{-1}) return;
  if (!has_address(shard, arrival, leader)) {
    view.error_code = kafka_number(ErrorCode::kListenerNotFound);
    return;
  }
  view.error_code = kafka_number(ErrorCode::kNone);
  view.leader_id = leader.value();
}

/// Finds out who leads the answer's partitions, fills that in, and answers; `finish` may change the
/// answer before.
template <typename Request, typename Finish>
void answer_with_leaders(service::Shard& shard, Arrival arrival,
                         typename Request::Response response, Call<Request> call, Finish finish) {
  std::vector<model::PartitionKey> keys;
  for (const auto& topic : response.topics) {
    for (const auto& partition : topic.partitions)
      keys.push_back({topic.topic_id, model::PartitionIndex{partition.partition_index}});
  }
  auto kept = std::make_unique<typename Request::Response>(std::move(response));
  auto answer = [&shard, arrival = std::move(arrival), call = std::move(call),
                 response = std::move(kept),
                 finish](std::vector<service::KnownLeader> leaders) mutable {
    auto known = leaders.begin();
    for (auto& topic : response->topics) {
      for (auto& partition : topic.partitions) put_leader(shard, arrival, *known++, partition);
    }
    finish(*response);
    call.answer(*response);
  };
  service::await_successors(
      shard, std::move(keys),
      [&shard, answer = std::move(answer)](std::vector<model::PartitionKey> asked) mutable {
        service::known_leaders(shard, std::move(asked), std::move(answer));
      });
}

/// Says nothing where nobody is known to lead, not even in which term: librdkafka (2.16) makes room
/// for each leader that an answer has, leaves that of one below 0 as it finds it, and then waits
/// for ever for a term that was never there.
template <typename Leader>
void put_leader(const service::LeaderHint& hint, Leader& leader) {
  if (hint.leader == model::BrokerId{-1}) return;
  leader.leader_id = hint.leader.value();
  leader.leader_epoch = hint.epoch.value();
}

/// Leaders that errors point to, and their addresses at the end of the answer (KIP-951).
class LeaderHints {
 public:
  LeaderHints(const service::Shard& shard, Arrival arrival)
      : shard_(shard), arrival_(std::move(arrival)) {}

  template <typename Leader>
  void put(const service::LeaderHint& hint, Leader& leader) {
    put_leader(hint, leader);
    name(hint.leader);
  }
  void name(model::BrokerId leader) {
    if (leader != model::BrokerId{-1}) named_.insert(leader);
  }
  template <typename Response>
  void finish(Response& response) const {
    for (const model::BrokerId id : named_) {
      auto broker = broker_view(shard_, arrival_, id);
      if (!broker) continue;
      response.node_endpoints.push_back(
          {broker->id, std::move(broker->host), broker->port, std::move(broker->rack)});
    }
  }

 private:
  const service::Shard& shard_;
  Arrival arrival_;
  std::set<model::BrokerId> named_;
};

}  // namespace millrace::kafka
