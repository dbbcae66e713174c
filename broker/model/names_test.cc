// Topic names and the partitioner.
#include <gtest/gtest.h>

#include "broker/model/partitioner.h"
#include "broker/model/topic_name.h"

namespace millrace::model {
namespace {

std::string refusal(std::string_view name) {
  const auto checked = check_topic_name(name);
  return checked.ok() ? "" : checked.error().detail;
}

TEST(TopicName, KafkasRules) {
  EXPECT_EQ(refusal("orders"), "");
  EXPECT_EQ(refusal("a.b_c-D9"), "");
  EXPECT_EQ(refusal("..."), "");
  EXPECT_EQ(refusal(std::string(249, 'a')), "");
  EXPECT_EQ(refusal(""), "Topic name is invalid: the empty string is not allowed");
  EXPECT_EQ(refusal("."), "Topic name is invalid: '.' is not allowed");
  EXPECT_EQ(refusal(".."), "Topic name is invalid: '..' is not allowed");
  EXPECT_EQ(refusal("a b"),
            "Topic name is invalid: 'a b' contains one or more characters other than ASCII "
            "alphanumerics, '.', '_' and '-'");
  EXPECT_NE(refusal("caf\xc3\xa9"), "");
  EXPECT_NE(refusal(std::string_view("a\0b", 3)), "");
  EXPECT_EQ(refusal(std::string(250, 'a')), "Topic name is invalid: the length of '" +
                                                std::string(250, 'a') +
                                                "' is longer than the max allowed length 249");
}

TEST(TopicName, DotsAndUnderscoresCollide) {
  EXPECT_TRUE(topic_names_collide("a.b_c", "a_b.c"));
  EXPECT_FALSE(topic_names_collide("a.b", "a-b"));
  EXPECT_TRUE(is_internal_topic("__consumer_offsets"));
  EXPECT_FALSE(is_internal_topic("__consumer"));
}

// The expected numbers are what the Java client's Utils.murmur2 gives.
TEST(Partitioner, EqualsTheJavaClients) {
  const auto hash = [](std::string_view key) { return murmur2(common::as_bytes(key)); };
  EXPECT_EQ(hash(""), 275646681);
  EXPECT_EQ(hash("21"), -973932308);
  EXPECT_EQ(hash("abc"), 479470107);
  EXPECT_EQ(hash("foobar"), -790332482);
  EXPECT_EQ(hash("a-little-bit-long-string"), -985981536);
  EXPECT_EQ(hash("a-little-bit-longer-string"), -1486304829);
  EXPECT_EQ(hash("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8"), -58897971);
  EXPECT_EQ(partition_for_key(common::as_bytes("21"), 7).value(), (-973932308 & 0x7fffffff) % 7);
}

}  // namespace
}  // namespace millrace::model
