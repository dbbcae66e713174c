// Who is let in, who is alive, and that nobody who comes to the door does harm.
#include "broker/cluster/hub.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "broker/cluster/testing/raw_peer.h"
#include "broker/cluster/testing/sim_cluster.h"

namespace millrace::cluster {
namespace {

using model::BrokerId;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using testing::RawPeer;
using testing::SimBroker;
using testing::SimCluster;
using ::testing::SizeIs;
using namespace std::chrono_literals;

constexpr BrokerId kOne{1};
constexpr BrokerId kTwo{2};

class HubTest : public ::testing::Test {
 protected:
  HubTest() {
    cluster.add(1, 2);
    cluster.add(2, 2);
  }
  void start() {
    cluster.start_all();
    ASSERT_TRUE(cluster.run_until([this] { return cluster.all_alive(); }, 1s));
  }
  SimBroker& one() { return cluster.broker(1); }
  SimBroker& two() { return cluster.broker(2); }
  bool one_sees_two() { return one().recorder(0).alive.contains(kTwo); }
  /// How long until broker 1 has noticed that broker 2 is not there.
  Duration time_to_suspect() {
    const Instant before = cluster.world.clock().now();
    CHECK(cluster.run_until([this] { return !one_sees_two(); }));
    return cluster.world.clock().now() - before;
  }
  std::vector<Sign> told(std::size_t shard) {
    std::vector<Sign> signs;
    for (const Transition& transition : one().recorder(shard).transitions)
      signs.push_back(transition.sign);
    return signs;
  }

  SimCluster cluster{11};
};

// ---- Liveness

TEST_F(HubTest, BrokersMeetAndTellOfThemselves) {
  start();
  two().hub->set_state({.recovered = true, .out_of_space = true, .applied = model::Offset{77}});
  cluster.world.run_for(200ms);
  const auto health = one().hub->health();
  ASSERT_THAT(health, SizeIs(1));
  EXPECT_EQ(health[0].node, kTwo);
  EXPECT_TRUE(health[0].alive);
  EXPECT_TRUE(health[0].state.recovered);
  EXPECT_TRUE(health[0].state.out_of_space);
  EXPECT_EQ(health[0].state.applied, model::Offset{77});
  EXPECT_EQ(*one().hub->introduction(kTwo), *two().introduction);
  EXPECT_EQ(*one().mesh(1).introduction(kTwo), *two().introduction);
  EXPECT_EQ(one().hub->metrics_now().brokers_alive, 1U);
}

// A killed process whose host still answers is suspected at once.
TEST_F(HubTest, AKilledProcessIsSuspectedAtOnce) {
  start();
  cluster.world.run_for(5s);
  cluster.crash(2, true);
  EXPECT_LT(time_to_suspect(), 10ms);
  cluster.world.run_for(1ms);
  EXPECT_THAT(told(0), ElementsAre(Sign::kAlive, Sign::kSuspect));
  EXPECT_EQ(told(1), told(0));
  EXPECT_TRUE(one().mesh(1).suspected(kTwo));
  EXPECT_FALSE(one().mesh(1).alive(kTwo));
  EXPECT_FALSE(one().mesh(1).suspected(BrokerId{99}));
}

TEST_F(HubTest, ALostHostIsSuspectedAfterTheTimeout) {
  start();
  cluster.world.run_for(5s);
  cluster.network.partition("b1", "b2");
  const Duration time = time_to_suspect();
  EXPECT_GE(time, 850ms);
  EXPECT_LE(time, 1010ms);
  cluster.world.run_for(1min);
  EXPECT_THAT(told(0), ElementsAre(Sign::kAlive, Sign::kSuspect));
  cluster.network.heal_all();
  EXPECT_TRUE(cluster.run_until([this] { return cluster.all_alive(); }, 5s));
  EXPECT_THAT(told(1), ElementsAre(Sign::kAlive, Sign::kSuspect, Sign::kAlive));
}

TEST_F(HubTest, AnOutageOfOneSecondAndABitHealsSoon) {
  start();
  cluster.world.run_for(5s);
  cluster.network.partition("b1", "b2");
  cluster.world.run_for(1500ms);
  cluster.network.heal_all();
  EXPECT_TRUE(cluster.run_until([this] { return cluster.all_alive(); }, 5s));
}

TEST_F(HubTest, ARestartIsToldAsSuch) {
  start();
  const common::Uuid before = two().introduction->incarnation;
  cluster.crash(2, true);
  cluster.world.run_for(3s);
  cluster.start(2);
  ASSERT_TRUE(cluster.run_until([this] { return cluster.all_alive(); }, 3s));
  EXPECT_THAT(told(0), ElementsAre(Sign::kAlive, Sign::kSuspect, Sign::kRestarted, Sign::kAlive));
  const auto& transitions = one().recorder(1).transitions;
  EXPECT_EQ(transitions[1].incarnation, before);
  EXPECT_EQ(transitions[2].incarnation, two().introduction->incarnation);
  EXPECT_EQ(transitions[2].directory, two().introduction->directory);
  EXPECT_EQ(one().hub->metrics_now().restarts, 1U);
}

TEST_F(HubTest, HeartbeatsSayWhatLeadersMayRelyOn) {
  start();
  cluster.world.run_for(1s);
  const Instant now = cluster.world.clock().now();
  for (std::size_t shard = 0; shard < 2; ++shard) {
    const raft::Word word = one().recorder(shard).words.at(kTwo);
    EXPECT_EQ(word.trust, two().recorder(0).transitions.back().trust);
    EXPECT_EQ(word.patience, cluster.settings.silence_max);
    EXPECT_FALSE(word.wordless);
    // Sent with one heartbeat, and repeated with the next one that comes back.
    EXPECT_LE(word.heard, now);
    EXPECT_GE(word.heard, now - 310ms);
  }
}

// Goal: nobody is suspected before what he was told has run out, whatever gets lost. Method: cuts
// at random, some one way; whenever broker 2 gives broker 1 up, the newest word that it gave under
// this number is looked at.
TEST_F(HubTest, AWordHoldsAsLongAsItSays) {
  start();
  common::Random random(5);
  for (int i = 0; i < 60; ++i) {
    const std::size_t before = two().recorder(0).transitions.size();
    const raft::Trust trust = two().recorder(0).transitions.back().trust;
    if (random.chance(1, 2)) cluster.network.cut("b1", "b2");
    if (random.chance(1, 2)) cluster.network.cut("b2", "b1");
    Instant relied_on_until{};
    bool given_up = false;
    for (int step = 0; step < 1500 && !given_up; ++step) {
      cluster.world.run_for(1ms);
      const auto word = one().recorder(0).words.find(kTwo);
      if (word != one().recorder(0).words.end() && word->second.trust == trust)
        relied_on_until = std::max(relied_on_until, word->second.heard + word->second.patience);
      const auto& transitions = two().recorder(0).transitions;
      given_up = transitions.size() > before && transitions[before].sign == Sign::kSuspect;
    }
    EXPECT_TRUE(!given_up || cluster.world.clock().now() >= relied_on_until) << i;
    cluster.network.heal_all();
    ASSERT_TRUE(cluster.run_until([this] { return cluster.all_alive(); }, 10s));
    cluster.world.run_for(common::Duration{random.between(0, 1'000'000'000)});
  }
}

// Brokers of the first version say nothing of the kind, and are told nothing that they do not know.
TEST_F(HubTest, TheFirstVersionHasNoWords) {
  start();
  RawPeer peer(cluster, "elder");
  Hello hello = peer.hello(9, 1);
  hello.version_max = 1;
  hello.channel = Channel::kBrokers;
  peer.connect("b1");
  peer.send(encode(hello));
  cluster.world.run_for(100ms);
  ASSERT_THAT(peer.frames(), SizeIs(1));
  EXPECT_EQ(decode_welcome(peer.frames()[0].body)->version, 1);
  peer.send(encode(Heartbeat{.state = {.recovered = true}}, 1));
  cluster.world.run_for(100ms);
  EXPECT_TRUE(one().recorder(1).words.at(BrokerId{9}).wordless);
}

TEST_F(HubTest, AGoodbyeIsHeardAtOnce) {
  start();
  cluster.world.run_for(2s);
  two().hub->goodbye();
  EXPECT_LT(time_to_suspect(), 2ms);
  // It is not let in again, nor taken for alive, while it is still there.
  cluster.world.run_for(10s);
  EXPECT_FALSE(one_sees_two());
  cluster.crash(2, true);
  cluster.start(2);
  EXPECT_TRUE(cluster.run_until([this] { return cluster.all_alive(); }, 3s));
}

TEST_F(HubTest, WhoeverSeeksTheClusterIsMet) {
  start();
  cluster.add(3, 4);
  cluster.start(3);
  ASSERT_TRUE(cluster.run_until([this] { return cluster.all_alive(); }, 3s));
  EXPECT_EQ(one().logged("event=guest_broker broker=3"), 1U);
  // Gone, a guest is forgotten after a while.
  cluster.crash(3, true);
  cluster.world.run_for(70s);
  EXPECT_THAT(one().hub->health(), SizeIs(1));
  cluster.start(3);
  EXPECT_TRUE(cluster.run_until([this] { return cluster.all_alive(); }, 3s));
}

TEST_F(HubTest, ABrokerThatMovedIsFound) {
  start();
  cluster.crash(2, true);
  two().host = "elsewhere";
  cluster.start(2, [](SimCluster::Plan& plan) { plan.introduction.internal.host = "elsewhere"; });
  ASSERT_TRUE(cluster.run_until([this] { return cluster.all_alive(); }, 3s));
  cluster.world.run_for(10s);
  EXPECT_TRUE(cluster.all_alive());
  EXPECT_TRUE(one().mesh(0).alive(kTwo));
}

TEST_F(HubTest, ARemovedBrokerIsGoneUntilItComesAsAGuest) {
  start();
  cluster.network.partition("b1", "b2");
  one().hub->remove_peer(kTwo);
  cluster.world.run_for(1s);
  EXPECT_THAT(one().hub->health(), IsEmpty());
  EXPECT_THAT(told(0), ElementsAre(Sign::kAlive, Sign::kSuspect));
  cluster.network.heal_all();
  EXPECT_TRUE(cluster.run_until([this] { return cluster.all_alive(); }, 5s));
}

// Goal: a broker that cannot be reached is sought for ever, but not in a frenzy. Method: count how
// often broker 1 comes to an address whose connections close at once, while that takes no time.
TEST_F(HubTest, AttemptsAreSpacedOut) {
  env::testing::SimLoop& loop = cluster.world.make_loop();
  const auto transport = cluster.network.join(loop, "b2");
  std::vector<Instant> visits;
  const auto listener =
      std::move(transport->listen({"", SimCluster::kPort}, [&](std::unique_ptr<env::Connection>) {
        visits.push_back(cluster.world.clock().now());
      })).value();
  cluster.start(1);
  cluster.world.run_for(5s);
  // 20 ms, then twice as long each time, at random between half and all of it.
  EXPECT_GE(visits.size(), 6U);
  EXPECT_LE(visits.size(), 20U);
  visits.clear();
  cluster.world.run_for(1min);
  EXPECT_GE(visits.size(), 58U);
  EXPECT_LE(visits.size(), 122U);
  // Not in step.
  std::set<Duration> pauses;
  for (std::size_t i = 1; i < visits.size(); ++i) pauses.insert(visits[i] - visits[i - 1]);
  EXPECT_GT(pauses.size(), 50U);
}

// ---- The door

TEST_F(HubTest, AnotherClusterIsTurnedAwayAndLoggedOnce) {
  cluster.start(1);
  cluster.start(2, [](SimCluster::Plan& plan) { plan.introduction.cluster_id = "another"; });
  cluster.world.run_for(30s);
  EXPECT_FALSE(one_sees_two());
  EXPECT_EQ(one().logged("event=broker_turned_away broker=2"), 1U);
  EXPECT_EQ(one().logged("event=broker_not_reached broker=2"), 1U);
  EXPECT_EQ(one().logged("you belong to cluster another, broker 1 to cluster simulated"), 1U);
}

// Goal: two processes with one node id do not both take part. Method: a second broker 2 on another
// host while the first is alive; the first dies, and the second takes its place.
TEST_F(HubTest, TheSameNodeWithAnotherDirectoryIsTurnedAway) {
  start();
  RawPeer twin(cluster, "twin");
  Hello hello = twin.hello(2, 1);
  hello.channel = Channel::kBrokers;
  twin.connect("b1");
  twin.send(encode(hello));
  cluster.world.run_for(100ms);
  ASSERT_THAT(twin.frames(), SizeIs(1));
  const auto refusal = decode_turned_away(twin.frames()[0].body);
  ASSERT_TRUE(refusal.ok());
  EXPECT_EQ(refusal->reason, RefusalReason::kDirectory);
  EXPECT_EQ(one().logged("event=broker_turned_away broker=2"), 1U);
  EXPECT_TRUE(one_sees_two());
  cluster.crash(2, true);
  time_to_suspect();
  twin.connect("b1");
  twin.send(encode(hello));
  EXPECT_TRUE(cluster.run_until([this] { return one_sees_two(); }, 1s));
  EXPECT_EQ(one().recorder(0).transitions.back().directory, hello.who.directory);
}

TEST_F(HubTest, VersionsThatNobodySpeaksAreTurnedAway) {
  start();
  RawPeer peer(cluster, "future");
  Hello hello = peer.hello(9, 1);
  hello.version_min = hello.version_max = kVersionMax + 1;
  peer.connect("b1");
  peer.send(encode(hello));
  cluster.world.run_for(100ms);
  ASSERT_THAT(peer.frames(), SizeIs(1));
  EXPECT_EQ(decode_turned_away(peer.frames()[0].body)->reason, RefusalReason::kVersion);
  // It is expected to go; if not, it is sent away.
  cluster.world.run_for(5s);
  EXPECT_TRUE(peer.closed());
}

TEST_F(HubTest, GuestsAreBounded) {
  cluster.settings.guests_max = 3;
  start();
  std::vector<std::unique_ptr<RawPeer>> peers;
  std::size_t welcome = 0;
  for (std::int32_t node = 100; node < 110; ++node) {
    peers.push_back(std::make_unique<RawPeer>(cluster, fmt::format("guest{}", node)));
    peers.back()->connect("b1");
    peers.back()->send(encode(peers.back()->hello(node, 1)));
    cluster.world.run_for(10ms);
    ASSERT_THAT(peers.back()->frames(), SizeIs(1));
    welcome += peers.back()->frames()[0].head.type == FrameType::kWelcome ? 1 : 0;
  }
  EXPECT_EQ(welcome, 3U);
  EXPECT_TRUE(cluster.all_alive());
}

// Goal: garbage ends its own connection and nothing else. Method: connections that bring random
// bytes, a hello cut short, or nothing; meanwhile the brokers stay alive for each other.
TEST_F(HubTest, GarbageAtTheDoorHarmsNobody) {
  start();
  common::Random random(3);
  std::vector<std::unique_ptr<RawPeer>> peers;
  for (int i = 0; i < 200; ++i) {
    peers.push_back(std::make_unique<RawPeer>(cluster, fmt::format("evil{}", i)));
    RawPeer& peer = *peers.back();
    peer.connect("b1");
    const Bytes hello = encode(peer.hello(50, 1));
    if (i % 3 == 0) {
      Bytes bytes = Bytes::allocate(random.below(3000) + 1);
      for (auto& byte : bytes.mutable_view()) byte = static_cast<std::uint8_t>(random.next());
      peer.send(bytes);
    } else if (i % 3 == 1) {
      peer.send(hello.view().first(random.below(hello.size())));
    }
    cluster.world.run_for(1ms);
  }
  cluster.world.run_for(10s);
  for (const auto& peer : peers) EXPECT_TRUE(peer->closed());
  EXPECT_TRUE(cluster.all_alive());
  EXPECT_THAT(told(0), ElementsAre(Sign::kAlive));
  EXPECT_LE(one().logged("event=not_a_broker"), 2U);
  EXPECT_EQ(one().hub->traffic().input_bytes, 0U);
}

// Goal: a peer that got in and then lies loses its connection, and nothing else happens. Method: a
// guest that sends, behind a right hello, frames of all types with random bodies and right
// checksums.
TEST_F(HubTest, ALyingGuestHarmsNobody) {
  start();
  common::Random random(4);
  for (int i = 0; i < 300; ++i) {
    RawPeer peer(cluster, "liar");
    Hello hello = peer.hello(50, 1);
    hello.who.directory = one().introduction->directory;
    hello.channel = random.chance(1, 2) ? Channel::kShards : Channel::kBrokers;
    hello.to_shard = static_cast<std::uint32_t>(random.below(2));
    peer.connect("b1");
    peer.send(encode(hello));
    cluster.world.run_for(2ms);
    for (int frame = 0; frame < 5 && !peer.closed(); ++frame) {
      FieldWriter out;
      begin_frame(out);
      for (std::uint64_t left = random.below(60); left > 0; --left)
        out.byte(static_cast<std::uint8_t>(random.chance(1, 2) ? random.below(4) : random.next()));
      const auto type = static_cast<FrameType>(random.between(3, 10));
      const bool data = type >= FrameType::kRaft && random.chance(1, 3);
      peer.send(end_frame(out, type, 1, data ? random.below(1 << 20) : 0));
      peer.send(std::vector<std::uint8_t>(data ? random.below(5000) : 0));
      cluster.world.run_for(1ms);
    }
    peer.close();
    cluster.world.run_for(1ms);
  }
  cluster.world.run_for(30s);
  EXPECT_TRUE(cluster.all_alive());
  EXPECT_EQ(one().recorder(0).alive.size(), 1U);
  EXPECT_GT(one().mesh(0).metrics_now().malformed + one().mesh(1).metrics_now().malformed, 20U);
  EXPECT_EQ(one().mesh(0).metrics_now().input_bytes, 0U);
  EXPECT_EQ(one().mesh(1).metrics_now().input_bytes, 0U);
}

}  // namespace
}  // namespace millrace::cluster
