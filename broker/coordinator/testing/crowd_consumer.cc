// A client of the consumer protocol.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

#include "broker/coordinator/testing/crowd.h"

namespace millrace::coordinator {
namespace {

Used used_of(const std::vector<TopicPartitions>& topics) {
  const PartitionList list = flat(topics);
  return {list.begin(), list.end()};
}

class Consumer final : public Client {
 public:
  Consumer(std::string id, std::optional<std::string> instance) {
    id_ = std::move(id);
    instance_ = std::move(instance);
  }

  void turn(Surroundings& world) override {
    if (joined_ && world.random.chance(1, 3)) commit(world);
    const bool acknowledges = reconcile(world);
    if (world.faults && world.random.chance(1, 20)) return;  // lost on the way there
    ConsumerHeartbeat request{.group = "g", .member = id_, .epoch = joined_ ? epoch_ : Epoch{0}};
    request.instance = instance_;
    request.client = {"consumer", "/127.0.0.1"};
    if (!joined_ || unsure_) {
      request.rebalance_timeout_ms = 20'000;
      request.topics = topics_;
      request.topic_regex = regex_;
    } else if (resubscribed_) {
      request.topics = topics_;
      request.topic_regex = regex_;
    }
    if (!joined_ || unsure_ || acknowledges) {
      const PartitionList used(used_.begin(), used_.end());
      request.owned = by_topic(used);
    }
    const ConsumerHeartbeatOutcome outcome = world.shell.beat(request);
    if (world.faults && world.random.chance(1, 20)) {  // lost on the way back
      unsure_ = true;
      return;
    }
    heard(outcome, world);
  }

  void leave(Surroundings& world) override {
    used_.clear();
    positions_.clear();
    ConsumerHeartbeat request{.group = "g", .member = id_, .epoch = Epoch{-1}};
    request.instance = instance_;
    if (instance_ && world.random.chance(1, 2)) request.epoch = Epoch{-2};
    world.shell.beat(request);
  }

  void subscribe(std::vector<std::string> topics, std::string regex) override {
    topics_ = std::move(topics);
    regex_ = std::move(regex);
    resubscribed_ = true;
  }

  Epoch epoch() const override { return epoch_; }

  bool at_rest() const override {
    return joined_ && !told_ && !unsure_ && !resubscribed_ && !unacknowledged_;
  }

 private:
  // Works on what it was told. True if it has something to say about it.
  bool reconcile(Surroundings& world) {
    if (!told_) return unacknowledged_;
    const bool revokes = std::any_of(used_.begin(), used_.end(),
                                     [&](const auto& key) { return !told_->contains(key); });
    if (revokes && slow_ > 0 && world.faults) {
      --slow_;
      return false;
    }
    used_ = std::move(*told_);
    told_.reset();
    std::map<model::PartitionKey, std::int64_t> positions;
    for (const model::PartitionKey& key : used_) {
      const auto kept = positions_.find(key);
      const auto place = world.committed.find(key);
      const std::int64_t begin = place == world.committed.end() ? 0 : place->second;
      positions[key] = kept == positions_.end() ? begin : kept->second;
    }
    positions_ = std::move(positions);
    unacknowledged_ = true;
    return true;
  }

  // Reads on in all that it uses, and says how far. Who has a partition next begins there.
  void commit(Surroundings& world) {
    OffsetCommit request{.group = "g", .epoch = epoch_, .member = id_, .instance = instance_};
    std::vector<model::PartitionKey> keys;
    for (auto& [key, position] : positions_) {
      const auto name = world.shell.topics().names.find(key.topic);
      if (name == world.shell.topics().names.end()) continue;
      keys.push_back(key);
      request.partitions.push_back({.topic = {.name = name->second, .id = key.topic},
                                    .partition = key.index.value(),
                                    .offset = model::Offset{++position}});
    }
    if (keys.empty()) return;
    const OffsetCommitOutcome outcome = world.shell.commit(request);
    if (!outcome.status.ok()) return;
    for (std::size_t i = 0; i < keys.size(); ++i) {
      if (outcome.partitions[i] != ErrorCode::kNone) continue;
      std::int64_t& told = world.committed[keys[i]];
      EXPECT_GE(request.partitions[i].offset.value(), told)
          << id_ << " took back what another committed of partition " << keys[i].index.value();
      told = request.partitions[i].offset.value();
    }
  }

  void heard(const ConsumerHeartbeatOutcome& outcome, Surroundings& world) {
    switch (outcome.status.code) {
      case ErrorCode::kNone:
        break;
      case ErrorCode::kFencedMemberEpoch:
      case ErrorCode::kUnknownMemberId:
      case ErrorCode::kGroupIdNotFound:
        return begin_anew();
      case ErrorCode::kFencedInstanceId:
        begin_anew();
        dead_ = true;
        return;
      case ErrorCode::kUnreleasedInstanceId:
      case ErrorCode::kNotCoordinator:
      case ErrorCode::kGroupMaxSizeReached:
        unsure_ = true;
        return;
      default:
        FAIL() << "code " << static_cast<int>(outcome.status.code) << " " << outcome.status.detail;
    }
    if (joined_) {
      EXPECT_GE(outcome.epoch, epoch_) << id_ << ": an epoch went back";
    }
    joined_ = true;
    unsure_ = false;
    resubscribed_ = false;
    unacknowledged_ = false;
    epoch_ = outcome.epoch;
    if (!outcome.assignment) return;
    told_ = used_of(*outcome.assignment);
    slow_ =
        world.faults && world.random.chance(1, 4) ? static_cast<int>(world.random.below(12)) : 0;
  }

  void begin_anew() {
    joined_ = false;
    unsure_ = false;
    unacknowledged_ = false;
    told_.reset();
    used_.clear();
    positions_.clear();
    epoch_ = Epoch{0};
  }

  Epoch epoch_{0};
  bool joined_ = false;
  bool unsure_ = false;  // whether the last heartbeat counted
  bool resubscribed_ = false;
  bool unacknowledged_ = false;
  std::optional<Used> told_;
  std::map<model::PartitionKey, std::int64_t> positions_;  // of what it uses: how far it read
  int slow_ = 0;
};

}  // namespace

std::unique_ptr<Client> make_consumer(std::string id, std::optional<std::string> instance) {
  return std::make_unique<Consumer>(std::move(id), std::move(instance));
}

}  // namespace millrace::coordinator
