#include "tests/sim/world.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "broker/wire/messages/create_topics.h"
#include "tests/sim/workload/admin.h"
#include "tests/sim/workload/classic_member.h"
#include "tests/sim/workload/consumer_member.h"
#include "tests/sim/workload/group_watcher.h"
#include "tests/sim/workload/reader.h"
#include "tests/sim/workload/surveyor.h"

namespace millrace::sim {

using model::ErrorCode;
using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

constexpr common::Duration kStartMax = seconds(60);
/// After the last fault everything is done within this time: sessions of dead members run out,
/// connections that hang are given up, and who pauses between attempts tries again.
constexpr common::Duration kSettleMax = seconds(120);
constexpr int kRottenLogsMax = 50;
constexpr common::Duration kAuditMax = seconds(60);
/// Replicas that were away catch up, moves end, everybody hears of everything.
constexpr common::Duration kWholeMax = seconds(60);

constexpr common::Duration kImagesEvery = milliseconds(250);

constexpr const char* kClassicGroup = "classic-readers";
constexpr const char* kConsumerGroup = "consumer-readers";

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
      witness_(trace_, static_cast<std::size_t>(scenario_.replication_factor)) {
  trace_.say("run", "seed {}: {}", options.seed, scenario_.text());
  make_machines();
  agenda_.watch([this] { look(); });
}

World::~World() {
  const common::RepliesMayDrop the_run_is_over;
  log_audits_.clear();
  auditors_.clear();
  helpers_.clear();
  actors_.clear();
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

Client::Parts World::new_client(const std::string& name) {
  std::vector<env::Endpoint> seeds;
  for (const auto& machine : fleet_.all()) seeds.push_back(machine->endpoint());
  clients_.push_back(name);
  return Client::Parts{.loop = sim_.make_loop(),
                       .network = network_,
                       .name = name,
                       .seeds = std::move(seeds),
                       .random = sim_.random().fork(),
                       .trace = trace_};
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
  helpers_.push_back(std::make_unique<Client>(new_client("installer")));
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

void World::make_actors() {
  const auto add = [this](std::unique_ptr<Actor> actor) { actors_.push_back(std::move(actor)); };
  int number = 0;
  for (const ProducerPlan& plan : scenario_.producers) {
    add(std::make_unique<Producer>(new_client(fmt::format("producer-{}", ++number)), history_,
                                   plan));
  }
  for (std::size_t i = 0; i < scenario_.readers; ++i) {
    add(std::make_unique<Reader>(new_client(fmt::format("reader-{}", i + 1)), history_,
                                 i == 0 ? scenario_.busy.name : scenario_.trimmed.name));
  }
  for (std::size_t i = 0; i < scenario_.classic_members; ++i) {
    add(std::make_unique<ClassicMember>(new_client(fmt::format("classic-{}", i + 1)), history_,
                                        groups_, kClassicGroup, scenario_.busy.name));
  }
  for (std::size_t i = 0; i < scenario_.consumer_members; ++i) {
    add(std::make_unique<ConsumerMember>(new_client(fmt::format("consumer-{}", i + 1)), history_,
                                         groups_, kConsumerGroup, scenario_.busy.name,
                                         scenario_.session));
  }
  const auto watch = [&](const char* group, std::size_t members) {
    if (members == 0) return;
    add(std::make_unique<GroupWatcher>(
        new_client(fmt::format("watcher-of-{}", group)),
        GroupWatcher::Parts{groups_, history_, group, scenario_.busy.name}));
  };
  watch(kClassicGroup, scenario_.classic_members);
  watch(kConsumerGroup, scenario_.consumer_members);
  add(std::make_unique<Surveyor>(
      new_client("surveyor"), history_,
      std::vector<std::string>{scenario_.busy.name, scenario_.trimmed.name}));
  if (scenario_.producers.empty()) return;
  add(std::make_unique<Admin>(new_client("admin"), history_,
                              AdminPlan{.passing = scenario_.passing,
                                        .growing = scenario_.busy.name,
                                        .trimmed = scenario_.trimmed.name,
                                        .replication_factor = scenario_.replication_factor}));
}

std::string World::unfinished(Who who) const {
  for (const auto& actor : actors_) {
    if (who == Who::kWriters && !actor->writes()) continue;
    if (std::string text = actor->unfinished(); !text.empty()) return text;
  }
  return {};
}

bool World::operators_done() {
  if (agenda_.run_until([this] { return operator_->unfinished().empty(); }, kSettleMax))
    return true;
  trace_.fail(fmt::format("{} s after the last fault {}", kSettleMax / seconds(1),
                          operator_->unfinished()));
  return false;
}

bool World::settle() {
  const auto all_done = [this](Who who) {
    for (const auto& actor : actors_)
      if (actor->writes() == (who == Who::kWriters)) actor->finish();
    if (agenda_.run_until([this, who] { return unfinished(who).empty(); }, kSettleMax)) return true;
    trace_.fail(fmt::format("{} s after the last fault not all is well: {}",
                            kSettleMax / seconds(1), unfinished(who)));
    return false;
  };
  return wait_until_serving(kStartMax) && operators_done() && all_done(Who::kWriters) &&
         all_done(Who::kAll);
}

bool World::audit() {
  Auditor::Scope scope{.topics = scenario_.passing, .groups = {}};
  scope.topics.push_back(scenario_.busy.name);
  scope.topics.push_back(scenario_.trimmed.name);
  if (scenario_.classic_members > 0) scope.groups[kClassicGroup] = scenario_.busy.name;
  if (scenario_.consumer_members > 0) scope.groups[kConsumerGroup] = scenario_.busy.name;
  auditors_.push_back(std::make_unique<Auditor>(
      new_client(fmt::format("auditor-{}", auditors_.size() + 1)), history_, groups_, scope));
  Auditor& auditor = *auditors_.back();
  auditor.start();
  const bool done =
      agenda_.run_until([&auditor] { return auditor.unfinished().empty(); }, kAuditMax);
  if (!done) trace_.fail(auditor.unfinished());
  return done && !trace_.failed() && audit_logs();
}

bool World::become_whole() {
  std::string missing;
  const auto is_whole = [this, &missing] {
    missing = missing_until_whole(fleet_.members());
    return missing.empty();
  };
  if (agenda_.run_until(is_whole, kWholeMax)) return true;
  trace_.fail(fmt::format("{} s after the last write the cluster is not whole: {}",
                          kWholeMax / seconds(1), missing));
  return false;
}

/// What rotted is found where it is read from the disk, and then comes again from the others (E10).
/// Each time a log less is rotten.
bool World::audit_logs() {
  for (int round = 0; round < kRottenLogsMax; ++round) {
    if (!become_whole()) return false;
    log_audits_.push_back(std::make_unique<LogAudit>(fleet_.members(), witness_, trace_));
    LogAudit& audit = *log_audits_.back();
    audit.start();
    if (!agenda_.run_until([&audit] { return audit.done(); }, kAuditMax))
      trace_.fail("the logs of the replicas cannot be read");
    if (trace_.failed()) return false;
    if (!audit.found_rot()) return true;
  }
  trace_.fail("what rotted is found again and again");
  return false;
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
  make_actors();
  for (const auto& actor : actors_) actor->start();
  operator_ = std::make_unique<Operator>(
      Operator::Parts{agenda_, trace_, sim_.random().fork(), fleet_}, scenario_.operators);
  operator_->start();
  chaos_ = std::make_unique<Chaos>(
      Chaos::Parts{network_, agenda_, trace_, sim_.random().fork(), fleet_, clients_},
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
