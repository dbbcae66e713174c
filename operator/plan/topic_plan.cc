// Rules T1 to T6 of topic_plan.h.
#include "operator/plan/topic_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>
#include <utility>

#include "operator/plan/mutation.h"
#include "operator/resources/fields.h"
#include "operator/resources/names.h"

namespace millrace::plan {
namespace {

using resources::at;
using resources::DeletionPolicy;
using resources::text_of;
using resources::TopicSpec;
using std::chrono::seconds;

/// One reconciliation of one resource.
class Planner {
 public:
  Planner(const TopicObservation& seen, common::Timestamp now)
      : seen_(seen),
        now_(now),
        identity_(resources::identity_of(seen.topic)),
        parsed_(resources::parse_topic_spec(seen.topic)),
        spec_(parsed_.value),
        id_before_(text_of(at(seen.topic, "status", "topicId"))) {
    const auto paused = identity_.annotations.find(std::string(resources::kPausedAnnotation));
    paused_ = paused != identity_.annotations.end() && paused->second == "true";
  }

  TopicPlan run() {
    if (identity_.deleting || seen_.namespace_terminating) {
      leave();
      return std::move(plan_);
    }
    if (stands_back()) {
      conclude();
      return std::move(plan_);
    }
    keep_finalizer();
    make_it_so();
    conclude();
    return std::move(plan_);
  }

 private:
  const std::optional<TopicView>& there() const { return seen_.at_brokers.topic; }

  void say(Reason reason, std::string detail = {}) {
    plan_.findings.push_back({reason, "topic " + spec_.topic, std::move(detail)});
  }
  void act(Reason reason, std::string note, Deed deed) {
    plan_.actions.push_back({Step::kTopic, reason, std::move(note), std::move(deed)});
  }
  void again(std::chrono::milliseconds after) {
    if (!plan_.requeue_after || after < *plan_.requeue_after) plan_.requeue_after = after;
  }

  bool has_finalizer() const {
    const auto& all = identity_.finalizers;
    return std::find(all.begin(), all.end(), resources::kTopicFinalizer) != all.end();
  }

  void set_finalizer(bool wanted) {
    if (wanted == has_finalizer() || (!wanted && mutated(Mutation::kKeepFinalizer))) return;
    std::vector<std::string> all = identity_.finalizers;
    std::erase(all, resources::kTopicFinalizer);
    if (wanted) all.emplace_back(resources::kTopicFinalizer);
    const Reason reason = wanted ? Reason::kFinalizerAdded : Reason::kFinalizerReleased;
    // A list is replaced as a whole: it must still be the one that was read.
    act(reason, wanted ? "add the finalizer" : "release the finalizer",
        Patch{.target = {std::string(resources::kApiVersion), std::string(resources::kTopicKind),
                         identity_.space, identity_.name},
              .patch = {{"metadata",
                         {{"finalizers", all}, {"resourceVersion", identity_.resource_version}}}},
              .uid = identity_.uid,
              .resource_version = identity_.resource_version});
  }

  bool rival_is_older(const TopicRival& rival) const {
    return std::tie(rival.created, rival.name) < std::tie(identity_.created, identity_.name);
  }

  // ---- T1

  /// Why the topic outlives its resource; nullopt: it goes.
  std::optional<std::string> why_retained() const {
    if (seen_.namespace_terminating) return "the namespace is going";
    if (spec_.deletion == DeletionPolicy::kRetain) return "deletionPolicy is Retain";
    if (paused_) return "the resource is paused";
    if (!parsed_.problems.empty()) return parsed_.problems.front();
    if (seen_.synced && !seen_.cluster_exists) return "there is no cluster " + spec_.cluster;
    if (seen_.cluster_deleting) return "the cluster is being deleted";
    for (const TopicRival& rival : seen_.rivals) {
      if (!rival.deleting || rival_is_older(rival))
        return "resource " + rival.name + " is for it too";
    }
    if (id_before_.empty()) return "it was never seen there";
    return std::nullopt;
  }

  void leave() {
    if (!has_finalizer()) return;
    if (const auto why = why_retained()) {
      plan_.events.push_back({false, Reason::kTopicRetained,
                              sentence({Reason::kTopicRetained, "topic " + spec_.topic, *why})});
      return set_finalizer(false);
    }
    if (!seen_.at_brokers.reachable) {
      say(Reason::kClusterNotReachable, seen_.at_brokers.why_not);
      again(seconds(10));
      return conclude();
    }
    if (!there() || there()->topic_id != id_before_) return set_finalizer(false);
    if (const Answer* const answer = refused("DeleteTopic/" + spec_.topic)) {
      say(Reason::kTopicRefused, answer->sentence);
    }
    act(Reason::kTopicDeleted, fmt::format("delete topic {} ({})", spec_.topic, id_before_),
        DeleteTopic{spec_.topic, id_before_});
    if (seen_.answers.count(key(plan_.actions.back())) == 0) {
      plan_.events.push_back({false, Reason::kTopicDeleted, plan_.actions.back().note});
    }
    again(seconds(5));
    if (!plan_.findings.empty()) conclude();
  }

  // ---- what keeps it from doing anything

  bool stands_back() {
    if (paused_) {
      say(Reason::kPaused);
      return true;
    }
    for (const std::string& problem : parsed_.problems) say(Reason::kInvalidSpec, problem);
    if (!parsed_.problems.empty()) return true;
    const auto older = std::find_if(seen_.rivals.begin(), seen_.rivals.end(),
                                    [&](const TopicRival& rival) { return rival_is_older(rival); });
    if (older != seen_.rivals.end()) {
      say(Reason::kDuplicateTopic, "resource " + older->name);
      // It has no topic, so it keeps nobody waiting for one.
      set_finalizer(false);
      return true;
    }
    if (seen_.cluster_deleting) {
      say(Reason::kClusterDeleting, spec_.cluster);
      return true;
    }
    if (seen_.cluster_exists || !seen_.synced) return false;
    say(Reason::kClusterMissing, spec_.cluster);
    return true;
  }

  // ---- T3 to T6

  void keep_finalizer() { set_finalizer(spec_.deletion == DeletionPolicy::kDelete); }

  const Answer* refused(const std::string& key) const {
    const auto found = seen_.answers.find(key);
    if (found == seen_.answers.end() || found->second.kind != Answer::Kind::kRefused)
      return nullptr;
    return &found->second;
  }

  /// Plans what is done to the topic, unless the brokers have said no to it: then they are asked
  /// again from time to time.
  void change(Action action) {
    if (const Answer* const answer = refused(key(action))) {
      say(Reason::kTopicRefused, answer->sentence);
      again(seconds(30));
    }
    changes_ = true;
    plan_.actions.push_back(std::move(action));
  }

  bool too_few(std::int32_t brokers) const {
    return brokers >= 0 && brokers < spec_.replication_factor;
  }
  void say_too_few(std::int32_t brokers) {
    say(Reason::kTooFewBrokers,
        fmt::format("{} brokers, {} replicas", brokers, spec_.replication_factor));
  }

  void make_it_so() {
    if (!seen_.at_brokers.reachable) {
      say(Reason::kClusterNotReachable, seen_.at_brokers.why_not);
      return again(seconds(30));
    }
    const std::int32_t brokers = seen_.at_brokers.brokers;
    if (!there()) {
      if (too_few(brokers)) {
        say_too_few(brokers);
        return again(seconds(30));
      }
      return change(
          {Step::kTopic, Reason::kTopicCreated,
           fmt::format("create topic {} with {} partitions and {} replicas", spec_.topic,
                       spec_.partitions, spec_.replication_factor),
           CreateTopic{spec_.topic, spec_.partitions, spec_.replication_factor, spec_.config}});
    }
    const TopicView& topic = *there();
    if (!id_before_.empty() && id_before_ != topic.topic_id) {
      plan_.events.push_back(
          {true, Reason::kTopicReplaced,
           sentence({Reason::kTopicReplaced, "topic " + spec_.topic,
                     fmt::format("it was {}, it is {}", id_before_, topic.topic_id)})});
    }
    compare_partitions(topic);
    compare_config(topic);
    if (too_few(brokers) && topic.replication_factor < spec_.replication_factor) {
      say_too_few(brokers);
    } else if (topic.replication_factor != spec_.replication_factor) {
      say(Reason::kReplicationDiffers,
          fmt::format("{}, not {}", topic.replication_factor, spec_.replication_factor));
    }
    if (topic.offline > 0) say(Reason::kTopicUnwell, fmt::format("{} partitions", topic.offline));
  }

  void compare_partitions(const TopicView& topic) {
    if (topic.partitions > spec_.partitions) {
      say(Reason::kShrinkRefused, fmt::format("{}, not {}", topic.partitions, spec_.partitions));
    }
    if (topic.partitions >= spec_.partitions) return;
    change({Step::kTopic, Reason::kTopicGrown,
            fmt::format("raise the partitions of topic {} from {} to {}", spec_.topic,
                        topic.partitions, spec_.partitions),
            AddPartitions{spec_.topic, spec_.partitions}});
  }

  void compare_config(const TopicView& topic) {
    AlterTopicConfigs alter{.topic = spec_.topic, .set = {}, .remove = {}};
    std::string names;
    for (const auto& [name, value] : spec_.config) {
      const auto now = topic.config.find(name);
      if (now != topic.config.end() && now->second == value) continue;
      alter.set.emplace(name, value);
      names += fmt::format(" {}={}", name, value);
    }
    for (const auto& [name, value] : topic.config) {
      if (spec_.config.count(name) > 0) continue;
      alter.remove.push_back(name);
      names += " -" + name;
    }
    if (alter.set.empty() && alter.remove.empty()) return;
    change({Step::kTopic, Reason::kTopicConfigured,
            fmt::format("change settings of topic {}:{}", spec_.topic, names), std::move(alter)});
  }

  // ---- status

  /// Why what is planned was not done the last time; empty: it was not tried, or succeeded.
  std::string last_failure() const {
    for (const Action& action : plan_.actions) {
      const auto answer = seen_.answers.find(key(action));
      if (answer != seen_.answers.end()) return answer->second.sentence;
    }
    return {};
  }

  std::vector<Condition> conditions() const {
    Condition ready{.type = "Ready", .status = "True", .reason = Reason::kTopicReady};
    ready.message = sentence({Reason::kTopicReady, {}, {}});
    if (!plan_.findings.empty()) {
      ready.status = "False";
      ready.reason = plan_.findings.front().reason;
      ready.message.clear();
      for (const Finding& finding : plan_.findings) {
        ready.message += (ready.message.empty() ? "" : " ") + sentence(finding);
      }
    } else if (changes_) {
      ready.status = "False";
      ready.reason = Reason::kTopicReadingBack;
      ready.message = sentence({Reason::kTopicReadingBack, {}, last_failure()});
    }
    return {ready};
  }

  /// Nothing is known, and nothing is asked for that was not before: what was said still stands.
  bool says_nothing_new(const Json& before) const {
    const bool unknown =
        plan_.findings.size() == 1 && plan_.findings.front().reason == Reason::kClusterNotReachable;
    if (!unknown || identity_.deleting) return false;
    return resources::integer_of(at(before, "observedGeneration")) == identity_.generation;
  }

  void conclude() {
    const Json& before = at(seen_.topic, "status");
    if (says_nothing_new(before)) {
      plan_.status = before;
      return;
    }
    Json status = before.is_object() ? before : Json::object();
    status["observedGeneration"] = identity_.generation;
    status["conditions"] =
        conditions_json(conditions(), at(before, "conditions"), identity_.generation, now_);
    if (parsed_.problems.empty()) status["topicName"] = spec_.topic;
    if (there() && seen_.at_brokers.reachable && counts()) {
      status["topicId"] = there()->topic_id;
      status["partitions"] = there()->partitions;
      status["replicationFactor"] = there()->replication_factor;
    }
    add_events(before);
    // A change that is about to be made and read back: one status for both.
    const bool about_to_change = changes_ && plan_.findings.empty() && no_answers();
    plan_.status_changed = !about_to_change && status != before;
    plan_.status = std::move(status);
  }

  /// Of several resources for the topic, this is the one.
  bool counts() const {
    return std::none_of(plan_.findings.begin(), plan_.findings.end(), [](const Finding& finding) {
      return finding.reason == Reason::kDuplicateTopic;
    });
  }

  bool no_answers() const {
    return std::none_of(plan_.actions.begin(), plan_.actions.end(),
                        [&](const Action& action) { return seen_.answers.count(key(action)) > 0; });
  }

  void add_events(const Json& before) {
    for (const Action& action : plan_.actions) {
      const bool finalizer = std::holds_alternative<Patch>(action.deed);
      const bool deletion = std::holds_alternative<DeleteTopic>(action.deed);
      if (finalizer || deletion || seen_.answers.count(key(action)) > 0) continue;
      plan_.events.push_back({false, action.reason, action.note});
    }
    if (plan_.findings.empty()) return;
    const Finding& first = plan_.findings.front();
    const Severity severity = text(first.reason).severity;
    if (severity != Severity::kProblem && severity != Severity::kWarning) return;
    const Json& list = at(before, "conditions");
    const bool said =
        list.is_array() && !list.empty() && text_of(at(list[0], "reason")) == code(first.reason);
    if (!said) plan_.events.push_back({true, first.reason, sentence(first)});
  }

  const TopicObservation& seen_;
  const common::Timestamp now_;
  const resources::Identity identity_;
  const resources::Parsed<TopicSpec> parsed_;
  const TopicSpec& spec_;
  const std::string id_before_;
  bool paused_ = false;
  /// Something is done to the topic, which is to be read back.
  bool changes_ = false;
  TopicPlan plan_;
};

}  // namespace

TopicPlan plan_topic(const TopicObservation& observation, common::Timestamp now) {
  return Planner(observation, now).run();
}

}  // namespace millrace::plan
