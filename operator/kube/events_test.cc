#include "operator/kube/events.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "operator/kube/fields.h"
#include "operator/kube/kinds.h"
#include "operator/kube/testing/model_api.h"

namespace millrace::kube {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;

Event event(const std::string& note, const std::string& name = "events") {
  return {.regarding = {"millrace.dev/v1alpha1", "MillraceCluster", "shop", name, "u1", "7"},
          .type = EventType::kWarning,
          .reason = "RollWaits",
          .note = note};
}

class EventsTest : public ::testing::Test {
 protected:
  void record(const Event& one) {
    sender_.record(one);
    sender_.flush();
  }
  std::vector<Json> stored() { return api_.list(kEvents, {.space = "shop"})->items; }

  testing::ModelApi api_;
  common::ManualClock clock_{common::Timestamp{1'772'368'245'000}};
  EventSender sender_{api_, clock_, {.instance = "operator-1"}};
};

TEST_F(EventsTest, SaysWhatKubectlShows) {
  record(event("events-1 is behind"));
  ASSERT_EQ(stored().size(), 1);
  const Json one = stored()[0];
  EXPECT_EQ(text_at(one, {"involvedObject", "kind"}), "MillraceCluster");
  EXPECT_EQ(text_at(one, {"involvedObject", "uid"}), "u1");
  EXPECT_EQ(text_at(one, {"type"}), "Warning");
  EXPECT_EQ(text_at(one, {"reason"}), "RollWaits");
  EXPECT_EQ(text_at(one, {"message"}), "events-1 is behind");
  EXPECT_EQ(text_at(one, {"source", "component"}), "millrace-operator");
  EXPECT_EQ(text_at(one, {"firstTimestamp"}), "2026-03-01T12:30:45Z");
  EXPECT_EQ(number_at(one, {"count"}), 1);
}

TEST_F(EventsTest, TheSameAgainRaisesTheCount) {
  for (int i = 0; i < 3; ++i) {
    record(event("events-1 is behind"));
    clock_.advance(minutes(2));
  }
  ASSERT_EQ(stored().size(), 1);
  EXPECT_EQ(number_at(stored()[0], {"count"}), 3);
  EXPECT_EQ(text_at(stored()[0], {"firstTimestamp"}), "2026-03-01T12:30:45Z");
  EXPECT_EQ(text_at(stored()[0], {"lastTimestamp"}), "2026-03-01T12:34:45Z");
  clock_.advance(minutes(11));
  record(event("events-1 is behind"));
  EXPECT_EQ(stored().size(), 2);
}

TEST_F(EventsTest, AnythingElseIsAnotherEvent) {
  record(event("a"));
  record(event("b"));
  record(event("a", "audit"));
  EXPECT_EQ(stored().size(), 3);
}

TEST_F(EventsTest, AnEventThatExpiredIsMadeAgainWithItsCount) {
  record(event("a"));
  ASSERT_TRUE(api_.remove(kEvents, key_of(stored()[0])).ok());
  record(event("a"));
  ASSERT_EQ(stored().size(), 1);
  EXPECT_EQ(number_at(stored()[0], {"count"}), 2);
  EXPECT_EQ(sender_.lost(), 0);
}

// Goal: a reconciler that runs wild cannot flood the API server, and other objects still speak.
TEST_F(EventsTest, OneObjectMaySayOnlySoMuch) {
  for (int i = 0; i < 100; ++i) record(event(fmt::format("note {}", i)));
  EXPECT_EQ(stored().size(), 25);
  record(event("a", "audit"));
  EXPECT_EQ(stored().size(), 26);
  clock_.advance(seconds(61));
  for (int i = 0; i < 100; ++i) record(event(fmt::format("later {}", i)));
  EXPECT_EQ(stored().size(), 28);
  EXPECT_EQ(api_.writes().size(), 28);
}

TEST_F(EventsTest, MemoryIsBounded) {
  EventLog log({.burst = 1, .remembered = 4});
  for (int i = 0; i < 50; ++i) {
    clock_.advance(seconds(1));
    const auto decision =
        log.record(event("a", fmt::format("c{}", i)), clock_.now(), clock_.wall());
    EXPECT_TRUE(std::holds_alternative<EventLog::Create>(decision)) << i;
  }
  clock_.advance(minutes(2));
  // The last one is remembered, the first is not.
  EXPECT_TRUE(std::holds_alternative<EventLog::Raise>(
      log.record(event("a", "c49"), clock_.now(), clock_.wall())));
  EXPECT_TRUE(std::holds_alternative<EventLog::Create>(
      log.record(event("a", "c0"), clock_.now(), clock_.wall())));
}

TEST_F(EventsTest, LongNotesAreCutBetweenCharacters) {
  std::string note(1023, 'x');
  note += "\xC3\xA9\xC3\xA9";
  record(event(note));
  EXPECT_EQ(text_at(stored()[0], {"message"}), std::string(1023, 'x'));
}

TEST_F(EventsTest, WhatCannotBeSentIsCountedAndForgotten) {
  api_.fail_calls(1, Cause::kForbidden);
  record(event("a"));
  EXPECT_EQ(sender_.lost(), 1);
  for (std::size_t i = 0; i < EventSender::kQueueMax + 10; ++i) sender_.record(event("b"));
  EXPECT_EQ(sender_.lost(), 11);
}

// Goal: an operator that stops while the API server is away is not held up by its events.
TEST_F(EventsTest, AStopTriesUntilTheFirstFailure) {
  for (int i = 0; i < 10; ++i) sender_.record(event(fmt::format("{}", i)));
  api_.fail_calls(100, Cause::kUnavailable);
  std::stop_source stop;
  stop.request_stop();
  sender_.run(stop.get_token());
  EXPECT_EQ(api_.calls("create"), 1);
  EXPECT_EQ(sender_.lost(), 10);
}

TEST(Reference, NamesTheObject) {
  const Json object{
      {"metadata", {{"namespace", "shop"}, {"name", "e"}, {"uid", "u"}, {"resourceVersion", "3"}}}};
  const Reference reference = reference_of(kClusters, object);
  EXPECT_EQ(reference.api_version, "millrace.dev/v1alpha1");
  EXPECT_EQ(reference.kind, "MillraceCluster");
  EXPECT_EQ(reference.space, "shop");
  EXPECT_EQ(reference.uid, "u");
}

TEST(Reference, EventsAboutWhatHasNoNamespaceAreInDefault) {
  testing::ModelApi api;
  common::ManualClock clock;
  EventSender sender(api, clock, {});
  sender.record({.regarding = {"v1", "Node", "", "n1", "u", ""}, .reason = "R", .note = "n"});
  sender.flush();
  EXPECT_EQ(api.list(kEvents, {.space = "default"})->items.size(), 1);
}

}  // namespace
}  // namespace millrace::kube
