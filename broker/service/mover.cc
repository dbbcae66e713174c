#include "broker/service/mover.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "broker/replica/lag.h"
#include "broker/service/assignments.h"
#include "broker/service/shard.h"

namespace millrace::service {
namespace {

constexpr auto kInterval = std::chrono::milliseconds(100);

raft::Change change_of(MotionStep::Kind kind) {
  switch (kind) {
    case MotionStep::Kind::kAddLearner:
      return raft::Change::kAddLearner;
    case MotionStep::Kind::kPromote:
      return raft::Change::kPromote;
    case MotionStep::Kind::kDemote:
      return raft::Change::kDemote;
    default:
      CHECK(kind == MotionStep::Kind::kRemove);
      return raft::Change::kRemove;
  }
}

}  // namespace

MotionFacts motion_facts(const Shard& shard, const replica::Partition& partition) {
  const raft::Group& group = *partition.group();
  MotionFacts facts{.self = group.self(), .config = group.config(), .replicas = {}, .alive = {}};
  for (const auto* members : {&facts.config.voters, &facts.config.learners}) {
    for (const raft::ReplicaId& id : *members) {
      const raft::Progress* const progress = group.progress(id);
      MotionReplica replica{.id = id, .alive = shard.alive(id.node)};
      replica.close = progress != nullptr && progress->state == raft::Progress::State::kReplicate &&
                      progress->in_term && !progress->silent && !progress->unclean &&
                      replica::close_to_end(partition.log(),
                                            group.log_end() - progress->acked.offset, shard.raft());
      facts.replicas.push_back(replica);
    }
  }
  for (const auto& [id, broker] : shard.image().brokers()) {
    if (shard.alive(id)) facts.alive.push_back(id);
  }
  return facts;
}

bool carry_out(const MotionStep& step, replica::Partition& partition, MoverCounters& counters) {
  if (step.kind == MotionStep::Kind::kTransfer) {
    const bool begun = partition.transfer(step.replica) == raft::Refusal::kNone;
    counters.transfers += begun ? 1 : 0;
    return begun;
  }
  if (partition.reconfigure(change_of(step.kind), step.replica) != raft::Refusal::kNone)
    return false;
  switch (step.kind) {
    case MotionStep::Kind::kAddLearner:
      ++counters.learners_added;
      break;
    case MotionStep::Kind::kPromote:
      ++counters.promotions;
      break;
    case MotionStep::Kind::kDemote:
      ++counters.demotions;
      break;
    default:
      ++counters.removals;
  }
  return true;
}

void Mover::look_at(const model::PartitionKey& key) {
  // A broker that is alone has nobody to move anything to.
  if (stopped_ || shard_.neighbours() == nullptr) return;
  under_way_.emplace(key, std::string_view());
  arm();
}

void Mover::image_changed(const metadata::Record& record) {
  const auto look = [this](const model::PartitionKey& key) {
    if (shard_.partition(key) != nullptr) look_at(key);
  };
  if (const auto* started = std::get_if<metadata::MoveStarted>(&record)) look(started->partition);
  if (const auto* done = std::get_if<metadata::MoveCompleted>(&record)) look(done->partition);
  if (const auto* ended = std::get_if<metadata::MoveCancelled>(&record)) look(ended->partition);
  if (std::holds_alternative<metadata::BrokerRegistered>(record) ||
      std::holds_alternative<metadata::BrokerDecommissioned>(record))
    share_rate();
}

void Mover::set_rate(std::int64_t bytes_per_second) {
  bytes_per_second_ = bytes_per_second;
  share_rate();
}

/// By where the moves are led. Who leads none has an even share, for replicas whose disk was
/// replaced: to copy those is no move.
void Mover::share_rate() {
  const metadata::Image& image = shard_.image();
  std::int64_t led = 0;
  for (const auto& [key, why] : under_way_) {
    const metadata::PartitionAssignment* const assignment = image.assignment(key);
    if (assignment != nullptr && assignment->moving()) ++led;
  }
  const auto share = [this](std::int64_t part, std::size_t of) {
    const double rate = static_cast<double>(bytes_per_second_) * static_cast<double>(part) /
                        static_cast<double>(std::max<std::size_t>(1, of));
    return std::max<std::uint64_t>(1, static_cast<std::uint64_t>(rate));
  };
  shard_.replicas().set_move_rate(led > 0
                                      ? share(led, static_cast<std::size_t>(image.moving_total()))
                                      : share(1, image.brokers().size() * shard_.peers().size()));
}

void Mover::arm() {
  if (timer_ != env::TimerId::kNone || under_way_.empty() || stopped_) return;
  timer_ = shard_.loop().after(kInterval, lifeline_.guard([this] {
    timer_ = env::TimerId::kNone;
    turn();
    arm();
  }));
}

void Mover::turn() {
  std::vector<model::PartitionKey> keys;
  keys.reserve(under_way_.size());
  for (const auto& [key, why] : under_way_) keys.push_back(key);
  for (const model::PartitionKey& key : keys) {
    if (!advance(key)) under_way_.erase(key);
  }
  share_rate();
}

bool Mover::advance(const model::PartitionKey& key) {
  replica::Partition* const partition = shard_.partition(key);
  if (partition == nullptr || partition->group() == nullptr || !partition->is_leader())
    return false;
  const auto goal = motion_goal(shard_.image(), key);
  if (!goal) return false;
  const MotionStep step = next_step(*goal, motion_facts(shard_, *partition));
  under_way_[key] = step.why;
  if (step.kind == MotionStep::Kind::kDone) return false;
  if (step.kind == MotionStep::Kind::kWait) return true;
  if (!carry_out(step, *partition, counters_)) {
    ++counters_.refusals;
    return true;
  }
  shard_.tell(fmt::format("event=replica-{} topic={} partition={} broker={} reason=\"{}\"",
                          name_of(step.kind), partition->log().topic_name(), key.index,
                          step.replica.node, step.why));
  return true;
}

void Mover::stop() {
  stopped_ = true;
  if (timer_ != env::TimerId::kNone)
    shard_.loop().cancel(std::exchange(timer_, env::TimerId::kNone));
}

}  // namespace millrace::service
