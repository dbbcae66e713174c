#include "tests/sim/operator/operator_process.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "operator/kube/kinds.h"

namespace millrace::sim {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

/// Looks in a row, before others may have their turn.
constexpr int kLooksMost = 4;

kube::ElectionSettings election_of(const OperatorSettings& settings) {
  kube::ElectionSettings election;
  election.lease = settings.lease;
  election.renew_deadline = common::Duration(settings.lease) * 2 / 3;
  election.retry = std::min<common::Duration>(seconds(2), common::Duration(settings.lease) / 6);
  return election;
}

}  // namespace

OperatorProcess::OperatorProcess(Parts parts, OperatorSettings settings, const Faults& faults)
    : parts_(std::move(parts)),
      settings_(std::move(settings)),
      life_(parts_.agenda),
      link_({parts_.model, parts_.clock, parts_.trace, parts_.random.fork(), life_, parts_.rules,
             parts_.name},
            faults.kube),
      metrics_(parts_.clock),
      api_(link_, metrics_, parts_.clock),
      queue_(parts_.clock, {.spacing = settings_.spacing}),
      fleet_({parts_.agenda, parts_.random.fork(), life_, parts_.rules, parts_.book, parts_.trace,
              parts_.name},
             faults.admin),
      watching_(api_, parts_.clock, {}, parts_.random.fork()),
      events_(api_, parts_.clock, {.instance = parts_.name}),
      leadership_(link_, {"millrace", "millrace-operator"}, parts_.name, parts_.clock,
                  election_of(settings_)),
      clusters_(tools(), {.image = settings_.image}),
      topics_(tools(), index_, {.resync = settings_.resync, .threads = 1}),
      workers_(queue_, metrics_, parts_.clock,
               [this](const control::Key& key) { return reconcile(key); }) {
  watching_.connect(queue_, index_, metrics_);
  for (const auto& informer : watching_.informers()) {
    feeds_.push_back(std::make_unique<WatchFeed>(
        WatchFeed::Parts{parts_.model, parts_.clock, parts_.random.fork()}, *informer,
        faults.kube));
  }
  leadership_.on_change([this](bool leads) { led(leads); });
}

OperatorProcess::~OperatorProcess() = default;

control::Tools OperatorProcess::tools() {
  return {.world = watching_.world(),
          .api = api_,
          .fleet = fleet_,
          .metrics = metrics_,
          .clock = parts_.clock,
          .may_act = [this] { return !life_.over() && leadership_.leading(); },
          .tell = [this](kube::Event event) { events_.record(std::move(event)); },
          .log = [this](const std::string& line) { parts_.trace.say(parts_.name, "{}", line); }};
}

control::Ending OperatorProcess::reconcile(const control::Key& key) {
  if (life_.over() || !leadership_.leading()) return {};
  ++looks_;
  return key.work == control::Work::kCluster ? clusters_.reconcile(key.cluster)
                                             : topics_.reconcile(key.cluster);
}

template <typename Step>
void OperatorProcess::run(Step step, common::Duration least, common::Duration most) {
  const common::Duration pause{parts_.random.between(least.count(), most.count())};
  parts_.agenda.after(pause, [this, step, least, most] {
    if (life_.over()) return;
    if (may_run()) (this->*step)();
    run(step, least, most);
  });
}

void OperatorProcess::start() {
  parts_.trace.say(parts_.name, "starts");
  run(&OperatorProcess::hear, milliseconds(5), milliseconds(40));
  run(&OperatorProcess::lead, milliseconds(20), milliseconds(200));
  run(&OperatorProcess::work, milliseconds(5), milliseconds(60));
}

void OperatorProcess::hear() {
  for (const auto& feed : feeds_) {
    if (!may_run()) return;
    feed->go_on();
  }
}

void OperatorProcess::lead() {
  if (stopping_ && !working_) {
    leadership_.resign();
    return kill();
  }
  if (parts_.agenda.now() < lead_at_) return;
  while (may_run()) {
    const auto until = leadership_.turn();
    if (until) lead_at_ = *until;
    if (until || parts_.trace.failed()) break;
  }
  if (leading() && !acts_ && watching_.synced()) begin_to_act();
}

/// As kube::Leadership tells of it.
void OperatorProcess::led(bool leads) {
  parts_.trace.say(parts_.name, "{}", leads ? "leads" : "leads no more");
  // A process that has lost the lease never acts again.
  if (!leads && acts_) kill();
}

void OperatorProcess::begin_to_act() {
  acts_ = true;
  for (const auto& cluster : watching_.world().keys(kube::kClusters))
    queue_.add({control::Work::kCluster, cluster});
  for (const auto& cluster : index_.clusters()) queue_.add({control::Work::kTopics, cluster});
}

void OperatorProcess::work() {
  if (!acts_ || stopping_) return;
  working_ = true;
  for (int i = 0; i < kLooksMost && may_run() && workers_.work_once(); ++i) {
  }
  working_ = false;
  if (may_run()) events_.flush();
}

void OperatorProcess::break_watches(bool forgotten) {
  for (const auto& feed : feeds_) feed->break_off(forgotten);
}

void OperatorProcess::stop() {
  if (ended()) return;
  parts_.trace.say(parts_.name, "is told to stop");
  stopping_ = true;
}

void OperatorProcess::kill() {
  if (ended()) return;
  parts_.trace.say(parts_.name, "ends");
  life_.end();
}

}  // namespace millrace::sim
