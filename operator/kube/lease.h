// Leadership leader(api, {"millrace", "millrace-operator"}, "pod-7f/3c1e", clock, settings,
// random); thread: leader.run(stop);            before every act: if (!leader.leading()) return;
//
// Of several operators one acts: whoever holds a Lease. Decisions are in Election, which is pure.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <variant>

#include "common/clock.h"
#include "common/random.h"
#include "operator/kube/api.h"

namespace millrace::kube {

struct ElectionSettings {
  /// For so long the others leave a record alone that does not change. Whole seconds.
  std::chrono::seconds lease = std::chrono::seconds(15);
  /// A leader that could not renew for so long stops acting. Less than `lease`: what is between is
  /// for an act that has begun, and for clocks that run at different speeds.
  common::Duration renew_deadline = std::chrono::seconds(10);
  /// Between two renewals of a leader, and two looks of a follower.
  common::Duration retry = std::chrono::seconds(2);
};

/// The Lease object as far as we use it. An empty holder: nobody leads.
struct LeaseRecord {
  std::string holder;
  std::int64_t seconds = 0;      ///< spec.leaseDurationSeconds
  std::string acquired;          ///< spec.acquireTime, as text
  std::string renewed;           ///< spec.renewTime, as text
  std::int64_t transitions = 0;  ///< spec.leaseTransitions
  std::string resource_version;  ///< empty: there is no object yet

  bool operator==(const LeaseRecord&) const = default;
};

/// Election is a machine without I/O. The shell asks step() what to do, does it, and tells.
///
/// States: follower -> (record vacant, expired or absent: writes; write confirmed) -> leader
///         leader -> (renewed by somebody else, or no renewal for renew_deadline) -> follower.
///
/// Why two never act at once: a leader may act until `start of the last confirmed write +
/// renew_deadline`, by its own monotonic clock. Another takes over only after it has seen the same
/// record for `lease` by its own monotonic clock, and it cannot have seen it before that write
/// began. Wall clocks stand in the record for people and are never compared.
class Election {
 public:
  /// Read the Lease, then call read_done().
  struct Read {};
  /// Create the Lease (no resource_version in it) or update it on that version, then call
  /// write_done().
  struct Write {
    LeaseRecord record;
  };
  /// Nothing to do before then.
  struct Wait {
    common::Instant until;
  };
  using Step = std::variant<Read, Write, Wait>;

  /// How a write ended.
  enum class Written {
    kYes,      ///< confirmed; give the resourceVersion of the answer
    kNo,       ///< refused: another version is there, or it was not sent
    kUnknown,  ///< the answer is lost
  };

  /// `identity` is of this process alone and of no earlier one.
  Election(std::string identity, ElectionSettings settings);

  /// What to do next. `wall` is text for the record (kube/timestamp.h).
  Step step(common::Instant now, const std::string& wall);
  /// What a read found; nullopt: no such object. `now` is when the answer came. After an error of
  /// any other kind: read_failed().
  void read_done(const std::optional<LeaseRecord>& found, common::Instant now);
  void read_failed(common::Instant now);
  /// How the write of `record` ended; `began` is when it was sent, `now` when it ended.
  /// `resource_version` is that of the answer, used with kYes only.
  void write_done(Written how, const LeaseRecord& record, const std::string& resource_version,
                  common::Instant began, common::Instant now);

  /// This process may act now.
  bool leading(common::Instant now) const { return leads_until_ && now < *leads_until_; }
  /// Until when it may, if nothing more is confirmed; nullopt for a follower.
  std::optional<common::Instant> leads_until() const { return leads_until_; }
  /// Who holds the lease, as far as known; may be empty.
  const std::string& holder() const { return seen_.holder; }
  /// The record that gives leadership up, for a clean stop; nullopt if this process has none.
  /// Nothing may act for this leadership any more.
  std::optional<LeaseRecord> resign(common::Instant now, const std::string& wall);

 private:
  bool may_take(common::Instant now) const;
  LeaseRecord mine(const std::string& wall) const;

  const std::string identity_;
  const ElectionSettings settings_;
  LeaseRecord seen_;                        // the last record read or written
  std::optional<common::Instant> seen_at_;  // since when it has not changed; nullopt: never read
  std::optional<LeaseRecord> attempt_;      // a write whose end is not known
  common::Instant attempt_began_;
  std::optional<common::Instant> leads_until_;
  common::Instant next_;   // when to look or renew again
  bool must_read_ = true;  // what is seen_ is not what is stored, or may not be
};

/// Election over the API. Thread-safe apart from run().
class Leadership {
 public:
  /// Which Lease.
  using Key = ObjectKey;
  /// `clock` and `api` must outlive it. Give it an Api of its own whose calls end, repetitions
  /// included, well before renew_deadline: one slow call must not cost the leadership.
  Leadership(Api& api, Key lease, std::string identity, const common::Clock& clock,
             ElectionSettings settings = {});

  /// Called on run()'s thread when leadership begins (true) and ends (false). A leader that ended
  /// because it could not renew should drop its queues or leave the process.
  void on_change(std::function<void(bool)> handler);
  /// Takes part until asked to stop, then gives the lease up if it leads, so that the next one
  /// needs not wait. Stop whatever acts first. At most once.
  void run(std::stop_token stop);

  // ---- instead of run(), for simulations

  /// One step: reads or writes, or says until when there is nothing to do.
  std::optional<common::Instant> turn();
  /// Gives the lease up, if it leads.
  void resign();

  /// May this process act now? Costs a clock reading. Ask before each act, not once per reconcile.
  bool leading() const;
  /// Who leads, for logs and /readyz; may be empty.
  std::string holder() const;
  /// How often leadership began here, for metrics.
  std::uint64_t terms() const { return terms_.load(); }
  /// The last error; empty since a call worked.
  std::string trouble() const;

 private:
  void read();
  void write(const LeaseRecord& record);
  void note(const std::string& trouble);
  void publish();

  Api& api_;
  const Key key_;
  const common::Clock& clock_;
  Election election_;  // run()'s thread alone
  std::function<void(bool)> handler_;
  bool announced_ = false;
  std::atomic<common::Instant::rep> leads_until_;  // on the clock; the lowest value: does not lead
  std::atomic<std::uint64_t> terms_ = 0;
  mutable std::mutex mutex_;  // guards what follows
  std::string holder_;
  std::string trouble_;
};

/// The Lease object of a record, and back. nullopt: not a Lease that we understand.
Json lease_object(const ObjectKey& key, const LeaseRecord& record);
std::optional<LeaseRecord> lease_record(const Json& object);

}  // namespace millrace::kube
