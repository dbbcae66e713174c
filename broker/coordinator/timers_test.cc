// Goal: deadlines fire in order, exactly once, and cost no more memory than there are timers.
// Method: cases by hand, then random sets, clears and waits beside a plain map.
#include "broker/coordinator/timers.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <map>

#include "common/random.h"

namespace millrace::coordinator {
namespace {

using std::chrono::seconds;

common::Instant at(int second) {
  return common::Instant{seconds(second)};
}

TEST(TimersTest, FireInTheOrderOfTheirDeadlines) {
  Timers timers;
  Timer late(timers, {.group = "g", .member = "late"});
  Timer early(timers, {.group = "g", .member = "early"});
  EXPECT_FALSE(timers.next().has_value());
  late.set(at(5));
  early.set(at(3));
  EXPECT_EQ(timers.next(), at(3));
  EXPECT_FALSE(timers.take_due(at(2)).has_value());
  EXPECT_EQ(timers.take_due(at(9))->member, "early");
  EXPECT_FALSE(early.deadline().has_value());
  EXPECT_EQ(timers.take_due(at(9))->member, "late");
  EXPECT_FALSE(timers.take_due(at(9)).has_value());
  EXPECT_EQ(timers.armed(), 0U);
}

TEST(TimersTest, EqualDeadlinesFireInTheOrderOfTheirSetting) {
  Timers timers;
  Timer b(timers, {.group = "g", .member = "b"});
  Timer a(timers, {.group = "g", .member = "a"});
  b.set(at(1));
  a.set(at(1));
  EXPECT_EQ(timers.take_due(at(1))->member, "b");
  EXPECT_EQ(timers.take_due(at(1))->member, "a");
}

TEST(TimersTest, ALaterDeadlineCostsNoEntry) {
  Timers timers;
  Timer session(timers, {.group = "g", .member = "m"});
  for (int second = 1; second < 1000; ++second) session.set(at(second));
  EXPECT_EQ(timers.queued(), 1U);
  EXPECT_FALSE(timers.take_due(at(998)).has_value());
  EXPECT_EQ(session.deadline(), at(999));
  EXPECT_TRUE(timers.take_due(at(999)).has_value());
}

TEST(TimersTest, WhatIsDueStaysSoUntilItIsTaken) {
  Timers timers;
  Timer timer(timers, {.group = "g", .member = "m", .kind = TimerKind::kSync});
  timer.set(at(1));
  EXPECT_EQ(timers.due(at(0)), nullptr);
  ASSERT_NE(timers.due(at(1)), nullptr);
  EXPECT_EQ(timers.due(at(1))->kind, TimerKind::kSync);
  EXPECT_EQ(timer.deadline(), at(1));
  timer.clear();
  EXPECT_EQ(timers.due(at(1)), nullptr);
}

TEST(TimersTest, AnotherTimerInTheSamePlaceIsNotMistaken) {
  Timers timers;
  {
    Timer gone(timers, {.group = "g", .member = "gone"});
    gone.set(at(1));
  }
  Timer fresh(timers, {.group = "g", .member = "fresh"});
  fresh.set(at(2));
  EXPECT_FALSE(timers.take_due(at(1)).has_value());
  Timer moved = std::move(fresh);
  EXPECT_EQ(moved.deadline(), at(2));
  EXPECT_FALSE(fresh.deadline().has_value());  // NOLINT: what a moved-from timer says is promised
  EXPECT_EQ(timers.take_due(at(2))->member, "fresh");
}

TEST(TimersTest, BehaveAsAMap) {
  common::Random random(7);
  Timers timers;
  std::vector<Timer> owned;
  for (int i = 0; i < 50; ++i) owned.emplace_back(timers, TimerTarget{"g", std::to_string(i)});
  std::map<std::string, common::Instant> model;
  int now = 0;
  for (int step = 0; step < 20'000; ++step) {
    const std::size_t which = random.below(owned.size());
    const std::string name = std::to_string(which);
    if (random.chance(1, 20)) {  // another timer takes the place
      owned[which] = Timer(timers, TimerTarget{"g", name});
      model.erase(name);
    } else if (random.chance(1, 4)) {
      owned[which].clear();
      model.erase(name);
    } else {
      const auto deadline = at(now + static_cast<int>(random.below(100)));
      owned[which].set(deadline);
      model[name] = deadline;
    }
    ASSERT_EQ(timers.armed(), model.size());
    ASSERT_LE(timers.queued(), 2 * owned.size() + 65);
    if (!random.chance(1, 10)) continue;
    now += static_cast<int>(random.below(20));
    while (const auto due = timers.take_due(at(now))) {
      ASSERT_TRUE(model.count(due->member) == 1 && model[due->member] <= at(now));
      model.erase(due->member);
    }
    for (const auto& [left, deadline] : model) ASSERT_GT(deadline, at(now));
    if (!model.empty()) {
      ASSERT_LE(*timers.next(), std::min_element(model.begin(), model.end(), [](auto& a, auto& b) {
                                  return a.second < b.second;
                                })->second);
    }
  }
}

}  // namespace
}  // namespace millrace::coordinator
