// What a PublishRequest becomes in the logs, and what ReadResponses make of it again.
#include "broker/grpc/publish.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "broker/grpc/record_decoder.h"
#include "broker/model/partitioner.h"
#include "broker/model/record.h"
#include "broker/service/testing/node.h"

namespace millrace::grpc {
namespace {

using model::ErrorCode;
using model::Offset;
using service::testing::Node;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

constexpr std::int32_t kPartitions = 6;

class PublishTest : public ::testing::Test {
 protected:
  PublishTest() {
    node_.start();
    node_.create_topic("orders", kPartitions);
  }

  common::Result<void> publish(const v1::PublishRequest& request, std::size_t shard = 0) {
    response_.Clear();
    return node_.wait<common::Result<void>>([&](auto reply) {
      grpc::publish(node_.shard(shard), request, response_, std::move(reply));
    });
  }
  std::string refusal(const v1::PublishRequest& request) {
    const auto published = publish(request);
    EXPECT_FALSE(published.ok());
    return published.ok() ? "" : published.error().detail;
  }
  static v1::PublishRequest request(int records, const std::string& topic = "orders") {
    v1::PublishRequest request;
    request.set_topic(topic);
    for (int i = 0; i < records; ++i) request.add_records()->set_value("v" + std::to_string(i));
    return request;
  }
  v1::ReadResponse read(std::int32_t partition, Offset from = {}) {
    v1::ReadResponse response;
    UnpackedBytes unpacked;
    RecordDecoder decoder("orders", unpacked);
    for (common::Bytes& piece : node_.fetch_one("orders", partition, from).pieces)
      decoder.add(model::PartitionIndex{partition}, from, std::move(piece));
    EXPECT_TRUE(decoder.take(SIZE_MAX, response).ok());
    EXPECT_TRUE(decoder.empty());
    return response;
  }

  Node node_;
  v1::PublishResponse response_;
};

// Goal: nothing of a record is lost or invented on the way. Method: every optional part set and
// unset.
TEST_F(PublishTest, RecordsReadBackTheSame) {
  v1::PublishRequest all = request(0);
  auto& full = *all.add_records();
  full.set_partition(2);
  full.set_key("key");
  full.set_value(std::string("a\0b", 3));
  full.set_timestamp_ms(1'700'000'000'000);
  auto& header = *full.add_headers();
  header.set_key("name");
  header.set_value("value");
  full.add_headers()->set_key("null");
  auto& tombstone = *all.add_records();
  tombstone.set_partition(2);
  tombstone.set_key("key");
  auto& keyless = *all.add_records();
  keyless.set_partition(2);
  keyless.set_value("");
  for (const char* compression : {"", "none", "gzip", "snappy", "lz4", "zstd"}) {
    all.set_compression(compression);
    ASSERT_TRUE(publish(all).ok()) << compression;
    const std::int64_t base = response_.positions(0).offset();
    const v1::ReadResponse records = read(2, Offset{base});
    ASSERT_EQ(records.records_size(), 3);
    const v1::Record& first = records.records(0);
    EXPECT_EQ(first.topic(), "orders");
    EXPECT_EQ(first.partition(), 2);
    EXPECT_EQ(first.offset(), base);
    EXPECT_EQ(first.timestamp_ms(), 1'700'000'000'000);
    EXPECT_EQ(first.key(), "key");
    EXPECT_EQ(first.value(), std::string("a\0b", 3));
    ASSERT_EQ(first.headers_size(), 2);
    EXPECT_EQ(first.headers(0).value(), "value");
    EXPECT_FALSE(first.headers(1).has_value());
    EXPECT_FALSE(records.records(1).has_value()) << "a tombstone";
    EXPECT_GT(records.records(1).timestamp_ms(), 0) << "the broker's time";
    EXPECT_FALSE(records.records(2).has_key());
    EXPECT_TRUE(records.records(2).has_value()) << "empty is not null";
  }
}

TEST_F(PublishTest, KeysDecideAsInKafkaAndPositionsSayWhere) {
  v1::PublishRequest keyed = request(50);
  for (int i = 0; i < 50; ++i)
    keyed.mutable_records(i)->set_key("customer-" + std::to_string(i % 10));
  keyed.set_tag(7);
  ASSERT_TRUE(publish(keyed).ok());
  EXPECT_EQ(response_.tag(), 7);
  ASSERT_EQ(response_.positions_size(), 50);
  for (int i = 0; i < 50; ++i) {
    const v1::RecordPosition& position = response_.positions(i);
    const auto wanted =
        model::partition_for_key(common::as_bytes(keyed.records(i).key()), kPartitions);
    EXPECT_EQ(position.partition(), wanted.value());
    const v1::ReadResponse there = read(position.partition(), Offset{position.offset()});
    ASSERT_GT(there.records_size(), 0);
    EXPECT_EQ(there.records(0).value(), keyed.records(i).value());
  }
}

TEST_F(PublishTest, RecordsWithoutKeyStayTogetherAndMoveOnNextTime) {
  std::set<std::int32_t> seen;
  for (int round = 0; round < 40; ++round) {
    ASSERT_TRUE(publish(request(5)).ok());
    std::set<std::int32_t> one;
    for (const auto& position : response_.positions()) one.insert(position.partition());
    EXPECT_THAT(one, SizeIs(1));
    seen.insert(one.begin(), one.end());
  }
  EXPECT_GT(seen.size(), 2u);
}

// Goal: a big request meets max.message.bytes. Method: 3 MB for one partition, whose limit is 1 MB.
TEST_F(PublishTest, ManyBytesBecomeSeveralBatches) {
  v1::PublishRequest big = request(0);
  for (int i = 0; i < 30; ++i) {
    auto& record = *big.add_records();
    record.set_partition(1);
    record.set_value(std::string(100'000, static_cast<char>('a' + i % 26)));
  }
  ASSERT_TRUE(publish(big).ok());
  for (int i = 0; i < 30; ++i) EXPECT_EQ(response_.positions(i).offset(), i);
}

TEST_F(PublishTest, OneBadPartOfARequestIsNamedTheRestIsWritten) {
  v1::PublishRequest mixed = request(2);
  mixed.mutable_records(0)->set_partition(0);
  mixed.mutable_records(1)->set_partition(1);
  mixed.mutable_records(1)->set_value(std::string(2 << 20, 'x'));
  ASSERT_TRUE(publish(mixed).ok());
  EXPECT_EQ(response_.positions(0).offset(), 0);
  EXPECT_EQ(response_.positions(1).offset(), -1);
  EXPECT_EQ(response_.positions(1).error(), "MESSAGE_TOO_LARGE");
  mixed.mutable_records()->DeleteSubrange(0, 1);
  EXPECT_FALSE(publish(mixed).ok()) << "nothing of it was written";
}

TEST_F(PublishTest, IdempotentRequestsAreWrittenOnce) {
  v1::PublishRequest once = request(3);
  for (auto& record : *once.mutable_records()) record.set_key("same");
  once.mutable_idempotence()->set_producer_id(9);
  ASSERT_TRUE(publish(once).ok());
  const std::int64_t offset = response_.positions(0).offset();
  ASSERT_TRUE(publish(once, 1).ok());
  EXPECT_EQ(response_.positions(0).offset(), offset);
  EXPECT_EQ(response_.positions(2).offset(), offset + 2);
  once.mutable_idempotence()->set_base_sequence(9);
  EXPECT_FALSE(publish(once).ok());
}

TEST_F(PublishTest, WrongRequestsAreRefusedWithTheReason) {
  EXPECT_THAT(refusal(request(1, "")), HasSubstr("topic must be set"));
  EXPECT_THAT(refusal(request(0)), HasSubstr("records must not be empty"));
  EXPECT_THAT(refusal(request(10'001)), HasSubstr("10000"));
  v1::PublishRequest wrong = request(1);
  wrong.set_compression("rar");
  EXPECT_THAT(refusal(wrong), HasSubstr("gzip, snappy, lz4 or zstd"));
  wrong = request(1);
  wrong.mutable_records(0)->set_partition(kPartitions);
  EXPECT_THAT(refusal(wrong), HasSubstr("no partition 6: the topic has 6"));
  wrong = request(1);
  wrong.set_acks(static_cast<v1::Acks>(5));
  EXPECT_THAT(refusal(wrong), HasSubstr("acks must be"));
  wrong = request(2);
  wrong.mutable_idempotence()->set_producer_id(-1);
  EXPECT_THAT(refusal(wrong), HasSubstr("idempotence needs"));
  wrong.mutable_idempotence()->set_producer_id(1);
  wrong.mutable_records(0)->set_partition(0);
  wrong.mutable_records(1)->set_partition(1);
  EXPECT_THAT(refusal(wrong), HasSubstr("one partition"));
}

TEST_F(PublishTest, TopicsAreMadeWhereThatIsAllowed) {
  ASSERT_TRUE(publish(request(1, "fresh"), 1).ok());
  EXPECT_EQ(response_.positions(0).offset(), 0);
  EXPECT_THAT(refusal(request(1, "no/slash")), HasSubstr("no/slash"));
  EXPECT_EQ(publish(request(1, "__cluster_metadata")).ok(), false);
}

}  // namespace
}  // namespace millrace::grpc
