#include "operator/kube/informer.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "operator/kube/fields.h"
#include "operator/kube/kinds.h"
#include "operator/kube/testing/model_api.h"

namespace millrace::kube {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

Json topic(const std::string& name, int partitions = 1) {
  return {{"apiVersion", "millrace.dev/v1alpha1"},
          {"kind", "MillraceTopic"},
          {"metadata", {{"namespace", "shop"}, {"name", name}}},
          {"spec", {{"partitions", partitions}}}};
}

/// An informer on a thread of its own, and what its handler heard.
class InformerTest : public ::testing::Test {
 protected:
  InformerTest()
      : informer_(api_, clock_, common::Random(3),
                  {.resource = kTopics,
                   .page_limit = 2,
                   .backoff = {milliseconds(1), milliseconds(20)}}) {
    informer_.on_change([this](const Change& change) {
      const std::lock_guard lock(mutex_);
      heard_.push_back(fmt::format("{} {}", change.key.name,
                                   change.kind == ChangeKind::kDeleted
                                       ? 0
                                       : *number_at(change.object, {"spec", "partitions"})));
      changed_.notify_all();
    });
  }
  ~InformerTest() override {
    // A watch of the model notices a stop by itself.
    thread_.request_stop();
  }

  void start() {
    thread_ = std::jthread([this](std::stop_token stop) { informer_.run(std::move(stop)); });
    ASSERT_TRUE(informer_.wait_synced({}, seconds(30)));
  }
  /// Waits until this was heard.
  bool hears(const std::string& wanted) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, seconds(30), [&] {
      return std::find(heard_.begin(), heard_.end(), wanted) != heard_.end();
    });
  }
  std::size_t heard() {
    const std::lock_guard lock(mutex_);
    return heard_.size();
  }

  testing::ModelApi api_;
  common::SystemClock clock_;
  Informer informer_;
  std::mutex mutex_;  // guards heard_
  std::condition_variable changed_;
  std::vector<std::string> heard_;
  std::jthread thread_;
};

TEST_F(InformerTest, ListsThenFollows) {
  for (int i = 0; i < 5; ++i) api_.create(kTopics, topic(fmt::format("t{}", i))).value();
  start();
  EXPECT_EQ(informer_.cache().size(), 5);
  EXPECT_EQ(api_.calls("list"), 3);
  api_.create(kTopics, topic("new", 7)).value();
  EXPECT_TRUE(hears("new 7"));
  api_.patch(kTopics, {"shop", "t1"}, {{"spec", {{"partitions", 9}}}}).value();
  EXPECT_TRUE(hears("t1 9"));
  EXPECT_EQ(number_at(*informer_.cache().get({"shop", "t1"}), {"spec", "partitions"}), 9);
  ASSERT_TRUE(api_.remove(kTopics, {"shop", "t2"}).ok());
  EXPECT_TRUE(hears("t2 0"));
  EXPECT_EQ(informer_.cache().get({"shop", "t2"}), std::nullopt);
  EXPECT_EQ(informer_.counts().lists, 1);
}

// Goal: a server that restarts costs a new watch from where the last one ended, not a list of
// everything.
TEST_F(InformerTest, ResumesAfterTheStreamBroke) {
  start();
  // Heard through the watch: there is one to break.
  api_.create(kTopics, topic("a")).value();
  ASSERT_TRUE(hears("a 1"));
  api_.restart(/*forget=*/false);
  api_.create(kTopics, topic("b")).value();
  EXPECT_TRUE(hears("b 1"));
  EXPECT_EQ(informer_.counts().lists, 1);
  EXPECT_GE(informer_.counts().watches, 2);
}

// Goal: what happened while the history was lost is heard all the same: changes, additions and
// deletions.
TEST_F(InformerTest, ListsAgainWhenTheHistoryIsGone) {
  for (const char* name : {"a", "b", "c"}) api_.create(kTopics, topic(name)).value();
  start();
  const std::size_t before = heard();
  api_.set_gate([](const std::string& verb, const Resource&, const ObjectKey&) {
    return verb == "watch" || verb == "list"
               ? std::optional<ApiError>({.cause = Cause::kUnavailable, .detail = "away"})
               : std::nullopt;
  });
  api_.restart(/*forget=*/false);
  api_.patch(kTopics, {"shop", "a"}, {{"spec", {{"partitions", 2}}}}).value();
  ASSERT_TRUE(api_.remove(kTopics, {"shop", "b"}).ok());
  api_.create(kTopics, topic("d", 4)).value();
  api_.restart(/*forget=*/true);
  api_.set_gate(nullptr);
  EXPECT_TRUE(hears("d 4"));
  EXPECT_TRUE(hears("b 0"));
  EXPECT_TRUE(hears("a 2"));
  // Changes are told before the list is done.
  for (int i = 0; i < 30'000 && !informer_.trouble().empty(); ++i) pause(milliseconds(1), {});
  EXPECT_EQ(informer_.trouble(), "");
  // "c" did not change, and nobody heard of it again.
  EXPECT_EQ(heard(), before + 3);
  EXPECT_EQ(informer_.counts().lists >= 2, true);
  EXPECT_GT(informer_.counts().errors, 0);
}

// Goal: a server that ends every watch at once is asked a few times, not as often as it answers.
// Method: count the watches of a fixed time with a gate that refuses all.
TEST_F(InformerTest, NeverAHotLoop) {
  Informer informer(api_, clock_, common::Random(3),
                    {.resource = kTopics, .backoff = {milliseconds(50), seconds(1)}});
  api_.set_gate([](const std::string& verb, const Resource&, const ObjectKey&) {
    return verb == "watch" ? std::optional<ApiError>({.cause = Cause::kGone, .detail = "old"})
                           : std::nullopt;
  });
  std::jthread thread([&](std::stop_token stop) { informer.run(std::move(stop)); });
  pause(milliseconds(500), {});
  thread.request_stop();
  thread.join();
  // Waits of at least 25, 50, 100, 200 ms.
  EXPECT_LE(api_.calls("watch"), 6);
  EXPECT_LE(api_.calls("list"), 6);
  EXPECT_EQ(informer.trouble(), "old");
}

TEST_F(InformerTest, IsNotSyncedBeforeTheFirstListIsWhole) {
  for (int i = 0; i < 5; ++i) api_.create(kTopics, topic(fmt::format("t{}", i))).value();
  api_.set_gate([](const std::string& verb, const Resource&, const ObjectKey&) {
    return verb == "list" ? std::optional<ApiError>({.cause = Cause::kForbidden, .detail = "no"})
                          : std::nullopt;
  });
  thread_ = std::jthread([this](std::stop_token stop) { informer_.run(std::move(stop)); });
  EXPECT_FALSE(informer_.wait_synced({}, milliseconds(100)));
  EXPECT_EQ(informer_.trouble(), "no");
  api_.set_gate(nullptr);
  EXPECT_TRUE(informer_.wait_synced({}, seconds(30)));
  EXPECT_EQ(informer_.cache().size(), 5);
}

TEST_F(InformerTest, AListThatExpiresInTheMiddleBeginsAgain) {
  for (int i = 0; i < 9; ++i) api_.create(kTopics, topic(fmt::format("t{}", i))).value();
  api_.set_faults({.expire = 300});
  start();
  api_.set_faults({});
  EXPECT_EQ(informer_.cache().size(), 9);
}

}  // namespace
}  // namespace millrace::kube
