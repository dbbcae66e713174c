// What brokers know of each other, and tell the simulator's groups.
#include <algorithm>
#include <utility>

#include "broker/raft/testing/simulator.h"

namespace millrace::raft {
namespace {

constexpr Duration kHeartbeat = std::chrono::milliseconds(50);

}  // namespace

void Simulator::draw_trust(Node& node, int other) {
  const auto index = static_cast<std::size_t>(other);
  node.trust[index] = Trust{++node.trusts};
  node.contacts.trust(model::BrokerId{other}, node.trust[index]);
}

void Simulator::heard(int node, int from) {
  Node& self = at(node);
  const auto index = static_cast<std::size_t>(from);
  self.heard_at[index] = local(self);
  if (self.trust[index] == Trust::kNone) draw_trust(self, from);
  if (!std::exchange(self.suspects[index], false)) return;
  trace("{} hears {} again", node, from);
  self.shell->alive(model::BrokerId{from}, local(self));
  after(node);
}

void Simulator::see_new(int node, int other, std::uint64_t life) {
  Node& self = at(node);
  const auto index = static_cast<std::size_t>(other);
  self.heard_life[index] = life;
  self.heard_sent[index] = Instant{};
  self.contacts.forget_word(model::BrokerId{other});
  draw_trust(self, other);
  trace("{} sees that {} is new", node, other);
  self.shell->restarted(model::BrokerId{other}, local(self));
  after(node);
}

void Simulator::heartbeat(int node) {
  push(now_ + kHeartbeat, EventKind::kHeartbeat, node);
  if (!up(node)) return;
  look_for_silence(node);
  for (int other = 0; other < node_count_; ++other) {
    if (other != node && linked(node, other)) send_beat(node, other);
  }
}

void Simulator::look_for_silence(int node) {
  Node& self = at(node);
  // While it stood still it heard nobody.
  const Duration since = local(self) - std::exchange(self.beat_at, local(self));
  const Duration pause = since > 2 * kHeartbeat ? since - kHeartbeat : Duration{0};
  for (int other = 0; other < node_count_; ++other) {
    const auto index = static_cast<std::size_t>(other);
    self.heard_at[index] = std::min(local(self), self.heard_at[index] + pause);
    const bool silent = local(self) - self.heard_at[index] >= settings_.election_timeout;
    if (other == node || self.suspects[index] || !silent) continue;
    self.suspects[index] = true;
    self.trust[index] = Trust::kNone;
    self.contacts.trust(model::BrokerId{other}, Trust::kNone);
    self.contacts.forget_word(model::BrokerId{other});
    trace("{} suspects {}", node, other);
    self.shell->suspect(model::BrokerId{other}, local(self));
    after(node);
  }
}

void Simulator::send_beat(int node, int other) {
  if (random_.chance(static_cast<std::uint64_t>(faults_.drop_percent), 100)) return;
  const Node& self = at(node);
  const auto index = static_cast<std::size_t>(other);
  std::uint32_t slot = static_cast<std::uint32_t>(beats_.size());
  if (free_beats_.empty()) {
    beats_.emplace_back();
  } else {
    slot = free_beats_.back();
    free_beats_.pop_back();
  }
  beats_[slot] = {.from = node,
                  .life = self.life,
                  .sent = local(self),
                  .trust = self.trust[index],
                  .heard = self.heard_sent[index]};
  push(now_ + travel_time(), EventKind::kHear, other, slot);
}

void Simulator::hear(const Event& event) {
  const Beat beat = beats_[event.letter];
  free_beats_.push_back(event.letter);
  if (!up(event.node) || !linked(beat.from, event.node)) return;
  Node& self = at(event.node);
  const auto index = static_cast<std::size_t>(beat.from);
  if (beat.life < self.heard_life[index]) return;
  if (beat.life > self.heard_life[index]) see_new(event.node, beat.from, beat.life);
  heard(event.node, beat.from);
  self.heard_sent[index] = std::max(self.heard_sent[index], beat.sent);
  const model::BrokerId from{beat.from};
  const Word* const before = self.contacts.word(from);
  const bool news = before == nullptr || before->trust != beat.trust;
  self.contacts.hear(
      from, {.trust = beat.trust, .heard = beat.heard, .patience = settings_.election_timeout});
  if (!news) return;
  self.shell->alive(from, local(self));
  after(event.node);
}

}  // namespace millrace::raft
