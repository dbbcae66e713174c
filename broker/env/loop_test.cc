// The contract of Loop, kept by the machine's and by the simulator's.
#include "broker/env/loop.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <thread>

#include "broker/env/real_loop.h"
#include "broker/env/testing/both_worlds.h"
#include "broker/env/testing/sim_world.h"
#include "common/reply.h"

namespace millrace::env {
namespace {

using namespace std::chrono_literals;

class LoopTest : public ::testing::TestWithParam<std::string> {
 protected:
  std::unique_ptr<testing::World> world = testing::make_world(GetParam());
};

TEST_P(LoopTest, RunsPostsInOrderAndNeverInline) {
  std::vector<int> order;
  world->run([&] {
    for (int i = 0; i < 100; ++i) world->loop().post([&order, i] { order.push_back(i); });
    EXPECT_TRUE(order.empty());
    EXPECT_TRUE(world->loop().here());
  });
  ASSERT_TRUE(world->wait([&] { return order.size() == 100; }));
  EXPECT_TRUE(std::ranges::is_sorted(order));
}

TEST_P(LoopTest, PostsOfAnotherThreadKeepTheirOrder) {
  std::vector<int> order;
  for (int i = 0; i < 1000; ++i) world->loop().post([&order, i] { order.push_back(i); });
  ASSERT_TRUE(world->wait([&] { return order.size() == 1000; }));
  EXPECT_TRUE(std::ranges::is_sorted(order));
}

TEST_P(LoopTest, TimersFireInOrderOfTimeAndNeverEarly) {
  std::vector<int> order;
  bool early = false;
  world->run([&] {
    const common::Instant start = world->loop().clock().now();
    for (const int ms : {20, 5, 10, 5, 0}) {
      world->loop().after(std::chrono::milliseconds(ms), [&, ms, start] {
        order.push_back(ms);
        if (world->loop().clock().now() - start < std::chrono::milliseconds(ms)) early = true;
      });
    }
  });
  ASSERT_TRUE(world->wait([&] { return order.size() == 5; }));
  EXPECT_EQ(order, (std::vector<int>{0, 5, 5, 10, 20}));
  EXPECT_FALSE(early);
}

TEST_P(LoopTest, CancelledTimersDoNotFire) {
  bool cancelled = false;
  bool other = false;
  world->run([&] {
    const TimerId timer = world->loop().after(1ms, [&] { cancelled = true; });
    world->loop().after(5ms, [&] { other = true; });
    world->loop().cancel(timer);
    world->loop().cancel(timer);
    world->loop().cancel(TimerId::kNone);
  });
  ASSERT_TRUE(world->wait([&] { return other; }));
  EXPECT_FALSE(cancelled);
}

TEST_P(LoopTest, ManyTimersSetAndCancelled) {
  int fired = 0;
  world->run([&] {
    for (int i = 0; i < 10'000; ++i) {
      const TimerId timer = world->loop().after(std::chrono::microseconds(i), [&] { ++fired; });
      if (i % 10 != 0) world->loop().cancel(timer);
    }
  });
  ASSERT_TRUE(world->wait([&] { return fired == 1000; }));
}

TEST_P(LoopTest, TimersSetInTimersAndPostsInPosts) {
  int depth = 0;
  world->run([&] {
    world->loop().after(0ms, [&] {
      world->loop().after(
          1ms, [&] { world->loop().post([&] { world->loop().post([&] { depth = 4; }); }); });
    });
  });
  EXPECT_TRUE(world->wait([&] { return depth == 4; }));
}

INSTANTIATE_TEST_SUITE_P(Worlds, LoopTest, ::testing::Values("real", "simulated"),
                         [](const auto& chosen) { return chosen.param; });

TEST(RealLoop, StoppedLoopDestroysWhatIsQueuedWithItsReplies) {
  auto held = std::make_shared<int>(0);
  {
    RealLoop loop;
    common::Reply<int> reply = [held](int) { FAIL(); };
    loop.post([reply = std::move(reply)] {});
    loop.stop();
    EXPECT_EQ(held.use_count(), 1);
    loop.post([held] {});
    EXPECT_EQ(held.use_count(), 1);
  }
}

// Goal: no wake-up is lost between loops that post to each other. Method: several threads post;
// every post must arrive.
TEST(RealLoop, PostsFromManyThreadsAllArrive) {
  constexpr int kThreads = 4;
  constexpr int kPosts = 20'000;
  RealLoop loop({.name = "busy"});
  loop.start();
  std::atomic<int> ran{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < kPosts; ++i) loop.post([&ran] { ran.fetch_add(1); });
    });
  }
  for (auto& thread : threads) thread.join();
  std::atomic<bool> last{false};
  loop.post([&] {
    last = true;
    last.notify_one();
  });
  last.wait(false);
  EXPECT_EQ(ran.load(), kThreads * kPosts);
}

TEST(RealLoop, TwoLoopsPlayPingPong) {
  RealLoop left({.name = "left"});
  RealLoop right({.name = "right"});
  left.start();
  right.start();
  std::atomic<int> left_turns{20'000};
  std::atomic<bool> over{false};
  common::Function<void()> ping;
  ping = [&] {
    if (left_turns.fetch_sub(1) == 0) {
      over = true;
      over.notify_one();
      return;
    }
    (left.here() ? right : left).post([&ping] { ping(); });
  };
  left.post([&ping] { ping(); });
  over.wait(false);
  left.stop();
  right.stop();
}

TEST(SimWorld, SameSeedSameDigest) {
  const auto run = [](std::uint64_t seed) {
    testing::SimWorld world(seed);
    auto& a = world.make_loop();
    auto& b = world.make_loop();
    int left = 100;
    common::Function<void()> turn;
    turn = [&] {
      if (--left > 0) (left % 3 == 0 ? a : b).post([&turn] { turn(); });
    };
    a.post([&turn] { turn(); });
    world.run();
    return world.digest();
  };
  EXPECT_EQ(run(7), run(7));
  EXPECT_NE(run(7), run(8));
}

TEST(SimWorld, RunForLeavesLaterEventsAlone) {
  testing::SimWorld world(1);
  auto& loop = world.make_loop();
  int fired = 0;
  loop.after(10ms, [&] { ++fired; });
  loop.after(30ms, [&] { ++fired; });
  const common::Instant start = world.clock().now();
  world.run_for(20ms);
  EXPECT_EQ(fired, 1);
  EXPECT_EQ(world.clock().now() - start, 20ms);
  loop.stop();
  world.run();
  EXPECT_EQ(fired, 1);
}

}  // namespace
}  // namespace millrace::env
