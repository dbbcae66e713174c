#include "broker/service/cluster_keeper.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "broker/service/broker_states.h"
#include "broker/service/hand_over.h"
#include "broker/service/metadata_writer.h"
#include "broker/service/permits.h"

namespace millrace::service {
namespace {

using model::BrokerId;
using model::ErrorCode;

constexpr model::PartitionKey kMetadataKey{model::kMetadataTopicId, model::PartitionIndex{0}};
constexpr auto kTransferMax = std::chrono::seconds(3);

std::int64_t milliseconds(common::Duration duration) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(duration).count();
}

}  // namespace

/// One look at all brokers.
struct ClusterKeeper::Look {
  std::size_t missing = 1;
  common::Reply<common::Result<void>> done;
};

ClusterKeeper::ClusterKeeper(Parts parts)
    : first_(parts.first),
      health_(std::move(parts.health)),
      leads_(std::move(parts.leads)),
      has_room_(std::move(parts.has_room)),
      settings_(parts.settings) {}

void ClusterKeeper::start() {
  serve_led(first_);
  serve_move_blockers(first_);
  serve_permits(first_);
  arm(settings_.interval);
}

void ClusterKeeper::stop() {
  stopped_ = true;
  if (timer_ != env::TimerId::kNone)
    first_.loop().cancel(std::exchange(timer_, env::TimerId::kNone));
}

void ClusterKeeper::arm(common::Duration delay) {
  if (stopped_) return;
  if (timer_ != env::TimerId::kNone) first_.loop().cancel(timer_);
  timer_ = first_.loop().after(delay, lifeline_.guard([this] {
    timer_ = env::TimerId::kNone;
    arm(settings_.interval);
    turn();
  }));
}

void ClusterKeeper::turn() {
  if (!leads_()) return forget();
  if (looking_) return;
  looking_ = true;
  gather(lifeline_.guard([this](const common::Result<void>& gathered) {
    looking_ = false;
    if (gathered.ok() && !stopped_) act();
  }));
}

void ClusterKeeper::forget() {
  known_.clear();
  sums_.clear();
  at_rest_.reset();
  paused_.clear();
  told_.clear();
  plan_ = {};
}

// ---- Looking

std::map<BrokerId, metadata::BrokerHealth> ClusterKeeper::health_now() {
  std::map<BrokerId, metadata::BrokerHealth> all;
  all[first_.identity().node] = {.has_room = has_room_()};
  for (const cluster::Health& one : health_()) {
    // Silence that is too short for suspicion is none.
    const std::int64_t silent_ms =
        one.alive ? 0 : std::max<std::int64_t>(1, milliseconds(one.silence));
    all[one.node] = {.silent_ms = silent_ms,
                     .recovered = one.state.recovered,
                     .has_room = !one.state.out_of_space};
  }
  return all;
}

void ClusterKeeper::look(common::Reply<common::Result<metadata::View>> done) {
  gather(lifeline_.guard([this, done = std::move(done)](common::Result<void> gathered) mutable {
    if (!gathered.ok()) return done(std::move(gathered).error());
    done(known_.view(first_.image(), health_now()));
  }));
}

void ClusterKeeper::gather(common::Reply<common::Result<void>> done) {
  if (!leads_()) return done(model::error(ErrorCode::kNotController));
  ++counters_.looks;
  auto look = std::make_shared<Look>();
  look->done = std::move(done);
  for (const auto& [broker, health] : health_now()) {
    if (broker == first_.identity().node || !health.alive()) continue;
    ++look->missing;
    ask_led(first_, broker, sums_[broker], settings_.answer_max,
            lifeline_.guard([this, look, broker = broker](common::Result<LedAnswer> answer) {
              take(look, broker, std::move(answer));
            }));
  }
  gather_led(first_, lifeline_.guard([this, look](const std::vector<LedPartition>& led) {
    const BrokerId self = first_.identity().node;
    const std::uint64_t sum = sum_of(encode(led).view());
    if (std::exchange(sums_[self], sum) != sum) known_.heard(self, led);
    finish(look);
  }));
}

void ClusterKeeper::take(const std::shared_ptr<Look>& look, BrokerId broker,
                         common::Result<LedAnswer> answer) {
  if (!answer.ok()) {
    ++counters_.answers_missing;
  } else if (answer->partitions) {
    known_.heard(broker, *answer->partitions);
    sums_[broker] = answer->sum;
  }
  finish(look);
}

void ClusterKeeper::finish(const std::shared_ptr<Look>& look) {
  if (--look->missing > 0) return;
  if (!leads_()) return look->done(model::error(ErrorCode::kNotController));
  for (const BrokerId broker : known_.forget_gone(first_.image())) sums_.erase(broker);
  look->done(common::ok());
}

/// nullopt: time alone may bring something to do.
std::optional<ClusterKeeper::Situation> ClusterKeeper::situation(const Brokers& brokers) const {
  if (first_.metadata_writer() == nullptr || !first_.image().permits().empty()) return std::nullopt;
  Situation now{.applied = first_.metadata_writer()->applied(), .brokers = {}};
  for (const auto& [broker, health] : brokers) {
    const auto sum = sums_.find(broker);
    if (!health.alive() || sum == sums_.end()) return std::nullopt;
    now.brokers[broker] = {health.recovered, health.has_room, sum->second};
  }
  return now;
}

// ---- Acting

void ClusterKeeper::act() {
  const Brokers brokers = health_now();
  keep_members(brokers);
  if (first_.image().feature_level() < metadata::kClusterLevel || planning_) return;
  std::optional<Situation> now = situation(brokers);
  if (now && now == at_rest_) return;
  ++counters_.plans;
  metadata::View view = known_.view(first_.image(), brokers);
  // A leader that should move is waited for.
  if (move_leaders(view)) now.reset();
  move_replicas(std::move(view), std::move(now));
}

void ClusterKeeper::keep_members(const Brokers& brokers) {
  replica::Partition* const log = first_.replicas().find_any(kMetadataKey);
  if (log == nullptr || log->group() == nullptr || !log->is_leader()) return;
  std::vector<MetBroker> met;
  for (const cluster::Health& one : health_()) {
    if (one.alive && !one.directory.is_zero()) met.push_back({one.node, one.directory});
  }
  const metadata::View view{.brokers = brokers, .partitions = {}};
  const MotionGoal goal =
      metadata_goal(log->group()->config(), first_.image(), view, met, settings_.members);
  MotionFacts facts = motion_facts(first_, *log);
  for (const MetBroker& broker : met) facts.alive.push_back(broker.node);
  const MotionStep step = next_step(goal, facts);
  if (step.kind == MotionStep::Kind::kDone || step.kind == MotionStep::Kind::kWait) return;
  if (!carry_out(step, *log, member_counters_)) {
    ++member_counters_.refusals;
    return;
  }
  first_.tell(fmt::format("event=metadata-{} broker={} reason=\"{}\"", name_of(step.kind),
                          step.replica.node, step.why));
}

/// `rest`: the situation that this is about, if it stays as it is where nothing is to be done.
void ClusterKeeper::move_replicas(metadata::View view, std::optional<Situation> rest) {
  planning_ = true;
  struct Planned {
    metadata::MovePlan plan;
    bool idle = false;
  };
  MetadataWriter::decide_on<Planned>(
      first_,
      [this, view = std::move(view)](
          const metadata::Image& image) -> common::Result<metadata::Decision<Planned>> {
        metadata::Decision<Planned> decision;
        decision.outcome.plan = metadata::plan_moves(image, view, settings_.moves);
        for (const metadata::PlannedRecord& action : decision.outcome.plan.actions)
          decision.records.push_back(action.record);
        for (metadata::Record& record : metadata::permits_due(image, view, wall_ms()))
          decision.records.push_back(std::move(record));
        decision.outcome.idle = decision.records.empty();
        return decision;
      },
      lifeline_.guard([this, rest = std::move(rest)](common::Result<Planned> made) mutable {
        planning_ = false;
        if (!made.ok()) return;  // the next look plans anew
        at_rest_ = made->idle ? std::move(rest) : std::nullopt;
        planned(std::move(made->plan));
      }));
}

void ClusterKeeper::planned(metadata::MovePlan plan) {
  plan_ = std::move(plan);
  for (const metadata::PlannedRecord& action : plan_.actions) {
    if (std::holds_alternative<metadata::MoveStarted>(action.record)) ++counters_.moves_started;
    if (std::holds_alternative<metadata::MoveCompleted>(action.record)) ++counters_.moves_completed;
    first_.tell(fmt::format("event=planned {} reason=\"{}\"", metadata::describe(action.record),
                            action.reason));
  }
  std::set<std::string> blockers;
  for (const metadata::MoveBlocker& blocker : plan_.blockers) {
    std::string line =
        fmt::format("event=move-blocked broker={} cause=\"{}\"", blocker.broker, blocker.cause);
    if (!told_.contains(line)) first_.note(line);
    blockers.insert(std::move(line));
  }
  told_ = std::move(blockers);
  // What was begun or ended may make room for more.
  if (!plan_.actions.empty()) arm(settings_.interval / 4);
}

/// False: all leaders are where they should be, as far as they can.
bool ClusterKeeper::move_leaders(const metadata::View& view) {
  const common::Instant now = first_.clock().now();
  std::erase_if(paused_, [now](const auto& entry) { return entry.second <= now; });
  std::size_t wished = 0;
  const auto wanted =
      metadata::plan_leaders(first_.image(), view, wall_ms(), settings_.transfers_max);
  for (const metadata::LeaderTransfer& one : wanted) {
    if (handing_over_.size() >= settings_.transfers_max) break;
    if (handing_over_.contains(one.partition) || paused_.contains(one.partition)) continue;
    if (one.reason == "preferred" && ++wished > settings_.wished_transfers_max) continue;
    transfer(one);
  }
  return !wanted.empty() || !handing_over_.empty();
}

void ClusterKeeper::transfer(const metadata::LeaderTransfer& wanted) {
  handing_over_.insert(wanted.partition);
  transfer_leader(first_, wanted.partition, wanted.to, kTransferMax,
                  lifeline_.guard([this, key = wanted.partition](const common::Result<void>& done) {
                    handing_over_.erase(key);
                    ++(done.ok() ? counters_.transfers : counters_.transfers_failed);
                    if (!done.ok()) paused_[key] = first_.clock().now() + settings_.transfer_pause;
                  }));
}

}  // namespace millrace::service
