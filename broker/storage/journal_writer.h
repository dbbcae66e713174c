// const Bytes kept = journal.add(entry, batch);
// journal.when_durable({.client = this, .end = end, .stream = stream, .reply = std::move(reply)});
//
// The writing side of a shard's journal: group commit in rounds.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "broker/env/disk.h"
#include "broker/model/errors.h"
#include "broker/storage/arenas.h"
#include "broker/storage/journal_files.h"
#include "broker/storage/journal_format.h"
#include "broker/storage/lifeline.h"

namespace millrace::storage {

using common::Error;
using common::Reply;
using common::Result;

/// Who put entries into the journal.
class JournalClient {
 public:
  /// Everything up to these positions of the log is durable. Called in order.
  virtual void entries_durable(model::Offset end, std::uint64_t stream) = 0;

 protected:
  ~JournalClient() = default;
};

/// What follows once an entry is durable.
struct Completion {
  JournalClient* client = nullptr;
  model::Offset end;
  std::uint64_t stream = 0;
  Reply<Result<void>> reply;  // may be empty
};

/// Gathers entries into rounds. One round is on its way to the disk; those that arrive meanwhile
/// gather in the next. Shard thread only.
class JournalWriter {
 public:
  struct Options {
    std::uint64_t salt = 0;
    std::uint64_t round_bytes_max = 0;
  };
  /// Called with an error after which the disk can't be trusted.
  using OnFatal = common::Function<void(const Error&)>;
  /// Called after each round, behind its completions, with the seconds that it took.
  using OnRound = common::Function<void(double)>;

  JournalWriter(env::Loop& loop, Arenas& arenas, JournalFiles& files, Options options,
                OnFatal on_fatal, OnRound on_round);
  /// Requires that nothing is pending, or abandon().
  ~JournalWriter();
  /// Begins no round any more.
  void stop() { failed_ = true; }
  /// Answers what is pending with kShuttingDown and writes nothing any more.
  void abandon();

  /// Where writing goes on after recovery: the files know which one is current.
  void start(JournalPosition next);
  /// Bytes of the largest payload that one entry can carry.
  std::uint64_t payload_bytes_max() const;
  /// Lays an entry out in the gathering round, which leaves soon. Answers the payload as it lies in
  /// the round, valid as long as somebody keeps it, and its arena. With `like`, the payload's
  /// address equals that number modulo kDiskAlignment where there is room for the gap this takes.
  Bytes add(EntryHeader header, common::ByteView payload, Arena** arena = nullptr,
            std::optional<std::uint64_t> like = std::nullopt);
  /// Attaches to the entries added so far. Requires that something was added since the last round
  /// was closed, or that it may also wait for the next one: completions are answered in order.
  void when_durable(Completion completion);
  /// Calls back with the position behind everything added so far, as soon as all that is durable
  /// and its clients were told; later entries are in rounds behind it.
  void mark(common::Function<void(JournalPosition)> reached);
  /// While held, nothing that is added leaves: the journal has no room. What was added before does.
  void hold(bool held);
  /// Also what was added so far.
  void let_pass();
  bool held() const { return held_; }
  /// Tries again after a full disk.
  void resume();
  /// No entry waits for the disk.
  bool idle() const { return queue_.empty() && !gathering() && !in_flight_; }

  std::uint64_t rounds() const { return rounds_; }
  std::uint64_t bytes_written() const { return bytes_written_; }

 private:
  using Marks = std::vector<common::Function<void(JournalPosition)>>;
  struct Round {
    Bytes bytes;  // padded
    std::uint64_t number = 0;
    std::uint64_t length = 0;
    std::uint32_t entries = 0;
    std::vector<Completion> completions;
    Marks marks;
  };

  bool gathering() const { return current_.entries > 0 || !current_.completions.empty(); }
  void begin_round(std::uint64_t room);
  void close_round();
  void schedule();
  void send();
  void send_when_gathered();
  /// Entries that were there a turn ago, and how many turns may follow.
  struct Gathering {
    int turns = 0;
    std::uint32_t entries = 0;
  };
  void gather(Gathering so_far);
  void finish(Result<void> written, std::uint64_t length, common::Instant began);
  void complete(Round round);
  JournalPosition position() const;

  env::Loop& loop_;
  Arenas& arenas_;
  JournalFiles& files_;
  const Options options_;
  OnFatal on_fatal_;
  OnRound on_round_;
  Lifeline lifeline_;

  Arena* arena_ = nullptr;         // where rounds are laid out
  Round current_;                  // gathers; number is set while it has entries
  std::uint64_t round_start_ = 0;  // of current_, in arena_
  std::uint64_t round_limit_ = 0;  // most bytes that current_ may reach
  std::deque<Round> queue_;        // closed; the front one may be in flight
  std::uint64_t next_round_ = 1;
  std::uint64_t marked_round_ = 0;  // the latest that a hold lets through
  Marks* told_behind_ = nullptr;    // of the round whose clients are being told
  bool scheduled_ = false;
  bool in_flight_ = false;
  bool held_ = false;
  bool failed_ = false;
  std::uint64_t rounds_ = 0;
  std::uint64_t bytes_written_ = 0;
};

}  // namespace millrace::storage
