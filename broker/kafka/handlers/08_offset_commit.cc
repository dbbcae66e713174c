// OffsetCommit: how far a group has read, by topic name or, from version 10 on, by id. Of topics
// that are not there nothing is stored.
#include <memory>

#include "broker/kafka/handlers/answers.h"
#include "broker/kafka/handlers/group_home.h"
#include "broker/kafka/handlers/group_view.h"
#include "broker/service/groups.h"
#include "broker/wire/messages/offset_commit.h"

namespace millrace::kafka {
namespace {

using Request = wire::OffsetCommitRequest;
using Response = wire::OffsetCommitResponse;

constexpr std::int16_t kTopicIdVersionMin = 10;
/// Before it clients know nothing of KIP-848: neither of member epochs nor of groups that are not
/// there.
constexpr std::int16_t kMemberEpochVersionMin = 9;

struct Work {
  Response response;
  std::vector<std::pair<std::size_t, std::size_t>> places;  // of commit i: topic, partition
};

/// What can be stored; the rest has its answer.
std::vector<coordinator::OffsetCommit::Partition> plan(Request& request,
                                                       const metadata::Image& image,
                                                       std::int16_t version, Work& work) {
  const bool by_id = version >= kTopicIdVersionMin;
  std::size_t count = 0;
  for (const Request::Topic& wanted : request.topics) count += wanted.partitions.size();
  std::vector<coordinator::OffsetCommit::Partition> commits;
  commits.reserve(count);
  work.places.reserve(count);
  for (Request::Topic& wanted : request.topics) {
    const auto topic = named_topic(image, wanted, by_id);
    Response::Topic& answers = work.response.topics.emplace_back();
    answers.name = wanted.name;
    answers.topic_id = wanted.topic_id;
    answers.partitions.reserve(wanted.partitions.size());
    for (Request::Partition& partition : wanted.partitions) {
      const std::int32_t index = partition.partition_index;
      Response::Partition& answer = answers.partitions.emplace_back();
      answer.partition_index = index;
      if (topic == nullptr) {
        answer.error_code =
            kafka_number(by_id ? ErrorCode::kUnknownTopicId : ErrorCode::kUnknownTopicOrPartition);
      } else if (index < 0 || index >= topic->partition_count()) {
        answer.error_code = kafka_number(ErrorCode::kUnknownTopicOrPartition);
      } else {
        work.places.emplace_back(work.response.topics.size() - 1, answers.partitions.size() - 1);
        commits.push_back({{topic->name, topic->id},
                           index,
                           model::Offset{partition.committed_offset},
                           partition.committed_leader_epoch,
                           std::move(partition.committed_metadata).value_or("")});
      }
    }
  }
  return commits;
}

void put(const coordinator::OffsetCommitOutcome& outcome, std::int16_t version, Work& work) {
  ErrorCode whole = outcome.status.code;
  if (whole == ErrorCode::kGroupIdNotFound && version < kMemberEpochVersionMin)
    whole = ErrorCode::kIllegalGeneration;
  CHECK(whole != ErrorCode::kNone || outcome.partitions.size() == work.places.size());
  for (std::size_t i = 0; i < work.places.size(); ++i) {
    const auto [topic, partition] = work.places[i];
    work.response.topics[topic].partitions[partition].error_code =
        kafka_number(whole != ErrorCode::kNone ? whole : outcome.partitions[i]);
  }
}

}  // namespace

template <>
void handle(Request request, Call<Request> call) {
  service::Shard& shard = call.shard();
  const std::int16_t version = call.version();
  auto work = std::make_unique<Work>();
  coordinator::OffsetCommit commit;
  commit.partitions = plan(request, shard.image(), version, *work);
  if (commit.partitions.empty()) return call.answer(work->response);
  commit.group = std::move(request.group_id);
  commit.epoch = coordinator::Epoch{request.generation_id_or_member_epoch};
  commit.member = std::move(request.member_id);
  commit.instance = std::move(request.group_instance_id);
  commit.retention_ms = request.retention_time_ms;
  commit.member_epochs_known = version >= kMemberEpochVersionMin;
  tell_group_home(call, commit.group);
  service::commit_offsets(shard, std::move(commit),
                          [call = std::move(call), work = std::move(work)](
                              coordinator::OffsetCommitOutcome outcome) mutable {
                            put(outcome, call.version(), *work);
                            call.answer(work->response);
                          });
}

}  // namespace millrace::kafka
