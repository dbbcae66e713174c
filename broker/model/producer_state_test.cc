#include "broker/model/producer_state.h"

#include <gtest/gtest.h>

#include <deque>
#include <map>

#include "broker/model/test_batches.h"

namespace millrace::model {
namespace {

using Action = ProducerVerdict::Action;
constexpr common::Timestamp kNow{1'000'000};

class ProducerTableTest : public ::testing::Test {
 protected:
  struct Sent {
    std::int64_t producer = 1;
    std::int16_t epoch = 0;
    std::int32_t sequence = 0;
    std::int32_t count = 1;
  };
  ProducerTable table_;
  std::int64_t next_offset_ = 0;

  common::Bytes batch(Sent sent) {
    return batch_of(std::vector<OwnedRecord>(static_cast<std::size_t>(sent.count),
                                             OwnedRecord{.timestamp = 5, .value = "v"}),
                    {.producer_id = ProducerId{sent.producer},
                     .producer_epoch = sent.epoch,
                     .base_sequence = sent.sequence});
  }
  ProducerVerdict check(Sent sent) {
    return table_.check(BatchView::parse(batch(sent)).value(), "t-0");
  }
  ErrorCode refusal(Sent sent) {
    const ProducerVerdict verdict = check(sent);
    return verdict.error ? verdict.error->code : ErrorCode::kNone;
  }
  void apply(Sent sent, common::Timestamp now = kNow) {
    common::Bytes bytes = batch(sent);
    set_position(bytes.mutable_view(), Offset{next_offset_}, Term{0});
    next_offset_ += sent.count;
    table_.apply(BatchView::parse(bytes).value(), now);
  }
};

TEST_F(ProducerTableTest, WithoutIdEverythingIsAppended) {
  EXPECT_EQ(check({.producer = -1, .epoch = -1, .sequence = -1}).action, Action::kAppend);
  apply({.producer = -1, .epoch = -1, .sequence = -1});
  EXPECT_EQ(table_.size(), 0U);
}

TEST_F(ProducerTableTest, AProducerNotKnownMayStartAnywhere) {
  EXPECT_EQ(check({.sequence = 17}).action, Action::kAppend);
}

TEST_F(ProducerTableTest, TheLastFiveAreToldFromNewOnes) {
  for (std::int32_t i = 0; i < 7; ++i) apply({.sequence = 3 * i, .count = 3});
  for (std::int32_t i = 2; i < 7; ++i) {
    const ProducerVerdict verdict = check({.sequence = 3 * i, .count = 3});
    ASSERT_EQ(verdict.action, Action::kDuplicate) << i;
    EXPECT_EQ(verdict.original.base_offset, Offset{3 * i});
    EXPECT_EQ(verdict.original.last_offset, Offset{3 * i + 2});
  }
  EXPECT_EQ(refusal({.sequence = 3, .count = 3}), ErrorCode::kOutOfOrderSequenceNumber)
      << "the sixth is forgotten";
  EXPECT_EQ(refusal({.sequence = 18, .count = 2}), ErrorCode::kOutOfOrderSequenceNumber)
      << "another batch of these numbers";
  EXPECT_EQ(refusal({.sequence = 22}), ErrorCode::kOutOfOrderSequenceNumber) << "a gap";
  EXPECT_EQ(check({.sequence = 21}).action, Action::kAppend);
}

TEST_F(ProducerTableTest, Epochs) {
  apply({.epoch = 3, .sequence = 0});
  EXPECT_EQ(refusal({.epoch = 2, .sequence = 1}), ErrorCode::kInvalidProducerEpoch);
  EXPECT_EQ(refusal({.epoch = 4, .sequence = 1}), ErrorCode::kOutOfOrderSequenceNumber);
  EXPECT_EQ(check({.epoch = 4, .sequence = 0}).action, Action::kAppend);
  apply({.epoch = 4, .sequence = 0});
  EXPECT_EQ(table_.find(ProducerId{1})->batch_count, 1) << "batches of the old epoch are of no use";
  EXPECT_EQ(refusal({.epoch = 3, .sequence = 1}), ErrorCode::kInvalidProducerEpoch);
}

TEST_F(ProducerTableTest, SequencesWrap) {
  apply({.sequence = INT32_MAX - 1, .count = 2});
  EXPECT_EQ(refusal({.sequence = 1}), ErrorCode::kOutOfOrderSequenceNumber);
  EXPECT_EQ(check({.sequence = 0}).action, Action::kAppend);
  apply({.sequence = 0});
  ProducerTable other;
  apply({.producer = 2, .sequence = INT32_MAX, .count = 3});
  EXPECT_EQ(check({.producer = 2, .sequence = INT32_MAX, .count = 3}).action, Action::kDuplicate);
  EXPECT_EQ(check({.producer = 2, .sequence = 2}).action, Action::kAppend);
}

TEST_F(ProducerTableTest, IdleOnesAreForgotten) {
  apply({.producer = 1}, common::Timestamp{1000});
  apply({.producer = 2}, common::Timestamp{1500});
  table_.expire(common::Timestamp{1999}, 1000);
  EXPECT_EQ(table_.size(), 2U);
  table_.expire(common::Timestamp{2000}, 1000);
  EXPECT_EQ(table_.find(ProducerId{1}), nullptr);
  EXPECT_NE(table_.find(ProducerId{2}), nullptr);
  table_.expire(common::Timestamp{0}, 1000);
  EXPECT_EQ(table_.size(), 1U) << "a clock that went back expires nothing";
}

TEST_F(ProducerTableTest, TheTableIsBounded) {
  common::Bytes bytes = batch({});
  for (std::size_t i = 0; i < kProducersPerPartitionMax + 10; ++i) {
    BatchHeader header = header_of(BatchView::parse(bytes).value());
    header.producer_id = ProducerId{static_cast<std::int64_t>(i)};
    seal_batch(bytes.mutable_view(), header);
    table_.apply(BatchView::parse(bytes).value(), kNow + static_cast<std::int64_t>(i));
  }
  EXPECT_LE(table_.size(), kProducersPerPartitionMax);
  EXPECT_EQ(table_.find(ProducerId{0}), nullptr);
  EXPECT_NE(table_.find(ProducerId{kProducersPerPartitionMax + 9}), nullptr);
}

TEST_F(ProducerTableTest, ReachesTellsWhetherATruncationMatters) {
  apply({.sequence = 0, .count = 10});
  EXPECT_FALSE(table_.reaches(Offset{10}));
  EXPECT_TRUE(table_.reaches(Offset{9}));
}

// A producer of which nothing is left is nobody, so that it may go on anywhere.
TEST_F(ProducerTableTest, ACutForgetsWhatLiesBehind) {
  apply({.sequence = 0, .count = 10});
  apply({.sequence = 10, .count = 10});
  apply({.producer = 5, .sequence = 0, .count = 1});
  table_.cut(Offset{15});
  EXPECT_EQ(table_.find(ProducerId{1})->last_sequence(), 9);
  EXPECT_EQ(table_.find(ProducerId{5}), nullptr);
  table_.cut(Offset{10});
  EXPECT_EQ(table_.find(ProducerId{1})->batch_count, 1);
  table_.cut(Offset{9});
  EXPECT_EQ(table_.size(), 0U);
}

TEST_F(ProducerTableTest, AnEntryPutBackTakesBackAnApply) {
  apply({.sequence = 0, .count = 10});
  const ProducerEntry before = *table_.find(ProducerId{1});
  apply({.sequence = 10, .count = 10});
  table_.put(before);
  EXPECT_EQ(*table_.find(ProducerId{1}), before);
  table_.forget(ProducerId{1});
  EXPECT_EQ(table_.size(), 0U);
}

// Goal: exactly the rules of the header. Method: random sends of a few producers, judged by a model
// that remembers every batch; the table goes through its bytes now and then.
TEST_F(ProducerTableTest, EqualsAModel) {
  struct Known {
    std::int16_t epoch = 0;
    std::deque<std::pair<Sent, std::int64_t>> batches;  // with base offset
  };
  common::Random random(8);
  std::map<std::int64_t, Known> model;
  int duplicates = 0;
  for (int i = 0; i < 20'000; ++i) {
    Sent sent{.producer = static_cast<std::int64_t>(random.below(4)),
              .count = static_cast<std::int32_t>(1 + random.below(3))};
    const auto known = model.find(sent.producer);
    if (known != model.end()) {
      sent.epoch = static_cast<std::int16_t>(known->second.epoch +
                                             (random.chance(1, 20) ? random.between(-1, 1) : 0));
      const Sent& last = known->second.batches.back().first;
      sent.sequence = last.sequence + last.count +
                      static_cast<std::int32_t>(random.chance(1, 10) ? random.between(-3, 3) : 0);
      if (random.chance(1, 4))
        sent = known->second.batches[random.below(known->second.batches.size())].first;
      if (random.chance(1, 10) || sent.sequence < 0 || sent.epoch < 0)
        sent.sequence = 0, sent.epoch = std::max<std::int16_t>(sent.epoch, 0);
    }
    Action expected = Action::kAppend;
    std::int64_t original = -1;
    if (known != model.end()) {
      const Known& state = known->second;
      const Sent& last = state.batches.back().first;
      if (sent.epoch < state.epoch) {
        expected = Action::kRefuse;
      } else if (sent.epoch > state.epoch) {
        expected = sent.sequence == 0 ? Action::kAppend : Action::kRefuse;
      } else {
        if (sent.sequence != last.sequence + last.count) expected = Action::kRefuse;
        for (const auto& [old, offset] : state.batches) {
          if (old.sequence == sent.sequence && old.count == sent.count)
            expected = Action::kDuplicate, original = offset;
        }
      }
    }
    const ProducerVerdict verdict = check(sent);
    ASSERT_EQ(verdict.action, expected) << i;
    if (expected == Action::kDuplicate) {
      ++duplicates;
      ASSERT_EQ(verdict.original.base_offset.value(), original);
    }
    if (expected != Action::kAppend) continue;
    Known& state = model[sent.producer];
    if (state.epoch != sent.epoch) state.batches.clear();
    state.epoch = sent.epoch;
    state.batches.emplace_back(sent, next_offset_);
    if (state.batches.size() > kProducedBatchesKept) state.batches.pop_front();
    apply(sent);
    if (random.chance(1, 50)) {
      const common::Bytes bytes = table_.serialise();
      ProducerTable copy;
      ASSERT_TRUE(copy.restore(bytes).ok());
      ASSERT_EQ(copy.entries(), table_.entries());
      table_ = std::move(copy);
    }
  }
  EXPECT_GT(duplicates, 500);
}

TEST_F(ProducerTableTest, DamagedSnapshotsAreRefusedWhole) {
  for (std::int64_t id = 0; id < 5; ++id) apply({.producer = id});
  const common::Bytes good = table_.serialise();
  const std::vector<ProducerEntry> before = table_.entries();
  common::Random random(9);
  for (int i = 0; i < 2000; ++i) {
    const std::vector<std::uint8_t> broken = damaged(good, random);
    if (std::equal(broken.begin(), broken.end(), good.view().begin(), good.view().end())) continue;
    EXPECT_FALSE(table_.restore(broken).ok());
    ASSERT_EQ(table_.entries(), before);
  }
}

}  // namespace
}  // namespace millrace::model
