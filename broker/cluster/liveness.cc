#include "broker/cluster/liveness.h"

#include <algorithm>

namespace millrace::cluster {
namespace {

// Processes of one broker that were replaced and whose last words may still be on their way.
constexpr std::size_t kReplacedMax = 8;

}  // namespace

bool Liveness::watch(model::BrokerId node, Instant now) {
  if (watches(node)) return true;
  if (brokers_.size() >= settings_.peers_max) return false;
  brokers_[node].heard = now;
  return true;
}

void Liveness::forget(model::BrokerId node) {
  const auto found = brokers_.find(node);
  if (found == brokers_.end()) return;
  if (found->second.standing == Standing::kAlive) suspect(node, found->second);
  brokers_.erase(found);
}

Doubt Liveness::meet(model::BrokerId node, const common::Uuid& directory,
                     const common::Uuid& incarnation, Approach approach, Instant now) {
  const auto found = brokers_.find(node);
  if (found == brokers_.end()) return Doubt::kUnknown;
  Broker& broker = found->second;
  if (std::ranges::count(broker.replaced, incarnation) > 0) return Doubt::kReplaced;
  const bool known = !broker.incarnation.is_zero();
  if (known && broker.incarnation == incarnation) {
    if (broker.directory != directory) return Doubt::kOtherDirectory;
    if (broker.left) return Doubt::kLeft;
    broker.refused = false;
    if (approach == Approach::kItCame) become_alive(node, broker, now);
    return Doubt::kNone;
  }
  if (broker.standing == Standing::kAlive && broker.directory != directory)
    return Doubt::kOtherDirectory;
  if (known) {
    broker.replaced.push_back(broker.incarnation);
    if (broker.replaced.size() > kReplacedMax) broker.replaced.erase(broker.replaced.begin());
  }
  broker.directory = directory;
  broker.incarnation = incarnation;
  broker.state = BrokerState{};
  broker.sent = 0;
  if (broker.standing == Standing::kAlive) trust_anew(broker);
  broker.attached = false;
  broker.refused = false;
  broker.left = false;
  if (!broker.told.is_zero()) tell(Sign::kRestarted, node, broker);
  if (approach == Approach::kItCame) become_alive(node, broker, now);
  return Doubt::kNone;
}

Liveness::Broker* Liveness::current(model::BrokerId node, const common::Uuid& incarnation) {
  const auto found = brokers_.find(node);
  if (found == brokers_.end() || found->second.incarnation != incarnation) return nullptr;
  return &found->second;
}

bool Liveness::heard(model::BrokerId node, const common::Uuid& incarnation, Instant now) {
  Broker* const broker = current(node, incarnation);
  if (broker == nullptr || broker->left) return false;
  become_alive(node, *broker, now);
  return true;
}

bool Liveness::heard(model::BrokerId node, const common::Uuid& incarnation,
                     const BrokerState& state, Instant now) {
  Broker* const broker = current(node, incarnation);
  if (broker == nullptr || broker->left) return false;
  if (now - broker->heard > 2 * settings_.heartbeat) ++late_;
  broker->state = state;
  become_alive(node, *broker, now);
  return true;
}

void Liveness::note_sent(model::BrokerId node, std::uint64_t sent) {
  const auto found = brokers_.find(node);
  if (found != brokers_.end()) found->second.sent = std::max(found->second.sent, sent);
}

Reliance Liveness::reliance(model::BrokerId node, const common::Uuid& incarnation) const {
  const auto found = brokers_.find(node);
  if (found == brokers_.end() || found->second.incarnation != incarnation) return {};
  return {.trust = found->second.trust, .heard = found->second.sent};
}

void Liveness::attached(model::BrokerId node, const common::Uuid& incarnation) {
  if (Broker* const broker = current(node, incarnation)) broker->attached = true;
}

void Liveness::detached(model::BrokerId node, const common::Uuid& incarnation) {
  Broker* const broker = current(node, incarnation);
  if (broker == nullptr) return;
  broker->attached = false;
  suspect_if_gone(node, *broker);
}

void Liveness::connection_refused(model::BrokerId node) {
  const auto found = brokers_.find(node);
  if (found == brokers_.end()) return;
  found->second.refused = true;
  suspect_if_gone(node, found->second);
}

void Liveness::goodbye(model::BrokerId node, const common::Uuid& incarnation) {
  Broker* const broker = current(node, incarnation);
  if (broker == nullptr || broker->left) return;
  broker->left = true;
  suspect(node, *broker);
}

void Liveness::tick(Instant now) {
  // While this process did not run it heard nobody, but that says nothing about them: what they
  // sent meanwhile is about to be read.
  const Duration usual = 2 * settings_.heartbeat;
  if (ticked_.has_value() && now - *ticked_ > usual) {
    const Duration pause = now - *ticked_ - settings_.heartbeat;
    for (auto& [node, broker] : brokers_) broker.heard = std::min(now, broker.heard + pause);
  }
  ticked_ = now;
  for (auto& [node, broker] : brokers_) {
    if (now - broker.heard >= settings_.silence_max) suspect(node, broker);
  }
}

std::optional<Instant> Liveness::next_deadline() const {
  std::optional<Instant> earliest;
  for (const auto& [node, broker] : brokers_) {
    if (broker.standing == Standing::kSuspected) continue;
    const Instant deadline = broker.heard + settings_.silence_max;
    earliest = std::min(earliest.value_or(deadline), deadline);
  }
  return earliest;
}

void Liveness::become_alive(model::BrokerId node, Broker& broker, Instant now) {
  broker.heard = now;
  if (broker.standing == Standing::kAlive) return;
  broker.standing = Standing::kAlive;
  trust_anew(broker);
  tell(Sign::kAlive, node, broker);
}

void Liveness::suspect(model::BrokerId node, Broker& broker) {
  if (broker.standing == Standing::kSuspected) return;
  broker.standing = Standing::kSuspected;
  broker.trust = raft::Trust::kNone;
  tell(Sign::kSuspect, node, broker);
}

void Liveness::suspect_if_gone(model::BrokerId node, Broker& broker) {
  if (broker.refused && !broker.attached) suspect(node, broker);
}

void Liveness::tell(Sign sign, model::BrokerId node, Broker& broker) {
  broker.told = broker.incarnation;
  transitions_.push_back({.sign = sign,
                          .node = node,
                          .directory = broker.directory,
                          .incarnation = broker.incarnation,
                          .trust = broker.trust});
}

bool Liveness::alive(model::BrokerId node) const {
  const auto found = brokers_.find(node);
  return found != brokers_.end() && found->second.standing == Standing::kAlive;
}

Health Liveness::health_of(model::BrokerId node, const Broker& broker, Instant now) {
  return {.node = node,
          .alive = broker.standing == Standing::kAlive,
          .silence = now - broker.heard,
          .directory = broker.directory,
          .incarnation = broker.incarnation,
          .state = broker.state};
}

std::optional<Health> Liveness::health(model::BrokerId node, Instant now) const {
  const auto found = brokers_.find(node);
  if (found == brokers_.end()) return std::nullopt;
  return health_of(node, found->second, now);
}

std::vector<Health> Liveness::all(Instant now) const {
  std::vector<Health> all;
  all.reserve(brokers_.size());
  for (const auto& [node, broker] : brokers_) all.push_back(health_of(node, broker, now));
  return all;
}

}  // namespace millrace::cluster
