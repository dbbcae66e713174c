#include "broker/replica/catch_up.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "broker/env/testing/sim_world.h"

namespace millrace::replica {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;

class CatchUpTest : public testing::Test {
 protected:
  void make(CatchUpLimits limits) { catch_up_ = std::make_unique<CatchUp>(loop_, limits); }
  /// One that writes its number down when it begins.
  void enter(int number) {
    catch_up_->enter([this, number] { begun_.push_back(number); });
  }
  void run(common::Duration time) { world_.run_for(time); }

  env::testing::SimWorld world_{1};
  env::Loop& loop_ = world_.make_loop();
  std::vector<int> begun_;
  std::unique_ptr<CatchUp> catch_up_;
};

// Goal: so many at once, in the order in which they came. Method: two may read, four come.
TEST_F(CatchUpTest, ReadsSoManyAtOnceInOrder) {
  make({.reads_max = 2});
  for (int i = 1; i <= 4; ++i) enter(i);
  EXPECT_THAT(begun_, ElementsAre(1, 2));
  EXPECT_EQ(catch_up_->waiting(), 2U);
  catch_up_->leave(1 << 30);
  EXPECT_THAT(begun_, ElementsAre(1, 2, 3));
  catch_up_->leave(0);
  EXPECT_THAT(begun_, ElementsAre(1, 2, 3, 4));
  EXPECT_EQ(catch_up_->bytes(), std::uint64_t{1} << 30);
}

// Goal: over a while no more than the limit is read, and not much less. Method: reads of 1 MB as
// soon as they may, at 10 MB/s, for ten seconds.
TEST_F(CatchUpTest, KeepsToTheRate) {
  make({.reads_max = 2, .bytes_per_second = 10'000'000});
  struct Reader {
    CatchUp& catch_up;
    void go_on() {
      catch_up.enter([this] {
        catch_up.leave(1'000'000);
        go_on();
      });
    }
  };
  Reader reader{*catch_up_};
  loop_.post([&] { reader.go_on(); });
  run(10s);
  EXPECT_GE(catch_up_->bytes(), 98'000'000U);
  EXPECT_LE(catch_up_->bytes(), 103'000'000U);
}

// Goal: a rest does not let much through at once. Method: nothing for a minute, then many small
// ones.
TEST_F(CatchUpTest, ARestIsNotSavedUp) {
  make({.reads_max = 1, .bytes_per_second = 1'000'000});
  run(60s);
  loop_.post([&] {
    for (int i = 0; i < 100; ++i) {
      catch_up_->enter([this] {
        begun_.push_back(1);
        catch_up_->leave(10'000);
      });
    }
  });
  run(1ms);
  // 100 ms of them, which are 100 KB.
  EXPECT_GE(begun_.size(), 9U);
  EXPECT_LE(begun_.size(), 12U);
}

// Goal: a higher limit holds at once, also for those who wait. Method: a large read at a low one.
TEST_F(CatchUpTest, TakesANewLimitAtOnce) {
  make({.reads_max = 1, .bytes_per_second = 1000});
  enter(1);
  catch_up_->leave(1'000'000);
  enter(2);
  EXPECT_THAT(begun_, ElementsAre(1));
  catch_up_->set_limits({.reads_max = 1});
  EXPECT_THAT(begun_, ElementsAre(1, 2));
}

// Goal: limits that change all the time are kept to on the whole. Method: a read of 100 s, 50 s of
// which are over when the limit becomes ten times as high.
TEST_F(CatchUpTest, PaysWhatIsLeftAtTheNewRate) {
  make({.reads_max = 1, .bytes_per_second = 1000});
  enter(1);
  catch_up_->leave(100'000);
  enter(2);
  run(50s);
  catch_up_->set_limits({.reads_max = 1, .bytes_per_second = 10'000});
  run(4800ms);
  EXPECT_THAT(begun_, ElementsAre(1));
  run(200ms);
  EXPECT_THAT(begun_, ElementsAre(1, 2));
}

}  // namespace
}  // namespace millrace::replica
