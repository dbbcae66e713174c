// The checks bite: each story breaks one promise, and is found out.
#include "tests/sim/history.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/sim/group_history.h"

namespace millrace::sim {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

class HistoryTest : public ::testing::Test {
 protected:
  WriteId write(WriterId writer, std::int32_t records = 1) {
    const WriteId id = history_.begin(writer, key_, records);
    history_.sent(id);
    return id;
  }
  std::vector<ReadRecord> log(const std::vector<WriteId>& writes) {
    std::vector<ReadRecord> records;
    for (const WriteId id : writes)
      records.push_back({Offset{static_cast<std::int64_t>(records.size())}, history_.value(id, 0)});
    return records;
  }

  common::ManualClock clock_;
  Trace trace_{clock_, false};
  History history_{trace_};
  const PartitionKey key_{model::TopicId{{1}}, model::PartitionIndex{0}};
};

TEST_F(HistoryTest, NothingIsWrongWithWhatIsRight) {
  const WriterId writer = history_.new_writer(Promise::kExactlyOnce);
  const WriteId first = write(writer, 2);
  history_.sent(first);
  history_.acknowledged(first, Offset{0});
  const WriteId second = write(writer);
  history_.acknowledged(second, Offset{2});
  history_.read(key_, Offset{1}, history_.value(first, 1) + " xxx");
  history_.check_whole(key_, Offset{0}, Offset{3},
                       {{Offset{0}, history_.value(first, 0)},
                        {Offset{1}, history_.value(first, 1)},
                        {Offset{2}, history_.value(second, 0)}});
  EXPECT_THAT(trace_.failure(), IsEmpty());
}

TEST_F(HistoryTest, AnAcknowledgedRecordIsMissed) {
  const WriterId writer = history_.new_writer(Promise::kAtLeastOnce);
  const WriteId kept = write(writer);
  const WriteId lost = write(writer);
  history_.acknowledged(kept, Offset{0});
  history_.acknowledged(lost, Offset{1});
  history_.check_whole(key_, Offset{0}, Offset{1}, log({kept}));
  EXPECT_THAT(trace_.failure(), HasSubstr("was acknowledged at 1, and the log ends at 1"));
}

TEST_F(HistoryTest, AReadRecordIsMissedToo) {
  const WriteId seen = write(history_.new_writer(Promise::kNone));
  history_.read(key_, Offset{0}, history_.value(seen, 0));
  history_.check_whole(key_, Offset{0}, Offset{0}, {});
  EXPECT_THAT(trace_.failure(), HasSubstr("was read at 0, and the log ends at 0"));
}

TEST_F(HistoryTest, AnOffsetHasOneRecordForEver) {
  const WriterId writer = history_.new_writer(Promise::kAtLeastOnce);
  const WriteId first = write(writer);
  const WriteId other = write(writer);
  history_.read(key_, Offset{0}, history_.value(first, 0));
  history_.acknowledged(other, Offset{0});
  EXPECT_THAT(trace_.failure(), HasSubstr("offset 0 was acknowledged as record 0.1"));
}

TEST_F(HistoryTest, AnIdempotentRecordIsThereOnce) {
  const WriteId once = write(history_.new_writer(Promise::kExactlyOnce));
  history_.sent(once);
  history_.acknowledged(once, Offset{0});
  history_.read(key_, Offset{1}, history_.value(once, 0));
  EXPECT_THAT(trace_.failure(), HasSubstr("by an idempotent producer"));
}

TEST_F(HistoryTest, ARecordIsThereAsOftenAsItWasSent) {
  const WriteId sent_twice = write(history_.new_writer(Promise::kAtLeastOnce));
  history_.sent(sent_twice);
  for (const std::int64_t offset : {0, 1})
    history_.read(key_, Offset{offset}, history_.value(sent_twice, 0));
  EXPECT_THAT(trace_.failure(), IsEmpty());
  history_.read(key_, Offset{2}, history_.value(sent_twice, 0));
  EXPECT_THAT(trace_.failure(), HasSubstr("sent 2 times"));
}

TEST_F(HistoryTest, IdempotentRecordsKeepTheirOrder) {
  const WriterId writer = history_.new_writer(Promise::kExactlyOnce);
  const WriteId first = write(writer);
  const WriteId second = write(writer);
  history_.check_whole(key_, Offset{0}, Offset{2}, log({second, first}));
  EXPECT_THAT(trace_.failure(), HasSubstr("at 0 stands record 0.1, and 0.0 should"));
}

TEST_F(HistoryTest, AnAppendComesBehindWhatWasAcknowledgedBeforeIt) {
  const WriterId writer = history_.new_writer(Promise::kAtLeastOnce);
  history_.acknowledged(write(writer), Offset{5});
  history_.acknowledged(write(writer), Offset{3});
  EXPECT_THAT(trace_.failure(), HasSubstr("though 5 was acknowledged"));
}

TEST_F(HistoryTest, ARefusedRecordIsNotRead) {
  const WriteId refused = write(history_.new_writer(Promise::kAtLeastOnce));
  history_.refused(refused);
  history_.read(key_, Offset{0}, history_.value(refused, 0));
  EXPECT_THAT(trace_.failure(), HasSubstr("which was refused"));
}

TEST_F(HistoryTest, ARecordOfAnotherPartitionIsKnown) {
  const WriterId writer = history_.new_writer(Promise::kAtLeastOnce);
  const PartitionKey other{key_.topic, model::PartitionIndex{1}};
  const WriteId strayed = history_.begin(writer, other, 1);
  history_.sent(strayed);
  history_.read(key_, Offset{0}, history_.value(strayed, 0));
  EXPECT_THAT(trace_.failure(), HasSubstr("a record of another partition"));
}

TEST_F(HistoryTest, AHoleIsSeen) {
  const WriterId writer = history_.new_writer(Promise::kAtLeastOnce);
  const WriteId first = write(writer);
  const WriteId second = write(writer);
  history_.check_whole(
      key_, Offset{0}, Offset{3},
      {{Offset{0}, history_.value(first, 0)}, {Offset{2}, history_.value(second, 0)}});
  EXPECT_THAT(trace_.failure(), HasSubstr("offset 1 is missing"));
}

TEST_F(HistoryTest, TheHighWatermarkStaysUp) {
  history_.saw_high_watermark(key_, Offset{0}, Offset{7});
  history_.saw_high_watermark(key_, history_.high_watermark_seen(key_), Offset{6});
  EXPECT_THAT(trace_.failure(), HasSubstr("the high watermark was 7, and later 6"));
}

TEST_F(HistoryTest, AnAnswerThatWasUnderWayMaySayLess) {
  const Offset seen = history_.high_watermark_seen(key_);
  history_.saw_high_watermark(key_, seen, Offset{7});
  history_.saw_high_watermark(key_, seen, Offset{6});
  EXPECT_THAT(trace_.failure(), IsEmpty());
}

// A record whose writer heard that it is stored is there for whoever asks after that.
TEST_F(HistoryTest, ADeposedLeaderDoesNotKnowWhatItsSuccessorAcknowledged) {
  History several(trace_, History::Leaders::kSeveral);
  const WriteId written = several.begin(several.new_writer(Promise::kAtLeastOnce), key_, 7);
  several.sent(written);
  const Offset before = several.high_watermark_seen(key_);
  several.acknowledged(written, Offset{0});
  several.saw_high_watermark(key_, before, Offset{0});
  EXPECT_THAT(trace_.failure(), IsEmpty());
  several.saw_high_watermark(key_, several.high_watermark_seen(key_), Offset{0});
  EXPECT_THAT(trace_.failure(), HasSubstr("the high watermark was 7, and later 0"));
}

TEST_F(HistoryTest, ALogsStartMovesWhenItIsAskedTo) {
  history_.trim_asked(key_, Offset{3});
  history_.trimmed(key_, Offset{3});
  EXPECT_THAT(trace_.failure(), IsEmpty());
  history_.saw_log_start(key_, Offset{4});
  EXPECT_THAT(trace_.failure(), HasSubstr("nobody asked to drop more than 3"));
}

TEST_F(HistoryTest, AProducerIdIsGivenOnce) {
  history_.producer_id_given(1000, 0);
  history_.producer_id_given(1000, 1);
  EXPECT_THAT(trace_.failure(), IsEmpty());
  history_.producer_id_given(1000, 0);
  EXPECT_THAT(trace_.failure(), HasSubstr("was given twice"));
}

class GroupHistoryTest : public ::testing::Test {
 protected:
  common::ManualClock clock_;
  Trace trace_{clock_, false};
  GroupHistory groups_{trace_};
  const Target target_{"orders", 0};
};

TEST_F(GroupHistoryTest, AGenerationHasOneOwner) {
  groups_.assigned("g", 1, "a", {target_});
  groups_.assigned("g", 2, "b", {target_});
  EXPECT_THAT(trace_.failure(), IsEmpty());
  groups_.assigned("g", 2, "a", {target_});
  EXPECT_THAT(trace_.failure(), HasSubstr("is of b and of a in generation 2"));
}

TEST_F(GroupHistoryTest, AConsumerGroupHasOneOwnerAtATime) {
  groups_.owns("g", target_, "a");
  groups_.releases("g", target_, "a");
  groups_.owns("g", target_, "b");
  EXPECT_THAT(trace_.failure(), IsEmpty());
  groups_.owns("g", target_, "a");
  EXPECT_THAT(trace_.failure(), HasSubstr("was given to a while b of g still reads it"));
}

TEST_F(GroupHistoryTest, ACommittedOffsetDoesNotGoBack) {
  groups_.commit_leaves("g", target_, Offset{9});
  groups_.told_committed("g", target_, groups_.committed_floor("g", target_), Offset{-1});
  groups_.committed("g", target_, Offset{9});
  EXPECT_THAT(trace_.failure(), IsEmpty());
  groups_.told_committed("g", target_, groups_.committed_floor("g", target_), Offset{8});
  EXPECT_THAT(trace_.failure(), HasSubstr("9 of orders-0 was committed"));
}

TEST_F(GroupHistoryTest, NobodyIsToldMoreThanWasCommitted) {
  groups_.commit_leaves("g", target_, Offset{9});
  groups_.told_committed("g", target_, Offset{-1}, Offset{10});
  EXPECT_THAT(trace_.failure(), HasSubstr("who committed at most 9"));
}

}  // namespace
}  // namespace millrace::sim
