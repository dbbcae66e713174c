#include "broker/metadata/proposal.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "broker/metadata/proposer.h"
#include "broker/model/record.h"

namespace millrace::metadata {
namespace {

using common::Instant;
using model::BrokerId;
using model::ErrorCode;
using model::Offset;
using std::chrono::milliseconds;
using Act = Proposer::Act;

constexpr Instant kStart{std::chrono::seconds(1)};

common::Uuid id_of(std::int32_t number) {
  common::Uuid id;
  id.bytes[0] = 5;
  for (std::size_t i = 0; i < 4; ++i)
    id.bytes[15 - i] = static_cast<std::uint8_t>(number >> (8 * i));
  return id;
}

common::Bytes batch_of(std::int32_t number) {
  const std::vector<Record> records{ProducerIdsAllocated{model::ProducerId{number}}};
  return to_batch(records, common::Timestamp{1}, id_of(number));
}

Proposal proposal(std::int32_t from, std::int64_t base, std::int32_t number) {
  return {BrokerId{from}, Offset{base}, batch_of(number)};
}

// ---- The leader's side.

TEST(ProposalGate, TakesWhatWasDecidedOnTheNewest) {
  ProposalGate gate(milliseconds(100));
  const LogPosition log{Offset{10}, kStart};
  EXPECT_EQ(gate.judge(proposal(1, 10, 1), log), Verdict::kYes);
  EXPECT_EQ(gate.judge(proposal(1, 9, 1), log), Verdict::kStale);
  EXPECT_EQ(gate.judge(proposal(1, 11, 1), log), Verdict::kNotLeader);
  EXPECT_EQ(gate.judge({BrokerId{2}, Offset{10}, {}}, log), Verdict::kYes) << "a question";
  EXPECT_EQ(gate.judge({BrokerId{2}, Offset{9}, {}}, log), Verdict::kStale);
}

// Goal: who was too late gets its turn, in order, and for no longer than a while.
TEST(ProposalGate, EverybodyGetsATurn) {
  ProposalGate gate(milliseconds(100));
  LogPosition log{Offset{10}, kStart};
  EXPECT_EQ(gate.judge(proposal(2, 5, 1), log), Verdict::kStale);
  EXPECT_EQ(gate.judge(proposal(3, 5, 1), log), Verdict::kStale);
  EXPECT_EQ(gate.judge(proposal(1, 10, 1), log), Verdict::kBusy) << "2 waits";
  EXPECT_EQ(gate.judge(proposal(3, 10, 1), log), Verdict::kBusy) << "2 came first";
  EXPECT_EQ(gate.judge(proposal(2, 10, 1), log), Verdict::kYes);
  log.end = Offset{11};
  EXPECT_EQ(gate.judge(proposal(1, 11, 1), log), Verdict::kBusy) << "3 waits";
  log.now += milliseconds(100);
  EXPECT_EQ(gate.judge(proposal(1, 11, 1), log), Verdict::kYes) << "3 let it go by";
  log.end = Offset{12};
  EXPECT_EQ(gate.judge(proposal(4, 12, 1), log), Verdict::kYes) << "nobody waits";
}

TEST(ProposalGate, NobodyAppendsWhileItIsShut) {
  ProposalGate gate(milliseconds(100));
  const LogPosition log{Offset{10}, kStart};
  gate.shut();
  EXPECT_EQ(gate.judge(proposal(1, 10, 1), log), Verdict::kBusy);
  EXPECT_EQ(gate.judge({BrokerId{1}, Offset{10}, {}}, log), Verdict::kYes);
  gate.open();
  EXPECT_EQ(gate.judge(proposal(2, 10, 1), log), Verdict::kBusy);
  EXPECT_EQ(gate.judge(proposal(1, 10, 1), log), Verdict::kYes);
  gate.shut();
  gate.clear();
  EXPECT_EQ(gate.judge(proposal(2, 10, 1), log), Verdict::kYes);
}

TEST(ProposalGate, ManyBrokersDoNotMakeALongQueue) {
  ProposalGate gate(milliseconds(100));
  LogPosition log{Offset{10}, kStart};
  for (std::int32_t id = 0; id < 1000; ++id) gate.judge(proposal(id, 5, 1), log);
  log.now += milliseconds(100) * static_cast<int>(kTurnsMax - 1);
  int turns = 0;
  for (; gate.judge(proposal(5000, 10, 1), log) == Verdict::kBusy; log.now += milliseconds(100))
    ++turns;
  EXPECT_LE(turns, static_cast<int>(kTurnsMax) + 1);
}

// ---- Bytes.

TEST(ProposalCodec, CarriesThemWhole) {
  Proposal out = proposal(3, 77, 5);
  out.term = model::Term{12};
  const auto in = read_proposal(encode(out));
  ASSERT_TRUE(in.ok());
  EXPECT_EQ(in->from, out.from);
  EXPECT_EQ(in->base, out.base);
  EXPECT_EQ(in->term, out.term);
  EXPECT_TRUE(std::ranges::equal(in->batch.view(), out.batch.view()));
  EXPECT_TRUE(check_batch(in->batch).ok());
  const auto answer =
      read_answer(encode({Verdict::kRefused, Offset{9}, ErrorCode::kNoSpace, "full"}));
  ASSERT_TRUE(answer.ok());
  EXPECT_EQ(answer->verdict, Verdict::kRefused);
  EXPECT_EQ(answer->newest, Offset{9});
  EXPECT_EQ(answer->error, ErrorCode::kNoSpace);
  EXPECT_EQ(answer->detail, "full");
}

// Goal: what is no batch of metadata does not get into the log, and any bytes are only refused.
TEST(ProposalCodec, ChecksBatches) {
  const std::vector<Record> records{BrokerGone{BrokerId{1}}};
  EXPECT_EQ(check_batch(to_batch(records, {})).error().detail, "the proposal has no id");
  const std::vector<Record> part{SnapshotPart{Offset{0}, 0, 1}};
  EXPECT_EQ(check_batch(to_batch(part, {}, id_of(1))).error().detail,
            "a snapshot is written by the leader alone");
  model::BatchBuilder builder;
  const common::Uuid id = id_of(1);
  const std::uint8_t newer[] = {0x08, 0x02, 0x1a, 0x00};
  builder.append({.timestamp = {}, .key = common::ByteView(id.bytes), .value = newer});
  EXPECT_EQ(check_batch(builder.build()).error().code, ErrorCode::kUnsupportedVersion);
  EXPECT_FALSE(check_batch({}).ok());
  common::Random random(3);
  int refused = 0;
  for (int i = 0; i < 3000; ++i) {
    const common::Bytes good = encode(proposal(3, 77, 5));
    std::vector<std::uint8_t> bytes(good.view().begin(), good.view().end());
    for (std::uint64_t n = 1 + random.below(4); n > 0; --n)
      bytes[random.below(bytes.size())] = static_cast<std::uint8_t>(random.next());
    const auto in = read_proposal(common::Bytes::copy_of(bytes));
    refused += !in.ok() || !check_batch(in->batch).ok() ? 1 : 0;
    (void)read_answer(bytes).ok();
  }
  EXPECT_GT(refused, 2000);
}

// ---- The asker's side.

struct Asker {
  explicit Asker() : proposer(settings, random, kStart) {}
  Act next(Instant at, std::int64_t applied) { return proposer.next(at, Offset{applied}).act; }
  void decide(std::int64_t base, std::int32_t number) {
    EXPECT_EQ(next(now, base), Act::kDecide);
    proposer.decided(Offset{base}, number == 0 ? common::Uuid{} : id_of(number));
  }
  std::uint64_t send(std::int64_t applied) {
    EXPECT_EQ(next(now, applied), Act::kSend);
    return proposer.sent();
  }
  void pass(common::Duration time) { now += time; }

  ProposerSettings settings;
  common::Random random{1};
  Instant now = kStart;
  Proposer proposer;
};

// Goal: a lost answer is found out in the log: its own batch there is success...
TEST(Proposer, FindsItsOwnInTheLog) {
  Asker asker;
  asker.decide(10, 1);
  const auto call = asker.send(10);
  asker.proposer.unanswered(call, {ErrorCode::kConnectionClosed, "gone"}, asker.now);
  EXPECT_EQ(asker.next(asker.now, 10), Act::kWait);
  asker.pass(milliseconds(25));
  const auto again = asker.send(10);
  asker.proposer.answered(again, {.verdict = Verdict::kStale, .newest = Offset{11}}, asker.now);
  EXPECT_EQ(asker.next(asker.now, 10), Act::kWait) << "what is newer may be itself";
  asker.proposer.applied(Offset{10}, id_of(1));
  EXPECT_EQ(asker.next(asker.now, 11), Act::kDone);
}

// ... and another's is not, so that the change is decided again.
TEST(Proposer, DecidesAgainWhenAnothersIsThere) {
  Asker asker;
  asker.decide(10, 1);
  const auto call = asker.send(10);
  asker.proposer.unanswered(call, {ErrorCode::kConnectionClosed, "gone"}, asker.now);
  asker.proposer.applied(Offset{10}, id_of(2));
  asker.decide(11, 3);
  asker.proposer.answered(call, {.verdict = Verdict::kYes}, asker.now);
  EXPECT_EQ(asker.next(asker.now, 11), Act::kSend) << "an old answer says nothing";
}

TEST(Proposer, WaitsForWhatIsNewer) {
  Asker asker;
  asker.decide(10, 1);
  const auto call = asker.send(10);
  asker.proposer.answered(call, {.verdict = Verdict::kStale, .newest = Offset{12}}, asker.now);
  EXPECT_EQ(asker.next(asker.now, 10), Act::kWait);
  EXPECT_EQ(asker.next(asker.now, 12), Act::kDecide);
  asker.pass(asker.settings.retry_max);
  EXPECT_EQ(asker.next(asker.now, 10), Act::kDecide) << "the end of a log may be lost";
}

TEST(Proposer, SaysWhatIsKnown) {
  const auto fail = [](Asker& asker) {
    asker.pass(milliseconds(15'000));
    const auto step = asker.proposer.next(asker.now, Offset{10});
    EXPECT_EQ(step.act, Act::kFail);
    return step.error.value_or(common::Error{ErrorCode::kNone, ""});
  };
  Asker alone;
  alone.decide(10, 1);
  alone.proposer.no_leader(alone.now);
  const common::Error nothing = fail(alone);
  EXPECT_EQ(nothing.code, ErrorCode::kNotController);
  EXPECT_EQ(nothing.detail, "Nothing was changed: no broker leads the metadata log");

  Asker doubtful;
  doubtful.decide(10, 1);
  doubtful.proposer.answered(doubtful.send(10), {.verdict = Verdict::kUnknown}, doubtful.now);
  const common::Error unknown = fail(doubtful);
  EXPECT_EQ(unknown.code, ErrorCode::kRequestTimedOut);
  EXPECT_EQ(unknown.detail,
            "It is not known whether the change took place: the leader lost its leadership");

  Asker unanswered;
  unanswered.decide(10, 1);
  unanswered.send(10);
  EXPECT_EQ(fail(unanswered).code, ErrorCode::kRequestTimedOut);

  Asker committed;
  committed.decide(10, 1);
  committed.proposer.answered(committed.send(10), {.verdict = Verdict::kYes}, committed.now);
  EXPECT_EQ(committed.next(committed.now, 10), Act::kWait) << "until it is seen here";
  committed.pass(milliseconds(15'000));
  EXPECT_EQ(committed.next(committed.now, 10), Act::kDone);

  Asker refused;
  refused.decide(10, 1);
  refused.proposer.answered(
      refused.send(10),
      {.verdict = Verdict::kRefused, .newest = {}, .error = ErrorCode::kNoSpace, .detail = "full"},
      refused.now);
  EXPECT_EQ(fail(refused).code, ErrorCode::kNoSpace);
}

// Goal: a question needs no answer to come to an end; a newer log makes it decide again.
TEST(Proposer, QuestionsAreAnsweredSomehow) {
  Asker stale;
  stale.decide(10, 0);
  stale.proposer.answered(stale.send(10), {.verdict = Verdict::kStale, .newest = Offset{11}},
                          stale.now);
  EXPECT_EQ(stale.next(stale.now, 11), Act::kDecide);
  for (const bool leaderless : {false, true}) {
    Asker lost;
    lost.decide(10, 0);
    if (leaderless) {
      lost.proposer.no_leader(lost.now);
    } else {
      lost.proposer.unanswered(lost.send(10), {ErrorCode::kConnectionClosed, "gone"}, lost.now);
    }
    EXPECT_EQ(lost.next(lost.now, 10), Act::kDone);
  }
  Asker strict;
  EXPECT_EQ(strict.next(strict.now, 10), Act::kDecide);
  strict.proposer.decided(Offset{10}, {}, Question::kStrict);
  strict.proposer.no_leader(strict.now);
  EXPECT_EQ(strict.next(strict.now, 10), Act::kWait) << "the answer matters";
  strict.pass(milliseconds(25));
  strict.proposer.answered(strict.send(10), {.verdict = Verdict::kYes}, strict.now);
  EXPECT_EQ(strict.next(strict.now, 10), Act::kDone);
}

// Goal: what was surely not sent leaves no doubt.
TEST(Proposer, WhatWasNotSentDidNotHappen) {
  Asker asker;
  asker.decide(10, 1);
  const common::Error away{ErrorCode::kBrokerNotAvailable, "not connected"};
  asker.proposer.unanswered(asker.send(10), away, asker.now);
  asker.pass(milliseconds(15'000));
  const auto step = asker.proposer.next(asker.now, Offset{10});
  ASSERT_EQ(step.act, Act::kFail);
  EXPECT_EQ(step.error->code, ErrorCode::kNotController);
}

// Goal: what a snapshot skips is not guessed at.
TEST(Proposer, ASnapshotMayHideTheAnswer) {
  Asker asker;
  asker.decide(10, 1);
  asker.send(10);
  asker.proposer.skipped_to(Offset{10});
  EXPECT_EQ(asker.next(asker.now, 10), Act::kWait) << "nothing of interest was skipped";
  asker.proposer.skipped_to(Offset{50});
  const auto step = asker.proposer.next(asker.now, Offset{50});
  ASSERT_EQ(step.act, Act::kFail);
  EXPECT_EQ(step.error->code, ErrorCode::kRequestTimedOut);
  Asker idle;
  idle.decide(10, 1);
  idle.proposer.skipped_to(Offset{50});
  EXPECT_EQ(idle.next(idle.now, 50), Act::kDecide) << "it was never sent";
}

TEST(Proposer, OthersMayNotAlwaysBeQuicker) {
  Asker asker;
  asker.settings.decisions_max = 3;
  for (std::int64_t base = 10; base < 13; ++base) {
    asker.decide(base, 1);
    asker.proposer.applied(Offset{base}, id_of(2));
  }
  const auto step = asker.proposer.next(asker.now, Offset{13});
  ASSERT_EQ(step.act, Act::kFail);
  EXPECT_EQ(step.error->detail, "Nothing was changed: others were quicker 3 times");
}

}  // namespace
}  // namespace millrace::metadata
