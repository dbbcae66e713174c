// Goal: each transition of the consumer protocol, as a story that can be read: what is asked, which
// records that makes, what is answered. Commands: Story below; stories: testdata/consumer_*.txt.
#include "broker/coordinator/consumer_group.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <sstream>
#include <type_traits>

#include "broker/coordinator/testing/machine_shell.h"
#include "common/testing/script.h"

namespace millrace::coordinator {
namespace {

using std::chrono::milliseconds;

std::vector<std::string> list(const std::string& text, char separator = ',') {
  std::vector<std::string> parts;
  std::istringstream stream(text);
  for (std::string part; std::getline(stream, part, separator);) parts.push_back(part);
  return parts;
}

std::string_view state_name(MemberState state) {
  switch (state) {
    case MemberState::kStable:
      return "Stable";
    case MemberState::kUnrevokedPartitions:
      return "Unrevoked";
    case MemberState::kUnreleasedPartitions:
      return "Unreleased";
    default:
      return "Unknown";
  }
}

Settings script_settings() {
  Settings settings;
  settings.consumer_assignment_interval_ms = 0;
  settings.group_initial_rebalance_delay_ms = 0;
  return settings;
}

bool flag(const common::ScriptCommand& command, std::string_view name) {
  return std::find(command.arguments.begin(), command.arguments.end(), name) !=
         command.arguments.end();
}

/// Runs a story on one machine; the group is always "g".
class Story {
 public:
  std::string run(const common::ScriptCommand& command) {
    const std::string answer = dispatch(command);
    std::string text;
    for (const Record& record : shell_.take_records()) text += print(record);
    return text + answer;
  }

 private:
  std::string dispatch(const common::ScriptCommand& command) {
    const std::string& name = command.name;
    if (name == "topic") return topic(command);
    if (name == "drop") {
      shell_.delete_topic(command.arguments.at(0));
      return "";
    }
    if (name == "join" || name == "beat" || name == "leave" || name == "away") return beat(command);
    if (name == "classic-join") return classic_join(command);
    if (name == "classic-sync") return classic_sync(command);
    if (name == "classic-beat") return classic_beat(command);
    if (name == "classic-leave") return classic_leave(command);
    if (name == "commit") return commit(command);
    if (name == "fetch") return fetch(command);
    if (name == "wait") {
      shell_.advance(milliseconds(std::stoll(command.arguments.at(0))));
      return "";
    }
    if (name == "refuse") {
      shell_.refuse();
      return "";
    }
    if (name == "reload") {
      shell_.reload(Harness::LoadFrom::kCompactedLog);
      return "";
    }
    if (name == "set") return set(command);
    if (name == "group") return describe();
    return "unknown command " + name + "\n";
  }

  std::string topic(const common::ScriptCommand& command) {
    shell_.set_topic(command.arguments.at(0), std::stoi(command.arguments.at(1)));
    return "";
  }

  std::string set(const common::ScriptCommand& command) {
    Settings settings = shell_.settings();
    if (const auto value = command.value("interval"))
      settings.consumer_assignment_interval_ms = std::stoi(*value);
    if (const auto value = command.value("size")) settings.consumer_max_size = std::stoi(*value);
    if (const auto value = command.value("migration")) {
      using Migration = Settings::Migration;
      settings.consumer_migration = *value == "disabled"    ? Migration::kDisabled
                                    : *value == "upgrade"   ? Migration::kUpgrade
                                    : *value == "downgrade" ? Migration::kDowngrade
                                                            : Migration::kBidirectional;
    }
    shell_.change_settings(settings);
    return "";
  }

  std::string error(const Status& status) const {
    return fmt::format("-> {}{}{}\n", model::error_row(status.code).kafka_name,
                       status.detail.empty() ? "" : ": ", status.detail);
  }

  /// join MEMBER topics=.. | beat MEMBER epoch=.. [owned=..] ... | leave MEMBER | away MEMBER
  std::string beat(const common::ScriptCommand& command) {
    ConsumerHeartbeat request{.group = "g", .member = command.arguments.at(0)};
    request.client = {"client", "/127.0.0.1"};
    if (command.name == "join") {
      request.rebalance_timeout_ms = 60'000;
      request.owned.emplace();
    }
    if (command.name == "leave") request.epoch = Epoch{-1};
    if (command.name == "away") request.epoch = Epoch{-2};
    if (const auto value = command.value("epoch")) request.epoch = Epoch{std::stoi(*value)};
    if (const auto value = command.value("topics")) request.topics = list(*value);
    if (const auto value = command.value("regex")) request.topic_regex = *value;
    if (const auto value = command.value("owned")) request.owned = shell_.parse(*value);
    if (const auto value = command.value("timeout"))
      request.rebalance_timeout_ms = std::stoi(*value);
    if (const auto value = command.value("instance")) request.instance = *value;
    if (const auto value = command.value("rack")) request.rack = *value;
    if (const auto value = command.value("assignor")) request.assignor = *value;
    const ConsumerHeartbeatOutcome outcome = shell_.beat(request);
    if (!outcome.status.ok()) return error(outcome.status);
    std::string text = fmt::format("-> {} epoch={}", outcome.member, outcome.epoch);
    if (outcome.assignment) text += " assignment=" + shell_.text(*outcome.assignment);
    if (outcome.heartbeat_interval_ms != shell_.settings().consumer_heartbeat_interval_ms &&
        request.epoch >= Epoch{0})
      text += fmt::format(" again-in={}", outcome.heartbeat_interval_ms);
    return text + "\n";
  }

  /// classic-join MEMBER|new=ID topics=.. [owned=..] [protocols=range,..] [instance=..]
  std::string classic_join(const common::ScriptCommand& command) {
    JoinGroup request{.group = "g", .protocol_type = "consumer"};
    request.session_timeout_ms = 30'000;
    request.rebalance_timeout_ms = 60'000;
    request.client = {"classic", "/127.0.0.1"};
    request.skip_assignment_known = true;
    if (const auto value = command.value("new")) {
      request.fresh_member = *value;
    } else {
      request.member = command.arguments.at(0);
      request.fresh_member = "unused";
    }
    if (const auto value = command.value("type")) request.protocol_type = *value;
    if (const auto value = command.value("instance")) request.instance = *value;
    if (const auto value = command.value("session")) request.session_timeout_ms = std::stoi(*value);
    if (flag(command, "id-required")) request.member_id_required = true;
    Subscription subscription;
    subscription.version = 1;
    subscription.topics = list(command.value("topics").value_or(""));
    for (const TopicPartitions& one : shell_.parse(command.value("owned").value_or("nothing")))
      subscription.owned.push_back({shell_.topics().names.at(one.topic), one.partitions});
    for (const std::string& name : list(command.value("protocols").value_or("range")))
      request.protocols.push_back({name, encode(subscription)});
    if (flag(command, "garbage"))
      request.protocols.front().metadata = common::Bytes::copy_of(std::string_view("x"));
    const Ticket ticket = shell_.join(request);
    const auto outcome = shell_.take<JoinOutcome>(ticket);
    if (!outcome) return "-> waits\n";
    if (!outcome->status.ok()) {
      return fmt::format("-> {} member={}\n", model::error_row(outcome->status.code).kafka_name,
                         outcome->member);
    }
    return fmt::format("-> joined {} generation={} protocol={} leader={}\n", outcome->member,
                       outcome->generation, outcome->protocol.value_or("-"),
                       outcome->leader.empty() ? "-" : outcome->leader);
  }

  std::string classic_sync(const common::ScriptCommand& command) {
    SyncGroup request{.group = "g", .member = command.arguments.at(0)};
    request.generation = Epoch{std::stoi(command.value("generation").value_or("-1"))};
    if (const auto value = command.value("type")) request.protocol_type = *value;
    if (const auto value = command.value("protocol")) request.protocol = *value;
    if (const auto value = command.value("instance")) request.instance = *value;
    for (const std::string& one : list(command.value("assign").value_or(""), '/')) {
      const std::vector<std::string> sides = list(one, '=');
      Assignment assignment;
      for (const TopicPartitions& topic : shell_.parse(sides.at(1)))
        assignment.partitions.push_back({shell_.topics().names.at(topic.topic), topic.partitions});
      request.assignments.push_back({sides[0], encode(assignment)});
    }
    const Ticket ticket = shell_.sync(request);
    const auto outcome = shell_.take<SyncOutcome>(ticket);
    if (!outcome) return "-> waits\n";
    if (!outcome->status.ok()) return error({outcome->status.code, ""});
    const auto assignment = decode_assignment(outcome->assignment);
    EXPECT_TRUE(assignment.ok());
    std::vector<TopicPartitions> topics;
    for (const NamedPartitions& one : assignment->partitions)
      topics.push_back({shell_.topics().by_name.at(one.topic).id, one.partitions});
    return fmt::format("-> synced {}\n", shell_.text(topics));
  }

  std::string classic_beat(const common::ScriptCommand& command) {
    Heartbeat request{.group = "g", .member = command.arguments.at(0)};
    request.generation = Epoch{std::stoi(command.value("generation").value_or("-1"))};
    if (const auto value = command.value("instance")) request.instance = *value;
    return error({shell_.heartbeat(request).code, ""});
  }

  std::string classic_leave(const common::ScriptCommand& command) {
    LeaveGroup request{.group = "g"};
    for (const std::string& member : command.arguments) {
      if (member.starts_with("instance=")) {
        request.members.push_back({"", member.substr(9), ""});
      } else {
        request.members.push_back({member, std::nullopt, ""});
      }
    }
    const LeaveOutcome outcome = shell_.leave(request);
    std::string text = "->";
    for (const Status& status : outcome.members)
      text += fmt::format(" {}", model::error_row(status.code).kafka_name);
    return text + "\n";
  }

  /// commit MEMBER epoch=.. at=foo:0 [old-client]
  std::string commit(const common::ScriptCommand& command) {
    OffsetCommit request{.group = "g"};
    if (command.arguments.at(0) != "nobody") request.member = command.arguments.at(0);
    request.epoch = Epoch{std::stoi(command.value("epoch").value_or("-1"))};
    if (const auto value = command.value("instance")) request.instance = *value;
    request.member_epochs_known = !flag(command, "old-client");
    for (const TopicPartitions& one : shell_.parse(command.value("at").value_or("nothing"))) {
      for (const std::int32_t partition : one.partitions) {
        const bool by_name = flag(command, "by-name");
        request.partitions.push_back(
            {.topic = {shell_.topics().names.at(one.topic), by_name ? model::TopicId{} : one.topic},
             .partition = partition,
             .offset = model::Offset{7}});
      }
    }
    const OffsetCommitOutcome outcome = shell_.commit(request);
    return error({outcome.status.code, ""});
  }

  std::string fetch(const common::ScriptCommand& command) {
    OffsetFetch request{.group = "g"};
    if (command.arguments.at(0) != "nobody") request.member = command.arguments.at(0);
    request.epoch = Epoch{std::stoi(command.value("epoch").value_or("-1"))};
    return error({shell_.machine().fetch_offsets(request).value.status.code, ""});
  }

  std::string describe() {
    const GroupDescription group = shell_.machine().describe("g");
    std::string text = fmt::format("{} {} epoch={} assignment-epoch={} assignor={}\n",
                                   name_of(group.summary.type), name_of(group.summary.state),
                                   group.epoch, group.assignment_epoch, group.protocol);
    if (group.summary.type == GroupType::kClassic)
      text = fmt::format("classic {} generation={}\n", name_of(group.summary.state), group.epoch);
    for (const auto& member : group.members) {
      text += fmt::format("  {}{}", member.member, member.classic ? " classic" : "");
      if (group.summary.type == GroupType::kConsumer)
        text += fmt::format(" epoch={} has={} target={}", member.epoch,
                            shell_.text(member.assignment), shell_.text(member.target));
      text += "\n";
    }
    return text;
  }

  std::string held(const std::vector<HeldPartitions>& topics) const {
    std::string text;
    for (const HeldPartitions& topic : topics) {
      const auto name = shell_.topics().names.find(topic.topic);
      text += fmt::format("{}{}:", text.empty() ? "" : ";",
                          name == shell_.topics().names.end() ? "gone" : name->second);
      for (std::size_t i = 0; i < topic.partitions.size(); ++i) {
        text += fmt::format("{}{}@{}", i == 0 ? "" : ",", topic.partitions[i], topic.epochs[i]);
      }
    }
    return text.empty() ? "nothing" : text;
  }

  std::string print(const Record& record) const {
    return std::visit([this](const auto& one) { return print_one(one) + "\n"; }, record);
  }
  std::string print_one(const OffsetRecord& one) const {
    return fmt::format("  offset {}:{} {}", one.topic, one.partition,
                       one.value ? "stored" : "gone");
  }
  std::string print_one(const ClassicGroupRecord& one) const {
    if (!one.value) return "  classic gone";
    std::string text =
        fmt::format("  classic generation={} protocol={} leader={}", one.value->generation,
                    one.value->protocol.value_or("-"), one.value->leader.value_or("-"));
    for (const auto& member : one.value->members) {
      const auto assignment = decode_assignment(member.assignment);
      EXPECT_TRUE(assignment.ok());
      std::vector<TopicPartitions> topics;
      for (const NamedPartitions& named : assignment->partitions)
        topics.push_back({shell_.topics().by_name.at(named.topic).id, named.partitions});
      text += fmt::format(" {}={}", member.member, shell_.text(topics));
    }
    return text;
  }
  std::string print_one(const ConsumerGroupRecord& one) const {
    return one.value ? fmt::format("  group epoch={}", one.value->epoch) : "  group gone";
  }
  std::string print_one(const ConsumerMemberRecord& one) const {
    if (!one.value) return fmt::format("  member {} gone", one.member);
    std::string text = fmt::format(
        "  member {} topics={}", one.member,
        one.value->topics.empty() ? "-" : fmt::format("{}", fmt::join(one.value->topics, ",")));
    if (!one.value->topic_regex.empty()) text += " regex=" + one.value->topic_regex;
    if (one.value->instance) text += " instance=" + *one.value->instance;
    if (one.value->assignor) text += " assignor=" + *one.value->assignor;
    if (one.value->classic) text += " classic";
    return text;
  }
  std::string print_one(const TargetEpochRecord& one) const {
    return one.value ? fmt::format("  target epoch={}", *one.value) : "  target epoch gone";
  }
  std::string print_one(const TargetRecord& one) const {
    return fmt::format("  target {} {}", one.member, one.value ? shell_.text(*one.value) : "gone");
  }
  std::string print_one(const CurrentRecord& one) const {
    if (!one.value) return fmt::format("  current {} gone", one.member);
    std::string text = fmt::format("  current {} epoch={} before={} {} {}", one.member,
                                   one.value->epoch, one.value->previous_epoch,
                                   state_name(one.value->state), held(one.value->assigned));
    if (!one.value->pending_revocation.empty())
      text += " revokes " + held(one.value->pending_revocation);
    return text;
  }
  std::string print_one(const RegexRecord& one) const {
    return fmt::format(
        "  regex {} {}", one.regex,
        one.value ? fmt::format("-> {}", fmt::join(one.value->topics, ",")) : "gone");
  }

  MachineShell shell_{script_settings()};
};

void run(const std::string& name) {
  Story story;
  common::run_script("testdata/consumer_" + name + ".txt",
                     [&](const common::ScriptCommand& command) { return story.run(command); });
}

TEST(ConsumerGroup, RebalancesAsTheKipTells) {
  run("walkthrough");
}
TEST(ConsumerGroup, LetsMembersJoinAndLeave) {
  run("membership");
}
TEST(ConsumerGroup, ChecksRequests) {
  run("requests");
}
TEST(ConsumerGroup, FencesEpochs) {
  run("fencing");
}
TEST(ConsumerGroup, KnowsStaticMembers) {
  run("static");
}
TEST(ConsumerGroup, FollowsSubscriptionsAndTopics) {
  run("subscriptions");
}
TEST(ConsumerGroup, TimesOut) {
  run("timeouts");
}
TEST(ConsumerGroup, ChecksCommitsAndFetches) {
  run("offsets");
}
TEST(ConsumerGroup, ServesClassicMembers) {
  run("classic");
}
TEST(ConsumerGroup, MigratesBothWays) {
  run("migration");
}
TEST(ConsumerGroup, GathersAssignments) {
  run("interval");
}

}  // namespace
}  // namespace millrace::coordinator
