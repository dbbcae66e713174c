// What brokers tell each other all the time: that they are there, and who leads what.
#include <algorithm>

#include "broker/cluster/door.h"
#include "broker/cluster/hub.h"

namespace millrace::cluster {
namespace {

using common::Error;
using model::ErrorCode;

// Where so much waits to be written nothing is added: it will be repaired, or the link is broken.
constexpr std::size_t kBacklogMax = std::size_t{4} << 20;
// Entries sent for one set of sums; the next set gets the next ones.
constexpr std::size_t kRepairEntriesMax = 16384;
// Of the times in heartbeats.
constexpr Duration kTick = std::chrono::microseconds(1);

}  // namespace

// ---- Heartbeats

void Hub::beat_soon(Duration delay) {
  beat_timer_ = loop_.after(delay, [this] {
    beat_timer_ = env::TimerId::kNone;
    beat_soon(settings_.heartbeat);
    beat();
  });
}

void Hub::beat() {
  liveness_.tick(now());
  pump();
  for (auto& [node, neighbour] : neighbours_) {
    if (neighbour.link == nullptr || !neighbour.link->open()) continue;
    send_heartbeat(*neighbour.link);
    repair(node, neighbour);
  }
  sweep_visitors();
  forget_guests();
  watch_deadline();
}

// Silence is noticed when it has lasted long enough, not at the heartbeat after that.
void Hub::watch_deadline() {
  if (deadline_timer_ != env::TimerId::kNone)
    loop_.cancel(std::exchange(deadline_timer_, env::TimerId::kNone));
  const auto deadline = liveness_.next_deadline();
  if (!deadline.has_value() || *deadline >= now() + settings_.heartbeat) return;
  deadline_timer_ = loop_.after(*deadline - now(), [this] {
    deadline_timer_ = env::TimerId::kNone;
    liveness_.tick(now());
    pump();
  });
}

void Hub::forget_guests() {
  std::vector<model::BrokerId> gone;
  for (const auto& [node, neighbour] : neighbours_) {
    const auto health = liveness_.health(node, now());
    if (!neighbour.told.has_value() && health.has_value() && !health->alive &&
        health->silence >= settings_.guest_silence_max)
      gone.push_back(node);
  }
  for (const model::BrokerId node : gone) drop_neighbour(node);
}

void Hub::set_state(const BrokerState& state) {
  const bool changed = state_.recovered != state.recovered || state_.blank != state.blank ||
                       state_.out_of_space != state.out_of_space;
  state_ = state;
  if (!changed || leaving_) return;
  for (auto& [node, neighbour] : neighbours_)
    if (neighbour.link != nullptr && neighbour.link->open()) send_heartbeat(*neighbour.link);
}

const LeaderTable* Hub::table() const {
  const Mesh* const mesh = shards_.empty() ? nullptr : shards_.front().get();
  return mesh == nullptr ? nullptr : &mesh->leaders();
}

BrokerState Hub::own_state() const {
  BrokerState state = state_;
  state.leaders = table() == nullptr ? 0 : table()->sum();
  return state;
}

void Hub::send_heartbeat(Link& link) {
  if (link.queued_bytes() > kBacklogMax) return;
  const Heartbeat heartbeat{.state = own_state(),
                            .sent = 1 + static_cast<std::uint64_t>((now() - began_) / kTick),
                            .reliance = liveness_.reliance(link.target().node, link.incarnation()),
                            .patience_ms = static_cast<std::uint32_t>(
                                settings_.silence_max / std::chrono::milliseconds(1))};
  link.send(encode(heartbeat, link.version()));
  ++metrics_.heartbeats_out;
}

// What is told of its trust comes behind the transition in which it has it, and is told however
// often: that it goes on is what leaders need to know.
void Hub::take_heartbeat(Neighbour& neighbour, const Introduction& who, const Heartbeat& heartbeat,
                         std::uint8_t version) {
  ++metrics_.heartbeats_in;
  const bool current = liveness_.heard(who.node, who.incarnation, heartbeat.state, now());
  if (current) liveness_.note_sent(who.node, heartbeat.sent);
  neighbour.beats = true;
  pump();
  if (!current) return;
  post_to_all([node = who.node, word = word_of(heartbeat, version)](Mesh& mesh) {
    mesh.take_word(node, word);
  });
}

raft::Word Hub::word_of(const Heartbeat& heartbeat, std::uint8_t version) const {
  if (version < kRelianceVersionMin) return {.wordless = true};
  const std::uint64_t heard = heartbeat.reliance.heard;
  const auto passed = static_cast<std::uint64_t>((now() - began_) / kTick);
  // Nothing was heard yet, or what this process never sent.
  if (heard == 0 || heard > passed + 1) return {};
  return {.trust = heartbeat.reliance.trust,
          .heard = began_ + kTick * static_cast<std::int64_t>(heard - 1),
          .patience = std::chrono::milliseconds(heartbeat.patience_ms)};
}

Result<void> Hub::on_pulse(Pulse& pulse, const FrameHead& head, ByteView body) {
  const Introduction& who = pulse.who();
  const model::BrokerId node = who.node;
  Neighbour& neighbour = neighbours_.at(node);
  CHECK(neighbour.pulse.get() == &pulse);
  if (head.type == FrameType::kHeartbeat) {
    TRY_ASSIGN(const Heartbeat heartbeat, decode_heartbeat(body, head.version));
    take_heartbeat(neighbour, who, heartbeat, head.version);
    return {};
  }
  liveness_.heard(node, who.incarnation, now());
  pump();
  switch (head.type) {
    case FrameType::kGoodbye:
      TRY(decode_goodbye(body));
      liveness_.goodbye(node, who.incarnation);
      pump();
      return {};
    case FrameType::kLeaders: {
      TRY_ASSIGN(Leaders leaders, decode_leaders(body));
      take_leaders(std::move(leaders));
      return {};
    }
    case FrameType::kSums: {
      TRY_ASSIGN(const Sums sums, decode_sums(body));
      answer_sums(neighbour, sums);
      return {};
    }
    default:
      return Error{ErrorCode::kCorruptMessage, "a frame that does not belong here"};
  }
}

void Hub::pulse_lost(Pulse& pulse) {
  Neighbour& neighbour = neighbours_.at(pulse.who().node);
  CHECK(neighbour.pulse.get() == &pulse);
  drop_pulse(neighbour);
  liveness_.detached(pulse.who().node, pulse.who().incarnation);
  pump();
  // If its process is gone, its host says so to who asks.
  if (neighbour.link != nullptr) neighbour.link->hurry();
}

// ---- Leaders

void Hub::send_leaders(Link& link, std::span<const LeaderEntry> entries) {
  while (!entries.empty() && link.queued_bytes() <= kBacklogMax) {
    const auto part = entries.first(std::min(entries.size(), kLeadersPerFrame));
    link.send(encode(part, link.version()));
    metrics_.leaders_out += part.size();
    entries = entries.subspan(part.size());
  }
}

void Hub::take_announcements(std::uint32_t origin, const Mesh::Entries& entries) {
  for (std::size_t shard = 0; shard < shards_.size(); ++shard) {
    if (shard != origin) shards_[shard].post([entries](Mesh& mesh) { mesh.take_leaders(entries); });
  }
  for (auto& [node, neighbour] : neighbours_) {
    if (neighbour.link != nullptr && neighbour.link->open())
      send_leaders(*neighbour.link, *entries);
  }
}

void Hub::take_leaders(Leaders leaders) {
  metrics_.leaders_in += leaders.entries.size();
  const LeaderTable* const known = table();
  // The first shard's table is as good as the others': only news need to go round.
  std::erase_if(leaders.entries, [known](const LeaderEntry& entry) {
    const Leadership* const old = known == nullptr ? nullptr : known->find(entry.key);
    return old != nullptr && !is_newer(entry.leadership, *old);
  });
  if (leaders.entries.empty()) return;
  const auto entries = std::make_shared<const std::vector<LeaderEntry>>(std::move(leaders.entries));
  post_to_all([entries](Mesh& mesh) { mesh.take_leaders(entries); });
}

// Tables that differ: each side asks for what it lacks.
void Hub::repair(model::BrokerId node, Neighbour& neighbour) {
  const LeaderTable* const own = table();
  if (own == nullptr || !neighbour.beats || now() < neighbour.repair_at) return;
  const auto health = liveness_.health(node, now());
  if (!health.has_value() || health->state.leaders == own->sum()) return;
  neighbour.link->send(encode(Sums{own->sums()}, neighbour.link->version()));
  ++metrics_.repairs;
  const std::int64_t pause = settings_.repair.count();
  neighbour.repair_at = now() + Duration{random_.between(pause * 3 / 4, pause * 5 / 4)};
}

void Hub::answer_sums(Neighbour& neighbour, const Sums& sums) {
  const LeaderTable* const own = table();
  const bool often =
      neighbour.answered_at != Instant{} && now() - neighbour.answered_at < settings_.repair / 2;
  if (own == nullptr || often || neighbour.link == nullptr || !neighbour.link->open()) return;
  neighbour.answered_at = now();
  std::vector<LeaderEntry> entries;
  for (std::size_t bucket = 0; bucket < LeaderTable::kBuckets; ++bucket) {
    if (sums.sums[bucket] == own->sums()[bucket]) continue;
    const auto differing = own->bucket(bucket);
    entries.insert(entries.end(), differing.begin(), differing.end());
    if (entries.size() >= kRepairEntriesMax) break;
  }
  send_leaders(*neighbour.link, entries);
}

}  // namespace millrace::cluster
