// What a Join may ask for, what it gets when it does not say, and what is refused.
#include "broker/grpc/subscribe_wish.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace millrace::grpc {
namespace {

using model::ErrorCode;
using ::testing::ElementsAre;

constexpr const char* kPeer = "ipv4:10.1.2.3:5000";

v1::Join least() {
  v1::Join join;
  join.set_group("g");
  join.add_topics("t");
  return join;
}

TEST(SubscribeWish, DefaultsAreThoseOfTheProto) {
  const auto wish = read_wish(least(), kPeer);
  ASSERT_TRUE(wish.ok());
  EXPECT_EQ(wish->credit.records, 0);
  EXPECT_EQ(wish->credit.bytes, 8 << 20);
  EXPECT_EQ(wish->feed.bytes_max, 1u << 20);
  EXPECT_EQ(wish->feed.without_offset, Feed::Without::kLatest);
  EXPECT_EQ(wish->progress_timeout, std::chrono::minutes(5));
  EXPECT_EQ(wish->auto_commit_interval.count(), 0);
  EXPECT_EQ(wish->member.rebalance_timeout_ms, 300'000);
  EXPECT_EQ(wish->member.client, (coordinator::ClientInfo{"grpc", "/10.1.2.3"}));
  EXPECT_EQ(wish->member.instance, std::nullopt);
  EXPECT_EQ(wish->member.topic_regex, std::nullopt);
}

TEST(SubscribeWish, EverythingIsTakenOver) {
  v1::Join join = least();
  join.add_topics("s");
  join.add_topics("t");
  join.set_topic_regex("x.*");
  join.set_instance_id("till-1");
  join.set_rack("r1");
  join.set_client_id("shop");
  join.set_assignor("range");
  join.set_without_offset(v1::WITHOUT_OFFSET_NONE);
  join.set_auto_commit_interval_ms(50);
  join.set_credit_records(7);
  join.set_credit_bytes(9);
  join.set_response_bytes_max(1000);
  join.set_progress_timeout_ms(2'000);
  const auto wish = read_wish(join, kPeer);
  ASSERT_TRUE(wish.ok());
  EXPECT_THAT(wish->member.topics, ElementsAre("s", "t")) << "each once";
  EXPECT_EQ(wish->member.topic_regex, "x.*");
  EXPECT_EQ(wish->member.instance, "till-1");
  EXPECT_EQ(wish->member.rack, "r1");
  EXPECT_EQ(wish->member.client.id, "shop");
  EXPECT_EQ(wish->member.assignor, "range");
  EXPECT_EQ(wish->feed.without_offset, Feed::Without::kNone);
  EXPECT_EQ(wish->auto_commit_interval, std::chrono::milliseconds(50));
  EXPECT_EQ(wish->credit.records, 7);
  EXPECT_EQ(wish->credit.bytes, 9);
  EXPECT_EQ(wish->feed.bytes_max, 1000u);
  EXPECT_EQ(wish->member.rebalance_timeout_ms, 2'000);
}

TEST(SubscribeWish, ContradictionsAreRefused) {
  const auto refused = [](void (*spoil)(v1::Join&)) {
    v1::Join join = least();
    spoil(join);
    const auto wish = read_wish(join, kPeer);
    return wish.ok() ? ErrorCode::kNone : wish.error().code;
  };
  EXPECT_EQ(refused([](v1::Join& join) { join.clear_group(); }), ErrorCode::kInvalidGroupId);
  for (void (*spoil)(v1::Join&) :
       {+[](v1::Join& join) { join.clear_topics(); },
        +[](v1::Join& join) { join.set_without_offset(static_cast<v1::WithoutOffset>(9)); },
        +[](v1::Join& join) { join.set_auto_commit_interval_ms(-1); },
        +[](v1::Join& join) { join.set_response_bytes_max(-1); },
        +[](v1::Join& join) { join.set_response_bytes_max((32 << 20) + 1); },
        +[](v1::Join& join) { join.set_progress_timeout_ms(999); },
        +[](v1::Join& join) { join.set_progress_timeout_ms(1'800'001); },
        +[](v1::Join& join) { join.set_group(std::string(32'768, 'g')); },
        +[](v1::Join& join) { join.set_instance_id(std::string(32'768, 'i')); },
        +[](v1::Join& join) { join.set_topic_regex(std::string(32'768, '.')); },
        +[](v1::Join& join) { join.add_topics(std::string(32'768, 't')); }}) {
    EXPECT_EQ(refused(spoil), ErrorCode::kInvalidRequest);
  }
}

TEST(HostOfPeer, IsWrittenAsKafkaDoes) {
  EXPECT_EQ(host_of_peer("ipv4:10.1.2.3:5000"), "/10.1.2.3");
  EXPECT_EQ(host_of_peer("ipv6:%5B::1%5D:5000"), "/::1");
  EXPECT_EQ(host_of_peer("ipv6:[fe80::1]:5000"), "/fe80::1");
  EXPECT_EQ(host_of_peer("unix:/run/x"), "/unix:/run/x");
  EXPECT_EQ(host_of_peer(""), "/");
}

}  // namespace
}  // namespace millrace::grpc
