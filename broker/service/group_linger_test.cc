// Goal: records of groups wait for others where that brings others, and only there.
#include "broker/service/group_linger.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>

#include "common/clock.h"

namespace millrace::service {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr common::Duration kNone{};

/// What a shard does: it asks when the first records of a batch come, when the time it was told is
/// over, and at once when more come.
class Shore {
 public:
  GroupLinger linger;

  /// Records come. Answers how long their batch waits from now on, if nobody else comes.
  common::Duration come() {
    linger.came(now_);
    ++came_;
    waiting_ = true;
    return ask();
  }
  void pass(common::Duration time) {
    const common::Instant end = now_ + time;
    while (waiting_ && due_ <= end) {
      now_ = due_;
      ask();
    }
    now_ = end;
  }
  /// At even distances, whether answered or not.
  void come_every(common::Duration distance, int times) {
    for (int i = 0; i < times; ++i) {
      come();
      pass(distance);
    }
  }
  /// Until the batch that waits is gone.
  common::Duration wait_until_gone() {
    const common::Instant begin = now_;
    while (waiting_) pass(due_ - now_);
    return now_ - begin;
  }
  /// So many clients come again, one shortly after the other, so long after their batch went.
  /// Answers the longest time that a batch waited.
  common::Duration bunches(int clients, common::Duration answer, int times) {
    common::Duration longest{};
    for (int i = 0; i < times; ++i) {
      for (int client = 0; client < clients; ++client) {
        come();
        pass(microseconds(20));
      }
      longest = std::max(longest, wait_until_gone());
      pass(answer);
    }
    return longest;
  }
  /// One client: comes again so long after its batch went.
  int waits_of_one_client(common::Duration answer, int times) {
    int waits = 0;
    for (int i = 0; i < times; ++i) {
      waits += come() > kNone ? 1 : 0;
      wait_until_gone();
      pass(answer);
    }
    return waits;
  }
  double per_batch() const { return static_cast<double>(came_) / batches_; }
  void forget_counts() { came_ = batches_ = 0; }

 private:
  common::Duration ask() {
    const common::Duration left = linger.wait(now_);
    due_ = now_ + left;
    if (left > kNone) return left;
    waiting_ = false;
    ++batches_;
    linger.went(now_);
    return left;
  }

  common::Instant now_{seconds(100)};
  bool waiting_ = false;
  common::Instant due_{};
  int came_ = 0;
  int batches_ = 0;
};

TEST(GroupLinger, WhatComesSeldomNeverWaits) {
  Shore shore;
  shore.come_every(milliseconds(1), 500);
  EXPECT_EQ(shore.per_batch(), 1);
}

TEST(GroupLinger, WhatComesOftenGoesTogether) {
  Shore shore;
  shore.come_every(microseconds(200), 200);
  shore.forget_counts();
  shore.come_every(microseconds(200), 1000);
  EXPECT_NEAR(shore.per_batch(), 16, 0.5) << "enough for one write";
  shore.come_every(microseconds(400), 200);
  shore.forget_counts();
  shore.come_every(microseconds(400), 1000);
  EXPECT_GE(shore.per_batch(), 10) << "four milliseconds at most";
  EXPECT_LE(shore.per_batch(), 11);
  shore.pass(seconds(1));
  EXPECT_EQ(shore.come(), kNone) << "the first after a pause is alone";
}

TEST(GroupLinger, ABunchOfClientsWaitsForItselfOnly) {
  for (const int clients : {4, 8, 15}) {
    Shore shore;
    shore.bunches(clients, microseconds(300), 50);
    EXPECT_LE(shore.bunches(clients, microseconds(300), 500), milliseconds(2)) << clients;
    EXPECT_GT(shore.per_batch(), clients / 2.0) << clients;
  }
}

TEST(GroupLinger, OneClientThatNobodyJoinsIsNotKeptWaiting) {
  Shore shore;
  const int in_a_second = 3000;
  EXPECT_EQ(shore.waits_of_one_client(microseconds(300), in_a_second), 8);
  const int later = shore.waits_of_one_client(microseconds(300), in_a_second);
  EXPECT_GE(later, 8) << "it is tried again";
  EXPECT_LE(later, 16);
}

TEST(GroupLinger, ATimeThatWasSetHolds) {
  Shore shore;
  shore.linger.set(5);
  EXPECT_EQ(shore.come(), milliseconds(5));
  shore.pass(milliseconds(10));
  shore.linger.set(0);
  shore.come_every(microseconds(100), 500);
  EXPECT_EQ(shore.come(), kNone);
}

}  // namespace
}  // namespace millrace::service
