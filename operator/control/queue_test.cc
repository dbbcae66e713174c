// What is looked at when: the pure queue by hand-driven time, the real one by threads.
#include "operator/control/queue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

namespace millrace::control {
namespace {

using common::Duration;
using common::Instant;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr Ending kSettled{Ending::Kind::kSettled};
constexpr Ending kAgain{Ending::Kind::kAgain};
constexpr Ending kFailed{Ending::Kind::kFailed};

Key cluster(const std::string& name) {
  return {Work::kCluster, {"shop", name}};
}

class QueueTime : public ::testing::Test {
 protected:
  Instant at(Duration since) const { return Instant{seconds(1) + since}; }
  QueueState queue{{.spacing = milliseconds(50),
                    .backoff_first = milliseconds(100),
                    .backoff_most = milliseconds(400)}};
};

TEST_F(QueueTime, AKeyIsAtOneWorkerAndComesAgainIfSomethingChangedMeanwhile) {
  queue.add(cluster("a"), at(milliseconds(0)));
  queue.add(cluster("a"), at(milliseconds(0)));
  EXPECT_EQ(queue.depth(at(milliseconds(0))), 1u);
  EXPECT_EQ(queue.take(at(milliseconds(0))), cluster("a"));
  queue.add(cluster("a"), at(milliseconds(1)));
  EXPECT_EQ(queue.take(at(seconds(9))), std::nullopt) << "it works already";
  queue.done(cluster("a"), kSettled, at(seconds(10)));
  EXPECT_EQ(queue.take(at(seconds(10))), std::nullopt) << "spacing";
  EXPECT_EQ(queue.next(), at(seconds(10) + milliseconds(50)));
  EXPECT_EQ(queue.take(at(seconds(10) + milliseconds(50))), cluster("a"));
  queue.done(cluster("a"), kSettled, at(seconds(11)));
  EXPECT_EQ(queue.next(), std::nullopt);
}

TEST_F(QueueTime, ABurstAfterALookCostsOneMoreLook) {
  queue.add(cluster("a"), at(milliseconds(0)));
  queue.take(at(milliseconds(0)));
  queue.done(cluster("a"), kSettled, at(milliseconds(10)));
  for (int i = 11; i < 60; ++i) queue.add(cluster("a"), at(milliseconds(i)));
  EXPECT_EQ(queue.next(), at(milliseconds(60)));
  EXPECT_EQ(queue.take(at(milliseconds(60))), cluster("a"));
  queue.done(cluster("a"), kSettled, at(milliseconds(61)));
  EXPECT_EQ(queue.next(), std::nullopt);
}

TEST_F(QueueTime, FailuresWaitLongerEachTimeUpToAMost) {
  Duration now{0};
  std::vector<Duration> waits;
  queue.add(cluster("a"), at(now));
  for (int i = 0; i < 5; ++i) {
    ASSERT_EQ(queue.take(at(now)), cluster("a"));
    queue.done(cluster("a"), kFailed, at(now));
    waits.push_back(*queue.next() - at(now));
    now += waits.back();
  }
  EXPECT_THAT(waits, ::testing::ElementsAre(milliseconds(100), milliseconds(200), milliseconds(400),
                                            milliseconds(400), milliseconds(400)));
  EXPECT_EQ(queue.retries(), 5u);
  queue.take(at(now));
  queue.done(cluster("a"), kAgain, at(now));
  queue.take(at(now + milliseconds(50)));
  queue.done(cluster("a"), kFailed, at(now + milliseconds(50)));
  EXPECT_EQ(queue.next(), at(now + milliseconds(150))) << "a success begins anew";
}

// What somebody has just corrected must not wait for half a minute because it failed before.
TEST_F(QueueTime, AChangeDoesNotWaitForTheBackOff) {
  queue.add(cluster("a"), at(milliseconds(0)));
  for (int i = 0; i < 3; ++i) {
    queue.take(at(seconds(i)));
    queue.done(cluster("a"), kFailed, at(seconds(i)));
  }
  EXPECT_EQ(queue.next(), at(seconds(2) + milliseconds(400)));
  queue.add(cluster("a"), at(seconds(2) + milliseconds(60)));
  EXPECT_EQ(queue.take(at(seconds(2) + milliseconds(60))), cluster("a"));
}

TEST_F(QueueTime, OfSeveralTimesTheEarliestCounts) {
  queue.add(cluster("a"), at(milliseconds(0)));
  queue.take(at(milliseconds(0)));
  queue.done(cluster("a"), {Ending::Kind::kSettled, seconds(30)}, at(milliseconds(0)));
  EXPECT_EQ(queue.next(), at(seconds(30)));
  queue.add(cluster("a"), at(seconds(5)));
  EXPECT_EQ(queue.next(), at(seconds(5)));
  queue.take(at(seconds(5)));
  queue.done(cluster("a"), {Ending::Kind::kFailed, milliseconds(70)}, at(seconds(5)));
  EXPECT_EQ(queue.next(), at(seconds(5) + milliseconds(70)));
}

TEST_F(QueueTime, WhoWaitsLongestComesFirst) {
  queue.add(cluster("b"), at(milliseconds(0)));
  queue.add(cluster("a"), at(milliseconds(1)));
  EXPECT_EQ(queue.depth(at(milliseconds(1))), 2u);
  EXPECT_EQ(queue.oldest(at(milliseconds(5))), milliseconds(5));
  EXPECT_EQ(queue.take(at(milliseconds(5))), cluster("b"));
  EXPECT_EQ(queue.oldest(at(milliseconds(5))), milliseconds(4));
  EXPECT_EQ(queue.take(at(milliseconds(5))), cluster("a"));
}

// Goal: no key is lost, and none is at two workers. Method: four workers, keys added all the time.
TEST(QueueThreads, EveryChangeIsLookedAtByOneWorkerAtATime) {
  common::SystemClock clock;
  Queue queue(clock, {.spacing = Duration(0)});
  constexpr int kKeys = 5;
  constexpr int kChanges = 2000;
  std::array<std::atomic<int>, kKeys> wanted{};
  std::array<std::atomic<int>, kKeys> seen{};
  std::array<std::atomic<bool>, kKeys> busy{};
  std::atomic<bool> twice = false;
  {
    std::vector<std::jthread> workers;
    for (int w = 0; w < 4; ++w) {
      workers.emplace_back([&](const std::stop_token& stop) {
        while (const auto key = queue.take(stop)) {
          const auto index = static_cast<std::size_t>(key->cluster.name[0] - '0');
          if (busy[index].exchange(true)) twice = true;
          seen[index] = wanted[index].load();
          busy[index] = false;
          queue.done(*key, kSettled);
        }
      });
    }
    for (int i = 0; i < kChanges; ++i) {
      const auto index = static_cast<std::size_t>(i % kKeys);
      ++wanted[index];
      queue.add(cluster(std::string(1, static_cast<char>('0' + index))));
    }
    const Instant deadline = clock.now() + seconds(20);
    for (std::size_t i = 0; i < kKeys; ++i) {
      while (seen[i] != wanted[i] && clock.now() < deadline) std::this_thread::yield();
      EXPECT_EQ(seen[i], wanted[i]);
    }
  }
  EXPECT_FALSE(twice);
}

TEST(QueueThreads, StopEndsTheWait) {
  common::SystemClock clock;
  Queue queue(clock);
  std::jthread worker(
      [&](const std::stop_token& stop) { EXPECT_EQ(queue.take(stop), std::nullopt); });
  worker.request_stop();
  worker.join();
}

}  // namespace
}  // namespace millrace::control
