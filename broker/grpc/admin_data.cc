#include <utility>

#include "broker/grpc/admin.h"
#include "broker/service/offsets_anywhere.h"

namespace millrace::grpc {
namespace {

using model::ErrorCode;
using model::Offset;
using model::PartitionIndex;

/// How long leaders of partitions are looked for.
constexpr auto kSeekMax = std::chrono::seconds(5);

/// The partitions a request names, or all of the topic when it names none.
std::vector<std::int32_t> chosen(const google::protobuf::RepeatedField<std::int32_t>& named,
                                 const metadata::Topic& topic) {
  if (!named.empty()) return {named.begin(), named.end()};
  std::vector<std::int32_t> all;
  for (std::int32_t i = 0; i < topic.partition_count(); ++i) all.push_back(i);
  return all;
}

common::Timestamp time_of(const v1::ListOffsetsRequest& request) {
  switch (request.at_case()) {
    case v1::ListOffsetsRequest::kEarliest:
      return service::kEarliest;
    case v1::ListOffsetsRequest::kTimestampMs:
      return common::Timestamp{std::max<std::int64_t>(0, request.timestamp_ms())};
    case v1::ListOffsetsRequest::kMaxTimestamp:
      return service::kMaxTimestamp;
    default:
      return service::kLatest;
  }
}

}  // namespace

::grpc::ServerUnaryReactor* Admin::DeleteRecords(::grpc::CallbackServerContext* context,
                                                 const v1::DeleteRecordsRequest* request,
                                                 v1::DeleteRecordsResponse* response) {
  return on_shard(context, dealer_, [request, response](service::Shard& shard, UnaryAnswer answer) {
    if (request->before().empty())
      return answer.fail(ErrorCode::kInvalidRequest, "before must name a partition");
    std::vector<service::DeleteRecordsItem> items;
    std::vector<std::int32_t> partitions;
    for (const auto& [partition, offset] : request->before()) {
      items.push_back({{{}, request->topic(), PartitionIndex{partition}}, Offset{offset}});
      partitions.push_back(partition);
    }
    service::delete_records_anywhere(shard, std::move(items), kSeekMax,
                                     [partitions = std::move(partitions), response,
                                      answer](std::vector<service::DeleteRecordsOutcome> outcomes) {
                                       for (std::size_t i = 0; i < outcomes.size(); ++i) {
                                         if (outcomes[i].code != ErrorCode::kNone)
                                           return answer.fail(outcomes[i].code, outcomes[i].detail);
                                         (*response->mutable_log_start_offsets())[partitions[i]] =
                                             outcomes[i].low_watermark.value();
                                       }
                                       answer.ok();
                                     });
  });
}

::grpc::ServerUnaryReactor* Admin::ListOffsets(::grpc::CallbackServerContext* context,
                                               const v1::ListOffsetsRequest* request,
                                               v1::ListOffsetsResponse* response) {
  return on_shard(context, dealer_, [request, response](service::Shard& shard, UnaryAnswer answer) {
    const auto topic = find_topic(shard, request->topic(), answer);
    if (topic == nullptr) return;
    std::vector<std::int32_t> partitions = chosen(request->partitions(), *topic);
    std::vector<service::OffsetQuery> queries;
    for (const std::int32_t partition : partitions) {
      queries.push_back(
          {.target = {topic->id, topic->name, PartitionIndex{partition}}, .at = time_of(*request)});
    }
    service::list_offsets_anywhere(shard, std::move(queries), replica::Isolation::kReadUncommitted,
                                   kSeekMax,
                                   [partitions = std::move(partitions), response,
                                    answer](std::vector<service::OffsetAnswer> found) {
                                     for (std::size_t i = 0; i < found.size(); ++i) {
                                       if (found[i].code != ErrorCode::kNone)
                                         return answer.fail(found[i].code, found[i].detail);
                                       v1::PartitionOffset& out = *response->add_offsets();
                                       out.set_partition(partitions[i]);
                                       out.set_offset(found[i].offset.value());
                                       out.set_timestamp_ms(found[i].timestamp.value());
                                     }
                                     answer.ok();
                                   });
  });
}

::grpc::ServerUnaryReactor* Admin::InitProducer(::grpc::CallbackServerContext* context,
                                                const v1::InitProducerRequest*,
                                                v1::InitProducerResponse* response) {
  return on_shard(context, dealer_, [response](service::Shard& shard, UnaryAnswer answer) {
    service::init_producer_id(
        shard, [response, answer](common::Result<service::ProducerIdentity> identity) {
          if (!identity.ok()) return answer.fail(identity.error());
          response->set_producer_id(identity->id.value());
          response->set_producer_epoch(identity->epoch);
          answer.ok();
        });
  });
}

::grpc::ServerUnaryReactor* Admin::DescribeProducers(::grpc::CallbackServerContext* context,
                                                     const v1::DescribeProducersRequest* request,
                                                     v1::DescribeProducersResponse* response) {
  return on_shard(context, dealer_, [request, response](service::Shard& shard, UnaryAnswer answer) {
    const auto topic = find_topic(shard, request->topic(), answer);
    if (topic == nullptr) return;
    std::vector<std::int32_t> partitions = chosen(request->partitions(), *topic);
    std::vector<service::PartitionRef> targets;
    for (const std::int32_t partition : partitions)
      targets.push_back({topic->id, topic->name, PartitionIndex{partition}});
    service::describe_producers_anywhere(
        shard, std::move(targets), kSeekMax,
        [partitions = std::move(partitions), response,
         answer](std::vector<service::ProducersAnswer> answers) {
          for (std::size_t i = 0; i < answers.size(); ++i) {
            if (answers[i].code != ErrorCode::kNone)
              return answer.fail(answers[i].code, answers[i].detail);
            for (const model::ProducerEntry& producer : answers[i].producers) {
              v1::Producer& out = *response->add_producers();
              out.set_partition(partitions[i]);
              out.set_producer_id(producer.producer_id.value());
              out.set_producer_epoch(producer.epoch);
              out.set_last_sequence(producer.last_sequence());
              out.set_last_timestamp_ms(producer.last_seen.value());
            }
          }
          answer.ok();
        });
  });
}

}  // namespace millrace::grpc
