#include "broker/service/replicas.h"

#include <algorithm>
#include <utility>

#include "common/check.h"

namespace millrace::service {

using model::PartitionKey;

namespace {

std::size_t bytes_of(const std::vector<common::Bytes>& data) {
  std::size_t bytes = 0;
  for (const common::Bytes& piece : data) bytes += piece.size();
  return bytes;
}

raft::Settings with_contacts(raft::Settings settings, const raft::Contacts& contacts) {
  settings.contacts = &contacts;
  return settings;
}

}  // namespace

Replicas::Replicas(Parts parts)
    : loop_(parts.loop),
      raft_(with_contacts(parts.raft, contacts_)),
      on_role_(std::move(parts.on_role)),
      ticker_(parts.loop),
      catch_up_(parts.loop, {}),
      moves_(parts.loop, {}),
      host_{.self = parts.self,
            .clock = parts.loop.clock(),
            .ticker = ticker_,
            .peers = *this,
            .random = parts.random,
            .raft = raft_,
            .catch_up = &catch_up_,
            .moves = &moves_,
            .note = std::move(parts.note)} {}

Replicas::~Replicas() {
  CHECK(adopted_.empty(), "somebody's replica stays behind");
}

replica::Partition& Replicas::open(storage::Log& log, const model::TopicSettings& settings,
                                   const replica::Beginning& beginning) {
  const PartitionKey key = log.key();
  CHECK(find_any(key) == nullptr, "a partition is opened twice");
  auto opened = std::make_unique<replica::Partition>(log, settings, host_, beginning);
  replica::Partition& replica = *replicas_.emplace(key, std::move(opened)).first->second;
  for (const model::BrokerId node : suspected_) replica.suspect(node);
  // Not what others have become: one of them may be on the stack.
  tell_roles_of(key);
  return replica;
}

replica::Partition* Replicas::find(const PartitionKey& key) {
  const auto found = replicas_.find(key);
  return found == replicas_.end() ? nullptr : found->second.get();
}

replica::Partition* Replicas::find_any(const PartitionKey& key) {
  if (replica::Partition* const here = find(key)) return here;
  const auto adopted = adopted_.find(key);
  return adopted == adopted_.end() ? nullptr : adopted->second;
}

void Replicas::erase(const PartitionKey& key, model::ErrorCode reason) {
  const auto found = replicas_.find(key);
  if (found == replicas_.end()) return;
  graves_.push_back(std::move(found->second));
  replicas_.erase(found);
  drop_news_of(key);
  graves_.back()->close(reason);
  loop_.post(lifeline_.guard([this] { graves_.clear(); }));
}

void Replicas::close(model::ErrorCode reason) {
  for (auto& [key, replica] : replicas_) replica->close(reason);
}

void Replicas::adopt(const PartitionKey& key, replica::Partition* replica) {
  if (replica == nullptr) {
    adopted_.erase(key);
    return drop_news_of(key);
  }
  CHECK(find_any(key) == nullptr, "a partition is opened twice");
  adopted_[key] = replica;
  for (const model::BrokerId node : suspected_) replica->suspect(node);
}

// ---- From others

void Replicas::deliver(const PartitionKey& key, const raft::Message& message,
                       const std::vector<common::Bytes>& data) {
  replica::Partition* const replica = find_any(key);
  if (replica == nullptr) {
    // Not opened yet, or moved away: the sender asks again, or hears that it is not a member.
    ++counters_.strays;
    return;
  }
  replica->step(message, data, loop_.clock().now());
}

/// What one of them answers may open and close others.
template <typename Call>
void Replicas::for_all(Call call) {
  std::vector<PartitionKey> keys;
  keys.reserve(replicas_.size() + adopted_.size());
  for (const auto& [key, replica] : adopted_) keys.push_back(key);
  for (const auto& [key, replica] : replicas_) keys.push_back(key);
  std::sort(keys.begin(), keys.end());
  for (const PartitionKey& key : keys) {
    if (replica::Partition* const replica = find_any(key)) call(*replica);
  }
}

/// Groups that do not have the broker now may have it later.
void Replicas::broker_changed(const cluster::Transition& transition) {
  const model::BrokerId node = transition.node;
  contacts_.trust(node, transition.trust);
  if (transition.sign != cluster::Sign::kAlive) contacts_.forget_word(node);
  switch (transition.sign) {
    case cluster::Sign::kSuspect:
      suspected_.insert(node);
      return for_all([node](replica::Partition& replica) { replica.suspect(node); });
    case cluster::Sign::kAlive:
      suspected_.erase(node);
      return for_all([node](replica::Partition& replica) { replica.alive(node); });
    case cluster::Sign::kRestarted:
      return for_all([node](replica::Partition& replica) { replica.restarted(node); });
  }
}

/// Leaders that have no promise yet for what the other broker says now ask for it.
void Replicas::heard_word(model::BrokerId node, const raft::Word& word) {
  const raft::Word* const before = contacts_.word(node);
  const bool news = word.trust != (before == nullptr ? raft::Trust::kNone : before->trust);
  contacts_.hear(node, word);
  if (news) for_all([node](replica::Partition& replica) { replica.alive(node); });
}

void Replicas::reconnected(model::BrokerId node) {
  if (suspected(node)) return;
  for_all([node](replica::Partition& replica) { replica.alive(node); });
}

void Replicas::heard_of_term(const PartitionKey& key, model::Term term) {
  replica::Partition* const replica = find_any(key);
  if (replica != nullptr && term > replica->term()) replica->observe_term(term);
}

// ---- To others

void Replicas::send(const PartitionKey& key, raft::Message message,
                    std::vector<common::Bytes> data) {
  if (neighbours_ == nullptr) return;
  if (!data.empty()) {
    const std::size_t bytes = bytes_of(data);
    counters_.replicated_bytes += bytes;
    const replica::Partition* const replica = find_any(key);
    if (replica != nullptr && replica->group() != nullptr &&
        !replica->group()->config().is_voter(message.to))
      counters_.catch_up_bytes += bytes;
  }
  neighbours_->send(key, message, std::move(data));
}

bool Replicas::has_room(const PartitionKey& key, const raft::ReplicaId& to) const {
  return neighbours_ != nullptr && neighbours_->has_room(key, to.node);
}

void Replicas::leadership(const PartitionKey& key, const raft::RoleChange& change) {
  if (change.role == raft::Role::kCandidate) ++counters_.elections_started;
  roles_.push_back({key, change});
  if (std::exchange(telling_soon_, true)) return;
  loop_.post(lifeline_.guard([this] {
    telling_soon_ = false;
    tell_roles();
  }));
}

void Replicas::tell_roles() {
  while (!roles_.empty()) {
    const RoleNews news = roles_.front();
    roles_.pop_front();
    tell(news);
  }
}

void Replicas::tell_roles_of(const PartitionKey& key) {
  for (;;) {
    const auto found = std::find_if(roles_.begin(), roles_.end(),
                                    [&](const RoleNews& news) { return news.key == key; });
    if (found == roles_.end()) return;
    const RoleNews news = *found;
    roles_.erase(found);
    tell(news);
  }
}

void Replicas::drop_news_of(const PartitionKey& key) {
  std::erase_if(roles_, [&](const RoleNews& news) { return news.key == key; });
  leading_.erase(key);
}

void Replicas::tell(const RoleNews& news) {
  if (find_any(news.key) == nullptr) return;
  const bool leads = news.change.role == raft::Role::kLeader;
  if (leads && leading_.insert(news.key).second) ++counters_.elections_won;
  if (!leads && leading_.erase(news.key) > 0) ++counters_.leaderships_lost;
  on_role_(news.key, news.change);
}

}  // namespace millrace::service
