#include "broker/service/groups_anywhere.h"

#include <utility>

#include "broker/service/calls.h"
#include "broker/service/coordinator_home.h"
#include "broker/service/group_fields.h"
#include "broker/service/neighbours.h"

namespace millrace::service {
namespace {

using coordinator::Status;
using model::BrokerId;
using model::ErrorCode;

/// A coordinator answers when its records are committed, which takes as long as an election at
/// most.
constexpr auto kAnswerMax = std::chrono::seconds(5);

template <typename Outcome>
Outcome refused(ErrorCode code, std::string detail) {
  Outcome outcome;
  outcome.status = {code, std::move(detail)};
  return outcome;
}

template <typename Outcome>
Outcome outcome_in(common::Result<common::Bytes> answer) {
  Outcome outcome;
  if (answer.ok()) {
    const auto read = decode(answer->view(), outcome);
    if (read.ok()) return outcome;
    return refused<Outcome>(ErrorCode::kCoordinatorNotAvailable, read.error().detail);
  }
  return refused<Outcome>(ErrorCode::kCoordinatorNotAvailable,
                          "The coordinator does not answer: " + answer.error().detail);
}

template <typename Outcome, typename Request>
using Run = void (*)(Shard&, Request, common::Reply<Outcome>);

/// Runs it where the group is coordinated; on this broker where nobody knows, which says so.
template <typename Outcome, typename Request>
void run_anywhere(Shard& here, Request request, cluster::Method method, Run<Outcome, Request> run,
                  common::Reply<Outcome> done) {
  if (here.neighbours() == nullptr) return run(here, std::move(request), std::move(done));
  const std::string group = request.group;
  coordinator_home(here, group,
                   [&here, request = std::move(request), method, run,
                    done = std::move(done)](BrokerId broker) mutable {
                     if (broker == BrokerId{-1} || broker == here.identity().node)
                       return run(here, std::move(request), std::move(done));
                     here.neighbours()->call(
                         broker, 0, method, encode(request), kAnswerMax,
                         [done = std::move(done)](common::Result<common::Bytes> answer) mutable {
                           done(outcome_in<Outcome>(std::move(answer)));
                         });
                   });
}

template <typename Outcome, typename Request>
void serve_one(Shard& shard, cluster::Method method, Run<Outcome, Request> run) {
  shard.calls().serve(method, [&shard, run](const cluster::Request& asked, Calls::Reply reply) {
    Request request;
    if (const auto read = decode(asked.body.view(), request); !read.ok())
      return reply(read.error());
    run(shard, std::move(request),
        [reply = std::move(reply)](const Outcome& outcome) mutable { reply(encode(outcome)); });
  });
}

}  // namespace

void consumer_heartbeat_anywhere(Shard& here, coordinator::ConsumerHeartbeat request,
                                 common::Reply<coordinator::ConsumerHeartbeatOutcome> done) {
  run_anywhere<coordinator::ConsumerHeartbeatOutcome>(here, std::move(request),
                                                      cluster::Method::kConsumerHeartbeat,
                                                      consumer_heartbeat, std::move(done));
}

void commit_offsets_anywhere(Shard& here, coordinator::OffsetCommit request,
                             common::Reply<coordinator::OffsetCommitOutcome> done) {
  run_anywhere<coordinator::OffsetCommitOutcome>(
      here, std::move(request), cluster::Method::kCommitOffsets, commit_offsets, std::move(done));
}

void fetch_offsets_anywhere(Shard& here, coordinator::OffsetFetch request,
                            common::Reply<coordinator::OffsetFetchOutcome> done) {
  run_anywhere<coordinator::OffsetFetchOutcome>(
      here, std::move(request), cluster::Method::kFetchOffsets, fetch_offsets, std::move(done));
}

void serve_members(Shard& shard) {
  serve_one<coordinator::ConsumerHeartbeatOutcome, coordinator::ConsumerHeartbeat>(
      shard, cluster::Method::kConsumerHeartbeat, consumer_heartbeat);
  serve_one<coordinator::OffsetCommitOutcome, coordinator::OffsetCommit>(
      shard, cluster::Method::kCommitOffsets, commit_offsets);
  serve_one<coordinator::OffsetFetchOutcome, coordinator::OffsetFetch>(
      shard, cluster::Method::kFetchOffsets, fetch_offsets);
}

}  // namespace millrace::service
