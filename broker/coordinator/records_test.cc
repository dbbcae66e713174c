// Goal: what stands in __consumer_offsets is what Kafka 4.3 writes, byte for byte; what Kafka or an
// older version of it wrote is understood; no bytes do harm.
#include "broker/coordinator/records.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "broker/model/record.h"
#include "broker/wire/messages/random.h"

namespace millrace::coordinator {
namespace {

using common::Bytes;
using common::Timestamp;
using model::Offset;

std::string hex(const Bytes& bytes) {
  std::string text;
  for (const std::uint8_t byte : bytes.view()) text += fmt::format("{:02x}", byte);
  return text;
}

Bytes unhex(std::string_view text) {
  std::vector<std::uint8_t> bytes;
  const auto digit = [](char c) { return c <= '9' ? c - '0' : c - 'a' + 10; };
  std::string digits;
  for (const char c : text) {
    if (c != ' ') digits += c;
  }
  for (std::size_t i = 0; i + 1 < digits.size(); i += 2)
    bytes.push_back(static_cast<std::uint8_t>(digit(digits[i]) << 4 | digit(digits[i + 1])));
  return Bytes::copy_of(common::ByteView(bytes));
}

struct KeyValue {
  common::Bytes key;
  std::optional<common::Bytes> value;
};

KeyValue encode(const Record& record) {
  const EncodedRecords encoded({&record, 1});
  KeyValue stored{common::Bytes::copy_of(encoded.key(0)), {}};
  if (const auto value = encoded.value(0)) stored.value = common::Bytes::copy_of(*value);
  return stored;
}

model::Result<std::optional<Record>> decoded(const KeyValue& stored) {
  return decode(stored.key, stored.value ? std::optional(stored.value->view()) : std::nullopt);
}

ErrorCode refusal(std::string_view key, std::optional<std::string_view> value) {
  KeyValue stored{unhex(key), {}};
  if (value) stored.value = unhex(*value);
  const auto result = decoded(stored);
  return result.ok() ? ErrorCode::kNone : result.error().code;
}

/// Bytes as hexadecimal digits in groups, for people; "null": a tombstone.
struct Golden {
  Record record;
  std::string key;
  std::string value;
};

constexpr std::string_view kTopicId = "000102030405060708090a0b0c0d0e0f";

model::TopicId topic_id() {
  model::TopicId id;
  for (std::uint8_t i = 0; i < 16; ++i) id.bytes[i] = i;
  return id;
}

std::vector<Golden> classic_goldens() {
  const CommittedOffset committed{Offset{42}, 7, "m", Timestamp{1000}, Timestamp{-1}};
  CommittedOffset expiring = committed;
  expiring.leader_epoch = -1;  // the version with a time of expiry has no epoch
  expiring.expires = Timestamp{2000};
  const ClassicGroupRecord::Value empty{"consumer", Epoch{5}, {}, {}, Timestamp{1000}, {}};
  ClassicGroupRecord::Value stable{"consumer", Epoch{6}, "range", "m", Timestamp{1000}, {}};
  stable.members = {{"m", {}, {"c", "/h"}, 100, 200, Bytes::copy_of(std::string_view("\xaa")), {}},
                    {"n", "i", {"", ""}, 1, 2, {}, Bytes::copy_of(std::string_view("\xbb\xcc"))}};
  return {{OffsetRecord{"g", "t", 3, committed, {}}, "0001 000167 000174 00000003",
           "0004 000000000000002a 00000007 026d 00000000000003e8 00"},
          {OffsetRecord{"g", "t", 3, committed, topic_id()}, "0001 000167 000174 00000003",
           "0004 000000000000002a 00000007 026d 00000000000003e8 01 00 10" + std::string(kTopicId)},
          {OffsetRecord{"g", "t", 3, expiring, {}}, "0001 000167 000174 00000003",
           "0001 000000000000002a 00016d 00000000000003e8 00000000000007d0"},
          {OffsetRecord{"g", "t", 3, {}, {}}, "0001 000167 000174 00000003", "null"},
          {ClassicGroupRecord{"g", empty}, "0002 000167",
           "0003 0008636f6e73756d6572 00000005 ffff ffff 00000000000003e8 00000000"},
          {ClassicGroupRecord{"g", stable}, "0002 000167",
           "0003 0008636f6e73756d6572 00000006 000572616e6765 00016d 00000000000003e8 00000002"
           " 00016d ffff 000163 00022f68 00000064 000000c8 00000001aa 00000000"
           " 00016e 000169 0000 0000 00000001 00000002 00000000 00000002bbcc"},
          {ClassicGroupRecord{"g", {}}, "0002 000167", "null"}};
}

std::vector<Golden> consumer_goldens() {
  ConsumerMemberRecord::Value member;
  member.client = {"c", "/h"};
  member.topics = {"t"};
  member.rebalance_timeout_ms = 100;
  ConsumerMemberRecord::Value classic = member;
  classic.instance = "i";
  classic.rack = "r";
  classic.topics = {};
  classic.topic_regex = "a*";
  classic.assignor = "range";
  classic.classic = {200, {{"p", Bytes::copy_of(std::string_view("\xaa"))}}};
  const CurrentRecord::Value current{Epoch{9},
                                     Epoch{8},
                                     MemberState::kUnrevokedPartitions,
                                     {{topic_id(), {0, 2}, {Epoch{8}, Epoch{9}}}},
                                     {{topic_id(), {1}, {Epoch{7}}}}};
  const std::string id(kTopicId);
  return {{ConsumerGroupRecord{"g", {{Epoch{9}, 0}}}, "0003 000167", "0000 00000009 00"},
          {ConsumerGroupRecord{"g", {{Epoch{9}, 258}}}, "0003 000167",
           "0000 00000009 01 00 08 0000000000000102"},
          {ConsumerMemberRecord{"g", "m", member}, "0005 000167 00016d",
           "0000 00 00 0263 032f68 02 0274 00 00000064 00 01 00 01 00"},
          {ConsumerMemberRecord{"g", "m", classic}, "0005 000167 00016d",
           "0000 0269 0272 0263 032f68 01 03612a 00000064 0672616e6765"
           " 01 00 0c 01 000000c8 02 0270 02aa 00 00"},
          {TargetEpochRecord{"g", Epoch{10}}, "0006 000167", "0000 0000000a 00"},
          {TargetRecord{"g", "m", {{{topic_id(), {0, 1}}}}}, "0007 000167 00016d",
           "0000 02 " + id + " 03 00000000 00000001 00 00"},
          {TargetRecord{"g", "m", {}}, "0007 000167 00016d", "null"},
          {CurrentRecord{"g", "m", current}, "0008 000167 00016d",
           "0000 00000009 00000008 01 02 " + id +
               " 03 00000000 00000002 01 00 09 03 00000008 00000009 02 " + id +
               " 02 00000001 01 00 05 02 00000007 00"},
          {RegexRecord{"g", "a*", {{{"ab"}, 3, Timestamp{1000}}}}, "0010 000167 0002612a",
           "0000 02 036162 0000000000000003 00000000000003e8 00"},
          {RegexRecord{"g", "a*", {}}, "0010 000167 0002612a", "null"}};
}

void expect_golden(const Golden& golden) {
  const KeyValue stored = encode(golden.record);
  EXPECT_EQ(hex(stored.key), hex(unhex(golden.key)));
  EXPECT_EQ(stored.value ? hex(*stored.value) : "null",
            golden.value == "null" ? "null" : hex(unhex(golden.value)));
  const auto back = decoded(stored);
  ASSERT_TRUE(back.ok()) << back.error().detail;
  EXPECT_TRUE(**back == golden.record) << golden.key << " / " << golden.value;
}

TEST(GroupRecords, AreKafkasBytes) {
  for (const Golden& golden : classic_goldens()) expect_golden(golden);
  for (const Golden& golden : consumer_goldens()) expect_golden(golden);
}

// ---- Random records

std::string text(common::Random& random) {
  static constexpr std::string_view kPieces[] = {"a", "Z", "7", ".", "\xc3\xa9", "\xe2\x82\xac"};
  std::string made;
  for (auto n = random.below(12); n > 0; --n) made += kPieces[random.below(std::size(kPieces))];
  return made;
}
std::optional<std::string> maybe_text(common::Random& random) {
  return random.chance(1, 3) ? std::nullopt : std::optional(text(random));
}
Bytes block(common::Random& random) {
  Bytes made = Bytes::allocate(random.below(random.chance(1, 5) ? 2000 : 20));
  for (std::uint8_t& byte : made.mutable_view()) byte = static_cast<std::uint8_t>(random.next());
  return made;
}
std::int32_t number(common::Random& random) {
  return static_cast<std::int32_t>(random.between(INT32_MIN, INT32_MAX));
}
std::vector<std::int32_t> partitions(common::Random& random) {
  std::vector<std::int32_t> made;
  for (std::int32_t p = 0; p < 6; ++p) {
    if (random.chance(1, 2)) made.push_back(p);
  }
  return made;
}
std::vector<HeldPartitions> held(common::Random& random) {
  std::vector<HeldPartitions> made;
  for (auto n = random.below(3); n > 0; --n) {
    HeldPartitions& topic = made.emplace_back();
    topic.topic = common::Uuid::random(random);
    topic.partitions = partitions(random);
    for (std::size_t i = 0; i < topic.partitions.size(); ++i)
      topic.epochs.emplace_back(number(random));
  }
  return made;
}
ConsumerMemberRecord::Value member(common::Random& random) {
  ConsumerMemberRecord::Value made;
  made.instance = maybe_text(random);
  made.rack = maybe_text(random);
  made.client = {text(random), text(random)};
  for (auto n = random.below(3); n > 0; --n) made.topics.push_back(text(random));
  made.topic_regex = text(random);
  made.rebalance_timeout_ms = number(random);
  made.assignor = maybe_text(random);
  if (random.chance(1, 2)) {
    made.classic.emplace().session_timeout_ms = static_cast<std::int32_t>(random.between(1, 1000));
    for (auto n = random.below(3); n > 0; --n)
      made.classic->protocols.push_back({text(random), block(random)});
  }
  return made;
}
ClassicGroupRecord::Value group(common::Random& random) {
  ClassicGroupRecord::Value made;
  made.protocol_type = text(random);
  made.generation = Epoch{number(random)};
  made.protocol = maybe_text(random);
  made.leader = maybe_text(random);
  made.state_since = Timestamp{number(random)};
  for (auto n = random.below(4); n > 0; --n) {
    made.members.push_back({text(random),
                            maybe_text(random),
                            {text(random), text(random)},
                            static_cast<std::int32_t>(random.between(0, 1000)),
                            number(random),
                            block(random),
                            block(random)});
  }
  return made;
}

Record random_record(common::Random& random) {
  const bool gone = random.chance(1, 4);
  const auto or_gone = [&](auto value) { return gone ? std::nullopt : std::optional(value); };
  const std::string name = text(random);
  switch (random.below(8)) {
    case 0: {
      CommittedOffset committed{Offset{number(random)}, number(random), text(random),
                                Timestamp{number(random)}, Timestamp{-1}};
      model::TopicId topic = gone ? model::TopicId{} : common::Uuid::random(random);
      if (random.chance(1, 4)) {
        committed.leader_epoch = -1;
        committed.expires = Timestamp{random.between(0, 1000)};
        topic = {};
      }
      return OffsetRecord{name, text(random), number(random), or_gone(committed), topic};
    }
    case 1:
      return ClassicGroupRecord{name, or_gone(group(random))};
    case 2:
      return ConsumerGroupRecord{
          name, or_gone(ConsumerGroupRecord::Value{Epoch{number(random)}, number(random)})};
    case 3:
      return ConsumerMemberRecord{name, text(random), or_gone(member(random))};
    case 4:
      return TargetEpochRecord{name, or_gone(Epoch{number(random)})};
    case 5: {
      std::vector<TopicPartitions> target;
      for (auto n = random.below(3); n > 0; --n)
        target.push_back({common::Uuid::random(random), partitions(random)});
      return TargetRecord{name, text(random), or_gone(target)};
    }
    case 6: {
      const auto state = static_cast<MemberState>(random.below(3));
      return CurrentRecord{
          name, text(random),
          or_gone(CurrentRecord::Value{Epoch{number(random)}, Epoch{number(random)}, state,
                                       held(random), held(random)})};
    }
    default:
      return RegexRecord{
          name, text(random),
          or_gone(RegexRecord::Value{{text(random)}, number(random), Timestamp{number(random)}})};
  }
}

TEST(GroupRecords, RandomOnesComeBack) {
  common::Random random(1);
  for (int i = 0; i < 3000; ++i) {
    const Record record = random_record(random);
    const KeyValue stored = encode(record);
    const auto back = decoded(stored);
    ASSERT_TRUE(back.ok()) << i << ": " << back.error().detail;
    ASSERT_TRUE(**back == record) << i << ": " << hex(stored.key);
  }
}

TEST(GroupRecords, ABatchHoldsThemInOrder) {
  common::Random random(2);
  for (const std::size_t count : {1, 7, 300}) {
    std::vector<Record> records;
    for (std::size_t i = 0; i < count; ++i) records.push_back(random_record(random));
    const Bytes bytes = to_batch(records, Timestamp{1234});
    const auto batch = model::BatchView::parse(bytes).value();
    ASSERT_EQ(batch.size(), bytes.size());
    model::RecordReader reader(batch.payload(), batch.record_count());
    for (const Record& record : records) {
      const auto read = reader.next().value();
      ASSERT_TRUE(read.has_value());
      EXPECT_EQ(read->timestamp(batch), Timestamp{1234});
      const auto back = decode(read->key.value(), read->value);
      ASSERT_TRUE(back.ok()) << back.error().detail;
      EXPECT_TRUE(**back == record);
    }
    EXPECT_FALSE(reader.next().value().has_value());
  }
}

// ---- What others wrote

TEST(GroupRecords, OldAndNewVersionsOfOffsetsAreUnderstood) {
  const std::string key = "000167 000174 00000003";
  const auto read = [&](const std::string& type, std::string_view value) {
    const auto back = decoded({unhex(type + key), unhex(value)});
    return std::get<OffsetRecord>(back.value().value());
  };
  const CommittedOffset plain{Offset{42}, -1, "m", Timestamp{1000}, Timestamp{-1}};
  const std::string rest = "000000000000002a 00016d 00000000000003e8";
  EXPECT_EQ(read("0000", "0000" + rest).value, plain);  // a key of long ago
  EXPECT_EQ(read("0001", "0000" + rest).value, plain);
  EXPECT_EQ(read("0001", "0002" + rest).value, plain);
  CommittedOffset with_epoch = plain;
  with_epoch.leader_epoch = 7;
  EXPECT_EQ(read("0001", "0003 000000000000002a 00000007 00016d 00000000000003e8").value,
            with_epoch);
}

TEST(GroupRecords, AMemberOfVersionZeroHasOneTimeLimit) {
  const auto back =
      decoded({unhex("0002 000167"), unhex("0000 0000 00000001 ffff ffff 00000001"
                                           " 00016d 0000 0000 000000c8 00000000 00000000")});
  const auto group = std::get<ClassicGroupRecord>(back.value().value());
  EXPECT_EQ(group.value->members.at(0).session_timeout_ms, 200);
  EXPECT_EQ(group.value->members.at(0).rebalance_timeout_ms, 200);
}

// Whatever Kafka's versions of a value hold is read. Method: random values of each version.
TEST(GroupRecords, EveryVersionIsRead) {
  common::Random random(3);
  const auto check = [&]<typename Key>(Key key) {
    using Value = typename Key::Value;
    for (std::int16_t version = Value::kVersionMin; version <= Value::kVersionMax; ++version) {
      for (int i = 0; i < 50; ++i) {
        Value value;
        randomize(key, random, 0);
        randomize(value, random, version);
        wire::Writer key_out, value_out;
        key_out.i16(Key::kType);
        key.encode(key_out, 0);
        value_out.i16(version);
        value.encode(value_out, version);
        const auto back =
            decoded({key_out.take().joined(), std::optional(value_out.take().joined())});
        if constexpr (std::is_same_v<Key, wire::ConsumerGroupCurrentMemberAssignmentKey>) {
          // Random epochs are rarely as many as the partitions.
          if (!back.ok()) {
            EXPECT_EQ(back.error().code, ErrorCode::kCorruptMessage);
            continue;
          }
        }
        ASSERT_TRUE(back.ok()) << value.debug() << ": " << back.error().detail;
        const bool skipped = std::is_same_v<Key, wire::ConsumerGroupPartitionMetadataKey>;
        EXPECT_EQ(back.value().has_value(), !skipped);
      }
    }
  };
  std::apply([&](auto... keys) { (check(keys), ...); }, wire::AllRecordKeys{});
}

TEST(GroupRecords, PartitionsOfOthersAreSorted) {
  const std::string id(kTopicId);
  const auto target = decoded(
      {unhex("0007 000167 00016d"), unhex("0000 02" + id + "04 00000002 00000000 00000002 00 00")});
  EXPECT_EQ(std::get<TargetRecord>(target.value().value()).value,
            std::vector<TopicPartitions>({{topic_id(), {0, 2}}}));
  const auto current = decoded(
      {unhex("0008 000167 00016d"),
       unhex("0000 00000009 00000008 63 02" + id +
             "03 00000002 00000000 01 00 09 03 00000001 00000005 02" + id + "02 00000004 00 00")});
  const auto value = std::get<CurrentRecord>(current.value().value()).value.value();
  EXPECT_EQ(value.state, MemberState::kUnknown);  // 0x63: none that we know
  EXPECT_EQ(value.assigned,
            std::vector<HeldPartitions>({{topic_id(), {0, 2}, {Epoch{5}, Epoch{1}}}}));
  // Without epochs, as brokers before Kafka 4.3 stored it, the member's counts.
  EXPECT_EQ(value.pending_revocation, std::vector<HeldPartitions>({{topic_id(), {4}, {Epoch{9}}}}));
}

TEST(GroupRecords, OtherKindsAreSkipped) {
  for (const std::string_view key : {"0004 000167", "000a 000167", "0011 000167", "0017"})
    EXPECT_FALSE(decoded({unhex(key), unhex("0000")}).value().has_value()) << key;
}

TEST(GroupRecords, WhatIsWrongIsRefused) {
  EXPECT_EQ(refusal("", "0000"), ErrorCode::kCorruptMessage);
  EXPECT_EQ(refusal("00", "0000"), ErrorCode::kCorruptMessage);
  EXPECT_EQ(refusal("ffff", "0000"), ErrorCode::kCorruptMessage);
  EXPECT_EQ(refusal("0018 000167", "0000"), ErrorCode::kUnsupportedVersion);
  EXPECT_EQ(refusal("0002 000167 00", std::nullopt), ErrorCode::kCorruptMessage);
  EXPECT_EQ(refusal("0003 000167", ""), ErrorCode::kCorruptMessage);
  EXPECT_EQ(refusal("0003 000167", "0001 00000009 00"), ErrorCode::kUnsupportedVersion);
  EXPECT_EQ(refusal("0003 000167", "ffff 00000009 00"), ErrorCode::kCorruptMessage);
  EXPECT_EQ(refusal("0003 000167", "0000 00000009 00 00"), ErrorCode::kCorruptMessage);
  // One partition, two epochs.
  EXPECT_EQ(refusal("0008 000167 00016d", "0000 00000009 00000008 00 02" + std::string(kTopicId) +
                                              "02 00000002 01 00 09 03 00000001 00000005 01 00"),
            ErrorCode::kCorruptMessage);
}

// A record cut anywhere is told from a whole one.
TEST(GroupRecords, EveryCutIsCorrupt) {
  std::vector<Golden> goldens = classic_goldens();
  std::ranges::move(consumer_goldens(), std::back_inserter(goldens));
  for (const Golden& golden : goldens) {
    const KeyValue whole = encode(golden.record);
    for (std::size_t size = 0; size < whole.key.size(); ++size) {
      const auto cut = decoded({whole.key.slice(0, size), whole.value});
      ASSERT_FALSE(cut.ok()) << hex(whole.key) << " at " << size;
      EXPECT_EQ(cut.error().code, ErrorCode::kCorruptMessage);
    }
    for (std::size_t size = 0; whole.value && size < whole.value->size(); ++size) {
      const auto cut = decoded({whole.key, whole.value->slice(0, size)});
      ASSERT_FALSE(cut.ok()) << hex(*whole.value) << " at " << size;
      EXPECT_EQ(cut.error().code, ErrorCode::kCorruptMessage);
    }
  }
}

}  // namespace
}  // namespace millrace::coordinator
