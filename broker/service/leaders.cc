#include "broker/service/leaders.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "broker/service/assignments.h"
#include "broker/service/lookup.h"
#include "broker/service/neighbours.h"
#include "broker/service/role_waits.h"

namespace millrace::service {
namespace {

using model::ErrorCode;

/// nullopt: this shard has no replica of it.
std::optional<KnownLeader> from_replica(Shard& owner, const model::PartitionKey& key) {
  const replica::Partition* const replica = owner.replicas().find_any(key);
  if (replica == nullptr) return std::nullopt;
  KnownLeader known{.epoch = replica->term(), .in_sync = {}};
  known.leader = replica->leader().node;
  if (replica->role() == raft::Role::kLeader) known.in_sync = in_sync_brokers(owner, *replica);
  return known;
}

KnownLeader from_table(const Shard& here, const model::PartitionKey& key) {
  if (here.neighbours() == nullptr) return {};
  const cluster::Leadership* const said = here.neighbours()->leaders().find(key);
  if (said == nullptr) return {};
  return {.leader = said->leader, .epoch = said->term, .in_sync = said->in_sync};
}

/// The one that knows of the newer term, then the one that knows a leader.
KnownLeader better(KnownLeader one, KnownLeader other) {
  const bool takes_other = other.epoch != one.epoch ? other.epoch > one.epoch
                                                    : one.leader == model::BrokerId{-1} &&
                                                          other.leader != model::BrokerId{-1};
  KnownLeader& chosen = takes_other ? other : one;
  KnownLeader& passed = takes_other ? one : other;
  if (chosen.in_sync.empty()) chosen.in_sync = std::move(passed.in_sync);
  return std::move(chosen);
}

}  // namespace

std::vector<model::BrokerId> in_sync_brokers(const Shard& owner, const replica::Partition& leader) {
  std::vector<model::BrokerId> brokers;
  for (const raft::ReplicaId& id : leader.in_sync()) {
    const auto runs =
        owner.neighbours() != nullptr ? owner.neighbours()->introduction(id.node) : nullptr;
    if (runs == nullptr || runs->directory == id.directory) brokers.push_back(id.node);
  }
  std::sort(brokers.begin(), brokers.end());
  return brokers;
}

LeaderHint leader_hint(Shard& owner, const model::PartitionKey& key, ErrorCode code) {
  if (code != ErrorCode::kNotLeaderOrFollower && code != ErrorCode::kFencedLeaderEpoch) return {};
  const KnownLeader known = known_leader(owner, key);
  return {.leader = known.leader, .epoch = known.epoch};
}

bool is_settled(Shard& owner, const model::PartitionKey& key) {
  // Alone, a leader knows everything from the start.
  if (owner.neighbours() == nullptr) return true;
  const replica::Partition* const replica = owner.partition(key);
  return replica == nullptr || replica->role() != raft::Role::kLeader || replica->is_leader();
}

void settle(Shard& owner, const model::PartitionKey& key, common::Instant until,
            common::Function<void()> then) {
  const common::Instant now = owner.clock().now();
  if (is_settled(owner, key) || now >= until) return then();
  owner.role_waits().wait(key, until - now, [&owner, key, until, then = std::move(then)]() mutable {
    settle(owner, key, until, std::move(then));
  });
}

KnownLeader known_leader(Shard& here, const model::PartitionKey& key) {
  KnownLeader said = from_table(here, key);
  if (&here.owner(key) != &here) return said;
  auto own = from_replica(here, key);
  return own ? better(std::move(*own), std::move(said)) : said;
}

void known_leaders(Shard& here, std::vector<model::PartitionKey> keys,
                   common::Reply<std::vector<KnownLeader>> done) {
  auto known = std::make_unique<std::vector<KnownLeader>>();
  known->reserve(keys.size());
  std::vector<std::size_t> places;  // of the asked in `known`
  std::vector<model::PartitionKey> asked;
  const raft::ReplicaId self = here.self_replica();
  for (std::size_t i = 0; i < keys.size(); ++i) {
    known->push_back(from_table(here, keys[i]));
    if (known->back().leader != model::BrokerId{-1}) continue;
    const metadata::PartitionAssignment* const assignment = here.image().assignment(keys[i]);
    if (assignment != nullptr && !names(*assignment, self)) continue;
    places.push_back(i);
    asked.push_back(keys[i]);
  }
  look_up<KnownLeader>(
      here, std::move(asked), from_replica,
      [known = std::move(known), places = std::move(places),
       done = std::move(done)](std::vector<std::optional<KnownLeader>> found) mutable {
        for (std::size_t i = 0; i < places.size(); ++i) {
          KnownLeader& place = (*known)[places[i]];
          if (found[i]) place = better(std::move(*found[i]), std::move(place));
        }
        done(std::move(*known));
      });
}

namespace {

constexpr auto kFirstPause = std::chrono::milliseconds(2);

using IsThere = bool (*)(const Shard& here, const KnownLeader& known);

bool is_known(const Shard&, const KnownLeader& known) {
  return known.leader != model::BrokerId{-1};
}

bool is_not_lost(const Shard& here, const KnownLeader& known) {
  return !here.neighbours()->lost_any() ||
         (is_known(here, known) && !here.neighbours()->just_lost(known.leader));
}

/// What is looked for, and how long. Each pause is twice the one before, up to the longest.
struct Search {
  IsThere is_there;
  int pauses_left;
  std::chrono::milliseconds longest;
  std::chrono::milliseconds pause = kFirstPause;
};
constexpr Search kLeaders{is_known, 9, std::chrono::milliseconds(128)};
static_assert(kFirstPause * 63 + kLeaders.longest * 3 == kLeadersMax);
// Somebody waits for whom all else goes on.
constexpr Search kSuccessors{is_not_lost, 18, std::chrono::milliseconds(16)};
static_assert(kFirstPause * 7 + kSuccessors.longest * 15 == kSuccessorsMax);

/// Bounded by the number of looks, not by the clock: a broker that stops ends every pause at once.
void look_for_leaders(Shard& here, std::vector<model::PartitionKey> keys, Search search,
                      common::Function<void()> then) {
  auto asked = keys;
  known_leaders(
      here, std::move(asked),
      [&here, keys = std::move(keys), search,
       then = std::move(then)](std::vector<KnownLeader> known) mutable {
        std::vector<model::PartitionKey> missing;
        for (std::size_t i = 0; i < keys.size(); ++i) {
          if (!search.is_there(here, known[i])) missing.push_back(keys[i]);
        }
        if (missing.empty() || search.pauses_left == 0) return then();
        const model::PartitionKey first = missing.front();
        Search next = search;
        --next.pauses_left;
        next.pause = std::min(search.pause * 2, search.longest);
        here.role_waits().wait(
            first, search.pause,
            [&here, missing = std::move(missing), next, then = std::move(then)]() mutable {
              look_for_leaders(here, std::move(missing), next, std::move(then));
            });
      });
}

}  // namespace

void await_leaders(Shard& here, std::vector<model::PartitionKey> keys,
                   common::Function<void()> then) {
  if (here.neighbours() == nullptr || keys.empty()) return then();
  look_for_leaders(here, std::move(keys), kLeaders, std::move(then));
}

void await_successors(Shard& here, std::vector<model::PartitionKey> keys,
                      common::Function<void(std::vector<model::PartitionKey>)> then) {
  if (here.neighbours() == nullptr || !here.neighbours()->lost_any()) return then(std::move(keys));
  auto asked = keys;
  look_for_leaders(
      here, std::move(asked), kSuccessors,
      [keys = std::move(keys), then = std::move(then)]() mutable { then(std::move(keys)); });
}

common::Result<replica::Partition*> replica_of(Shard& owner, const model::PartitionKey& key,
                                               model::Term epoch) {
  replica::Partition* const replica = owner.partition(key);
  if (replica == nullptr) {
    if (owner.image().assignment(key) == nullptr)
      return model::error(ErrorCode::kUnknownTopicOrPartition);
    return common::Error{ErrorCode::kNotLeaderOrFollower,
                         "This broker has no replica of the partition"};
  }
  if (const auto& refusal = replica->replica().refusal()) return *refusal;
  TRY(replica->check_leader_epoch(epoch));
  return replica;
}

common::Result<replica::Partition*> leader_of(Shard& owner, const model::PartitionKey& key,
                                              model::Term epoch) {
  TRY_ASSIGN(replica::Partition* const replica, replica_of(owner, key, epoch));
  if (replica->role() == raft::Role::kLeader) return replica;
  return common::Error{ErrorCode::kNotLeaderOrFollower,
                       replica->leader().is_none()
                           ? std::string("No leader of the partition is known")
                           : fmt::format("Broker {} leads the partition", replica->leader().node)};
}

}  // namespace millrace::service
