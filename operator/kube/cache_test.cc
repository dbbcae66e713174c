#include "operator/kube/cache.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "operator/kube/backoff.h"
#include "operator/kube/kinds.h"

namespace millrace::kube {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

Json topic(const std::string& space, const std::string& name, const std::string& cluster,
           const std::string& version, int partitions = 1) {
  return {{"apiVersion", "millrace.dev/v1alpha1"},
          {"kind", "MillraceTopic"},
          {"metadata",
           {{"namespace", space},
            {"name", name},
            {"uid", "u-" + name},
            {"resourceVersion", version},
            {"labels", {{"millrace.dev/cluster", cluster}}}}},
          {"spec", {{"partitions", partitions}}},
          {"status", {{"noise", 1}}}};
}

class CacheTest : public testing::Test {
 protected:
  ChangeHandler noting() {
    return [this](const Change& change) {
      const char* kind = change.kind == ChangeKind::kAdded      ? "added"
                         : change.kind == ChangeKind::kModified ? "modified"
                                                                : "deleted";
      changes_.push_back(fmt::format("{} {} {}", kind, change.key.text(),
                                     change.object.at("spec").at("partitions").get<int>()));
    };
  }
  std::vector<std::string> names(const std::vector<Json>& objects) {
    std::vector<std::string> names;
    for (const Json& object : objects) names.push_back(key_of(object).text());
    return names;
  }

  std::vector<std::string> changes_;
  Cache cache_{nullptr, {"millrace.dev/cluster"}};
};

TEST_F(CacheTest, GivesBackWhatWasPut) {
  const Json object = topic("shop", "orders", "events", "7", 12);
  cache_.put(object, noting());
  EXPECT_EQ(cache_.get({"shop", "orders"}), object);
  EXPECT_EQ(cache_.get({"shop", "other"}), std::nullopt);
  EXPECT_EQ(cache_.size(), 1);
  cache_.erase({"shop", "orders"}, noting());
  cache_.erase({"shop", "orders"}, noting());
  EXPECT_EQ(cache_.get({"shop", "orders"}), std::nullopt);
  EXPECT_EQ(cache_.bytes(), 0);
  EXPECT_THAT(changes_, ElementsAre("added shop/orders 12", "deleted shop/orders 12"));
}

// Goal: a write that changes nothing we read wakes nobody, and yet the resourceVersion is the new
// one, or the next conditional write would fail.
TEST_F(CacheTest, OnlyWhatIsKeptCountsAsAChange) {
  Cache cache([](Json& object) { object.erase("status"); });
  cache.put(topic("shop", "orders", "events", "7"), noting());
  Json again = topic("shop", "orders", "events", "8");
  again["status"]["noise"] = 2;
  cache.put(again, noting());
  EXPECT_EQ(cache.get({"shop", "orders"})->at("metadata").at("resourceVersion"), "8");
  EXPECT_FALSE(cache.get({"shop", "orders"})->contains("status"));
  cache.put(topic("shop", "orders", "events", "9", 2), noting());
  EXPECT_THAT(changes_, ElementsAre("added shop/orders 1", "modified shop/orders 2"));
}

TEST_F(CacheTest, AProjectionCannotTakeTheIdentity) {
  Cache cache([](Json& object) { object = Json::object(); });
  cache.put(topic("shop", "orders", "events", "7"), nullptr);
  const Json kept = *cache.get({"shop", "orders"});
  EXPECT_EQ(kept.dump(), R"({"metadata":{"name":"orders","namespace":"shop",)"
                         R"("resourceVersion":"7","uid":"u-orders"}})");
}

TEST_F(CacheTest, TheIndexFollowsTheLabel) {
  cache_.put(topic("shop", "a", "events", "1"), nullptr);
  cache_.put(topic("shop", "b", "events", "2"), nullptr);
  cache_.put(topic("shop", "c", "audit", "3"), nullptr);
  cache_.put(topic("other", "a", "events", "4"), nullptr);
  EXPECT_THAT(names(cache_.by_label("shop", "millrace.dev/cluster", "events")),
              ElementsAre("shop/a", "shop/b"));
  cache_.put(topic("shop", "b", "audit", "5"), nullptr);
  EXPECT_THAT(names(cache_.by_label("shop", "millrace.dev/cluster", "audit")),
              ElementsAre("shop/b", "shop/c"));
  cache_.erase({"shop", "a"}, nullptr);
  EXPECT_THAT(names(cache_.by_label("shop", "millrace.dev/cluster", "events")), IsEmpty());
  EXPECT_THAT(names(cache_.by_label("other", "millrace.dev/cluster", "events")),
              ElementsAre("other/a"));
}

TEST_F(CacheTest, ANamespaceIsARangeOfKeys) {
  for (const char* space : {"a", "ab", "b"}) {
    cache_.put(topic(space, "x", "e", "1"), nullptr);
    cache_.put(topic(space, "y", "e", "1"), nullptr);
  }
  EXPECT_THAT(names(cache_.list("a")), ElementsAre("a/x", "a/y"));
  EXPECT_THAT(names(cache_.list("ab")), ElementsAre("ab/x", "ab/y"));
  EXPECT_EQ(cache_.list().size(), 6);
  EXPECT_THAT(names(cache_.list("c")), IsEmpty());
}

TEST_F(CacheTest, WhatAListDoesNotNameIsGone) {
  cache_.put(topic("shop", "a", "e", "1"), nullptr);
  cache_.put(topic("shop", "b", "e", "1"), nullptr);
  cache_.retain({{"shop", "b"}}, noting());
  EXPECT_THAT(cache_.keys(), ElementsAre(ObjectKey{"shop", "b"}));
  EXPECT_THAT(changes_, ElementsAre("deleted shop/a 1"));
}

TEST_F(CacheTest, AHandlerMayAskTheCache) {
  std::size_t seen = 0;
  cache_.put(topic("shop", "a", "e", "1"), [&](const Change&) { seen = cache_.size(); });
  EXPECT_EQ(seen, 1);
}

TEST_F(CacheTest, WhatIsNoObjectIsLeftAlone) {
  cache_.put(Json::object(), noting());
  cache_.put(Json::array(), noting());
  cache_.put("text", noting());
  EXPECT_EQ(cache_.size(), 0);
}

TEST(BackoffTest, GrowsToItsLimitAndBeginsAnew) {
  Backoff backoff({std::chrono::seconds(1), std::chrono::seconds(5)}, common::Random(7));
  for (const int most : {1, 2, 4, 5, 5}) {
    const common::Duration wait = backoff.next();
    EXPECT_LE(wait, std::chrono::seconds(most));
    EXPECT_GE(wait * 2, std::chrono::seconds(most));
  }
  backoff.reset();
  EXPECT_LE(backoff.next(), std::chrono::seconds(1));
}

TEST(BackoffTest, APauseEndsWithTheStop) {
  std::stop_source source;
  EXPECT_TRUE(pause(std::chrono::milliseconds(1), source.get_token()));
  source.request_stop();
  EXPECT_FALSE(pause(std::chrono::hours(1), source.get_token()));
}

}  // namespace
}  // namespace millrace::kube
