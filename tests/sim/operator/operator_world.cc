#include "tests/sim/operator/operator_world.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "operator/kube/kinds.h"
#include "operator/resources/names.h"
#include "tests/sim/wholeness.h"

namespace millrace::sim {

using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

/// Leases run out, brokers come up and find each other.
constexpr common::Duration kBirthMax = seconds(240);
/// After the last mishap: brokers are emptied one after the other, and all are restarted.
constexpr common::Duration kSettleMax = seconds(900);
/// For so long nothing is written, when all is as asked for.
constexpr common::Duration kQuiet = seconds(40);
constexpr common::Duration kImagesEvery = milliseconds(500);

/// What people look at.
constexpr kube::Resource kAsked[] = {kube::kClusters, kube::kTopics, kube::kStatefulSets,
                                     kube::kPods};

const kube::ObjectKey kCluster{"shop", "events"};

}  // namespace

OperatorWorld::OperatorWorld(Options options, Story story)
    : options_(std::move(options)),
      story_(std::move(story)),
      sim_(options_.seed),
      trace_(sim_.clock(), options_.traced),
      agenda_(sim_, trace_),
      network_(sim_),
      history_(trace_, History::Leaders::kSeveral),
      groups_(trace_),
      witness_(trace_, static_cast<std::size_t>(story_.scenario.replication_factor)),
      crowd_({sim_, network_, agenda_, trace_, fleet_, history_, groups_}, story_.scenario),
      inspector_({agenda_, trace_, fleet_, witness_}),
      model_(options_.seed),
      kubelet_({model_, agenda_, trace_, sim_.random().fork(), fleet_, witness_, sim_.clock()},
               kCluster),
      rules_({fleet_, trace_, model_, kubelet_, sim_.clock()}),
      people_({model_, agenda_, trace_, sim_.random().fork(), kubelet_}, story_, kCluster),
      mishaps_({model_, agenda_, trace_, sim_.random().fork(), rules_, kubelet_, sim_.clock()},
               story_) {
  trace_.say("run", "seed {}: {}", options_.seed, story_.text());
  make_machines();
  agenda_.watch([this] { look(); });
}

OperatorWorld::~OperatorWorld() {
  const common::RepliesMayDrop the_run_is_over;
  inspector_.clear();
  crowd_.clear();
  fleet_.clear();
}

/// One for each pod that there may be. Who starts them is the kubelet.
void OperatorWorld::make_machines() {
  for (std::int32_t i = 0; i < story_.machines; ++i) {
    MachineOptions options;
    options.node = i;
    options.name = resources::names::host(kCluster.space, kCluster.name, i);
    options.shards = story_.scenario.shards.front();
    fleet_.add(std::make_unique<Machine>(Machine::Place{sim_, network_, agenda_, trace_},
                                         std::move(options)),
               Fleet::Duty::kSpare);
    fleet_.all().back()->supervise(false);
  }
}

void OperatorWorld::look() {
  for (const auto& machine : fleet_.all()) witness_.look(*machine);
  if (agenda_.now() - compared_at_ < kImagesEvery) return;
  compared_at_ = agenda_.now();
  witness_.compare_images(fleet_.all());
  rules_.look();
}

std::string OperatorWorld::unsettled() {
  if (std::string version = model_.resource_version(kAsked); version != lack_of_) {
    lack_of_ = std::move(version);
    lack_ = people_.unsettled();
  }
  if (!lack_.empty()) return lack_;
  if (!mishaps_.anybody_leads()) return "no operator leads";
  for (const Machine* machine : fleet_.members())
    if (machine->state() != Machine::State::kServing) return machine->name() + " does not serve";
  std::string wrong = rules_.drained();
  return wrong.empty() ? rules_.strayed() : wrong;
}

bool OperatorWorld::settle(common::Duration limit) {
  if (agenda_.run_until([this] { return unsettled().empty(); }, limit)) return true;
  trace_.fail(
      fmt::format("after {} s it is not as asked for: {}", limit / seconds(1), unsettled()));
  return false;
}

bool OperatorWorld::birth() {
  set_time(model_, sim_.clock());
  people_.install();
  kubelet_.start();
  mishaps_.start();
  if (story_.hard_birth) {
    mishaps_.begin();
    agenda_.run_for(seconds(15));
    mishaps_.end();
  }
  return settle(kBirthMax);
}

void OperatorWorld::let_rogue_write() {
  if (!options_.rogue) return;
  Life life(agenda_);
  const KubeFaults none;
  KubeLink link({model_, sim_.clock(), trace_, sim_.random().fork(), life, rules_, "rogue"}, none);
  options_.rogue(link);
}

bool OperatorWorld::storm() {
  let_rogue_write();
  crowd_.start();
  people_.start();
  mishaps_.begin();
  chaos_ = std::make_unique<Chaos>(
      Chaos::Parts{network_, agenda_, trace_, sim_.random().fork(), fleet_, crowd_.names()},
      story_.scenario.chaos);
  chaos_->start();
  agenda_.run_for(story_.scenario.stormy);
  chaos_->end();
  for (const auto& machine : fleet_.all()) Chaos::heal(*machine);
  mishaps_.end();
  people_.calm();
  kubelet_.forget_back_offs();
  trace_.say("run", "nothing goes wrong any more");
  return !trace_.failed();
}

/// Neither by these operators nor by those that come after them.
bool OperatorWorld::quiet() {
  // What clients did last may still show.
  agenda_.run_for(seconds(15));
  for (const bool anew : {false, true}) {
    if (anew) mishaps_.restart_all();
    const std::uint64_t before = rules_.writes();
    agenda_.run_for(kQuiet);
    if (trace_.failed()) return false;
    if (rules_.writes() == before) continue;
    trace_.fail(fmt::format("{} writes although all is as asked for, the last: {}",
                            rules_.writes() - before, rules_.last_write()));
    return false;
  }
  return true;
}

Outcome OperatorWorld::run() {
  static_cast<void>(birth() && storm() && settle(kSettleMax) && crowd_.settle() && crowd_.audit() &&
                    inspector_.inspect() && settle(seconds(60)) && quiet());
  sim_.note(mishaps_.looks());
  sim_.note(rules_.writes());
  Outcome outcome;
  outcome.failure = trace_.failure();
  outcome.digest = sim_.digest();
  outcome.events = sim_.events();
  outcome.simulated = sim_.clock().now().time_since_epoch();
  outcome.records_acknowledged = history_.records_acknowledged();
  outcome.records_read = history_.records_read();
  outcome.elections = witness_.elections();
  outcome.voter_sets = witness_.voter_sets();
  for (const auto& machine : fleet_.all()) outcome.starts += machine->starts();
  trace_.say("run", "{} looks and {} writes of operators", mishaps_.looks(), rules_.writes());
  return outcome;
}

Outcome run_operator_seed(const SeedName& name, bool traced) {
  common::Random random = scenario_random(name.seed);
  const std::uint32_t drawn = draw_cluster(random);
  OperatorWorld world({.seed = name.seed, .traced = traced},
                      draw_story(name.brokers == 0 ? drawn : name.brokers, random));
  return world.run();
}

}  // namespace millrace::sim
