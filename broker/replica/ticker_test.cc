#include "broker/replica/ticker.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>

#include "broker/env/testing/sim_world.h"
#include "common/random.h"

namespace millrace::replica {
namespace {

using common::Duration;
using common::Instant;
using env::testing::SimWorld;
using std::chrono::milliseconds;
using ::testing::ElementsAre;

class Client final : public Ticker::Client {
 public:
  explicit Client(
      common::Function<void(Instant)> ticked,
      common::Function<void()> ended = [] { FAIL() << "nobody asked for that"; })
      : ticked_(std::move(ticked)), ended_(std::move(ended)) {}
  void tick(Instant now) override { ticked_(now); }
  void turn_ended() override { ended_(); }

 private:
  common::Function<void(Instant)> ticked_;
  common::Function<void()> ended_;
};

class TickerTest : public ::testing::Test {
 protected:
  Instant at(int ms) const { return Instant{milliseconds(ms)}; }
  Client client(int name) {
    return Client([this, name](Instant now) {
      heard_.emplace_back(name, static_cast<int>(now.time_since_epoch() / milliseconds(1)));
    });
  }

  SimWorld world_{5};
  Ticker ticker_{world_.make_loop()};
  std::vector<std::pair<int, int>> heard_;
};

TEST_F(TickerTest, CallsEachOnceInOrder) {
  Client a = client(1);
  Client b = client(2);
  Client c = client(3);
  ticker_.wake(a, at(30));
  ticker_.wake(b, at(10));
  ticker_.wake(c, at(30));
  world_.run();
  EXPECT_THAT(heard_, ElementsAre(std::pair(2, 10), std::pair(1, 30), std::pair(3, 30)));
  EXPECT_EQ(ticker_.size(), 0u);
}

// Goal: moving a deadline back costs nothing and loses nothing; forward counts at once.
TEST_F(TickerTest, TheEarliestThatWasAskedForCounts) {
  Client a = client(1);
  ticker_.wake(a, at(50));
  ticker_.wake(a, at(80));
  ticker_.wake(a, Instant::max());
  ticker_.wake(a, at(20));
  world_.run();
  EXPECT_THAT(heard_, ElementsAre(std::pair(1, 20)));
}

TEST_F(TickerTest, WhoIsForgottenIsNotCalled) {
  Client a = client(1);
  Client b = client(2);
  ticker_.wake(a, at(10));
  ticker_.wake(b, at(20));
  ticker_.forget(a);
  ticker_.forget(a);
  world_.run();
  EXPECT_THAT(heard_, ElementsAre(std::pair(2, 20)));
  Client never([&](Instant) { FAIL(); });
  ticker_.wake(never, Instant::max());
  EXPECT_EQ(ticker_.size(), 0u);
}

// Goal: who is called may ask again, and end others. Method: a chain that wakes itself, and one
// that takes another one's place away.
TEST_F(TickerTest, CallsMayComeOutOfACall) {
  Client b = client(2);
  int left = 3;
  Client a([&](Instant now) {
    heard_.emplace_back(1, static_cast<int>(now.time_since_epoch() / milliseconds(1)));
    if (left == 3) ticker_.forget(b);
    if (--left > 0) ticker_.wake(a, now + milliseconds(5));
  });
  ticker_.wake(a, at(10));
  ticker_.wake(b, at(10));
  world_.run();
  EXPECT_THAT(heard_, ElementsAre(std::pair(1, 10), std::pair(1, 15), std::pair(1, 20)));
}

// Goal: what is put off comes once, behind what the loop has to do already; who asks again comes in
// the next turn; who is forgotten not at all. Method: three that ask twice, with tasks between.
TEST_F(TickerTest, PutsOffUntilTheTurnEnds) {
  env::Loop& loop = world_.make_loop();
  Ticker ticker(loop);
  std::vector<std::string> heard;
  const auto none = [](Instant) {};
  Client c(none, [&] { heard.emplace_back("c"); });
  Client b(none, [&] { heard.emplace_back("b"); });
  int left = 2;
  Client a(none, [&] {
    heard.emplace_back("a");
    ticker.forget(b);
    if (--left > 0) ticker.call_soon(a);
  });
  loop.post([&] {
    for (Client* const client : {&a, &b, &c, &a, &b}) ticker.call_soon(*client);
    loop.post([&] { heard.emplace_back("later"); });
  });
  loop.post([&] { heard.emplace_back("task"); });
  world_.run();
  EXPECT_THAT(heard, ElementsAre("task", "a", "c", "later", "a"));
}

// Goal: the heap keeps its order whatever is asked. Method: random calls beside a map of what must
// be heard when.
TEST_F(TickerTest, KeepsItsOrder) {
  common::Random random(9);
  std::map<int, int> due;  // by client
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 400; ++i) {
    clients.push_back(std::make_unique<Client>([&, i](Instant now) {
      ASSERT_TRUE(due.contains(i));
      EXPECT_EQ(now, at(due[i]));
      due.erase(i);
    }));
  }
  for (int round = 0; round < 50; ++round) {
    const int now = static_cast<int>(world_.clock().now().time_since_epoch() / milliseconds(1));
    for (int i = 0; i < 200; ++i) {
      const int name = static_cast<int>(random.below(clients.size()));
      if (random.chance(1, 4)) {
        ticker_.forget(*clients[static_cast<std::size_t>(name)]);
        due.erase(name);
        continue;
      }
      const int when = now + static_cast<int>(random.below(300));
      ticker_.wake(*clients[static_cast<std::size_t>(name)], at(when));
      due[name] = due.contains(name) ? std::min(due[name], when) : when;
    }
    EXPECT_EQ(ticker_.size(), due.size());
    world_.run_for(milliseconds(40));
  }
  world_.run();
  EXPECT_TRUE(due.empty());
}

}  // namespace
}  // namespace millrace::replica
