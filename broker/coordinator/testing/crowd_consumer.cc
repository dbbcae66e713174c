// A client of the consumer protocol.
#include <gtest/gtest.h>

#include <algorithm>
#include <utility>

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
    unacknowledged_ = true;
    return true;
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
    epoch_ = Epoch{0};
  }

  Epoch epoch_{0};
  bool joined_ = false;
  bool unsure_ = false;  // whether the last heartbeat counted
  bool resubscribed_ = false;
  bool unacknowledged_ = false;
  std::optional<Used> told_;
  int slow_ = 0;
};

}  // namespace

std::unique_ptr<Client> make_consumer(std::string id, std::optional<std::string> instance) {
  return std::make_unique<Consumer>(std::move(id), std::move(instance));
}

}  // namespace millrace::coordinator
