#include "broker/service/silence_watch.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "broker/service/group_coordinators.h"
#include "broker/service/group_settings.h"
#include "broker/service/shard.h"

namespace millrace::service {

void SilenceWatch::start() {
  if (std::exchange(started_, true)) return;
  schedule();
}

void SilenceWatch::stop() {
  started_ = false;
  if (timer_ != env::TimerId::kNone)
    shard_.loop().cancel(std::exchange(timer_, env::TimerId::kNone));
  suspects_.clear();
}

bool SilenceWatch::silent(const std::string& group, const std::string& topic,
                          std::int32_t partition) const {
  const auto found = suspects_.find({group, topic, partition});
  return found != suspects_.end() && found->second.told;
}

std::size_t SilenceWatch::silent_now() const {
  return static_cast<std::size_t>(std::count_if(
      suspects_.begin(), suspects_.end(), [](const auto& suspect) { return suspect.second.told; }));
}

void SilenceWatch::schedule() {
  limit_ = fetch_silence(shard_.layers());
  timer_ = shard_.loop().after(limit_ / 2, lifeline_.guard([this] {
    timer_ = env::TimerId::kNone;
    look();
  }));
}

void SilenceWatch::look() {
  ++looks_;
  std::vector<model::PartitionIndex> left;
  for (const auto& [index, coordinator] : shard_.coordinators().all()) left.push_back(index);
  look_at_next(std::move(left));
}

// One coordinator after the other, so that others get their turn in between.
void SilenceWatch::look_at_next(std::vector<model::PartitionIndex> left) {
  if (!started_) return;
  GroupCoordinator* next = nullptr;
  while (next == nullptr) {
    if (left.empty()) return end_look();
    next = shard_.coordinators().find(left.back());
    left.pop_back();
  }
  locate_groups(shard_, *next, {.name = {}, .with_members_only = true},
                lifeline_.guard([this, left = std::move(left)](
                                    const std::vector<GroupPositions>& groups) mutable {
                  if (!started_) return;
                  for (const GroupPositions& group : groups) judge(group);
                  shard_.loop().post(lifeline_.guard(
                      [this, left = std::move(left)]() mutable { look_at_next(std::move(left)); }));
                }));
}

bool SilenceWatch::suspicious(const GroupPosition& position) const {
  if (position.member.empty() || position.lag() <= 0) return false;
  return position.facts->unfetched.value_or(position.facts->led) >= limit_;
}

void SilenceWatch::judge(const GroupPositions& group) {
  std::map<std::string, std::vector<const GroupPosition*>> told;  // by member
  for (const GroupPosition& position : group.positions) {
    if (!suspicious(position)) continue;
    Suspect& suspect = suspects_[{group.group.summary.group, position.topic, position.partition}];
    if (suspect.look + 1 != looks_ || suspect.member != position.member) {
      suspect = {.member = position.member, .look = looks_, .told = false};
      continue;
    }
    suspect.look = looks_;
    if (!std::exchange(suspect.told, true)) told[position.member].push_back(&position);
  }
  for (const auto& [member, positions] : told) tell(group, member, positions);
}

void SilenceWatch::tell(const GroupPositions& group, const std::string& member,
                        const std::vector<const GroupPosition*>& positions) const {
  std::int64_t lag = 0;
  for (const GroupPosition* position : positions) lag += position->lag();
  coordinator::ClientInfo client;
  for (const auto& one : group.group.members) {
    if (one.member == member) client = one.client;
  }
  const GroupPosition& first = *positions.front();
  const auto quiet = std::chrono::duration_cast<std::chrono::seconds>(
      first.facts->unfetched.value_or(first.facts->led));
  shard_.note(fmt::format(
      "event=assigned-not-fetching group={} member={} client={} host={} partitions={} first={}-{} "
      "lag={} silent_s={} detail=\"the member sends heartbeats and nobody fetches what it holds: "
      "it is stuck, paused, or busy for long\"",
      group.group.summary.group, member, client.id, client.host, positions.size(), first.topic,
      first.partition, lag, quiet.count()));
}

void SilenceWatch::end_look() {
  std::erase_if(suspects_, [this](const auto& entry) { return entry.second.look != looks_; });
  schedule();
}

}  // namespace millrace::service
