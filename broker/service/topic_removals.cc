#include "broker/service/topic_removals.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "broker/service/everywhere.h"

namespace millrace::service {
namespace {

constexpr common::Duration kDelayMin = std::chrono::seconds(1);
constexpr common::Duration kDelayMax = std::chrono::seconds(30);

}  // namespace

TopicRemovals::TopicRemovals(Shard& first, Confirm confirm)
    : first_(first), confirm_(std::move(confirm)), delay_(kDelayMin) {}

TopicRemovals::~TopicRemovals() {
  close();
}

void TopicRemovals::begin() {
  begun_ = true;
  look();
}

void TopicRemovals::look() {
  if (!begun_ || closed_) return;
  const auto& removing = first_.image().removing();
  const auto waits_for_us = [&](const metadata::RemovingTopic& topic) {
    return topic.waiting_for.contains(first_.identity().node);
  };
  std::erase_if(topics_, [&](const auto& entry) {
    const auto found = removing.find(entry.first);
    return found == removing.end() || !waits_for_us(found->second);
  });
  for (const auto& [topic, rest] : removing) {
    if (!waits_for_us(rest) || topics_.contains(topic)) continue;
    topics_[topic] = State::kRemoving;
    remove(topic);
  }
}

void TopicRemovals::remove(const model::TopicId& topic) {
  on_every_shard<bool>(
      first_,
      [topic](Shard& shard, common::Reply<bool> reply) {
        shard.remove_logs(topic, [reply = std::move(reply)](common::Result<void> removed) mutable {
          reply(removed.ok());
        });
      },
      lifeline_.guard([this, topic](std::vector<bool> removed) {
        const auto found = topics_.find(topic);
        if (closed_ || found == topics_.end()) return;
        const bool all = std::all_of(removed.begin(), removed.end(), [](bool one) { return one; });
        found->second = all ? State::kGone : State::kFailed;
        if (all) confirm_gone();
      }));
}

void TopicRemovals::confirm_gone() {
  if (closed_ || confirming_ || timer_ != env::TimerId::kNone) return;
  std::vector<model::TopicId> gone;
  for (const auto& [topic, state] : topics_) {
    if (state == State::kGone) gone.push_back(topic);
  }
  if (gone.empty()) return;
  confirming_ = true;
  confirm_(std::move(gone), lifeline_.guard([this](const common::Result<void>& confirmed) {
    confirming_ = false;
    if (!confirmed.ok()) return try_later();
    delay_ = kDelayMin;
    // The image says so already, and forgot them; others may have come meanwhile.
    look();
    confirm_gone();
  }));
}

void TopicRemovals::try_later() {
  if (closed_) return;
  timer_ = first_.loop().after(delay_, lifeline_.guard([this] {
    timer_ = env::TimerId::kNone;
    confirm_gone();
  }));
  delay_ = std::min(delay_ * 2, kDelayMax);
}

void TopicRemovals::close() {
  if (std::exchange(closed_, true)) return;
  if (timer_ != env::TimerId::kNone)
    first_.loop().cancel(std::exchange(timer_, env::TimerId::kNone));
}

}  // namespace millrace::service
