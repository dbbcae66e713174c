#include "broker/service/announcer.h"

#include <algorithm>
#include <utility>

#include "broker/service/leaders.h"
#include "broker/service/neighbours.h"
#include "broker/service/shard.h"

namespace millrace::service {
namespace {

/// In-sync sets change without an event: a replica falls behind by doing nothing.
constexpr auto kLookInterval = std::chrono::seconds(1);

}  // namespace

void Announcer::role_changed(const model::PartitionKey& key, const raft::RoleChange& change) {
  if (stopped_ || shard_.neighbours() == nullptr) return;
  if (change.role == raft::Role::kLeader) {
    say(key);
    return arm();
  }
  const auto said = said_.find(key);
  if (said == said_.end()) return;
  const model::Term led_in = said->second.term;
  said_.erase(said);
  // Its successor tells of itself. Where there is none yet, nobody should come here meanwhile.
  shard_.neighbours()->announce(key,
                                {.leader = model::BrokerId{-1}, .term = led_in, .in_sync = {}});
}

bool Announcer::say(const model::PartitionKey& key) {
  const replica::Partition* const replica = shard_.replicas().find_any(key);
  if (replica == nullptr || replica->role() != raft::Role::kLeader) return false;
  Said now{.term = replica->term(), .in_sync = in_sync_brokers(shard_, *replica)};
  Said& said = said_[key];
  if (said.term == now.term && said.in_sync == now.in_sync) return false;
  said = std::move(now);
  shard_.neighbours()->announce(
      key, {.leader = shard_.identity().node, .term = said.term, .in_sync = said.in_sync});
  return true;
}

void Announcer::look_soon() {
  if (stopped_ || said_.empty() || std::exchange(soon_, true)) return;
  shard_.loop().post(lifeline_.guard([this] {
    soon_ = false;
    look();
  }));
}

void Announcer::look() {
  if (stopped_ || shard_.neighbours() == nullptr) return;
  std::vector<model::PartitionKey> keys;
  keys.reserve(said_.size());
  for (const auto& [key, said] : said_) keys.push_back(key);
  std::sort(keys.begin(), keys.end());
  for (const model::PartitionKey& key : keys) {
    if (shard_.replicas().find_any(key) == nullptr) {
      said_.erase(key);
    } else {
      say(key);
    }
  }
}

void Announcer::arm() {
  if (timer_ != env::TimerId::kNone) return;
  timer_ = shard_.loop().after(kLookInterval, lifeline_.guard([this] {
    timer_ = env::TimerId::kNone;
    look();
    if (!said_.empty()) arm();
  }));
}

void Announcer::stop() {
  stopped_ = true;
  if (timer_ != env::TimerId::kNone)
    shard_.loop().cancel(std::exchange(timer_, env::TimerId::kNone));
}

}  // namespace millrace::service
