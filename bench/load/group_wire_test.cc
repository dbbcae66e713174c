// Goal: what the load says to group coordinators is valid and what it hears is read right. Method:
// bodies taken apart by hand, answers put together by hand.
#include "bench/load/group_wire.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace millrace::bench {
namespace {

using ::testing::ElementsAre;

/// Reads what every body begins with.
Reader behind_client_id(const Buffer& body) {
  Reader reader(body);
  EXPECT_EQ(reader.text(), "millrace-load");
  return reader;
}

TEST(JoinBody, NamesTheTopicInItsSubscription) {
  const Buffer body =
      join_body({"g", "", 0}, {.topic = "orders", .session_ms = 10, .rebalance_ms = 20});
  Reader reader = behind_client_id(body);
  EXPECT_EQ(reader.text(), "g");
  EXPECT_EQ(reader.i32(), 10);
  EXPECT_EQ(reader.i32(), 20);
  EXPECT_EQ(reader.text(), "");
  EXPECT_EQ(reader.text(), "consumer");
  EXPECT_EQ(reader.i32(), 1);
  EXPECT_EQ(reader.text(), "range");
  EXPECT_EQ(reader.i32(), 2 + 4 + 2 + 6 + 4);
  EXPECT_EQ(reader.i16(), 0);
  EXPECT_EQ(reader.i32(), 1);
  EXPECT_EQ(reader.text(), "orders");
  EXPECT_EQ(reader.i32(), -1);
}

TEST(SyncBody, DealsEveryPartitionToOneMember) {
  const std::vector<std::string> members{"a", "b", "c"};
  const Buffer body = sync_body({"g", "a", 7}, {members, "t", 5});
  Reader reader = behind_client_id(body);
  EXPECT_EQ(reader.text(), "g");
  EXPECT_EQ(reader.i32(), 7);
  EXPECT_EQ(reader.text(), "a");
  ASSERT_EQ(reader.i32(), 3);
  std::vector<int> dealt;
  for (const auto& member : members) {
    EXPECT_EQ(reader.text(), member);
    const auto bytes = reader.take(static_cast<std::size_t>(reader.i32()));
    // The broker hands these bytes on as they are.
    Buffer answer;
    Writer writer(answer);
    writer.i32(0);
    writer.i16(0);
    writer.i32(static_cast<std::int32_t>(bytes.size()));
    writer.raw(bytes);
    dealt.push_back(read_sync(answer).partitions);
  }
  EXPECT_THAT(dealt, ElementsAre(2, 2, 1));
}

TEST(SyncBody, GivesNothingToMembersBeyondThePartitions) {
  const std::vector<std::string> members{"a", "b"};
  const Buffer body = sync_body({"g", "a", 1}, {members, "t", 1});
  Reader reader = behind_client_id(body);
  reader.text();
  reader.i32();
  reader.text();
  reader.i32();
  reader.text();
  reader.take(static_cast<std::size_t>(reader.i32()));
  EXPECT_EQ(reader.text(), "b");
  Reader assigned(reader.take(static_cast<std::size_t>(reader.i32())));
  assigned.i16();
  EXPECT_EQ(assigned.i32(), 1);
  EXPECT_EQ(assigned.text(), "t");
  EXPECT_EQ(assigned.i32(), 0);
}

TEST(CommitBody, SaysWhereItsOffsetsLie) {
  CommitBody body = commit_body({"g", "m", 3}, "t", 2);
  ASSERT_EQ(body.offset_positions.size(), 2U);
  Reader reader = behind_client_id(body.bytes);
  EXPECT_EQ(reader.text(), "g");
  EXPECT_EQ(reader.i32(), 3);
  EXPECT_EQ(reader.text(), "m");
  EXPECT_EQ(reader.i32(), 1);
  EXPECT_EQ(reader.text(), "t");
  EXPECT_EQ(reader.i32(), 2);
  EXPECT_EQ(reader.i32(), 0);
  EXPECT_EQ(body.offset_positions[1] - body.offset_positions[0], 8U + 2U + 4U);
}

Buffer commit_answer(int second_error) {
  Buffer answer;
  Writer writer(answer);
  writer.i32(0);
  writer.i32(1);
  writer.text("t");
  writer.i32(2);
  for (int partition = 0; partition < 2; ++partition) {
    writer.i32(partition);
    writer.i16(static_cast<std::int16_t>(partition == 1 ? second_error : 0));
  }
  return answer;
}

TEST(ReadCommit, FindsAnErrorInAnyPartition) {
  EXPECT_EQ(read_commit(commit_answer(0), 2), 0);
  EXPECT_EQ(read_commit(commit_answer(25), 2), 25);
}

TEST(ReadCommitDeathTest, MissesNoPartition) {
  EXPECT_EXIT(read_commit(commit_answer(0), 3), ::testing::ExitedWithCode(1), "2 of 3");
}

TEST(ConsumerHeartbeat, IsShortWhileNothingChanges) {
  const Buffer body = consumer_heartbeat_body({"g", "m", 5}, {});
  Reader reader = behind_client_id(body);
  const std::vector<std::uint8_t> expected{0,           // the end of the header
                                           2,    'g',   // lengths are one higher
                                           2,    'm',   //
                                           0,    0,     //
                                           0,    5,     // the epoch
                                           0,    0,     // no instance, no rack
                                           0xFF, 0xFF,  //
                                           0xFF, 0xFF,  // the same rebalance timeout
                                           0,    0,
                                           0,    0};  // topics, assignor, owned partitions, tags
  const auto rest = reader.take(expected.size());
  EXPECT_TRUE(std::equal(rest.begin(), rest.end(), expected.begin()));
}

TEST(ConsumerHeartbeat, TellsWhatIsOwned) {
  const std::array<std::int32_t, 2> owned{3, 4};
  TopicId topic{};
  topic.fill(9);
  const Buffer none =
      consumer_heartbeat_body({"g", "m", 5}, {.subscribed = "", .tells_owned = true});
  const Buffer some = consumer_heartbeat_body(
      {"g", "m", 5}, {.subscribed = "", .tells_owned = true, .topic = topic, .owned = owned});
  // An id, a length, two partitions and two ends of tagged fields; the array itself has its length
  // either way.
  EXPECT_EQ(some.size(), none.size() + 16 + 1 + 8 + 1);
}

TEST(ReadConsumerHeartbeat, TakesTheAssignment) {
  Buffer answer{0};  // tags of the header
  Writer writer(answer);
  writer.i32(0);
  writer.i16(0);
  writer.i8(0);  // no message
  writer.i8(2);
  writer.i8('m');
  writer.i32(6);
  writer.i32(5000);
  writer.i8(1);  // an assignment
  writer.i8(2);  // of one topic
  for (int i = 0; i < 16; ++i) writer.i8(7);
  writer.i8(3);  // two partitions
  writer.i32(1);
  writer.i32(2);
  for (int ends = 0; ends < 3; ++ends) writer.i8(0);
  const ConsumerAnswer found = read_consumer_heartbeat(answer);
  EXPECT_EQ(found.error, 0);
  EXPECT_EQ(found.member, "m");
  EXPECT_EQ(found.epoch, 6);
  ASSERT_TRUE(found.assignment.has_value());
  EXPECT_EQ(found.assignment->topic[15], 7);
  EXPECT_THAT(found.assignment->partitions, ElementsAre(1, 2));
}

}  // namespace
}  // namespace millrace::bench
