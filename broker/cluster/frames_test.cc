// What brokers send is read back as it was, and nothing else is taken for it.
#include "broker/cluster/frames.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/crc32c.h"
#include "common/random.h"

namespace millrace::cluster {
namespace {

using common::Random;
using model::BrokerId;
using model::ErrorCode;

constexpr std::size_t kDataMax = 1 << 20;

FrameHead head_of(const Bytes& frame) {
  const auto head = read_head(frame, kDataMax);
  CHECK(head.ok(), "{}", head.error().detail);
  CHECK(frame.size() == kHeadBytes + head->body_bytes);
  return *head;
}

/// The body of a frame that was just made.
ByteView body_of(const Bytes& frame, FrameType type) {
  const FrameHead head = head_of(frame);
  CHECK(head.type == type);
  const ByteView body = frame.view().subspan(kHeadBytes);
  CHECK(check_body(head, body).ok());
  return body;
}

Introduction random_introduction(Random& random) {
  Introduction who;
  who.cluster_id = std::string(random.between(1, 40), 'c');
  who.node = BrokerId{static_cast<std::int32_t>(random.below(1U << 31))};
  who.directory = common::Uuid::random(random);
  who.incarnation = common::Uuid::random(random);
  who.shards = static_cast<std::uint32_t>(random.between(1, kShardsMax));
  who.level_min = static_cast<std::int32_t>(random.below(10));
  who.level_max = who.level_min + static_cast<std::int32_t>(random.below(10));
  who.internal = {std::string(random.below(60), 'i'), static_cast<std::uint16_t>(random.next())};
  who.kafka = {std::string(random.below(60), 'k'), static_cast<std::uint16_t>(random.next())};
  who.grpc = {std::string(random.below(60), 'g'), static_cast<std::uint16_t>(random.next())};
  who.rack = std::string(random.below(60), 'r');
  return who;
}

Hello random_hello(Random& random) {
  Hello hello{.who = random_introduction(random),
              .to = BrokerId{static_cast<std::int32_t>(random.below(100))}};
  hello.channel = random.chance(1, 2) ? Channel::kShards : Channel::kBrokers;
  hello.shard = static_cast<std::uint32_t>(random.below(hello.who.shards));
  hello.to_shard = static_cast<std::uint32_t>(random.below(kShardsMax));
  return hello;
}

LeaderEntry random_entry(Random& random, const model::TopicId& topic) {
  LeaderEntry entry;
  entry.key = {topic, model::PartitionIndex{static_cast<std::int32_t>(random.below(1U << 31))}};
  entry.leadership.leader = BrokerId{static_cast<std::int32_t>(random.between(-1, 1000))};
  entry.leadership.term = model::Term{static_cast<std::int32_t>(random.below(1U << 31))};
  entry.leadership.version = static_cast<std::uint32_t>(random.next());
  for (std::uint64_t i = random.below(kInSyncMax + 1); i > 0; --i)
    entry.leadership.in_sync.push_back(BrokerId{static_cast<std::int32_t>(random.below(1000))});
  return entry;
}

TEST(Frames, HandshakesAreReadBackAsTheyWere) {
  Random random(1);
  for (int i = 0; i < 200; ++i) {
    const Hello hello = random_hello(random);
    const auto hello_again = decode_hello(body_of(encode(hello), FrameType::kHello));
    ASSERT_TRUE(hello_again.ok()) << hello_again.error().detail;
    EXPECT_EQ(*hello_again, hello);
    const Welcome welcome{.version = 1, .who = random_introduction(random)};
    EXPECT_EQ(*decode_welcome(body_of(encode(welcome), FrameType::kWelcome)), welcome);
    const TurnedAway refusal{RefusalReason::kDirectory, std::string(random.below(99), 'x')};
    EXPECT_EQ(*decode_turned_away(body_of(encode(refusal), FrameType::kTurnedAway)), refusal);
  }
}

TEST(Frames, TheRestIsReadBackAsItWas) {
  Random random(2);
  for (int i = 0; i < 200; ++i) {
    Heartbeat heartbeat{.state = {.recovered = random.chance(1, 2),
                                  .blank = random.chance(1, 2),
                                  .out_of_space = random.chance(1, 2),
                                  .applied = model::Offset{random.between(0, 1LL << 60)},
                                  .leaders = random.next()}};
    EXPECT_EQ(*decode_heartbeat(body_of(encode(heartbeat, 1), FrameType::kHeartbeat), 1),
              heartbeat);
    heartbeat.sent = random.next();
    heartbeat.reliance = {.trust = raft::Trust{random.next()}, .heard = random.next()};
    heartbeat.patience_ms = static_cast<std::uint32_t>(random.next());
    EXPECT_EQ(*decode_heartbeat(body_of(encode(heartbeat, 2), FrameType::kHeartbeat), 2),
              heartbeat);
    Leaders leaders;
    model::TopicId topic = common::Uuid::random(random);
    for (std::uint64_t left = random.below(kLeadersPerFrame + 1); left > 0; --left) {
      if (random.chance(1, 3)) topic = common::Uuid::random(random);
      leaders.entries.push_back(random_entry(random, topic));
    }
    EXPECT_EQ(*decode_leaders(body_of(encode(leaders.entries, 1), FrameType::kLeaders)), leaders);
    Sums sums;
    for (auto& sum : sums.sums) sum = random.next();
    EXPECT_EQ(*decode_sums(body_of(encode(sums, 1), FrameType::kSums)), sums);
    const RequestHead request{random.next(), static_cast<Method>(random.below(1 << 16)),
                              static_cast<std::uint32_t>(random.next())};
    EXPECT_EQ(*decode_request(body_of(encode(request, 77, 1), FrameType::kRequest)), request);
    const ResponseHead response{random.next(), ErrorCode::kNotController, "not here"};
    EXPECT_EQ(*decode_response(body_of(encode(response, 0, 1), FrameType::kResponse)), response);
  }
  EXPECT_TRUE(decode_goodbye(body_of(encode_goodbye(1), FrameType::kGoodbye)).ok());
}

TEST(Frames, ALongTextIsCutNotRefused) {
  const ResponseHead response{.id = 1, .code = ErrorCode::kIo, .text = std::string(10'000, 'x')};
  const auto again = decode_response(body_of(encode(response, 0, 1), FrameType::kResponse));
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(again->text.size(), 4096U);
}

// Goal: no damaged head passes. Method: each bit of a head turned over.
TEST(Frames, ADamagedHeadIsRefused) {
  const Bytes frame = encode(RequestHead{.id = 5}, 1000, 1);
  for (std::size_t bit = 0; bit < kHeadBytes * 8; ++bit) {
    Bytes damaged = Bytes::copy_of(frame.view());
    damaged.mutable_data()[bit / 8] ^= static_cast<std::uint8_t>(1U << (bit % 8));
    const auto head = read_head(damaged, kDataMax);
    ASSERT_FALSE(head.ok()) << "bit " << bit;
    EXPECT_EQ(head.error().code, ErrorCode::kCorruptMessage);
  }
}

TEST(Frames, ADamagedBodyIsRefused) {
  Random random(3);
  const Bytes frame = encode(random_hello(random));
  for (std::size_t bit = kHeadBytes * 8; bit < frame.size() * 8; ++bit) {
    Bytes damaged = Bytes::copy_of(frame.view());
    damaged.mutable_data()[bit / 8] ^= static_cast<std::uint8_t>(1U << (bit % 8));
    EXPECT_FALSE(check_body(head_of(damaged), damaged.view().subspan(kHeadBytes)).ok());
  }
}

/// A head with any fields, and right checksums.
Bytes forged(std::uint8_t type, std::uint8_t version, std::uint32_t body, std::uint32_t data) {
  Bytes head = Bytes::zeros(kHeadBytes);
  std::uint8_t* const at = head.mutable_data();
  common::store_little(at, body);
  common::store_little(at + 4, data);
  at[8] = type;
  at[9] = version;
  common::store_little(at + 16, common::crc32c(head.view().first(16)));
  return head;
}

TEST(Frames, WhatIsAnnouncedIsBounded) {
  const auto type = [](FrameType value) { return static_cast<std::uint8_t>(value); };
  const auto ok = [](const Bytes& head) { return read_head(head, kDataMax).ok(); };
  EXPECT_TRUE(ok(forged(type(FrameType::kRaft), 1, kBodyBytesMax, kDataMax)));
  EXPECT_FALSE(ok(forged(type(FrameType::kRaft), 1, kBodyBytesMax + 1, 0)));
  EXPECT_FALSE(ok(forged(type(FrameType::kRaft), 1, 0, kDataMax + 1)));
  // Those have no data, and a hello is short.
  EXPECT_FALSE(ok(forged(type(FrameType::kHeartbeat), 1, 0, 1)));
  EXPECT_TRUE(ok(forged(type(FrameType::kHello), 0, kHandshakeBytesMax, 0)));
  EXPECT_FALSE(ok(forged(type(FrameType::kHello), 0, kHandshakeBytesMax + 1, 0)));
  // Types and versions that nobody has made yet.
  EXPECT_FALSE(ok(forged(0, 1, 0, 0)));
  EXPECT_FALSE(ok(forged(11, 1, 0, 0)));
  EXPECT_FALSE(ok(forged(type(FrameType::kRaft), 0, 0, 0)));
  EXPECT_FALSE(ok(forged(type(FrameType::kRaft), kVersionMax + 1, 0, 0)));
  EXPECT_FALSE(ok(forged(type(FrameType::kHello), 1, 0, 0)));
}

// Goal: no decoder reads past the end, or believes in counts that cannot be. Method: every proper
// prefix of a good body.
TEST(Frames, WhatEndsEarlyIsRefused) {
  Random random(4);
  Leaders leaders;
  for (int i = 0; i < 3; ++i)
    leaders.entries.push_back(random_entry(random, common::Uuid::random(random)));
  const Bytes frames[] = {encode(random_hello(random)),
                          encode(Welcome{.who = random_introduction(random)}),
                          encode(TurnedAway{RefusalReason::kFull, "text"}),
                          encode(Heartbeat{}, 1),
                          encode(Heartbeat{}, 2),
                          encode(leaders.entries, 1),
                          encode(Sums{}, 1),
                          encode(RequestHead{.id = 300}, 0, 1),
                          encode(ResponseHead{.id = 300, .text = "text"}, 0, 1)};
  for (const Bytes& frame : frames) {
    const ByteView body = frame.view().subspan(kHeadBytes);
    for (std::size_t size = 0; size < body.size(); ++size) {
      const ByteView part = body.first(size);
      switch (head_of(frame).type) {
        case FrameType::kHello:
          EXPECT_FALSE(decode_hello(part).ok());
          break;
        case FrameType::kWelcome:
          EXPECT_FALSE(decode_welcome(part).ok());
          break;
        case FrameType::kTurnedAway:
          EXPECT_FALSE(decode_turned_away(part).ok());
          break;
        case FrameType::kHeartbeat:
          EXPECT_FALSE(decode_heartbeat(part, head_of(frame).version).ok());
          break;
        case FrameType::kLeaders:
          EXPECT_FALSE(decode_leaders(part).ok());
          break;
        case FrameType::kSums:
          EXPECT_FALSE(decode_sums(part).ok());
          break;
        case FrameType::kRequest:
          EXPECT_FALSE(decode_request(part).ok());
          break;
        default:
          EXPECT_FALSE(decode_response(part).ok());
      }
    }
  }
}

TEST(Frames, IntroductionsThatCannotBeAreRefused) {
  Random random(5);
  const Hello good = random_hello(random);
  const auto taken = [](Hello hello) {
    return decode_hello(body_of(encode(hello), FrameType::kHello)).ok();
  };
  ASSERT_TRUE(taken(good));
  Hello bad = good;
  bad.who.node = BrokerId{-1};
  EXPECT_FALSE(taken(bad));
  bad = good;
  bad.who.directory = {};
  EXPECT_FALSE(taken(bad));
  bad = good;
  bad.who.incarnation = {};
  EXPECT_FALSE(taken(bad));
  bad = good;
  bad.who.cluster_id.clear();
  EXPECT_FALSE(taken(bad));
  bad = good;
  bad.who.shards = 0;
  EXPECT_FALSE(taken(bad));
  bad = good;
  bad.shard = bad.who.shards;
  EXPECT_FALSE(taken(bad));
  bad = good;
  bad.version_min = 3;
  bad.version_max = 2;
  EXPECT_FALSE(taken(bad));
}

// A later version may add fields at the end: those who do not know them must still be able to say
// why they do not let it in.
TEST(Frames, HellosOfLaterVersionsAreRead) {
  Random random(6);
  Hello hello = random_hello(random);
  hello.version_max = 9;
  const Bytes frame = encode(hello);
  std::vector<std::uint8_t> longer(frame.view().begin() + kHeadBytes, frame.view().end());
  longer.insert(longer.end(), {1, 2, 3, 4});
  const auto read = decode_hello(longer);
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(*read, hello);
}

// The format is pinned: brokers of different ages must understand each other.
TEST(Frames, BytesStayWhatTheyAre) {
  const Heartbeat heartbeat{{.recovered = true,
                             .blank = false,
                             .out_of_space = true,
                             .applied = model::Offset{150},
                             .leaders = 0x0102030405060708}};
  const Bytes frame = encode(heartbeat, 1);
  const std::vector<std::uint8_t> body(frame.view().begin() + kHeadBytes, frame.view().end());
  EXPECT_THAT(body, ::testing::ElementsAre(5, 0xac, 0x02, 8, 7, 6, 5, 4, 3, 2, 1));
  const std::vector<std::uint8_t> head(frame.view().begin(), frame.view().begin() + 12);
  EXPECT_THAT(head, ::testing::ElementsAre(11, 0, 0, 0, 0, 0, 0, 0, 4, 1, 0, 0));
}

}  // namespace
}  // namespace millrace::cluster
