// Fetch: reads many partitions, with or without an incremental session (KIP-227). From version 13
// on topics are named by id.
#include <algorithm>
#include <memory>

#include "broker/kafka/fetch_sessions.h"
#include "broker/kafka/handlers/answers.h"
#include "broker/kafka/handlers/topic_view.h"
#include "broker/service/fetch.h"
#include "broker/wire/messages/fetch.h"

namespace millrace::kafka {
namespace {

using Request = wire::FetchRequest;
using Response = wire::FetchResponse;

constexpr std::int16_t kTopicIdVersionMin = 13;
constexpr std::int16_t kFollowersVersionMin = 11;  // KIP-392: who asks with this may be sent away
constexpr std::int16_t kHintsVersionMin = 16;      // KIP-951
// A shard that is short of memory still answers, with little.
constexpr std::size_t kBytesAlways = std::size_t{64} << 10;

/// kNone: a request that stands for itself. kFull: opens a session. kIncremental: says what changed
/// in its session.
enum class SessionUse : std::uint8_t { kNone, kFull, kIncremental };

/// One request while it is worked on.
struct Work {
  SessionUse use = SessionUse::kNone;
  std::shared_ptr<FetchSession> session;  // kIncremental
  std::int32_t epoch = 0;                 // that the session had when this request began
  bool by_id = false;
  bool committed_only = false;
  bool with_hints = false;
  std::vector<FetchedPartition> partitions;
  // Of the server: used only while the call's connection, and so the server, is there.
  FetchSessions* sessions = nullptr;
  const common::Clock* clock = nullptr;
};

std::vector<FetchedPartition> named_partitions(Request& request) {
  std::vector<FetchedPartition> partitions;
  for (const Request::Topic& topic : request.topics) {
    for (const Request::Partition& wanted : topic.partitions) {
      FetchedPartition partition;
      partition.target = {topic.topic_id, topic.topic, model::PartitionIndex{wanted.partition}};
      partition.from = model::Offset{wanted.fetch_offset};
      partition.bytes_max = wanted.partition_max_bytes;
      partition.leader_epoch = model::Term{wanted.current_leader_epoch};
      partition.last_fetched_epoch = model::Term{wanted.last_fetched_epoch};
      partitions.push_back(std::move(partition));
    }
  }
  return partitions;
}

/// Brings the session up to date with what an incremental request says.
ErrorCode join_session(Request& request, FetchSessions& sessions, common::Instant now, Work& work) {
  auto session = sessions.find(request.session_id, now);
  if (session == nullptr) return ErrorCode::kFetchSessionIdNotFound;
  if (session->epoch() != request.session_epoch) return ErrorCode::kInvalidFetchSessionEpoch;
  if (session->by_id() != work.by_id) return ErrorCode::kFetchSessionTopicIdError;
  for (FetchedPartition& partition : named_partitions(request)) session->put(std::move(partition));
  for (const Request::ForgottenTopic& topic : request.forgotten_topics_data) {
    for (const std::int32_t partition : topic.partitions) {
      session->remove({topic.topic_id, topic.topic, model::PartitionIndex{partition}});
    }
  }
  if (!sessions.recount(*session)) return ErrorCode::kFetchSessionIdNotFound;
  if (session->size() == 0) {
    // Nothing is left to remember: the answer says that there is no session any more.
    sessions.remove(session->id());
    return ErrorCode::kNone;
  }
  session->advance();
  work.use = SessionUse::kIncremental;
  work.epoch = session->epoch();
  work.partitions.assign(session->partitions().begin(), session->partitions().end());
  work.session = std::move(session);
  return ErrorCode::kNone;
}

/// Finds out which kind of request this is and which partitions it reads.
ErrorCode begin(Request& request, const Context& context, Work& work) {
  const common::Instant now = context.shard.clock().now();
  if (request.session_epoch != kInitialFetchEpoch && request.session_epoch != kFinalFetchEpoch) {
    return join_session(request, context.fetch_sessions, now, work);
  }
  if (request.session_id != kNoFetchSession) context.fetch_sessions.remove(request.session_id);
  if (request.session_epoch == kInitialFetchEpoch) work.use = SessionUse::kFull;
  work.partitions = named_partitions(request);
  return ErrorCode::kNone;
}

service::FetchCommand command_of(Request& request, const Context& context, const Work& work,
                                 std::int16_t version) {
  service::FetchCommand command;
  command.from_followers = version >= kFollowersVersionMin;
  command.rack = std::move(request.rack_id);
  command.isolation = static_cast<replica::Isolation>(work.committed_only ? 1 : 0);
  const std::size_t asked = request.max_bytes < 0 ? 0 : static_cast<std::size_t>(request.max_bytes);
  const std::size_t affordable = std::max(kBytesAlways, context.memory.left() / 2);
  command.bytes_max = std::min({asked, context.limits.fetch_bytes_max, affordable});
  const std::size_t wanted =
      request.min_bytes < 0 ? 0 : static_cast<std::size_t>(request.min_bytes);
  command.bytes_min = std::min(wanted, command.bytes_max);
  // With nothing to read there is nothing to wait for.
  if (!work.partitions.empty())
    command.wait_max = std::chrono::milliseconds(std::max(request.max_wait_ms, 0));
  command.items.reserve(work.partitions.size());
  for (const FetchedPartition& partition : work.partitions) {
    command.items.push_back({partition.target, partition.from,
                             static_cast<std::size_t>(std::max(partition.bytes_max, 0)),
                             partition.leader_epoch, partition.last_fetched_epoch});
  }
  return command;
}

Response::Partition partition_answer(const FetchedPartition& partition,
                                     service::FetchOutcome& outcome, const Work& work) {
  Response::Partition answer;
  answer.partition_index = partition.target.partition.value();
  answer.error_code = kafka_number(outcome.code);
  answer.high_watermark = -1;
  answer.records.emplace();
  if (!work.committed_only) answer.aborted_transactions.reset();
  if (work.with_hints) put_leader(outcome.leader, answer.current_leader);
  if (outcome.code != ErrorCode::kNone) return answer;
  answer.high_watermark = outcome.bounds.high_watermark.value();
  answer.last_stable_offset = outcome.bounds.last_stable.value();
  answer.log_start_offset = outcome.bounds.log_start.value();
  if (outcome.diverging.term.value() >= 0) {
    answer.diverging_epoch.epoch = outcome.diverging.term.value();
    answer.diverging_epoch.end_offset = outcome.diverging.offset.value();
  }
  answer.preferred_read_replica = outcome.nearer.value();
  for (common::Bytes& piece : outcome.pieces) answer.records->add(std::move(piece));
  return answer;
}

/// Whether a session's reader must hear of this partition, and notes that it does (KIP-227).
bool is_news(FetchedPartition& partition, const service::FetchOutcome& outcome) {
  const bool failed = outcome.code != ErrorCode::kNone;
  const model::Offset high_watermark = failed ? model::Offset{-1} : outcome.bounds.high_watermark;
  const model::Offset log_start = failed ? partition.told_log_start : outcome.bounds.log_start;
  const bool news = failed || outcome.bytes > 0 || outcome.diverging.term.value() >= 0 ||
                    outcome.nearer != model::BrokerId{-1} ||
                    partition.told_high_watermark != high_watermark ||
                    partition.told_log_start != log_start;
  partition.told_high_watermark = high_watermark;
  partition.told_log_start = log_start;
  return news;
}

void add(Response& response, const FetchedPartition& partition, Response::Partition answer) {
  auto& topics = response.responses;
  if (topics.empty() || topics.back().topic_id != partition.target.topic_id ||
      topics.back().topic != partition.target.topic_name) {
    Response::Topic& topic = topics.emplace_back();
    topic.topic = partition.target.topic_name;
    topic.topic_id = partition.target.topic_id;
  }
  topics.back().partitions.push_back(std::move(answer));
}

/// The addresses of the leaders that errors name (KIP-951).
void add_endpoints(const Call<Request>& call, Response& response) {
  std::optional<LeaderHints> hints;
  for (const Response::Topic& topic : response.responses) {
    for (const Response::Partition& partition : topic.partitions) {
      if (partition.current_leader.leader_id < 0) continue;
      if (!hints) hints.emplace(call.shard(), call.arrival());
      hints->name(model::BrokerId{partition.current_leader.leader_id});
    }
  }
  if (hints) hints->finish(response);
}

/// The answer to an incremental request: only partitions with news, and those with records go to
/// the end of the line.
Response incremental_answer(Work& work, std::vector<service::FetchOutcome>& outcomes) {
  Response response;
  if (work.session->epoch() != work.epoch) {
    // Another request of the same session came meanwhile; what this one would say could hide news
    // from that one.
    response.error_code = kafka_number(ErrorCode::kInvalidFetchSessionEpoch);
    return response;
  }
  response.session_id = work.session->id();
  for (std::size_t i = 0; i < outcomes.size(); ++i) {
    FetchedPartition* known = work.session->find(work.partitions[i].target);
    if (known == nullptr || !is_news(*known, outcomes[i])) continue;
    if (outcomes[i].bytes > 0) work.session->move_to_end(work.partitions[i].target);
    add(response, work.partitions[i], partition_answer(work.partitions[i], outcomes[i], work));
  }
  return response;
}

/// The answer with every partition of the request; it may open a session.
Response full_answer(Work& work, std::vector<service::FetchOutcome>& outcomes) {
  Response response;
  for (std::size_t i = 0; i < outcomes.size(); ++i) {
    is_news(work.partitions[i], outcomes[i]);
    add(response, work.partitions[i], partition_answer(work.partitions[i], outcomes[i], work));
  }
  if (work.use != SessionUse::kFull) return response;
  const auto session =
      work.sessions->create(std::move(work.partitions), work.by_id, work.clock->now());
  if (session != nullptr) response.session_id = session->id();
  return response;
}

}  // namespace

template <>
void handle(Request request, Call<Request> call) {
  const Context& context = call.context();
  auto work = std::make_unique<Work>();
  work->by_id = call.version() >= kTopicIdVersionMin;
  work->committed_only = request.isolation_level == 1;
  work->with_hints = call.version() >= kHintsVersionMin;
  work->sessions = &context.fetch_sessions;
  work->clock = &context.shard.clock();
  if (request.cluster_id.has_value() &&
      *request.cluster_id != context.shard.identity().cluster_id) {
    Response response;
    response.error_code = kafka_number(ErrorCode::kInconsistentClusterId);
    return call.answer(response);
  }
  if (const ErrorCode code = begin(request, context, *work); code != ErrorCode::kNone) {
    Response response;
    response.error_code = kafka_number(code);
    return call.answer(response);
  }
  service::FetchCommand command = command_of(request, context, *work, call.version());
  command.listener = call.listener();
  service::Shard& shard = context.shard;
  const AnyCall::Place place = call.place();
  auto waiting = service::fetch(shard, std::move(command),
                                [call = std::move(call), work = std::move(work)](
                                    std::vector<service::FetchOutcome> outcomes) mutable {
                                  if (call.abandoned()) return std::move(call).answer_nothing();
                                  Response response = work->use == SessionUse::kIncremental
                                                          ? incremental_answer(*work, outcomes)
                                                          : full_answer(*work, outcomes);
                                  add_endpoints(call, response);
                                  call.answer(response);
                                });
  place.cancel_with_connection(std::move(waiting));
}

}  // namespace millrace::kafka
