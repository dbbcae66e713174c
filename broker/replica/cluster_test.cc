// Replicas of one partition on several simulated brokers: what producers and readers are told, and
// what becomes of the logs.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>

#include "broker/replica/testing/client.h"
#include "broker/replica/testing/cluster_fixture.h"

namespace millrace::replica {
namespace {

using env::testing::Survival;
using model::ErrorCode;
using model::ProducerId;
using testing::batch;
using testing::Client;
using testing::ClusterOptions;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::kProducer;
using testing::lines_of;
using testing::Node;
using testing::ReplicaClusterTest;
using testing::without_times;

// ---- Replication

TEST_F(ReplicaClusterTest, EveryReplicaGetsTheSameBytes) {
  make();
  EXPECT_EQ(appended({.count = 3, .text = "a"}), Offset{0});
  EXPECT_EQ(appended({.count = 2, .producer = kProducer, .text = "b"}), Offset{3});
  EXPECT_EQ(appended({.text = "c", .padding = 20'000}, Acks::kLeader), Offset{5});
  expect_level();
  EXPECT_THAT(lines_of(cluster().read_all(lead())),
              ElementsAre("0: a of 1", "3: b of 1", "5: c of 1"));
  for (Node i = 0; i < 3; ++i) {
    EXPECT_EQ(at(i).leader(), cluster().id(lead()));
    EXPECT_EQ(at(i).bounds().leader_epoch, Term{1});
    ASSERT_FALSE(cluster().roles(i).empty());
    EXPECT_EQ(cluster().roles(i).back().leader, cluster().id(lead())) << "who leads was told";
    EXPECT_EQ(cluster().roles(i).back().confirmed, i == lead());
  }
  EXPECT_EQ(at(lead()).in_sync().size(), 3u);
  EXPECT_TRUE(at(follower()).in_sync().empty());
}

// Goal: a group with nothing to do says nothing. Method: count messages of a minute.
TEST_F(ReplicaClusterTest, AQuietGroupSendsNothing) {
  make();
  appended({});
  expect_level();
  cluster().world.run_for(std::chrono::seconds(5));
  const std::uint64_t sent = cluster().sent();
  cluster().world.run_for(std::chrono::minutes(1));
  EXPECT_EQ(cluster().sent(), sent);
}

// Goal: batches of one turn of the loop travel together. Method: count the messages with data that
// a turn with many appends makes.
TEST_F(ReplicaClusterTest, BatchesOfOneTurnShareAMessage) {
  make();
  appended({});
  expect_level();
  const Node leader = lead();
  int with_data = 0;
  cluster().on_message = [&](raft::Message&, std::vector<Bytes>& data) {
    with_data += data.empty() ? 0 : 1;
    return true;
  };
  int answered = 0;
  cluster().on(leader, [&] {
    for (int i = 0; i < 50; ++i)
      at(leader).append(batch({.text = "one of many"}), {}, [&](AppendOutcome outcome) {
        EXPECT_FALSE(outcome.error.has_value());
        ++answered;
      });
  });
  ASSERT_TRUE(cluster().wait([&] { return answered == 50; }));
  EXPECT_EQ(with_data, 2);  // one to each of the others
  expect_level();
}

// Goal: strict means on two disks of three before the answer, relaxed in two memories. Method: look
// at what is durable in the moment of each answer.
TEST_F(ReplicaClusterTest, AnAnswerMeansDurableOnAMajority) {
  for (const model::FlushMode flush : {model::FlushMode::kStrict, model::FlushMode::kRelaxed}) {
    ClusterOptions options;
    options.settings.flush_mode = flush;
    make(std::move(options));
    const Node leader = lead();
    ASSERT_TRUE(cluster().wait_until_level());
    std::size_t fewest_durable = 3;
    std::size_t fewest_in_memory = 3;
    std::size_t answers = 0;
    for (int i = 0; i < 400; ++i) {
      at(leader).append(batch({.padding = 500}), {}, [&](const AppendOutcome& outcome) {
        ASSERT_FALSE(outcome.error.has_value());
        ++answers;
        std::size_t durable = 0;
        std::size_t in_memory = 0;
        for (Node node = 0; node < 3; ++node) {
          const storage::Log& log = at(node).log();
          durable += log.durable_offset() > outcome.appended.base_offset ? 1 : 0;
          in_memory += log.end_offset() > outcome.appended.base_offset ? 1 : 0;
        }
        fewest_durable = std::min(fewest_durable, durable);
        fewest_in_memory = std::min(fewest_in_memory, in_memory);
      });
      cluster().world.run_for(std::chrono::milliseconds(1));
    }
    ASSERT_TRUE(cluster().wait([&] { return answers == 400; }));
    EXPECT_EQ(fewest_in_memory, 2u) << static_cast<int>(flush);
    if (flush == model::FlushMode::kStrict) {
      EXPECT_EQ(fewest_durable, 2u);
    } else {
      EXPECT_LT(fewest_durable, 2u);
    }
    expect_level();
  }
}

TEST_F(ReplicaClusterTest, FollowersServeReadersAndNobodyElse) {
  make();
  appended({.count = 3, .text = "a"});
  expect_level();
  const Node node = follower();
  EXPECT_EQ(refused(node, {}), ErrorCode::kNotLeaderOrFollower);
  EXPECT_EQ(refused(node, {}, Acks::kLeader), ErrorCode::kNotLeaderOrFollower);
  EXPECT_EQ(at(node).refusal(100)->code, ErrorCode::kNotLeaderOrFollower);
  EXPECT_EQ(at(node).leader_refusal()->code, ErrorCode::kNotLeaderOrFollower);
  std::optional<ErrorCode> code;
  at(node).delete_records(Offset{1}, [&](auto result) { code = result.error().code; });
  EXPECT_EQ(code, ErrorCode::kNotLeaderOrFollower);
  at(node).trim(Offset{1}, [&](auto result) { code = result.error().code; });
  EXPECT_EQ(code, ErrorCode::kNotLeaderOrFollower);
  at(node).find_max_time([&](auto result) { code = result.error().code; });
  EXPECT_EQ(code, ErrorCode::kNotLeaderOrFollower);
  EXPECT_EQ(read(node, Offset{0})->next_offset, Offset{3});
  EXPECT_EQ(read(node, Offset{4}).error().code, ErrorCode::kOffsetNotAvailable);
  EXPECT_EQ(read(lead(), Offset{4}).error().code, ErrorCode::kOffsetOutOfRange);
  EXPECT_EQ(at(node).end_of_epoch(Term{1}), (storage::TermStart{Term{1}, Offset{3}}));
}

// Goal: a reader is never told that the log ends before what it has read. Method: a follower that
// restarts alone knows less than it told before.
TEST_F(ReplicaClusterTest, FollowersThatForgotWhatIsCommittedSendReadersAway) {
  make();
  appended({.count = 3, .text = "a"});
  expect_level();
  const Node node = follower();
  EXPECT_TRUE(read(node, Offset{3}).ok());
  cluster().isolate(node);
  cluster().kill(node);
  cluster().start(node);
  ASSERT_LT(at(node).bounds().high_watermark, Offset{3});
  EXPECT_EQ(read(node, Offset{3}).error().code, ErrorCode::kOffsetNotAvailable);
  cluster().heal();
  ASSERT_TRUE(cluster().wait_until_level());
  EXPECT_TRUE(read(node, Offset{3}).ok());
}

// Goal: readers at a follower hear of news. Method: a watch there, an append at the leader.
TEST_F(ReplicaClusterTest, WatchersAtFollowersHearWhatIsCommitted) {
  make();
  const Node node = follower();
  bool heard = false;
  at(node).watch(Offset{0}, Isolation::kReadUncommitted, [&] { heard = true; });
  appended({});
  EXPECT_TRUE(cluster().wait([&] { return heard; }, std::chrono::seconds(1)));
}

// ---- Changes of the leader

// Goal: what was acknowledged is there after the leader's end, and a retry of it is known. Method:
// the leader loses its power with everything unsynced.
TEST_F(ReplicaClusterTest, ARetryAfterAFailoverIsAnsweredWithTheFirstOffset) {
  make();
  EXPECT_EQ(appended({.text = "x"}), Offset{0});
  EXPECT_EQ(appended({.count = 3, .producer = kProducer, .sequence = 0, .text = "a"}), Offset{1});
  EXPECT_EQ(appended({.count = 2, .producer = kProducer, .sequence = 3, .text = "b"}), Offset{4});
  const Node old = lead();
  cluster().crash(old, Survival::kNothing);
  EXPECT_EQ(appended({.count = 3, .producer = kProducer, .sequence = 0, .text = "a"}), Offset{1});
  EXPECT_EQ(appended({.count = 2, .producer = kProducer, .sequence = 3, .text = "b"}), Offset{4});
  EXPECT_EQ(appended({.producer = kProducer, .sequence = 5, .text = "c"}), Offset{6});
  EXPECT_GT(at(lead()).term(), Term{1});
  cluster().start(old);
  expect_level();
  EXPECT_EQ(at(old).bounds().log_end, Offset{7});
}

// Goal: a new leader takes nothing of what a producer has sent behind a batch that was refused
// before it led, and says so in a way that makes no client give up its sequences; a gap that stays
// is one. Method: batches of a known and of an unknown producer around a handover, and later.
TEST_F(ReplicaClusterTest, WhatFollowsARefusedBatchIsRefusedLikewise) {
  make();
  appended({.producer = kProducer, .sequence = 0, .text = "first"});
  ASSERT_TRUE(cluster().wait_until_level());
  const Node old = lead();
  const Node heir = follower();
  const ProducerId unknown{78};
  const testing::Sent next{.producer = kProducer, .sequence = 1, .text = "second"};
  const testing::Sent last{.producer = kProducer, .sequence = 2, .text = "third"};
  EXPECT_EQ(refused(heir, next), ErrorCode::kNotLeaderOrFollower);
  ASSERT_EQ(at(old).transfer(cluster().id(heir)), raft::Refusal::kNone);
  ASSERT_TRUE(cluster().wait([&] { return at(heir).is_leader(); }));
  EXPECT_EQ(refused(heir, last), ErrorCode::kNotLeaderOrFollower);
  EXPECT_EQ(refused(heir, {.producer = unknown, .sequence = 1}), ErrorCode::kNotLeaderOrFollower);
  EXPECT_EQ(appended(next), Offset{1});
  EXPECT_EQ(appended(last), Offset{2});
  EXPECT_EQ(appended({.producer = unknown, .sequence = 0}), Offset{3});
  cluster().world.run_for(std::chrono::seconds(6));
  EXPECT_EQ(refused(heir, {.producer = kProducer, .sequence = 9}),
            ErrorCode::kOutOfOrderSequenceNumber);
  EXPECT_EQ(appended({.producer = ProducerId{79}, .sequence = 1}), Offset{4}) << "long forgotten";
  expect_level();
}

// Goal: an isolated leader acknowledges nothing, and what it appended meanwhile is cut off with its
// producers. Method: cut it off, append with acks=all and acks=1, let others write, heal.
TEST_F(ReplicaClusterTest, WhatWasNotAcknowledgedIsTakenBack) {
  make();
  appended({.producer = kProducer, .sequence = 0, .text = "kept"});
  const Node old = lead();
  const Term epoch = at(old).term();
  cluster().isolate(old);
  const auto waiting =
      begin(old, {.count = 2, .producer = kProducer, .sequence = 1, .text = "lost"});
  const auto hasty = begin(old, {.producer = ProducerId{78}, .text = "lost too"}, Acks::kLeader);
  ASSERT_TRUE(hasty->has_value());
  EXPECT_FALSE((*hasty)->error.has_value());
  EXPECT_FALSE(waiting->has_value());
  EXPECT_EQ(at(old).bounds().high_watermark, Offset{1}) << "readers see none of it";
  ASSERT_TRUE(cluster().wait([&] { return waiting->has_value(); }));
  EXPECT_EQ((*waiting)->error->code, ErrorCode::kNotLeaderOrFollower);
  EXPECT_NE(at(old).role(), raft::Role::kLeader);
  EXPECT_EQ(refused(old, {}), ErrorCode::kNotLeaderOrFollower);
  EXPECT_EQ(appended({.producer = kProducer, .sequence = 1, .text = "new"}), Offset{1});
  EXPECT_EQ(at(old).producers().size(), 2u);
  cluster().heal();
  expect_level();
  EXPECT_THAT(lines_of(cluster().read_all(old)),
              ElementsAre(fmt::format("0: kept of {}", epoch), HasSubstr("1: new of")));
  EXPECT_EQ(at(old).producers().size(), 1u);
  EXPECT_EQ(at(old).check_leader_epoch(epoch).error().code, ErrorCode::kFencedLeaderEpoch);
  EXPECT_EQ(at(lead()).end_of_epoch(epoch), (storage::TermStart{epoch, Offset{1}}));
}

// Goal: a leader that may be deposed and not know it says nothing final of a producer: another one
// may have taken what it misses. Found by the simulator, seed 100888682, as a broker that stood
// still.
TEST_F(ReplicaClusterTest, WhoMayLeadNoMoreRefusesNoSequence) {
  make();
  appended({.producer = kProducer, .sequence = 0});
  const Node old = lead();
  ASSERT_TRUE(cluster().wait([&] { return at(old).replica().leased(); }));
  EXPECT_EQ(refused(old, {.producer = kProducer, .sequence = 5}),
            ErrorCode::kOutOfOrderSequenceNumber);
  cluster().isolate(old);
  ASSERT_TRUE(cluster().wait([&] { return !at(old).replica().leased(); }));
  ASSERT_EQ(at(old).role(), raft::Role::kLeader) << "it hears of the end of its lease first";
  EXPECT_EQ(refused(old, {.producer = kProducer, .sequence = 5}), ErrorCode::kNotLeaderOrFollower);
}

TEST_F(ReplicaClusterTest, WatchersHearOfTheEndOfLeadership) {
  make();
  appended({});
  const Node old = lead();
  bool heard = false;
  at(old).watch(Offset{1}, Isolation::kReadUncommitted, [&] { heard = true; });
  cluster().isolate(old);
  EXPECT_TRUE(cluster().wait([&] { return heard; }, std::chrono::seconds(5)));
  EXPECT_NE(at(old).role(), raft::Role::kLeader);
}

// Goal: a new leader answers no reader before it knows what was shown before (E08). Method: it wins
// while nothing of its term can get back to it.
TEST_F(ReplicaClusterTest, ALeaderThatIsNotConfirmedServesNoReader) {
  make();
  appended({.count = 2});
  expect_level();
  const Node old = lead();
  const Node heir = follower();
  cluster().on_message = [&](raft::Message& message, std::vector<Bytes>&) {
    return !std::holds_alternative<raft::AppendReply>(message.body);
  };
  ASSERT_EQ(at(old).transfer(cluster().id(heir)), raft::Refusal::kNone);
  ASSERT_TRUE(cluster().wait([&] { return at(heir).role() == raft::Role::kLeader; }));
  EXPECT_FALSE(at(heir).is_leader());
  EXPECT_EQ(at(heir).leader_refusal()->code, ErrorCode::kOffsetNotAvailable);
  EXPECT_EQ(read(heir, Offset{0}).error().code, ErrorCode::kNotLeaderOrFollower);
  cluster().on_message = nullptr;
  ASSERT_TRUE(cluster().wait([&] { return at(heir).is_leader(); }));
  EXPECT_EQ(read(heir, Offset{0})->next_offset, Offset{2});
  EXPECT_FALSE(at(heir).leader_refusal().has_value());
}

// Goal: of two leaders, of which one does not know that it is deposed, one at most answers readers
// (E08). Method: the leader is cut off from the others, all the time or until it is heard again; at
// each step nobody may answer who knows of less than anybody has shown.
TEST_F(ReplicaClusterTest, ALeaderThatIsCutOffAnswersNoReaderOnceAnotherMayLead) {
  for (const int cut_off_ms : {100, 900, 1050, 5000}) {
    make();
    appended({.count = 2});
    expect_level();
    const Node old = lead();
    EXPECT_FALSE(at(old).leader_refusal().has_value());
    EXPECT_FALSE(at(old).reader_refusal().has_value());
    cluster().isolate(old);
    const common::Instant began = cluster().world.clock().now();
    Offset shown{2};
    bool refused_in_time = false;
    std::size_t answered = 0;
    while (cluster().world.clock().now() < began + std::chrono::seconds(4)) {
      cluster().world.run_for(std::chrono::milliseconds(1));
      const common::Duration passed = cluster().world.clock().now() - began;
      if (passed >= std::chrono::milliseconds(cut_off_ms)) cluster().heal();
      for (Node node = 0; node < 3; ++node) {
        if (at(node).leader_refusal().has_value()) continue;
        ++answered;
        EXPECT_GE(at(node).bounds().high_watermark, shown) << node << " after " << passed.count();
        shown = std::max(shown, at(node).bounds().high_watermark);
        if (answered % 50 == 0) begin(node, {.text = "more"});
      }
      const bool leads = at(old).role() == raft::Role::kLeader;
      refused_in_time |= leads && at(old).leader_refusal().has_value();
    }
    EXPECT_EQ(refused_in_time, cut_off_ms > 800) << cut_off_ms;
    EXPECT_GT(answered, 2000u) << cut_off_ms;
    EXPECT_GT(shown, Offset{2}) << cut_off_ms;
  }
}

// Goal: the time is read when a reader asks. Method: nothing of the leader's process runs for a
// while, and then a reader is the first to come.
TEST_F(ReplicaClusterTest, ALeaderThatStoodStillAnswersNoReader) {
  make();
  appended({.count = 2});
  expect_level();
  const Node old = lead();
  cluster().pause(old, std::chrono::seconds(10));
  cluster().world.run_for(std::chrono::milliseconds(400));
  EXPECT_FALSE(at(old).leader_refusal().has_value()) << "nobody else can lead yet";
  cluster().world.run_for(std::chrono::milliseconds(400));
  ASSERT_TRUE(at(old).is_leader()) << "as far as it knows";
  EXPECT_EQ(at(old).leader_refusal()->code, ErrorCode::kNotLeaderOrFollower);
  EXPECT_EQ(at(old).reader_refusal()->code, ErrorCode::kNotLeaderOrFollower);
  cluster().world.run_for(std::chrono::seconds(12));
  ASSERT_FALSE(at(old).is_leader());
  EXPECT_FALSE(at(old).reader_refusal().has_value()) << "it follows, and promises less";
  EXPECT_FALSE(at(lead()).leader_refusal().has_value());
}

// Goal: a leader that handed over answers nobody before it hears of its heir, or leads again.
// Method: the message to the heir gets lost, and is found after a while.
TEST_F(ReplicaClusterTest, AHandoverEndsTheLease) {
  make();
  appended({.count = 2});
  expect_level();
  const Node old = lead();
  const Node heir = follower();
  const Term term = at(old).term();
  std::optional<raft::Message> found;
  cluster().on_message = [&](raft::Message& message, std::vector<Bytes>&) {
    if (!std::holds_alternative<raft::TimeoutNow>(message.body)) return true;
    found = message;
    return false;
  };
  ASSERT_EQ(at(old).transfer(cluster().id(heir)), raft::Refusal::kNone);
  EXPECT_TRUE(found.has_value());
  EXPECT_TRUE(at(old).leader_refusal().has_value());
  cluster().world.run_for(std::chrono::milliseconds(500));
  EXPECT_TRUE(at(old).is_leader());
  EXPECT_TRUE(at(old).leader_refusal().has_value());
  ASSERT_TRUE(cluster().wait([&] { return at(old).is_leader() && at(old).term() > term; },
                             std::chrono::seconds(3)))
      << "nobody else wants to";
  EXPECT_FALSE(at(lead()).leader_refusal().has_value());
  // Too late.
  at(heir).step(*found, {}, cluster().world.clock().now());
  cluster().world.run_for(std::chrono::seconds(1));
  EXPECT_EQ(lead(), old);
}

// Goal: leadership moves without a pause that anybody notices. Method: hand over under load, and
// look at how long nobody could write.
TEST_F(ReplicaClusterTest, AHandoverTakesMilliseconds) {
  make();
  appended({});
  expect_level();
  const Node old = lead();
  const Node heir = follower();
  const auto waiting = begin(old, {.text = "under way"});
  const common::Instant began = cluster().world.clock().now();
  ASSERT_EQ(at(old).transfer(cluster().id(heir)), raft::Refusal::kNone);
  ASSERT_TRUE(cluster().wait([&] { return at(heir).is_leader(); }));
  EXPECT_LT(cluster().world.clock().now() - began, std::chrono::milliseconds(50));
  ASSERT_TRUE(waiting->has_value());
  EXPECT_FALSE((*waiting)->error.has_value()) << "the heir had to have it first";
  appended({.text = "later"});
  expect_level();
  EXPECT_EQ(at(old).transfer(cluster().id(third())), raft::Refusal::kNotLeader);
}

// Goal: nothing acknowledged is lost when all lose their power at once (E02). Method: clients
// write; all crash with a random part of the unsynced; again and again.
TEST_F(ReplicaClusterTest, APowerCutOfAllLosesNothing) {
  make({.seed = 4});
  Client client(cluster(), {.producer = kProducer});
  client.begin();
  for (int round = 0; round < 5; ++round) {
    const std::size_t before = client.acknowledged().size();
    ASSERT_TRUE(cluster().wait([&] { return client.acknowledged().size() > before + 20; }));
    for (Node i = 0; i < 3; ++i) cluster().crash(i);
    cluster().start_all();
  }
  client.end();
  ASSERT_TRUE(cluster().wait([&] { return client.idle(); }));
  EXPECT_EQ(client.failure(), "");
  expect_level();
  std::map<Offset, std::string> there;
  for (const Bytes& bytes : cluster().read_all(lead()))
    there[model::BatchView::parse(bytes)->base_offset()] = testing::text_of(bytes);
  for (const auto& one : client.acknowledged()) EXPECT_EQ(there[one.offset], one.text);
  EXPECT_EQ(there.size(), client.acknowledged().size()) << "and none of it is there twice";
}

// ---- Too few replicas

TEST_F(ReplicaClusterTest, FewerThanMinInsyncTakeNothing) {
  ClusterOptions options;
  options.settings.min_insync_replicas = 3;
  make(std::move(options));
  appended({});
  const Node lost = follower();
  const Node leader = lead();
  cluster().crash(lost);
  // Until that is noticed the write is taken, and is not acknowledged.
  const auto early = begin(leader, {.text = "early"});
  ASSERT_TRUE(cluster().wait([&] { return at(leader).in_sync().size() == 2; }));
  EXPECT_EQ(refused(leader, {}), ErrorCode::kNotEnoughReplicas);
  EXPECT_EQ(at(leader).refusal(100)->code, ErrorCode::kNotEnoughReplicas);
  EXPECT_EQ(refused(leader, {.text = "one"}, Acks::kLeader), ErrorCode::kNone);
  EXPECT_FALSE(early->has_value());
  ASSERT_TRUE(cluster().wait([&] { return at(leader).bounds().high_watermark == Offset{3}; }))
      << "readers do not wait for more than a majority";
  cluster().start(lost);
  ASSERT_TRUE(cluster().wait([&] { return early->has_value(); }));
  EXPECT_FALSE((*early)->error.has_value());
  EXPECT_EQ(appended({.text = "all"}), Offset{3});
  expect_level();
}

// Goal: as behind one that a replica refused before it led. Method: a batch is refused while too
// few are in sync, the next one comes when they are again.
TEST_F(ReplicaClusterTest, WhatFollowsABatchThatTooFewCouldTakeIsRefusedToo) {
  ClusterOptions options;
  options.settings.min_insync_replicas = 3;
  make(std::move(options));
  appended({.producer = kProducer, .sequence = 0});
  const Node lost = follower();
  const Node leader = lead();
  cluster().crash(lost);
  ASSERT_TRUE(cluster().wait([&] { return at(leader).in_sync().size() == 2; }));
  cluster().world.run_for(std::chrono::seconds(6));
  EXPECT_EQ(refused(leader, {.producer = kProducer, .sequence = 1}), ErrorCode::kNotEnoughReplicas);
  cluster().start(lost);
  ASSERT_TRUE(cluster().wait([&] { return at(leader).in_sync().size() == 3; }));
  EXPECT_EQ(refused(leader, {.producer = kProducer, .sequence = 2}),
            ErrorCode::kNotLeaderOrFollower);
  EXPECT_EQ(appended({.producer = kProducer, .sequence = 1}), Offset{1});
  EXPECT_EQ(appended({.producer = kProducer, .sequence = 2}), Offset{2});
  expect_level();
}

TEST_F(ReplicaClusterTest, AFollowerWithAFullDiskHoldsNobodyUp) {
  make();
  appended({});
  expect_level();
  const Node full = follower();
  cluster().disk(full).set_capacity(0);
  for (int i = 0; i < 300; ++i) appended({.padding = 4000});
  EXPECT_LT(at(full).bounds().log_end, at(lead()).bounds().log_end);
  EXPECT_EQ(cluster().leader(), lead());
  cluster().disk(full).set_capacity(std::uint64_t{1} << 40);
  expect_level();
}

// ---- Relaxed flush

// Goal: a replica that may have lost what it acknowledged says so and is caught up before it
// counts. Method: a follower loses its power with everything unsynced.
TEST_F(ReplicaClusterTest, WhoMayHaveLostSomethingIsReadmittedWhenItHasAll) {
  ClusterOptions options;
  options.settings.flush_mode = model::FlushMode::kRelaxed;
  make(std::move(options));
  for (int i = 0; i < 10; ++i) appended({.producer = kProducer, .sequence = i});
  ASSERT_TRUE(cluster().wait_until_level());
  const Node lost = follower();
  cluster().crash(lost, Survival::kNothing);
  appended({.producer = kProducer, .sequence = 10});
  cluster().start(lost);
  EXPECT_TRUE(at(lost).group()->unclean());
  expect_level();
  ASSERT_TRUE(cluster().wait([&] { return !at(lost).group()->unclean(); }));
  EXPECT_THAT(cluster().notes(lost), Contains(HasSubstr("event=replica-readmitted")));
  cluster().stop(lost);
  cluster().start(lost);
  EXPECT_FALSE(at(lost).group()->unclean()) << "a clean stop loses nothing";
}

TEST_F(ReplicaClusterTest, StrictReplicasComeBackClean) {
  make();
  appended({});
  const Node lost = follower();
  cluster().crash(lost, Survival::kNothing);
  cluster().start(lost);
  EXPECT_FALSE(at(lost).group()->unclean());
  expect_level();
}

// ---- Trimmed logs

TEST_F(ReplicaClusterTest, FollowersFollowTheLogStart) {
  make();
  for (int i = 0; i < 10; ++i) appended({.text = "x"});
  std::optional<Result<Offset>> deleted;
  at(lead()).delete_records(Offset{7}, [&](auto result) { deleted = std::move(result); });
  ASSERT_TRUE(cluster().wait([&] { return deleted.has_value(); }));
  EXPECT_EQ(**deleted, Offset{7});
  appended({.text = "y"});
  expect_level_logs();
  for (Node i = 0; i < 3; ++i) EXPECT_EQ(at(i).bounds().log_start, Offset{7}) << i;
}

// Goal: a log that nobody writes to any more is trimmed on all replicas. Method: records are
// deleted, and retention takes others away, without a write behind; one message of each is lost.
TEST_F(ReplicaClusterTest, FollowersOfAQuietGroupHearOfATrim) {
  ClusterOptions options;
  options.settings.segment_bytes = 2000;
  make(std::move(options));
  for (int i = 0; i < 20; ++i) appended({.padding = 500});
  ASSERT_TRUE(cluster().wait_until_level());
  cluster().world.run_for(std::chrono::seconds(1));
  const auto level_at = [&](Offset start) {
    return std::ranges::all_of(std::array<Node, 3>{0, 1, 2}, [&](Node i) {
      return at(i).bounds().log_start == start && at(i).group()->quiet();
    });
  };
  std::optional<Result<Offset>> deleted;
  at(lead()).delete_records(Offset{2}, [&](auto result) { deleted = std::move(result); });
  EXPECT_TRUE(cluster().wait([&] { return level_at(Offset{2}); }, std::chrono::seconds(1)));

  model::TopicSettings settings = cluster().options().settings;
  settings.retention_bytes = 1;
  cluster().set_settings(settings);
  int lost = 0;
  cluster().on_message = [&](raft::Message&, std::vector<Bytes>&) { return ++lost > 2; };
  cluster().store(lead()).apply_retention();
  const Offset start = at(lead()).log().start_offset();
  EXPECT_GT(start, Offset{10});
  EXPECT_TRUE(cluster().wait([&] { return level_at(start); }, std::chrono::seconds(2)));
  EXPECT_GT(lost, 2);
}

// Goal: a deletion that was confirmed is one for the next leader too. Method: it is not confirmed
// while no follower can say that it heard of it; when one has, the leader ends.
TEST_F(ReplicaClusterTest, AConfirmedDeletionOutlivesItsLeader) {
  make();
  for (int i = 0; i < 10; ++i) appended({.text = "x"});
  ASSERT_TRUE(cluster().wait_until_level());
  const Node old = lead();
  std::optional<Result<Offset>> deleted;
  cluster().on_message = [&](raft::Message& message, std::vector<Bytes>&) {
    return !std::holds_alternative<raft::AppendReply>(message.body);
  };
  at(old).delete_records(Offset{7}, [&](auto result) { deleted = std::move(result); });
  cluster().world.run_for(std::chrono::milliseconds(500));
  EXPECT_FALSE(deleted.has_value());
  cluster().on_message = nullptr;
  ASSERT_TRUE(cluster().wait([&] { return deleted.has_value(); }));
  ASSERT_TRUE(deleted->ok());
  EXPECT_EQ(**deleted, Offset{7});
  cluster().kill(old);
  EXPECT_EQ(at(lead()).bounds().log_start, Offset{7});
}

// Goal: what one leader has trimmed does not come back with the next one. Method: a leader that
// nobody hears any more deletes records; another one leads without knowing.
TEST_F(ReplicaClusterTest, ATrimOutlivesItsLeader) {
  make();
  for (int i = 0; i < 10; ++i) appended({.text = "x"});
  ASSERT_TRUE(cluster().wait_until_level());
  const Node old = lead();
  cluster().isolate(old);
  std::optional<Result<Offset>> deleted;
  at(old).delete_records(Offset{7}, [&](auto result) { deleted = std::move(result); });
  ASSERT_TRUE(cluster().wait([&] { return deleted.has_value(); }));
  EXPECT_EQ(deleted->error().code, ErrorCode::kNotLeaderOrFollower) << "nobody has heard of it";
  ASSERT_TRUE(cluster().wait([&] { return lead() != old; }));
  ASSERT_EQ(at(lead()).bounds().log_start, Offset{0});
  cluster().heal();
  ASSERT_TRUE(cluster().wait([&] {
    return std::ranges::all_of(std::array<Node, 3>{0, 1, 2},
                               [&](Node i) { return at(i).bounds().log_start == Offset{7}; });
  }));
  expect_level_logs();
}

// Goal: retention is the leader's, within what is committed. Method: a topic that keeps next to
// nothing; every replica is asked to apply it.
TEST_F(ReplicaClusterTest, RetentionIsTheLeadersAndStaysBehindTheCommitOffset) {
  ClusterOptions options;
  options.settings.retention_bytes = 1;
  options.settings.segment_bytes = 2000;
  make(std::move(options));
  for (int i = 0; i < 20; ++i) appended({.padding = 500});
  ASSERT_TRUE(cluster().wait_until_level());
  const Node node = follower();
  cluster().store(node).apply_retention();
  EXPECT_EQ(at(node).bounds().log_start, Offset{0}) << "a follower waits for its leader";
  const Node leader = lead();
  cluster().isolate(leader);
  for (int i = 0; i < 20; ++i) begin(leader, {.padding = 500}, Acks::kLeader);
  cluster().world.run_for(std::chrono::milliseconds(100));
  ASSERT_EQ(at(leader).log().durable_offset(), Offset{40});
  cluster().store(leader).apply_retention();
  EXPECT_GT(at(leader).bounds().log_start, Offset{0});
  EXPECT_LE(at(leader).bounds().log_start, Offset{20});
  cluster().heal();
  appended({});
  expect_level();
}

// Goal: who comes back to a leader that has not got what follows its log begins anew there, and
// knows the producers. Method: a follower is away while the leader's log is trimmed; then it leads.
TEST_F(ReplicaClusterTest, WhoIsBehindTheLogStartBeginsAnew) {
  make();
  for (int i = 0; i < 3; ++i) appended({.producer = kProducer, .sequence = i, .text = "old"});
  const Node away = follower();
  cluster().crash(away);
  for (int i = 3; i < 9; ++i) appended({.producer = kProducer, .sequence = i, .text = "gone"});
  appended({.producer = ProducerId{5}, .sequence = 0, .text = "idle"});
  const Node leader = lead();
  std::optional<Result<Offset>> deleted;
  at(leader).delete_records(Offset{-1}, [&](auto result) { deleted = std::move(result); });
  ASSERT_TRUE(cluster().wait([&] { return deleted.has_value(); }));
  EXPECT_EQ(**deleted, Offset{10});
  appended({.producer = kProducer, .sequence = 9, .text = "new"});
  cluster().start(away);
  ASSERT_TRUE(cluster().wait_until_level());
  EXPECT_EQ(at(away).bounds().log_start, Offset{10});
  EXPECT_THAT(lines_of(cluster().read_all(away)), ElementsAre(HasSubstr("10: new of")));
  EXPECT_EQ(without_times(at(away).producers()), without_times(at(leader).producers()));
  // And so it is after a crash that follows.
  cluster().crash(away);
  cluster().start(away);
  ASSERT_TRUE(cluster().wait_until_level());
  EXPECT_EQ(without_times(at(away).producers()), without_times(at(leader).producers()));
  ASSERT_EQ(at(leader).transfer(cluster().id(away)), raft::Refusal::kNone);
  ASSERT_TRUE(cluster().wait([&] { return at(away).is_leader(); }));
  EXPECT_EQ(appended({.producer = kProducer, .sequence = 7, .text = "gone"}), Offset{7});
  EXPECT_EQ(appended({.producer = ProducerId{5}, .sequence = 0, .text = "idle"}), Offset{9});
  EXPECT_EQ(appended({.producer = kProducer, .sequence = 10, .text = "next"}), Offset{11});
}

// Goal: a log may begin inside a batch, as records are deleted up to any offset: who begins anew
// there has the same, before and after a restart.
TEST_F(ReplicaClusterTest, ALogThatBeginsInsideABatchGetsOver) {
  make();
  appended({.text = "old"});
  const Node away = follower();
  cluster().crash(away);
  for (int i = 0; i < 4; ++i)
    appended({.count = 5, .producer = kProducer, .sequence = 5 * i, .text = fmt::format("b{}", i)});
  const Node leader = lead();
  std::optional<Result<Offset>> deleted;
  at(leader).delete_records(Offset{13}, [&](auto result) { deleted = std::move(result); });
  ASSERT_TRUE(cluster().wait([&] { return deleted.has_value(); }));
  cluster().start(away);
  ASSERT_TRUE(cluster().wait_until_level());
  for (const bool restarted : {false, true}) {
    if (restarted) {
      cluster().crash(away);
      cluster().start(away);
      ASSERT_TRUE(cluster().wait_until_level());
    }
    EXPECT_EQ(at(away).bounds().log_start, Offset{13});
    EXPECT_EQ(cluster().read_all(away), cluster().read_all(leader));
    EXPECT_THAT(lines_of(cluster().read_all(away)),
                ElementsAre(HasSubstr("11: b2 of"), HasSubstr("16: b3 of")));
    EXPECT_EQ(without_times(at(away).producers()), without_times(at(leader).producers()));
  }
  ASSERT_EQ(at(leader).transfer(cluster().id(away)), raft::Refusal::kNone);
  ASSERT_TRUE(cluster().wait([&] { return at(away).is_leader(); }));
  EXPECT_EQ(appended({.count = 5, .producer = kProducer, .sequence = 10, .text = "b2"}),
            Offset{11});
  EXPECT_EQ(appended({.producer = kProducer, .sequence = 20, .text = "on"}), Offset{21});
  expect_level_logs();
}

// Goal: what a producer did in front of a log's start is known after any loss of power. Method:
// checkpoints that know of less, trims behind them, then all lose their power.
TEST_F(ReplicaClusterTest, ProducersOutliveTheirRecords) {
  ClusterOptions options;
  options.settings.segment_bytes = 1000;
  options.settings.file_delete_delay_ms = 0;
  make(std::move(options));
  for (int i = 0; i < 4; ++i) appended({.producer = kProducer, .sequence = i, .padding = 300});
  ASSERT_TRUE(cluster().wait_until_level());
  for (Node i = 0; i < 3; ++i) {
    bool done = false;
    cluster().store(i).checkpoint([&](auto) { done = true; });
    ASSERT_TRUE(cluster().wait([&] { return done; }));
  }
  for (int i = 4; i < 12; ++i) appended({.producer = kProducer, .sequence = i, .padding = 300});
  bool trimmed = false;
  at(lead()).delete_records(Offset{-1}, [&](auto) { trimmed = true; });
  ASSERT_TRUE(cluster().wait([&] { return trimmed; }));
  appended({.text = "somebody else"});
  ASSERT_TRUE(cluster().wait_until_level());
  const auto before = without_times(at(lead()).producers());
  for (Node i = 0; i < 3; ++i) cluster().crash(i, Survival::kNothing);
  cluster().start_all();
  ASSERT_TRUE(cluster().wait_until_level());
  for (Node i = 0; i < 3; ++i) EXPECT_EQ(without_times(at(i).producers()), before) << i;
  EXPECT_EQ(appended({.producer = kProducer, .sequence = 11, .padding = 300}), Offset{11});
}

// Goal: a log that was compacted gets over to others, dense. Method: keys that supersede each
// other, a compaction of the leader's log, a replica that begins with nothing.
TEST_F(ReplicaClusterTest, ACompactedLogGetsOver) {
  ClusterOptions options;
  options.nodes = 4;
  options.settings.compact = true;
  options.settings.delete_old = false;
  options.settings.segment_bytes = 2000;
  options.settings.min_cleanable_dirty_ratio = 0;
  options.settings.file_delete_delay_ms = 0;
  make(std::move(options));
  for (int i = 0; i < 60; ++i) {
    appended(
        {.text = fmt::format("v{}", i), .key = i % 20 == 7 ? "rare" : "often", .padding = 100});
  }
  const Node leader = lead();
  bool checkpointed = false;
  cluster().store(leader).checkpoint([&](auto) { checkpointed = true; });
  ASSERT_TRUE(cluster().wait([&] { return checkpointed; }));
  cluster().store(leader).compact();
  ASSERT_TRUE(cluster().wait([&] { return cluster().store(leader).stats().compaction.runs > 0; }));
  const std::vector<Bytes> batches = cluster().read_all(leader);
  ASSERT_LT(batches.size(), 50u) << "nothing was compacted";
  ASSERT_EQ(at(leader).reconfigure(raft::Change::kAddLearner, cluster().id(3)),
            raft::Refusal::kNone);
  ASSERT_TRUE(cluster().wait_until_level());
  std::vector<std::string> with_records;
  Offset next;
  for (const Bytes& bytes : cluster().read_all(3)) {
    const auto view = model::BatchView::parse(bytes).value();
    EXPECT_EQ(view.base_offset(), next) << "its log is dense";
    next = view.next_offset();
    if (view.record_count() > 0) with_records.push_back(lines_of({bytes}).front());
  }
  std::vector<std::string> wanted;
  for (const Bytes& bytes : batches) {
    if (model::BatchView::parse(bytes)->record_count() > 0)
      wanted.push_back(lines_of({bytes}).front());
  }
  EXPECT_EQ(with_records, wanted);
  EXPECT_EQ(next, Offset{60});
}

}  // namespace
}  // namespace millrace::replica
