// Goal: a member moves to its target exactly by the states of reconciliation.h, and never gets what
// another one holds.
#include "broker/coordinator/reconciliation.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace millrace::coordinator {
namespace {

model::PartitionKey key(std::int32_t index, std::uint8_t topic = 1) {
  model::TopicId id;
  id.bytes[0] = topic;
  return {id, model::PartitionIndex{index}};
}
PartitionList keys(std::initializer_list<std::int32_t> indexes) {
  PartitionList list;
  for (const std::int32_t index : indexes) list.push_back(key(index));
  return list;
}
Holding held(std::initializer_list<std::int32_t> indexes, std::int32_t epoch) {
  Holding holding;
  for (const std::int32_t index : indexes) holding.push_back({key(index), Epoch{epoch}});
  return holding;
}
Standing stable(std::int32_t epoch, Holding assigned) {
  return {Epoch{epoch}, Epoch{epoch}, MemberState::kStable, std::move(assigned), {}};
}
Orders orders(std::int32_t epoch, PartitionList target) {
  return {.target_epoch = Epoch{epoch}, .target = std::move(target), .topics = {key(0).topic}};
}

constexpr Holders::Token kSelf = 1;
constexpr Holders::Token kOther = 2;

class Reconciliation : public testing::Test {
 protected:
  Standing next(const Standing& now, const Orders& given) {
    holders_.take(kSelf, now.assigned);
    holders_.take(kSelf, now.pending);
    const auto result = reconcile(now, given, kSelf, holders_);
    holders_.release(kSelf, now.assigned);
    holders_.release(kSelf, now.pending);
    EXPECT_TRUE(result.has_value());
    return result.value_or(Standing{});
  }
  Holders holders_;
};

TEST_F(Reconciliation, NewMemberGetsWhatIsFree) {
  const Standing now = next({}, orders(3, keys({0, 1})));
  EXPECT_EQ(now.state, MemberState::kStable);
  EXPECT_EQ(now.epoch, Epoch{3});
  EXPECT_EQ(now.previous_epoch, Epoch{0});
  EXPECT_EQ(now.assigned, held({0, 1}, 3));
}

TEST_F(Reconciliation, NothingHappensAtTheTargetsEpoch) {
  const Standing now = stable(3, held({0}, 2));
  EXPECT_EQ(next(now, orders(3, keys({0}))), now);
}

TEST_F(Reconciliation, KeptPartitionsKeepTheirEpochs) {
  const Standing now = next(stable(3, held({0}, 2)), orders(4, keys({0, 1})));
  EXPECT_EQ(now.assigned, (Holding{{key(0), Epoch{2}}, {key(1), Epoch{4}}}));
}

TEST_F(Reconciliation, RevokesBeforeAnythingElse) {
  Standing now = next(stable(3, held({0, 1}, 3)), orders(4, keys({1, 2})));
  EXPECT_EQ(now.state, MemberState::kUnrevokedPartitions);
  EXPECT_EQ(now.epoch, Epoch{3});
  EXPECT_EQ(now.assigned, held({1}, 3));
  EXPECT_EQ(now.pending, held({0}, 3));

  // Saying nothing, and saying that it still owns it, change nothing.
  Orders given = orders(4, keys({1, 2}));
  EXPECT_EQ(next(now, given), now);
  given.owned = keys({0, 1});
  EXPECT_EQ(next(now, given), now);

  given.owned = keys({1});
  now = next(now, given);
  EXPECT_EQ(now.state, MemberState::kStable);
  EXPECT_EQ(now.epoch, Epoch{4});
  EXPECT_EQ(now.assigned, (Holding{{key(1), Epoch{3}}, {key(2), Epoch{4}}}));
  EXPECT_TRUE(now.pending.empty());
}

TEST_F(Reconciliation, RevocationThatIsNoSurpriseIsDoneAtOnce) {
  Orders given = orders(4, keys({1}));
  given.owned = keys({1});
  const Standing now = next(stable(3, held({0, 1}, 3)), given);
  EXPECT_EQ(now.state, MemberState::kStable);
  EXPECT_EQ(now.assigned, held({1}, 3));
}

TEST_F(Reconciliation, GoesOnToTheNewestTargetAfterARevocation) {
  Standing now = next(stable(3, held({0, 1}, 3)), orders(4, keys({1})));
  Orders given = orders(6, keys({0, 1}));
  given.owned = keys({1});
  now = next(now, given);
  // It may have back what it was to give up: nobody else got it.
  EXPECT_EQ(now.state, MemberState::kStable);
  EXPECT_EQ(now.epoch, Epoch{6});
  EXPECT_EQ(now.assigned, (Holding{{key(0), Epoch{6}}, {key(1), Epoch{3}}}));
}

TEST_F(Reconciliation, ANewerTargetCanAskForMoreRevocations) {
  Standing now = next(stable(3, held({0, 1}, 3)), orders(4, keys({1})));
  Orders given = orders(5, keys({2}));
  given.owned = keys({1});
  now = next(now, given);
  EXPECT_EQ(now.state, MemberState::kUnrevokedPartitions);
  EXPECT_EQ(now.epoch, Epoch{3});
  EXPECT_EQ(now.pending, held({1}, 3));
}

TEST_F(Reconciliation, WaitsForWhatOthersHold) {
  holders_.take(kOther, held({1, 2}, 3));
  const Orders given = orders(4, keys({0, 1, 2}));
  Standing now = next({}, given);
  EXPECT_EQ(now.state, MemberState::kUnreleasedPartitions);
  EXPECT_EQ(now.epoch, Epoch{4});
  EXPECT_EQ(now.assigned, held({0}, 4));
  EXPECT_TRUE(waits_for_others(now, given.target, kSelf, holders_));
  EXPECT_EQ(next(now, given), now) << "no step, no record";

  holders_.release(kOther, held({1}, 3));
  now = next(now, given);
  EXPECT_EQ(now.state, MemberState::kUnreleasedPartitions);
  EXPECT_EQ(now.assigned, held({0, 1}, 4));

  holders_.release(kOther, held({2}, 3));
  EXPECT_FALSE(waits_for_others(now, given.target, kSelf, holders_));
  now = next(now, given);
  EXPECT_EQ(now.state, MemberState::kStable);
  EXPECT_EQ(now.assigned, held({0, 1, 2}, 4));
}

TEST_F(Reconciliation, WaitingEndsWithANewerTarget) {
  holders_.take(kOther, held({1}, 3));
  Standing now = next({}, orders(4, keys({0, 1})));
  now = next(now, orders(5, keys({1})));
  EXPECT_EQ(now.state, MemberState::kUnrevokedPartitions);
  EXPECT_EQ(now.epoch, Epoch{4});
  EXPECT_EQ(now.pending, held({0}, 4));
}

TEST_F(Reconciliation, WhatIsNoLongerSubscribedGoesBeforeThereIsANewTarget) {
  Standing begin = stable(3, held({0}, 3));
  begin.assigned.push_back({key(0, 2), Epoch{3}});
  Orders given = orders(3, keys({0}));
  given.subscribed = Subscribed::kChanged;
  Standing now = next(begin, given);
  EXPECT_EQ(now.state, MemberState::kUnrevokedPartitions);
  EXPECT_EQ(now.epoch, Epoch{3});
  EXPECT_EQ(now.assigned, held({0}, 3));
  EXPECT_EQ(now.pending, (Holding{{key(0, 2), Epoch{3}}}));

  // It gave them up itself.
  given.owned = keys({0});
  now = next(begin, given);
  EXPECT_EQ(now.state, MemberState::kStable);
  EXPECT_EQ(now.assigned, held({0}, 3));

  // Still the same topics: nothing happens.
  given.topics.push_back(key(0, 2).topic);
  EXPECT_EQ(next(begin, given), begin);

  // In the middle of another revocation: both have to go.
  Standing revoking = begin;
  revoking.state = MemberState::kUnrevokedPartitions;
  revoking.pending = held({5}, 2);
  given.topics.pop_back();
  given.owned = PartitionList{key(5)};
  now = next(revoking, given);
  EXPECT_EQ(now.state, MemberState::kUnrevokedPartitions);
  EXPECT_EQ(now.pending, (Holding{{key(5), Epoch{2}}, {key(0, 2), Epoch{3}}}));
}

TEST_F(Reconciliation, AStateOfANewerBrokerIsLeftWithNothing) {
  Standing now = stable(3, held({0}, 3));
  now.state = MemberState::kUnknown;
  Orders given = orders(4, keys({0, 1}));
  EXPECT_FALSE(reconcile(now, given, kSelf, holders_).has_value());
  given.owned = keys({0});
  EXPECT_FALSE(reconcile(now, given, kSelf, holders_).has_value());
  given.owned = PartitionList{};
  const Standing after = next(now, given);
  EXPECT_EQ(after.state, MemberState::kStable);
  EXPECT_EQ(after.epoch, Epoch{4});
}

TEST(Holding, IsFlatSortedAndGroupedAgain) {
  const std::vector<TopicPartitions> topics{{key(0, 2).topic, {3, 1, 3}}, {key(0).topic, {7}}};
  const PartitionList list = flat(topics);
  EXPECT_EQ(list, (PartitionList{key(7), key(1, 2), key(3, 2)}));
  EXPECT_EQ(by_topic(list),
            (std::vector<TopicPartitions>{{key(0).topic, {7}}, {key(0, 2).topic, {1, 3}}}));
  const std::vector<HeldPartitions> stored{{key(0).topic, {4, 2}, {Epoch{9}}}};
  const Holding holding = flat(stored, Epoch{5});
  EXPECT_EQ(holding, (Holding{{key(2), Epoch{5}}, {key(4), Epoch{9}}}));
  EXPECT_TRUE(is_subset(keys({2}), holding));
  EXPECT_TRUE(is_subset({}, holding));
  EXPECT_FALSE(is_subset(keys({2, 3}), holding));
  EXPECT_TRUE(intersects(keys({1, 4}), holding));
  EXPECT_FALSE(intersects(keys({1, 3, 5}), holding));
  EXPECT_EQ(find(holding, key(3)), nullptr);
}

TEST(Holders, TheLastToTakeHasItAndOnlyItsOwnIsReleased) {
  Holders holders;
  holders.take(kSelf, held({0, 1}, 1));
  holders.take(kOther, held({1}, 2));
  holders.release(kSelf, held({0, 1}, 1));
  EXPECT_EQ(holders.of(key(0)), Holders::kNobody);
  EXPECT_EQ(holders.of(key(1)), kOther);
  EXPECT_EQ(holders.size(), 1U);
}

}  // namespace
}  // namespace millrace::coordinator
