#include "tests/sim/workload/consumer_member.h"

#include <utility>

namespace millrace::sim {

using model::ErrorCode;

namespace {

constexpr std::int32_t kRebalanceMs = 20'000;
constexpr Duration kRequestTimeout = std::chrono::seconds(3);
constexpr Duration kLifeEvery = std::chrono::seconds(5);
constexpr std::uint64_t kGoAwayOneIn = 8;
constexpr std::int32_t kLeaves = -1;
/// The first version in which members draw their own ids.
constexpr std::int16_t kOwnIdVersionMin = 1;

}  // namespace

ConsumerMember::ConsumerMember(Client::Parts client, History& history, GroupHistory& groups,
                               std::string group, std::string topic, Duration session)
    : client_(std::move(client)),
      fetcher_(client_, history),
      keeper_(client_, groups, group),
      groups_(groups),
      group_(std::move(group)),
      topic_(std::move(topic)),
      session_(session) {
  client_.track(topic_);
  CHECK(session_ < std::chrono::milliseconds(kRebalanceMs),
        "a member that hears nothing must give up before it is given up");
}

void ConsumerMember::start() {
  fetcher_.start();
  begin(new_name());
  live_or_die();
}

void ConsumerMember::finish() {
  finishing_ = true;
  finished_writing_ = client_.loop().clock().now();
  if (away_) begin(new_name());
}

std::string ConsumerMember::unfinished() const {
  if (away_ || who_.epoch <= 0 || owned_ != assigned_)
    return fmt::format("{}: has no settled part in group {}", client_.name(), group_);
  if (fetcher_.targets().size() != owned_.size())
    return fmt::format("{}: has not begun to read its part", client_.name());
  if (const std::string behind = fetcher_.behind(finished_writing_); !behind.empty())
    return fmt::format("{}: has not read its part: {}", client_.name(), behind);
  if (!keeper_.has(positions(owned_)))
    return fmt::format("{}: has not committed what it read", client_.name());
  return {};
}

template <typename Then>
void ConsumerMember::after(Duration delay, Then then) {
  client_.loop().after(delay, [this, life = life_, then = std::move(then)]() mutable {
    if (life == life_) then();
  });
}

template <typename Take>
auto ConsumerMember::while_here(Take take) {
  return [this, life = life_, take = std::move(take)](auto&& answer) mutable {
    if (life == life_) take(std::forward<decltype(answer)>(answer));
  };
}

std::string ConsumerMember::new_name() {
  return common::Uuid::random(client_.random()).text();
}

void ConsumerMember::begin(std::string name) {
  ++life_;
  away_ = false;
  waiting_ = false;
  reconciling_ = false;
  must_tell_ = false;
  keeper_.forget();
  who_ = {std::move(name), 0};
  find();
  commit_now_and_then();
  watch_session();
}

void ConsumerMember::find() {
  client_.refresh(while_here([this](bool) {
    client_.find_coordinator(group_, while_here([this](std::int32_t node) {
                               if (node < 0) return after(client_.pause(), [this] { find(); });
                               coordinator_ = node;
                               heartbeat(Words::kAll);
                             }));
  }));
}

void ConsumerMember::heartbeat(Words words) {
  if (std::exchange(waiting_, true)) return;
  wire::ConsumerGroupHeartbeatRequest request;
  request.group_id = group_;
  request.member_id = who_.member;
  request.member_epoch = who_.epoch;
  const bool all = words == Words::kAll || who_.epoch == 0;
  if (all) {
    request.rebalance_timeout_ms = kRebalanceMs;
    request.subscribed_topic_names = {topic_};
  }
  if (all || must_tell_) {
    request.topic_partitions.emplace();
    if (const TopicView* const view = client_.topic(topic_); view != nullptr && !owned_.empty()) {
      auto& topic = request.topic_partitions->emplace_back();
      topic.topic_id = view->id;
      for (const Target& target : owned_) topic.partitions.push_back(target.partition);
    }
    must_tell_ = false;
  }
  client_.call(coordinator_, request, kRequestTimeout,
               while_here([this, left = client_.loop().clock().now()](
                              const Result<wire::ConsumerGroupHeartbeatResponse>& answer) {
                 waiting_ = false;
                 if (!answer.ok()) return trouble(ErrorCode::kCoordinatorNotAvailable);
                 const ErrorCode code = code_of(answer->error_code);
                 if (code != ErrorCode::kNone) return trouble(code);
                 heard_ = left;
                 heard(*answer);
               }),
               kOwnIdVersionMin);
}

void ConsumerMember::heard(const wire::ConsumerGroupHeartbeatResponse& answer) {
  if (answer.member_epoch < who_.epoch) {
    client_.trace().fail(fmt::format("{}: the epoch went from {} to {}", client_.name(), who_.epoch,
                                     answer.member_epoch));
  }
  who_.epoch = answer.member_epoch;
  interval_ = std::chrono::milliseconds(answer.heartbeat_interval_ms);
  if (answer.assignment) {
    const TopicView* const view = client_.topic(topic_);
    std::set<Target> assigned;
    for (const auto& topic : answer.assignment->topic_partitions) {
      // Heard of before the metadata: it is told again to who says everything again.
      if (view == nullptr || topic.topic_id != view->id)
        return after(client_.pause(), [this] { find(); });
      for (const std::int32_t partition : topic.partitions) assigned.insert({topic_, partition});
    }
    assigned_ = std::move(assigned);
    client_.trace().say(client_.name(), "{} gives {} partitions in epoch {}", group_,
                        assigned_.size(), who_.epoch);
  }
  // A heartbeat in between puts off the next one.
  after(interval_, [this, beat = ++beat_] {
    if (beat == beat_) heartbeat(Words::kFew);
  });
  reconcile();
  if (must_tell_) heartbeat(Words::kFew);
}

// First gives back what is no longer its own, then takes what is new, and tells each time.
void ConsumerMember::reconcile() {
  if (reconciling_) return;
  std::set<Target> gone;
  for (const Target& target : owned_)
    if (!assigned_.contains(target)) gone.insert(target);
  if (!gone.empty()) return give_back(gone);
  for (const Target& target : assigned_) {
    if (!owned_.insert(target).second) continue;
    // It is the owner from now on: nobody else may be told that they are.
    groups_.owns(group_, target, who_.member);
    must_tell_ = true;
  }
  std::vector<Target> unread;
  for (const Target& target : owned_)
    if (!fetcher_.assigned(target)) unread.push_back(target);
  if (!unread.empty()) begin_reading(unread);
  if (must_tell_) heartbeat(Words::kFew);
}

void ConsumerMember::give_back(const std::set<Target>& gone) {
  reconciling_ = true;
  const auto offsets = positions(gone);
  for (const Target& target : gone) fetcher_.revoke(target);
  keeper_.commit(coordinator_, who_, offsets, while_here([this, gone](ErrorCode) {
                   reconciling_ = false;
                   for (const Target& target : gone) {
                     if (owned_.erase(target) > 0) groups_.releases(group_, target, who_.member);
                   }
                   must_tell_ = true;
                   reconcile();
                 }));
}

void ConsumerMember::begin_reading(const std::vector<Target>& unread) {
  reconciling_ = true;
  keeper_.fetch(coordinator_, who_, OffsetKeeper::ByMember::kYes, unread,
                while_here([this](const Result<OffsetKeeper::Committed>& committed) {
                  reconciling_ = false;
                  if (!committed.ok()) {
                    client_.trace().say(client_.name(), "no committed offsets: {}",
                                        committed.error().detail);
                    return after(client_.pause(), [this] { reconcile(); });
                  }
                  for (const auto& [target, offset] : *committed)
                    if (owned_.contains(target)) fetcher_.assign(target, offset);
                  reconcile();
                }));
}

void ConsumerMember::drop_all() {
  for (const Target& target : owned_) groups_.releases(group_, target, who_.member);
  owned_.clear();
  assigned_.clear();
  fetcher_.revoke_all();
}

void ConsumerMember::trouble(ErrorCode code) {
  client_.trace().say(client_.name(), "{}: {}", group_, name_of(code));
  switch (code) {
    case ErrorCode::kFencedMemberEpoch:
    case ErrorCode::kUnknownMemberId: {
      drop_all();
      // Under the same name, or as somebody else.
      const bool same = client_.random().chance(1, 2);
      return after(client_.pause(), [this, same] { begin(same ? who_.member : new_name()); });
    }
    case ErrorCode::kNotCoordinator:
    case ErrorCode::kCoordinatorNotAvailable:
    case ErrorCode::kCoordinatorLoadInProgress:
    case ErrorCode::kRequestTimedOut:
    case ErrorCode::kNotEnoughReplicas:
      return after(client_.pause(), [this] { find(); });
    default:
      client_.trace().fail(
          fmt::format("{}: group {} answered {}", client_.name(), group_, name_of(code)));
  }
}

// The coordinator gives up a member that is silent for a session, counted from what it heard last,
// which is later than when that left here.
void ConsumerMember::watch_session() {
  after(std::chrono::milliseconds(100), [this] {
    const common::Instant now = client_.loop().clock().now();
    if (!owned_.empty() && now - heard_ >= session_ - std::chrono::milliseconds(200)) {
      client_.trace().say(client_.name(), "gives up its part in {}: it hears nothing", group_);
      drop_all();
      return begin(new_name());
    }
    watch_session();
  });
}

OffsetKeeper::Offsets ConsumerMember::positions(const std::set<Target>& of) const {
  OffsetKeeper::Offsets offsets;
  for (const Target& target : of)
    if (const auto position = fetcher_.position(target)) offsets[target] = *position;
  return offsets;
}

void ConsumerMember::commit_now_and_then() {
  after(client_.pause() * 6, [this] {
    if (who_.epoch <= 0) return commit_now_and_then();
    keeper_.commit(coordinator_, who_, positions(owned_), while_here([this](ErrorCode code) {
                     if (code != ErrorCode::kNone)
                       client_.trace().say(client_.name(), "a commit was answered {}",
                                           name_of(code));
                     commit_now_and_then();
                   }));
  });
}

void ConsumerMember::live_or_die() {
  client_.loop().after(kLifeEvery, [this] {
    if (finishing_) return;
    if (away_) {
      if (client_.random().chance(1, 2)) begin(new_name());
    } else if (client_.random().chance(1, kGoAwayOneIn)) {
      go_away();
    }
    live_or_die();
  });
}

void ConsumerMember::go_away() {
  const bool says_so = client_.random().chance(1, 2);
  client_.trace().say(client_.name(), "{} {}", says_so ? "leaves" : "drops out of", group_);
  drop_all();
  ++life_;
  away_ = true;
  if (!says_so) return;
  wire::ConsumerGroupHeartbeatRequest request;
  request.group_id = group_;
  request.member_id = who_.member;
  request.member_epoch = kLeaves;
  client_.call(
      coordinator_, request, kRequestTimeout,
      [](const Result<wire::ConsumerGroupHeartbeatResponse>&) {}, kOwnIdVersionMin);
}

}  // namespace millrace::sim
