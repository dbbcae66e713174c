// events.record({.regarding = reference_of(kClusters, cluster), .type = EventType::kWarning,
//                .reason = "RollWaits", .note = "events-1 is 40 % recovered"});
//
// What `kubectl describe` shows below an object. Best effort: an event never holds up work.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <list>
#include <map>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <variant>

#include "common/clock.h"
#include "operator/kube/api.h"

namespace millrace::kube {

enum class EventType { kNormal, kWarning };

/// Which object an event is about: what an ObjectReference says.
struct Reference {
  std::string api_version;
  std::string kind;
  std::string space;
  std::string name;
  std::string uid;
  std::string resource_version;
};
Reference reference_of(const Resource& resource, const Json& object);

struct Event {
  Reference regarding;
  EventType type = EventType::kNormal;
  std::string reason;  ///< a code, PascalCase
  std::string note;    ///< one sentence; cut after 1024 bytes
};

/// Decides what becomes of an event: a new object, a higher count of one that is there, or nothing.
/// Pure.
///
/// Equal events (same object, type, reason and note) within `window` of each other become one
/// object with a count. Each object may say `burst` things at once and one more per `refill`; what
/// is over is dropped, counts included. At most `remembered` different events are known; the one
/// not used for longest is forgotten, and then begins anew as a new object.
class EventLog {
 public:
  struct Settings {
    common::Duration window = std::chrono::minutes(10);
    int burst = 25;
    common::Duration refill = std::chrono::seconds(30);
    std::size_t remembered = 512;
    std::string component = "millrace-operator";
    std::string instance;  ///< this pod
  };
  struct Create {
    Json object;
  };
  struct Raise {
    ObjectKey key;
    Json patch;
    Json object;  ///< to create where the one to patch has expired
  };
  struct Drop {};
  using Decision = std::variant<Create, Raise, Drop>;

  explicit EventLog(Settings settings);
  Decision record(const Event& event, common::Instant now, common::Timestamp wall);

 private:
  struct Known {
    ObjectKey key;
    std::int64_t count = 0;
    common::Timestamp first;
    common::Instant last;
    std::list<std::string>::iterator used;
  };
  struct Allowance {
    double tokens = 0;
    common::Instant at;
  };
  bool allow(const std::string& object, common::Instant now);
  void remember(const std::string& identity, Known known);
  Json build(const Event& event, const Known& known, common::Timestamp wall) const;

  const Settings settings_;
  std::map<std::string, Known> known_;
  std::list<std::string> used_;  // identities in known_, the one used last in front
  std::map<std::string, Allowance> allowances_;
  std::uint64_t sequence_ = 0;
};

/// Sends events in the background. record() never blocks; what does not fit into the queue is
/// dropped and counted.
class EventSender {
 public:
  static constexpr std::size_t kQueueMax = 256;

  EventSender(Api& api, const common::Clock& clock, EventLog::Settings settings);
  /// Any thread.
  void record(Event event);
  /// Sends until asked to stop, then what is left in the queue until one fails. At most once.
  void run(std::stop_token stop);
  /// Sends what is in the queue on the caller's thread: for tests and simulation, without run().
  void flush();
  /// Events that nobody will see: the queue was full or the server refused.
  std::uint64_t lost() const;

 private:
  std::optional<Event> take();
  /// False: lost.
  bool send(const Event& event);

  Api& api_;
  const common::Clock& clock_;
  EventLog log_;              // the sending thread alone
  mutable std::mutex mutex_;  // guards what follows, and goes with changed_
  std::condition_variable_any changed_;
  std::deque<Event> queue_;
  std::uint64_t lost_ = 0;
};

}  // namespace millrace::kube
