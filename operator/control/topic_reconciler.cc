#include "operator/control/topic_reconciler.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <variant>

#include "operator/control/side_by_side.h"
#include "operator/kube/fields.h"
#include "operator/kube/kinds.h"
#include "operator/resources/names.h"

namespace millrace::control {
namespace {

constexpr std::chrono::milliseconds kCacheWait{50};

bool asks_brokers(const plan::Action& action) {
  return !std::holds_alternative<plan::Patch>(action.deed) &&
         !std::holds_alternative<plan::Apply>(action.deed) &&
         !std::holds_alternative<plan::Create>(action.deed) &&
         !std::holds_alternative<plan::Delete>(action.deed);
}

std::string topic_name(const Json& topic) {
  const std::string name = kube::text_at(topic, {"spec", "topicName"});
  return name.empty() ? kube::text_at(topic, {"metadata", "name"}) : name;
}

bool is_deleting(const Json& object) {
  return kube::find(object, {"metadata", "deletionTimestamp"}) != nullptr;
}

std::string_view result_of(const Done& done) {
  if (!done.answer) return "ok";
  return done.answer->kind == plan::Answer::Kind::kRefused ? "refused" : "failed";
}

/// A batch's answer for one topic, as Deeds would have given it for that topic alone.
Done done_of(const brokers::Answer<brokers::Topic>& answer) {
  if (answer.ok() || answer.error().trouble == brokers::Trouble::kExists) return {};
  return {.ok = false, .answer = answer_of(answer.error())};
}

}  // namespace

TopicReconciler::TopicReconciler(Tools tools, TopicIndex& index, TopicSettings settings)
    : tools_(std::move(tools)),
      index_(index),
      settings_(settings),
      deeds_(tools_.world, tools_.api, tools_.clock) {}

TopicReconciler::Memory& TopicReconciler::memory_of(const ObjectKey& cluster) {
  const std::lock_guard lock(mutex_);
  std::unique_ptr<Memory>& memory = memories_[cluster];
  if (memory == nullptr) memory = std::make_unique<Memory>();
  return *memory;
}

void TopicReconciler::forget(const ObjectKey& cluster) {
  const std::lock_guard lock(mutex_);
  memories_.erase(cluster);
}

Ending TopicReconciler::reconcile(const ObjectKey& cluster) {
  if (!index_.has(cluster)) {
    forget(cluster);
    return {Ending::Kind::kSettled};
  }
  Memory& memory = memory_of(cluster);
  if (!memory.expectations.met(tools_.world, tools_.clock.now()))
    return {Ending::Kind::kSettled, kCacheWait};
  Pass pass{.cluster = cluster,
            .admin = tools_.fleet.admin(cluster,
                                        addresses_of(tools_.world.labelled(kube::kPods, cluster))),
            .space_going = std::nullopt};
  std::set<ObjectKey> work = index_.take_changed(cluster);
  note_cluster(cluster, memory, work);
  add_due(memory, work);
  if (!see(cluster, memory, *pass.admin, work)) {
    for (const ObjectKey& key : work) index_.mark(cluster, key);
    return {Ending::Kind::kFailed, settings_.silence};
  }
  std::vector<ObjectKey> keys(work.begin(), work.end());
  for (std::size_t at = 0; at < keys.size() && !pass.stopped; at += settings_.chunk) {
    const std::size_t end = std::min(keys.size(), at + settings_.chunk);
    look(pass, memory,
         {keys.begin() + static_cast<std::ptrdiff_t>(at),
          keys.begin() + static_cast<std::ptrdiff_t>(end)});
  }
  if (pass.stopped) return {Ending::Kind::kSettled};
  if (pass.failed) return {Ending::Kind::kFailed, until_next(memory)};
  if (pass.acted) return {Ending::Kind::kAgain};
  return {Ending::Kind::kSettled, until_next(memory)};
}

void TopicReconciler::note_cluster(const ObjectKey& cluster, Memory& memory,
                                   std::set<ObjectKey>& work) {
  const auto object = tools_.world.get(kube::kClusters, cluster);
  const bool deleting = object && is_deleting(*object);
  if (memory.cluster_exists == object.has_value() && memory.cluster_deleting == deleting) return;
  memory.cluster_exists = object.has_value();
  memory.cluster_deleting = deleting;
  work.merge(index_.of(cluster));
}

void TopicReconciler::add_due(Memory& memory, std::set<ObjectKey>& work) const {
  const common::Instant now = tools_.clock.now();
  for (auto& [key, topic] : memory.topics) {
    if (!topic.due || *topic.due > now) continue;
    work.insert(key);
    topic.due.reset();
  }
  std::erase_if(memory.topics, [](const auto& entry) {
    return !entry.second.due && entry.second.answers.empty();
  });
}

bool TopicReconciler::see(const ObjectKey& cluster, Memory& memory, brokers::Admin& admin,
                          std::set<ObjectKey>& work) {
  const common::Instant now = tools_.clock.now();
  const bool due = !memory.view || memory.outdated || now >= memory.next_resync;
  const bool lost = memory.view && !memory.view->reachable;
  if (!due && !lost) return true;
  TopicsView view = memory.cluster_exists.value_or(false) ? read_topics(admin, now) : TopicsView{};
  if (!view.reachable) {
    if (!memory.silent_since) memory.silent_since = now;
    const bool known = memory.view && memory.view->reachable;
    const bool patient =
        memory.cluster_exists.value_or(false) && now - *memory.silent_since < settings_.silence;
    if (known && patient) return false;
  } else {
    memory.silent_since.reset();
  }
  memory.next_resync = now + (view.reachable && view.all_led() ? settings_.resync : settings_.soon);
  memory.outdated = false;
  const bool still_lost = lost && !view.reachable;
  if (!still_lost) work.merge(concerned(cluster, memory.view, view));
  memory.view = std::move(view);
  return true;
}

void TopicReconciler::look(Pass& pass, Memory& memory, const std::vector<ObjectKey>& keys) {
  std::vector<Item> items;
  for (const ObjectKey& key : keys) {
    if (auto item = plan(pass, memory, key)) items.push_back(*std::move(item));
  }
  refresh(pass, memory, items);
  act(pass, memory, items);
  if (pass.stopped) return;
  report(pass, memory, items);
  settle(pass, memory, items);
}

std::optional<TopicReconciler::Item> TopicReconciler::plan(Pass& pass, Memory& memory,
                                                           const ObjectKey& key) {
  auto topic = tools_.world.get(kube::kTopics, key);
  if (!topic) {
    memory.topics.erase(key);
    return std::nullopt;
  }
  Item item{.key = key};
  item.observation.at_brokers = memory.view->at_brokers(topic_name(*topic));
  item.observation.topic = *std::move(topic);
  item.observation.cluster_exists = memory.cluster_exists.value_or(false);
  item.observation.cluster_deleting = memory.cluster_deleting;
  item.observation.synced = tools_.world.synced();
  item.observation.namespace_terminating = is_deleting(item.observation.topic) && is_going(pass);
  item.observation.rivals = index_.rivals(key);
  const auto known = memory.topics.find(key);
  if (known != memory.topics.end()) item.observation.answers = known->second.answers;
  item.plan = plan::plan_topic(item.observation, tools_.clock.wall());
  return item;
}

/// What changes topics, or is said of them, is decided on what they are now, not on what they were
/// at the last resync.
void TopicReconciler::refresh(Pass& pass, Memory& memory, std::vector<Item>& items) {
  const bool known = memory.view->reachable;
  const bool news = std::any_of(items.begin(), items.end(), [known](const Item& item) {
    return (known && item.plan.status_changed) ||
           std::any_of(item.plan.actions.begin(), item.plan.actions.end(), asks_brokers);
  });
  const common::Instant now = tools_.clock.now();
  if (!news || now - memory.view->read_at <= settings_.fresh) return;
  TopicsView view = read_topics(*pass.admin, now);
  if (!view.reachable) {
    // Nothing can be changed now; the next look begins with a view.
    memory.outdated = true;
    pass.failed = true;
    for (const Item& item : items) index_.mark(pass.cluster, item.key);
    items.clear();
    return;
  }
  if (known) mark_changed(pass, concerned(pass.cluster, memory.view, view));
  if (!view.all_led()) memory.next_resync = std::min(memory.next_resync, now + settings_.soon);
  memory.view = std::move(view);
  for (Item& item : items) {
    if (auto again = plan(pass, memory, item.key)) item = *std::move(again);
  }
}

/// Resources of topics that are another way in the view that takes the place of the one before; of
/// all, where the two cannot be compared.
std::set<ObjectKey> TopicReconciler::concerned(const ObjectKey& cluster,
                                               const std::optional<TopicsView>& before,
                                               const TopicsView& after) const {
  const bool comparable =
      before && before->reachable && after.reachable && before->brokers == after.brokers;
  return comparable ? index_.named(cluster, changed(*before, after)) : index_.of(cluster);
}

/// The next resync will not find what has changed by now.
void TopicReconciler::mark_changed(Pass& pass, const std::set<ObjectKey>& keys) {
  for (const ObjectKey& key : keys) index_.mark(pass.cluster, key);
  pass.acted = pass.acted || !keys.empty();
}

void TopicReconciler::act(Pass& pass, Memory& memory, std::vector<Item>& items) {
  std::size_t rounds = 0;
  for (const Item& item : items) rounds = std::max(rounds, item.plan.actions.size());
  for (std::size_t round = 0; round < rounds && !pass.stopped; ++round)
    act_round(pass, memory, items, round);
}

/// The action number `round` of every resource that has one and of which none failed before.
void TopicReconciler::act_round(Pass& pass, Memory& memory, std::vector<Item>& items,
                                std::size_t round) {
  std::vector<Item*> creations;
  std::vector<Item*> others;
  for (Item& item : items) {
    if (item.failed || item.refused || round >= item.plan.actions.size()) continue;
    const bool creates = std::holds_alternative<plan::CreateTopic>(item.plan.actions[round].deed);
    (creates ? creations : others).push_back(&item);
  }
  if (!tools_.may_act()) {
    pass.stopped = true;
    return;
  }
  if (!creations.empty()) create(pass, memory, creations, round);
  std::vector<Done> done(others.size());
  std::vector<Expectations> written(others.size());
  side_by_side(others.size(), settings_.threads, [&](std::size_t i) {
    if (!tools_.may_act()) {
      done[i] = {.ok = false};
      return;
    }
    done[i] = deeds_.perform(others[i]->plan.actions[round], pass.admin.get(), written[i]);
  });
  for (std::size_t i = 0; i < others.size(); ++i) {
    note(memory, *others[i], others[i]->plan.actions[round], done[i]);
    memory.expectations.absorb(std::move(written[i]));
  }
}

void TopicReconciler::create(Pass& pass, Memory& memory, const std::vector<Item*>& items,
                             std::size_t round) {
  std::vector<brokers::NewTopic> topics;
  for (const Item* item : items) {
    const auto& deed = std::get<plan::CreateTopic>(item->plan.actions[round].deed);
    topics.push_back({deed.topic, deed.partitions, deed.replication_factor, deed.config});
  }
  const auto answers = pass.admin->create_topics(topics);
  for (std::size_t i = 0; i < items.size(); ++i) {
    const Done done = answers.ok() ? done_of((*answers)[i])
                                   : Done{.ok = false, .answer = answer_of(answers.error())};
    note(memory, *items[i], items[i]->plan.actions[round], done);
  }
}

void TopicReconciler::note(Memory& memory, Item& item, const plan::Action& action,
                           const Done& done) {
  tools_.metrics.acted(Work::kTopics, plan::verb(action), result_of(done));
  tools_.log(fmt::format("event=act topic={} action={} reason={} result={} note=\"{}\"{}",
                         item.key.text(), plan::key(action), plan::code(action.reason),
                         result_of(done), action.note,
                         done.answer ? fmt::format(" answer=\"{}\"", done.answer->sentence) : ""));
  if (remember(memory.topics[item.key].answers, plan::key(action), done)) item.news = true;
  if (asks_brokers(action)) memory.outdated = true;
  if (done.ok) {
    item.acted = true;
  } else if (done.answer && done.answer->kind == plan::Answer::Kind::kRefused) {
    item.refused = true;
  } else {
    item.failed = true;
  }
}

/// Of resources of which nothing was done or learned just now: the others are looked at again
/// first, so that one status tells what came of it.
void TopicReconciler::report(Pass& pass, Memory& memory, std::vector<Item>& items) {
  std::vector<Item*> changed;
  for (Item& item : items) {
    // What the metrics say of it can be read in its status too.
    if (!item.plan.status_changed) stands(item);
    for (const plan::Event& event : item.plan.events) {
      if (!event.warning && items.size() > settings_.crowd) continue;
      tools_.metrics.event(plan::code(event.reason));
      tools_.tell({.regarding = kube::reference_of(kube::kTopics, item.observation.topic),
                   .type = event.warning ? kube::EventType::kWarning : kube::EventType::kNormal,
                   .reason = std::string(plan::code(event.reason)),
                   .note = event.message});
    }
    if (item.plan.status_changed && !item.acted && !item.news) changed.push_back(&item);
  }
  std::vector<Expectations> written(changed.size());
  side_by_side(changed.size(), settings_.threads, [&](std::size_t i) {
    Item& item = *changed[i];
    if (!tools_.may_act()) return;
    const auto answer = tools_.api.patch(kube::kTopics, item.key, {{"status", item.plan.status}},
                                         kube::PatchKind::kMerge, kube::Part::kStatus);
    if (answer.ok()) {
      tools_.metrics.status_written(Kind::kTopic);
      stands(item);
      written[i].wrote(tools_.world, kube::kTopics, *answer, tools_.clock.now());
    } else if (answer.error().cause != kube::Cause::kNotFound) {
      item.failed = true;
    }
  });
  for (Expectations& one : written) memory.expectations.absorb(std::move(one));
  pass.stopped = !tools_.may_act();
}

void TopicReconciler::stands(const Item& item) {
  tools_.metrics.stands(Kind::kTopic, item.key, standing_of(item.plan.status, item.plan.findings));
}

void TopicReconciler::settle(Pass& pass, Memory& memory, const std::vector<Item>& items) {
  const common::Instant now = tools_.clock.now();
  for (const Item& item : items) {
    pass.failed = pass.failed || item.failed;
    pass.acted = pass.acted || item.acted || item.news;
    if (item.acted || item.failed || item.news) index_.mark(pass.cluster, item.key);
    const auto later = [&](common::Duration wait) {
      std::optional<common::Instant>& due = memory.topics[item.key].due;
      if (!due || *due > now + wait) due = now + wait;
    };
    if (item.plan.requeue_after) later(*item.plan.requeue_after);
    if (item.refused) later(settings_.refused);
  }
}

bool TopicReconciler::is_going(Pass& pass) {
  if (!pass.space_going) {
    const auto space = tools_.api.get(kube::kNamespaces, {"", pass.cluster.space});
    // Who may not read namespaces goes by the resources alone.
    pass.space_going = space.ok() && is_deleting(*space);
  }
  return *pass.space_going;
}

common::Duration TopicReconciler::until_next(const Memory& memory) const {
  const common::Instant now = tools_.clock.now();
  common::Instant next = memory.next_resync;
  for (const auto& [key, topic] : memory.topics) {
    if (topic.due) next = std::min(next, *topic.due);
  }
  return std::max(next - now, common::Duration(0));
}

void TopicReconciler::release_finalizers(const std::string& space) {
  std::vector<ObjectKey> keys;
  for (ObjectKey& key : tools_.world.keys(kube::kTopics)) {
    if (key.space == space) keys.push_back(std::move(key));
  }
  side_by_side(keys.size(), settings_.threads, [&](std::size_t i) {
    const auto topic = tools_.world.get(kube::kTopics, keys[i]);
    if (!topic) return;
    const Json* const finalizers = kube::find(*topic, {"metadata", "finalizers"});
    if (finalizers == nullptr || !finalizers->is_array()) return;
    Json kept = Json::array();
    for (const Json& one : *finalizers)
      if (one != resources::kTopicFinalizer) kept.push_back(one);
    if (kept.size() == finalizers->size()) return;
    const Json patch = {
        {"metadata",
         {{"finalizers", kept},
          {"resourceVersion", kube::text_at(*topic, {"metadata", "resourceVersion"})}}}};
    const auto released = tools_.api.patch(kube::kTopics, keys[i], patch);
    tools_.log(fmt::format("event=finalizer-released topic={} result=\"{}\"", keys[i].text(),
                           released.ok() ? "ok" : released.error().detail));
  });
}

}  // namespace millrace::control
