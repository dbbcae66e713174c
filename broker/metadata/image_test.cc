#include "broker/metadata/image.h"

#include <gtest/gtest.h>

#include "broker/metadata/machine.h"
#include "common/random.h"

namespace millrace::metadata {
namespace {

using model::BrokerId;

common::Uuid id_of(std::uint8_t number) {
  common::Uuid id;
  id.bytes[0] = 9;
  id.bytes[15] = number;
  return id;
}

ReplicaSet random_replicas(common::Random& random) {
  ReplicaSet replicas(random.below(4));
  for (Replica& replica : replicas) {
    replica = {.broker = BrokerId{static_cast<std::int32_t>(random.between(-1, 6))},
               .directory = random.chance(1, 3)
                                ? common::Uuid{}
                                : id_of(static_cast<std::uint8_t>(random.below(4)))};
  }
  return replicas;
}

/// As below, of the kinds that a cluster of several brokers needs.
Record random_cluster_record(common::Random& random) {
  const BrokerId broker{static_cast<std::int32_t>(random.between(-1, 4))};
  const common::Uuid small = id_of(static_cast<std::uint8_t>(random.below(12)));
  const model::PartitionKey partition{
      small, model::PartitionIndex{static_cast<std::int32_t>(random.between(-1, 3))}};
  switch (random.below(9)) {
    case 7:
      return SnapshotPart{model::Offset{random.between(-1, 9)}, 1, 2};
    case 0:
      return BrokerStateSet{broker, static_cast<BrokerState>(random.between(-1, 3))};
    case 1:
      return BrokerDecommissioned{broker, small, random.between(0, 9)};
    case 2:
      return AssignmentSet{partition, random_replicas(random), random_replicas(random)};
    case 3:
      return MoveCancelled{partition};
    case 4:
      return PermitGranted{broker, id_of(1), random.between(0, 99), random.between(0, 9)};
    case 5:
      return PermitEnded{broker, id_of(static_cast<std::uint8_t>(random.below(2)))};
    case 6:
      return MoveCompleted{partition, random_replicas(random)};
    default:
      return MoveStarted{partition, random_replicas(random)};
  }
}

/// Any record, mostly about a few topics and brokers, so that many of them fit the state and many
/// do not.
Record random_record(common::Random& random) {
  const common::Uuid topic = id_of(static_cast<std::uint8_t>(random.below(12)));
  const BrokerId broker{static_cast<std::int32_t>(random.between(-1, 4))};
  const std::string name(1, static_cast<char>('a' + random.below(6)));
  const std::string setting = random.chance(1, 10) ? "" : "s" + name;
  std::optional<std::string> value;
  if (random.chance(2, 3)) value = name + "v";
  std::vector<Replicas> partitions(random.below(4));
  for (Replicas& replicas : partitions) {
    for (std::uint64_t i = random.below(8) == 0 ? 0 : 1 + random.below(3); i > 0; --i)
      replicas.push_back(broker + static_cast<std::int32_t>(i));
  }
  if (random.chance(1, 3)) return random_cluster_record(random);
  switch (random.below(12)) {
    case 0:
      return BrokerRegistered{{.id = broker,
                               .directory = topic,
                               .endpoints = {{name, "host", 1}},
                               .rack = name,
                               .shards = static_cast<std::int32_t>(random.below(3)),
                               .incarnation = random.chance(1, 2) ? topic : common::Uuid{},
                               .epoch = static_cast<std::int64_t>(random.below(5)),
                               .level_min = 0,
                               .level_max = static_cast<std::int32_t>(random.below(3))}};
    case 1:
      return BrokerGone{broker};
    case 2:
      return TopicCreated{
          topic, random.chance(1, 10) ? "bad name" : "t." + name, partitions, {{"x", "y"}}};
    case 3:
      return PartitionsAdded{topic, static_cast<std::int32_t>(random.below(5)), partitions};
    case 4:
      return TopicConfigSet{topic, setting, value};
    case 5:
      return TopicDeleted{topic};
    case 6:
      return TopicRemoving{topic, "r" + name, partitions.empty() ? Replicas{} : partitions.front()};
    case 7:
      return TopicRemoved{topic, broker};
    case 8:
      return BrokerConfigSet{random.chance(1, 2) ? std::optional(broker) : std::nullopt, setting,
                             value};
    case 9:
      return ProducerIdsAllocated{model::ProducerId{random.between(-5, 5000)}};
    case 10: {
      const auto kind = static_cast<ResourceKind>(random.chance(1, 5) ? 7 : 16 << random.below(2));
      return ResourceConfigSet{kind, random.chance(1, 10) ? "" : "r" + name, setting, value};
    }
    default:
      return FeatureLevelSet{static_cast<std::int32_t>(random.between(-1, 3))};
  }
}

// Goal: no record can stop a broker, a snapshot keeps everything, and bytes carry records whole.
// Method: random records, sensible or not; after each some property is looked at.
TEST(Image, TakesAnyRecordsAndComesBackFromItsSnapshot) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    common::Random random(seed);
    Image image;
    Image through_bytes;
    std::uint64_t applied = 0;
    for (int i = 0; i < 400; ++i) {
      const Record record = random_record(random);
      const common::Bytes bytes = encode(record);
      ASSERT_EQ(decode(bytes).value(), record) << describe(record);
      const Image before = image;
      const bool fits = image.apply(record);
      ASSERT_EQ(through_bytes.apply_bytes(bytes), fits);
      applied += fits ? 1 : 0;
      if (!fits) {
        ASSERT_TRUE(image == before) << "a rejected record changed something: " << describe(record);
      }
      if (i % 20 != 0) continue;
      Image copy;
      for (const Record& one : image.snapshot())
        ASSERT_TRUE(copy.apply(one)) << copy.last_rejection();
      ASSERT_TRUE(copy == image);
      ASSERT_EQ(copy.snapshot(), image.snapshot());
    }
    EXPECT_TRUE(through_bytes == image);
    EXPECT_EQ(image.rejected() + applied, 400U);
    EXPECT_GT(applied, 50U);
    EXPECT_GT(image.rejected(), 50U);
  }
}

TEST(Image, UnreadableRecordsAreCounted) {
  Image image;
  common::Random random(5);
  for (int i = 0; i < 2000; ++i) {
    const common::Bytes good = encode(random_record(random));
    std::vector<std::uint8_t> bytes(good.view().begin(), good.view().end());
    for (std::uint64_t n = 1 + random.below(3); n > 0; --n)
      bytes[random.below(bytes.size())] = static_cast<std::uint8_t>(random.next());
    image.apply_bytes(bytes);
  }
  EXPECT_GT(image.rejected(), 500U);
  const std::uint64_t before = image.rejected();
  EXPECT_FALSE(image.apply_bytes({}));
  EXPECT_EQ(image.rejected(), before + 1);
}

TEST(Records, ANewerVersionIsToldFromDamage) {
  const std::uint8_t newer[] = {0x08, 0x02, 0x1a, 0x00};  // version 2, a kind that is known
  EXPECT_EQ(decode(newer).error().code, model::ErrorCode::kUnsupportedVersion);
  const std::uint8_t unknown_kind[] = {0x08, 0x01, 0xa2, 0x06, 0x00};  // version 1, field 100
  EXPECT_EQ(decode(unknown_kind).error().code, model::ErrorCode::kUnsupportedVersion);
  const std::uint8_t torn[] = {0x08};
  EXPECT_EQ(decode(torn).error().code, model::ErrorCode::kCorruptMessage);
}

// The bytes on disk: a change of these would make every existing data directory unreadable.
TEST(Records, GoldenBytes) {
  const auto hex = [](const Record& record) {
    std::string text;
    const common::Bytes bytes = encode(record);
    for (const std::uint8_t byte : bytes.view()) text += fmt::format("{:02x}", byte);
    return text;
  };
  EXPECT_EQ(hex(BrokerGone{BrokerId{3}}), "08011a020803");
  EXPECT_EQ(hex(ProducerIdsAllocated{model::ProducerId{1000}}), "08015a0308e807");
  EXPECT_EQ(hex(TopicDeleted{id_of(1)}), "08013a120a1009000000000000000000000000000001");
  EXPECT_EQ(hex(TopicConfigSet{id_of(1), "k", "v"}),
            "080132180a100900000000000000000000000000000112016b1a0176");
  EXPECT_EQ(hex(ResourceConfigSet{ResourceKind::kGroup, "g", "k", "v"}),
            "08016a0b08201201671a016b220176");
  EXPECT_EQ(hex(TopicCreated{id_of(1), "t", {{BrokerId{1}, BrokerId{2}}}, {{"k", "v"}}}),
            "080122230a10090000000000000000000000000000011201741a040a0201022206"
            "0a016b120176");
}

TEST(Records, TextNeedNotBeUtf8) {
  const Record record = BrokerConfigSet{std::nullopt, "k\xff", "\xc3"};
  EXPECT_EQ(decode(encode(record)).value(), record);
}

TEST(Records, ABatchCarriesThem) {
  const std::vector<Record> records = {BrokerGone{BrokerId{1}}, FeatureLevelSet{2}};
  const common::Bytes bytes = to_batch(records, common::Timestamp{7});
  const model::BatchView batch = model::BatchView::parse(bytes).value();
  const auto values = values_of(batch);
  ASSERT_TRUE(values.ok());
  ASSERT_EQ(values->size(), 2U);
  EXPECT_EQ(decode((*values)[0]).value(), records[0]);
  EXPECT_EQ(decode((*values)[1]).value(), records[1]);
}

TEST(Image, CopiesShareTopicsAndStandApart) {
  Image image;
  ASSERT_TRUE(image.apply(TopicCreated{id_of(1), "t", {{BrokerId{1}}}, {}}));
  const Image copy = image;
  EXPECT_EQ(copy.topic("t"), image.topic("t"));
  ASSERT_TRUE(image.apply(TopicConfigSet{id_of(1), "k", "v"}));
  EXPECT_TRUE(copy.topic("t")->configs.empty());
  EXPECT_EQ(image.topic(id_of(1))->configs.size(), 1U);
  EXPECT_FALSE(copy == image);
}

}  // namespace
}  // namespace millrace::metadata
