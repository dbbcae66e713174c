// Who is taken to be alive, and what is told of it.
#include "broker/cluster/liveness.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "common/random.h"

namespace millrace::cluster {
namespace {

using common::Uuid;
using model::BrokerId;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using namespace std::chrono_literals;

constexpr BrokerId kTwo{2};

Uuid uuid(std::uint8_t number) {
  Uuid uuid;
  uuid.bytes[0] = number;
  return uuid;
}

std::string text(const Transition& transition) {
  constexpr std::string_view kNames[] = {"suspect", "alive", "restarted"};
  return fmt::format("{} {} {}/{}", kNames[static_cast<int>(transition.sign)], transition.node,
                     transition.directory.bytes[0], transition.incarnation.bytes[0]);
}

class LivenessTest : public ::testing::Test {
 protected:
  LivenessTest() { CHECK(liveness.watch(kTwo, now)); }

  std::vector<std::string> told() {
    std::vector<std::string> lines;
    for (const Transition& transition : liveness.take()) lines.push_back(text(transition));
    return lines;
  }
  /// Time passes as it does where the process runs: with a tick at least every heartbeat.
  void pass(Duration span) {
    const Instant end = now + span;
    while (now < end) {
      now = std::min(end, now + settings.heartbeat);
      liveness.tick(now);
    }
  }
  Doubt meet(std::uint8_t directory, std::uint8_t incarnation,
             Approach approach = Approach::kItCame) {
    return liveness.meet(kTwo, uuid(directory), uuid(incarnation), approach, now);
  }
  bool beat(std::uint8_t incarnation) {
    return liveness.heard(kTwo, uuid(incarnation), BrokerState{.recovered = true}, now);
  }

  Settings settings;
  Liveness liveness{settings};
  Instant now{1h};
};

TEST_F(LivenessTest, HeartbeatsKeepABrokerAlive) {
  EXPECT_EQ(meet(1, 11), Doubt::kNone);
  EXPECT_THAT(told(), ElementsAre("alive 2 1/11"));
  for (int i = 0; i < 100; ++i) {
    pass(150ms);
    EXPECT_TRUE(beat(11));
  }
  EXPECT_THAT(told(), IsEmpty());
  EXPECT_TRUE(liveness.health(kTwo, now)->state.recovered);
  EXPECT_EQ(liveness.late(), 0U);
}

TEST_F(LivenessTest, SilenceIsSuspectedOnceAfterTheTimeout) {
  meet(1, 11);
  told();
  pass(999ms);
  EXPECT_THAT(told(), IsEmpty());
  pass(1ms);
  EXPECT_THAT(told(), ElementsAre("suspect 2 1/11"));
  pass(1h);
  EXPECT_THAT(told(), IsEmpty());
  EXPECT_FALSE(liveness.alive(kTwo));
  EXPECT_EQ(liveness.health(kTwo, now)->silence, 1h + 1s);
  EXPECT_TRUE(beat(11));
  EXPECT_THAT(told(), ElementsAre("alive 2 1/11"));
}

TEST_F(LivenessTest, ABrokerThatNeverCameIsSuspectedToo) {
  pass(1s);
  EXPECT_THAT(told(), ElementsAre("suspect 2 0/0"));
  meet(1, 11);
  EXPECT_THAT(told(), ElementsAre("alive 2 1/11"));
}

TEST_F(LivenessTest, TheDeadlineIsWhenTheTickIsDue) {
  EXPECT_EQ(liveness.next_deadline(), now + 1s);
  pass(400ms);
  meet(1, 11);
  EXPECT_EQ(liveness.next_deadline(), now + 1s);
  pass(1s);
  EXPECT_EQ(liveness.next_deadline(), std::nullopt);
}

TEST_F(LivenessTest, LateHeartbeatsAreCounted) {
  meet(1, 11);
  pass(300ms);
  beat(11);
  EXPECT_EQ(liveness.late(), 0U);
  pass(301ms);
  beat(11);
  EXPECT_EQ(liveness.late(), 1U);
}

// The process is gone: its connection broke, and its host says that nobody listens.
TEST_F(LivenessTest, ARefusedConnectionIsSuspectedAtOnce) {
  meet(1, 11);
  liveness.attached(kTwo, uuid(11));
  told();
  liveness.connection_refused(kTwo);
  EXPECT_THAT(told(), IsEmpty()) << "its own connection is still there";
  liveness.detached(kTwo, uuid(11));
  EXPECT_THAT(told(), ElementsAre("suspect 2 1/11"));
}

TEST_F(LivenessTest, TheOrderOfTheTwoSignsDoesNotMatter) {
  meet(1, 11);
  liveness.attached(kTwo, uuid(11));
  told();
  liveness.detached(kTwo, uuid(11));
  EXPECT_THAT(told(), IsEmpty());
  liveness.connection_refused(kTwo);
  EXPECT_THAT(told(), ElementsAre("suspect 2 1/11"));
  liveness.connection_refused(kTwo);
  EXPECT_THAT(told(), IsEmpty());
}

// A refusal from before it was met says nothing about now.
TEST_F(LivenessTest, AnOldRefusalIsForgotten) {
  liveness.connection_refused(kTwo);
  EXPECT_THAT(told(), ElementsAre("suspect 2 0/0"));
  meet(1, 11);
  liveness.attached(kTwo, uuid(11));
  liveness.detached(kTwo, uuid(11));
  EXPECT_THAT(told(), ElementsAre("alive 2 1/11"));
}

TEST_F(LivenessTest, ANewProcessIsToldAsSuch) {
  meet(1, 11);
  told();
  EXPECT_EQ(meet(1, 12), Doubt::kNone);
  EXPECT_THAT(told(), ElementsAre("restarted 2 1/12"));
  pass(1s);
  EXPECT_EQ(meet(1, 13), Doubt::kNone);
  EXPECT_THAT(told(), ElementsAre("suspect 2 1/12", "restarted 2 1/13", "alive 2 1/13"));
}

// A broker that we reach and that cannot reach us is of no use: it would be alive and suspected by
// turns.
TEST_F(LivenessTest, WhoMustBeVisitedIsNotAlive) {
  EXPECT_EQ(meet(1, 11, Approach::kWeWent), Doubt::kNone);
  EXPECT_THAT(told(), IsEmpty());
  pass(1s);
  EXPECT_THAT(told(), ElementsAre("suspect 2 1/11"));
  EXPECT_EQ(meet(1, 11, Approach::kWeWent), Doubt::kNone);
  EXPECT_EQ(meet(1, 12, Approach::kWeWent), Doubt::kNone);
  EXPECT_THAT(told(), ElementsAre("restarted 2 1/12"));
  EXPECT_EQ(meet(1, 12), Doubt::kNone);
  EXPECT_THAT(told(), ElementsAre("alive 2 1/12"));
}

TEST_F(LivenessTest, TheOldProcessIsHeardNoMore) {
  meet(1, 11);
  meet(1, 12);
  told();
  EXPECT_FALSE(beat(11));
  EXPECT_EQ(meet(1, 11), Doubt::kReplaced);
  liveness.detached(kTwo, uuid(11));
  liveness.goodbye(kTwo, uuid(11));
  EXPECT_THAT(told(), IsEmpty());
  EXPECT_TRUE(liveness.alive(kTwo));
}

TEST_F(LivenessTest, TwoDirectoriesCannotBeOneBroker) {
  meet(1, 11);
  told();
  EXPECT_EQ(meet(9, 12), Doubt::kOtherDirectory);
  EXPECT_EQ(meet(9, 11), Doubt::kOtherDirectory);
  EXPECT_THAT(told(), IsEmpty());
  // The first one is gone: it came back with a new disk.
  pass(1s);
  EXPECT_EQ(meet(9, 12), Doubt::kNone);
  EXPECT_THAT(told(), ElementsAre("suspect 2 1/11", "restarted 2 9/12", "alive 2 9/12"));
}

TEST_F(LivenessTest, AfterItsGoodbyeAProcessIsGone) {
  meet(1, 11);
  told();
  liveness.goodbye(kTwo, uuid(11));
  EXPECT_THAT(told(), ElementsAre("suspect 2 1/11"));
  EXPECT_FALSE(beat(11));
  EXPECT_EQ(meet(1, 11), Doubt::kLeft);
  EXPECT_EQ(meet(1, 12), Doubt::kNone);
  EXPECT_THAT(told(), ElementsAre("restarted 2 1/12", "alive 2 1/12"));
}

// This process was stopped for a while: the others were not silent, it was deaf.
TEST_F(LivenessTest, OwnPausesAreNotTheOthersSilence) {
  meet(1, 11);
  told();
  pass(150ms);
  now += 10min;
  liveness.tick(now);
  EXPECT_THAT(told(), IsEmpty());
  EXPECT_TRUE(beat(11));
  pass(500ms);
  // A broker that was silent before and is silent after is noticed in the end.
  now += 10min;
  liveness.tick(now);
  EXPECT_THAT(told(), IsEmpty());
  pass(350ms);
  EXPECT_THAT(told(), ElementsAre("suspect 2 1/11"));
}

TEST_F(LivenessTest, WhoIsForgottenIsSuspectedFirst) {
  meet(1, 11);
  told();
  liveness.forget(kTwo);
  EXPECT_THAT(told(), ElementsAre("suspect 2 1/11"));
  EXPECT_EQ(meet(1, 11), Doubt::kUnknown);
  EXPECT_FALSE(beat(11));
  EXPECT_EQ(liveness.health(kTwo, now), std::nullopt);
}

// What a leader over there relies on is over when this broker may vote for another, and no word
// from before that is taken for one from after it.
TEST_F(LivenessTest, EachTimeOfBeingAliveHasItsNumber) {
  const auto reliance = [this](std::uint8_t incarnation) {
    return liveness.reliance(kTwo, uuid(incarnation));
  };
  std::set<raft::Trust> seen{raft::Trust::kNone};
  const auto is_new = [&seen](raft::Trust trust) { return seen.insert(trust).second; };
  EXPECT_EQ(reliance(11), Reliance{});
  meet(1, 11);
  EXPECT_EQ(liveness.take().front().trust, reliance(11).trust);
  EXPECT_TRUE(is_new(reliance(11).trust));
  EXPECT_EQ(reliance(11).heard, 0U);
  beat(11);
  liveness.note_sent(kTwo, 500);
  EXPECT_EQ(reliance(11).heard, 500U);
  EXPECT_FALSE(is_new(reliance(11).trust));
  pass(1s);
  EXPECT_EQ(liveness.take().front().trust, raft::Trust::kNone);
  EXPECT_EQ(reliance(11).trust, raft::Trust::kNone);
  beat(11);
  EXPECT_TRUE(is_new(reliance(11).trust));
  // Of what a process has sent the next one knows nothing.
  meet(1, 12);
  EXPECT_EQ(reliance(11), Reliance{});
  EXPECT_TRUE(is_new(reliance(12).trust));
  EXPECT_EQ(reliance(12).heard, 0U);
  // Nor is a number used again for one that was forgotten meanwhile.
  liveness.forget(kTwo);
  liveness.watch(kTwo, now);
  meet(1, 12);
  EXPECT_TRUE(is_new(reliance(12).trust));
}

TEST_F(LivenessTest, ThereIsABound) {
  settings.peers_max = 3;
  EXPECT_TRUE(liveness.watch(BrokerId{3}, now));
  EXPECT_TRUE(liveness.watch(BrokerId{4}, now));
  EXPECT_FALSE(liveness.watch(BrokerId{5}, now));
  EXPECT_TRUE(liveness.watch(BrokerId{4}, now));
  liveness.forget(BrokerId{3});
  EXPECT_TRUE(liveness.watch(BrokerId{5}, now));
}

/// Holds what is told of one broker against liveness.h.
class Listener {
 public:
  void hear(const Transition& transition) {
    const bool same = current_.is_zero() || current_ == transition.incarnation;
    switch (transition.sign) {
      case Sign::kSuspect:
        ASSERT_TRUE(!suspected && same);
        alive = false;
        suspected = true;
        break;
      case Sign::kAlive:
        ASSERT_TRUE(!alive && same);
        alive = true;
        suspected = false;
        break;
      case Sign::kRestarted:
        ASSERT_FALSE(same);
        break;
    }
    current_ = transition.incarnation;
  }
  bool alive = false;
  bool suspected = false;

 private:
  Uuid current_;
};

/// Something random happens with broker 2.
void happen(Liveness& liveness, common::Random& random, Instant& now) {
  const Uuid directory = uuid(static_cast<std::uint8_t>(random.between(1, 2)));
  const Uuid incarnation = uuid(static_cast<std::uint8_t>(random.between(1, 6)));
  switch (random.below(8)) {
    case 0:
      liveness.meet(kTwo, directory, incarnation,
                    random.chance(1, 2) ? Approach::kItCame : Approach::kWeWent, now);
      break;
    case 1:
      liveness.heard(kTwo, incarnation, now);
      break;
    case 2:
      liveness.heard(kTwo, incarnation, BrokerState{}, now);
      break;
    case 3:
      liveness.attached(kTwo, incarnation);
      break;
    case 4:
      liveness.detached(kTwo, incarnation);
      break;
    case 5:
      liveness.connection_refused(kTwo);
      break;
    case 6:
      if (random.chance(1, 4)) liveness.goodbye(kTwo, incarnation);
      break;
    default:
      now += Duration{random.between(0, 400'000'000)};
      liveness.tick(now);
  }
}

// Goal: whatever happens, what is told makes sense, and silence alone ends in suspicion. Method:
// random inputs about one broker, with processes that come back after they were replaced.
TEST(Liveness, WhatIsToldMakesSense) {
  for (std::uint64_t seed = 1; seed <= 500; ++seed) {
    SCOPED_TRACE(seed);
    common::Random random(seed);
    const Settings settings;
    Liveness liveness(settings);
    Instant now{1h};
    ASSERT_TRUE(liveness.watch(kTwo, now));
    Listener listener;
    for (int step = 0; step < 310; ++step) {
      if (step < 300) {
        happen(liveness, random, now);
      } else {
        now += 150ms;
        liveness.tick(now);
      }
      for (const Transition& transition : liveness.take()) listener.hear(transition);
      ASSERT_EQ(liveness.alive(kTwo), listener.alive);
      if (HasFailure()) return;
    }
    EXPECT_TRUE(listener.suspected);
  }
}

}  // namespace
}  // namespace millrace::cluster
