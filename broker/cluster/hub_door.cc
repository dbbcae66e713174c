// The hub's door: who comes, and who is let in.
#include <fmt/format.h>

#include <algorithm>

#include "broker/cluster/door.h"
#include "broker/cluster/handshake.h"
#include "broker/cluster/hub.h"

namespace millrace::cluster {
namespace {

// Who has connected and not said hello. When more come the oldest goes: a broker's hello is there
// at once.
constexpr std::size_t kVisitorsMax = 64;
constexpr std::size_t kComplaintsMax = 256;
constexpr Duration kGarbageLogEvery = std::chrono::seconds(10);

}  // namespace

void Hub::accept(std::unique_ptr<env::Connection> connection) {
  if (self_ == nullptr || leaving_) return;
  ++metrics_.accepted;
  if (visitors_.size() >= kVisitorsMax) {
    ++metrics_.refused;
    drop_visitor(*visitors_.front());
  }
  visitors_.push_back(std::make_unique<Visitor>(*this, pool_, std::move(connection)));
  visitors_.back()->start();
}

void Hub::on_hello(Visitor& visitor, const Hello& hello) {
  auto refusal = judge(hello, *self_);
  if (!refusal.has_value()) refusal = admit(hello.who);
  if (refusal.has_value()) {
    ++metrics_.refused;
    complain(hello, *refusal, visitor.peer());
    return visitor.turn_away(*refusal);
  }
  visitor.hold();
  // Not from within its own callback.
  loop_.post([this, here = std::weak_ptr<bool>(here_), came = &visitor] {
    if (here.expired()) return;
    const auto found = std::ranges::find(visitors_, came, &std::unique_ptr<Visitor>::get);
    if (found != visitors_.end() && !came->closed()) let_in(*came);
  });
}

std::optional<TurnedAway> Hub::admit(const Introduction& who) {
  if (!neighbours_.contains(who.node)) {
    const auto guests = std::ranges::count_if(
        neighbours_, [](const auto& entry) { return !entry.second.told.has_value(); });
    if (static_cast<std::size_t>(guests) >= settings_.guests_max ||
        !liveness_.watch(who.node, now()))
      return refusal_of(Doubt::kUnknown, who);
    say(fmt::format("event=guest_broker broker={} address={}", who.node, who.internal.text()));
  }
  const Doubt doubt = meet(neighbour_of(who.node), who, Approach::kItCame);
  if (doubt != Doubt::kNone) return refusal_of(doubt, who);
  return std::nullopt;
}

void Hub::let_in(Visitor& visitor) {
  const Hello hello = *visitor.hello();
  auto connection = visitor.release();
  drop_visitor(visitor);
  if (hello.channel == Channel::kBrokers) return begin_pulse(std::move(connection), hello);
  const auto found = neighbours_.find(hello.who.node);
  if (found == neighbours_.end() || leaving_) return;
  shards_[hello.to_shard].post(
      [connection = std::move(connection), who = std::make_shared<const Introduction>(hello.who),
       shard = hello.shard, version = agreed_version(hello)](Mesh& mesh) mutable {
        mesh.take_connection(std::move(connection), std::move(who), shard, version);
      });
}

void Hub::begin_pulse(std::unique_ptr<env::Connection> connection, const Hello& hello) {
  const auto found = neighbours_.find(hello.who.node);
  if (found == neighbours_.end() || leaving_) return;
  Neighbour& neighbour = found->second;
  // Somebody newer may have come meanwhile.
  if (neighbour.who == nullptr || neighbour.who->incarnation != hello.who.incarnation) return;
  drop_pulse(neighbour);
  neighbour.pulse = std::make_unique<Pulse>(*this, pool_, transport_.adopt(std::move(connection)),
                                            neighbour.who, agreed_version(hello));
  neighbour.pulse->start(*self_);
  liveness_.attached(hello.who.node, hello.who.incarnation);
  liveness_.heard(hello.who.node, hello.who.incarnation, now());
  pump();
}

void Hub::drop_visitor(Visitor& visitor) {
  const auto found = std::ranges::find(visitors_, &visitor, &std::unique_ptr<Visitor>::get);
  CHECK(found != visitors_.end());
  visitor.close();
  pool_.bury(std::move(*found));
  visitors_.erase(found);
}

void Hub::sweep_visitors() {
  while (!visitors_.empty() && now() - visitors_.front()->came() >= settings_.handshake_max)
    drop_visitor(*visitors_.front());
}

// ---- Complaints

void Hub::complain(const Hello& hello, const TurnedAway& refusal, const std::string& peer) {
  if (complained_.size() >= kComplaintsMax) complained_.clear();
  if (!complained_.insert({hello.who.node, refusal.reason}).second) return;
  say(fmt::format("event=broker_turned_away broker={} address={} cause={} reason=\"{}\"",
                  hello.who.node, peer, name_of(refusal.reason), refusal.text));
}

void Hub::on_garbage(const std::string& peer, const std::string& why) {
  ++metrics_.refused;
  if (garbage_logged_.has_value() && now() - *garbage_logged_ < kGarbageLogEvery) return;
  garbage_logged_ = now();
  say(fmt::format("event=not_a_broker address={} reason=\"{}\"", peer, why));
}

}  // namespace millrace::cluster
