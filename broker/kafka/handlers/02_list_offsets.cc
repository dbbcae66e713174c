// ListOffsets: the start, the end, the largest time, or the first record of a time. Version 0 is
// gone since Kafka 4.0.
#include <memory>

#include "broker/kafka/handlers/answers.h"
#include "broker/service/offsets.h"
#include "broker/wire/messages/list_offsets.h"

namespace millrace::kafka {
namespace {

using Request = wire::ListOffsetsRequest;
using Response = wire::ListOffsetsResponse;

constexpr std::int64_t kEarliestPendingUpload = -6;
constexpr std::int16_t kOffsetNotAvailableVersionMin = 5;  // KIP-207

struct Work {
  Response response;
  std::vector<std::pair<std::size_t, std::size_t>> places;  // of query i: topic, partition
};

/// The first version that knows a special target (KIP-734, KIP-405, KIP-1005, KIP-1023).
std::int16_t first_version(std::int64_t at) {
  if (at >= service::kEarliest.value()) return 1;
  switch (at) {
    case -3:
      return 7;
    case -4:
      return 8;
    case -5:
      return 9;
    case kEarliestPendingUpload:
      return 11;
    default:
      return INT16_MAX;
  }
}

std::vector<service::OffsetQuery> plan(const Request& request, std::int16_t version, Work& work) {
  std::vector<service::OffsetQuery> queries;
  for (const Request::Topic& topic : request.topics) {
    Occurrences<std::int32_t> named;
    for (const Request::Partition& wanted : topic.partitions) named.add(wanted.partition_index);
    Response::Topic& answers = work.response.topics.emplace_back();
    answers.name = topic.name;
    for (const Request::Partition& wanted : topic.partitions) {
      Response::Partition& answer = answers.partitions.emplace_back();
      answer.partition_index = wanted.partition_index;
      if (named.repeated(wanted.partition_index)) {
        answer.error_code = kafka_number(ErrorCode::kInvalidRequest);
      } else if (version < first_version(wanted.timestamp)) {
        answer.error_code = kafka_number(ErrorCode::kUnsupportedVersion);
      } else if (wanted.timestamp !=
                 kEarliestPendingUpload) {  // nothing is ever uploaded: no offset
        work.places.emplace_back(work.response.topics.size() - 1, answers.partitions.size() - 1);
        queries.push_back({{{}, topic.name, model::PartitionIndex{wanted.partition_index}},
                           model::Term{wanted.current_leader_epoch},
                           common::Timestamp{wanted.timestamp}});
      }
    }
  }
  return queries;
}

/// Clients of before KIP-207 know another word for a leader that is not ready.
ErrorCode told(ErrorCode code, std::int16_t version) {
  return code == ErrorCode::kOffsetNotAvailable && version < kOffsetNotAvailableVersionMin
             ? ErrorCode::kLeaderNotAvailable
             : code;
}

}  // namespace

template <>
void handle(Request request, Call<Request> call) {
  auto work = std::make_unique<Work>();
  auto queries = plan(request, call.version(), *work);
  const auto isolation = request.isolation_level == 1 ? replica::Isolation::kReadCommitted
                                                      : replica::Isolation::kReadUncommitted;
  service::Shard& shard = call.shard();
  service::list_offsets(shard, std::move(queries), isolation,
                        [call = std::move(call),
                         work = std::move(work)](std::vector<service::OffsetAnswer> found) mutable {
                          for (std::size_t i = 0; i < found.size(); ++i) {
                            const auto [topic, partition] = work->places[i];
                            Response::Partition& answer =
                                work->response.topics[topic].partitions[partition];
                            answer.error_code = kafka_number(told(found[i].code, call.version()));
                            if (found[i].code != ErrorCode::kNone) continue;
                            answer.timestamp = found[i].timestamp.value();
                            answer.offset = found[i].offset.value();
                            answer.leader_epoch = found[i].leader_epoch.value();
                          }
                          call.answer(work->response);
                        });
}

}  // namespace millrace::kafka
