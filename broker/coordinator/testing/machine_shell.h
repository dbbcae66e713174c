// MachineShell shell;
// shell.set_topic("foo", 6);
// const auto answer = shell.beat({...});   shell.advance(5s);   shell.reload(Replay::kCompacted);
//
// A Harness for tests that act on each answer: what is asked returns what is answered.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "broker/coordinator/testing/harness.h"

namespace millrace::coordinator {

class MachineShell {
 public:
  explicit MachineShell(const Settings& settings);

  Machine& machine() { return harness_.machine(); }
  const Topics& topics() const { return *topics_; }
  const Settings& settings() const { return settings_; }
  void change_settings(const Settings& settings);

  void set_topic(const std::string& name, std::int32_t partitions);
  void delete_topic(const std::string& name);
  /// "foo:0,1;bar:2", or by id where the topic is gone; empty: nothing.
  std::string text(const std::vector<TopicPartitions>& topics) const;
  std::vector<TopicPartitions> parse(const std::string& text) const;

  // Inputs whose answers come at once.
  ConsumerHeartbeatOutcome beat(const ConsumerHeartbeat& request);
  SyncOutcome sync_consumer(const SyncGroup& request);
  Status heartbeat(const Heartbeat& request);
  LeaveOutcome leave(const LeaveGroup& request);
  OffsetCommitOutcome commit(const OffsetCommit& request);
  // Inputs whose answers may come later: take() them.
  Ticket join(const JoinGroup& request);
  Ticket sync(const SyncGroup& request);
  /// nullopt: still waits.
  template <typename Outcome>
  std::optional<Outcome> take(Ticket ticket) {
    settle();
    const auto at = answers_.find(ticket);
    if (at == answers_.end()) return std::nullopt;
    Outcome outcome = std::get<Outcome>(std::move(at->second));
    answers_.erase(at);
    return outcome;
  }

  void advance(common::Duration step) { harness_.advance(step); }
  /// The log refuses the next records.
  void refuse() { harness_.refuse_next(ErrorCode::kNotLeaderOrFollower); }
  /// The coordinator moves: what waits is told so, and a new machine is made of the log.
  void reload(Harness::LoadFrom from);
  /// Records that were appended since the last call.
  std::vector<Record> take_records() { return harness_.take_appended(); }

 private:
  Ticket draw();
  void settle();
  void publish(Topics topics);
  template <typename Outcome>
  Outcome taken(Ticket ticket);

  Settings settings_;
  Harness harness_;
  std::shared_ptr<const Topics> topics_ = std::make_shared<const Topics>();
  std::uint64_t ids_made_ = 0;
  std::uint64_t tickets_ = 0;
  std::map<Ticket, Answer> answers_;
};

}  // namespace millrace::coordinator
