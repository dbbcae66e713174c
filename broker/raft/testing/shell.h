// Shell shell(replica_id(1), ...);  shell.boot(now, Lost::kNothing);
// shell.step(letter, now);  shell.sync(1, now);  shell.take_letters()
//
// What a caller of Group does, with a log and a disk in memory: carries out effects, syncs when
// told to, loses what was not synced in a crash. Scripts and the simulator stand on it.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "broker/raft/group.h"
#include "common/random.h"

namespace millrace::raft {

/// One record. `chain` tells it and all in front of it apart from others.
struct Entry {
  Term term;
  std::uint64_t chain = 0;
  bool operator==(const Entry&) const = default;
};

using Entries = std::vector<Entry>;

/// A message with the bytes that go with it.
struct Letter {
  Message message;
  std::shared_ptr<const Entries> data;
  /// Of an Install: the chain at its offset.
  std::uint64_t chain = 0;
  /// Which process of its broker sent it; the simulator counts them.
  std::uint64_t sender_life = 0;
};

/// A log with its records, in memory or on the disk.
struct LogImage {
  Offset start;
  std::uint64_t chain_at_start = 0;
  Entries entries;
  std::vector<TermStart> starts;

  Offset end() const { return start + static_cast<std::int64_t>(entries.size()); }
  /// Of the record in front of the offset. Requires start <= offset <= end().
  std::uint64_t chain_at(Offset offset) const;
  /// Holds everything up to `offset`, and what ends in this chain. What was trimmed counts as held.
  bool holds(Offset offset, std::uint64_t chain) const;
  void apply(const LogWrite& write, const Entries* data, std::uint64_t chain);
  void trim(Offset to);
};

class Shell {
 public:
  Shell(const ReplicaId& id, GroupSettings group_settings, const Settings& settings,
        common::Random& random)
      : id_(id), group_settings_(group_settings), settings_(&settings), random_(&random) {}

  /// Begins from what is on the disk.
  void boot(Instant now, bool lost_suffix);
  /// Ends the process. A drawn number of the changes that are not synced gets to the disk all the
  /// same; of the log and of the hard state each for itself.
  void crash(common::Random& random);
  /// The same, and all of it gets there, or nothing.
  enum class Unsynced : std::uint8_t { kLost, kKept };
  void die(Unsynced unsynced);
  bool running() const { return group_ != nullptr; }
  /// What the replica of a new group, or one that is given a log to begin with, finds on its disk.
  void format(HardState hard, LogImage log);

  void step(const Letter& letter, Instant now);
  void tick(Instant now);
  void suspect(model::BrokerId node, Instant now);
  void alive(model::BrokerId node, Instant now);
  void restarted(model::BrokerId node, Instant now);
  void campaign(Instant now);
  /// False: it does not lead, or is handing over.
  bool propose(std::int64_t records, Instant now);
  Refusal reconfigure(Change change, const ReplicaId& replica, Instant now);
  Refusal transfer(const ReplicaId& to, Instant now);
  Refusal recover_alone(Instant now);
  void trim(Offset to, Instant now);
  /// Makes up to `changes` of the oldest log changes durable; false: there were none.
  bool sync_log(std::size_t changes, Instant now);
  bool sync_hard(Instant now);
  /// The process before the next one ended long ago.
  bool was_away = false;
  /// Reads are brought up to date before they are answered; a caller need not.
  bool renews = true;
  /// Answers the oldest read with at most so many records.
  bool answer_fetch(std::int64_t records_max, Instant now);

  Group& group() { return *group_; }
  const Group& group() const { return *group_; }
  const ReplicaId& id() const { return id_; }
  const GroupSettings& group_settings() const { return group_settings_; }
  const LogImage& log() const { return log_; }
  const LogImage& disk_log() const { return disk_log_; }
  const HardState& disk_hard() const { return disk_hard_; }
  bool unsynced() const { return !log_changes_.empty() || !hard_changes_.empty(); }
  bool unsynced_log() const { return !log_changes_.empty(); }
  bool unsynced_hard() const { return !hard_changes_.empty(); }
  bool fetching() const { return !fetches_.empty(); }

  /// What came out since the last call, in order.
  struct Output {
    std::vector<Letter> letters;
    std::vector<LogWrite> writes;
    std::vector<HardState> hard_states;
    std::optional<Offset> commit;
    std::optional<Offset> acknowledged;
    std::vector<RoleChange> roles;
    std::vector<Notice> notices;
    std::optional<Offset> trim_to;
    std::optional<Offset> start_known;
    void clear();
  };
  Output& output() { return output_; }
  /// Records [from, to) of this replica were written just now by itself, as leader, or taken over.
  /// Told for checks; cleared by the one who looks.
  struct Written {
    Offset from;
    Offset to;
    bool own;
  };
  std::vector<Written>& written() { return written_; }

 private:
  struct LogChange {
    LogWrite write;
    Entries data;
    std::uint64_t chain = 0;
  };
  struct HardChange {
    HardState state;
    std::uint32_t ticket;
  };
  void absorb(const Letter* input);
  void end(std::size_t log_kept, std::size_t hard_kept);

  ReplicaId id_;
  GroupSettings group_settings_;
  const Settings* settings_;
  common::Random* random_;
  std::unique_ptr<Group> group_;
  Ready ready_;
  Output output_;
  std::vector<Written> written_;
  LogImage log_;
  LogImage disk_log_;
  HardState disk_hard_;
  std::deque<LogChange> log_changes_;
  std::deque<HardChange> hard_changes_;
  std::deque<Fetch> fetches_;
};

}  // namespace millrace::raft
