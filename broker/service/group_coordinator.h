// coordinator.ask<JoinOutcome>(std::move(done), [&](Machine& machine, Ticket ticket, Now now) {
//   machine.join(ticket, request, now);
// });
//
// The shell of one coordinator machine: gives it inputs and the time, and performs what it asks
// for on its partition of __consumer_offsets. It decides nothing.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <unordered_map>
#include <utility>
#include <vector>

#include "broker/coordinator/machine.h"
#include "broker/env/loop.h"
#include "broker/model/record.h"
#include "broker/replica/partition.h"
#include "broker/service/group_log.h"

namespace millrace::service {

class GroupCoordinators;

/// The outcome of a request that came to nothing.
template <typename Outcome>
Outcome failed_outcome(coordinator::Status status) {
  if constexpr (std::is_same_v<Outcome, coordinator::Status>) {
    return status;
  } else {
    Outcome outcome;
    outcome.status = std::move(status);
    return outcome;
  }
}

/// States: loading -> serving (the log is read), failed (it cannot be read: nothing is served);
/// failed -> loading (after a while it is tried again);
/// serving -> loading (an append was refused after its records were applied: what was applied is
/// thrown away); any -> closed. Shard thread only; the partition outlives close().
class GroupCoordinator : public std::enable_shared_from_this<GroupCoordinator> {
 public:
  GroupCoordinator(GroupCoordinators& shared, replica::Partition& partition);
  ~GroupCoordinator();
  GroupCoordinator(const GroupCoordinator&) = delete;
  GroupCoordinator& operator=(const GroupCoordinator&) = delete;

  /// Reads the log and then serves. An empty log is read at once.
  void load();
  /// Why nothing is served now: kCoordinatorLoadInProgress, kCoordinatorNotAvailable (the log is
  /// damaged, or the broker stops), kNotCoordinator. nullopt: it serves.
  std::optional<coordinator::Status> refusal() const;
  bool loading() const { return state_ == State::kLoading; }
  bool failed() const { return state_ == State::kFailed; }

  /// input(machine, ticket, now) hands a request over; `done` gets its outcome, or the refusal.
  template <typename Outcome, typename Input>
  void ask(common::Reply<Outcome> done, Input input);
  /// Answers look(machine), a Read<Outcome>, as soon as what it tells of is committed. Outcome must
  /// have a status.
  template <typename Outcome, typename Look>
  void read(common::Reply<Outcome> done, Look look);
  /// For lists and metrics, which may be ahead of what is committed. nullptr: not serving.
  const coordinator::Machine* machine() const {
    return state_ == State::kServing ? machine_.get() : nullptr;
  }

  void topics_changed();
  void settings_changed();
  /// Appends what was applied since the last time.
  void flush();
  /// The log is much longer than what it describes.
  bool rewrite_due() const;
  /// Appends the whole state and then trims the log to it, so that the next load is short. After a
  /// crash in between the log is merely longer: the state on top of itself changes nothing.
  void rewrite();
  /// Answers everything: what is appended when that is committed or the partition is closed, the
  /// rest now.
  void close(model::ErrorCode code);

  model::PartitionIndex index() const { return partition_.log().key().index; }

 private:
  enum class State : std::uint8_t { kLoading, kServing, kFailed, kClosed };
  using Waiting = common::Function<void(common::Result<coordinator::Answer>)>;
  using Answers = std::vector<std::pair<coordinator::Ticket, coordinator::Answer>>;
  /// Held back until the machine's batch `after` is committed.
  struct Parked {
    std::uint64_t after = 0;
    Answers answers;
    common::Function<void(common::Result<void>)> look;
  };

  coordinator::Now now() const;
  void read_on(model::Offset from);
  void wait_for_commit(model::Offset from);
  void take_piece(model::Offset from, common::Result<storage::ReadResult> read);
  void loaded();
  void fail(const common::Error& error);
  void turn();
  void perform(coordinator::Effects effects);
  bool take(coordinator::Effects& effects);
  void count(const coordinator::Record& record);
  void park(Parked parked);
  void flushed(std::uint64_t batch, const replica::AppendOutcome& outcome);
  void start_over(model::ErrorCode code);
  void arm_timer();
  void disarm_timer();
  void deliver();
  void send(Answers answers);
  void settle(coordinator::Ticket ticket, common::Result<coordinator::Answer> answer);
  void refuse_all(model::ErrorCode code);
  void rewritten(model::Offset from);
  std::string name() const;

  GroupCoordinators& shared_;
  env::Loop& loop_;
  replica::Partition& partition_;
  State state_ = State::kLoading;
  std::optional<model::ErrorCode> closed_;
  std::unique_ptr<coordinator::Machine> machine_;
  GroupLogReport report_;
  /// Counts the machines of this object: callbacks of an older one do nothing.
  std::uint64_t life_ = 1;

  // Bounded by the requests that clients may have under way (connection.requests.max).
  std::uint64_t last_ticket_ = 0;
  std::unordered_map<coordinator::Ticket, Waiting> waiting_;
  /// Records that the machine stands on and that are not appended yet: its batches up to `taken_`.
  std::optional<model::BatchBuilder> pending_;
  std::uint64_t taken_ = 0;
  std::uint64_t flushed_ = 0;    // the machine's last batch that was appended
  std::uint64_t committed_ = 0;  // ... and that is committed
  std::deque<Parked> parked_;    // in order of `after`

  env::TimerId timer_ = env::TimerId::kNone;
  common::Instant timer_at_{};

  std::uint64_t log_bytes_ = 0;   // appended since the last rewrite, or read at the start
  std::uint64_t live_bytes_ = 0;  // what the last rewrite came to
  bool rewriting_ = false;

  static constexpr common::Duration kLoadAgainMin = std::chrono::seconds(1);
  common::Duration load_again_ = kLoadAgainMin;
  std::string failure_;  // as it was told of
};

template <typename Outcome, typename Input>
void GroupCoordinator::ask(common::Reply<Outcome> done, Input input) {
  if (auto why = refusal()) return done(failed_outcome<Outcome>(*std::move(why)));
  const coordinator::Ticket ticket{++last_ticket_};
  waiting_.emplace(
      ticket, [done = std::move(done)](common::Result<coordinator::Answer> answer) mutable {
        if (!answer.ok())
          return done(failed_outcome<Outcome>({answer.error().code, answer.error().detail}));
        if (auto* outcome = std::get_if<Outcome>(&*answer)) return done(std::move(*outcome));
        // What a machine refuses before it looks closer may be no more than a status.
        auto* status = std::get_if<coordinator::Status>(&*answer);
        CHECK(status != nullptr, "a machine gave another kind of answer than was asked for");
        done(failed_outcome<Outcome>(std::move(*status)));
      });
  input(*machine_, ticket, now());
  turn();
}

template <typename Outcome, typename Look>
void GroupCoordinator::read(common::Reply<Outcome> done, Look look) {
  if (auto why = refusal()) return done(failed_outcome<Outcome>(*std::move(why)));
  coordinator::Read<Outcome> seen = look(std::as_const(*machine_));
  if (seen.after <= committed_) return done(std::move(seen.value));
  park({.after = seen.after,
        .answers = {},
        .look = [done = std::move(done),
                 outcome = std::move(seen.value)](common::Result<void> committed) mutable {
          if (committed.ok()) return done(std::move(outcome));
          done(failed_outcome<Outcome>({committed.error().code, committed.error().detail}));
        }});
}

}  // namespace millrace::service
