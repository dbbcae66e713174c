#include "broker/env/testing/sim_world.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "broker/env/testing/sim_disk.h"

namespace millrace::env::testing {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::ElementsAre;

common::Instant at(common::Duration since_start) {
  return common::Instant{since_start};
}

// What was due while a process stood still runs afterwards, in the order in which it was due;
// others go on.
TEST(SimWorld, APausedLoopRunsLateWhatItMissed) {
  SimWorld world(1);
  SimLoop& paused = world.make_loop();
  SimLoop& other = world.make_loop();
  std::vector<std::string> ran;
  const auto note = [&](std::string what) {
    return [&ran, what = std::move(what)] { ran.push_back(what); };
  };
  paused.after(milliseconds(30), note("late 30"));
  paused.after(milliseconds(10), note("late 10"));
  other.after(milliseconds(20), note("other 20"));
  paused.after(milliseconds(200), note("paused 200"));
  paused.pause_for(milliseconds(100));
  world.run_for(milliseconds(99));
  EXPECT_THAT(ran, ElementsAre("other 20"));
  world.run_for(milliseconds(2));
  EXPECT_THAT(ran, ElementsAre("other 20", "late 10", "late 30"));
  world.run_for(seconds(1));
  EXPECT_EQ(ran.back(), "paused 200");
}

// Whoever tells a thread several things tells them in this order, however often it stands still.
TEST(SimWorld, ALoopThatPausesAgainKeepsTheOrderOfWhatItMissed) {
  SimWorld world(1);
  SimLoop& loop = world.make_loop();
  std::vector<std::string> ran;
  loop.pause_for(milliseconds(100));
  loop.post([&] { ran.emplace_back("first"); });
  world.run_for(milliseconds(50));
  loop.pause_for(milliseconds(100));
  loop.post([&] { ran.emplace_back("second"); });
  world.run_for(seconds(1));
  EXPECT_THAT(ran, ElementsAre("first", "second"));
}

TEST(SimWorld, ATimerOfAPausedLoopCanBeCancelled) {
  SimWorld world(1);
  SimLoop& loop = world.make_loop();
  bool ran = false;
  const TimerId timer = loop.after(milliseconds(10), [&] { ran = true; });
  loop.pause_for(milliseconds(100));
  world.run_for(milliseconds(50));
  loop.cancel(timer);
  world.run_for(seconds(1));
  EXPECT_FALSE(ran);
}

TEST(SimWorld, AMachinesWallClockMayBeWrongAndItsTimersAreNot) {
  SimWorld world(1);
  SimLoop& right = world.make_loop();
  SimLoop& wrong = world.make_loop();
  wrong.set_wall_skew(-90'000);
  world.run_for(seconds(5));
  EXPECT_EQ(wrong.clock().wall() + 90'000, right.clock().wall());
  EXPECT_EQ(wrong.clock().now(), right.clock().now());
}

TEST(SimWorld, ASlowDiskIsSlowUntilItIsNot) {
  SimWorld world(1);
  SimDisk hardware(world,
                   {.delay_min = milliseconds(1), .delay_max = milliseconds(1), .slow_one_in = 0});
  SimLoop& loop = world.make_loop();
  const auto disk = hardware.mount(loop);
  const auto file = disk->open("file", {.create = true}).value();
  const auto write_takes = [&](common::Duration extra) {
    hardware.slow_down(extra);
    const common::Instant begin = world.clock().now();
    bool done = false;
    file->write(0, {Bytes::zeros(common::kDiskAlignment, common::kDiskAlignment)}, Durable::kYes,
                [&](const Result<void>& written) { done = written.ok(); });
    EXPECT_TRUE(world.run_until([&] { return done; }));
    return world.clock().now() - begin;
  };
  EXPECT_GE(write_takes(milliseconds(500)), milliseconds(501));
  EXPECT_LT(write_takes(milliseconds(0)), milliseconds(2));
}

// Equal seeds give equal runs, and the digest tells runs apart.
TEST(SimWorld, ADigestNamesARun) {
  const auto run = [](std::uint64_t seed) {
    SimWorld world(seed);
    SimLoop& loop = world.make_loop();
    for (int i = 0; i < 10; ++i) {
      loop.post([&world, &loop] { loop.post([&world] { world.note(world.random().next()); }); });
    }
    world.run_for(seconds(1));
    EXPECT_EQ(world.clock().now(), at(seconds(1)));
    return world.digest();
  };
  EXPECT_EQ(run(7), run(7));
  EXPECT_NE(run(7), run(8));
}

}  // namespace
}  // namespace millrace::env::testing
