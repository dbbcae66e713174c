// const TopicPlan plan = plan_topic(observation, clock.wall());
//
// A MillraceTopic: what is asked for and what is there -> what to do next and what to say. Pure and
// level-based, as cluster_plan.h.
//
//   T1  A resource that is deleted: deletionPolicy Retain, or no finalizer of ours: nothing is
//       left to do. Delete: the topic is deleted by the id in the status (no id: by no means), and
//       the finalizer is released when the topic is gone. It is released at once, with the topic
//       left as it is, if the cluster is missing or being deleted, the namespace is going, another
//       resource counts for the topic, or the operator is told to stop while the namespace goes.
//   T2  Of several resources for one topic of one cluster the oldest counts (then the smaller
//       name); the others say DuplicateTopic and do nothing.
//   T3  The finalizer is there exactly if deletionPolicy is Delete, before the topic is made.
//   T4  Not there: it is made. More partitions asked for than there are: added. Fewer: refused,
//       said so, and the rest of the resource still counts. Settings that differ are set, settings
//       that the resource does not name go back to their defaults. Another number of replicas is
//       said and left so: which brokers are to have them only the brokers can weigh, and their call
//       for that leaves a partition out of evening out from then on.
//   T5  Ready only when what was read back is what is asked for; nothing is assumed from a call
//       that succeeded.
//   T6  A topic that was made anew by somebody else (another id) is adopted, and the event says so.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/clock.h"
#include "operator/plan/action.h"
#include "operator/plan/status.h"
#include "operator/resources/topic.h"

namespace millrace::plan {

/// A topic as the brokers describe it.
struct TopicView {
  std::string topic_id;
  std::int32_t partitions = 0;
  std::int32_t replication_factor = 0;
  /// Settings made on the topic itself.
  std::map<std::string, std::string> config;
  /// Partitions without a leader, and with fewer replicas in sync than there are; -1: not read.
  std::int32_t offline = -1;
  std::int32_t under_replicated = -1;
};

/// What is known of the topic at the brokers.
struct TopicAtBrokers {
  /// Some broker answered about it. If not, nothing may be concluded from an absent topic.
  bool reachable = false;
  /// Why not, in a sentence.
  std::string why_not;
  /// Absent, with `reachable`: there is no such topic.
  std::optional<TopicView> topic;
  /// Registered brokers; -1: not known.
  std::int32_t brokers = -1;
};

/// Another MillraceTopic of the namespace for the same topic of the same cluster.
struct TopicRival {
  std::string name;
  /// metadata.creationTimestamp.
  std::string created;
  bool deleting = false;
};

struct TopicObservation {
  /// The custom resource.
  Json topic;
  /// There is a MillraceCluster of that name, and whether it is being deleted.
  bool cluster_exists = false;
  bool cluster_deleting = false;
  /// The list of clusters has been read since the operator started; while false a missing cluster
  /// means nothing.
  bool synced = true;
  bool namespace_terminating = false;
  std::vector<TopicRival> rivals;
  TopicAtBrokers at_brokers;
  Answers answers;
};

struct TopicPlan {
  std::vector<Action> actions;
  /// The whole status, to be merge-patched into the status subresource if `status_changed`.
  Json status;
  bool status_changed = false;
  std::vector<Finding> findings;
  std::vector<Event> events;
  /// Absent: when something changes. Only waiting topics have one: topics that are well are not
  /// polled one by one.
  std::optional<std::chrono::milliseconds> requeue_after;
};

TopicPlan plan_topic(const TopicObservation& observation, common::Timestamp now);

}  // namespace millrace::plan
