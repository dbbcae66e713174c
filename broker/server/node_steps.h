// How the steps of a node are put together. Of node.cc, node_doors.cc and node_stop.cc only.
#pragma once

#include <fmt/format.h>

#include <utility>
#include <vector>

#include "broker/server/node.h"
#include "broker/service/everywhere.h"

namespace millrace::server {

/// Between two attempts at what others have to agree to.
inline constexpr common::Duration kTryAgain = std::chrono::milliseconds(100);

/// Whether it makes no sense to ask the cluster once more.
inline bool is_final(const common::Error& error) {
  switch (error.code) {
    case model::ErrorCode::kInvalidRegistration:
    case model::ErrorCode::kDuplicateBrokerRegistration:
    case model::ErrorCode::kUnsupportedVersion:
    case model::ErrorCode::kCorruptLog:
    case model::ErrorCode::kShuttingDown:
      return true;
    default:
      return false;
  }
}

template <typename Step>
void Node::on_first(Step step) {
  seats_.front().world.loop.post(std::move(step));
}

/// step(seat, reply) on every shard's loop at once; the first error, or success, on the first
/// one's. On the first shard's loop.
template <typename Step>
void Node::on_all(Step step, Done done) {
  service::on_every_shard<common::Result<void>>(
      first(),
      [this, step](service::Shard& shard, Done reply) {
        step(seats_[shard.index()], std::move(reply));
      },
      [done = std::move(done)](std::vector<common::Result<void>> outcomes) mutable {
        for (common::Result<void>& outcome : outcomes)
          if (!outcome.ok()) return done(std::move(outcome));
        done(common::ok());
      });
}

/// What follows a step of the start: `next` if it succeeded, and nobody stops the node meanwhile;
/// else the end with its error. Called on the first shard's loop.
template <typename Next>
Node::Done Node::and_then(Done done, Next next) {
  return
      [this, done = std::move(done), next = std::move(next)](common::Result<void> outcome) mutable {
        if (outcome.ok() && stopping_) outcome = model::error(model::ErrorCode::kShuttingDown);
        if (!outcome.ok()) return done(std::move(outcome));
        next(std::move(done));
      };
}

/// attempt(reply) until it succeeds, or cannot succeed any more, or this broker stops. Alone: once.
template <typename Attempt>
void Node::insist(Attempt attempt, Done done) {
  if (membership_ == nullptr) return attempt(std::move(done));
  waiting_ = std::move(done);
  try_again(std::move(attempt), ++waits_);
}

template <typename Attempt>
void Node::try_again(Attempt attempt, std::uint64_t wait) {
  attempt([this, attempt, wait](common::Result<void> outcome) mutable {
    if (wait != waits_ || !waiting_) return;
    if (outcome.ok() || is_final(outcome.error()))
      return std::exchange(waiting_, {})(std::move(outcome));
    host_.waits(fmt::format("the cluster does not answer: {}", outcome.error().detail));
    first().loop().after(kTryAgain, [this, attempt = std::move(attempt), wait]() mutable {
      if (wait == waits_ && waiting_) try_again(std::move(attempt), wait);
    });
  });
}

}  // namespace millrace::server
