#include "broker/replica/producer_history.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>

#include "broker/replica/testing/inspect.h"
#include "common/random.h"

namespace millrace::replica {
namespace {

using model::ProducerId;
using testing::batch;
using ::testing::ElementsAre;
using testing::replayed;
using testing::without_times;

constexpr common::Timestamp kWall{1'700'000'000'000};

Bytes placed(const testing::Sent& sent, Offset base) {
  Bytes bytes = batch(sent);
  model::set_position(bytes.mutable_view(), base, model::Term{1});
  return bytes;
}

model::BatchView view(const Bytes& bytes) {
  return model::BatchView::parse(bytes).value();
}

class ProducerHistoryTest : public ::testing::Test {
 protected:
  void append(std::int64_t producer, std::int32_t sequence) {
    const Bytes bytes = placed({.producer = ProducerId{producer}, .sequence = sequence}, end_);
    history_.append(view(bytes), kWall);
    end_ = end_ + 1;
  }
  std::int32_t last_sequence(std::int64_t producer) const {
    const auto* entry = history_.table().find(ProducerId{producer});
    return entry == nullptr ? -1 : entry->last_sequence();
  }

  ProducerHistory history_;
  Offset end_;
};

// Goal: a cut takes back what was cut and nothing else. Method: the same sequences again are new
// batches, those in front are repeated ones.
TEST_F(ProducerHistoryTest, ACutTakesBackWhatWasCut) {
  append(1, 0);
  append(2, 0);
  append(1, 1);
  append(3, 0);
  append(1, 2);
  history_.commit(Offset{2});
  history_.cut(Offset{3});
  EXPECT_EQ(last_sequence(1), 1);
  EXPECT_EQ(last_sequence(2), 0);
  EXPECT_EQ(last_sequence(3), -1);
  end_ = Offset{3};
  append(1, 2);
  EXPECT_EQ(last_sequence(1), 2);
  history_.cut(Offset{2});
  EXPECT_EQ(last_sequence(1), 0);
}

// The table remembers five batches of a producer: those that were pushed out come back too.
TEST_F(ProducerHistoryTest, WhatWasPushedOutComesBack) {
  for (std::int32_t i = 0; i < 5; ++i) append(1, i);
  history_.commit(end_);
  for (std::int32_t i = 5; i < 12; ++i) append(1, i);
  history_.cut(Offset{5});
  const Bytes again = placed({.producer = ProducerId{1}, .sequence = 0}, Offset{5});
  EXPECT_EQ(history_.check(view(again), "t-0").action, model::ProducerVerdict::Action::kDuplicate);
}

// Goal: where a log begins inside a batch, what is kept for its beginning has that batch's
// producer. Method: a log that begins anew at 3, and a batch [1, 5].
TEST_F(ProducerHistoryTest, ABatchAroundTheBeginningIsCommitted) {
  ASSERT_TRUE(history_.reset({}, Offset{3}).ok());
  const Bytes around = placed({.count = 5, .producer = ProducerId{1}, .sequence = 0}, Offset{1});
  history_.append(view(around), kWall);
  model::ProducerTable kept;
  ASSERT_TRUE(kept.restore(history_.at_commit().bytes).ok());
  ASSERT_NE(kept.find(ProducerId{1}), nullptr);
  EXPECT_EQ(kept.find(ProducerId{1})->last_sequence(), 4);
  EXPECT_TRUE(history_.before(Offset{3}).empty());
}

TEST_F(ProducerHistoryTest, TheSnapshotIsOfTheCommitOffset) {
  append(1, 0);
  append(1, 1);
  append(2, 0);
  history_.commit(Offset{1});
  const ProducerHistory::Snapshot snapshot = history_.at_commit();
  EXPECT_EQ(snapshot.at, Offset{1});
  ProducerHistory other;
  ASSERT_TRUE(other.reset(snapshot.bytes, snapshot.at).ok());
  EXPECT_EQ(other.table().size(), 1u);
  EXPECT_EQ(other.table().find(ProducerId{1})->last_sequence(), 0);
  EXPECT_EQ(last_sequence(1), 1) << "looking changes nothing";
}

TEST_F(ProducerHistoryTest, NobodyIsNoBytes) {
  EXPECT_TRUE(history_.at_commit().bytes.empty());
  append(1, 0);
  EXPECT_TRUE(history_.at_commit().bytes.empty()) << "nothing is committed";
  history_.commit(end_);
  EXPECT_FALSE(history_.at_commit().bytes.empty());
  EXPECT_TRUE(history_.before(Offset{0}).empty());
}

TEST_F(ProducerHistoryTest, ABadSnapshotChangesNothing) {
  append(1, 0);
  EXPECT_FALSE(history_.reset(Bytes::copy_of("no snapshot at all"), Offset{9}).ok());
  EXPECT_EQ(last_sequence(1), 0);
  EXPECT_EQ(history_.committed(), Offset{0});
}

// Compaction must leave the batch that a cut would make the last one again.
TEST_F(ProducerHistoryTest, LastBatchesAreThoseAfterACutToo) {
  append(1, 0);
  append(1, 1);
  history_.commit(Offset{1});
  append(2, 0);
  EXPECT_THAT(history_.last_batches(), ElementsAre(Offset{0}, Offset{1}, Offset{2}));
  history_.commit(end_);
  EXPECT_THAT(history_.last_batches(), ElementsAre(Offset{1}, Offset{2}));
}

// Below the commit offset, which only an unclean election does: a producer of which nothing is left
// is nobody, so that it may go on.
TEST_F(ProducerHistoryTest, ACutOfWhatWasCommittedForgets) {
  for (std::int32_t i = 0; i < 3; ++i) append(1, i);
  append(2, 7);
  history_.commit(end_);
  history_.cut(Offset{1});
  EXPECT_EQ(history_.committed(), Offset{1});
  EXPECT_EQ(last_sequence(1), 0);
  EXPECT_EQ(history_.table().find(ProducerId{2}), nullptr);
}

// Goal: at any time the table is what a replay of the log gives; a log that begins at an offset
// with before() of it comes to the same. Method: random appends, commits, cuts and starts.
TEST_F(ProducerHistoryTest, EqualsAReplayOfTheLog) {
  for (std::uint64_t seed = 1; seed <= 300; ++seed) {
    common::Random random(seed);
    ProducerHistory history;
    std::vector<Bytes> log;
    Offset end;
    Offset commit;
    std::map<std::int64_t, std::int32_t> sequences;
    const auto offset_of = [&](std::size_t i) { return view(log[i]).base_offset(); };
    for (int step = 0; step < 120; ++step) {
      const auto act = random.below(10);
      if (act < 6) {
        const auto producer = static_cast<std::int64_t>(random.below(4));
        const auto count = static_cast<std::int32_t>(1 + random.below(3));
        log.push_back(placed(
            {.count = count, .producer = ProducerId{producer}, .sequence = sequences[producer]},
            end));
        sequences[producer] += count;
        history.append(view(log.back()), kWall);
        end = view(log.back()).next_offset();
      } else if (act < 8 && !log.empty()) {
        const Offset to = view(log[random.below(log.size())]).next_offset();
        commit = std::max(commit, to);
        history.commit(commit);
      } else if (!log.empty()) {
        const std::size_t kept = random.below(log.size() + 1);
        const Offset to = kept == log.size() ? end : offset_of(kept);
        if (to < commit) continue;
        log.resize(kept);
        end = to;
        history.cut(to);
        sequences.clear();
        for (const auto& entry : replayed(log))
          sequences[entry.producer_id.value()] = entry.last_sequence() + 1;
      }
      ASSERT_EQ(without_times(history.table().entries()), replayed(log)) << seed;
    }
    const auto committed = std::ranges::find_if(
        log, [&](const Bytes& bytes) { return view(bytes).base_offset() >= commit; });
    for (auto start = log.begin(); start != committed; ++start) {
      ProducerHistory later;
      const Offset at = view(*start).base_offset();
      ASSERT_TRUE(later.reset(history.before(at), at).ok());
      for (auto one = start; one != log.end(); ++one) later.append(view(*one), kWall);
      ASSERT_EQ(without_times(later.table().entries()), replayed(log)) << seed;
    }
  }
}

}  // namespace
}  // namespace millrace::replica
