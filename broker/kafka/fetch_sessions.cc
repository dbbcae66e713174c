#include "broker/kafka/fetch_sessions.h"

#include <limits>
#include <utility>

namespace millrace::kafka {

using service::PartitionRef;

namespace {

constexpr common::Duration kEvictableAfter = std::chrono::minutes(2);

}  // namespace

std::int32_t next_fetch_epoch(std::int32_t epoch) {
  if (epoch < 0) return kFinalFetchEpoch;
  return epoch == std::numeric_limits<std::int32_t>::max() ? 1 : epoch + 1;
}

std::size_t FetchSession::TargetHash::operator()(const PartitionRef& target) const {
  const std::size_t topic = target.topic_id.is_zero() ? std::hash<std::string>{}(target.topic_name)
                                                      : std::hash<common::Uuid>{}(target.topic_id);
  return topic * 31 + std::hash<model::PartitionIndex>{}(target.partition);
}

bool FetchSession::TargetEqual::operator()(const PartitionRef& a, const PartitionRef& b) const {
  return a.partition == b.partition && a.topic_id == b.topic_id && a.topic_name == b.topic_name;
}

void FetchSession::put(FetchedPartition partition) {
  if (FetchedPartition* known = find(partition.target)) {
    known->from = partition.from;
    known->bytes_max = partition.bytes_max;
    known->leader_epoch = partition.leader_epoch;
    known->last_fetched_epoch = partition.last_fetched_epoch;
    return;
  }
  partitions_.push_back(std::move(partition));
  index_.emplace(partitions_.back().target, std::prev(partitions_.end()));
}

bool FetchSession::remove(const PartitionRef& target) {
  const auto found = index_.find(target);
  if (found == index_.end()) return false;
  partitions_.erase(found->second);
  index_.erase(found);
  return true;
}

FetchedPartition* FetchSession::find(const PartitionRef& target) {
  const auto found = index_.find(target);
  return found == index_.end() ? nullptr : &*found->second;
}

void FetchSession::move_to_end(const PartitionRef& target) {
  const auto found = index_.find(target);
  if (found != index_.end()) partitions_.splice(partitions_.end(), partitions_, found->second);
}

std::shared_ptr<FetchSession> FetchSessions::find(std::int32_t id, common::Instant now) {
  const auto found = sessions_.find(id);
  if (found == sessions_.end()) return nullptr;
  found->second->used_ = now;
  return found->second;
}

std::shared_ptr<FetchSession> FetchSessions::create(std::vector<FetchedPartition> partitions,
                                                    bool by_id, common::Instant now) {
  if (!make_room(partitions.size(), now)) return nullptr;
  std::int32_t id = kNoFetchSession;
  while (id == kNoFetchSession || sessions_.contains(id)) {
    id = static_cast<std::int32_t>(random_.between(1, std::numeric_limits<std::int32_t>::max()));
  }
  auto session = std::make_shared<FetchSession>(id, by_id, now);
  for (FetchedPartition& partition : partitions) session->put(std::move(partition));
  session->counted_ = session->size();
  partitions_ += session->counted_;
  sessions_.emplace(id, session);
  return session;
}

void FetchSessions::remove(std::int32_t id) {
  const auto found = sessions_.find(id);
  if (found == sessions_.end()) return;
  partitions_ -= found->second->counted_;
  sessions_.erase(found);
}

bool FetchSessions::recount(FetchSession& session) {
  if (!sessions_.contains(session.id())) return true;
  partitions_ += session.size() - session.counted_;
  session.counted_ = session.size();
  if (partitions_ <= kPartitionsMax) return true;
  remove(session.id());
  ++evictions_;
  return false;
}

bool FetchSessions::make_room(std::size_t partitions, common::Instant now) {
  if (sessions_max_ == 0 || partitions == 0 || partitions_ + partitions > kPartitionsMax)
    return false;
  if (sessions_.size() < sessions_max_) return true;
  const FetchSession* stalest = nullptr;
  const FetchSession* smallest = nullptr;
  for (const auto& [id, session] : sessions_) {
    if (stalest == nullptr ||
        std::pair(session->used_, id) < std::pair(stalest->used_, stalest->id_)) {
      stalest = session.get();
    }
    if (now - session->made_ < kEvictableAfter) continue;
    if (smallest == nullptr ||
        std::pair(session->size(), id) < std::pair(smallest->size(), smallest->id_)) {
      smallest = session.get();
    }
  }
  if (now - stalest->used_ >= kEvictableAfter) {
    remove(stalest->id());
  } else if (smallest != nullptr && smallest->size() < partitions) {
    remove(smallest->id());
  } else {
    return false;
  }
  ++evictions_;
  return true;
}

}  // namespace millrace::kafka
