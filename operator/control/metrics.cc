#include "operator/control/metrics.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <utility>

#include "operator/kube/fields.h"
#include "operator/plan/reasons.h"

namespace millrace::control {
namespace {

double seconds(common::Duration span) {
  return std::chrono::duration<double>(span).count();
}

std::string_view result_name(Ending::Kind how) {
  switch (how) {
    case Ending::Kind::kSettled:
      return "done";
    case Ending::Kind::kAgain:
      return "again";
    case Ending::Kind::kFailed:
      return "error";
  }
  return "error";
}

/// Of this process, from /proc: no library asks for them.
void add_process(Exposition& out) {
  std::ifstream pages("/proc/self/statm");
  std::uint64_t all = 0;
  std::uint64_t resident = 0;
  if (pages >> all >> resident) {
    out.gauge("process_resident_memory_bytes", "Resident memory of the process.",
              static_cast<double>(resident) * static_cast<double>(sysconf(_SC_PAGESIZE)));
  }
  rusage used{};
  if (getrusage(RUSAGE_SELF, &used) == 0) {
    const auto seconds_of = [](const timeval& time) {
      return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
    };
    out.counter("process_cpu_seconds_total", "Processor time of the process.",
                seconds_of(used.ru_utime) + seconds_of(used.ru_stime));
  }
}

void add_gauges(Exposition& out, const Gauges& now) {
  out.gauge("millrace_operator_build_info", "1; the label says which version runs.", 1,
            {{"version", now.version}});
  out.gauge("millrace_operator_leader", "1 while this process acts.", now.leader ? 1 : 0);
  out.counter("millrace_operator_lease_transitions_total", "How often leadership began here.",
              static_cast<double>(now.terms));
  for (const auto& [kind, count] : now.objects) {
    out.gauge("millrace_operator_objects", "Objects in memory, by kind.",
              static_cast<double>(count), {{"kind", kind}});
  }
  for (const auto& [kind, count] : now.watches) {
    out.counter("millrace_operator_watch_starts_total", "Watches begun.",
                static_cast<double>(count), {{"resource", kind}});
  }
  for (const auto& [kind, count] : now.lists) {
    out.counter("millrace_operator_relists_total",
                "Lists of all objects of a kind, the first one included.",
                static_cast<double>(count), {{"resource", kind}});
  }
  out.gauge("millrace_operator_queue_depth", "Clusters that wait for a worker.",
            static_cast<double>(now.queue.depth));
  out.gauge("millrace_operator_queue_oldest_seconds", "How long the first of them has waited.",
            seconds(now.queue.oldest));
  out.counter("millrace_operator_queue_retries_total",
              "Looks at a cluster that failed and were put off.",
              static_cast<double>(now.queue.retries));
  out.counter("millrace_operator_events_lost_total",
              "Events that nobody sees: too many, or refused.",
              static_cast<double>(now.events_lost));
}

}  // namespace

std::string_view name(Kind kind) {
  return kind == Kind::kCluster ? "MillraceCluster" : "MillraceTopic";
}

Standing standing_of(const plan::Json& status, const std::vector<plan::Finding>& findings) {
  Standing standing;
  if (const auto* conditions = kube::find(status, {"conditions"});
      conditions != nullptr && conditions->is_array()) {
    for (const plan::Json& condition : *conditions) {
      standing.conditions.push_back({kube::text_at(condition, {"type"}),
                                     kube::text_at(condition, {"status"}),
                                     kube::text_at(condition, {"reason"})});
    }
  }
  for (const plan::Finding& finding : findings) {
    if (plan::text(finding.reason).severity == plan::Severity::kNote) continue;
    const std::string reason(plan::code(finding.reason));
    if (std::find(standing.waiting.begin(), standing.waiting.end(), reason) ==
        standing.waiting.end())
      standing.waiting.push_back(reason);
  }
  return standing;
}

void Metrics::reconciled(Work work, Ending::Kind how, common::Duration took) {
  const std::lock_guard lock(mutex_);
  count(reconciles_, {std::string(control::name(work)), std::string(result_name(how))});
  reconcile_times_[std::string(control::name(work))].add(took);
}

void Metrics::acted(Work work, std::string_view action, std::string_view result) {
  const std::lock_guard lock(mutex_);
  count(actions_, {std::string(control::name(work)), std::string(action), std::string(result)});
}

void Metrics::api_called(std::string_view verb, std::string_view resource, std::string_view code,
                         common::Duration took) {
  const std::lock_guard lock(mutex_);
  count(api_requests_, {std::string(verb), std::string(resource), std::string(code)});
  api_times_[std::string(verb)].add(took);
}

void Metrics::broker_called(std::string_view method, std::string_view code) {
  const std::lock_guard lock(mutex_);
  count(broker_calls_, {std::string(method), std::string(code)});
}

void Metrics::status_written(Kind kind) {
  const std::lock_guard lock(mutex_);
  count(status_writes_, {std::string(control::name(kind))});
}

void Metrics::event(std::string_view reason) {
  const std::lock_guard lock(mutex_);
  count(events_, {std::string(reason)});
}

void Metrics::stands(Kind kind, const kube::ObjectKey& object, Standing standing) {
  const std::lock_guard lock(mutex_);
  Known& known = objects_[kind][object];
  if (standing.waiting.empty()) {
    known.waits_since.reset();
  } else if (!known.waits_since) {
    known.waits_since = clock_.now();
  }
  known.standing = std::move(standing);
}

void Metrics::gone(Kind kind, const kube::ObjectKey& object) {
  const std::lock_guard lock(mutex_);
  objects_[kind].erase(object);
}

std::uint64_t Metrics::status_writes() const {
  const std::lock_guard lock(mutex_);
  std::uint64_t all = 0;
  for (const auto& [labels, times] : status_writes_) all += times;
  return all;
}

void Metrics::add_work(Exposition& out) const {
  for (const auto& [labels, times] : reconciles_) {
    out.counter("millrace_operator_reconciles_total",
                "Looks at a cluster or at its topics, by how they ended.",
                static_cast<double>(times), {{"kind", labels[0]}, {"result", labels[1]}});
  }
  for (const auto& [kind, times] : reconcile_times_) {
    out.histogram("millrace_operator_reconcile_seconds",
                  "How long a look took, with all that was done.", times, {{"kind", kind}});
  }
  for (const auto& [labels, times] : actions_) {
    out.counter("millrace_operator_actions_total", "Actions of plans, by how they ended.",
                static_cast<double>(times),
                {{"kind", labels[0]}, {"action", labels[1]}, {"result", labels[2]}});
  }
  for (const auto& [labels, times] : status_writes_) {
    out.counter("millrace_operator_status_writes_total",
                "Statuses written because their meaning changed.", static_cast<double>(times),
                {{"kind", labels[0]}});
  }
  for (const auto& [labels, times] : events_) {
    out.counter("millrace_operator_events_total", "Events told, by reason.",
                static_cast<double>(times), {{"reason", labels[0]}});
  }
}

void Metrics::add_calls(Exposition& out) const {
  for (const auto& [labels, times] : api_requests_) {
    out.counter("millrace_operator_api_requests_total", "Calls of the Kubernetes API.",
                static_cast<double>(times),
                {{"verb", labels[0]}, {"resource", labels[1]}, {"code", labels[2]}});
  }
  for (const auto& [verb, times] : api_times_) {
    out.histogram("millrace_operator_api_request_seconds",
                  "How long calls of the Kubernetes API took; watches are left out.", times,
                  {{"verb", verb}});
  }
  for (const auto& [labels, times] : broker_calls_) {
    out.counter("millrace_operator_broker_calls_total", "Calls to brokers.",
                static_cast<double>(times), {{"method", labels[0]}, {"code", labels[1]}});
  }
}

void Metrics::add_objects(Exposition& out) const {
  const common::Instant now = clock_.now();
  for (const auto& [kind, objects] : objects_) {
    const std::string kind_name(control::name(kind));
    std::map<std::vector<std::string>, std::uint64_t> conditions;
    std::map<std::string, std::uint64_t> waiting;
    common::Duration longest{0};
    for (const auto& [key, known] : objects) {
      for (const ConditionValue& condition : known.standing.conditions)
        ++conditions[{condition.type, condition.status, condition.reason}];
      for (const std::string& reason : known.standing.waiting) ++waiting[reason];
      if (known.waits_since) longest = std::max(longest, now - *known.waits_since);
    }
    for (const auto& [labels, number] : conditions) {
      out.gauge("millrace_operator_conditions", "Objects with this condition.",
                static_cast<double>(number),
                {{"kind", kind_name},
                 {"condition", labels[0]},
                 {"status", labels[1]},
                 {"reason", labels[2]}});
    }
    for (const auto& [reason, number] : waiting) {
      out.gauge("millrace_operator_waiting", "Objects that wait or are refused, by reason.",
                static_cast<double>(number), {{"kind", kind_name}, {"reason", reason}});
    }
    out.gauge("millrace_operator_waiting_seconds", "The longest time that an object has waited.",
              seconds(longest), {{"kind", kind_name}});
  }
}

void Metrics::add_clusters(Exposition& out) const {
  const auto clusters = objects_.find(Kind::kCluster);
  if (clusters == objects_.end()) return;
  for (const auto& [key, known] : clusters->second) {
    const MetricLabels who = {{"namespace", key.space}, {"name", key.name}};
    for (const ConditionValue& condition : known.standing.conditions) {
      MetricLabels labels = who;
      labels.emplace_back("condition", condition.type);
      labels.emplace_back("reason", condition.reason);
      out.gauge("millrace_operator_cluster_condition",
                "1 where the condition of the cluster is true.", condition.status == "True" ? 1 : 0,
                labels);
    }
    const auto brokers = [&](const char* state, std::int64_t number) {
      if (number < 0) return;
      MetricLabels labels = who;
      labels.emplace_back("state", state);
      out.gauge("millrace_operator_cluster_brokers", "Brokers asked for, and ready.",
                static_cast<double>(number), labels);
    };
    brokers("desired", known.standing.brokers_desired);
    brokers("ready", known.standing.brokers_ready);
  }
}

std::string Metrics::text(const Gauges& now) const {
  Exposition out;
  add_process(out);
  add_gauges(out, now);
  const std::lock_guard lock(mutex_);
  add_work(out);
  add_calls(out);
  add_objects(out);
  add_clusters(out);
  return out.text();
}

}  // namespace millrace::control
