#include "broker/metadata/machine.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <sstream>

#include "common/testing/script.h"

namespace millrace::metadata {
namespace {

std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> parts;
  std::istringstream stream(text);
  for (std::string part; std::getline(stream, part, separator);) parts.push_back(part);
  return parts;
}

Replicas parse_replicas(const std::string& text) {
  Replicas replicas;
  for (const std::string& part : split(text, ','))
    replicas.push_back(model::BrokerId{std::stoi(part)});
  return replicas;
}

/// Runs the commands of a script on one image; what is decided is applied at once.
class Session {
 public:
  std::string run(const common::ScriptCommand& command) {
    if (command.name == "broker") return broker(command);
    if (command.name == "rules") return rules(command);
    if (command.name == "create") return create(command);
    if (command.name == "grow") return grow(command);
    if (command.name == "delete")
      return commit(decide(image_, DeleteTopic{command.arguments.at(0), {}}));
    if (command.name == "confirm") return confirm(command);
    if (command.name == "alter") return alter(command);
    if (command.name == "producer-ids") {
      return commit(decide(image_, AllocateProducerIds{std::stoi(command.arguments.at(0))}));
    }
    if (command.name == "move") return move(command);
    if (command.name == "level") return put(FeatureLevelSet{std::stoi(command.arguments.at(0))});
    if (command.name == "permit") return permit(command);
    if (command.name == "show") return show();
    return "unknown command " + command.name + "\n";
  }

 private:
  template <typename Outcome>
  std::string commit(const Result<Decision<Outcome>>& decision) {
    if (!decision.ok()) {
      return fmt::format("{}: {}\n", model::error_row(decision.error().code).kafka_name,
                         decision.error().detail);
    }
    std::string text;
    for (const Record& record : decision->records) {
      text += describe(record) + '\n';
      EXPECT_TRUE(image_.apply(record)) << image_.last_rejection();
    }
    return text.empty() ? "nothing to do\n" : text;
  }

  std::string broker(const common::ScriptCommand& command) {
    Broker broker{.id = model::BrokerId{std::stoi(command.arguments.at(0))},
                  .endpoints = {{.name = "kafka", .host = "h", .port = 9092}},
                  .rack = command.value("rack").value_or(""),
                  .shards = std::stoi(command.value("shards").value_or("1"))};
    return commit(decide(image_, RegisterBroker{broker}));
  }

  /// permit BROKER
  std::string permit(const common::ScriptCommand& command) {
    const model::BrokerId id{std::stoi(command.arguments.at(0))};
    return put(PermitGranted{.broker = id, .expires_at_ms = 100});
  }

  std::string put(Record record) {
    return commit(Result<Decision<NoOutcome>>(Decision<NoOutcome>{.records = {std::move(record)}}));
  }

  std::string rules(const common::ScriptCommand& command) {
    rules_.default_partitions = std::stoi(command.value("partitions").value_or("1"));
    rules_.default_replication_factor =
        static_cast<std::int16_t>(std::stoi(command.value("factor").value_or("1")));
    rules_.partitions_per_shard_max = std::stoi(command.value("per-shard").value_or("100"));
    return "";
  }

  std::string create(const common::ScriptCommand& command) {
    CreateTopic topic{.name = command.arguments.at(0)};
    topic.id.bytes[15] = ++topics_made_;
    topic.id.bytes[0] = 1;
    for (std::size_t i = 1; i < command.arguments.size(); ++i) {
      const std::vector<std::string> pair = split(command.arguments[i], '=');
      if (pair[0] == "partitions") {
        topic.partitions = std::stoi(pair.at(1));
      } else if (pair[0] == "factor") {
        topic.replication_factor = static_cast<std::int16_t>(std::stoi(pair.at(1)));
      } else if (pair[0] == "assign") {
        for (const std::string& one : split(pair.at(1), ';')) {
          const std::vector<std::string> sides = split(one, ':');
          topic.assignments.emplace_back(std::stoi(sides[0]),
                                         sides.size() < 2 ? Replicas{} : parse_replicas(sides[1]));
        }
      } else {
        topic.configs[pair[0]] = pair.at(1);
      }
    }
    return commit(decide(image_, topic, rules_));
  }

  std::string grow(const common::ScriptCommand& command) {
    CreatePartitions more{.topic = command.arguments.at(0),
                          .count = std::stoi(command.arguments.at(1))};
    if (const auto assigned = command.value("assign")) {
      for (const std::string& one : split(*assigned, ';'))
        more.assignments.push_back(parse_replicas(one));
    }
    return commit(decide(image_, more, rules_));
  }

  /// move TOPIC INDEX BROKERS, or without brokers: end the move
  std::string move(const common::ScriptCommand& command) {
    ReassignPartition wanted{.topic = command.arguments.at(0),
                             .index = std::stoi(command.arguments.at(1)),
                             .replicas = std::nullopt};
    if (command.arguments.size() > 2) {
      const std::string& brokers = command.arguments[2];
      wanted.replicas = brokers == "none" ? Replicas{} : parse_replicas(brokers);
    }
    const Result<void> checked = check(image_, wanted);
    if (checked.ok()) return "is so\n";
    return fmt::format("{}: {}\n", model::error_row(checked.error().code).kafka_name,
                       checked.error().detail);
  }

  std::string confirm(const common::ScriptCommand& command) {
    for (const auto& [id, removing] : image_.removing()) {
      if (removing.name != command.arguments.at(0)) continue;
      const model::BrokerId broker{std::stoi(command.arguments.at(1))};
      return commit(Result<Decision<NoOutcome>>(decide(image_, ConfirmRemoval{id, broker})));
    }
    return "not being removed\n";
  }

  /// alter topic|broker|metrics NAME [replace] key=value key+=value key-=value key-
  std::string alter(const common::ScriptCommand& command) {
    std::vector<ConfigChange> changes;
    AlterStyle style = AlterStyle::kIncremental;
    for (std::size_t i = 2; i < command.arguments.size(); ++i) {
      const std::string& argument = command.arguments[i];
      const std::size_t equals = argument.find('=');
      if (argument == "replace") {
        style = AlterStyle::kReplaceAll;
      } else if (equals == std::string::npos && argument.ends_with('-')) {
        changes.push_back({.name = argument.substr(0, argument.size() - 1),
                           .operation = ConfigChange::Operation::kDelete});
      } else if (equals == std::string::npos) {
        changes.push_back({.name = argument});
      } else {
        using Operation = ConfigChange::Operation;
        const char mark = argument[equals - 1];
        const Operation operation = mark == '+'   ? Operation::kAppend
                                    : mark == '-' ? Operation::kSubtract
                                                  : Operation::kSet;
        const std::size_t name_end = operation == Operation::kSet ? equals : equals - 1;
        changes.push_back({.name = argument.substr(0, name_end),
                           .operation = operation,
                           .value = argument.substr(equals + 1)});
      }
    }
    const std::string& name = command.arguments.at(1);
    const model::BrokerLayers layers{.dynamic_default = &image_.cluster_config()};
    if (command.arguments.at(0) == "topic")
      return commit(decide(image_, AlterTopicConfigs{name, changes, style}, layers));
    if (command.arguments.at(0) == "metrics") {
      return commit(decide(image_, AlterClientMetrics{name == "''" ? "" : name, changes, style}));
    }
    std::optional<model::BrokerId> broker;
    if (name != "all") broker = model::BrokerId{std::stoi(name)};
    return commit(decide(image_, AlterBrokerConfigs{broker, changes, style}, layers));
  }

  /// The snapshot, which must make an equal image out of an empty one.
  std::string show() {
    std::string text;
    Image copy;
    for (const Record& record : image_.snapshot()) {
      text += describe(record) + '\n';
      EXPECT_TRUE(copy.apply_bytes(encode(record))) << copy.last_rejection();
    }
    EXPECT_TRUE(copy == image_);
    return text;
  }

  Image image_;
  CreationRules rules_{
      .default_partitions = 1, .default_replication_factor = 1, .partitions_per_shard_max = 100};
  std::uint8_t topics_made_ = 0;
};

void run(const std::string& name) {
  Session session;
  common::run_script("testdata/" + name + ".txt",
                     [&](const common::ScriptCommand& command) { return session.run(command); });
}

TEST(Machine, CreatesTopics) {
  run("create");
}
TEST(Machine, PlacesReplicas) {
  run("placement");
}
TEST(Machine, GrowsTopics) {
  run("grow");
}
TEST(Machine, MovesNothing) {
  run("reassign");
}
TEST(Machine, DeletesTopics) {
  run("delete");
}
TEST(Machine, AltersSettings) {
  run("configs");
}
TEST(Machine, GivesProducerIds) {
  run("producer_ids");
}

}  // namespace
}  // namespace millrace::metadata
