// Goal: the newest commit of each partition is what is read, and offsets grow old by Kafka's rules.
// Method: records against a map; the rules case by case.
#include "broker/coordinator/offsets.h"

#include <gtest/gtest.h>

#include "common/random.h"

namespace millrace::coordinator {
namespace {

constexpr std::int64_t kRetentionMs = 1000;

model::TopicId id_of(std::uint8_t number) {
  model::TopicId id;
  id.bytes[15] = number;
  return id;
}

OffsetRecord record(const std::string& topic, std::int32_t partition,
                    std::optional<std::int64_t> offset, model::TopicId id = {}) {
  OffsetRecord made{.group = "g", .topic = topic, .partition = partition, .topic_id = id};
  if (offset.has_value()) made.value = CommittedOffset{.offset = model::Offset{*offset}};
  return made;
}

TEST(OffsetsTest, TheNewestCommitCounts) {
  Offsets offsets;
  offsets.apply(record("t", 0, 5));
  offsets.apply(record("t", 0, 4));  // a member may go back on purpose
  ASSERT_NE(offsets.find({.name = "t"}, 0), nullptr);
  EXPECT_EQ(offsets.find({.name = "t"}, 0)->committed.offset, model::Offset{4});
  EXPECT_EQ(offsets.find({.name = "t"}, 1), nullptr);
  EXPECT_EQ(offsets.find({.name = "u"}, 0), nullptr);
  offsets.apply(record("t", 0, std::nullopt));
  offsets.apply(record("t", 0, std::nullopt));
  EXPECT_TRUE(offsets.empty());
  EXPECT_EQ(offsets.size(), 0U);
}

TEST(OffsetsTest, AnotherTopicOfTheNameHasNone) {
  Offsets offsets;
  offsets.apply(record("t", 0, 5, id_of(1)));
  EXPECT_NE(offsets.find({.name = "t", .id = id_of(1)}, 0), nullptr);
  EXPECT_EQ(offsets.find({.name = "t", .id = id_of(2)}, 0), nullptr);
  EXPECT_NE(offsets.find({.name = "t"}, 0), nullptr) << "a client without ids asks by name";
  offsets.apply(record("t", 1, 6));
  EXPECT_NE(offsets.find({.name = "t", .id = id_of(2)}, 1), nullptr)
      << "a commit without an id is for whatever has the name";
}

TEST(OffsetsTest, SnapshotsAndTombstonesCoverAll) {
  common::Random random(5);
  Offsets offsets;
  std::map<std::pair<std::string, std::int32_t>, std::int64_t> model;
  for (int i = 0; i < 2000; ++i) {
    const std::string topic = std::string(1, static_cast<char>('a' + random.below(5)));
    const auto partition = static_cast<std::int32_t>(random.below(6));
    if (random.chance(1, 3)) {
      offsets.apply(record(topic, partition, std::nullopt));
      model.erase({topic, partition});
    } else {
      offsets.apply(record(topic, partition, i));
      model[{topic, partition}] = i;
    }
    ASSERT_EQ(offsets.size(), model.size());
  }
  std::vector<Record> records;
  offsets.snapshot("g", records);
  Offsets copy;
  for (const Record& one : records) copy.apply(std::get<OffsetRecord>(one));
  EXPECT_EQ(copy.topics(), offsets.topics());
  for (const auto& [where, offset] : model) {
    EXPECT_EQ(copy.find({.name = where.first}, where.second)->committed.offset.value(), offset);
  }

  std::vector<Record> gone;
  EXPECT_FALSE(offsets.tombstones(
      "g", [](const std::string& topic, const Offsets::Entry&) { return topic == "a"; }, gone));
  for (const Record& one : gone) copy.apply(std::get<OffsetRecord>(one));
  EXPECT_EQ(copy.topics().count("a"), 0U);
  gone.clear();
  EXPECT_TRUE(offsets.tombstones(
      "g", [](const std::string&, const Offsets::Entry&) { return true; }, gone));
  EXPECT_EQ(gone.size(), model.size());
}

// KIP-211.
TEST(OffsetsTest, TheAgeCountsFromTheRightMoment) {
  const CommittedOffset committed{.offset = model::Offset{1}, .committed = common::Timestamp{100}};
  const auto expired = [&](OffsetAge age, std::int64_t emptied, std::int64_t now) {
    return is_expired(committed, age, common::Timestamp{emptied}, kRetentionMs,
                      common::Timestamp{now});
  };
  EXPECT_FALSE(expired(OffsetAge::kSinceCommit, -1, 1099));
  EXPECT_TRUE(expired(OffsetAge::kSinceCommit, -1, 1100));
  EXPECT_TRUE(expired(OffsetAge::kSinceCommit, 500, 1100)) << "when it was emptied is no matter";
  EXPECT_FALSE(expired(OffsetAge::kSinceEmptied, 500, 1499));
  EXPECT_TRUE(expired(OffsetAge::kSinceEmptied, 500, 1500));
  EXPECT_TRUE(expired(OffsetAge::kSinceEmptied, -1, 1100)) << "unknown: the commit counts";
  EXPECT_FALSE(expired(OffsetAge::kSinceEmptied, 50, 1099)) << "committed later, as by a reset";
  EXPECT_TRUE(expired(OffsetAge::kSinceEmptied, 50, 1100));
  EXPECT_FALSE(expired(OffsetAge::kAgeless, 500, 999'999));
}

TEST(OffsetsTest, ATimeOfItsOwnCounts) {
  const CommittedOffset committed{.offset = model::Offset{1},
                                  .committed = common::Timestamp{100},
                                  .expires = common::Timestamp{5000}};
  const auto expired = [&](OffsetAge age, std::int64_t now) {
    return is_expired(committed, age, common::Timestamp{100}, kRetentionMs, common::Timestamp{now});
  };
  EXPECT_FALSE(expired(OffsetAge::kSinceEmptied, 4999));
  EXPECT_TRUE(expired(OffsetAge::kSinceCommit, 5000));
  EXPECT_FALSE(expired(OffsetAge::kAgeless, 5000));
}

}  // namespace
}  // namespace millrace::coordinator
