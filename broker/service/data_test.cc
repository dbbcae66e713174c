// Producing, fetching and asking for offsets over the partitions of several shards.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "broker/service/offsets.h"
#include "broker/service/testing/node.h"

namespace millrace::service {
namespace {

using model::ErrorCode;
using model::Offset;
using model::PartitionIndex;
using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using testing::make_batch;
using testing::Node;
using ::testing::SizeIs;
using testing::values_in;

constexpr std::int32_t kPartitions = 4;

class DataTest : public ::testing::TestWithParam<std::uint32_t> {
 protected:
  DataTest() : node_({.shards = GetParam(), .config = {}}) {
    node_.start();
    orders_ = node_.create_topic("orders", kPartitions);
  }

  static PartitionRef at(std::int32_t partition, const std::string& topic = "orders") {
    return {{}, topic, PartitionIndex{partition}};
  }
  static FetchCommand all_partitions(common::Duration wait) {
    FetchCommand command;
    for (std::int32_t i = 0; i < kPartitions; ++i)
      command.items.push_back({.target = at(i), .from = Offset{0}});
    command.wait_max = wait;
    return command;
  }

  /// A fetch under way: what it answered, and when.
  struct Waiting {
    std::shared_ptr<FetchHandle> handle;
    std::optional<std::vector<FetchOutcome>> outcomes;
    common::Duration took{0};
  };
  std::shared_ptr<Waiting> begin_fetch(FetchCommand command) {
    auto waiting = std::make_shared<Waiting>();
    const common::Instant begun = node_.world.clock().now();
    waiting->handle = fetch(node_.shard(), std::move(command),
                            [this, waiting, begun](std::vector<FetchOutcome> outcomes) {
                              waiting->outcomes = std::move(outcomes);
                              waiting->took = node_.world.clock().now() - begun;
                            });
    return waiting;
  }
  bool answered(const std::shared_ptr<Waiting>& waiting, common::Duration within = seconds(60)) {
    return node_.world.run_until([&] { return waiting->outcomes.has_value(); }, within);
  }
  std::vector<OffsetAnswer> offsets(std::vector<OffsetQuery> queries) {
    return node_.wait<std::vector<OffsetAnswer>>([&](auto reply) {
      list_offsets(node_.shard(), std::move(queries), replica::Isolation::kReadUncommitted,
                   std::move(reply));
    });
  }

  Node node_;
  model::TopicId orders_;
};

// ---- Produce

TEST_P(DataTest, OutcomesComeInTheOrderOfTheItems) {
  node_.produce_one("orders", 2);
  ProduceCommand command;
  for (const std::int32_t partition : {3, 2, 9, 0})
    command.items.push_back({at(partition), make_batch({.values = {"a", "b"}})});
  command.items.push_back({at(0, "missing"), make_batch({})});
  command.items.push_back(
      {{node_.shard().image().topic("orders")->id, "", PartitionIndex{1}}, make_batch({})});
  command.items.push_back({at(1), {}});
  const auto outcomes = node_.wait<std::vector<ProduceOutcome>>(
      [&](auto reply) { produce(node_.shard(), std::move(command), std::move(reply)); });
  std::vector<ErrorCode> codes;
  for (const auto& outcome : outcomes) codes.push_back(outcome.code);
  EXPECT_THAT(codes,
              ElementsAre(ErrorCode::kNone, ErrorCode::kNone, ErrorCode::kUnknownTopicOrPartition,
                          ErrorCode::kNone, ErrorCode::kUnknownTopicOrPartition, ErrorCode::kNone,
                          ErrorCode::kInvalidRecord));
  EXPECT_EQ(outcomes[0].appended.base_offset, Offset{0});
  EXPECT_EQ(outcomes[1].appended.base_offset, Offset{1});
}

TEST_P(DataTest, EveryShardServesEveryPartition) {
  for (std::int32_t partition = 0; partition < kPartitions; ++partition) {
    for (std::uint32_t shard = 0; shard < GetParam(); ++shard) {
      const std::string value = fmt::format("{} through {}", partition, shard);
      EXPECT_EQ(
          node_.produce_one("orders", partition, {.values = {value}}, shard).appended.base_offset,
          Offset{shard});
      for (std::uint32_t reader = 0; reader < GetParam(); ++reader) {
        EXPECT_THAT(values_in(node_.fetch_one("orders", partition, Offset{shard}, reader)),
                    ElementsAre(value));
      }
    }
  }
}

// ---- Fetch

TEST_P(DataTest, AFetchWithoutWaitAnswersAtOnce) {
  const auto waiting = begin_fetch(all_partitions(seconds(0)));
  ASSERT_TRUE(answered(waiting));
  EXPECT_LT(waiting->took, milliseconds(1));
  ASSERT_THAT(*waiting->outcomes, SizeIs(kPartitions));
  for (const auto& outcome : *waiting->outcomes) EXPECT_EQ(outcome.code, ErrorCode::kNone);
}

// Goal: a reader hears of a record on any shard as soon as it is committed. Method: a long wait, a
// write in between.
TEST_P(DataTest, AWaitingFetchWakesUp) {
  for (std::int32_t partition = 0; partition < kPartitions; ++partition) {
    FetchCommand command = all_partitions(seconds(30));
    for (auto& item : command.items)
      item.from = Offset{item.target.partition.value() < partition ? 1 : 0};
    const auto waiting = begin_fetch(std::move(command));
    EXPECT_FALSE(answered(waiting, seconds(1)));
    node_.produce_one("orders", partition, {.values = {"news"}});
    ASSERT_TRUE(answered(waiting));
    EXPECT_LT(waiting->took, milliseconds(1100));
    EXPECT_THAT(values_in((*waiting->outcomes)[static_cast<std::size_t>(partition)]),
                ElementsAre("news"));
  }
}

TEST_P(DataTest, BytesMinCountsAllPartitions) {
  FetchCommand command = all_partitions(seconds(30));
  command.bytes_min = 3 * make_batch({}).size();
  const auto waiting = begin_fetch(std::move(command));
  node_.produce_one("orders", 0);
  node_.produce_one("orders", 3);
  EXPECT_FALSE(answered(waiting, seconds(1)));
  node_.produce_one("orders", 1);
  ASSERT_TRUE(answered(waiting));
  EXPECT_LT(waiting->took, seconds(2));
  EXPECT_THAT(values_in((*waiting->outcomes)[0]), ElementsAre("value"));
  EXPECT_THAT(values_in((*waiting->outcomes)[1]), ElementsAre("value"));
  EXPECT_THAT(values_in((*waiting->outcomes)[3]), ElementsAre("value"));
}

TEST_P(DataTest, AfterTheWaitItAnswersWithWhatIsThere) {
  FetchCommand command = all_partitions(milliseconds(500));
  command.bytes_min = 1 << 20;
  const auto waiting = begin_fetch(std::move(command));
  node_.produce_one("orders", 2);
  ASSERT_TRUE(answered(waiting));
  EXPECT_GE(waiting->took, milliseconds(500));
  EXPECT_LT(waiting->took, milliseconds(510));
  EXPECT_THAT(values_in((*waiting->outcomes)[2]), ElementsAre("value"));
}

TEST_P(DataTest, TheReaderMayLeave) {
  const auto waiting = begin_fetch(all_partitions(seconds(30)));
  node_.world.run_for(seconds(1));
  waiting->handle->cancel();
  ASSERT_TRUE(answered(waiting));
  EXPECT_LT(waiting->took, seconds(2));
  // Nothing of it is left to be woken.
  node_.produce_one("orders", 0);
  node_.world.run_for(seconds(60));
}

// Goal: one answer holds no more than asked for, but always makes progress. Method: budgets below
// and around one batch.
TEST_P(DataTest, TheBudgetHoldsForAllPartitionsTogether) {
  const std::size_t one = make_batch({}).size();
  for (std::int32_t i = 0; i < kPartitions; ++i) {
    for (int j = 0; j < 3; ++j) node_.produce_one("orders", i);
  }
  for (const std::size_t budget : {std::size_t{1}, one, 2 * one + 1, 5 * one, 100 * one}) {
    FetchCommand command = all_partitions(seconds(0));
    command.bytes_max = budget;
    const auto waiting = begin_fetch(std::move(command));
    ASSERT_TRUE(answered(waiting));
    std::size_t bytes = 0;
    for (const auto& outcome : *waiting->outcomes) bytes += outcome.bytes;
    EXPECT_GE(bytes, one);
    EXPECT_LE(bytes, std::max(budget, one)) << budget;
  }
}

TEST_P(DataTest, PartitionBudgetsHold) {
  for (int j = 0; j < 3; ++j) node_.produce_one("orders", 0);
  FetchCommand command = all_partitions(seconds(0));
  command.items[0].bytes_max = 2 * make_batch({}).size();
  const auto waiting = begin_fetch(std::move(command));
  ASSERT_TRUE(answered(waiting));
  EXPECT_THAT(values_in((*waiting->outcomes)[0]), SizeIs(2));
}

TEST_P(DataTest, ErrorsAnswerAtOnceAndLeaveTheOthersAlone) {
  node_.produce_one("orders", 0);
  FetchCommand command = all_partitions(seconds(30));
  command.items.push_back({.target = at(0, "missing"), .from = Offset{0}});
  command.items.push_back(
      {.target = {common::Uuid{{9}}, "", PartitionIndex{0}}, .from = Offset{0}});
  command.items.push_back({.target = at(kPartitions), .from = Offset{0}});
  command.items.push_back({.target = at(0), .from = Offset{7}});
  command.items.push_back({.target = at(0), .from = Offset{0}, .leader_epoch = model::Term{99}});
  const auto waiting = begin_fetch(std::move(command));
  ASSERT_TRUE(answered(waiting));
  EXPECT_LT(waiting->took, milliseconds(10));
  const auto& outcomes = *waiting->outcomes;
  EXPECT_THAT(values_in(outcomes[0]), ElementsAre("value"));
  EXPECT_EQ(outcomes[4].code, ErrorCode::kUnknownTopicOrPartition);
  EXPECT_EQ(outcomes[5].code, ErrorCode::kUnknownTopicId);
  EXPECT_EQ(outcomes[6].code, ErrorCode::kUnknownTopicOrPartition);
  EXPECT_EQ(outcomes[7].code, ErrorCode::kOffsetOutOfRange);
  EXPECT_EQ(outcomes[8].code, ErrorCode::kUnknownLeaderEpoch);
}

TEST_P(DataTest, DeletingTheTopicEndsTheWait) {
  const auto waiting = begin_fetch(all_partitions(seconds(30)));
  node_.world.run_for(milliseconds(100));
  EXPECT_EQ(node_.delete_topic("orders").code, ErrorCode::kNone);
  ASSERT_TRUE(answered(waiting));
  EXPECT_LT(waiting->took, seconds(1));
  // The first shard to hear of it ends the wait.
  EXPECT_TRUE(std::ranges::any_of(*waiting->outcomes, [](const FetchOutcome& outcome) {
    return outcome.code == ErrorCode::kUnknownTopicOrPartition;
  }));
}

TEST_P(DataTest, ALostTailShowsAsDivergence) {
  node_.produce_one("orders", 0);
  const model::Term epoch = node_.fetch_one("orders", 0).bounds.leader_epoch;
  FetchCommand command;
  command.items.push_back({.target = at(0), .from = Offset{1}, .last_fetched_epoch = epoch});
  auto waiting = begin_fetch(command);
  ASSERT_TRUE(answered(waiting));
  EXPECT_LT((*waiting->outcomes)[0].diverging.term, model::Term{0});
  node_.stop();
  node_.start();
  // The reader believes that the old epoch wrote more than is there.
  node_.produce_one("orders", 0);
  command.items[0].from = Offset{2};
  waiting = begin_fetch(command);
  ASSERT_TRUE(answered(waiting));
  EXPECT_EQ((*waiting->outcomes)[0].diverging, (storage::TermStart{epoch, Offset{1}}));
}

// ---- Offsets

TEST_P(DataTest, ListsOffsetsOfEveryKind) {
  node_.produce_one("orders", 1,
                    {.values = {"a", "b", "c"}, .time = common::Timestamp{1'700'000'000'000}});
  node_.produce_one("orders", 1, {.values = {"d"}, .time = common::Timestamp{1'699'999'999'999}});
  const auto answers = offsets({{.target = at(1), .at = kEarliest},
                                {.target = at(1), .at = kLatest},
                                {.target = at(1), .at = kMaxTimestamp},
                                {.target = at(1), .at = common::Timestamp{1'700'000'000'001}},
                                {.target = at(1), .at = common::Timestamp{1'800'000'000'000}},
                                {.target = at(2), .at = kLatest},
                                {.target = at(2), .at = kMaxTimestamp},
                                {.target = at(0, "missing"), .at = kLatest}});
  std::vector<std::int64_t> found;
  for (const OffsetAnswer& answer : answers) found.push_back(answer.offset.value());
  EXPECT_THAT(found, ElementsAre(0, 4, 2, 1, -1, 0, -1, -1));
  EXPECT_EQ(answers[2].timestamp, common::Timestamp{1'700'000'000'002});
  EXPECT_EQ(answers[7].code, ErrorCode::kUnknownTopicOrPartition);
  for (std::size_t i = 0; i + 1 < answers.size(); ++i)
    EXPECT_EQ(answers[i].code, ErrorCode::kNone) << i;
}

TEST_P(DataTest, DeletesRecordsOfManyPartitions) {
  for (const std::int32_t partition : {0, 1, 2})
    node_.produce_one("orders", partition, {.values = {"a", "b"}});
  const auto outcomes = node_.wait<std::vector<DeleteRecordsOutcome>>([&](auto reply) {
    delete_records(
        node_.shard(),
        {{at(0), Offset{1}}, {at(1), Offset{-1}}, {at(2), Offset{3}}, {at(7), Offset{0}}},
        std::move(reply));
  });
  EXPECT_EQ(outcomes[0].low_watermark, Offset{1});
  EXPECT_EQ(outcomes[1].low_watermark, Offset{2});
  EXPECT_EQ(outcomes[2].code, ErrorCode::kOffsetOutOfRange);
  EXPECT_EQ(outcomes[3].code, ErrorCode::kUnknownTopicOrPartition);
  // The batch comes whole; its reader skips what is below the start.
  EXPECT_EQ(node_.fetch_one("orders", 0, Offset{1}).bounds.log_start, Offset{1});
  EXPECT_THAT(values_in(node_.fetch_one("orders", 1, Offset{2})), IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(Shards, DataTest, ::testing::Values(1u, 2u, 3u),
                         [](const auto& chosen) { return "Of" + std::to_string(chosen.param); });

}  // namespace
}  // namespace millrace::service
