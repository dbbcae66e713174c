// Scripts of commands, records and plans of a cluster: testdata/cluster_*.txt.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <sstream>

#include "broker/metadata/restart_permit.h"
#include "broker/metadata/testing/cluster_model.h"
#include "common/testing/script.h"

namespace millrace::metadata {
namespace {

using common::ScriptCommand;
using model::BrokerId;
using model::PartitionKey;
using testing::ClusterModel;
using testing::directory_of;
using testing::id_of;

Replicas brokers_in(const std::string& text) {
  Replicas ids;
  std::istringstream stream(text);
  for (std::string part; std::getline(stream, part, ',');) ids.push_back(BrokerId{std::stoi(part)});
  return ids;
}

std::string text_of(const Replicas& ids) {
  std::string text;
  for (const BrokerId id : ids) text += fmt::format("{}{}", text.empty() ? "" : ",", id);
  return text.empty() ? "none" : text;
}

/// Runs the commands of a script on one image and one view; what is decided is applied at once.
class Session {
 public:
  std::string run(const ScriptCommand& command) {
    using Handler = std::string (Session::*)(const ScriptCommand&);
    static const std::map<std::string, Handler, std::less<>> handlers{
        {"level", &Session::level},         {"broker", &Session::broker},
        {"create", &Session::create},       {"delete", &Session::remove},
        {"confirm", &Session::confirm},     {"drain", &Session::drain},
        {"undrain", &Session::undrain},     {"decommission", &Session::decommission},
        {"reassign", &Session::reassign},   {"record", &Session::record},
        {"partition", &Session::partition}, {"silent", &Session::silent},
        {"permit", &Session::permit},       {"lapse", &Session::lapse},
        {"plan", &Session::plan},           {"settle", &Session::settle},
        {"transfers", &Session::transfers}, {"show", &Session::show},
    };
    const auto handler = handlers.find(command.name);
    if (handler == handlers.end()) return "unknown command " + command.name + "\n";
    return (this->*handler->second)(command);
  }

 private:
  static BrokerId id_in(const ScriptCommand& command) {
    return BrokerId{std::stoi(command.arguments.at(0))};
  }
  static std::int64_t number(const ScriptCommand& command, std::string_view key,
                             std::int64_t otherwise) {
    const auto value = command.value(key);
    return value ? std::stoll(*value) : otherwise;
  }

  template <typename Outcome>
  std::string commit(const Result<Decision<Outcome>>& decision) {
    if (!decision.ok()) {
      return fmt::format("{}: {}\n", model::error_row(decision.error().code).kafka_name,
                         decision.error().detail);
    }
    return commit_all(decision->records);
  }

  std::string commit_all(const std::vector<Record>& records) {
    std::string text;
    for (const Record& record : records) {
      text += describe(record) + '\n';
      EXPECT_TRUE(cluster_.image.apply(record)) << cluster_.image.last_rejection();
    }
    return text.empty() ? "nothing to do\n" : text;
  }

  std::string level(const ScriptCommand& command) {
    return commit(decide(cluster_.image, SetFeatureLevel{std::stoi(command.arguments.at(0))}));
  }

  /// broker ID [disk=N] [run=N] [rack=R] [level-min=N] [level-max=N] [alive]
  std::string broker(const ScriptCommand& command) {
    const BrokerId id = id_in(command);
    Broker broker{.id = id,
                  .directory = directory_of(id.value(),
                                            static_cast<std::int32_t>(number(command, "disk", 0))),
                  .endpoints = {{.name = "kafka", .host = "h", .port = 9092}},
                  .rack = command.value("rack").value_or("")};
    if (const auto run = number(command, "run", 0); run != 0)
      broker.incarnation = id_of(3, static_cast<std::int32_t>(run));
    broker.level_min = static_cast<std::int32_t>(number(command, "level-min", 0));
    broker.level_max = static_cast<std::int32_t>(number(command, "level-max", kClusterLevel));
    const bool alive = command.arguments.back() == "alive";
    cluster_.view.brokers[id] = {};
    return commit(decide(cluster_.image, RegisterBroker{broker, alive ? Predecessor::kAlive
                                                                      : Predecessor::kSilent}));
  }

  /// create NAME BROKERS;BROKERS... (as if the cluster had chosen them; by-hand: as if somebody
  /// had)
  std::string create(const ScriptCommand& command) {
    CreateTopic topic{.name = command.arguments.at(0), .id = id_of(1, ++topics_made_)};
    std::istringstream partitions(command.arguments.at(1));
    std::int32_t index = 0;
    for (std::string one; std::getline(partitions, one, ';'); ++index)
      topic.assignments.emplace_back(index, brokers_in(one));
    auto decision = decide(cluster_.image, topic, {.partitions_per_shard_max = 1000});
    if (decision.ok() && command.arguments.back() != "by-hand")
      std::get<TopicCreated>(decision->records.front()).by_hand = false;
    return commit(std::move(decision));
  }

  std::string remove(const ScriptCommand& command) {
    return commit(decide(cluster_.image, DeleteTopic{command.arguments.at(0), {}}));
  }

  std::string confirm(const ScriptCommand& command) {
    for (const auto& [id, removing] : cluster_.image.removing()) {
      if (removing.name != command.arguments.at(0)) continue;
      const BrokerId broker{std::stoi(command.arguments.at(1))};
      return commit_all(decide(cluster_.image, ConfirmRemoval{id, broker}).records);
    }
    return "not being removed\n";
  }

  std::string drain(const ScriptCommand& command) {
    return commit(decide(cluster_.image, DrainBroker{id_in(command)}));
  }
  std::string undrain(const ScriptCommand& command) {
    return commit(decide(cluster_.image, UndrainBroker{id_in(command)}));
  }

  /// decommission ID [disk=N]
  std::string decommission(const ScriptCommand& command) {
    const BrokerId id = id_in(command);
    const auto directory =
        directory_of(id.value(), static_cast<std::int32_t>(number(command, "disk", 0)));
    const auto decision = decide(cluster_.image, DecommissionBroker{id, directory});
    std::string text = commit(decision);
    if (decision.ok()) {
      const Receipt& receipt = decision->outcome;
      EXPECT_EQ(receipt.directory, directory);
      text += fmt::format("receipt of broker {} epoch {}\n", receipt.broker, receipt.epoch);
    }
    return text;
  }

  /// reassign TOPIC INDEX [BROKERS]
  std::string reassign(const ScriptCommand& command) {
    ReassignPartition wanted{.topic = command.arguments.at(0),
                             .index = std::stoi(command.arguments.at(1)),
                             .replicas = std::nullopt};
    if (command.arguments.size() > 2) wanted.replicas = brokers_in(command.arguments[2]);
    return commit(decide(cluster_.image, wanted));
  }

  PartitionKey key_in(const ScriptCommand& command, std::size_t at) const {
    if (command.arguments.at(at) == "metadata")
      return {model::kMetadataTopicId, model::PartitionIndex{0}};
    const auto topic = cluster_.image.topic(command.arguments.at(at));
    return {topic == nullptr ? id_of(1, 250) : topic->id,
            model::PartitionIndex{std::stoi(command.arguments.at(at + 1))}};
  }

  ReplicaSet replicas_in(const std::string& brokers) const {
    ReplicaSet replicas;
    for (const BrokerId id : brokers_in(brokers)) {
      const auto broker = cluster_.image.brokers().find(id);
      replicas.push_back({id, broker == cluster_.image.brokers().end() ? directory_of(id.value())
                                                                       : broker->second.directory});
    }
    return replicas;
  }

  Record record_in(const ScriptCommand& command) const {
    const std::string& kind = command.arguments.at(0);
    const auto id = [&] { return BrokerId{std::stoi(command.arguments.at(1))}; };
    if (kind == "gone") return BrokerGone{id()};
    if (kind == "drained") return BrokerStateSet{id(), BrokerState::kDrained};
    if (kind == "odd-state") return BrokerStateSet{id(), static_cast<BrokerState>(9)};
    if (kind == "decommissioned") return BrokerDecommissioned{id(), directory_of(id().value()), 7};
    if (kind == "permit") return PermitGranted{id(), id_of(3, 1), 50};
    if (kind == "permit-end") return PermitEnded{id(), id_of(3, 1)};
    if (kind == "cancelled") return MoveCancelled{key_in(command, 1)};
    const ReplicaSet replicas = replicas_in(command.value("to").value_or(""));
    if (kind == "completed") return MoveCompleted{key_in(command, 1), replicas};
    return MoveStarted{key_in(command, 1), replicas};
  }

  /// Any record, decided or not: record KIND ...
  std::string record(const ScriptCommand& command) {
    const Record one = record_in(command);
    const std::uint64_t before = cluster_.image.rejected();
    if (cluster_.image.apply(one)) return describe(one) + '\n';
    EXPECT_EQ(cluster_.image.rejected(), before + 1);
    return "rejected: " + cluster_.image.last_rejection() + '\n';
  }

  /// partition TOPIC INDEX [leader=ID] voters=IDS [caught-up=IDS] [insync=N] [bytes=N]
  std::string partition(const ScriptCommand& command) {
    PartitionStatus status;
    if (const auto leader = command.value("leader")) status.leader = BrokerId{std::stoi(*leader)};
    status.voters = replicas_in(command.value("voters").value_or(""));
    status.caught_up =
        replicas_in(command.value("caught-up").value_or(command.value("voters").value_or("")));
    status.insync_min = static_cast<std::int32_t>(number(command, "insync", 1));
    status.bytes = number(command, "bytes", 1000);
    cluster_.view.partitions[key_in(command, 0)] = status;
    return "";
  }

  /// silent ID MS [recovering|full]
  std::string silent(const ScriptCommand& command) {
    cluster_.view.brokers[id_in(command)] = {.silent_ms = std::stoll(command.arguments.at(1)),
                                             .recovered = command.arguments.back() != "recovering",
                                             .has_room = command.arguments.back() != "full"};
    return "";
  }

  /// permit ID run=N now=MS
  std::string permit(const ScriptCommand& command) {
    const PermitAnswer answer = restart_permit(
        cluster_.image, cluster_.view,
        {id_in(command), id_of(3, static_cast<std::int32_t>(number(command, "run", 0))),
         number(command, "now", 0), 100});
    if (!answer.refusal.empty()) return "refused: " + answer.refusal + '\n';
    std::string text = answer.granted ? "granted" : "blocked";
    if (answer.pausing_partitions > 0)
      text += fmt::format(", {} pause(s)", answer.pausing_partitions);
    text += '\n';
    for (const PermitBlocker& blocker : answer.blockers) {
      text += fmt::format("  {} keeps {} of {} needed, without {}\n", name_of(blocker.partition),
                          blocker.left, blocker.needed, text_of(blocker.missing));
    }
    if (!answer.records.empty()) text += commit_all(answer.records);
    return text;
  }

  std::string lapse(const ScriptCommand& command) {
    return commit_all(permits_due(cluster_.image, cluster_.view, number(command, "now", 0)));
  }

  /// What the planner wants, applied.
  std::string plan(const ScriptCommand& command) {
    MoveLimits limits{.dead_after_ms = 1000, .bytes_uneven_min = 100};
    limits.moves_max = static_cast<std::int32_t>(number(command, "moves", 100));
    const MovePlan plan = plan_moves(cluster_.image, cluster_.view, limits);
    std::string text;
    for (const PlannedRecord& action : plan.actions) {
      EXPECT_TRUE(cluster_.image.apply(action.record)) << cluster_.image.last_rejection();
      text += fmt::format("{}: {}\n", describe(action.record), action.reason);
    }
    for (const MoveBlocker& blocker : plan.blockers) {
      text += fmt::format("broker {} is held up: {} ({}, such as {})\n", blocker.broker,
                          blocker.cause, blocker.partitions, name_of(blocker.example));
    }
    return text.empty() ? "nothing to do\n" : text;
  }

  std::string settle(const ScriptCommand&) {
    cluster_.settle();
    return "";
  }

  std::string transfers(const ScriptCommand& command) {
    std::string text;
    const auto all = plan_leaders(cluster_.image, cluster_.view, number(command, "now", 0),
                                  static_cast<std::size_t>(number(command, "most", 100)));
    for (const LeaderTransfer& one : all) {
      text += fmt::format("{} from {} to {}: {}\n", name_of(one.partition), one.from, one.to,
                          one.reason);
    }
    cluster_.hand_over(all);
    return text.empty() ? "nothing to do\n" : text;
  }

  std::string name_of(const PartitionKey& key) const {
    if (key.topic == model::kMetadataTopicId) return "metadata";
    const auto topic = cluster_.image.topic(key.topic);
    return fmt::format("{}/{}", topic == nullptr ? "?" : topic->name, key.index);
  }

  std::string show(const ScriptCommand&) {
    std::string text;
    Image copy;
    for (const Record& record : cluster_.image.snapshot()) {
      text += describe(record) + '\n';
      EXPECT_TRUE(copy.apply_bytes(encode(record))) << copy.last_rejection();
    }
    EXPECT_TRUE(copy == cluster_.image);
    return text;
  }

  ClusterModel cluster_{0};
  std::int32_t topics_made_ = 0;
};

void run(const std::string& name) {
  Session session;
  common::run_script("testdata/cluster_" + name + ".txt",
                     [&](const ScriptCommand& command) { return session.run(command); });
}

TEST(ClusterScript, Levels) {
  run("levels");
}
TEST(ClusterScript, Registration) {
  run("registration");
}
TEST(ClusterScript, Drain) {
  run("drain");
}
TEST(ClusterScript, Decommission) {
  run("decommission");
}
TEST(ClusterScript, ByHand) {
  run("by_hand");
}

TEST(ClusterScript, Reassign) {
  run("reassign");
}
TEST(ClusterScript, Permits) {
  run("permits");
}
TEST(ClusterScript, Leaders) {
  run("leaders");
}
TEST(ClusterScript, Records) {
  run("records");
}
TEST(ClusterScript, Plans) {
  run("plans");
}

}  // namespace
}  // namespace millrace::metadata
