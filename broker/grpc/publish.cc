#include "broker/grpc/publish.h"

#include <fmt/format.h>

#include <map>
#include <utility>

#include "broker/grpc/status.h"
#include "broker/model/compression.h"
#include "broker/model/partitioner.h"
#include "broker/model/record.h"
#include "broker/service/produce_anywhere.h"
#include "broker/service/topics.h"

namespace millrace::grpc {
namespace {

using common::Error;
using common::Result;
using model::ErrorCode;

constexpr int kRecordsMax = 10'000;
/// A partition's records beyond this go into a further batch, so that max.message.bytes is met by
/// any sensible request.
constexpr std::size_t kBatchBytes = 512 << 10;
/// How long a leader is looked for: longer than it takes to notice that one is gone, and to have
/// another one.
constexpr auto kSeekMax = std::chrono::seconds(10);

/// A batch being filled, and which records of the request it holds.
struct Draft {
  model::PartitionIndex partition;
  model::BatchBuilder builder;
  std::vector<int> records;
};

struct Plan {
  std::vector<service::ProduceItem> items;
  /// For each item, the numbers of its records in the request.
  std::vector<std::vector<int>> records;
};

Result<void> check(const v1::PublishRequest& request) {
  if (request.topic().empty()) return Error{ErrorCode::kInvalidTopic, "topic must be set"};
  if (request.records_size() == 0)
    return Error{ErrorCode::kInvalidRequest, "records must not be empty"};
  if (request.records_size() > kRecordsMax) {
    return Error{ErrorCode::kInvalidRequest,
                 fmt::format("a request may hold {} records, this one has {}", kRecordsMax,
                             request.records_size())};
  }
  if (request.acks() != v1::ACKS_ALL && request.acks() != v1::ACKS_LEADER) {
    return Error{ErrorCode::kInvalidRequiredAcks, "acks must be ACKS_ALL or ACKS_LEADER"};
  }
  return common::ok();
}

Result<model::BatchOptions> batch_options(const v1::PublishRequest& request) {
  model::BatchOptions options;
  if (!request.compression().empty() && request.compression() != "none") {
    const auto compression = model::parse_compression(request.compression());
    if (!compression) {
      return Error{ErrorCode::kInvalidRequest,
                   fmt::format("compression must be none, gzip, snappy, lz4 or zstd, not {}",
                               request.compression())};
    }
    options.compression = *compression;
  }
  if (request.has_idempotence()) {
    const v1::Idempotence& idempotence = request.idempotence();
    if (idempotence.producer_id() < 0 || idempotence.producer_epoch() < 0 ||
        idempotence.producer_epoch() > INT16_MAX || idempotence.base_sequence() < 0) {
      return Error{ErrorCode::kInvalidRequest,
                   "idempotence needs a producer id, an epoch and a sequence of 0 or more"};
    }
    options.producer_id = model::ProducerId{idempotence.producer_id()};
    options.producer_epoch = static_cast<std::int16_t>(idempotence.producer_epoch());
    options.base_sequence = idempotence.base_sequence();
  }
  return options;
}

Result<model::PartitionIndex> partition_of(const v1::NewRecord& record, std::int32_t count,
                                           model::PartitionIndex keyless) {
  if (record.has_partition()) {
    if (record.partition() < 0 || record.partition() >= count) {
      return Error{
          ErrorCode::kUnknownTopicOrPartition,
          fmt::format("there is no partition {}: the topic has {}", record.partition(), count)};
    }
    return model::PartitionIndex{record.partition()};
  }
  if (record.has_key()) return model::partition_for_key(common::as_bytes(record.key()), count);
  return keyless;
}

void append_record(model::BatchBuilder& builder, const v1::NewRecord& record,
                   common::Timestamp now) {
  std::vector<model::HeaderView> headers;
  headers.reserve(static_cast<std::size_t>(record.headers_size()));
  for (const v1::Header& header : record.headers()) {
    headers.push_back({header.key(), header.has_value() ? std::optional<common::ByteView>(
                                                              common::as_bytes(header.value()))
                                                        : std::nullopt});
  }
  model::NewRecord built{
      .timestamp = record.has_timestamp_ms() ? common::Timestamp{record.timestamp_ms()} : now,
      .key = std::nullopt,
      .value = std::nullopt,
      .headers = headers};
  if (record.has_key()) built.key = common::as_bytes(record.key());
  if (record.has_value()) built.value = common::as_bytes(record.value());
  builder.append(built);
}

Result<Plan> plan_of(service::Shard& here, const v1::PublishRequest& request,
                     const metadata::Topic& topic) {
  TRY_ASSIGN(const model::BatchOptions options, batch_options(request));
  const std::int32_t count = topic.partition_count();
  // Records without a key stay together: one partition per request, another one next time.
  const model::PartitionIndex keyless{
      static_cast<std::int32_t>(here.random().below(static_cast<std::uint64_t>(count)))};
  const common::Timestamp now = here.clock().wall();
  std::map<model::PartitionIndex, std::vector<Draft>> drafts;
  for (int i = 0; i < request.records_size(); ++i) {
    const v1::NewRecord& record = request.records(i);
    TRY_ASSIGN(const model::PartitionIndex partition, partition_of(record, count, keyless));
    auto& of_partition = drafts[partition];
    const bool full = !of_partition.empty() && !request.has_idempotence() &&
                      of_partition.back().builder.records_bytes() >= kBatchBytes;
    if (of_partition.empty() || full)
      of_partition.push_back({partition, model::BatchBuilder(options), {}});
    append_record(of_partition.back().builder, record, now);
    of_partition.back().records.push_back(i);
  }
  if (request.has_idempotence() && drafts.size() > 1) {
    return Error{ErrorCode::kInvalidRequest,
                 "with idempotence all records must go to one partition: set their partition, or "
                 "give them one key"};
  }
  Plan plan;
  for (auto& [partition, of_partition] : drafts) {
    for (Draft& draft : of_partition) {
      plan.items.push_back({{topic.id, topic.name, partition}, draft.builder.build()});
      plan.records.push_back(std::move(draft.records));
    }
  }
  return plan;
}

Result<void> fill(const Plan& plan, const std::vector<service::ProduceOutcome>& outcomes,
                  const v1::PublishRequest& request, v1::PublishResponse& response) {
  response.set_topic(request.topic());
  response.set_tag(request.tag());
  for (int i = 0; i < request.records_size(); ++i) response.add_positions();
  bool any = false;
  for (std::size_t item = 0; item < outcomes.size(); ++item) {
    const service::ProduceOutcome& outcome = outcomes[item];
    std::int64_t offset = outcome.appended.base_offset.value();
    for (const int record : plan.records[item]) {
      v1::RecordPosition& position = *response.mutable_positions(record);
      position.set_partition(plan.items[item].target.partition.value());
      if (outcome.code == ErrorCode::kNone) {
        position.set_offset(offset++);
        any = true;
      } else {
        position.set_offset(-1);
        position.set_error(error_name(outcome.code));
        position.set_error_message(outcome.detail);
      }
    }
  }
  if (any) return common::ok();
  return Error{outcomes.front().code, outcomes.front().detail};
}

void publish_to(service::Shard& here, const metadata::Topic& topic,
                const v1::PublishRequest& request, v1::PublishResponse& response,
                common::Reply<Result<void>> done) {
  auto planned = plan_of(here, request, topic);
  if (!planned.ok()) return done(std::move(planned).error());
  auto plan = std::make_shared<Plan>(std::move(*planned));
  service::ProduceCommand command{
      .acks = request.acks() == v1::ACKS_LEADER ? replica::Acks::kLeader : replica::Acks::kAll,
      .items = plan->items};
  // The bytes belong to the append from here on; the plan keeps only where they went.
  for (service::ProduceItem& item : plan->items) item.records = common::Bytes();
  service::produce_anywhere(here, std::move(command), kSeekMax,
                            [plan, &request, &response, done = std::move(done)](
                                std::vector<service::ProduceOutcome> outcomes) mutable {
                              done(fill(*plan, outcomes, request, response));
                            });
}

}  // namespace

void publish(service::Shard& here, const v1::PublishRequest& request, v1::PublishResponse& response,
             common::Reply<Result<void>> done) {
  if (auto checked = check(request); !checked.ok()) return done(std::move(checked));
  if (const auto topic = here.image().topic(request.topic())) {
    return publish_to(here, *topic, request, response, std::move(done));
  }
  if (!here.settings().auto_create_topics) {
    return done(
        Error{ErrorCode::kUnknownTopicOrPartition,
              fmt::format("Topic {} does not exist; create it, or set auto.create.topics.enable",
                          request.topic())});
  }
  service::auto_create_topic(
      here, request.topic(),
      [&here, &request, &response, done = std::move(done)](service::TopicOutcome made) mutable {
        const auto topic = here.image().topic(request.topic());
        if (topic == nullptr && made.code == ErrorCode::kNone) {
          // Made, and deleted again before we could use it.
          return done(model::error(ErrorCode::kUnknownTopicOrPartition));
        }
        if (topic == nullptr) return done(Error{made.code, made.detail});
        publish_to(here, *topic, request, response, std::move(done));
      });
}

}  // namespace millrace::grpc
