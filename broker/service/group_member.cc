#include "broker/service/group_member.h"

#include <algorithm>
#include <chrono>
#include <map>
#include <utility>

#include "broker/service/groups_anywhere.h"

namespace millrace::service {
namespace {

using coordinator::Epoch;
using model::ErrorCode;
using model::PartitionKey;

/// Asking costs little between brokers, and nothing within one: more often than clients are told
/// to, so that partitions move sooner.
constexpr int kHeartbeatsPerInterval = 5;
constexpr common::Duration kHeartbeatMin = std::chrono::milliseconds(100);
constexpr common::Duration kBackoffMin = std::chrono::milliseconds(50);
constexpr common::Duration kBackoffMax = std::chrono::seconds(1);
/// The stream that had the static identity may have broken a moment ago: its leave is on the way.
constexpr common::Duration kInstanceWait = std::chrono::seconds(5);
constexpr Epoch kLeaveForGood{-1};
constexpr Epoch kLeaveForAWhile{-2};

std::vector<PartitionKey> list(const std::set<PartitionKey>& keys) {
  return {keys.begin(), keys.end()};
}

std::set<PartitionKey> minus(const std::set<PartitionKey>& from,
                             const std::set<PartitionKey>& what) {
  std::set<PartitionKey> rest;
  std::set_difference(from.begin(), from.end(), what.begin(), what.end(),
                      std::inserter(rest, rest.end()));
  return rest;
}

/// The group does not know the member (any more): what it had belongs to others.
bool is_loss(ErrorCode code) {
  return code == ErrorCode::kFencedMemberEpoch || code == ErrorCode::kUnknownMemberId;
}

}  // namespace

std::shared_ptr<GroupMember> GroupMember::join(Shard& here, MemberOptions options,
                                               MemberEvents& events) {
  auto member = std::shared_ptr<GroupMember>(new GroupMember(here, std::move(options), events));
  member->turn_later();
  return member;
}

GroupMember::GroupMember(Shard& here, MemberOptions options, MemberEvents& events)
    : here_(here),
      options_(std::move(options)),
      events_(&events),
      id_(common::Uuid::random(here.random()).text()),
      began_(here.clock().now()) {}

GroupMember::~GroupMember() = default;

template <typename T, typename Then>
common::Reply<T> GroupMember::on_answer(Then then) {
  CHECK(!exchanging_);
  exchanging_ = true;
  return common::Reply<T>([self = shared_from_this(), then = std::move(then)](T answer) mutable {
    // Through the loop: an answer may come inside the call that asked.
    Shard& here = self->here_;
    here.loop().post(
        [self = std::move(self), then = std::move(then), answer = std::move(answer)]() mutable {
          self->exchanging_ = false;
          then(*self, std::move(answer));
          self->turn();
        });
  });
}

// ---- What to do next

void GroupMember::turn() {
  if (exchanging_) return;
  if (state_ == State::kGone) return refuse_commits(ErrorCode::kUnknownMemberId);
  if (leaving_) {
    if (!commits_.empty()) return send_commit();
    return asked_to_join_ ? send_leave() : gone();
  }
  if (backoff_timer_ != env::TimerId::kNone) return;
  if (!found_) return find_coordinator();
  if (state_ == State::kJoining) return send_heartbeat();
  if (heartbeat_due_ || (owned_changed_ && commits_before_release_ == 0)) return send_heartbeat();
  if (revoking_.empty() && (revoke() || take_added())) return;
  if (!commits_.empty()) send_commit();
}

void GroupMember::turn_later() {
  here_.loop().post([self = shared_from_this()] { self->turn(); });
}

void GroupMember::find_coordinator() {
  service::find_coordinator(
      here_, options_.group,
      on_answer<coordinator::Status>([](GroupMember& member, const coordinator::Status& status) {
        if (status.ok()) {
          member.found_ = true;
        } else if (model::error_row(status.code).retriable) {
          member.retry(status.code);
        } else {
          member.fail(status);
        }
      }));
}

coordinator::ConsumerHeartbeat GroupMember::heartbeat(Epoch epoch) const {
  coordinator::ConsumerHeartbeat request;
  request.group = options_.group;
  request.member = id_;
  request.epoch = epoch;
  request.instance = options_.instance;
  request.client = options_.client;
  return request;
}

void GroupMember::send_heartbeat() {
  coordinator::ConsumerHeartbeat request = heartbeat(epoch_);
  if (state_ == State::kJoining) {
    request.rack = options_.rack;
    request.rebalance_timeout_ms = options_.rebalance_timeout_ms;
    request.topics = options_.topics;
    request.topic_regex = options_.topic_regex;
    request.assignor = options_.assignor;
    request.owned.emplace();
    asked_to_join_ = true;
  } else if (owned_changed_ && commits_before_release_ == 0) {
    request.owned = owned_list();
    owned_changed_ = false;
  }
  heartbeat_due_ = false;
  consumer_heartbeat_anywhere(
      here_, std::move(request),
      on_answer<coordinator::ConsumerHeartbeatOutcome>(
          [](GroupMember& member, const coordinator::ConsumerHeartbeatOutcome& outcome) {
            if (outcome.status.ok()) return member.heartbeat_answered(outcome);
            member.heartbeat_refused(outcome.status);
          }));
}

/// Begins to give back what the target does not have. False: nothing to give.
bool GroupMember::revoke() {
  revoking_ = minus(owned_, target_);
  if (revoking_.empty()) return false;
  events_->on_revoking(list(revoking_));
  return true;
}

/// Asks where the group stands in what is new in the target. False: nothing is new.
bool GroupMember::take_added() {
  std::vector<AssignedPartition> added;
  coordinator::OffsetFetch request;
  request.group = options_.group;
  request.member = id_;
  request.epoch = epoch_;
  request.require_stable = true;
  request.partitions.emplace();
  for (const PartitionKey& key : minus(target_, owned_)) {
    // A topic this shard has not heard of yet, or not any more: the next heartbeat asks again.
    const auto topic = here_.image().topic(key.topic);
    if (topic == nullptr || key.index.value() >= topic->partition_count()) continue;
    added.push_back({.key = key, .topic = topic->name, .committed = {}});
    request.partitions->push_back({{topic->name, key.topic}, key.index.value()});
  }
  if (added.empty()) return false;
  fetch_offsets_anywhere(
      here_, std::move(request),
      on_answer<coordinator::OffsetFetchOutcome>(
          [added = std::move(added)](GroupMember& member,
                                     const coordinator::OffsetFetchOutcome& outcome) mutable {
            member.offsets_answered(std::move(added), outcome);
          }));
  return true;
}

void GroupMember::send_commit() {
  OpenCommit commit = std::move(commits_.front());
  commits_.pop_front();
  if (commits_before_release_ > 0) --commits_before_release_;
  if (commit.sent.empty()) {
    commit.done(std::move(commit.codes));
    return turn_later();
  }
  coordinator::OffsetCommit request;
  request.group = options_.group;
  request.epoch = epoch_;
  request.member = id_;
  request.instance = options_.instance;
  request.partitions = std::move(commit.sent);
  commit_offsets_anywhere(
      here_, std::move(request),
      on_answer<coordinator::OffsetCommitOutcome>(
          [commit = std::move(commit)](GroupMember& member,
                                       const coordinator::OffsetCommitOutcome& outcome) mutable {
            member.commit_answered(std::move(commit), outcome);
          }));
}

void GroupMember::send_leave() {
  const bool stays = *leaving_ == Leaving::kForAWhile && options_.instance.has_value();
  coordinator::ConsumerHeartbeat request = heartbeat(stays ? kLeaveForAWhile : kLeaveForGood);
  consumer_heartbeat_anywhere(
      here_, std::move(request),
      on_answer<coordinator::ConsumerHeartbeatOutcome>(
          // Whatever the answer: a leave that did not arrive ends as a session that
          // times out.
          [](GroupMember& member, const coordinator::ConsumerHeartbeatOutcome&) {
            member.gone();
          }));
}

// ---- What came of it

void GroupMember::heartbeat_answered(const coordinator::ConsumerHeartbeatOutcome& outcome) {
  backoff_ = {};
  state_ = State::kMember;
  epoch_ = outcome.epoch;
  const common::Duration asked = std::chrono::milliseconds(outcome.heartbeat_interval_ms);
  interval_ = std::max(asked / kHeartbeatsPerInterval, kHeartbeatMin);
  if (outcome.assignment) {
    target_.clear();
    for (const coordinator::TopicPartitions& topic : *outcome.assignment) {
      for (const std::int32_t index : topic.partitions)
        target_.insert({topic.topic, model::PartitionIndex{index}});
    }
  }
  if (leaving_) return;
  schedule_heartbeat();
  if (!std::exchange(announced_, true)) events_->on_joined();
}

void GroupMember::heartbeat_refused(const coordinator::Status& status) {
  if (leaving_) return;
  if (is_loss(status.code) && state_ == State::kMember) return lose(status.detail);
  const bool released_soon = status.code == ErrorCode::kUnreleasedInstanceId &&
                             here_.clock().now() - began_ < kInstanceWait;
  if (released_soon || model::error_row(status.code).retriable) {
    // What the request said of the owned partitions was not heard.
    owned_changed_ = state_ == State::kMember;
    heartbeat_due_ = true;
    return retry(status.code);
  }
  fail(status);
}

void GroupMember::offsets_answered(std::vector<AssignedPartition> added,
                                   const coordinator::OffsetFetchOutcome& outcome) {
  if (leaving_) return;
  if (!outcome.status.ok()) {
    if (outcome.status.code == ErrorCode::kUnknownMemberId) return lose(outcome.status.detail);
    if (outcome.status.code == ErrorCode::kStaleMemberEpoch) {
      heartbeat_due_ = true;
      return;
    }
    if (!model::error_row(outcome.status.code).retriable) return fail(outcome.status);
    return retry(outcome.status.code);
  }
  CHECK(outcome.partitions.size() == added.size());
  std::vector<AssignedPartition> taken;
  ErrorCode missing = ErrorCode::kNone;
  for (std::size_t i = 0; i < added.size(); ++i) {
    if (outcome.partitions[i].code != ErrorCode::kNone) {
      missing = outcome.partitions[i].code;  // an open transaction, or the topic went meanwhile
      continue;
    }
    added[i].committed = outcome.partitions[i].committed;
    owned_.insert(added[i].key);
    taken.push_back(std::move(added[i]));
  }
  if (!taken.empty()) {
    owned_changed_ = true;
    events_->on_assigned(std::move(taken));
  }
  if (missing != ErrorCode::kNone) retry(missing);
}

void GroupMember::commit_answered(OpenCommit commit,
                                  const coordinator::OffsetCommitOutcome& outcome) {
  for (std::size_t i = 0; i < commit.places.size(); ++i) {
    commit.codes[commit.places[i]] =
        outcome.status.ok() ? outcome.partitions.at(i) : outcome.status.code;
  }
  // A member that the group does not know hears of it with its next heartbeat.
  if (is_loss(outcome.status.code) || outcome.status.code == ErrorCode::kStaleMemberEpoch)
    heartbeat_due_ = true;
  commit.done(std::move(commit.codes));
}

/// Goes on after a pause; each failure in a row doubles it.
void GroupMember::retry(ErrorCode code) {
  if (leaving_ || backoff_timer_ != env::TimerId::kNone) return;
  if (code == ErrorCode::kNotCoordinator || code == ErrorCode::kCoordinatorNotAvailable)
    found_ = false;
  backoff_ = std::clamp(2 * backoff_, kBackoffMin, kBackoffMax);
  backoff_timer_ = here_.loop().after(backoff_, [self = shared_from_this()] {
    self->backoff_timer_ = env::TimerId::kNone;
    self->turn();
  });
}

void GroupMember::lose(const std::string& reason) {
  const std::vector<PartitionKey> keys = list(owned_);
  owned_.clear();
  target_.clear();
  revoking_.clear();
  owned_changed_ = false;
  epoch_ = Epoch{0};
  state_ = State::kJoining;
  refuse_commits(ErrorCode::kUnknownMemberId);
  if (!keys.empty()) events_->on_lost(keys, reason);
}

void GroupMember::fail(const coordinator::Status& status) {
  if (leaving_) return;
  MemberEvents* events = std::exchange(events_, nullptr);
  const common::Error error{status.code, status.detail.empty()
                                             ? std::string(model::error_row(status.code).meaning)
                                             : status.detail};
  gone();
  events->on_failed(error);
}

void GroupMember::gone() {
  state_ = State::kGone;
  for (env::TimerId* timer : {&heartbeat_timer_, &backoff_timer_}) {
    if (*timer != env::TimerId::kNone) here_.loop().cancel(*timer);
    *timer = env::TimerId::kNone;
  }
  refuse_commits(ErrorCode::kUnknownMemberId);
  if (left_) left_();
  left_ = nullptr;
}

void GroupMember::refuse_commits(ErrorCode code) {
  commits_before_release_ = 0;
  while (!commits_.empty()) {
    OpenCommit commit = std::move(commits_.front());
    commits_.pop_front();
    for (const std::size_t place : commit.places) commit.codes[place] = code;
    commit.done(std::move(commit.codes));
  }
}

void GroupMember::schedule_heartbeat() {
  if (heartbeat_timer_ != env::TimerId::kNone) here_.loop().cancel(heartbeat_timer_);
  heartbeat_timer_ = here_.loop().after(interval_, [self = shared_from_this()] {
    self->heartbeat_timer_ = env::TimerId::kNone;
    self->heartbeat_due_ = true;
    self->turn();
  });
}

std::vector<coordinator::TopicPartitions> GroupMember::owned_list() const {
  std::vector<coordinator::TopicPartitions> topics;
  for (const PartitionKey& key : owned_) {
    if (topics.empty() || topics.back().topic != key.topic)
      topics.push_back({.topic = key.topic, .partitions = {}});
    topics.back().partitions.push_back(key.index.value());
  }
  return topics;
}

// ---- What the owner asks for

void GroupMember::commit(std::vector<CommitPartition> partitions, common::Reply<Codes> done) {
  CHECK(!leaving_, "a commit after the leave");
  OpenCommit commit{.sent = {}, .places = {}, .codes = {}, .done = std::move(done)};
  commit.codes.resize(partitions.size(), ErrorCode::kNone);
  for (std::size_t i = 0; i < partitions.size(); ++i) {
    const PartitionKey key{partitions[i].topic.id, model::PartitionIndex{partitions[i].partition}};
    if (!owned_.contains(key)) {
      commit.codes[i] = ErrorCode::kStaleMemberEpoch;
      continue;
    }
    commit.places.push_back(i);
    commit.sent.push_back(std::move(partitions[i]));
  }
  commits_.push_back(std::move(commit));
  turn_later();
}

void GroupMember::released() {
  for (const PartitionKey& key : revoking_) owned_.erase(key);
  revoking_.clear();
  owned_changed_ = true;
  commits_before_release_ = commits_.size();
  turn_later();
}

void GroupMember::leave(Leaving way, common::Function<void()> done) {
  CHECK(!leaving_, "a member leaves once");
  events_ = nullptr;
  leaving_ = way;
  left_ = std::move(done);
  if (state_ == State::kGone) {
    return here_.loop().post([self = shared_from_this()] { self->gone(); });
  }
  turn_later();
}

}  // namespace millrace::service
