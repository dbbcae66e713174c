#include "broker/service/group_coordinators.h"

#include <algorithm>
#include <utility>

#include "broker/service/group_settings.h"
#include "broker/service/shard.h"
#include "common/check.h"

namespace millrace::service {

using model::ErrorCode;

namespace {

constexpr auto kRewriteInterval = std::chrono::milliseconds(20);

/// How long machines may go on with topics that have changed: longer where telling them costs more,
/// so that a thousand creations in a row do not copy a thousand topics a thousand times.
common::Duration topics_delay(std::size_t topics) {
  return std::chrono::milliseconds(10) + std::chrono::microseconds(10) * topics;
}

std::vector<std::vector<std::string>> racks_of(const metadata::Topic& topic,
                                               const metadata::Image& image) {
  std::vector<std::vector<std::string>> racks;
  bool any = false;
  for (const metadata::Replicas& replicas : topic.partitions) {
    auto& of_partition = racks.emplace_back();
    for (const model::BrokerId id : replicas) {
      const auto broker = image.brokers().find(id);
      if (broker == image.brokers().end() || broker->second.rack.empty()) continue;
      of_partition.push_back(broker->second.rack);
      any = true;
    }
  }
  if (!any) racks.clear();
  return racks;
}

std::shared_ptr<const coordinator::Topics> copy_topics(const metadata::Image& image,
                                                       std::int64_t version) {
  auto topics = std::make_shared<coordinator::Topics>();
  topics->version = version;
  topics->names.reserve(image.topics().size());
  for (const auto& [name, topic] : image.topics()) {
    topics->by_name.emplace_hint(
        topics->by_name.end(), name,
        coordinator::Topic{topic->id, name, topic->partition_count(), racks_of(*topic, image)});
    topics->names.emplace(topic->id, name);
  }
  return topics;
}

bool concerns_topics(const metadata::Record& record) {
  return std::holds_alternative<metadata::TopicCreated>(record) ||
         std::holds_alternative<metadata::PartitionsAdded>(record) ||
         std::holds_alternative<metadata::TopicDeleted>(record) ||
         std::holds_alternative<metadata::BrokerRegistered>(record);
}

}  // namespace

GroupCoordinators::GroupCoordinators(Shard& shard) : shard_(shard), silence_(shard) {
  read_settings();
}

GroupCoordinators::~GroupCoordinators() {
  close(ErrorCode::kCoordinatorNotAvailable);
}

env::Loop& GroupCoordinators::loop() {
  return shard_.loop();
}

void GroupCoordinators::note(std::string_view line) {
  shard_.note(line);
}

void GroupCoordinators::lead(replica::Partition& partition) {
  if (closed_) return;
  const model::PartitionIndex index = partition.log().key().index;
  // Settings made at run time are known by now, whoever leads when.
  read_settings();
  auto coordinator = std::make_shared<GroupCoordinator>(*this, partition);
  const auto [place, added] = coordinators_.emplace(index, coordinator);
  CHECK(added, "partition {} of the groups is led twice", index);
  coordinator->load();
  silence_.start();
}

void GroupCoordinators::resign(model::PartitionIndex index, ErrorCode code) {
  const auto found = coordinators_.find(index);
  if (found == coordinators_.end()) return;
  const auto coordinator = std::move(found->second);
  coordinators_.erase(found);
  coordinator->close(code);
}

GroupCoordinator* GroupCoordinators::find(model::PartitionIndex index) {
  const auto found = coordinators_.find(index);
  return found == coordinators_.end() ? nullptr : found->second.get();
}

// ---- Topics and settings

void GroupCoordinators::read_settings() {
  settings_ = group_settings(shard_.layers());
  linger_.set(group_linger_ms(shard_.layers()));
}

void GroupCoordinators::image_changed(const metadata::Record& record) {
  if (std::holds_alternative<metadata::BrokerConfigSet>(record)) settings_changed();
  if (concerns_topics(record)) topics_changed();
}

void GroupCoordinators::image_replaced() {
  settings_changed();
  topics_changed();
}

void GroupCoordinators::settings_changed() {
  read_settings();
  for (const auto& [index, coordinator] : coordinators_) coordinator->settings_changed();
}

void GroupCoordinators::topics_changed() {
  topics_stale_ = true;
  if (coordinators_.empty() || std::exchange(machines_stale_, true)) return;
  topics_timer_ =
      loop().after(topics_delay(shard_.image().topics().size()), lifeline_.guard([this] {
        topics_timer_ = env::TimerId::kNone;
        tell_topics();
      }));
}

void GroupCoordinators::catch_up() {
  if (!machines_stale_) return;
  if (topics_timer_ != env::TimerId::kNone)
    loop().cancel(std::exchange(topics_timer_, env::TimerId::kNone));
  tell_topics();
}

void GroupCoordinators::tell_topics() {
  machines_stale_ = false;
  if (closed_) return;
  std::vector<std::shared_ptr<GroupCoordinator>> all;
  for (const auto& [index, coordinator] : coordinators_) all.push_back(coordinator);
  for (const auto& coordinator : all) coordinator->topics_changed();
}

std::shared_ptr<const coordinator::Topics> GroupCoordinators::topics() {
  if (std::exchange(topics_stale_, false)) {
    // Grows over restarts too, unless the wall clock is set back; within one run it always does.
    const std::int64_t last = topics_ == nullptr ? 0 : topics_->version;
    topics_ = copy_topics(shard_.image(), std::max(last + 1, loop().clock().wall().value()));
  }
  return topics_;
}

// ---- The log

void GroupCoordinators::records_came() {
  linger_.came(loop().clock().now());
  // Enough may be there now.
  if (flush_timer_ != env::TimerId::kNone) flush_when_due();
}

void GroupCoordinators::flush_soon(GroupCoordinator& coordinator) {
  unflushed_.push_back(coordinator.weak_from_this());
  if (unflushed_.size() == 1) flush_when_due();
}

void GroupCoordinators::flush_when_due() {
  const common::Duration wait = linger_.wait(loop().clock().now());
  if (wait > common::Duration{}) {
    // One that is too early looks again, which is cheaper than setting it anew for each request.
    if (flush_timer_ != env::TimerId::kNone) return;
    flush_timer_ = loop().after(wait, lifeline_.guard([this] {
      flush_timer_ = env::TimerId::kNone;
      flush_when_due();
    }));
    return;
  }
  if (flush_timer_ != env::TimerId::kNone)
    loop().cancel(std::exchange(flush_timer_, env::TimerId::kNone));
  loop().post(lifeline_.guard([this] { flush_all(); }));
}

void GroupCoordinators::flush_all() {
  linger_.went(loop().clock().now());
  const auto unflushed = std::exchange(unflushed_, {});
  for (const auto& weak : unflushed) {
    if (const auto one = weak.lock()) one->flush();
  }
}

void GroupCoordinators::rewrite_soon(GroupCoordinator& coordinator) {
  const auto same = [&](const std::weak_ptr<GroupCoordinator>& queued) {
    return queued.lock().get() == &coordinator;
  };
  if (std::any_of(rewrites_.begin(), rewrites_.end(), same)) return;
  rewrites_.push_back(coordinator.weak_from_this());
  arm_rewrites();
}

// One at a time, with pauses: each takes as long as its state is large.
void GroupCoordinators::arm_rewrites() {
  if (rewrites_.empty() || rewrites_armed_) return;
  rewrites_armed_ = true;
  loop().after(kRewriteInterval, lifeline_.guard([this] {
    rewrites_armed_ = false;
    const auto next = rewrites_.front().lock();
    rewrites_.pop_front();
    if (next != nullptr) next->rewrite();
    arm_rewrites();
  }));
}

void GroupCoordinators::close(ErrorCode code) {
  if (closed_) return;
  closed_ = code;
  silence_.stop();
  for (const auto& [index, coordinator] : coordinators_) coordinator->close(code);
}

}  // namespace millrace::service
