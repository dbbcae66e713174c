// Scripts in testdata/*.txt: what is asked for and what is there -> what a plan does and says, step
// by step on a small model of Kubernetes and of brokers (testing/world.h). Commands are in Script
// below.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <fstream>
#include <memory>
#include <regex>
#include <set>
#include <sstream>

#include "common/testing/script.h"
#include "operator/plan/testing/world.h"
#include "operator/resources/fields.h"

namespace millrace::plan {
namespace {

using common::ScriptCommand;
using testing::World;

class Script {
 public:
  std::string run(const ScriptCommand& command) {
    const auto found = kCommands.find(command.name);
    if (found == kCommands.end()) return "unknown command\n";
    std::string said = (this->*found->second)(command);
    for (const std::string& rule : world_->broken) said += "BROKEN: " + rule + "\n";
    return said;
  }

 private:
  using Handler = std::string (Script::*)(const ScriptCommand&);

  static std::string rest(const ScriptCommand& command) {
    const std::size_t space = command.line.find(' ');
    return space == std::string::npos ? "" : command.line.substr(space + 1);
  }
  static std::int32_t number(const ScriptCommand& command) {
    return std::atoi(command.arguments.at(0).c_str());
  }

  /// new [SPEC]: a cluster that nobody has looked at yet.
  std::string fresh(const ScriptCommand& command) {
    world_ = std::make_unique<World>();
    if (!command.arguments.empty())
      world_->cluster()["spec"].merge_patch(Json::parse(rest(command)));
    return {};
  }
  /// up [SPEC]: a cluster that is as asked for.
  std::string up(const ScriptCommand& command) {
    fresh(command);
    world_->settle();
    world_->log.clear();
    return world_->is_as_asked() ? "" : "it does not come up\n";
  }
  /// spec PATCH
  std::string spec(const ScriptCommand& command) {
    world_->edit(Json::parse(rest(command)));
    return {};
  }
  /// plan: what would be done and said.
  std::string plan(const ScriptCommand&) {
    return testing::describe(plan_cluster(world_->observe(), world_->now()));
  }
  /// pass: does it, too.
  std::string pass(const ScriptCommand&) { return testing::describe(world_->pass()); }
  /// run N: so many times a pass, then two seconds; prints what is done, once for each repetition.
  std::string run_some(const ScriptCommand& command) {
    std::string said;
    std::string last;
    for (std::int32_t i = number(command); i > 0; --i) {
      for (const Action& action : world_->pass().actions) {
        const std::string line = testing::describe(action);
        if (line != last) said += line;
        last = line;
      }
      world_->tick();
    }
    return said.empty() ? "nothing\n" : said;
  }
  /// quiet N: likewise, and prints nothing.
  std::string quiet(const ScriptCommand& command) {
    run_some(command);
    return {};
  }
  /// settle: until nothing happens any more; prints what was done.
  std::string settle(const ScriptCommand&) {
    world_->log.clear();
    world_->settle();
    std::string said;
    std::string last;
    for (const std::string& line : world_->log) {
      if (line != last) said += line + "\n";
      last = line;
    }
    return said + (world_->is_as_asked() ? "as asked\n" : "not as asked\n");
  }
  std::string tick(const ScriptCommand& command) {
    for (std::int32_t i = command.arguments.empty() ? 1 : number(command); i > 0; --i)
      world_->tick();
    return {};
  }
  /// wait SECONDS
  std::string wait(const ScriptCommand& command) {
    world_->advance(std::chrono::seconds(number(command)));
    return {};
  }
  /// set KNOB VALUE
  std::string set(const ScriptCommand& command) {
    const std::string& knob = command.arguments.at(0);
    const std::string value = command.arguments.size() > 1
                                  ? command.line.substr(command.line.find(knob) + knob.size() + 1)
                                  : "";
    const bool on = value == "true";
    if (knob == "reachable") {
      world_->brokers_reachable = on;
    } else if (knob == "asked") {
      world_->brokers_asked = on;
    } else if (knob == "nodes") {
      world_->nodes_readable = on;
    } else if (knob == "synced") {
      world_->synced = on;
    } else if (knob == "growable") {
      world_->volumes_can_grow = on;
    } else if (knob == "stuck") {
      world_->stuck = on;
    } else if (knob == "racks_ignored") {
      world_->racks_ignored = on;
    } else if (knob == "recovery") {
      world_->recovery = std::atoi(value.c_str());
    } else if (knob == "other_cluster") {
      world_->other_cluster = on;
    } else if (knob == "no_joins") {
      world_->no_joins = on;
    } else if (knob == "refused_volume") {
      world_->refused_volume = value;
    } else if (knob == "moving") {
      world_->moving = std::atoi(value.c_str());
    } else if (knob == "no_permit") {
      world_->no_permit = value.empty() ? std::nullopt : std::optional(value);
    } else if (knob == "no_drain") {
      world_->no_drain = value.empty() ? std::nullopt : std::optional(value);
    } else if (knob == "bad_image") {
      world_->bad_images = {value};
    } else if (knob == "missing_image") {
      world_->missing_images = {value};
    } else if (knob == "bad_setting") {
      world_->bad_settings = {value};
    } else if (knob == "unplaced") {
      world_->unplaced.clear();
      if (!value.empty()) world_->unplaced = {std::atoi(value.c_str())};
    } else if (knob == "lost_answers") {
      world_->lost_answers = std::atoi(value.c_str());
    } else {
      return "unknown knob\n";
    }
    return {};
  }
  /// annotate KIND NAME KEY [VALUE]
  std::string annotate(const ScriptCommand& command) {
    const auto& words = command.arguments;
    world_->annotate(words.at(0), words.at(1), words.at(2),
                     words.size() > 3 ? std::optional(words[3]) : std::nullopt);
    return {};
  }
  /// delete KIND NAME
  std::string remove(const ScriptCommand& command) {
    world_->remove(command.arguments.at(0), command.arguments.at(1));
    return {};
  }
  std::string kill(const ScriptCommand& command) {
    world_->kill(number(command));
    return {};
  }
  std::string stop(const ScriptCommand& command) {
    world_->stop(number(command), true);
    return {};
  }
  std::string start(const ScriptCommand& command) {
    world_->stop(number(command), false);
    return {};
  }
  /// rack NODE [ZONE]
  std::string rack(const ScriptCommand& command) {
    const auto& words = command.arguments;
    world_->set_rack(words.at(0), words.size() > 1 ? words[1] : "");
    return {};
  }
  /// change KIND NAME PATCH: as somebody else.
  std::string change(const ScriptCommand& command) {
    const std::string& name = command.arguments.at(1);
    const std::size_t patch = command.line.find(name) + name.size() + 1;
    world_->object(command.arguments.at(0), name)
        .merge_patch(Json::parse(command.line.substr(patch)));
    return {};
  }
  /// state BROKER active|draining|decommissioned: as somebody else, by millctl.
  std::string state(const ScriptCommand& command) {
    const std::int32_t broker = number(command);
    const std::string& wanted = command.arguments.at(1);
    if (wanted == "decommissioned") return world_->leave(broker) ? "" : "it is not drained\n";
    world_->members.at(broker).state =
        wanted == "draining" ? BrokerState::kDraining : BrokerState::kActive;
    return {};
  }
  /// wipe BROKER: another disk under the same claim.
  std::string wipe(const ScriptCommand& command) {
    const auto& claim =
        world_->object("PersistentVolumeClaim", "data-events-" + command.arguments.at(0));
    world_->disks.at(claim.at("metadata").at("uid").get<std::string>()) = {};
    world_->kill(number(command));
    return {};
  }
  /// show KIND NAME POINTER
  std::string show(const ScriptCommand& command) {
    const auto& words = command.arguments;
    const Json::json_pointer pointer(words.at(2));
    const Json& object = world_->object(words.at(0), words.at(1));
    return object.contains(pointer) ? object.at(pointer).dump() + "\n" : "absent\n";
  }
  /// list KIND
  std::string list(const ScriptCommand& command) {
    std::string names;
    for (const auto& [name, object] : world_->all(command.arguments.at(0))) {
      names += (names.empty() ? "" : " ") + name;
    }
    return names + "\n";
  }
  /// findings: what metrics would say.
  std::string findings(const ScriptCommand&) {
    std::string said;
    for (const Finding& finding : plan_cluster(world_->observe(), world_->now()).findings) {
      said += fmt::format("{} {} {}\n", code(finding.reason), finding.object, finding.detail);
    }
    return said.empty() ? "none\n" : said;
  }
  std::string events(const ScriptCommand&) {
    std::string said;
    for (const Event& event : plan_cluster(world_->observe(), world_->now()).events) {
      said += fmt::format("{} {} {}\n", event.warning ? "Warning" : "Normal", code(event.reason),
                          event.message);
    }
    return said.empty() ? "none\n" : said;
  }
  /// told N: so many times a pass, then two seconds; prints the events of all of them.
  std::string told(const ScriptCommand& command) {
    std::string said;
    for (std::int32_t i = number(command); i > 0; --i) {
      for (const Event& event : world_->pass().events) {
        said += fmt::format("{} {} {}\n", event.warning ? "Warning" : "Normal", code(event.reason),
                            event.message);
      }
      world_->tick();
    }
    return said.empty() ? "none\n" : said;
  }
  /// condition TYPE: as it stands in the status.
  std::string condition(const ScriptCommand& command) {
    const std::string& type = command.arguments.at(0);
    return fmt::format("{} {}: {}\n", world_->condition(type, "status"),
                       world_->condition(type, "reason"), world_->condition(type, "message"));
  }
  /// again: when the plan looks again.
  std::string again(const ScriptCommand&) {
    const auto after = plan_cluster(world_->observe(), world_->now()).requeue_after;
    return after ? fmt::format("{} ms\n", after->count()) : "when something changes\n";
  }

  static const std::map<std::string, Handler> kCommands;
  std::unique_ptr<World> world_ = std::make_unique<World>();
};

const std::map<std::string, Script::Handler> Script::kCommands = {
    {"new", &Script::fresh},         {"up", &Script::up},
    {"spec", &Script::spec},         {"plan", &Script::plan},
    {"pass", &Script::pass},         {"run", &Script::run_some},
    {"quiet", &Script::quiet},       {"settle", &Script::settle},
    {"tick", &Script::tick},         {"wait", &Script::wait},
    {"set", &Script::set},           {"annotate", &Script::annotate},
    {"delete", &Script::remove},     {"kill", &Script::kill},
    {"stop", &Script::stop},         {"start", &Script::start},
    {"rack", &Script::rack},         {"change", &Script::change},
    {"state", &Script::state},       {"wipe", &Script::wipe},
    {"show", &Script::show},         {"list", &Script::list},
    {"findings", &Script::findings}, {"events", &Script::events},
    {"again", &Script::again},       {"condition", &Script::condition},
    {"told", &Script::told},
};

class ClusterScripts : public ::testing::TestWithParam<const char*> {};

TEST_P(ClusterScripts, GoAsWritten) {
  Script script;
  common::run_script(fmt::format("testdata/{}.txt", GetParam()),
                     [&](const ScriptCommand& command) { return script.run(command); });
}

constexpr const char* kScripts[] = {"create", "roll",    "scale",   "volumes",
                                    "config", "trouble", "outside", "complaints"};
INSTANTIATE_TEST_SUITE_P(All, ClusterScripts, ::testing::ValuesIn(kScripts));

// Goal: no reason is dead, and there are scripts enough. Method: look for every code in the
// expected output, count the blocks.
TEST(Scripts, HaveEveryReason) {
  std::set<std::string> words;
  int blocks = 0;
  std::vector<std::string> files(std::begin(kScripts), std::end(kScripts));
  files.emplace_back("topics");
  for (const std::string& name : files) {
    std::ifstream file("testdata/" + name + ".txt");
    std::stringstream text;
    text << file.rdbuf();
    const std::string all = text.str();
    const std::regex word("[A-Z][A-Za-z]+");
    for (std::sregex_iterator i(all.begin(), all.end(), word), end; i != end; ++i) {
      words.insert(i->str());
    }
    for (std::size_t at = 0; (at = all.find("\n----\n", at)) != std::string::npos; ++at) ++blocks;
  }
  for (const ReasonText& reason : reasons()) {
    EXPECT_TRUE(words.count(std::string(reason.code)) > 0) << reason.code << " is in no script";
  }
  EXPECT_GE(blocks, 80);
}

}  // namespace
}  // namespace millrace::plan
