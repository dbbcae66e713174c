#include "broker/telemetry/subscription.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace millrace::telemetry {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

Client client() {
  return {.instance = common::Uuid{{1, 2, 3}},
          .id = "app-1",
          .software_name = "apache-kafka-java",
          .software_version = "4.3.1",
          .address = "10.0.0.7",
          .port = "50000"};
}

Subscription subscription(const std::string& metrics, const std::string& match = "",
                          const std::string& interval = "") {
  model::ConfigMap configs{{"metrics", metrics}, {"match", match}};
  if (!interval.empty()) configs["interval.ms"] = interval;
  auto made = Subscription::from(configs);
  CHECK(made.ok(), "{}", made.error().detail);
  return std::move(*made);
}

TEST(Subscription, EveryPartOfAClientCanBeMatched) {
  for (const char* const match :
       {"", "client_id=app-.*", "client_software_name=.*java", "client_software_version=4[.].*",
        "client_source_address=10[.]0[.]0[.]7", "client_source_port=5.*",
        "client_instance_id=AQIDAAAAAAAAAAAAAAAAAA", "client_id=app-1, client_source_port=50000"})
    EXPECT_TRUE(subscription("*", match).matches(client())) << match;
  for (const char* const match : {"client_id=app", "client_id=APP-1", "client_software_version=4",
                                  "client_source_port=", "client_id=app-1,client_source_port=1"})
    EXPECT_FALSE(subscription("*", match).matches(client())) << match;
}

TEST(Subscription, PatternsAreCheckedWithKafkasWords) {
  for (const char* const match : {"client_id", "colour=blue", "=x", "client_id=app,port=1"}) {
    const auto parsed = parse_match(match);
    ASSERT_FALSE(parsed.ok()) << match;
    EXPECT_EQ(parsed.error().code, model::ErrorCode::kInvalidConfig);
    EXPECT_THAT(parsed.error().detail, HasSubstr("Illegal client matching pattern: "));
  }
  EXPECT_THAT(parse_match("client_id=(").error().detail, HasSubstr("missing )"));
  // An expression that would need more memory than it is worth.
  EXPECT_FALSE(parse_match("client_id=((((a{100}){100}){100}){100})").ok());
  EXPECT_FALSE(Subscription::from({{"match", "client_id=("}}).ok());
}

TEST(Interest, JoinsAllThatMatch) {
  const std::vector<Subscription> all = {subscription("b.,a.", "", "5000"),
                                         subscription("a.,c.", "client_id=app-1", "700"),
                                         subscription("d.", "client_id=other", "100")};
  const Interest interest = interest_in(client(), all);
  EXPECT_THAT(interest.metrics, ElementsAre("a.", "b.", "c."));
  EXPECT_EQ(interest.interval.count(), 700);
}

TEST(Interest, AllCoversTheRest) {
  EXPECT_THAT(interest_in(client(), {subscription("a."), subscription("*")}).metrics,
              ElementsAre("*"));
}

TEST(Interest, WithoutSubscriptionsNothingIsWanted) {
  const Interest interest = interest_in(client(), {});
  EXPECT_THAT(interest.metrics, IsEmpty());
  EXPECT_EQ(interest.interval.count(), 300'000);
}

TEST(Interest, TheIdTellsWishesAndClientsApart) {
  Client other = client();
  other.instance.bytes[0] = 9;
  const std::int32_t id = interest_in(client(), {subscription("a.")}).id;
  EXPECT_EQ(interest_in(client(), {subscription("a.")}).id, id);
  EXPECT_NE(interest_in(client(), {subscription("b.")}).id, id);
  EXPECT_NE(interest_in(client(), {subscription("a.", "", "700")}).id, id);
  EXPECT_NE(interest_in(other, {subscription("a.")}).id, id);
}

}  // namespace
}  // namespace millrace::telemetry
