// Replicas that have to be brought level from far behind: those whose log is damaged, and those
// that were away for long.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "broker/replica/testing/cluster_fixture.h"

namespace millrace::replica {
namespace {

using model::ErrorCode;
using testing::ClusterOptions;
using ::testing::Contains;
using ::testing::HasSubstr;
using testing::Node;
using testing::ReplicaClusterTest;

class ReplicaRepairTest : public ReplicaClusterTest {
 protected:
  /// Where the log's first records are.
  std::string first_segment() {
    return fmt::format("topics/{}/{}/{:020}.log", fmt::format("orders.{}", cluster().key().topic),
                       0, 0);
  }
  void append_many(int count) {
    for (int i = 0; i < count; ++i) appended({.text = fmt::format("r{}", i), .padding = 3000});
  }
  /// A bit of the first segment flips while the broker is down.
  void rot(Node node, std::uint64_t at) {
    cluster().stop(node);
    cluster().disk(node).flip_bit(first_segment(), at);
    cluster().start(node);
    ASSERT_TRUE(cluster().wait_until_level());
  }
  /// The highest incarnation that a broker has told anybody; from now on.
  std::shared_ptr<std::uint32_t> incarnation_told(Node node) {
    auto told = std::make_shared<std::uint32_t>(0);
    cluster().on_message = [this, node, told](const raft::Message& message,
                                              const std::vector<Bytes>&) {
      const auto* reply = std::get_if<raft::AppendReply>(&message.body);
      if (reply != nullptr && message.from == cluster().id(node))
        *told = std::max(*told, reply->incarnation);
      return true;
    };
    return told;
  }
  /// Reads until damage is found, or the end.
  void meet_damage(Node node) {
    for (Offset from{0}; from < at(node).bounds().high_watermark;) {
      const auto found = read(node, from);
      if (!found.ok()) return;
      from = found->next_offset;
    }
  }
};

// ---- Damage

// Goal: a leader whose log is damaged hands over, then takes no part until it is repaired. Method:
// a bit flips in a segment; a reader meets it at the leader.
TEST_F(ReplicaRepairTest, ADamagedLeaderHandsOver) {
  make();
  for (int i = 0; i < 40; ++i) appended({.text = fmt::format("r{}", i), .padding = 3000});
  expect_level();
  const Node bad = lead();
  const Node heir = follower();
  cluster().stop(bad);
  cluster().disk(bad).flip_bit(first_segment(), 5000);
  cluster().start(bad);
  ASSERT_TRUE(cluster().wait([&] { return cluster().leader().has_value(); }));
  ASSERT_TRUE(cluster().wait_until_level());
  if (lead() != bad) {
    ASSERT_EQ(at(lead()).transfer(cluster().id(bad)), raft::Refusal::kNone);
    ASSERT_TRUE(cluster().wait([&] { return at(bad).is_leader(); }));
  }
  meet_damage(bad);
  ASSERT_TRUE(at(bad).log().damage().has_value());
  EXPECT_EQ(refused(bad, {}), ErrorCode::kCorruptLog);
  ASSERT_TRUE(
      cluster().wait([&] { return at(heir).is_leader() || at(3 - bad - heir).is_leader(); }));
  EXPECT_EQ(appended({.text = "on"}), Offset{40});
  ASSERT_TRUE(cluster().wait([&] { return at(bad).replica().repairs() > 0; }));
  expect_level_logs();
  EXPECT_THAT(cluster().notes(bad), Contains(HasSubstr("event=replica-out-of-service")));
}

// Goal: what is damaged on a minority comes again from the others (E10), and until it has, its vote
// does not count. Method: a follower meets the damage of its disk; the write that it acknowledged
// last is on one other disk only, and that one is away.
TEST_F(ReplicaRepairTest, ADamagedFollowerIsRepaired) {
  make();
  for (int i = 0; i < 40; ++i) appended({.text = fmt::format("r{}", i), .padding = 3000});
  expect_level();
  const Node bad = follower();
  const Node other = third();
  cluster().stop(bad);
  cluster().disk(bad).flip_bit(first_segment(), 5000);
  cluster().start(bad);
  ASSERT_TRUE(cluster().wait_until_level());
  cluster().isolate(other);
  EXPECT_EQ(appended({.text = "on two"}), Offset{40});
  meet_damage(bad);
  ASSERT_TRUE(at(bad).log().damage().has_value());
  // The next message of the leader finds it out, and the one after makes it begin anew.
  begin(lead(), {.text = "not heard"}, Acks::kLeader);
  const Node leader = lead();
  ASSERT_TRUE(cluster().wait([&] { return at(bad).replica().repairs() > 0; }));
  EXPECT_TRUE(at(bad).group()->unclean());
  cluster().crash(leader);
  cluster().heal();
  cluster().isolate(leader);
  EXPECT_FALSE(cluster().wait([&] { return at(other).is_leader() || at(bad).is_leader(); },
                              std::chrono::seconds(10)))
      << "what only the leader has would be lost";
  cluster().heal();
  cluster().start(leader);
  ASSERT_TRUE(
      cluster().wait([&] { return at(bad).group() != nullptr && !at(bad).group()->unclean(); }));
  expect_level_logs();
  EXPECT_EQ(cluster().read_all(bad).size(), cluster().read_all(lead()).size());
  EXPECT_GE(at(bad).bounds().high_watermark, Offset{41});
  EXPECT_FALSE(at(bad).log().damage().has_value());
  // And so it is after a restart.
  cluster().crash(bad);
  cluster().start(bad);
  expect_level_logs();
  EXPECT_FALSE(at(bad).group()->unclean());
}

// Goal: what is damaged is repaired also where nobody writes. Method: as above, and silence.
TEST_F(ReplicaRepairTest, AQuietFollowerIsRepaired) {
  make();
  for (int i = 0; i < 40; ++i) appended({.text = fmt::format("r{}", i), .padding = 3000});
  expect_level();
  const Node bad = follower();
  cluster().stop(bad);
  cluster().disk(bad).flip_bit(first_segment(), 5000);
  cluster().start(bad);
  ASSERT_TRUE(cluster().wait_until_level());
  cluster().world.run_for(std::chrono::seconds(5));
  meet_damage(bad);
  ASSERT_TRUE(at(bad).log().damage().has_value());
  ASSERT_TRUE(cluster().wait([&] { return at(bad).replica().repairs() > 0; }));
  ASSERT_TRUE(
      cluster().wait([&] { return at(bad).group() != nullptr && !at(bad).group()->unclean(); }));
  expect_level_logs();
  EXPECT_FALSE(at(bad).log().damage().has_value());
}

// Goal: what is found damaged when it is opened is repaired where nobody writes, also if what the
// leader says at first gets lost. Method: start-up looks for a producer's last batch, which the
// follower does not know to be committed, and has to read the segment from its front.
TEST_F(ReplicaRepairTest, DamageFoundAtStartIsRepaired) {
  make();
  for (int i = 0; i < 40; ++i) appended({.text = fmt::format("r{}", i), .padding = 3000});
  expect_level();
  const Node bad = follower();
  appended({.producer = testing::kProducer, .text = "last"});
  cluster().stop(bad);
  cluster().disk(bad).truncate(first_segment(), 100);
  int lost = 0;
  cluster().on_message = [&](const raft::Message& message, const std::vector<Bytes>&) {
    return message.to != cluster().id(bad) || ++lost > 5;
  };
  cluster().start(bad);
  ASSERT_TRUE(at(bad).log().damage().has_value());
  EXPECT_EQ(at(bad).group(), nullptr);
  ASSERT_TRUE(cluster().wait([&] { return at(bad).replica().repairs() > 0; }));
  EXPECT_GT(lost, 5);
  expect_level_logs();
}

// Goal: damage that is met first where the log is cut back is repaired too, also where nobody
// writes; and the replica says nothing of the new term before that is durable. Method: a leader
// that nobody hears appends, and restarts with damage in front of where the others went on.
TEST_F(ReplicaRepairTest, DamageMetByACutIsRepaired) {
  make();
  for (int i = 0; i < 40; ++i) appended({.text = fmt::format("r{}", i), .padding = 3000});
  expect_level();
  const Node bad = lead();
  cluster().isolate(bad);
  for (int i = 0; i < 10; ++i)
    begin(bad, {.text = fmt::format("nowhere else {}", i), .padding = 3000}, Acks::kLeader);
  ASSERT_TRUE(cluster().wait(
      [&] { return at((bad + 1) % 3).is_leader() || at((bad + 2) % 3).is_leader(); }));
  cluster().stop(bad);
  cluster().disk(bad).flip_bit(first_segment(), 5000);
  bool asked = false;
  cluster().on_message = [&](const raft::Message& message, const std::vector<Bytes>&) {
    const auto* reply = std::get_if<raft::AppendReply>(&message.body);
    asked = asked || (message.from == cluster().id(bad) && reply != nullptr);
    return true;
  };
  cluster().heal();
  cluster().start(bad);
  ASSERT_TRUE(cluster().wait([&] { return at(bad).log().damage().has_value(); }));
  EXPECT_FALSE(asked) << "its new term is not on the disk yet";
  ASSERT_TRUE(cluster().wait([&] { return at(bad).replica().repairs() > 0; }));
  EXPECT_TRUE(asked);
  ASSERT_TRUE(
      cluster().wait([&] { return at(bad).group() != nullptr && !at(bad).group()->unclean(); }));
  expect_level_logs();
  EXPECT_EQ(cluster().read_all(bad).size(), 40u);
}

// Goal: a leader epoch that rotted, which no checksum covers, is damage like any other. Method: a
// bit of it flips in the log of a follower, and in that of the leader.
TEST_F(ReplicaRepairTest, ARottenLeaderEpochIsRepaired) {
  constexpr std::uint64_t kLastEpochByte = 15;
  make();
  append_many(40);
  expect_level();
  for (const Node bad : {follower(), lead()}) {
    rot(bad, kLastEpochByte);
    meet_damage(bad);
    ASSERT_TRUE(at(bad).log().damage().has_value());
    ASSERT_TRUE(cluster().wait([&] { return at(bad).replica().repairs() > 0; }));
    expect_level_logs();
  }
}

// Goal: no loss of power takes back what a repaired replica has told. Method: its disk stands still
// from the message on that has it repaired, then the power goes; without the third broker nothing
// is committed unless the leader goes on counting on what it says.
TEST_F(ReplicaRepairTest, ARepairIsToldWhenItIsDurable) {
  make();
  append_many(40);
  expect_level();
  const Node bad = follower();
  const Node leader = lead();
  const Node other = third();
  rot(bad, 5000);
  const auto told = incarnation_told(bad);
  cluster().on_message = [this, bad, look = std::move(cluster().on_message)](
                             raft::Message& message, std::vector<Bytes>& data) mutable {
    if (message.to == cluster().id(bad) && at(bad).group() == nullptr)
      cluster().disk(bad).slow_down(std::chrono::hours(1));
    return look(message, data);
  };
  meet_damage(bad);
  ASSERT_TRUE(cluster().wait([&] { return at(bad).replica().repairs() > 0; }));
  cluster().world.run_for(std::chrono::milliseconds(500));
  EXPECT_EQ(*told, 0u) << "a loss of power takes it back";
  cluster().on_message = {};
  cluster().crash(bad, env::testing::Survival::kNothing);
  cluster().disk(bad).slow_down({});
  cluster().isolate(other);
  cluster().start(bad);
  const auto outcome = cluster().append(leader, testing::batch({.text = "on two"}), {});
  ASSERT_TRUE(outcome.has_value());
  EXPECT_FALSE(outcome->error.has_value());
  cluster().heal();
  meet_damage(bad);
  ASSERT_TRUE(cluster().wait([&] { return at(bad).replica().repairs() > 0; }));
  expect_level_logs();
}

// Goal: a voter set counts as known to a replica when it is on its disk (condition 1 of
// arXiv 2102.11960), also if damage and repair come in between. Method: the disk stands still from
// the message on that brings the set.
TEST_F(ReplicaRepairTest, ARepairedReplicaKnowsAVoterSetWhenItIsDurable) {
  make({.nodes = 4});
  cluster().kill(3);  // nobody has spoken to it
  append_many(40);
  expect_level();
  const Node leader = lead();
  const Node bad = (leader + 1) % 3;
  const Node other = (leader + 2) % 3;
  cluster().stop(bad);
  cluster().start(bad);
  ASSERT_TRUE(cluster().wait_until_level());
  // The damage comes while it is being read.
  cluster().disk(bad).slow_down(std::chrono::milliseconds(50));
  at(bad).read(Offset{0}, Isolation::kReadUncommitted, 1, true, [](auto) {});
  ASSERT_TRUE(cluster().wait([&] { return cluster().disk(bad).pending() == 1; }));
  cluster().disk(bad).flip_bit(first_segment(), 700);
  cluster().isolate(other);
  const raft::ConfigId before = at(leader).group()->config().id;
  cluster().on_message = [&](const raft::Message& message, const std::vector<Bytes>&) {
    if (message.to == cluster().id(bad) && message.config_id > before)
      cluster().disk(bad).slow_down(std::chrono::hours(1));
    return true;
  };
  ASSERT_EQ(at(leader).reconfigure(raft::Change::kAddLearner, cluster().id(3)),
            raft::Refusal::kNone);
  ASSERT_TRUE(cluster().wait([&] { return at(bad).replica().repairs() > 0; }));
  cluster().world.run_for(std::chrono::milliseconds(500));
  const raft::Progress* const progress =
      at(leader).group() == nullptr ? nullptr : at(leader).group()->progress(cluster().id(bad));
  ASSERT_NE(progress, nullptr);
  EXPECT_EQ(progress->config_known, before) << "a loss of power takes it back";
  cluster().on_message = {};
  cluster().crash(bad, env::testing::Survival::kNothing);
  cluster().disk(bad).slow_down({});
  cluster().start(bad);
  EXPECT_EQ(at(bad).group()->config().id, before);
  cluster().heal();
  cluster().start(3);
  ASSERT_TRUE(cluster().wait_until_level());
}

// Goal: a log that was compacted behind where it has to be cut back, as an unclean election lost
// something committed, comes again as a whole. Method: two of three write and compact; the third,
// which was away, goes on alone by an operator's word.
TEST_F(ReplicaRepairTest, ACutInFrontOfWhatWasCompactedIsRepaired) {
  ClusterOptions options;
  options.settings.compact = true;
  options.settings.delete_old = false;
  options.settings.segment_bytes = 2000;
  options.settings.min_cleanable_dirty_ratio = 0;
  options.settings.file_delete_delay_ms = 0;
  make(std::move(options));
  appended({.text = "first", .key = "often"});
  expect_level();
  const Node bad = lead();
  const Node left = follower();
  const Node other = third();
  cluster().isolate(left);
  for (int i = 0; i < 60; ++i)
    appended({.text = fmt::format("v{}", i), .key = "often", .padding = 100});
  bool checkpointed = false;
  cluster().store(bad).checkpoint([&](auto) { checkpointed = true; });
  ASSERT_TRUE(cluster().wait([&] { return checkpointed; }));
  cluster().store(bad).compact();
  ASSERT_TRUE(cluster().wait([&] { return at(bad).log().compacted_to() > Offset{30}; }));
  cluster().stop(bad);
  cluster().stop(other);
  cluster().heal();
  cluster().world.run_for(std::chrono::seconds(10));
  ASSERT_EQ(at(left).recover_alone(), raft::Refusal::kNone);
  EXPECT_EQ(lead(), left);
  EXPECT_EQ(appended({.text = "alone", .key = "often"}), Offset{1});
  cluster().start_all();
  ASSERT_TRUE(cluster().wait([&] { return at(bad).replica().repairs() > 0; }));
  EXPECT_THAT(cluster().notes(bad), Contains(HasSubstr("and was compacted up to")));
  expect_level_logs();
  EXPECT_EQ(at(bad).bounds().log_end, Offset{2});
}

// Goal: a replica goes by its topic's settings also where it was damaged when it was opened.
// Method: three have to be in sync; the one that was repaired leads, and another one is away.
TEST_F(ReplicaRepairTest, SettingsAreInForceAfterARepair) {
  ClusterOptions options;
  options.settings.min_insync_replicas = 3;
  make(std::move(options));
  append_many(40);
  expect_level();
  const Node bad = follower();
  appended({.producer = testing::kProducer, .text = "last"});
  cluster().stop(bad);
  cluster().disk(bad).truncate(first_segment(), 100);
  cluster().start(bad);
  ASSERT_EQ(at(bad).group(), nullptr);
  ASSERT_TRUE(cluster().wait([&] { return at(bad).replica().repairs() > 0; }));
  ASSERT_TRUE(
      cluster().wait([&] { return at(bad).group() != nullptr && !at(bad).group()->unclean(); }));
  expect_level_logs();
  ASSERT_TRUE(cluster().wait(
      [&] { return at(lead()).transfer(cluster().id(bad)) == raft::Refusal::kNone; }));
  ASSERT_TRUE(cluster().wait([&] { return cluster().leader() == bad; }));
  appended({.text = "on three"});
  cluster().crash((bad + 1) % 3);
  ASSERT_TRUE(cluster().wait([&] { return at(bad).replica().in_sync().size() == 2; }));
  EXPECT_EQ(refused(bad, {.text = "on two"}), ErrorCode::kNotEnoughReplicas);
}

// Goal: those who only read find another leader. Method: the leader meets damage, and nobody
// writes.
TEST_F(ReplicaRepairTest, AQuietLeaderHandsOver) {
  make();
  for (int i = 0; i < 40; ++i) appended({.text = fmt::format("r{}", i), .padding = 3000});
  expect_level();
  const Node bad = lead();
  cluster().stop(bad);
  cluster().disk(bad).flip_bit(first_segment(), 5000);
  cluster().start(bad);
  ASSERT_TRUE(cluster().wait([&] { return cluster().leader().has_value(); }));
  ASSERT_TRUE(cluster().wait_until_level());
  if (lead() != bad) {
    ASSERT_EQ(at(lead()).transfer(cluster().id(bad)), raft::Refusal::kNone);
    ASSERT_TRUE(cluster().wait([&] { return at(bad).is_leader(); }));
  }
  ASSERT_TRUE(cluster().wait_until_level());
  cluster().world.run_for(std::chrono::seconds(5));
  meet_damage(bad);
  ASSERT_TRUE(at(bad).log().damage().has_value());
  ASSERT_TRUE(cluster().wait([&] { return cluster().leader().has_value() && lead() != bad; }));
  ASSERT_TRUE(cluster().wait([&] { return at(bad).replica().repairs() > 0; }));
  expect_level_logs();
}

// Goal: a leader that cannot give the others what they miss does not stand in their way. Method: it
// has what was acknowledged last and one thing more, and that is damaged; only one that is far
// behind votes for it; then the third comes back.
TEST_F(ReplicaRepairTest, ALeaderThatNobodyCanFollowLeaves) {
  make();
  for (int i = 0; i < 20; ++i) appended({.text = fmt::format("r{}", i), .padding = 3000});
  expect_level();
  const Node bad = lead();
  const Node behind = follower();
  const Node other = third();
  cluster().stop(behind);
  for (int i = 0; i < 20; ++i) appended({.text = fmt::format("s{}", i), .padding = 3000});
  cluster().isolate(other);
  begin(bad, {.text = "nowhere else"}, Acks::kLeader);
  cluster().stop(bad);
  cluster().stop(other);
  cluster().heal();
  cluster().disk(bad).flip_bit(first_segment(),
                               cluster().disk(bad).content(first_segment()).size() - 20'000);
  cluster().start(bad);
  cluster().start(behind);
  ASSERT_TRUE(cluster().wait([&] { return at(bad).role() == raft::Role::kLeader; }));
  ASSERT_TRUE(cluster().wait([&] { return at(bad).log().damage().has_value(); }));
  cluster().start(other);
  ASSERT_TRUE(cluster().wait([&] { return at(other).is_leader(); }));
  EXPECT_EQ(appended({.text = "on"}), Offset{40});
  ASSERT_TRUE(cluster().wait([&] { return at(bad).replica().repairs() > 0; }));
  expect_level_logs();
}

// Goal: the only replica throws nothing away. Method: damage in a group of one.
TEST_F(ReplicaRepairTest, TheOnlyReplicaIsNotRepaired) {
  ClusterOptions options;
  options.nodes = 1;
  options.voters = 1;
  make(std::move(options));
  for (int i = 0; i < 40; ++i) appended({.text = fmt::format("r{}", i), .padding = 3000});
  cluster().stop(0);
  cluster().disk(0).flip_bit(first_segment(), 5000);
  cluster().start(0);
  meet_damage(0);
  ASSERT_TRUE(at(0).log().damage().has_value());
  cluster().world.run_for(std::chrono::seconds(20));
  EXPECT_EQ(at(0).replica().repairs(), 0u);
  EXPECT_EQ(at(0).log().end_offset(), Offset{40});
}

// ---- Replicas that are far behind

// Goal: who is level does not wait for who is not, and who is not is brought level no faster than
// allowed. Method: a replica comes back with much missing that is in memory no more, at 100 KB/s.
TEST_F(ReplicaRepairTest, CatchingUpKeepsToItsRate) {
  ClusterOptions options;
  options.catch_up = {.reads_max = 1, .bytes_per_second = 100'000};
  options.raft.append_bytes_max = 10'000;
  make(std::move(options));
  appended({});
  const Node away = follower();
  cluster().crash(away);
  for (int i = 0; i < 300; ++i) appended({.padding = 3000});
  const Node leader = lead();
  ASSERT_FALSE(at(leader).log().in_memory(Offset{1}));
  const auto begun = cluster().world.clock().now();
  cluster().start(away);
  cluster().world.run_for(std::chrono::seconds(2));
  EXPECT_LT(at(away).bounds().log_end, Offset{130});
  const auto before = cluster().world.clock().now();
  appended({.text = "at once"});
  EXPECT_LT(cluster().world.clock().now() - before, std::chrono::milliseconds(50));
  expect_level_logs();
  const auto took = cluster().world.clock().now() - begun;
  EXPECT_GT(took, std::chrono::seconds(5));
  EXPECT_LT(took, std::chrono::seconds(15));
}

// Goal: nothing is read that would get lost on the way. Method: a way that is full.
TEST_F(ReplicaRepairTest, OldDataWaitsForRoomOnTheWay) {
  make();
  appended({});
  const Node away = follower();
  cluster().crash(away);
  for (int i = 0; i < 300; ++i) appended({.padding = 3000});
  cluster().room = false;
  cluster().start(away);
  cluster().world.run_for(std::chrono::seconds(5));
  EXPECT_LT(at(away).bounds().log_end, Offset{10});
  cluster().room = true;
  expect_level_logs();
}

}  // namespace
}  // namespace millrace::replica
