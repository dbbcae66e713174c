// metrics.acted(Work::kCluster, "Drain", "ok");   ...   metrics.text(now)
//
// What the operator counts, and how the objects that it looks after are.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/clock.h"
#include "operator/control/exposition.h"
#include "operator/control/key.h"
#include "operator/control/queue.h"
#include "operator/plan/status.h"

namespace millrace::control {

/// Which custom resource an object is; "MillraceCluster" in labels.
enum class Kind : std::uint8_t { kCluster, kTopic };
std::string_view name(Kind kind);

/// One condition of an object.
struct ConditionValue {
  std::string type;
  std::string status;
  std::string reason;
  bool operator==(const ConditionValue&) const = default;
};

/// How one object is, as its last plan says.
struct Standing {
  std::vector<ConditionValue> conditions;
  /// Codes of what waits, is refused or is wrong.
  std::vector<std::string> waiting;
  /// Clusters: asked for, and ready; -1: not said.
  std::int64_t brokers_desired = -1;
  std::int64_t brokers_ready = -1;
};

/// What a plan says of an object: its status as JSON and its findings.
Standing standing_of(const plan::Json& status, const std::vector<plan::Finding>& findings);

/// What is looked up when metrics are asked for.
struct Gauges {
  bool leader = false;
  std::uint64_t terms = 0;
  std::string version;
  Queue::Numbers queue;
  std::map<std::string, std::size_t> objects;    ///< in the caches, by plural
  std::map<std::string, std::uint64_t> watches;  ///< started, by plural
  std::map<std::string, std::uint64_t> lists;    ///< made, by plural
  std::uint64_t events_lost = 0;
};

/// Thread-safe.
class Metrics {
 public:
  explicit Metrics(const common::Clock& clock) : clock_(clock) {}

  void reconciled(Work work, Ending::Kind how, common::Duration took);
  /// `result`: ok, refused, failed.
  void acted(Work work, std::string_view action, std::string_view result);
  /// `code`: the HTTP status, or the name of the cause.
  void api_called(std::string_view verb, std::string_view resource, std::string_view code,
                  common::Duration took);
  void broker_called(std::string_view method, std::string_view code);
  void status_written(Kind kind);
  void event(std::string_view reason);

  void stands(Kind kind, const kube::ObjectKey& object, Standing standing);
  void gone(Kind kind, const kube::ObjectKey& object);

  std::string text(const Gauges& now) const;
  /// Status writes so far, for tests.
  std::uint64_t status_writes() const;

 private:
  struct Known {
    Standing standing;
    std::optional<common::Instant> waits_since;
  };
  using Counts = std::map<std::vector<std::string>, std::uint64_t>;
  using Objects = std::map<kube::ObjectKey, Known>;

  static void count(Counts& counts, std::vector<std::string> labels) { ++counts[labels]; }
  void add_work(Exposition& out) const;
  void add_calls(Exposition& out) const;
  void add_objects(Exposition& out) const;
  void add_clusters(Exposition& out) const;

  const common::Clock& clock_;
  mutable std::mutex mutex_;  // guards what follows
  Counts reconciles_;
  Counts actions_;
  Counts api_requests_;
  Counts broker_calls_;
  Counts status_writes_;
  Counts events_;
  std::map<std::string, Latencies> reconcile_times_;
  std::map<std::string, Latencies> api_times_;
  std::map<Kind, Objects> objects_;
};

}  // namespace millrace::control
