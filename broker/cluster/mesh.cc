#include "broker/cluster/mesh.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "broker/cluster/hub.h"
#include "broker/cluster/inbound.h"

namespace millrace::cluster {

using common::Error;
using model::ErrorCode;

Mesh::Mesh(Parts parts)
    : shard_(parts.shard),
      loop_(parts.loop),
      transport_(parts.transport),
      settings_(parts.settings),
      handler_(parts.handler),
      shard_of_(parts.shard_of),
      random_(std::move(parts.random)),
      pool_(loop_, settings_, metrics_),
      leaders_(settings_.partitions_max),
      calls_here_(loop_, metrics_) {}

Mesh::~Mesh() {
  closed_ = true;
  inbounds_.clear();
  known_.clear();
}

void Mesh::attach(std::vector<Elsewhere<Mesh>> shards, Elsewhere<Hub> hub) {
  shards_ = std::move(shards);
  hub_ = std::move(hub);
}

void Mesh::introduce(std::shared_ptr<const Introduction> self) {
  self_ = std::move(self);
}

void Mesh::close() {
  if (std::exchange(closed_, true)) return;
  const Error why = model::error(ErrorCode::kShuttingDown);
  close_inbounds([](const Inbound&) { return true; });
  for (auto& [node, known] : known_) rest_links(known, why);
  calls_here_.fail_all(why);
  announced_.clear();
}

const MeshMetrics& Mesh::metrics_now() {
  return metrics_;
}

bool Mesh::alive(model::BrokerId node) const {
  const auto found = known_.find(node);
  return found != known_.end() && found->second.alive;
}

bool Mesh::suspected(model::BrokerId node) const {
  const auto found = known_.find(node);
  return found != known_.end() && found->second.suspected;
}

bool Mesh::is_lost(const Known& known) const {
  return known.lost_at && pool_.now() - *known.lost_at < kLostMax;
}

bool Mesh::just_lost(model::BrokerId node) const {
  const auto found = known_.find(node);
  return found != known_.end() && is_lost(found->second);
}

bool Mesh::lost_any() const {
  return std::ranges::any_of(known_, [this](const auto& one) { return is_lost(one.second); });
}

void Mesh::note_lost(model::BrokerId node) {
  const auto found = known_.find(node);
  if (found == known_.end() || !found->second.alive || is_lost(found->second)) return;
  found->second.lost_at = pool_.now();
}

// A guest may not have told where it listens: it can be heard, but not called.
bool Mesh::reachable(model::BrokerId node) const {
  const auto found = known_.find(node);
  return found != known_.end() && found->second.alive && !found->second.endpoints.empty();
}

std::shared_ptr<const Introduction> Mesh::introduction(model::BrokerId node) const {
  return alive(node) ? known_.at(node).who : nullptr;
}

void Mesh::pause_input() {
  pool_.pause();
}

void Mesh::resume_input() {
  pool_.resume();
}

// ---- Out

Link& Mesh::link_to(model::BrokerId node, Known& known, std::uint32_t shard) {
  CHECK(known.alive && shard < known.who->shards);
  if (known.ways.size() <= shard) known.ways.resize(known.who->shards);
  Way& way = known.ways[shard];
  if (way.link == nullptr) {
    way.link = std::make_unique<Link>(
        Link::Parts{pool_, transport_, self_, shard_, *this, random_.fork()},
        Link::Target{.node = node, .channel = Channel::kShards, .to_shard = shard});
    way.link->set_endpoints(known.endpoints);
  }
  way.link->seek();
  return *way.link;
}

void Mesh::send(model::BrokerId node, const model::PartitionKey& group,
                const raft::Message& message, std::vector<Bytes> data) {
  DCHECK(loop_.here());
  if (closed_ || !reachable(node)) {
    ++metrics_.dropped_down;
    return;
  }
  CHECK(message.to.node == node && message.from.node == self_->node && node != self_->node);
  Known& known = known_.find(node)->second;
  if (message.to.directory != known.who->directory || message.from.directory != self_->directory) {
    ++metrics_.dropped_stray;
    return;
  }
  Link& link = link_to(node, known, shard_of_(group, known.who->shards));
  if (link.send(group, message, data)) return;
  ++(link.hopeful() ? metrics_.dropped_full : metrics_.dropped_down);
}

bool Mesh::has_room(model::BrokerId node, const model::PartitionKey& group) const {
  const auto found = known_.find(node);
  if (found == known_.end() || !found->second.alive) return false;
  const Known& known = found->second;
  const std::uint32_t shard = shard_of_(group, known.who->shards);
  if (shard >= known.ways.size() || known.ways[shard].link == nullptr) return true;
  return known.ways[shard].link->queued_bytes() < settings_.queue_bytes_max / 2;
}

void Mesh::call(model::BrokerId node, std::uint32_t shard, Method method, Bytes body,
                Duration timeout, common::Reply<Result<Bytes>> reply) {
  DCHECK(loop_.here());
  if (closed_) return reply(model::error(ErrorCode::kShuttingDown));
  if (self_ != nullptr && node == self_->node && shard < shards_.size())
    return call_here(shard, method, std::move(body), timeout, std::move(reply));
  if (!reachable(node) || shard >= known_.at(node).who->shards) {
    ++metrics_.calls_failed;
    return reply(
        Error{ErrorCode::kBrokerNotAvailable, fmt::format("broker {} is not connected", node)});
  }
  link_to(node, known_.at(node), shard).call(method, std::move(body), timeout, std::move(reply));
}

void Mesh::call_here(std::uint32_t shard, Method method, Bytes body, Duration timeout,
                     common::Reply<Result<Bytes>> reply) {
  if (calls_here_.size() >= settings_.calls_max)
    return reply(Error{ErrorCode::kMemoryExhausted, "too much waits already"});
  const std::uint64_t id = calls_here_.add(timeout, std::move(reply));
  Request request{.from = self_->node,
                  .from_shard = shard_,
                  .method = method,
                  .body = std::move(body),
                  .deadline = pool_.now() + timeout};
  shards_[shard].post([from = elsewhere(), id, request = std::move(request)](Mesh& mesh) mutable {
    mesh.serve(std::move(request), [from = std::move(from), id](Result<Bytes> result) {
      from.post([id, result = std::move(result)](Mesh& caller) mutable {
        caller.calls_here_.answer(id, std::move(result));
      });
    });
  });
}

bool Mesh::on_greeted(Link& link, const Introduction& who) {
  const auto found = known_.find(link.target().node);
  // Another process than the hub has met: what there is to say of it comes from there.
  return found != known_.end() && found->second.alive &&
         found->second.who->incarnation == who.incarnation &&
         found->second.who->directory == who.directory;
}

void Mesh::on_open(Link& link) {
  const model::BrokerId node = link.target().node;
  const auto found = known_.find(node);
  CHECK(found != known_.end());
  Way& way = found->second.ways[link.target().to_shard];
  found->second.lost_at.reset();
  if (std::exchange(way.was_open, true)) handler_.on_reconnect(node);
}

void Mesh::on_down(Link& link, LinkEnd end, const std::string&) {
  if (end == LinkEnd::kBroken) note_lost(link.target().node);
}

void Mesh::rest_links(Known& known, const Error& why) {
  // Whoever is answered may send or call again.
  for (Way& way : std::exchange(known.ways, {})) {
    if (way.link == nullptr) continue;
    way.link->rest(why);
    // It may be the one whose callback this is.
    pool_.bury(std::move(way.link));
  }
}

// ---- In

void Mesh::take_connection(std::unique_ptr<env::Connection> connection,
                           std::shared_ptr<const Introduction> who, std::uint32_t from_shard,
                           std::uint8_t version) {
  const auto found = known_.find(who->node);
  const bool current = found != known_.end() && found->second.alive &&
                       found->second.who->incarnation == who->incarnation;
  // The other end sees it close, and comes again if it is still there.
  if (closed_ || !current) return;
  close_inbounds([&](const Inbound& inbound) {
    return inbound.who().node == who->node && inbound.from_shard() == from_shard;
  });
  inbounds_.push_back(std::make_unique<Inbound>(*this, transport_.adopt(std::move(connection)),
                                                std::move(who), from_shard, version));
  inbounds_.back()->start();
}

void Mesh::deliver(const model::PartitionKey& group, raft::Message message,
                   std::vector<Bytes> data) {
  if (shard_of_(group, self_->shards) != shard_) {
    ++metrics_.dropped_stray;
    return;
  }
  ++metrics_.messages_in;
  handler_.on_raft(group, std::move(message), std::move(data));
}

void Mesh::serve(Request request, common::Reply<Result<Bytes>> reply) {
  if (closed_) return reply(model::error(ErrorCode::kShuttingDown));
  ++metrics_.calls_in;
  handler_.on_request(std::move(request), std::move(reply));
}

void Mesh::lost(Inbound& inbound) {
  note_lost(inbound.who().node);
  close_inbounds([&inbound](const Inbound& other) { return &other == &inbound; });
}

template <typename Predicate>
void Mesh::close_inbounds(Predicate predicate) {
  const auto gone = std::ranges::stable_partition(
      inbounds_, [&](const auto& inbound) { return !predicate(*inbound); });
  for (std::unique_ptr<Inbound>& inbound : gone) {
    inbound->close();
    pool_.bury(std::move(inbound));
  }
  inbounds_.erase(gone.begin(), gone.end());
}

// ---- What the hub tells

void Mesh::take_transition(const Transition& transition, std::shared_ptr<const Introduction> who) {
  if (closed_) return;
  Known& known = known_[transition.node];
  const auto of_node = [&transition](const Inbound& inbound) {
    return inbound.who().node == transition.node;
  };
  switch (transition.sign) {
    case Sign::kSuspect:
      note_lost(transition.node);
      known.alive = false;
      known.suspected = true;
      close_inbounds(of_node);
      rest_links(known, {ErrorCode::kNetworkException,
                         fmt::format("broker {} is suspected", transition.node)});
      break;
    case Sign::kRestarted:
      known.who = std::move(who);
      close_inbounds(of_node);
      rest_links(known, {ErrorCode::kNetworkException,
                         fmt::format("broker {} was restarted", transition.node)});
      break;
    case Sign::kAlive:
      known.alive = true;
      known.suspected = false;
      known.lost_at.reset();
      known.who = std::move(who);
      break;
  }
  CHECK(!known.alive || known.who != nullptr);
  handler_.on_transition(transition);
}

void Mesh::take_word(model::BrokerId node, const raft::Word& word) {
  if (!closed_ && alive(node)) handler_.on_word(node, word);
}

void Mesh::take_farewell(model::BrokerId node) {
  const auto found = known_.find(node);
  if (found == known_.end()) return;
  CHECK(!found->second.alive && found->second.ways.empty());
  known_.erase(found);
}

void Mesh::take_endpoints(model::BrokerId node, std::vector<env::Endpoint> endpoints) {
  Known& known = known_[node];
  known.endpoints = std::move(endpoints);
  for (Way& way : known.ways) {
    if (way.link != nullptr) way.link->set_endpoints(known.endpoints);
  }
}

// ---- Leaders

void Mesh::announce(const model::PartitionKey& group, Leadership leadership) {
  DCHECK(loop_.here());
  if (closed_) return;
  const Leadership* const known = leaders_.find(group);
  leadership.version = known != nullptr && known->term == leadership.term ? known->version + 1 : 0;
  if (!leaders_.learn(group, leadership)) return;
  announced_.push_back({group, std::move(leadership)});
  if (announced_.size() == 1) pool_.at_turn_end([this] { send_announcements(); });
}

void Mesh::send_announcements() {
  if (announced_.empty()) return;
  auto entries = std::make_shared<const std::vector<LeaderEntry>>(std::exchange(announced_, {}));
  hub_.post([shard = shard_, entries = std::move(entries)](Hub& hub) {
    hub.take_announcements(shard, entries);
  });
}

void Mesh::take_leaders(const Entries& entries) {
  for (const LeaderEntry& entry : *entries) {
    if (leaders_.learn(entry.key, entry.leadership))
      handler_.on_leadership(entry.key, entry.leadership);
  }
}

}  // namespace millrace::cluster
