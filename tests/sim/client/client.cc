#include "tests/sim/client/client.h"

#include <algorithm>
#include <chrono>

#include "broker/wire/messages/find_coordinator.h"

namespace millrace::sim {

using model::ErrorCode;

namespace {

constexpr Duration kMetadataTimeout = std::chrono::seconds(3);
/// The first version with topic ids.
constexpr std::int16_t kMetadataVersionMin = 10;

}  // namespace

Client::Client(Parts parts)
    : parts_(std::move(parts)), transport_(parts_.network.join(parts_.loop, parts_.name)) {}

Connection& Client::connection_to(const env::Endpoint& endpoint) {
  auto& place = connections_[endpoint.text()];
  if (place == nullptr) {
    place = std::make_unique<Connection>(Connection::Parts{.loop = parts_.loop,
                                                           .transport = *transport_,
                                                           .endpoint = endpoint,
                                                           .trace = parts_.trace,
                                                           .owner = parts_.name});
  }
  return *place;
}

Connection* Client::connection(std::int32_t node) {
  if (node == kAnyNode) {
    // The seeds now and then, as they may know what the others do not.
    if (brokers_.empty() || parts_.random.chance(1, 4))
      return &connection_to(parts_.seeds[parts_.random.below(parts_.seeds.size())]);
    auto chosen = brokers_.begin();
    std::advance(chosen, parts_.random.below(brokers_.size()));
    return &connection_to(chosen->second);
  }
  const auto found = brokers_.find(node);
  return found == brokers_.end() ? nullptr : &connection_to(found->second);
}

void Client::untrack(const std::string& topic) {
  tracked_.erase(topic);
  topics_.erase(topic);
}

const TopicView* Client::topic(const std::string& name) const {
  const auto found = topics_.find(name);
  return found == topics_.end() ? nullptr : &found->second;
}

std::int32_t Client::leader(const std::string& name, std::int32_t partition) const {
  const TopicView* const view = topic(name);
  if (view == nullptr || partition >= static_cast<std::int32_t>(view->leaders.size())) return -1;
  return view->leaders[static_cast<std::size_t>(partition)];
}

std::int32_t Client::epoch(const std::string& name, std::int32_t partition) const {
  const TopicView* const view = topic(name);
  if (view == nullptr || partition >= static_cast<std::int32_t>(view->epochs.size())) return -1;
  return view->epochs[static_cast<std::size_t>(partition)];
}

/// What is older than what is known is passed over, as real clients do (KIP-320): brokers hear of
/// new leaders at different times.
void Client::take_metadata(const wire::MetadataResponse& answer) {
  for (const auto& broker : answer.brokers)
    brokers_[broker.node_id] = {broker.host, static_cast<std::uint16_t>(broker.port)};
  for (const auto& topic : answer.topics) {
    if (!topic.name) continue;
    const auto known = topics_.extract(*topic.name);
    if (code_of(topic.error_code) != ErrorCode::kNone) continue;
    const std::size_t count = topic.partitions.size();
    TopicView view{topic.topic_id, std::vector<std::int32_t>(count, -1),
                   std::vector<std::int32_t>(count, -1)};
    for (const auto& partition : topic.partitions) {
      const auto index = static_cast<std::size_t>(partition.partition_index);
      if (index >= count) continue;
      view.leaders[index] = partition.leader_id;
      view.epochs[index] = partition.leader_epoch;
      if (known.empty() || known.mapped().id != view.id || index >= known.mapped().epochs.size())
        continue;
      if (known.mapped().epochs[index] <= partition.leader_epoch) continue;
      view.leaders[index] = known.mapped().leaders[index];
      view.epochs[index] = known.mapped().epochs[index];
    }
    topics_.emplace(*topic.name, std::move(view));
  }
}

void Client::refresh(common::Function<void(bool)> then) {
  refreshing_.push_back(std::move(then));
  if (refreshing_.size() > 1) return;
  wire::MetadataRequest request;
  request.allow_auto_topic_creation = false;
  for (const std::string& name : tracked_)
    request.topics->push_back({.topic_id = {}, .name = name});
  call(
      kAnyNode, request, kMetadataTimeout,
      [this](Result<wire::MetadataResponse> answer) {
        if (answer.ok()) take_metadata(*answer);
        auto waiting = std::exchange(refreshing_, {});
        for (auto& one : waiting) one(answer.ok());
      },
      kMetadataVersionMin);
}

void Client::find_coordinator(const std::string& group, Reply<std::int32_t> done) {
  wire::FindCoordinatorRequest request;
  request.key = group;
  request.coordinator_keys = {group};
  call(kAnyNode, request, kMetadataTimeout,
       [this, done = std::move(done)](Result<wire::FindCoordinatorResponse> answer) mutable {
         if (!answer.ok()) return done(-1);
         std::int16_t error = answer->error_code;
         env::Endpoint endpoint{answer->host, static_cast<std::uint16_t>(answer->port)};
         std::int32_t node = answer->node_id;
         if (!answer->coordinators.empty()) {
           const auto& first = answer->coordinators.front();
           error = first.error_code;
           node = first.node_id;
           endpoint = {first.host, static_cast<std::uint16_t>(first.port)};
         }
         if (code_of(error) != ErrorCode::kNone) return done(-1);
         brokers_[node] = endpoint;
         done(node);
       });
}

}  // namespace millrace::sim
