// How the steps of a node are put together. Of node.cc and node_stop.cc only.
#pragma once

#include <utility>
#include <vector>

#include "broker/server/node.h"
#include "broker/service/everywhere.h"

namespace millrace::server {

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

}  // namespace millrace::server
