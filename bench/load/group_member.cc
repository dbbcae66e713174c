#include "bench/load/group_member.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

#include "bench/load/basics.h"
#include "common/endian.h"

namespace millrace::bench {
namespace {

constexpr std::size_t kMemberReadBytes = 4 << 10;  // heartbeats; a leader's answer makes it grow
constexpr std::int32_t kRebalanceMs = 60'000;
constexpr std::int32_t kLeaving = -1;  // epoch of a member that goes
constexpr std::int64_t kSilenceNs = 60'000'000'000;
constexpr std::int64_t kStepNs = 100'000'000;
constexpr std::chrono::milliseconds kPause{20};

/// The group's partition of __consumer_offsets is being made, elected or loaded:
/// COORDINATOR_LOAD_IN_PROGRESS, COORDINATOR_NOT_AVAILABLE, NOT_COORDINATOR.
bool not_yet(int error) {
  return error >= 14 && error <= 16;
}

}  // namespace

GroupMember::GroupMember(const Options& options, const Endpoint& broker, std::string group)
    : options_(options), connection_(broker, kMemberReadBytes), who_{std::move(group), "", 0} {}

void GroupMember::send(Api api, Buffer body, std::int64_t now_ns) {
  if (waits()) fail("two requests of one member");
  asked_ = api;
  body_ = std::move(body);
  asked_ns_ = now_ns;
  connection_.queue(api, ++correlation_, body_);
  connection_.flush();
}

void GroupMember::join(std::int64_t now_ns) {
  state_ = State::kJoining;
  if (options_.consumer_protocol) {
    who_.generation = 0;
    send(kConsumerGroupHeartbeatApi,
         consumer_heartbeat_body(
             who_,
             {.subscribed = options_.topic, .rebalance_ms = kRebalanceMs, .tells_owned = true}),
         now_ns);
  } else {
    send(kJoinGroupApi, join_body(who_, {.topic = options_.topic}), now_ns);
  }
}

void GroupMember::heartbeat(std::int64_t now_ns) {
  if (options_.consumer_protocol) {
    send(kConsumerGroupHeartbeatApi, consumer_heartbeat_body(who_, {}), now_ns);
  } else {
    send(kHeartbeatApi, heartbeat_body(who_), now_ns);
  }
}

void GroupMember::leave(std::int64_t now_ns) {
  state_ = State::kLeaving;
  if (options_.consumer_protocol) {
    who_.generation = kLeaving;
    send(kConsumerGroupHeartbeatApi, consumer_heartbeat_body(who_, {}), now_ns);
  } else {
    send(kLeaveGroupApi, leave_body(who_), now_ns);
  }
}

void GroupMember::read(std::int64_t now_ns, Histogram& heartbeats) {
  connection_.read_answers([&](common::ByteView answer) {
    if (!waits() || common::load_big<std::int32_t>(answer.data()) != correlation_)
      fail("an answer that nobody asked for");
    take(answer.subspan(4), now_ns, heartbeats);
  });
}

void GroupMember::take(common::ByteView answer, std::int64_t now_ns, Histogram& heartbeats) {
  const std::int64_t waited_ns = now_ns - asked_ns_;
  asked_ns_ = 0;
  if (asked_.key == kJoinGroupApi.key) return on_join(answer, now_ns);
  if (asked_.key == kSyncGroupApi.key) return on_sync(answer, now_ns);
  if (asked_.key == kConsumerGroupHeartbeatApi.key) {
    if (state_ == State::kIn) heartbeats.add(waited_ns);
    return on_consumer(answer, now_ns);
  }
  const int error = read_error(answer);
  if (state_ == State::kLeaving) {
    if (error != 0) fail("a member of '{}' could not leave: error {}", who_.group, error);
    state_ = State::kOut;
    who_.member.clear();
    return;
  }
  heartbeats.add(waited_ns);
  if (error == kRebalanceInProgress) return join(now_ns);
  if (error != 0) fail("a heartbeat in '{}': error {}", who_.group, error);
}

void GroupMember::on_join(common::ByteView answer, std::int64_t now_ns) {
  const JoinAnswer joined = read_join(answer);
  if (joined.error == kRebalanceInProgress || not_yet(joined.error)) return join(now_ns);
  if (joined.error != 0) fail("a join of '{}': error {}", who_.group, joined.error);
  who_.member = joined.member;
  who_.generation = joined.generation;
  state_ = State::kSyncing;
  const bool leads = joined.leader == joined.member;
  const std::span<const std::string> members =
      leads ? std::span(joined.members) : std::span<const std::string>();
  send(kSyncGroupApi, sync_body(who_, {members, options_.topic, options_.partitions}), now_ns);
}

void GroupMember::on_sync(common::ByteView answer, std::int64_t now_ns) {
  const SyncAnswer synced = read_sync(answer);
  if (synced.error == kRebalanceInProgress) return join(now_ns);
  if (synced.error != 0) fail("a sync of '{}': error {}", who_.group, synced.error);
  partitions_ = synced.partitions;
  state_ = State::kIn;
}

void GroupMember::on_consumer(common::ByteView answer, std::int64_t now_ns) {
  const ConsumerAnswer found = read_consumer_heartbeat(answer);
  if (state_ == State::kJoining && not_yet(found.error)) return join(now_ns);
  if (found.error != 0)
    fail("a heartbeat in '{}': error {}: {}", who_.group, found.error, found.message);
  if (state_ == State::kLeaving) {
    state_ = State::kOut;
    who_.member.clear();
    owned_.clear();
    partitions_ = 0;
    return;
  }
  if (!found.member.empty()) who_.member = found.member;
  who_.generation = found.epoch;
  state_ = State::kIn;
  if (!found.assignment) return;
  topic_ = found.assignment->topic;
  owned_ = found.assignment->partitions;
  partitions_ = static_cast<int>(owned_.size());
  // What went is given up and what came is taken at once, so the broker may go on.
  send(kConsumerGroupHeartbeatApi,
       consumer_heartbeat_body(
           who_, {.subscribed = "", .tells_owned = true, .topic = topic_, .owned = owned_}),
       now_ns);
}

Crowd::Crowd(const Options& options, int groups, int members_each)
    : options_(options), interval_ns_(static_cast<std::int64_t>(options.heartbeat_ms) * 1'000'000) {
  const auto count = static_cast<std::size_t>(groups) * static_cast<std::size_t>(members_each);
  allow_connections(count);
  for (std::size_t i = 0; i < count; ++i) {
    const int group = static_cast<int>(i) / members_each;
    members_.push_back(
        std::make_unique<GroupMember>(options, options.bootstrap, group_name(options, group)));
    poller_.add(members_.back()->fd(), static_cast<std::uint32_t>(i));
  }
  watching_.resize(count);
  memberships_.resize(count);
}

void Crowd::join(std::size_t i) {
  const std::int64_t now = monotonic_ns();
  member(i).join(now);
  flush(i);
  // Spread evenly over the interval, whatever the joins did.
  const auto offset =
      static_cast<std::int64_t>(i) * interval_ns_ / static_cast<std::int64_t>(size());
  due_.push({now + interval_ns_ + offset, static_cast<std::uint32_t>(i), ++memberships_[i]});
}

void Crowd::leave(std::size_t i) {
  while (member(i).waits()) step(monotonic_ns() + kStepNs);
  member(i).leave(monotonic_ns());
  flush(i);
}

void Crowd::leave_all() {
  const std::int64_t deadline =
      monotonic_ns() + static_cast<std::int64_t>(options_.timeout_s * 1e9);
  for (std::size_t out = 0; out < size();) {
    out = 0;
    for (std::size_t i = 0; i < size(); ++i) {
      if (member(i).state() == GroupMember::State::kOut) ++out;
      if (member(i).state() == GroupMember::State::kIn && !member(i).waits()) leave(i);
    }
    if (monotonic_ns() > deadline)
      fail("{} of {} members left within {} s", out, size(), options_.timeout_s);
    if (out < size()) step(deadline);
  }
}

void Crowd::flush(std::size_t i) {
  member(i).flush();
  const bool full = !member(i).all_sent();
  if (full == watching_[i]) return;
  watching_[i] = full;
  poller_.watch_writable(member(i).fd(), static_cast<std::uint32_t>(i), full);
}

void Crowd::beat(std::int64_t now_ns) {
  while (!due_.empty() && due_.top().at_ns <= now_ns) {
    const Due next = due_.top();
    due_.pop();
    GroupMember& one = member(next.member);
    if (one.state() == GroupMember::State::kOut || one.state() == GroupMember::State::kLeaving)
      continue;
    if (next.membership != memberships_[next.member]) continue;
    if (one.waits() && now_ns - one.asked_ns() > kSilenceNs)
      fail("no answer for {} s", kSilenceNs / 1'000'000'000);
    if (one.state() == GroupMember::State::kIn && !one.waits()) {
      one.heartbeat(now_ns);
      flush(next.member);
    }
    due_.push({next.at_ns + interval_ns_, next.member, next.membership});
  }
}

void Crowd::step(std::int64_t until_ns) {
  std::int64_t now = monotonic_ns();
  const std::int64_t next = due_.empty() ? until_ns : std::min(until_ns, due_.top().at_ns);
  const auto ready = poller_.wait(std::chrono::nanoseconds(std::min(next - now, kStepNs)));
  now = monotonic_ns();
  for (const auto& event : ready) {
    if (event.readable) member(event.tag).read(now, heartbeats_);
    flush(event.tag);
  }
  beat(now);
}

void Crowd::run_until(std::int64_t until_ns) {
  while (monotonic_ns() < until_ns) step(until_ns);
}

std::string group_name(const Options& options, int i) {
  return fmt::format("{}-group-{}", options.topic, i);
}

void await_coordinator(const Options& options, const std::string& group) {
  const auto timeout =
      std::chrono::milliseconds(static_cast<std::int64_t>(options.timeout_s * 1000));
  const std::int64_t deadline = monotonic_ns() + timeout.count() * 1'000'000;
  while (monotonic_ns() < deadline) {
    Session session(options.bootstrap, timeout);
    if (const auto answer = session.open()
                                ? session.call(kFindCoordinatorApi, find_coordinator_body(group))
                                : std::nullopt) {
      Reader reader(*answer);
      if (reader.i16() == 0) return;
    }
    std::this_thread::sleep_for(kPause);
  }
  fail("no coordinator for '{}' within {} s", group, options.timeout_s);
}

double cpu_s_of(int pid) {
  if (pid == 0) return 0;
  std::ifstream file(fmt::format("/proc/{}/stat", pid));
  std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  const auto name_end = text.rfind(')');
  if (name_end == std::string::npos) fail("process {} is gone", pid);
  std::istringstream fields(text.substr(name_end + 2));
  std::string skipped;
  for (int field = 3; field < 14; ++field) fields >> skipped;
  double user = 0;
  double system = 0;
  fields >> user >> system;
  return (user + system) / static_cast<double>(sysconf(_SC_CLK_TCK));
}

Meter::Meter(int pid)
    : pid_(pid), start_ns_(monotonic_ns()), broker_s_(cpu_s_of(pid)), own_s_(own_cpu_s()) {}

void Meter::put(nlohmann::ordered_json& line) const {
  line["seconds"] = static_cast<double>(monotonic_ns() - start_ns_) * 1e-9;
  line["broker_cpu_s"] = cpu_s_of(pid_) - broker_s_;
  line["client_cpu_s"] = own_cpu_s() - own_s_;
}

void allow_connections(std::size_t count) {
  constexpr std::size_t kOthers = 64;
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur =
      std::min<rlim_t>(std::max<rlim_t>(limit.rlim_cur, count + kOthers), limit.rlim_max);
  setrlimit(RLIMIT_NOFILE, &limit);
  if (limit.rlim_cur < count + kOthers)
    fail("{} connections need more open files than {}", count, limit.rlim_max);
}

}  // namespace millrace::bench
