// A member of a consumer group, as a client library of the newer kind acts (KIP-848).
#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "broker/wire/messages/consumer_group_heartbeat.h"
#include "tests/sim/workload/actor.h"
#include "tests/sim/workload/offset_keeper.h"

namespace millrace::sim {

/// Heartbeats, takes and gives back partitions as it is told, reads and commits. Who hears nothing
/// for a session gives up everything by itself, as somebody else may have it by then. Now and then
/// it leaves, or dies without a word, and comes back as a new member.
class ConsumerMember final : public Actor {
 public:
  /// `session`: the group's session timeout.
  ConsumerMember(Client::Parts client, History& history, GroupHistory& groups, std::string group,
                 std::string topic, Duration session);
  void start() override;
  void finish() override;
  std::string unfinished() const override;

 private:
  template <typename Then>
  void after(Duration delay, Then then);
  template <typename Take>
  auto while_here(Take take);

  std::string new_name();
  void begin(std::string name);
  void find();
  /// Everything is said again: at the join, and after an answer that did not come.
  enum class Words : bool { kFew, kAll };
  void heartbeat(Words words);
  void heard(const wire::ConsumerGroupHeartbeatResponse& answer);
  void reconcile();
  void give_back(const std::set<Target>& gone);
  void begin_reading(const std::vector<Target>& unread);
  void drop_all();
  void trouble(model::ErrorCode code);
  void watch_session();
  void commit_now_and_then();
  void live_or_die();
  void go_away();
  OffsetKeeper::Offsets positions(const std::set<Target>& of) const;

  Client client_;
  Fetcher fetcher_;
  OffsetKeeper keeper_;
  GroupHistory& groups_;
  const std::string group_;
  const std::string topic_;
  const Duration session_;
  bool away_ = true;
  std::uint64_t life_ = 0;  // counts beginnings: late answers are known by it
  std::int32_t coordinator_ = -1;
  Membership who_;
  std::set<Target> owned_;
  std::set<Target> assigned_;
  bool reconciling_ = false;
  bool must_tell_ = false;  // what it owns has changed
  bool waiting_ = false;    // for the answer to a heartbeat
  std::uint64_t beat_ = 0;  // the heartbeat that comes next by itself
  Duration interval_ = std::chrono::seconds(1);
  common::Instant heard_{};  // when the last heartbeat left that was answered
  bool finishing_ = false;
  common::Instant finished_writing_{};
};

}  // namespace millrace::sim
