// Goal: what consumers tell each other is read in Kafka's layout, and no bytes harm the broker.
// Method: golden bytes of each version, round trips, every cut and random damage.
#include "broker/coordinator/consumer_protocol.h"

#include <gtest/gtest.h>

#include "common/random.h"

namespace millrace::coordinator {
namespace {

std::string hex(const common::Bytes& bytes) {
  std::string text;
  for (const std::uint8_t byte : bytes.view()) text += fmt::format("{:02x}", byte);
  return text;
}

Subscription full(std::int16_t version) {
  Subscription subscription;
  subscription.version = version;
  subscription.topics = {"a", "bc"};
  subscription.user_data = common::Bytes::copy_of("u");
  subscription.owned = {{.topic = "a", .partitions = {0, 2}}};
  subscription.generation = Epoch{5};
  subscription.rack = "r1";
  return subscription;
}

TEST(ConsumerProtocolTest, SubscriptionsHaveKafkasLayout) {
  // version, topics, user data
  const std::string v0 =
      "0000"
      "00000002"
      "000161"
      "00026263"
      "00000001"
      "75";
  const std::string rest = v0.substr(4);
  const std::string owned =
      "00000001"
      "000161"
      "00000002"
      "00000000"
      "00000002";
  EXPECT_EQ(hex(encode(full(0))), v0);
  EXPECT_EQ(hex(encode(full(1))), "0001" + rest + owned);
  EXPECT_EQ(hex(encode(full(2))), "0002" + rest + owned + "00000005");
  EXPECT_EQ(hex(encode(full(3))), "0003" + rest + owned + "00000005" + "00027231");
}

TEST(ConsumerProtocolTest, EachVersionHasItsFields) {
  for (std::int16_t version = 0; version <= Subscription::kNewest; ++version) {
    const auto read = decode_subscription(encode(full(version)));
    ASSERT_TRUE(read.ok()) << read.error().detail;
    EXPECT_EQ(read->version, version);
    EXPECT_EQ(read->topics, full(version).topics);
    EXPECT_EQ(read->user_data->text(), "u");
    EXPECT_EQ(read->owned.size(), version >= 1 ? 1U : 0U);
    EXPECT_EQ(read->generation, Epoch{version >= 2 ? 5 : -1});
    EXPECT_EQ(read->rack.has_value(), version >= 3);
  }
}

TEST(ConsumerProtocolTest, ANewerVersionIsReadAsTheNewestKnown) {
  common::Bytes bytes = encode(full(3));
  std::string text(bytes.text());
  text[1] = 9;
  text += "more";
  const auto read = decode_subscription(common::Bytes::copy_of(text));
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(read->rack, "r1");
}

TEST(ConsumerProtocolTest, TopicsAreReadWhereTheRestCannotBe) {
  const common::Bytes bytes = encode(full(3));
  const common::Bytes cut = bytes.slice(0, 16);
  EXPECT_FALSE(decode_subscription(cut).ok());
  const auto topics = decode_topics(cut);
  ASSERT_TRUE(topics.ok());
  EXPECT_EQ(*topics, full(3).topics);
  EXPECT_FALSE(decode_topics(common::Bytes::copy_of(std::string("\xff\xff", 2))).ok());
  EXPECT_FALSE(decode_topics(common::Bytes()).ok());
}

TEST(ConsumerProtocolTest, AssignmentsGoThereAndBack) {
  Assignment assignment;
  assignment.version = 1;
  assignment.partitions = {{.topic = "a", .partitions = {1}}, {.topic = "b", .partitions = {}}};
  EXPECT_EQ(hex(encode(assignment)),
            "0001"
            "00000002"
            "000161"
            "00000001"
            "00000001"
            "000162"
            "00000000"
            "ffffffff");
  const auto read = decode_assignment(encode(assignment));
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(read->partitions, assignment.partitions);
  EXPECT_FALSE(read->user_data.has_value());
  const auto nothing = decode_assignment(common::Bytes());
  ASSERT_TRUE(nothing.ok());
  EXPECT_TRUE(nothing->partitions.empty());
}

TEST(ConsumerProtocolTest, NoBytesHarm) {
  common::Random random(3);
  const common::Bytes good = encode(full(3));
  for (std::size_t cut = 0; cut < good.size(); ++cut) {
    EXPECT_FALSE(decode_subscription(good.slice(0, cut)).ok());
  }
  for (int i = 0; i < 20'000; ++i) {
    std::string text(good.text());
    for (std::uint64_t flips = 1 + random.below(4); flips > 0; --flips) {
      text[random.below(text.size())] = static_cast<char>(random.next());
    }
    const common::Bytes damaged = common::Bytes::copy_of(text);
    if (const auto read = decode_subscription(damaged); read.ok()) {
      EXPECT_EQ(decode_topics(damaged)->size(), read->topics.size());
    }
    (void)decode_assignment(damaged).ok();
  }
}

}  // namespace
}  // namespace millrace::coordinator
