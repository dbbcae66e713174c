// Incremental fetch sessions as a consumer sees them (KIP-227): what is told when, and what is
// refused.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "broker/kafka/handlers/answers.h"
#include "broker/kafka/testing/test_broker.h"
#include "broker/wire/messages/delete_topics.h"

namespace millrace::kafka {
namespace {

using testing::batch_of;
using testing::Client;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using testing::produce_request;
using testing::TestBroker;
using testing::TestBrokerOptions;
using testing::values_in;

constexpr std::int16_t number(ErrorCode code) {
  return static_cast<std::int16_t>(code);
}

class FetchSessionTest : public ::testing::Test {
 protected:
  void SetUp() override { id_ = broker_.create_topic("orders", 3); }

  wire::FetchRequest request(
      std::int32_t session, std::int32_t epoch,
      std::initializer_list<std::pair<std::int32_t, std::int64_t>> partitions) const {
    wire::FetchRequest request;
    request.session_id = session;
    request.session_epoch = epoch;
    if (partitions.size() == 0) return request;
    auto& topic = request.topics.emplace_back();
    topic.topic_id = id_;
    topic.topic = "orders";
    for (const auto& [index, from] : partitions) {
      auto& partition = topic.partitions.emplace_back();
      partition.partition = index;
      partition.fetch_offset = from;
      partition.partition_max_bytes = 1 << 20;
    }
    return request;
  }
  void write(std::int32_t partition, const std::string& value) {
    const auto response = client_.call(produce_request("", id_, partition, batch_of({value})));
    ASSERT_EQ(response.responses.at(0).partition_responses.at(0).error_code, 0);
  }
  static std::vector<std::int32_t> told(const wire::FetchResponse& response) {
    std::vector<std::int32_t> indexes;
    for (const auto& topic : response.responses) {
      for (const auto& partition : topic.partitions) indexes.push_back(partition.partition_index);
    }
    return indexes;
  }

  TestBroker broker_;
  Client client_ = broker_.connect();
  model::TopicId id_;
};

TEST_F(FetchSessionTest, TellsOnlyNews) {
  const auto opened = client_.call(request(0, 0, {{0, 0}, {1, 0}, {2, 0}}));
  EXPECT_EQ(opened.error_code, 0);
  ASSERT_GT(opened.session_id, 0);
  EXPECT_THAT(told(opened), ElementsAre(0, 1, 2)) << "the first answer names everything";
  const std::int32_t session = opened.session_id;

  auto response = client_.call(request(session, 1, {}));
  EXPECT_EQ(response.session_id, session);
  EXPECT_THAT(told(response), IsEmpty());

  write(1, "a");
  response = client_.call(request(session, 2, {}));
  EXPECT_THAT(told(response), ElementsAre(1));
  EXPECT_THAT(values_in(*response.responses[0].partitions[0].records), ElementsAre("a"));

  response = client_.call(request(session, 3, {{1, 1}}));
  EXPECT_THAT(told(response), IsEmpty()) << "read up to its end, and the high watermark was told";
}

TEST_F(FetchSessionTest, AMovedHighWatermarkIsNewsWithoutRecords) {
  write(0, "a");
  const auto opened = client_.call(request(0, 0, {{0, 1}}));
  write(0, "b");
  const auto response = client_.call(request(opened.session_id, 1, {{0, 2}}));
  ASSERT_THAT(told(response), ElementsAre(0));
  EXPECT_TRUE(response.responses[0].partitions[0].records->empty());
  EXPECT_EQ(response.responses[0].partitions[0].high_watermark, 2);
}

TEST_F(FetchSessionTest, ErrorsAreRepeatedUntilTheyEnd) {
  const auto opened = client_.call(request(0, 0, {{0, 9}, {1, 0}}));
  EXPECT_EQ(opened.responses.at(0).partitions.at(0).error_code,
            number(ErrorCode::kOffsetOutOfRange));
  auto response = client_.call(request(opened.session_id, 1, {}));
  EXPECT_THAT(told(response), ElementsAre(0));
  response = client_.call(request(opened.session_id, 2, {{0, 0}}));
  ASSERT_THAT(told(response), ElementsAre(0)) << "that it works again is news";
  EXPECT_EQ(response.responses[0].partitions[0].error_code, 0);
  EXPECT_THAT(told(client_.call(request(opened.session_id, 3, {}))), IsEmpty());
}

// Goal: with a small answer, each partition gets its turn. Method: room for one batch at a time.
TEST_F(FetchSessionTest, PartitionsWithRecordsGoToTheEndOfTheLine) {
  for (const std::int32_t partition : {0, 1, 2}) write(partition, std::string(300, 'v'));
  auto first = request(0, 0, {{0, 0}, {1, 0}, {2, 0}});
  first.max_bytes = 1;
  const auto opened = client_.call(first);
  std::vector<std::int32_t> turns;
  for (std::int32_t epoch = 1; epoch <= 6; ++epoch) {
    auto next = request(opened.session_id, epoch, {});
    next.max_bytes = 1;
    const auto response = client_.call(next);
    for (const auto& topic : response.responses) {
      for (const auto& partition : topic.partitions) {
        if (!partition.records->empty()) turns.push_back(partition.partition_index);
      }
    }
  }
  EXPECT_THAT(turns, ElementsAre(0, 1, 2, 0, 1, 2));
}

TEST_F(FetchSessionTest, ForgottenPartitionsAreNotTold) {
  const auto opened = client_.call(request(0, 0, {{0, 0}, {1, 0}}));
  write(0, "a");
  write(1, "b");
  auto forget = request(opened.session_id, 1, {{2, 0}});
  forget.forgotten_topics_data.push_back({"orders", id_, {0}});
  EXPECT_THAT(told(client_.call(forget)), ElementsAre(1, 2));
}

TEST_F(FetchSessionTest, ForgettingAllEndsTheSession) {
  const auto opened = client_.call(request(0, 0, {{0, 0}}));
  auto forget = request(opened.session_id, 1, {});
  forget.forgotten_topics_data.push_back({"orders", id_, {0}});
  const auto response = client_.call(forget);
  EXPECT_EQ(response.error_code, 0);
  EXPECT_EQ(response.session_id, 0);
  EXPECT_EQ(client_.call(request(opened.session_id, 2, {})).error_code,
            number(ErrorCode::kFetchSessionIdNotFound));
}

TEST_F(FetchSessionTest, WrongIdsEpochsAndNamesAreRefused) {
  const auto opened = client_.call(request(0, 0, {{0, 0}}));
  const auto unknown = client_.call(request(opened.session_id ^ 1, 1, {}));
  EXPECT_EQ(unknown.error_code, number(ErrorCode::kFetchSessionIdNotFound));
  EXPECT_EQ(unknown.session_id, 0);
  EXPECT_EQ(client_.call(request(opened.session_id, 2, {})).error_code,
            number(ErrorCode::kInvalidFetchSessionEpoch));
  EXPECT_EQ(client_.call(request(opened.session_id, 1, {}), 12).error_code,
            number(ErrorCode::kFetchSessionTopicIdError));
  EXPECT_EQ(client_.call(request(opened.session_id, 1, {})).error_code, 0)
      << "refusals do not use up epochs";
  EXPECT_EQ(client_.call(request(opened.session_id, 1, {})).error_code,
            number(ErrorCode::kInvalidFetchSessionEpoch));
}

TEST_F(FetchSessionTest, TheFinalEpochEndsTheSession) {
  const auto opened = client_.call(request(0, 0, {{0, 0}}));
  const auto last = client_.call(request(opened.session_id, -1, {{0, 0}}));
  EXPECT_EQ(last.session_id, 0);
  EXPECT_THAT(told(last), ElementsAre(0));
  EXPECT_EQ(broker_.server().metrics_now().fetch_sessions, 0u);
}

TEST_F(FetchSessionTest, ANewOneMayReplaceAnOldOne) {
  const auto first = client_.call(request(0, 0, {{0, 0}}));
  const auto second = client_.call(request(first.session_id, 0, {{1, 0}}));
  EXPECT_GT(second.session_id, 0);
  EXPECT_EQ(broker_.server().metrics_now().fetch_sessions, 1u);
  EXPECT_EQ(client_.call(request(first.session_id, 1, {})).error_code,
            number(ErrorCode::kFetchSessionIdNotFound));
}

TEST_F(FetchSessionTest, WithoutRoomRequestsStandForThemselves) {
  TestBrokerOptions options;
  options.limits.fetch_sessions_max = 0;
  TestBroker broker(options);
  const auto id = broker.create_topic("orders");
  auto wanted = request(0, 0, {{0, 0}});
  wanted.topics[0].topic_id = id;
  const auto response = broker.connect().call(wanted);
  EXPECT_EQ(response.session_id, 0);
  EXPECT_THAT(told(response), ElementsAre(0));
}

TEST_F(FetchSessionTest, NamesWorkBeforeTopicIds) {
  for (std::int16_t version = 7; version <= 12; ++version) {
    const auto opened = client_.call(request(0, 0, {{0, 0}}), version);
    ASSERT_GT(opened.session_id, 0) << version;
    EXPECT_EQ(opened.responses.at(0).topic, "orders");
    write(0, "v");
    EXPECT_THAT(told(client_.call(request(opened.session_id, 1, {}), version)), ElementsAre(0));
  }
}

// Goal: a topic made again under the same name is another one to a session that goes by id.
TEST_F(FetchSessionTest, ADeletedTopicIsUnknownByItsId) {
  const auto opened = client_.call(request(0, 0, {{0, 0}}));
  wire::DeleteTopicsRequest remove;
  auto& topic = remove.topics.emplace_back();
  topic.name = "orders";
  ASSERT_EQ(client_.call(remove).responses.at(0).error_code, 0);
  broker_.create_topic("orders", 1);
  const auto response = client_.call(request(opened.session_id, 1, {}));
  ASSERT_THAT(told(response), ElementsAre(0));
  EXPECT_EQ(response.responses[0].partitions[0].error_code, number(ErrorCode::kUnknownTopicId));
}

}  // namespace
}  // namespace millrace::kafka
