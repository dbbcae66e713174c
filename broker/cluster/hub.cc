#include "broker/cluster/hub.h"

#include <fmt/format.h>

#include <algorithm>

#include "broker/cluster/door.h"
#include "broker/cluster/handshake.h"

namespace millrace::cluster {

using common::Error;
using model::ErrorCode;

Hub::Hub(Parts parts)
    : loop_(parts.loop),
      transport_(parts.transport),
      settings_(parts.settings),
      random_(std::move(parts.random)),
      log_(std::move(parts.log)),
      pool_(loop_, settings_, traffic_),
      liveness_(settings_),
      began_(loop_.clock().now()) {}

Hub::~Hub() {
  listener_.reset();
  if (beat_timer_ != env::TimerId::kNone) loop_.cancel(beat_timer_);
  if (deadline_timer_ != env::TimerId::kNone) loop_.cancel(deadline_timer_);
  visitors_.clear();
  neighbours_.clear();
}

void Hub::join(std::span<Mesh* const> meshes) {
  CHECK(shards_.empty() && !meshes.empty());
  for (Mesh* const mesh : meshes) shards_.push_back(mesh->elsewhere());
  post_to_all([shards = shards_, hub = Elsewhere<Hub>(*this, loop_, here_)](Mesh& mesh) {
    mesh.attach(shards, hub);
  });
}

Result<env::Endpoint> Hub::listen(const env::Endpoint& endpoint) {
  TRY_ASSIGN(listener_,
             transport_.listen(endpoint, [this](std::unique_ptr<env::Connection> connection) {
               accept(std::move(connection));
             }));
  return listener_->endpoint();
}

void Hub::start(std::shared_ptr<const Introduction> self) {
  CHECK(self_ == nullptr && is_sound(*self));
  CHECK(self->shards == shards_.size(), "{} shards are announced, {} are there", self->shards,
        shards_.size());
  self_ = std::move(self);
  post_to_all([self = self_](Mesh& mesh) { mesh.introduce(self); });
  drop_neighbour(self_->node);
  for (auto& [node, neighbour] : neighbours_) {
    CHECK(liveness_.watch(node, now()));
    look_for(node, neighbour);
  }
  // Brokers that start together do not beat together.
  beat_soon(Duration{random_.between(0, settings_.heartbeat.count())});
}

void Hub::say(const std::string& line) {
  if (log_) log_(line);
}

// ---- Who there is

Hub::Neighbour& Hub::neighbour_of(model::BrokerId node) {
  return neighbours_[node];
}

void Hub::set_peer(const Peer& peer) {
  if (self_ != nullptr && peer.node == self_->node) return;
  const bool is_new = !neighbours_.contains(peer.node);
  if (is_new && neighbours_.size() >= settings_.peers_max)
    return say(fmt::format("event=broker_ignored broker={} reason=\"more than {} brokers\"",
                           peer.node, settings_.peers_max));
  Neighbour& neighbour = neighbour_of(peer.node);
  neighbour.told = peer.endpoint;
  if (self_ == nullptr) return;
  CHECK(liveness_.watch(peer.node, now()));
  look_for(peer.node, neighbour);
}

void Hub::remove_peer(model::BrokerId node) {
  drop_neighbour(node);
}

void Hub::drop_neighbour(model::BrokerId node) {
  const auto found = neighbours_.find(node);
  if (found == neighbours_.end()) return;
  liveness_.forget(node);
  pump();
  Neighbour& neighbour = found->second;
  drop_pulse(neighbour);
  if (neighbour.link != nullptr) {
    neighbour.link->rest(model::error(ErrorCode::kBrokerNotAvailable));
    pool_.bury(std::move(neighbour.link));
  }
  neighbours_.erase(found);
  post_to_all([node](Mesh& mesh) { mesh.take_farewell(node); });
}

// Where it says itself that it listens comes first: it may have moved since others heard of it.
void Hub::look_for(model::BrokerId node, Neighbour& neighbour) {
  std::vector<env::Endpoint> endpoints;
  if (neighbour.who != nullptr && !neighbour.who->internal.host.empty() &&
      neighbour.who->internal.port != 0)
    endpoints.push_back(neighbour.who->internal);
  if (neighbour.told.has_value() && std::ranges::count(endpoints, *neighbour.told) == 0)
    endpoints.push_back(*neighbour.told);
  if (endpoints.empty() || leaving_) return;
  const bool changed = neighbour.endpoints != endpoints;
  if (neighbour.link == nullptr) {
    neighbour.link =
        std::make_unique<Link>(Link::Parts{pool_, transport_, self_, 0, *this, random_.fork()},
                               Link::Target{.node = node, .channel = Channel::kBrokers});
  }
  if (changed) {
    neighbour.endpoints = endpoints;
    neighbour.link->set_endpoints(endpoints);
    post_to_all([node, endpoints](Mesh& mesh) { mesh.take_endpoints(node, endpoints); });
  }
  neighbour.link->seek();
  if (changed) neighbour.link->hurry();
}

std::vector<Health> Hub::health() const {
  return liveness_.all(now());
}

std::shared_ptr<const Introduction> Hub::introduction(model::BrokerId node) const {
  const auto found = neighbours_.find(node);
  return found == neighbours_.end() ? nullptr : found->second.who;
}

std::string Hub::trouble(model::BrokerId node) const {
  const auto found = neighbours_.find(node);
  return found == neighbours_.end() ? std::string() : found->second.trouble;
}

const HubMetrics& Hub::metrics_now() {
  metrics_.heartbeats_late = liveness_.late();
  metrics_.brokers_alive = 0;
  metrics_.brokers_suspected = 0;
  for (const Health& health : liveness_.all(now()))
    ++(health.alive ? metrics_.brokers_alive : metrics_.brokers_suspected);
  metrics_.leaders_known = table() == nullptr ? 0 : table()->size();
  return metrics_;
}

// ---- Who is alive

Doubt Hub::meet(Neighbour& neighbour, const Introduction& who, Approach approach) {
  const Doubt doubt = liveness_.meet(who.node, who.directory, who.incarnation, approach, now());
  if (doubt != Doubt::kNone) return doubt;
  if (neighbour.who == nullptr || *neighbour.who != who) {
    neighbour.who = std::make_shared<const Introduction>(who);
    look_for(who.node, neighbour);
  }
  pump();
  return doubt;
}

// Every shard hears the same in the same order, and before anything that the broker sends.
void Hub::pump() {
  const std::vector<Transition> transitions = liveness_.take();
  for (const Transition& transition : transitions) {
    const auto found = neighbours_.find(transition.node);
    CHECK(found != neighbours_.end());
    post_to_all([transition, who = found->second.who](Mesh& mesh) {
      mesh.take_transition(transition, who);
    });
    act_on(transition, found->second);
  }
}

void Hub::act_on(const Transition& transition, Neighbour& neighbour) {
  const model::BrokerId node = transition.node;
  Link* const link = neighbour.link.get();
  if (transition.sign == Sign::kSuspect) {
    ++metrics_.suspicions;
    const auto health = liveness_.health(node, now());
    say(fmt::format("event=broker_suspected broker={} silent_ms={} link=\"{}\"", node,
                    health.has_value() ? health->silence / std::chrono::milliseconds(1) : 0,
                    neighbour.trouble.empty() ? "open" : neighbour.trouble));
    // What is stuck in the old connections may take long to come through; new ones do not.
    drop_pulse(neighbour);
    liveness_.detached(node, transition.incarnation);
    neighbour.beats = false;
    if (link != nullptr && link->hopeful())
      link->restart(model::error(ErrorCode::kNetworkException));
    return;
  }
  const bool restarted = transition.sign == Sign::kRestarted;
  if (restarted) ++metrics_.restarts;
  say(fmt::format("event={} broker={} directory={} incarnation={}",
                  restarted ? "broker_restarted" : "broker_alive", node, transition.directory,
                  transition.incarnation));
  std::erase_if(complained_, [node](const auto& said) { return said.first == node; });
  neighbour.complaint.clear();
  neighbour.repair_at = now();
  neighbour.beats = false;
  if (neighbour.pulse != nullptr && neighbour.pulse->who().incarnation != transition.incarnation)
    drop_pulse(neighbour);
  if (link == nullptr) return;
  const bool other =
      !link->incarnation().is_zero() && link->incarnation() != transition.incarnation;
  if (other) {
    link->restart(model::error(ErrorCode::kNetworkException));
  } else {
    link->hurry();
  }
}

void Hub::drop_pulse(Neighbour& neighbour) {
  if (neighbour.pulse == nullptr) return;
  neighbour.pulse->close();
  pool_.bury(std::move(neighbour.pulse));
}

// ---- The links to the others

bool Hub::on_greeted(Link& link, const Introduction& who) {
  const model::BrokerId node = link.target().node;
  Neighbour& neighbour = neighbours_.at(node);
  std::string complaint;
  if (who.cluster_id != self_->cluster_id) {
    complaint = fmt::format("it belongs to cluster {}", who.cluster_id);
  } else if (who.node != node) {
    complaint = fmt::format("broker {} answers there", who.node);
  } else if (const Doubt doubt = meet(neighbour, who, Approach::kWeWent); doubt != Doubt::kNone) {
    complaint = refusal_of(doubt, who).text;
  }
  if (complaint.empty()) return true;
  if (std::exchange(neighbour.complaint, complaint) != complaint)
    say(fmt::format("event=broker_not_accepted broker={} reason=\"{}\"", node, complaint));
  return false;
}

void Hub::on_open(Link& link) {
  Neighbour& neighbour = neighbours_.at(link.target().node);
  neighbour.repair_at = now();
  neighbour.trouble.clear();
  send_heartbeat(link);
}

void Hub::on_down(Link& link, LinkEnd end, const std::string& why) {
  const model::BrokerId node = link.target().node;
  Neighbour& neighbour = neighbours_.at(node);
  neighbour.trouble = fmt::format("{}: {}", name_of(end), why);
  if (end == LinkEnd::kTurnedAway || end == LinkEnd::kMalformed) {
    if (std::exchange(neighbour.complaint, why) != why)
      say(fmt::format("event=broker_not_reached broker={} cause={} reason=\"{}\"", node,
                      name_of(end), why));
  }
  if (end != LinkEnd::kRefused) return;
  liveness_.connection_refused(node);
  pump();
}

void Hub::goodbye() {
  if (std::exchange(leaving_, true)) return;
  listener_.reset();
  if (beat_timer_ != env::TimerId::kNone)
    loop_.cancel(std::exchange(beat_timer_, env::TimerId::kNone));
  for (const auto& visitor : visitors_) visitor->close();
  for (auto& [node, neighbour] : neighbours_) {
    Link* const link = neighbour.link.get();
    if (link == nullptr) continue;
    if (link->open()) {
      link->send(encode_goodbye(link->version()));
      link->flush();
    }
    // Who comes again without a heart that beats would be alive and suspected by turns.
    link->rest(model::error(ErrorCode::kShuttingDown));
  }
  post_to_all([](Mesh& mesh) { mesh.close(); });
}

}  // namespace millrace::cluster
