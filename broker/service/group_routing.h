// at_coordinator<JoinOutcome>(here, group, NoTopic::kMake, [request](Shard& owner,
// GroupCoordinator& coordinator, common::Reply<JoinOutcome> reply) { ... }, std::move(done));
//
// Finds the coordinator of a group and runs something on its shard.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "broker/service/everywhere.h"
#include "broker/service/group_coordinators.h"
#include "broker/service/offsets_topic.h"
#include "broker/service/shard.h"

namespace millrace::service {

/// Where a group is coordinated.
struct GroupPlace {
  Shard* owner = nullptr;
  model::PartitionIndex index;
};
/// nullopt: __consumer_offsets is not there.
std::optional<GroupPlace> group_place(Shard& here, std::string_view group);

/// Why a shard has no coordinator of a partition: another broker leads it, or this one is only just
/// elected and does not know yet what is committed. Then a client should stay.
coordinator::Status no_coordinator(Shard& owner, model::PartitionIndex index);

/// What becomes of a request while __consumer_offsets is not there.
enum class NoTopic : std::uint8_t { kMake, kRefuse };

/// run(owner, coordinator, reply) on the loop of the group's coordinator; `done` on `here`'s loop.
/// `run` is called once at most and may own what only moves. Outcome must have a status, or be one.
template <typename Outcome, typename Run>
void at_coordinator(Shard& here, const std::string& group, NoTopic no_topic, Run run,
                    common::Reply<Outcome> done) {
  const auto place = group_place(here, group);
  if (!place) {
    if (no_topic == NoTopic::kRefuse) {
      return done(failed_outcome<Outcome>(
          {model::ErrorCode::kNotCoordinator, "No group has been made yet"}));
    }
    return ensure_offsets_topic(here, [&here, group, run = std::move(run),
                                       done = std::move(done)](coordinator::Status made) mutable {
      if (!made.ok()) return done(failed_outcome<Outcome>(std::move(made)));
      at_coordinator<Outcome>(here, group, NoTopic::kRefuse, std::move(run), std::move(done));
    });
  }
  auto job = [owner = place->owner, index = place->index,
              run = std::move(run)](common::Reply<Outcome> reply) mutable {
    GroupCoordinator* coordinator = owner->coordinators().find(index);
    if (coordinator == nullptr)
      return reply(failed_outcome<Outcome>(no_coordinator(*owner, index)));
    run(*owner, *coordinator, std::move(reply));
  };
  if (place->owner == &here) return job(std::move(done));
  place->owner->loop().post(
      [job = std::move(job), reply = reply_on<Outcome>(here, std::move(done))]() mutable {
        job(std::move(reply));
      });
}

}  // namespace millrace::service
