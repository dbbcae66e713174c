// A member of a consumer group on a connection of its own, as every client has one, and the crowd
// that a run drives.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <queue>
#include <string>
#include <vector>

#include "bench/load/connection.h"
#include "bench/load/group_wire.h"
#include "bench/load/histogram.h"
#include "bench/load/options.h"

namespace millrace::bench {

/// States: kOut -> kJoining -> (classic: kSyncing ->) kIn -> kLeaving -> kOut. Classic members go
/// from kIn and kSyncing back to kJoining when the broker tells of a rebalance. One request is
/// under way at a time. Ends the program on any other error: a group that was fenced or forgotten
/// is no measurement.
class GroupMember {
 public:
  enum class State { kOut, kJoining, kSyncing, kIn, kLeaving };

  /// options must outlive the member.
  GroupMember(const Options& options, const Endpoint& broker, std::string group);

  int fd() const { return connection_.fd(); }
  State state() const { return state_; }
  bool waits() const { return asked_ns_ != 0; }
  std::int64_t asked_ns() const { return asked_ns_; }
  /// Generation or epoch at which it is in.
  std::int32_t generation() const { return who_.generation; }
  const MemberAt& who() const { return who_; }
  /// How many partitions it has, once it is in.
  int partitions() const { return partitions_; }
  bool all_sent() const { return connection_.all_sent(); }

  void join(std::int64_t now_ns);
  /// Requires kIn and no request under way.
  void heartbeat(std::int64_t now_ns);
  void leave(std::int64_t now_ns);
  void flush() { connection_.flush(); }
  /// Takes answers; heartbeats that the broker took go into `heartbeats`.
  void read(std::int64_t now_ns, Histogram& heartbeats);

 private:
  void send(Api api, Buffer body, std::int64_t now_ns);
  void take(common::ByteView answer, std::int64_t now_ns, Histogram& heartbeats);
  void on_join(common::ByteView answer, std::int64_t now_ns);
  void on_sync(common::ByteView answer, std::int64_t now_ns);
  void on_consumer(common::ByteView answer, std::int64_t now_ns);

  const Options& options_;
  Connection connection_;
  MemberAt who_;
  State state_ = State::kOut;
  Api asked_{};
  Buffer body_;  // of the request under way
  std::int64_t asked_ns_ = 0;
  std::int32_t correlation_ = 0;
  int partitions_ = 0;
  TopicId topic_{};  // new protocol only, as the line below
  std::vector<std::int32_t> owned_;
};

/// All members of a run, their heartbeats at options.heartbeat_ms, and the poller.
class Crowd {
 public:
  /// Connects groups * members_each members. Nobody joins yet.
  Crowd(const Options& options, int groups, int members_each);

  std::size_t size() const { return members_.size(); }
  GroupMember& member(std::size_t i) { return *members_[i]; }
  /// Joins and, from when it is in, sends its heartbeats.
  void join(std::size_t i);
  void leave(std::size_t i);
  /// Ends when all are out, so that the broker has no sessions to wait for.
  void leave_all();
  /// Waits for events for at most until `until_ns`, sends due heartbeats. Ends the program when an
  /// answer is later than the session timeout allows.
  void step(std::int64_t until_ns);
  void run_until(std::int64_t until_ns);
  /// Of the heartbeats since reset_heartbeats().
  const Histogram& heartbeats() const { return heartbeats_; }
  void reset_heartbeats() { heartbeats_ = Histogram(); }

 private:
  struct Due {
    std::int64_t at_ns;
    std::uint32_t member;
    int membership;  // counts its joins: what is due for an earlier one is dropped
    bool operator>(const Due& other) const { return at_ns > other.at_ns; }
  };
  void flush(std::size_t i);
  void beat(std::int64_t now_ns);

  const Options& options_;
  std::int64_t interval_ns_;
  std::vector<std::unique_ptr<GroupMember>> members_;
  std::vector<bool> watching_;
  std::vector<int> memberships_;
  std::priority_queue<Due, std::vector<Due>, std::greater<>> due_;
  Poller poller_;
  Histogram heartbeats_;
};

/// Name of group i of a run.
std::string group_name(const Options& options, int i);
/// Waits until the broker names a coordinator for the group, within options.timeout_s.
void await_coordinator(const Options& options, const std::string& group);
/// User and system time of a process in seconds; 0 for pid 0.
double cpu_s_of(int pid);

/// Time used by the broker and by us from its making on.
class Meter {
 public:
  explicit Meter(int pid);
  void put(nlohmann::ordered_json& line) const;

 private:
  int pid_;
  std::int64_t start_ns_;
  double broker_s_;
  double own_s_;
};

/// Raises the limit of open files as far as the system lets us.
void allow_connections(std::size_t count);

}  // namespace millrace::bench
