// Produce: one record batch per partition. From version 13 on topics are named by id.
#include <algorithm>
#include <memory>

#include "broker/kafka/handlers/answers.h"
#include "broker/kafka/handlers/topic_view.h"
#include "broker/kafka/session.h"
#include "broker/model/batch.h"
#include "broker/service/produce.h"
#include "broker/wire/messages/produce.h"

namespace millrace::kafka {
namespace {

using Request = wire::ProduceRequest;
using Response = wire::ProduceResponse;

constexpr std::int16_t kZstdVersionMin = 7;    // KIP-110
constexpr std::int16_t kHintsVersionMin = 10;  // KIP-951

/// The answer with every partition of the request in its place, still to be filled.
Response outline(Request& request) {
  Response response;
  response.responses.reserve(request.topic_data.size());
  for (Request::Topic& topic : request.topic_data) {
    Response::Topic& answer = response.responses.emplace_back();
    answer.name = std::move(topic.name);
    answer.topic_id = topic.topic_id;
    answer.partition_responses.resize(topic.partition_data.size());
    for (std::size_t i = 0; i < topic.partition_data.size(); ++i) {
      answer.partition_responses[i].index = topic.partition_data[i].index;
      answer.partition_responses[i].base_offset = -1;
    }
  }
  return response;
}

void fail(Response::Partition& partition, ErrorCode code, std::string detail) {
  put_error(partition, code, std::move(detail));
}

/// Every partition fails for the same reason.
void refuse_all(Call<Request> call, const Request& request, Response response, ErrorCode code,
                std::string detail) {
  if (request.acks == 0)
    return std::move(call).close_connection("a Produce with acks=0 failed: " + detail);
  for (auto& topic : response.responses) {
    for (auto& partition : topic.partition_responses) fail(partition, code, detail);
  }
  call.answer(response);
}

bool is_zstd(const common::Bytes& records) {
  // Form is checked where it is appended; here only the two bits of the compression matter.
  return records.size() >= model::kBatchHeaderBytes &&
         (records.data()[22] & 7) == static_cast<int>(model::Compression::kZstd);
}

/// What is on its way to the log, and the answer it will fill: outcome i belongs to partition
/// places[i].
struct Work {
  Response response;
  std::vector<std::pair<std::uint32_t, std::uint32_t>> places;  // topic, partition
  bool failed = false;
  std::optional<LeaderHints> hints;  // made when there is one

  Response::Partition& at(std::size_t i) {
    return response.responses[places[i].first].partition_responses[places[i].second];
  }
};

/// An error that the wrong broker is the reason of says which is the right one.
void put_hint(Work& work, const service::ProduceOutcome& outcome, const Call<Request>& call,
              Response::Partition& answer) {
  if (outcome.code != ErrorCode::kNotLeaderOrFollower || call.version() < kHintsVersionMin) return;
  if (call.abandoned()) return;
  if (!work.hints) work.hints.emplace(call.shard(), call.arrival());
  work.hints->put(outcome.leader, answer.current_leader);
}

void put(Response::Partition& answer, service::ProduceOutcome outcome) {
  if (outcome.code == ErrorCode::kNone) {
    answer.base_offset = outcome.appended.base_offset.value();
    answer.log_append_time_ms = outcome.appended.append_time.value();
    answer.log_start_offset = outcome.appended.log_start.value();
    return;
  }
  fail(answer, outcome.code, std::move(outcome.detail));
  for (model::RecordError& record : outcome.records) {
    answer.record_errors.push_back({record.index, std::move(record.message)});
  }
}

std::unique_ptr<Work> plan(Request& request, std::int16_t version,
                           service::ProduceCommand& command) {
  auto work = std::make_unique<Work>();
  work->response = outline(request);
  for (std::uint32_t t = 0; t < request.topic_data.size(); ++t) {
    Request::Topic& topic = request.topic_data[t];
    for (std::uint32_t p = 0; p < topic.partition_data.size(); ++p) {
      Request::Partition& partition = topic.partition_data[p];
      common::Bytes records =
          partition.records.has_value() ? partition.records->joined() : common::Bytes();
      Response::Partition& answer = work->response.responses[t].partition_responses[p];
      if (version < kZstdVersionMin && is_zstd(records)) {
        work->failed = true;
        fail(answer, ErrorCode::kUnsupportedCompressionType,
             "Produce requests with version < 7 are not allowed to use ZStandard compression");
        continue;
      }
      partition.records.reset();
      work->places.emplace_back(t, p);
      command.items.push_back({{topic.topic_id, work->response.responses[t].name,
                                model::PartitionIndex{partition.index}},
                               std::move(records)});
    }
  }
  return work;
}

/// The shard that a client of this kind of request would best be connected to.
std::size_t home_of(service::Shard& here, const service::ProduceCommand& command) {
  if (command.items.size() != 1) return here.index();
  const auto key = service::resolve(here, command.items.front().target);
  return key.ok() ? here.owner(*key).index() : here.index();
}

}  // namespace

template <>
void handle(Request request, Call<Request> call) {
  if (request.acks < -1 || request.acks > 1) {
    return refuse_all(std::move(call), request, outline(request), ErrorCode::kInvalidRequiredAcks,
                      {});
  }
  if (request.transactional_id.has_value()) {
    return refuse_all(std::move(call), request, outline(request), ErrorCode::kInvalidTxnState,
                      "This broker does not serve transactions");
  }
  service::ProduceCommand command;
  command.acks = static_cast<replica::Acks>(request.acks);
  command.timeout = std::chrono::milliseconds(std::max(request.timeout_ms, 1));
  auto work = plan(request, call.version(), command);
  service::Shard& shard = call.shard();
  if (call.asks_for_home()) call.lives_on(home_of(shard, command));
  service::produce(shard, std::move(command),
                   [call = std::move(call), work = std::move(work),
                    acks = request.acks](std::vector<service::ProduceOutcome> outcomes) mutable {
                     for (std::size_t i = 0; i < outcomes.size(); ++i) {
                       if (outcomes[i].code != ErrorCode::kNone) work->failed = true;
                       put_hint(*work, outcomes[i], call, work->at(i));
                       put(work->at(i), std::move(outcomes[i]));
                     }
                     if (work->hints) work->hints->finish(work->response);
                     if (acks != 0) return call.answer(work->response);
                     // There is no answer that could carry an error: as in Kafka, the closed
                     // connection tells.
                     if (work->failed)
                       return std::move(call).close_connection("a Produce with acks=0 failed");
                     std::move(call).answer_nothing();
                   });
}

}  // namespace millrace::kafka
