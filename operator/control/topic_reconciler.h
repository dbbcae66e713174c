// const Ending ending = reconciler.reconcile({"shop", "events"});
//
// All MillraceTopics of one cluster.
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "operator/control/cluster_reconciler.h"
#include "operator/control/topic_index.h"
#include "operator/control/topic_view.h"

namespace millrace::control {

struct TopicSettings {
  /// How often the brokers are asked for all topics although nothing changed here: what others
  /// changed there is set right within that time.
  common::Duration resync = std::chrono::seconds(30);
  /// As resync, while they do not answer, or partitions have no leader.
  common::Duration soon = std::chrono::seconds(5);
  /// For so long after the brokers stopped to answer nothing is said of it on topics.
  common::Duration silence = std::chrono::seconds(20);
  /// A plan that changes topics, or what is said of them, is made on a view that is not older.
  common::Duration fresh = std::chrono::seconds(1);
  /// What was refused is asked again then, if nothing changes before.
  common::Duration refused = std::chrono::minutes(1);
  /// Resources that are looked at together: bounds memory, and how many topics one call creates.
  std::size_t chunk = 250;
  /// Calls of the API server at once.
  std::size_t threads = 8;
  /// Where more resources are looked at together, no event tells that all is well: thousands of
  /// them would be as many writes, and push out what somebody must know.
  std::size_t crowd = 16;
};

/// No call is made for a single topic that is well: the brokers are asked for all topics at once,
/// and only resources that changed, whose topic is another way than the last time, or that wait,
/// are looked at. Thousands of new topics are created in batches. A status is written once it is
/// known what came of it: after a change the topics are read back first.
class TopicReconciler {
 public:
  /// `index` must outlive it.
  TopicReconciler(Tools tools, TopicIndex& index, TopicSettings settings = {});

  Ending reconcile(const ObjectKey& cluster);
  /// Releases our finalizer on every resource of a namespace that is going, so that the namespace
  /// does not hang when this process is gone. What cannot be written is left.
  void release_finalizers(const std::string& space);

 private:
  /// What is remembered of one topic between two looks; most have nothing.
  struct TopicMemory {
    plan::Answers answers;
    std::optional<common::Instant> due;
  };
  struct Memory {
    std::optional<TopicsView> view;
    bool outdated = false;  // topics were changed since
    common::Instant next_resync;
    std::optional<common::Instant> silent_since;
    /// What was said of the cluster's object the last time.
    std::optional<bool> cluster_exists;
    bool cluster_deleting = false;
    std::map<ObjectKey, TopicMemory> topics;
    Expectations expectations;
  };
  /// One resource in one look.
  struct Item {
    ObjectKey key;
    plan::TopicObservation observation;
    plan::TopicPlan plan;
    bool acted = false;
    bool failed = false;
    bool refused = false;
    bool news = false;  // what was said to an action is to be told first
  };
  /// How a look went.
  struct Pass {
    ObjectKey cluster;
    std::shared_ptr<brokers::Admin> admin;
    bool acted = false;  // or learned something: there is more to look at
    bool failed = false;
    bool stopped = false;
    std::optional<bool> space_going;  // asked for once
  };

  Memory& memory_of(const ObjectKey& cluster);
  void forget(const ObjectKey& cluster);
  /// Reads the brokers' view if it is time. False: they do not answer, and that is not to be told
  /// yet.
  bool see(const ObjectKey& cluster, Memory& memory, brokers::Admin& admin,
           std::set<ObjectKey>& work);
  void note_cluster(const ObjectKey& cluster, Memory& memory, std::set<ObjectKey>& work);
  void add_due(Memory& memory, std::set<ObjectKey>& work) const;

  void look(Pass& pass, Memory& memory, const std::vector<ObjectKey>& keys);
  std::optional<Item> plan(Pass& pass, Memory& memory, const ObjectKey& key);
  void refresh(Pass& pass, Memory& memory, std::vector<Item>& items);
  std::set<ObjectKey> concerned(const ObjectKey& cluster, const std::optional<TopicsView>& before,
                                const TopicsView& after) const;
  void mark_changed(Pass& pass, const std::set<ObjectKey>& keys);
  void act(Pass& pass, Memory& memory, std::vector<Item>& items);
  void act_round(Pass& pass, Memory& memory, std::vector<Item>& items, std::size_t round);
  void create(Pass& pass, Memory& memory, const std::vector<Item*>& items, std::size_t round);
  void note(Memory& memory, Item& item, const plan::Action& action, const Done& done);
  void report(Pass& pass, Memory& memory, std::vector<Item>& items);
  void stands(const Item& item);
  void settle(Pass& pass, Memory& memory, const std::vector<Item>& items);
  bool is_going(Pass& pass);
  common::Duration until_next(const Memory& memory) const;

  const Tools tools_;
  TopicIndex& index_;
  const TopicSettings settings_;
  const Deeds deeds_;
  std::mutex mutex_;  // guards memories_, not what they hold: a key is at one worker
  std::map<ObjectKey, std::unique_ptr<Memory>> memories_;
};

}  // namespace millrace::control
