// queue.add(key);                                     // any thread: something changed
// while (auto key = queue.take(stop)) queue.done(*key, work(*key));   // each worker
//
// What is to be looked at, and when. A key is at one worker at most; what happens to it meanwhile
// makes it come again.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <stop_token>
#include <utility>

#include "common/clock.h"
#include "operator/control/key.h"

namespace millrace::control {

/// How a look at a key ended.
struct Ending {
  enum class Kind : std::uint8_t {
    kSettled,  ///< nothing to do before `after`, or before something changes
    kAgain,    ///< something was done: look at what came of it
    kFailed,   ///< try again, later each time
  };
  Kind kind = Kind::kSettled;
  /// kSettled: look again then although nothing changed; nullopt: never. kFailed: not later than
  /// then.
  std::optional<common::Duration> after = std::nullopt;
};

struct QueueSettings {
  /// Between the end of one look at a key and the next: events that come in bursts cost one look.
  common::Duration spacing = std::chrono::milliseconds(50);
  /// After the first failure in a row; doubles with each further one.
  common::Duration backoff_first = std::chrono::milliseconds(250);
  common::Duration backoff_most = std::chrono::seconds(30);
};

/// The queue without its lock and clock. Pure.
///
/// States of a key: unknown -> waiting (until its time) -> working -> waiting or unknown. Added
/// while it works: waiting as soon as that has ended. Of several times the earliest counts.
class QueueState {
 public:
  explicit QueueState(QueueSettings settings) : settings_(settings) {}

  /// Something changed: as soon as spacing lets it. Also what waits after a failure comes then, as
  /// what failed may have been set right.
  void add(const Key& key, common::Instant now);
  /// The key that waits for longest of those whose time has come; it works then.
  std::optional<Key> take(common::Instant now);
  /// Requires that the key works.
  void done(const Key& key, const Ending& ending, common::Instant now);
  /// When take() may have something, if nothing is added. nullopt: never.
  std::optional<common::Instant> next() const;

  /// Keys whose time has come and that wait for a worker.
  std::size_t depth(common::Instant now) const;
  /// How long the first of them has waited; 0: there are none.
  common::Duration oldest(common::Instant now) const;
  /// Failures so far.
  std::uint64_t retries() const { return retries_; }

 private:
  struct Item {
    bool working = false;
    std::optional<common::Instant> due;  // nullopt: only working
    common::Instant not_before;          // spacing
    int failures = 0;                    // in a row
  };
  void schedule(const Key& key, Item& item, common::Instant when);
  common::Duration backoff(int failures) const;

  const QueueSettings settings_;
  std::map<Key, Item> items_;  // settled ones go with the next done() after their spacing
  std::set<std::pair<common::Instant, Key>> waiting_;
  std::uint64_t retries_ = 0;
};

/// Thread-safe. `clock` must outlive it.
class Queue {
 public:
  explicit Queue(const common::Clock& clock, QueueSettings settings = {});

  void add(const Key& key);
  /// Waits for a key. nullopt: stop was asked for.
  std::optional<Key> take(const std::stop_token& stop);
  /// Without waiting: for tests and simulation.
  std::optional<Key> try_take();
  void done(const Key& key, const Ending& ending);

  struct Numbers {
    std::size_t depth = 0;
    common::Duration oldest{0};
    std::uint64_t retries = 0;
  };
  Numbers numbers() const;
  std::optional<common::Instant> next() const;

 private:
  const common::Clock& clock_;
  mutable std::mutex mutex_;  // guards state_, and goes with changed_
  std::condition_variable_any changed_;
  QueueState state_;
};

}  // namespace millrace::control
