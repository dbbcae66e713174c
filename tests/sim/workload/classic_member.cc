#include "tests/sim/workload/classic_member.h"

#include <utility>

#include "broker/coordinator/consumer_protocol.h"
#include "broker/wire/messages/heartbeat.h"
#include "broker/wire/messages/leave_group.h"

namespace millrace::sim {

using model::ErrorCode;

namespace {

constexpr const char* kProtocol = "in-turn";
constexpr std::int32_t kSessionMs = 8000;
constexpr std::int32_t kRebalanceMs = 10'000;
constexpr Duration kJoinTimeout = std::chrono::milliseconds(kRebalanceMs + 5000);
constexpr Duration kRequestTimeout = std::chrono::seconds(4);
constexpr Duration kHeartbeatEvery = std::chrono::milliseconds(1000);
constexpr Duration kLifeEvery = std::chrono::seconds(5);
constexpr std::uint64_t kGoAwayOneIn = 8;

}  // namespace

ClassicMember::ClassicMember(Client::Parts client, History& history, GroupHistory& groups,
                             std::string group, std::string topic)
    : client_(std::move(client)),
      fetcher_(client_, history),
      keeper_(client_, groups, group),
      groups_(groups),
      group_(std::move(group)),
      topic_(std::move(topic)) {
  client_.track(topic_);
}

void ClassicMember::start() {
  fetcher_.start();
  find();
  live_or_die();
}

void ClassicMember::finish() {
  finishing_ = true;
  finished_writing_ = client_.loop().clock().now();
  if (state_ == State::kAway) find();
}

std::string ClassicMember::unfinished() const {
  if (state_ != State::kReading)
    return fmt::format("{}: has no part in group {}", client_.name(), group_);
  if (const std::string behind = fetcher_.behind(finished_writing_); !behind.empty())
    return fmt::format("{}: has not read its part: {}", client_.name(), behind);
  if (!keeper_.has(positions()))
    return fmt::format("{}: has not committed what it read", client_.name());
  return {};
}

template <typename Then>
void ClassicMember::after(Duration delay, Then then) {
  client_.loop().after(delay, [this, step = step_, then = std::move(then)]() mutable {
    if (step == step_) then();
  });
}

/// The taker of an answer, unless it comes too late.
template <typename Take>
auto ClassicMember::while_here(Take take) {
  return [this, step = step_, take = std::move(take)](auto&& answer) mutable {
    if (step == step_) take(std::forward<decltype(answer)>(answer));
  };
}

void ClassicMember::enter(State state) {
  state_ = state;
  ++step_;
  if (state != State::kReading) fetcher_.revoke_all();
}

void ClassicMember::find() {
  enter(State::kJoining);
  client_.refresh(while_here([this](bool) {
    client_.find_coordinator(group_, while_here([this](std::int32_t node) {
                               if (node < 0) return after(client_.pause(), [this] { find(); });
                               coordinator_ = node;
                               join();
                             }));
  }));
}

void ClassicMember::join() {
  enter(State::kJoining);
  coordinator::Subscription subscription;
  subscription.topics = {topic_};
  wire::JoinGroupRequest request;
  request.group_id = group_;
  request.session_timeout_ms = kSessionMs;
  request.rebalance_timeout_ms = kRebalanceMs;
  request.member_id = who_.member;
  request.protocol_type = coordinator::kConsumerProtocolType;
  request.protocols.push_back({kProtocol, coordinator::encode(subscription)});
  client_.call(coordinator_, request, kJoinTimeout,
               while_here([this](const Result<wire::JoinGroupResponse>& answer) {
                 if (!answer.ok()) return after(client_.pause(), [this] { find(); });
                 joined(*answer);
               }));
}

void ClassicMember::joined(const wire::JoinGroupResponse& answer) {
  const ErrorCode code = code_of(answer.error_code);
  if (code == ErrorCode::kMemberIdRequired) {
    who_.member = answer.member_id;
    return join();
  }
  if (code != ErrorCode::kNone) return trouble(code);
  who_ = {answer.member_id, answer.generation_id};
  leads_ = answer.leader == answer.member_id;
  client_.trace().say(client_.name(), "joined {} in generation {}{}", group_, who_.epoch,
                      leads_ ? " and leads" : "");
  // The leader needs to know how many partitions there are.
  enter(State::kSyncing);
  if (!leads_) return sync(answer);
  client_.refresh(while_here([this, answer](bool fresh) {
    if (!fresh) return after(client_.pause(), [this] { rejoin(); });
    sync(answer);
  }));
}

void ClassicMember::sync(const wire::JoinGroupResponse& joined) {
  wire::SyncGroupRequest request;
  request.group_id = group_;
  request.generation_id = who_.epoch;
  request.member_id = who_.member;
  request.protocol_type = coordinator::kConsumerProtocolType;
  request.protocol_name = kProtocol;
  if (leads_) {
    const TopicView* const view = client_.topic(topic_);
    shared_out_ = view == nullptr ? 0 : view->leaders.size();
    for (std::size_t m = 0; m < joined.members.size(); ++m) {
      coordinator::Assignment assignment;
      coordinator::NamedPartitions given{topic_, {}};
      for (std::size_t p = m; p < shared_out_; p += joined.members.size())
        given.partitions.push_back(static_cast<std::int32_t>(p));
      if (!given.partitions.empty()) assignment.partitions.push_back(std::move(given));
      request.assignments.push_back({joined.members[m].member_id, coordinator::encode(assignment)});
    }
  }
  client_.call(coordinator_, request, kJoinTimeout,
               while_here([this](const Result<wire::SyncGroupResponse>& answer) {
                 if (!answer.ok()) return after(client_.pause(), [this] { find(); });
                 synced(*answer);
               }));
}

void ClassicMember::synced(const wire::SyncGroupResponse& answer) {
  const ErrorCode code = code_of(answer.error_code);
  if (code != ErrorCode::kNone) return trouble(code);
  const auto assignment = coordinator::decode_assignment(answer.assignment);
  if (!assignment.ok()) {
    return client_.trace().fail(fmt::format("{} cannot read its assignment: {}", client_.name(),
                                            assignment.error().detail));
  }
  std::vector<Target> targets;
  for (const auto& given : assignment->partitions)
    for (const std::int32_t partition : given.partitions)
      targets.push_back({given.topic, partition});
  groups_.assigned(group_, who_.epoch, who_.member, targets);
  enter(State::kFetching);
  keeper_.forget();
  heartbeat();
  fetch_offsets(std::move(targets));
}

void ClassicMember::fetch_offsets(std::vector<Target> targets) {
  if (targets.empty()) return read({});
  keeper_.fetch(coordinator_, who_, OffsetKeeper::ByMember::kNo, targets,
                while_here([this, targets](const Result<OffsetKeeper::Committed>& committed) {
                  if (committed.ok()) return read(*committed);
                  // It may be asked for by an id that this client does not know yet.
                  after(client_.pause(), [this, targets] {
                    client_.refresh(while_here([this, targets](bool) { fetch_offsets(targets); }));
                  });
                }));
}

void ClassicMember::read(const OffsetKeeper::Committed& committed) {
  // No new step: heartbeats go on.
  state_ = State::kReading;
  for (const auto& [target, offset] : committed) fetcher_.assign(target, offset);
  commit_now_and_then();
  watch_partitions();
}

void ClassicMember::heartbeat() {
  wire::HeartbeatRequest request;
  request.group_id = group_;
  request.generation_id = who_.epoch;
  request.member_id = who_.member;
  client_.call(coordinator_, request, kRequestTimeout,
               while_here([this](const Result<wire::HeartbeatResponse>& answer) {
                 if (!answer.ok()) return trouble(ErrorCode::kNotCoordinator);
                 const ErrorCode code = code_of(answer->error_code);
                 if (code != ErrorCode::kNone) return trouble(code);
                 after(kHeartbeatEvery, [this] { heartbeat(); });
               }));
}

OffsetKeeper::Offsets ClassicMember::positions() const {
  OffsetKeeper::Offsets offsets;
  for (const Target& target : fetcher_.targets())
    if (const auto position = fetcher_.position(target)) offsets[target] = *position;
  return offsets;
}

void ClassicMember::commit(Reply<ErrorCode> done) {
  keeper_.commit(coordinator_, who_, positions(), std::move(done));
}

void ClassicMember::commit_now_and_then() {
  after(client_.pause() * 6, [this] {
    commit(while_here([this](ErrorCode code) {
      // The heartbeat tells what to do about it.
      if (code != ErrorCode::kNone)
        client_.trace().say(client_.name(), "a commit was answered {}", name_of(code));
      commit_now_and_then();
    }));
  });
}

// Partitions may be added: the leader then has them shared out anew.
void ClassicMember::watch_partitions() {
  after(std::chrono::seconds(2), [this] {
    client_.refresh(while_here([this](bool fresh) {
      const TopicView* const view = client_.topic(topic_);
      if (fresh && leads_ && view != nullptr && view->leaders.size() != shared_out_)
        return rejoin();
      watch_partitions();
    }));
  });
}

// What was read is committed first, so that who gets the partitions next need not read it again.
void ClassicMember::rejoin() {
  if (state_ != State::kReading) return join();
  ++step_;
  commit(while_here([this](ErrorCode) { join(); }));
}

void ClassicMember::trouble(ErrorCode code) {
  client_.trace().say(client_.name(), "{}: {}", group_, name_of(code));
  switch (code) {
    case ErrorCode::kRebalanceInProgress:
      return rejoin();
    case ErrorCode::kUnknownMemberId:
      who_ = {};
      return after(client_.pause(), [this] { join(); });
    case ErrorCode::kIllegalGeneration:
      return join();
    case ErrorCode::kNotCoordinator:
    case ErrorCode::kCoordinatorNotAvailable:
    case ErrorCode::kCoordinatorLoadInProgress:
    case ErrorCode::kRequestTimedOut:
    case ErrorCode::kNotEnoughReplicas:
      // Who has a part keeps it, and goes on where the coordinator is now.
      if (state_ == State::kFetching || state_ == State::kReading) return follow_coordinator();
      return after(client_.pause(), [this] { find(); });
    default:
      client_.trace().fail(
          fmt::format("{}: group {} answered {}", client_.name(), group_, name_of(code)));
  }
}

void ClassicMember::follow_coordinator() {
  after(client_.pause(), [this] {
    client_.find_coordinator(group_, while_here([this](std::int32_t node) {
                               if (node < 0) return follow_coordinator();
                               coordinator_ = node;
                               heartbeat();
                             }));
  });
}

void ClassicMember::live_or_die() {
  client_.loop().after(kLifeEvery, [this] {
    if (finishing_) return;
    if (state_ == State::kAway) {
      if (client_.random().chance(1, 2)) find();
    } else if (client_.random().chance(1, kGoAwayOneIn)) {
      go_away();
    }
    live_or_die();
  });
}

void ClassicMember::go_away() {
  const bool says_so = client_.random().chance(1, 2);
  client_.trace().say(client_.name(), "{} {}", says_so ? "leaves" : "drops out of", group_);
  enter(State::kAway);
  if (says_so) {
    wire::LeaveGroupRequest request;
    request.group_id = group_;
    request.member_id = who_.member;
    request.members.push_back({.member_id = who_.member});
    client_.call(coordinator_, request, kRequestTimeout,
                 [](const Result<wire::LeaveGroupResponse>&) {});
  }
  who_ = {};
}

}  // namespace millrace::sim
