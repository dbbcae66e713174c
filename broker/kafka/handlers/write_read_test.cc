// Produce, Fetch, ListOffsets, OffsetForLeaderEpoch, DeleteRecords, InitProducerId and
// DescribeProducers, through a connection.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "broker/kafka/handlers/answers.h"
#include "broker/kafka/handlers/topic_view.h"
#include "broker/kafka/testing/test_broker.h"
#include "broker/wire/messages/delete_records.h"
#include "broker/wire/messages/describe_producers.h"
#include "broker/wire/messages/fetch.h"
#include "broker/wire/messages/init_producer_id.h"
#include "broker/wire/messages/list_offsets.h"
#include "broker/wire/messages/offset_for_leader_epoch.h"
#include "common/endian.h"

namespace millrace::kafka {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::batch_of;
using testing::Client;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::produce_request;
using testing::TestBroker;
using testing::TestBrokerOptions;
using testing::values_in;

constexpr std::int16_t number(ErrorCode code) {
  return static_cast<std::int16_t>(code);
}
const common::Uuid kNobody{{1, 2, 3}};

/// Every test runs with one shard and with three, where most partitions live on another shard than
/// the connection.
class WriteRead : public ::testing::TestWithParam<std::uint32_t> {
 protected:
  WriteRead()
      : broker_(TestBrokerOptions{.shards = GetParam(), .limits = {}, .config = {}}),
        client_(broker_.connect()) {}

  wire::ProduceResponse::Partition produce(const wire::ProduceRequest& request,
                                           std::int16_t version = 13) {
    auto response = client_.call(request, version);
    EXPECT_EQ(response.responses.size(), 1u);
    EXPECT_EQ(response.responses.at(0).partition_responses.size(), 1u);
    return response.responses.at(0).partition_responses.at(0);
  }
  std::int64_t write(const model::TopicId& id, std::int32_t partition, common::Bytes batch) {
    const auto answer = produce(produce_request("", id, partition, std::move(batch)));
    EXPECT_EQ(answer.error_code, 0) << answer.error_message.value_or("");
    return answer.base_offset;
  }
  std::int64_t offset_at(const std::string& topic, std::int64_t at, std::int16_t version = 11) {
    return list(topic, 0, at, version).offset;
  }
  wire::ListOffsetsResponse::Partition list(const std::string& topic, std::int32_t partition,
                                            std::int64_t at, std::int16_t version = 11,
                                            std::int32_t epoch = -1) {
    wire::ListOffsetsRequest request;
    request.replica_id = -1;
    auto& wanted = request.topics.emplace_back();
    wanted.name = topic;
    wanted.partitions.push_back({partition, epoch, at});
    return client_.call(request, version).topics.at(0).partitions.at(0);
  }

  TestBroker broker_;
  Client client_;
};

wire::FetchRequest fetch_of(
    const model::TopicId& id, const std::string& name,
    std::initializer_list<std::pair<std::int32_t, std::int64_t>> partitions) {
  wire::FetchRequest request;
  request.min_bytes = 1;
  request.session_epoch = -1;
  auto& topic = request.topics.emplace_back();
  topic.topic_id = id;
  topic.topic = name;
  for (const auto& [index, from] : partitions) {
    auto& partition = topic.partitions.emplace_back();
    partition.partition = index;
    partition.fetch_offset = from;
    partition.partition_max_bytes = 1 << 20;
  }
  return request;
}

TEST_P(WriteRead, EveryVersionOfProduceAndFetchCarriesRecords) {
  const auto id = broker_.create_topic("orders", 1);
  std::int64_t next = 0;
  for (std::int16_t version = 3; version <= 13; ++version) {
    const auto answer = produce(
        produce_request("orders", id, 0, batch_of({"v" + std::to_string(version)})), version);
    EXPECT_EQ(answer.error_code, 0) << version;
    EXPECT_EQ(answer.base_offset, next++) << version;
    EXPECT_EQ(answer.log_append_time_ms, -1);
    if (version >= 5) {
      EXPECT_EQ(answer.log_start_offset, 0);
    }
  }
  for (std::int16_t version = 4; version <= 18; ++version) {
    const auto response = client_.call(fetch_of(id, "orders", {{0, 2}}), version);
    ASSERT_EQ(response.responses.size(), 1u) << version;
    const auto& partition = response.responses[0].partitions.at(0);
    EXPECT_EQ(partition.error_code, 0);
    EXPECT_EQ(partition.high_watermark, 11);
    EXPECT_EQ(partition.last_stable_offset, 11);
    EXPECT_FALSE(partition.aborted_transactions.has_value());
    EXPECT_EQ(partition.preferred_read_replica, -1);
    const auto values = values_in(*partition.records);
    EXPECT_EQ(values.size(), 9u) << version;
    EXPECT_EQ(values.front(), "v5");
  }
}

TEST_P(WriteRead, ProduceToManyPartitionsAnswersEachInItsPlace) {
  const auto id = broker_.create_topic("orders", 12);
  wire::ProduceRequest request = produce_request("", id, 0, batch_of({"p0"}));
  for (std::int32_t i = 1; i < 14; ++i) {  // the last two do not exist
    auto& data = request.topic_data[0].partition_data.emplace_back();
    data.index = i;
    data.records = wire::Chunks(batch_of({"p" + std::to_string(i)}));
  }
  request.topic_data.push_back(produce_request("", kNobody, 0, batch_of({"x"})).topic_data[0]);
  const auto response = client_.call(request, 13);
  ASSERT_EQ(response.responses.size(), 2u);
  ASSERT_EQ(response.responses[0].partition_responses.size(), 14u);
  for (std::int32_t i = 0; i < 14; ++i) {
    const auto& answer = response.responses[0].partition_responses[static_cast<std::size_t>(i)];
    EXPECT_EQ(answer.index, i);
    EXPECT_EQ(answer.error_code, i < 12 ? 0 : number(ErrorCode::kUnknownTopicOrPartition));
    EXPECT_EQ(answer.base_offset, i < 12 ? 0 : -1);
  }
  EXPECT_EQ(response.responses[1].topic_id, kNobody);
  EXPECT_EQ(response.responses[1].partition_responses.at(0).error_code,
            number(ErrorCode::kUnknownTopicId));
}

TEST_P(WriteRead, ProduceErrors) {
  const auto id = broker_.create_topic("orders", 1, {{"max.message.bytes", "500"}});
  EXPECT_EQ(produce(produce_request("nowhere", {}, 0, batch_of({"v"})), 9).error_code,
            number(ErrorCode::kUnknownTopicOrPartition));
  EXPECT_EQ(produce(produce_request("", id, 0, batch_of({"v"}), 2)).error_code,
            number(ErrorCode::kInvalidRequiredAcks));
  EXPECT_EQ(produce(produce_request("", id, 0, batch_of({std::string(1000, 'v')}))).error_code,
            number(ErrorCode::kMessageTooLarge));
  common::Bytes damaged = batch_of({"value"});
  damaged.mutable_data()[damaged.size() - 2] ^= 1;
  EXPECT_EQ(produce(produce_request("", id, 0, damaged)).error_code,
            number(ErrorCode::kCorruptMessage));

  auto request = produce_request("", id, 0, batch_of({"v"}));
  request.topic_data[0].partition_data[0].records.reset();
  EXPECT_EQ(produce(request).error_code, number(ErrorCode::kInvalidRecord));
  request.topic_data[0].partition_data[0].records = wire::Chunks(batch_of({"a"}));
  request.topic_data[0].partition_data[0].records->add(batch_of({"b"}));
  const auto two = produce(request);
  EXPECT_EQ(two.error_code, number(ErrorCode::kInvalidRecord)) << "exactly one batch";
  EXPECT_TRUE(two.error_message.has_value());

  request = produce_request("", id, 0, batch_of({"v"}));
  request.transactional_id = "tx";
  EXPECT_EQ(produce(request).error_code, number(ErrorCode::kInvalidTxnState));
  EXPECT_EQ(offset_at("orders", -1), 0) << "nothing was appended";
}

TEST_P(WriteRead, ZstdNeedsVersionSeven) {
  const auto id = broker_.create_topic("orders");
  const auto zstd = [] {
    return batch_of({std::string(100, 'z')}, {.compression = model::Compression::kZstd});
  };
  EXPECT_EQ(produce(produce_request("orders", id, 0, zstd()), 6).error_code,
            number(ErrorCode::kUnsupportedCompressionType));
  EXPECT_EQ(produce(produce_request("orders", id, 0, zstd()), 7).error_code, 0);
}

TEST_P(WriteRead, AcksZeroHasNoAnswerAndAnErrorClosesTheConnection) {
  const auto id = broker_.create_topic("orders");
  client_.send(produce_request("", id, 0, batch_of({"quiet"}), 0), 13);
  EXPECT_EQ(offset_at("orders", -2), 0) << "the next answer is that of the next request";
  broker_.world().run_for(milliseconds(10));
  EXPECT_EQ(offset_at("orders", -1), 1);
  client_.send(produce_request("", id, 7, batch_of({"nowhere"}), 0), 13);
  EXPECT_TRUE(client_.closed());
}

TEST_P(WriteRead, IdempotentProducers) {
  const auto id = broker_.create_topic("orders");
  wire::InitProducerIdRequest init;
  init.transactional_id.reset();
  const auto identity = client_.call(init, 5);
  ASSERT_EQ(identity.error_code, 0);
  EXPECT_GE(identity.producer_id, 0);
  EXPECT_EQ(identity.producer_epoch, 0);
  EXPECT_NE(client_.call(init, 0).producer_id, identity.producer_id);
  const auto batch = [&](std::int32_t sequence) {
    return batch_of({"a", "b"}, {.producer_id = model::ProducerId{identity.producer_id},
                                 .producer_epoch = 0,
                                 .base_sequence = sequence});
  };
  EXPECT_EQ(write(id, 0, batch(0)), 0);
  EXPECT_EQ(write(id, 0, batch(2)), 2);
  EXPECT_EQ(write(id, 0, batch(0)), 0) << "a retry gets the first offset";
  EXPECT_EQ(produce(produce_request("", id, 0, batch(9))).error_code,
            number(ErrorCode::kOutOfOrderSequenceNumber));
  EXPECT_EQ(offset_at("orders", -1), 4);

  wire::DescribeProducersRequest describe;
  describe.topics.push_back({"orders", {0, 5}});
  const auto described = client_.call(describe);
  const auto& partitions = described.topics.at(0).partitions;
  ASSERT_EQ(partitions.at(0).active_producers.size(), 1u);
  EXPECT_EQ(partitions[0].active_producers[0].producer_id, identity.producer_id);
  EXPECT_EQ(partitions[0].active_producers[0].last_sequence, 3);
  EXPECT_EQ(partitions[0].active_producers[0].current_txn_start_offset, -1);
  EXPECT_EQ(partitions.at(1).error_code, number(ErrorCode::kUnknownTopicOrPartition));
}

TEST_P(WriteRead, TransactionalIdsAreRefused) {
  wire::InitProducerIdRequest init;
  init.transactional_id = "tx";
  const auto refused = client_.call(init);
  EXPECT_EQ(refused.error_code, number(ErrorCode::kUnsupportedVersion));
  EXPECT_EQ(refused.producer_id, -1);
  init.transactional_id = "";
  EXPECT_EQ(client_.call(init).error_code, number(ErrorCode::kInvalidRequest));
  init.transactional_id.reset();
  init.producer_id = 5;
  EXPECT_EQ(client_.call(init).error_code, number(ErrorCode::kInvalidRequest))
      << "an id without its epoch";
}

TEST_P(WriteRead, FetchWaitsForBytesOrTime) {
  const auto id = broker_.create_topic("orders");
  auto request = fetch_of(id, "", {{0, 0}});
  request.max_wait_ms = 300;
  const auto start = broker_.world().clock().now();
  EXPECT_TRUE(client_.call(request).responses.at(0).partitions.at(0).records->empty());
  EXPECT_GE(broker_.world().clock().now() - start, milliseconds(300));

  request.max_wait_ms = 10'000;
  const auto waiting = client_.send(request, 18);
  broker_.world().run_for(milliseconds(50));
  Client writer = broker_.connect();
  writer.send(produce_request("", id, 0, batch_of({"news"})), 13);
  const auto before = broker_.world().clock().now();
  const auto response = client_.receive_as<wire::FetchRequest>(waiting, 18);
  EXPECT_THAT(values_in(*response.responses.at(0).partitions.at(0).records), ElementsAre("news"));
  EXPECT_LT(broker_.world().clock().now() - before, seconds(1));
}

TEST_P(WriteRead, FetchErrorsStandBesideData) {
  const auto id = broker_.create_topic("orders", 2);
  write(id, 0, batch_of({"v"}));
  auto request = fetch_of(id, "", {{0, 0}, {1, 5}, {9, 0}});
  request.topics.push_back(fetch_of(kNobody, "", {{0, 0}}).topics[0]);
  request.max_wait_ms = 60'000;
  const auto response = client_.call(request);
  ASSERT_EQ(response.responses.size(), 2u);
  const auto& partitions = response.responses[0].partitions;
  EXPECT_THAT(values_in(*partitions.at(0).records), ElementsAre("v"));
  EXPECT_EQ(partitions.at(1).error_code, number(ErrorCode::kOffsetOutOfRange));
  EXPECT_EQ(partitions.at(1).high_watermark, -1);
  EXPECT_EQ(partitions.at(2).error_code, number(ErrorCode::kUnknownTopicOrPartition));
  EXPECT_EQ(response.responses[1].partitions.at(0).error_code, number(ErrorCode::kUnknownTopicId));
  EXPECT_EQ(client_.call(fetch_of({}, "nowhere", {{0, 0}}), 12)
                .responses.at(0)
                .partitions.at(0)
                .error_code,
            number(ErrorCode::kUnknownTopicOrPartition));
  auto foreign = fetch_of(id, "", {{0, 0}});
  foreign.cluster_id = "another";
  EXPECT_EQ(client_.call(foreign).error_code, number(ErrorCode::kInconsistentClusterId));
}

TEST_P(WriteRead, FetchKeepsToItsLimits) {
  const auto id = broker_.create_topic("orders", 2);
  for (int i = 0; i < 6; ++i)
    write(id, 0, batch_of({std::string(1000, static_cast<char>('a' + i))}));
  write(id, 1, batch_of({std::string(1000, 'z')}));
  auto request = fetch_of(id, "", {{0, 0}});
  request.topics[0].partitions[0].partition_max_bytes = 2500;
  EXPECT_EQ(values_in(*client_.call(request).responses.at(0).partitions.at(0).records).size(), 2u);
  request.topics[0].partitions[0].partition_max_bytes = 1;
  EXPECT_EQ(values_in(*client_.call(request).responses.at(0).partitions.at(0).records).size(), 1u)
      << "the first batch comes whole (KIP-74)";
  request = fetch_of(id, "", {{0, 0}, {1, 0}});
  request.max_bytes = 100;
  const auto response = client_.call(request);
  std::size_t records = 0;
  for (const auto& partition : response.responses.at(0).partitions)
    records += values_in(*partition.records).size();
  EXPECT_EQ(records, 1u);
}

TEST_P(WriteRead, LeaderEpochsAreChecked) {
  const auto id = broker_.create_topic("orders");
  write(id, 0, batch_of({"a", "b"}));
  const std::int32_t epoch = list("orders", 0, -1).leader_epoch;
  ASSERT_GE(epoch, 0);
  auto request = fetch_of(id, "", {{0, 0}});
  request.topics[0].partitions[0].current_leader_epoch = epoch;
  EXPECT_EQ(client_.call(request).responses.at(0).partitions.at(0).error_code, 0);
  request.topics[0].partitions[0].current_leader_epoch = epoch + 1;
  EXPECT_EQ(client_.call(request).responses.at(0).partitions.at(0).error_code,
            number(ErrorCode::kUnknownLeaderEpoch));
  EXPECT_EQ(list("orders", 0, -1, 11, epoch + 1).error_code,
            number(ErrorCode::kUnknownLeaderEpoch));

  wire::OffsetForLeaderEpochRequest ends;
  auto& topic = ends.topics.emplace_back();
  topic.topic = "orders";
  topic.partitions = {{0, -1, epoch}, {0, epoch + 1, epoch}, {4, -1, epoch}};
  for (std::int16_t version = 2; version <= 4; ++version) {
    const auto found = client_.call(ends, version).topics.at(0).partitions;
    EXPECT_EQ(found.at(0).error_code, 0);
    EXPECT_EQ(found.at(0).leader_epoch, epoch);
    EXPECT_EQ(found.at(0).end_offset, 2);
    EXPECT_EQ(found.at(1).error_code, number(ErrorCode::kUnknownLeaderEpoch));
    EXPECT_EQ(found.at(2).error_code, number(ErrorCode::kUnknownTopicOrPartition));
  }
}

TEST_P(WriteRead, OffsetsByTimeAndEnds) {
  const auto id = broker_.create_topic("orders");
  const std::int64_t t = 1'700'000'000'000;
  write(id, 0, batch_of({"a", "b", "c"}, {}, common::Timestamp{t}));
  write(id, 0, batch_of({"d"}, {}, common::Timestamp{t + 100}));
  for (std::int16_t version = 1; version <= 11; ++version) {
    EXPECT_EQ(offset_at("orders", -1, version), 4) << version;
    EXPECT_EQ(offset_at("orders", -2, version), 0) << version;
    const auto found = list("orders", 0, t + 2, version);
    EXPECT_EQ(found.offset, 2);
    EXPECT_EQ(found.timestamp, t + 2);
    const auto later = list("orders", 0, t + 50, version);
    EXPECT_EQ(later.offset, 3);
    EXPECT_EQ(later.timestamp, t + 100);
    const auto beyond = list("orders", 0, t + 101, version);
    EXPECT_EQ(beyond.error_code, 0);
    EXPECT_EQ(beyond.offset, -1);
    EXPECT_EQ(beyond.timestamp, -1);
  }
  EXPECT_EQ(offset_at("orders", -3, 7), 3);
  EXPECT_EQ(list("orders", 0, -3, 6).error_code, number(ErrorCode::kUnsupportedVersion));
  EXPECT_EQ(offset_at("orders", -4, 8), 0);
  EXPECT_EQ(list("orders", 0, -5, 9).offset, -1);
  EXPECT_EQ(list("orders", 0, -6, 11).offset, -1);
  EXPECT_EQ(list("orders", 0, -7, 11).error_code, number(ErrorCode::kUnsupportedVersion));
  EXPECT_EQ(list("orders", 3, -1).error_code, number(ErrorCode::kUnknownTopicOrPartition));
  wire::ListOffsetsRequest twice;
  auto& topic = twice.topics.emplace_back();
  topic.name = "orders";
  topic.partitions = {{0, -1, -1}, {0, -1, -2}};
  EXPECT_EQ(client_.call(twice).topics.at(0).partitions.at(1).error_code,
            number(ErrorCode::kInvalidRequest));
}

TEST_P(WriteRead, DeletedRecordsAreGone) {
  const auto id = broker_.create_topic("orders", 2);
  for (int i = 0; i < 4; ++i) write(id, 0, batch_of({"v"}));
  wire::DeleteRecordsRequest request;
  auto& topic = request.topics.emplace_back();
  topic.name = "orders";
  topic.partitions = {{0, 2}, {1, 1}, {6, 0}};
  const auto deleted = client_.call(request).topics.at(0).partitions;
  EXPECT_EQ(deleted.at(0).error_code, 0);
  EXPECT_EQ(deleted.at(0).low_watermark, 2);
  EXPECT_EQ(deleted.at(1).error_code, number(ErrorCode::kOffsetOutOfRange));
  EXPECT_EQ(deleted.at(1).low_watermark, -1);
  EXPECT_EQ(deleted.at(2).error_code, number(ErrorCode::kUnknownTopicOrPartition));
  EXPECT_EQ(offset_at("orders", -2), 2);
  EXPECT_EQ(client_.call(fetch_of(id, "", {{0, 0}})).responses.at(0).partitions.at(0).error_code,
            number(ErrorCode::kOffsetOutOfRange));
  topic.partitions = {{0, -1}};
  EXPECT_EQ(client_.call(request, 0).topics.at(0).partitions.at(0).low_watermark, 4);
}

TEST_P(WriteRead, AFullDiskIsAStorageErrorToClients) {
  const auto id = broker_.create_topic("orders");
  broker_.storage().full = true;
  const auto refused = produce(produce_request("", id, 0, batch_of({"v"})));
  EXPECT_EQ(refused.error_code, number(ErrorCode::kKafkaStorageError));
  EXPECT_THAT(refused.error_message.value_or(""), HasSubstr("space"));
  broker_.storage().full = false;
  EXPECT_EQ(write(id, 0, batch_of({"v"})), 0);
}

INSTANTIATE_TEST_SUITE_P(Shards, WriteRead, ::testing::Values(1u, 3u), [](const auto& instance) {
  return "Of" + std::to_string(instance.param);
});

// A client may take a leader below 0 for one, with whatever term it finds.
TEST(LeaderHints, NothingIsSaidWhereNobodyLeads) {
  wire::FetchResponse::Partition answer;
  put_leader(service::LeaderHint{model::BrokerId{-1}, model::Term{7}}, answer.current_leader);
  EXPECT_EQ(answer.current_leader.leader_id, -1);
  EXPECT_EQ(answer.current_leader.leader_epoch, -1);
  put_leader(service::LeaderHint{model::BrokerId{2}, model::Term{7}}, answer.current_leader);
  EXPECT_EQ(answer.current_leader.leader_id, 2);
  EXPECT_EQ(answer.current_leader.leader_epoch, 7);
}

}  // namespace
}  // namespace millrace::kafka
