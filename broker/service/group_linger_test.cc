// Goal: records of groups wait for others where that brings others, and only there.
#include "broker/service/group_linger.h"

#include <gtest/gtest.h>

#include <chrono>

#include "common/clock.h"

namespace millrace::service {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr common::Duration kNone{};

/// What a shard does: the first records of a batch ask how long, the batch goes when that is over.
class Shore {
 public:
  GroupLinger linger;

  /// Records come. Answers how long their batch waits from now on.
  common::Duration come() {
    send_if_due();
    linger.came(now_);
    ++came_;
    if (!waiting_) {
      waiting_ = true;
      due_ = now_ + linger.wait(now_);
    }
    const common::Duration left = due_ - now_;
    send_if_due();
    return left;
  }
  void pass(common::Duration time) {
    const common::Instant end = now_ + time;
    if (waiting_ && due_ <= end) {
      now_ = due_;
      send_if_due();
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
  /// One client: comes again so long after its batch went.
  int waits_of_one_client(common::Duration answer, int times) {
    int waits = 0;
    for (int i = 0; i < times; ++i) {
      const common::Duration wait = come();
      waits += wait > kNone ? 1 : 0;
      pass(wait);
      pass(answer);
    }
    return waits;
  }
  double per_batch() const { return static_cast<double>(came_) / batches_; }
  void forget_counts() { came_ = batches_ = 0; }

 private:
  void send_if_due() {
    if (!waiting_ || due_ > now_) return;
    waiting_ = false;
    ++batches_;
    linger.went(now_);
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
  EXPECT_GE(shore.per_batch(), 3);
  shore.pass(seconds(1));
  EXPECT_EQ(shore.come(), kNone) << "the first after a pause is alone";
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
