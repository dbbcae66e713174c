// Topics by the thousand: how often anybody is asked, and what is written when.
#include "operator/control/topic_reconciler.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "operator/control/testing/bench.h"
#include "operator/kube/fields.h"

namespace millrace::control {
namespace {

using kube::Json;
using std::chrono::minutes;
using std::chrono::seconds;
using testing::Bench;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;
using testing::told;
using ::testing::UnorderedElementsAre;

/// A cluster whose pods are of no concern: paused, and its brokers are there.
class Topics : public ::testing::Test {
 protected:
  Topics() {
    bench.make_cluster(3);
    Json pause = {{"metadata", {{"annotations", {{"millrace.dev/paused", "true"}}}}}};
    CHECK(bench.api.patch(kube::kClusters, Bench::kKey, pause).ok());
    bench.brokers->form_alone(3);
  }
  std::map<std::string, brokers::Topic> there() const { return bench.brokers->all_topics(); }
  std::uint64_t calls(const std::string& method) const { return bench.brokers->calls(method); }
  std::size_t writes_of_topics(const std::vector<kube::testing::Written>& writes) const {
    return static_cast<std::size_t>(
        std::count_if(writes.begin(), writes.end(),
                      [](const auto& one) { return one.plural == "millracetopics"; }));
  }
  std::string ready(const std::string& topic) {
    return Bench::condition(bench.topic(topic), "Ready");
  }
  std::string reason(const std::string& topic) {
    return Bench::reason(bench.topic(topic), "Ready");
  }

  Bench bench;
};

TEST_F(Topics, AResourceBecomesATopicThatIsReadBack) {
  bench.make_topic("orders", {{"config", {{"retention.ms", "1000"}}}});
  ASSERT_TRUE(bench.settle());
  ASSERT_TRUE(there().contains("orders"));
  EXPECT_EQ(there()["orders"].partitions, 3);
  EXPECT_THAT(there()["orders"].configs, ElementsAre(Pair("retention.ms", "1000")));
  EXPECT_EQ(ready("orders"), "True");
  EXPECT_EQ(kube::text_at(bench.topic("orders"), {"status", "topicId"}), there()["orders"].id);
}

// C07, and issue 6: converges from cold, then nothing is written and no topic is asked for.
TEST_F(Topics, ThousandsAreMadeInBatchesWithOneStatusEachAndThenNothingHappens) {
  constexpr std::size_t kTopics = 600;
  for (std::size_t i = 0; i < kTopics; ++i) bench.make_topic(fmt::format("t{:04}", i));
  bench.api.clear_writes();
  ASSERT_TRUE(bench.settle());
  EXPECT_EQ(there().size(), kTopics);
  EXPECT_EQ(ready("t0000"), "True");
  EXPECT_EQ(ready("t0599"), "True");
  EXPECT_EQ(writes_of_topics(bench.api.writes()), kTopics) << "one status for each";
  EXPECT_LE(calls("CreateTopics"), kTopics / 250 + 2);

  EXPECT_THAT(bench.station().events(), Each(Field(&kube::Event::type, kube::EventType::kWarning)))
      << "no event for each of so many that are well";

  const std::uint64_t lists = calls("ListTopics");
  EXPECT_THAT(told(bench.written_in(minutes(10))), IsEmpty());
  EXPECT_LE(calls("ListTopics") - lists, 22u) << "every 30 seconds";
  EXPECT_EQ(calls("DescribeTopic"), 0u);
}

// Topics that come one after the other are told of, each one once, and then there is silence.
TEST_F(Topics, AfterManyCameOneByOneNothingIsWritten) {
  for (int i = 0; i < 200; ++i) {
    bench.make_topic(fmt::format("t{:04}", i));
    bench.round(std::chrono::milliseconds(100));
  }
  ASSERT_TRUE(bench.settle());
  EXPECT_EQ(ready("t0199"), "True");
  const std::size_t events = bench.station().events().size();
  EXPECT_GE(events, 200u);
  EXPECT_THAT(told(bench.written_in(minutes(5))), IsEmpty());
  EXPECT_EQ(bench.station().events().size(), events);
}

TEST_F(Topics, OneNewTopicAmongManyCostsNoLookAtTheOthers) {
  for (int i = 0; i < 300; ++i) bench.make_topic(fmt::format("t{:04}", i));
  ASSERT_TRUE(bench.settle());
  const std::uint64_t reconciled = calls("CreateTopics");
  bench.api.clear_writes();
  bench.make_topic("one-more");
  ASSERT_TRUE(bench.settle());
  EXPECT_EQ(ready("one-more"), "True");
  EXPECT_EQ(calls("CreateTopics"), reconciled + 1);
  EXPECT_EQ(writes_of_topics(bench.api.writes()), 2u) << "made by the test, and its status";
}

TEST_F(Topics, WhatOthersChangeIsSetRightWithinOneResync) {
  bench.make_topic("orders", {{"config", {{"retention.ms", "1000"}}}});
  ASSERT_TRUE(bench.settle());
  bench.brokers->change_topic("orders", [](brokers::Topic& topic) {
    topic.configs = {{"retention.ms", "7"}, {"segment.bytes", "1"}};
  });
  for (int i = 0; i < 35; ++i) bench.round(seconds(1));
  EXPECT_THAT(there()["orders"].configs, ElementsAre(Pair("retention.ms", "1000")));
}

// What was seen when another topic was looked at must neither be forgotten nor told later, when it
// is true no more.
TEST_F(Topics, LostLeadersAreToldWhileTheyAreLost) {
  bench.make_topic("orders");
  bench.make_topic("others");
  ASSERT_TRUE(bench.settle());
  bench.brokers->set_offline("orders", true);
  for (int i = 0; i < 2; ++i) bench.round(seconds(1));
  bench.edit_topic("others", {{"partitions", 6}});
  for (int i = 0; i < 3; ++i) bench.round(seconds(1));
  EXPECT_EQ(reason("orders"), "TopicUnwell");
  bench.brokers->set_offline("orders", false);
  for (int i = 0; i < 7; ++i) bench.round(seconds(1));
  EXPECT_EQ(ready("orders"), "True");
  EXPECT_THAT(told(bench.written_in(minutes(5))), IsEmpty());
}

TEST_F(Topics, PartitionsRiseAndNeverFall) {
  bench.make_topic("orders");
  ASSERT_TRUE(bench.settle());
  bench.edit_topic("orders", {{"partitions", 6}});
  ASSERT_TRUE(bench.settle());
  EXPECT_EQ(there()["orders"].partitions, 6);
  bench.edit_topic("orders", {{"partitions", 2}});
  ASSERT_TRUE(bench.settle());
  EXPECT_EQ(there()["orders"].partitions, 6);
  EXPECT_EQ(reason("orders"), "ShrinkRefused");
}

TEST_F(Topics, ARefusalIsToldInTheBrokersWordsAndAskedSeldom) {
  bench.make_topic("orders", {{"config", {{"no.such.setting", "1"}}}});
  bench.make_topic("fine");
  ASSERT_TRUE(bench.settle());
  EXPECT_EQ(ready("fine"), "True");
  EXPECT_EQ(reason("orders"), "TopicRefused");
  const std::uint64_t before = calls("CreateTopics");
  EXPECT_THAT(told(bench.written_in(minutes(5))), IsEmpty()) << "a refusal is told once";
  EXPECT_LE(calls("CreateTopics") - before, 12u);
  bench.edit_topic("orders", {{"config", {{"no.such.setting", nullptr}}}});
  ASSERT_TRUE(bench.settle());
  EXPECT_EQ(ready("orders"), "True");
}

TEST_F(Topics, BrokersThatAreTooOldAreARefusalUntilTheyAreNewer) {
  bench.brokers->set_gate([](const std::string& method) -> std::optional<brokers::BrokerError> {
    if (method != "CreateTopics") return std::nullopt;
    return brokers::BrokerError{.trouble = brokers::Trouble::kTooOld,
                                .detail = "the brokers do not know CreateTopics"};
  });
  bench.make_topic("orders");
  ASSERT_TRUE(bench.settle());
  EXPECT_EQ(reason("orders"), "TopicRefused");
  EXPECT_THAT(bench.topic("orders")["status"].dump(), HasSubstr("do not know CreateTopics"));
  EXPECT_THAT(told(bench.written_in(minutes(5))), IsEmpty());
  bench.brokers->set_gate(nullptr);
  bench.written_in(minutes(2));
  EXPECT_EQ(ready("orders"), "True");
}

TEST_F(Topics, OfTwoForOneTopicTheOlderCounts) {
  bench.make_topic("orders");
  bench.api.advance(seconds(5));
  bench.make_topic("orders-too", {{"topicName", "orders"}, {"partitions", 9}});
  ASSERT_TRUE(bench.settle());
  EXPECT_EQ(ready("orders"), "True");
  EXPECT_EQ(reason("orders-too"), "DuplicateTopic");
  EXPECT_EQ(there()["orders"].partitions, 3);
  ASSERT_TRUE(bench.api.remove(kube::kTopics, {"shop", "orders"}, {}).ok());
  ASSERT_TRUE(bench.settle());
  EXPECT_EQ(ready("orders-too"), "True") << "nobody else changed it";
  EXPECT_EQ(there()["orders"].partitions, 9);
}

TEST_F(Topics, DeletionPolicyDecides) {
  bench.make_topic("kept");
  bench.make_topic("gone", {{"deletionPolicy", "Delete"}});
  ASSERT_TRUE(bench.settle());
  for (const char* name : {"kept", "gone"})
    ASSERT_TRUE(bench.api.remove(kube::kTopics, {"shop", name}, {}).ok());
  ASSERT_TRUE(bench.settle());
  EXPECT_TRUE(bench.topic("kept").is_null());
  EXPECT_TRUE(bench.topic("gone").is_null());
  EXPECT_TRUE(there().contains("kept"));
  EXPECT_FALSE(there().contains("gone"));
}

// C06: a namespace must not hang on topics of a cluster that is gone.
TEST_F(Topics, FinalizersAreReleasedWhenTheClusterIsGone) {
  bench.make_topic("gone", {{"deletionPolicy", "Delete"}});
  ASSERT_TRUE(bench.settle());
  ASSERT_TRUE(bench.api.remove(kube::kClusters, Bench::kKey, {}).ok());
  ASSERT_TRUE(bench.settle());
  ASSERT_TRUE(bench.api.remove(kube::kTopics, {"shop", "gone"}, {}).ok());
  ASSERT_TRUE(bench.settle());
  EXPECT_TRUE(bench.topic("gone").is_null());
}

TEST_F(Topics, AnOperatorThatIsToldToStopReleasesAllOfANamespace) {
  bench.make_topic("a", {{"deletionPolicy", "Delete"}});
  bench.make_topic("b", {{"deletionPolicy", "Delete"}});
  ASSERT_TRUE(bench.settle());
  ASSERT_TRUE(bench.api.remove(kube::kTopics, {"shop", "a"}, {}).ok());
  bench.station().sync();
  bench.station().release_finalizers("shop");
  EXPECT_TRUE(bench.topic("a").is_null());
  EXPECT_TRUE(bench.topic("b")["metadata"].value("finalizers", Json::array()).empty());
}

TEST_F(Topics, BrokersThatAreSilentForAWhileAreNoNewsOfTopics) {
  for (int i = 0; i < 20; ++i) bench.make_topic(fmt::format("t{}", i));
  ASSERT_TRUE(bench.settle());
  bench.brokers->set_gate([](const std::string&) -> std::optional<brokers::BrokerError> {
    return brokers::BrokerError{.trouble = brokers::Trouble::kUnreachable, .detail = "silence"};
  });
  EXPECT_THAT(told(bench.written_in(minutes(5))), IsEmpty());
  bench.brokers->set_gate(nullptr);
  EXPECT_THAT(told(bench.written_in(minutes(2))), IsEmpty());
  EXPECT_EQ(ready("t0"), "True");
}

TEST_F(Topics, LostAnswersChangeNothing) {
  for (int i = 0; i < 10; ++i)
    bench.make_topic(fmt::format("t{}", i), {{"deletionPolicy", "Delete"}});
  for (int i = 0; i < 20; ++i) {
    bench.api.lose_answers(1);
    bench.brokers->lose_answers(1);
    bench.round();
  }
  bench.api.lose_answers(0);
  bench.brokers->lose_answers(0);
  ASSERT_TRUE(bench.settle());
  EXPECT_EQ(there().size(), 10u);
  for (int i = 0; i < 10; ++i) EXPECT_EQ(ready(fmt::format("t{}", i)), "True") << i;
}

TEST_F(Topics, ItMayEndBetweenAnyTwoCalls) {
  const auto live = [](Bench& one) {
    one.make_topic("a", {{"deletionPolicy", "Delete"}});
    one.make_topic("b", {{"config", {{"retention.ms", "1"}}}});
    if (!one.settle() || one.ended()) return;
    one.edit_topic("b", {{"partitions", 5}, {"config", {{"retention.ms", "2"}}}});
    (void)one.settle();
  };
  for (int n = 0; n < 60; ++n) {
    Bench one;
    one.make_cluster(3);
    one.brokers->form_alone(3);
    one.end_after(n);
    live(one);
    one.restart_operator();
    one.edit_topic("b", {{"partitions", 5}, {"config", {{"retention.ms", "2"}}}});
    ASSERT_TRUE(one.settle()) << n;
    ASSERT_TRUE(one.api.remove(kube::kTopics, {"shop", "a"}, {}).ok());
    ASSERT_TRUE(one.settle()) << n;
    ASSERT_TRUE(one.topic("a").is_null()) << n;
    const auto topics = one.brokers->all_topics();
    ASSERT_EQ(topics.size(), 1u) << n;
    ASSERT_EQ(topics.at("b").partitions, 5) << n;
    ASSERT_EQ(topics.at("b").configs.at("retention.ms"), "2") << n;
  }
}

TEST_F(Topics, TwoOperatorsAtOnceDoNoHarm) {
  bench.add_operator();
  for (int i = 0; i < 20; ++i) bench.make_topic(fmt::format("t{}", i));
  ASSERT_TRUE(bench.settle());
  EXPECT_EQ(there().size(), 20u);
  EXPECT_EQ(ready("t19"), "True");
  EXPECT_THAT(told(bench.written_in(minutes(5))), IsEmpty());
}

}  // namespace
}  // namespace millrace::control
