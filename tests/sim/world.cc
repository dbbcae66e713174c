#include "tests/sim/world.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "broker/wire/messages/create_topics.h"

namespace millrace::sim {

using model::ErrorCode;
using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

constexpr common::Duration kStartMax = seconds(60);
/// After the last fault operators are done within this time.
constexpr common::Duration kSettleMax = seconds(120);

constexpr common::Duration kImagesEvery = milliseconds(250);

}  // namespace

World::World(Options options, Scenario scenario)
    : scenario_(std::move(scenario)),
      sim_(options.seed),
      trace_(sim_.clock(), options.traced),
      agenda_(sim_, trace_),
      network_(sim_),
      history_(trace_, scenario_.brokers + scenario_.spares > 1 ? History::Leaders::kSeveral
                                                                : History::Leaders::kOne),
      groups_(trace_),
      witness_(trace_, static_cast<std::size_t>(scenario_.replication_factor)),
      crowd_({sim_, network_, agenda_, trace_, fleet_, history_, groups_}, scenario_),
      inspector_({agenda_, trace_, fleet_, witness_}) {
  trace_.say("run", "seed {}: {}", options.seed, scenario_.text());
  make_machines();
  agenda_.watch([this] { look(); });
}

World::~World() {
  const common::RepliesMayDrop the_run_is_over;
  inspector_.clear();
  helpers_.clear();
  crowd_.clear();
  fleet_.clear();
}

void World::make_machines() {
  for (std::uint32_t i = 0; i < scenario_.brokers + scenario_.spares; ++i) {
    MachineOptions options;
    options.node = static_cast<std::int32_t>(i);
    options.shards = scenario_.shards[i % scenario_.shards.size()];
    options.config = scenario_.config;
    options.first_voters = scenario_.brokers;
    options.outside = scenario_.outside;
    fleet_.add(std::make_unique<Machine>(Machine::Place{sim_, network_, agenda_, trace_},
                                         std::move(options)),
               i < scenario_.brokers ? Fleet::Duty::kMember : Fleet::Duty::kSpare);
  }
}

void World::look() {
  for (const auto& machine : fleet_.all()) witness_.look(*machine);
  if (agenda_.now() - images_compared_at_ < kImagesEvery) return;
  images_compared_at_ = agenda_.now();
  witness_.compare_images(fleet_.all());
}

/// A cluster forms once, whatever happens meanwhile (E51): what two of them would write differs.
bool World::birth() {
  if (scenario_.birth.faults.empty()) return true;
  constexpr common::Duration kBirthMax = seconds(6);
  common::Random random = sim_.random().fork();
  for (Machine* machine : fleet_.members()) {
    agenda_.after(milliseconds(random.between(0, 2000)), [machine] { machine->start(); });
  }
  birth_chaos_ = std::make_unique<Chaos>(
      Chaos::Parts{network_, agenda_, trace_, random.fork(), fleet_, {}}, scenario_.birth);
  birth_chaos_->start();
  agenda_.run_for(common::Duration{random.between(0, kBirthMax.count())});
  birth_chaos_->end();
  trace_.say("run", "nothing more happens until the cluster is there");
  return !trace_.failed();
}

bool World::wait_until_serving(common::Duration limit) {
  for (Machine* machine : fleet_.members()) {
    machine->supervise(true);
    machine->start();
  }
  const bool serving = agenda_.run_until(
      [this] {
        return std::ranges::all_of(fleet_.members(), [](const Machine* machine) {
          return machine->state() == Machine::State::kServing;
        });
      },
      limit);
  if (!serving) trace_.fail("not all brokers serve in time");
  return serving;
}

/// Whoever it asks may be a machine that is not there.
bool World::make_topics() {
  constexpr int kAttempts = 20;
  for (int i = 0; i < kAttempts && !trace_.failed(); ++i) {
    const ErrorCode code = try_to_make_topics();
    if (code == ErrorCode::kNone) return true;
    if (code == ErrorCode::kBrokerNotAvailable) continue;
    trace_.fail(fmt::format("the topics cannot be made: {}", name_of(code)));
  }
  trace_.fail("the topics cannot be made");
  return false;
}

ErrorCode World::try_to_make_topics() {
  helpers_.push_back(std::make_unique<Client>(crowd_.new_client("installer")));
  Client& client = *helpers_.back();
  wire::CreateTopicsRequest request;
  for (const TopicPlan& plan : {scenario_.busy, scenario_.trimmed}) {
    auto& topic = request.topics.emplace_back();
    topic.name = plan.name;
    topic.num_partitions = plan.partitions;
    topic.replication_factor = scenario_.replication_factor;
    // The least that is allowed: segments are rolled as often as they can be.
    topic.configs = {{"segment.bytes", "1048576"}, {"segment.ms", "7000"}};
  }
  std::optional<ErrorCode> outcome;
  client.call(Client::kAnyNode, request, seconds(10),
              [&outcome](const Result<wire::CreateTopicsResponse>& answer) {
                outcome = answer.ok() ? ErrorCode::kNone : answer.error().code;
                if (!answer.ok()) return;
                for (const auto& topic : answer->topics)
                  if (topic.error_code != 0) outcome = code_of(topic.error_code);
              });
  agenda_.run_until([&outcome] { return outcome.has_value(); }, seconds(20));
  return outcome.value_or(ErrorCode::kRequestTimedOut);
}

bool World::operators_done() {
  if (agenda_.run_until([this] { return operator_->unfinished().empty(); }, kSettleMax))
    return true;
  trace_.fail(fmt::format("{} s after the last fault {}", kSettleMax / seconds(1),
                          operator_->unfinished()));
  return false;
}

bool World::settle() {
  return wait_until_serving(kStartMax) && operators_done() && crowd_.settle();
}

bool World::audit() {
  return crowd_.audit() && inspector_.inspect();
}

bool World::finale() {
  if (scenario_.finale == Scenario::Finale::kNone) return true;
  for (Machine* machine : fleet_.members()) {
    if (scenario_.finale == Scenario::Finale::kPowerFailure) {
      machine->lose_power(Machine::Told::kYes);
    } else {
      machine->supervise(false);
      machine->stop();
    }
  }
  const bool off = agenda_.run_until(
      [this] {
        return std::ranges::all_of(fleet_.members(), [](const Machine* machine) {
          return machine->state() == Machine::State::kOff;
        });
      },
      kStartMax);
  if (!off) trace_.fail("not all brokers stop");
  return off && wait_until_serving(kStartMax) && settle() && audit();
}

bool World::storm() {
  crowd_.start();
  operator_ = std::make_unique<Operator>(
      Operator::Parts{agenda_, trace_, sim_.random().fork(), fleet_}, scenario_.operators);
  operator_->start();
  chaos_ = std::make_unique<Chaos>(
      Chaos::Parts{network_, agenda_, trace_, sim_.random().fork(), fleet_, crowd_.names()},
      scenario_.chaos);
  chaos_->start();
  agenda_.run_for(scenario_.stormy);
  chaos_->end();
  operator_->finish();
  trace_.say("run", "the faults are over");
  return !trace_.failed();
}

Outcome World::run() {
  static_cast<void>(birth() && wait_until_serving(kStartMax) && make_topics() && storm() &&
                    settle() && audit() && finale());
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
  return outcome;
}

void World::run_quietly(common::Duration span) {
  if (wait_until_serving(kStartMax) && make_topics()) agenda_.run_for(span);
}

}  // namespace millrace::sim
