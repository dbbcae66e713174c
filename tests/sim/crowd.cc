#include "tests/sim/crowd.h"

#include <fmt/format.h>

#include <utility>

#include "tests/sim/workload/admin.h"
#include "tests/sim/workload/classic_member.h"
#include "tests/sim/workload/consumer_member.h"
#include "tests/sim/workload/group_watcher.h"
#include "tests/sim/workload/reader.h"
#include "tests/sim/workload/surveyor.h"

namespace millrace::sim {

using std::chrono::seconds;

namespace {

/// After the last fault everything is done within this time: sessions of dead members run out,
/// connections that hang are given up, and who pauses between attempts tries again.
constexpr common::Duration kSettleMax = seconds(120);
constexpr common::Duration kAuditMax = seconds(60);

constexpr const char* kClassicGroup = "classic-readers";
constexpr const char* kConsumerGroup = "consumer-readers";

}  // namespace

Client::Parts Crowd::new_client(const std::string& name) {
  std::vector<env::Endpoint> seeds;
  for (const auto& machine : parts_.fleet.all()) seeds.push_back(machine->endpoint());
  names_.push_back(name);
  return Client::Parts{.loop = parts_.world.make_loop(),
                       .network = parts_.network,
                       .name = name,
                       .seeds = std::move(seeds),
                       .random = parts_.world.random().fork(),
                       .trace = parts_.trace};
}

void Crowd::start() {
  int number = 0;
  for (const ProducerPlan& plan : scenario_.producers) {
    add(std::make_unique<Producer>(new_client(fmt::format("producer-{}", ++number)), parts_.history,
                                   plan));
  }
  for (std::size_t i = 0; i < scenario_.readers; ++i) {
    add(std::make_unique<Reader>(new_client(fmt::format("reader-{}", i + 1)), parts_.history,
                                 i == 0 ? scenario_.busy.name : scenario_.trimmed.name));
  }
  add_groups();
  if (scenario_.administered && !scenario_.producers.empty()) {
    add(std::make_unique<Admin>(new_client("admin"), parts_.history,
                                AdminPlan{.passing = scenario_.passing,
                                          .growing = scenario_.busy.name,
                                          .trimmed = scenario_.trimmed.name,
                                          .replication_factor = scenario_.replication_factor}));
  }
  for (const auto& actor : actors_) actor->start();
}

void Crowd::add_groups() {
  for (std::size_t i = 0; i < scenario_.classic_members; ++i) {
    add(std::make_unique<ClassicMember>(new_client(fmt::format("classic-{}", i + 1)),
                                        parts_.history, parts_.groups, kClassicGroup,
                                        scenario_.busy.name));
  }
  for (std::size_t i = 0; i < scenario_.consumer_members; ++i) {
    add(std::make_unique<ConsumerMember>(new_client(fmt::format("consumer-{}", i + 1)),
                                         parts_.history, parts_.groups, kConsumerGroup,
                                         scenario_.busy.name, scenario_.session));
  }
  watch(kClassicGroup, scenario_.classic_members);
  watch(kConsumerGroup, scenario_.consumer_members);
  add(std::make_unique<Surveyor>(
      new_client("surveyor"), parts_.history,
      std::vector<std::string>{scenario_.busy.name, scenario_.trimmed.name}));
}

void Crowd::watch(const char* group, std::size_t members) {
  if (members == 0) return;
  add(std::make_unique<GroupWatcher>(
      new_client(fmt::format("watcher-of-{}", group)),
      GroupWatcher::Parts{parts_.groups, parts_.history, group, scenario_.busy.name}));
}

std::string Crowd::unfinished(Who who) const {
  for (const auto& actor : actors_) {
    if (who == Who::kWriters && !actor->writes()) continue;
    if (std::string text = actor->unfinished(); !text.empty()) return text;
  }
  return {};
}

bool Crowd::settle(Who who) {
  for (const auto& actor : actors_)
    if (actor->writes() == (who == Who::kWriters)) actor->finish();
  if (parts_.agenda.run_until([this, who] { return unfinished(who).empty(); }, kSettleMax))
    return true;
  parts_.trace.fail(fmt::format("{} s after the last fault not all is well: {}",
                                kSettleMax / seconds(1), unfinished(who)));
  return false;
}

bool Crowd::settle() {
  return settle(Who::kWriters) && settle(Who::kAll);
}

bool Crowd::audit() {
  Auditor::Scope scope{.topics = scenario_.passing, .groups = {}};
  scope.topics.push_back(scenario_.busy.name);
  scope.topics.push_back(scenario_.trimmed.name);
  if (scenario_.classic_members > 0) scope.groups[kClassicGroup] = scenario_.busy.name;
  if (scenario_.consumer_members > 0) scope.groups[kConsumerGroup] = scenario_.busy.name;
  auditors_.push_back(
      std::make_unique<Auditor>(new_client(fmt::format("auditor-{}", auditors_.size() + 1)),
                                parts_.history, parts_.groups, scope));
  Auditor& auditor = *auditors_.back();
  auditor.start();
  const bool done =
      parts_.agenda.run_until([&auditor] { return auditor.unfinished().empty(); }, kAuditMax);
  if (!done) parts_.trace.fail(auditor.unfinished());
  return done && !parts_.trace.failed();
}

void Crowd::clear() {
  auditors_.clear();
  actors_.clear();
}

}  // namespace millrace::sim
