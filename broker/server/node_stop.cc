#include <fmt/format.h>

#include <numeric>
#include <utility>

#include "broker/server/node_steps.h"
#include "broker/service/everywhere.h"
#include "broker/service/group_coordinators.h"
#include "broker/service/hand_over.h"

namespace millrace::server {
namespace {

using common::Result;
using model::ErrorCode;

constexpr common::Duration kHandOverMax = std::chrono::seconds(5);
constexpr common::Duration kRound = std::chrono::milliseconds(200);
constexpr common::Duration kDrainMax = std::chrono::seconds(10);

/// What follows a step of the end: `next`, whatever became of the step.
template <typename Next>
common::Reply<Result<void>> in_any_case(common::Reply<Result<void>> done, Next next) {
  return [done = std::move(done), next = std::move(next)](const Result<void>&) mutable {
    next(std::move(done));
  };
}

}  // namespace

void Node::give_up() {
  on_first([this] { stop_waiting(); });
}

void Node::stop_waiting() {
  stopping_ = true;
  if (membership_ != nullptr) membership_->give_up();
  if (waiting_) std::exchange(waiting_, {})(model::error(ErrorCode::kShuttingDown));
}

void Node::hand_over(Done done) {
  on_first([this, done = std::move(done)]() mutable { hand_over_here(std::move(done)); });
}

void Node::hand_over_here(Done done) {
  if (membership_ == nullptr) return done(common::ok());
  membership_->resign();
  hand_over_until(first().clock().now() + kHandOverMax, std::move(done));
}

// In rounds, so that brokers that stop together find out before they have given everything to each
// other again and again.
void Node::hand_over_until(common::Instant limit, Done done) {
  const common::Instant began = first().clock().now();
  service::on_every_shard<std::size_t>(
      first(),
      [unfit = membership_->unfit()](service::Shard& shard, common::Reply<std::size_t> reply) {
        service::hand_over_all(shard, kRound, std::move(reply), unfit);
      },
      [this, began, limit, done = std::move(done)](const std::vector<std::size_t>& left) mutable {
        const std::size_t all = std::accumulate(left.begin(), left.end(), std::size_t{0});
        const common::Instant now = first().clock().now();
        // A round that ended early found nobody to give more to.
        const bool over = all == 0 || now - began < kRound || now >= limit;
        if (!over) return hand_over_until(limit, std::move(done));
        if (!std::exchange(handed_over_, true))
          host_.log(NodeHost::Level::kInfo, fmt::format("event=handed-over still_led={}", all));
        done(common::ok());
      });
}

void Node::stop(Done done) {
  on_first([this, done = std::move(done)]() mutable {
    stop_waiting();
    auto close = [this](Done reply) { close_shards(std::move(reply)); };
    auto doors = [this, close](Done reply) { close_doors(in_any_case(std::move(reply), close)); };
    hand_over_here(in_any_case(std::move(done), doors));
  });
}

void Node::close_doors(Done done) {
  // Members that wait in a rebalance would hold up their connections, and so the end.
  on_all(
      [this](Seat& seat, Done reply) {
        seat.shard->coordinators().close(ErrorCode::kCoordinatorNotAvailable);
        drain(seat, std::move(reply));
      },
      std::move(done));
}

void Node::drain(Seat& seat, Done done) {
  seat.closing = true;
  if (seat.kafka == nullptr) return done(common::ok());
  struct Draining {
    Done done;
    env::TimerId limit;
  };
  auto draining = std::make_shared<Draining>(Draining{std::move(done), env::TimerId::kNone});
  draining->limit = seat.world.loop.after(kDrainMax, [this, draining] {
    if (!draining->done) return;
    host_.log(NodeHost::Level::kWarning,
              "event=stop detail=\"some clients did not take their answers in time\"");
    draining->done(common::ok());
  });
  seat.kafka->drain([draining, &loop = seat.world.loop] {
    if (!draining->done) return;
    loop.cancel(draining->limit);
    draining->done(common::ok());
  });
}

// The others are told when nothing is left to be answered, because that may need them. The metadata
// writer and all shards close before any store does: an append under way on one of them may concern
// another.
void Node::close_shards(Done done) {
  if (membership_ != nullptr) membership_->leave();
  if (writer_ != nullptr) writer_->close();
  auto close_stores = [this](Done reply) {
    on_all([](Seat& seat, Done closed) { seat.shard->store().close(std::move(closed)); },
           std::move(reply));
  };
  on_all(
      [](Seat& seat, Done reply) {
        seat.shard->close();
        reply(common::ok());
      },
      in_any_case(std::move(done), close_stores));
}

}  // namespace millrace::server
