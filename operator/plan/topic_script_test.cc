// testdata/topics.txt: rules T1 to T6 of topic_plan.h on one topic and one broker that says yes.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "common/testing/script.h"
#include "operator/plan/topic_plan.h"
#include "operator/resources/fields.h"

namespace millrace::plan {
namespace {

using common::ScriptCommand;
using resources::at;
using resources::text_of;

/// One resource, and the topic that it is about.
class TopicWorld {
 public:
  TopicWorld() {
    seen.topic = {{"metadata",
                   {{"name", "orders"},
                    {"namespace", "shop"},
                    {"uid", "uid-1"},
                    {"generation", 1},
                    {"resourceVersion", "7"},
                    {"creationTimestamp", "2023-11-14T12:00:00Z"}}},
                  {"spec", {{"cluster", "events"}, {"partitions", 6}}}};
    seen.cluster_exists = true;
    seen.at_brokers.reachable = true;
    seen.at_brokers.brokers = 3;
  }

  void act(const Action& action) {
    auto& topic = seen.at_brokers.topic;
    if (refuses || fails) {
      const auto kind = fails ? Answer::Kind::kFailed : Answer::Kind::kRefused;
      seen.answers[key(action)] = {kind, fails ? "timed out" : *refuses};
      return;
    }
    if (const auto* const create = std::get_if<CreateTopic>(&action.deed)) {
      topic = TopicView{.topic_id = fmt::format("id-{}", ++made),
                        .partitions = create->partitions,
                        .replication_factor = create->replication_factor,
                        .config = create->config};
    } else if (const auto* const add = std::get_if<AddPartitions>(&action.deed)) {
      topic->partitions = add->partitions;
    } else if (const auto* const alter = std::get_if<AlterTopicConfigs>(&action.deed)) {
      for (const auto& [name, value] : alter->set) topic->config[name] = value;
      for (const std::string& name : alter->remove) topic->config.erase(name);
    } else if (std::holds_alternative<DeleteTopic>(action.deed)) {
      topic.reset();
    } else if (const auto* const patch = std::get_if<Patch>(&action.deed)) {
      seen.topic.merge_patch(patch->patch);
    }
    seen.answers.erase(key(action));
  }

  TopicPlan plan() const { return plan_topic(seen, now); }
  TopicPlan pass() {
    TopicPlan done = plan();
    for (const Action& action : done.actions) act(action);
    if (done.status_changed) {
      seen.topic["status"].merge_patch(done.status);
      ++writes;
    }
    return done;
  }

  TopicObservation seen;
  common::Timestamp now{1'700'000'000'000};
  std::optional<std::string> refuses;
  bool fails = false;
  int made = 0;
  int writes = 0;
};

class Script {
 public:
  std::string run(const ScriptCommand& command) {
    const auto& words = command.arguments;
    const std::string rest = words.empty() ? "" : command.line.substr(command.line.find(' ') + 1);
    TopicObservation& seen = world_.seen;
    if (command.name == "new") {
      world_ = {};
      if (!rest.empty()) seen.topic["spec"].merge_patch(Json::parse(rest));
    } else if (command.name == "spec") {
      seen.topic["spec"].merge_patch(Json::parse(rest));
      seen.topic["metadata"]["generation"] = seen.topic["metadata"]["generation"].get<int>() + 1;
    } else if (command.name == "meta") {
      seen.topic["metadata"].merge_patch(Json::parse(rest));
    } else if (command.name == "plan") {
      return described(world_.plan());
    } else if (command.name == "pass") {
      return described(world_.pass());
    } else if (command.name == "settle") {
      for (int i = 0; i < 10; ++i) world_.pass();
    } else if (command.name == "rival") {
      seen.rivals.push_back({words.at(0), words.at(1), words.size() > 2});
    } else if (command.name == "no-rivals") {
      seen.rivals.clear();
    } else if (command.name == "set") {
      return set(words.at(0), rest.substr(rest.find(' ') + 1));
    } else if (command.name == "topic") {
      return topic(words);
    } else if (command.name == "status") {
      return at(seen.topic, "status").dump() + "\n";
    } else if (command.name == "finalizers") {
      return at(seen.topic, "metadata", "finalizers").dump() + "\n";
    } else if (command.name == "writes") {
      return fmt::format("{}\n", world_.writes);
    } else if (command.name == "again") {
      const auto after = world_.plan().requeue_after;
      return after ? fmt::format("{} ms\n", after->count()) : "when something changes\n";
    } else {
      return "unknown command\n";
    }
    return {};
  }

 private:
  std::string set(const std::string& knob, const std::string& value) {
    TopicObservation& seen = world_.seen;
    const bool on = value == "true";
    if (knob == "reachable") {
      seen.at_brokers.reachable = on;
      seen.at_brokers.why_not = on ? "" : "connection refused";
    } else if (knob == "cluster") {
      seen.cluster_exists = on;
    } else if (knob == "cluster_deleting") {
      seen.cluster_deleting = on;
    } else if (knob == "namespace_terminating") {
      seen.namespace_terminating = on;
    } else if (knob == "synced") {
      seen.synced = on;
    } else if (knob == "brokers") {
      seen.at_brokers.brokers = std::atoi(value.c_str());
    } else if (knob == "fails") {
      world_.fails = on;
    } else if (knob == "refuses") {
      world_.refuses = value == "nothing" ? std::nullopt : std::optional(value);
    } else {
      return "unknown knob\n";
    }
    return {};
  }

  /// topic gone | partitions N | config NAME [VALUE] | id ID | offline N | replicas N: as others
  /// did.
  std::string topic(const std::vector<std::string>& words) {
    auto& topic = world_.seen.at_brokers.topic;
    if (words.at(0) == "gone") {
      topic.reset();
    } else if (words[0] == "partitions") {
      topic->partitions = std::atoi(words.at(1).c_str());
    } else if (words[0] == "replicas") {
      topic->replication_factor = std::atoi(words.at(1).c_str());
    } else if (words[0] == "offline") {
      topic->offline = std::atoi(words.at(1).c_str());
    } else if (words[0] == "id") {
      topic->topic_id = words.at(1);
    } else if (words[0] == "config" && words.size() > 2) {
      topic->config[words[1]] = words[2];
    } else if (words[0] == "config") {
      topic->config.erase(words.at(1));
    }
    return {};
  }

  static std::string described(const TopicPlan& plan) {
    std::string said;
    for (const Action& action : plan.actions) {
      said += fmt::format("{} [{}] {}\n", verb(action), code(action.reason), action.note);
    }
    if (plan.actions.empty()) said += "no actions\n";
    for (const Event& event : plan.events) {
      said += fmt::format("event {} {}: {}\n", event.warning ? "Warning" : "Normal",
                          code(event.reason), event.message);
    }
    if (!plan.status_changed) return said + "no status\n";
    const Json& ready = at(plan.status, "conditions")[0];
    return said + fmt::format("Ready={} {}: {}\n", text_of(at(ready, "status")),
                              text_of(at(ready, "reason")), text_of(at(ready, "message")));
  }

  TopicWorld world_;
};

TEST(TopicScripts, GoAsWritten) {
  Script script;
  common::run_script("testdata/topics.txt",
                     [&](const ScriptCommand& command) { return script.run(command); });
}

// Goal: however often the operator ends between its actions, the topic ends as asked for. Method:
// for every n, n actions without a status, then passes with no memory of them.
TEST(TopicCrash, BetweenAnyTwoActionsTheEndIsTheSame) {
  for (int n = 0; n < 6; ++n) {
    TopicWorld world;
    world.seen.topic["spec"].merge_patch(
        Json{{"deletionPolicy", "Delete"}, {"config", {{"retention.ms", 1000}}}});
    int left = n;
    for (int i = 0; i < 4 && left > 0; ++i) {
      for (const Action& action : world.plan().actions) {
        if (left-- > 0) world.act(action);
      }
    }
    for (int i = 0; i < 4; ++i) world.pass();
    ASSERT_TRUE(world.seen.at_brokers.topic.has_value());
    EXPECT_EQ(world.made, 1);
    EXPECT_EQ(world.seen.at_brokers.topic->partitions, 6);
    EXPECT_TRUE(world.plan().actions.empty());
    EXPECT_FALSE(world.plan().status_changed);
    world.seen.topic["metadata"]["deletionTimestamp"] = "2023-11-15T00:00:00Z";
    for (int i = 0; i < 4; ++i) world.pass();
    EXPECT_FALSE(world.seen.at_brokers.topic.has_value());
    EXPECT_EQ(at(world.seen.topic, "metadata", "finalizers"), Json::array());
  }
}

}  // namespace
}  // namespace millrace::plan
