// Who is let in, and what the others are told.
#include "broker/cluster/handshake.h"

#include <gtest/gtest.h>

namespace millrace::cluster {
namespace {

using model::BrokerId;

Introduction someone(std::int32_t node) {
  Introduction who;
  who.cluster_id = "ours";
  who.node = BrokerId{node};
  who.directory.bytes[0] = 1;
  who.incarnation.bytes[0] = 2;
  who.shards = 4;
  return who;
}

std::optional<RefusalReason> refused(const Hello& hello) {
  const auto refusal = judge(hello, someone(1));
  if (!refusal.has_value()) return std::nullopt;
  EXPECT_FALSE(refusal->text.empty());
  return refusal->reason;
}

TEST(Handshake, WhoFitsIsLetIn) {
  Hello hello{.who = someone(2), .to = BrokerId{1}, .shard = 3, .to_shard = 3};
  EXPECT_EQ(refused(hello), std::nullopt);
  EXPECT_EQ(agreed_version(hello), kVersionMax);
  hello.version_max = 1;
  EXPECT_EQ(refused(hello), std::nullopt);
  EXPECT_EQ(agreed_version(hello), 1);
  hello.version_max = 200;
  EXPECT_EQ(refused(hello), std::nullopt);
  EXPECT_EQ(agreed_version(hello), kVersionMax);
}

TEST(Handshake, TheRestIsToldWhy) {
  const Hello good{.who = someone(2), .to = BrokerId{1}};
  Hello hello = good;
  hello.version_min = kVersionMax + 1;
  hello.version_max = kVersionMax + 1;
  EXPECT_EQ(refused(hello), RefusalReason::kVersion);
  hello = good;
  hello.who.cluster_id = "theirs";
  EXPECT_EQ(refused(hello), RefusalReason::kCluster);
  hello = good;
  hello.who.node = BrokerId{1};
  EXPECT_EQ(refused(hello), RefusalReason::kSelf);
  hello = good;
  hello.to = BrokerId{3};
  EXPECT_EQ(refused(hello), RefusalReason::kAddress);
  hello = good;
  hello.to_shard = 4;
  EXPECT_EQ(refused(hello), RefusalReason::kShard);
  // Between brokers no shard is meant.
  hello.channel = Channel::kBrokers;
  EXPECT_EQ(refused(hello), std::nullopt);
}

TEST(Handshake, DoubtsHaveTheirReasons) {
  EXPECT_EQ(refusal_of(Doubt::kOtherDirectory, someone(2)).reason, RefusalReason::kDirectory);
  EXPECT_EQ(refusal_of(Doubt::kReplaced, someone(2)).reason, RefusalReason::kReplaced);
  EXPECT_EQ(refusal_of(Doubt::kLeft, someone(2)).reason, RefusalReason::kReplaced);
  EXPECT_EQ(refusal_of(Doubt::kUnknown, someone(2)).reason, RefusalReason::kFull);
}

}  // namespace
}  // namespace millrace::cluster
