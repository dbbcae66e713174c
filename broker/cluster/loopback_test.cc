// Brokers of this module on the machine's own sockets and threads.
#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <mutex>
#include <optional>

#include "broker/cluster/hub.h"
#include "broker/cluster/mesh.h"
#include "broker/cluster/testing/sim_cluster.h"
#include "broker/env/real_transport.h"
#include "broker/env/testing/both_worlds.h"

namespace millrace::cluster {
namespace {

using model::BrokerId;
using testing::Recorder;
using testing::shard_by_index;
using namespace std::chrono_literals;

constexpr Method kMethod{3};

Introduction introduction_of(std::int32_t node, std::uint32_t shards, const env::Endpoint& at) {
  Introduction who;
  who.cluster_id = "loopback";
  who.node = BrokerId{node};
  who.directory.bytes[0] = static_cast<std::uint8_t>(node + 1);
  who.incarnation.bytes[1] = static_cast<std::uint8_t>(node + 1);
  who.shards = shards;
  who.internal = at;
  return who;
}

raft::Message message(const Introduction& from, const Introduction& to) {
  raft::Message message;
  message.from = {from.node, from.directory};
  message.to = {to.node, to.directory};
  message.term = model::Term{1};
  message.body = raft::TimeoutNow{};
  return message;
}

model::PartitionKey partition(std::int32_t index) {
  model::PartitionKey key;
  key.topic.bytes[0] = 5;
  key.index = model::PartitionIndex{index};
  return key;
}

// ---- Two brokers of one shard each on one loop, on the machine and in the simulator

class OneLoop : public ::testing::TestWithParam<std::string> {
 protected:
  struct Broker {
    Recorder recorder;
    std::unique_ptr<Mesh> mesh;
    std::unique_ptr<Hub> hub;
    std::shared_ptr<const Introduction> who;
  };

  OneLoop() {
    world->run([this] {
      env::Endpoint doors[2];
      for (int i = 0; i < 2; ++i) {
        Broker& broker = brokers[i];
        broker.mesh = std::make_unique<Mesh>(Mesh::Parts{.shard = 0,
                                                         .loop = world->loop(),
                                                         .transport = world->transport(),
                                                         .settings = settings,
                                                         .handler = broker.recorder,
                                                         .shard_of = shard_by_index,
                                                         .random = common::Random(1)});
        broker.hub = std::make_unique<Hub>(Hub::Parts{.loop = world->loop(),
                                                      .transport = world->transport(),
                                                      .settings = settings,
                                                      .random = common::Random(2),
                                                      .log = {}});
        Mesh* const meshes[] = {broker.mesh.get()};
        broker.hub->join(meshes);
        doors[i] = std::move(broker.hub->listen({"127.0.0.1", 0})).value();
        broker.who = std::make_shared<const Introduction>(introduction_of(i, 1, doors[i]));
      }
      for (int i = 0; i < 2; ++i) {
        brokers[i].hub->set_peer({BrokerId{1 - i}, doors[1 - i]});
        brokers[i].hub->start(brokers[i].who);
      }
    });
  }
  ~OneLoop() override {
    world->run([this] {
      for (Broker& broker : brokers) {
        broker.mesh->close();
        broker.hub.reset();
        broker.mesh.reset();
      }
    });
  }
  bool wait_alive() {
    return world->wait([this] {
      return brokers[0].recorder.alive.contains(BrokerId{1}) &&
             brokers[1].recorder.alive.contains(BrokerId{0});
    });
  }

  Settings settings;
  std::unique_ptr<env::testing::World> world = env::testing::make_world(GetParam());
  Broker brokers[2];
};

TEST_P(OneLoop, MessagesOfAllSizesArrive) {
  ASSERT_TRUE(wait_alive());
  static constexpr std::size_t kSizes[] = {0, 1, 1000, 65'536, 5 << 20, 17, 300'000};
  world->run([this] {
    for (const std::size_t size : kSizes) {
      std::vector<Bytes> data;
      data.push_back(Bytes::zeros(size));
      if (size > 0) data[0].mutable_data()[size - 1] = 9;
      brokers[0].mesh->send(BrokerId{1}, partition(0), message(*brokers[0].who, *brokers[1].who),
                            std::move(data));
    }
  });
  const auto& arrivals = brokers[1].recorder.arrivals;
  ASSERT_TRUE(world->wait([&] { return arrivals.size() == std::size(kSizes); }));
  world->run([&] {
    for (std::size_t i = 0; i < std::size(kSizes); ++i) {
      const Bytes& data = arrivals[i].data[0];
      ASSERT_EQ(data.size(), kSizes[i]);
      EXPECT_TRUE(data.empty() || data.data()[data.size() - 1] == 9);
    }
  });
}

TEST_P(OneLoop, CallsAndAnnouncementsArrive) {
  ASSERT_TRUE(wait_alive());
  std::optional<Result<Bytes>> answer;
  world->run([&] {
    brokers[0].mesh->call(BrokerId{1}, 0, kMethod, Bytes::copy_of("question"), 5s,
                          [&answer](Result<Bytes> result) { answer = std::move(result); });
    brokers[1].mesh->announce(partition(3), {.leader = BrokerId{1}, .term = model::Term{8}});
  });
  ASSERT_TRUE(world->wait([&] {
    return answer.has_value() && brokers[0].mesh->leaders().find(partition(3)) != nullptr;
  }));
  EXPECT_EQ((*answer)->text(), "question");
}

// A process that is gone is noticed at once: its port answers that nobody listens.
TEST_P(OneLoop, ABrokerThatGoesIsSuspectedAtOnce) {
  ASSERT_TRUE(wait_alive());
  world->run([this] { brokers[1].hub.reset(); });
  EXPECT_TRUE(world->wait([this] { return brokers[0].recorder.alive.empty(); }, 700ms));
}

INSTANTIATE_TEST_SUITE_P(Worlds, OneLoop, ::testing::Values("real", "simulated"),
                         [](const auto& world) { return world.param; });

// ---- Two brokers of two shards each, with a thread for each shard

/// Counts what a shard is told; read by the test's thread.
class Counter final : public MeshHandler {
 public:
  void on_raft(const model::PartitionKey&, raft::Message, std::vector<Bytes> data) override {
    for (const Bytes& piece : data) bytes += piece.size();
    ++messages;
  }
  void on_request(Request request, common::Reply<Result<Bytes>> reply) override {
    reply(std::move(request.body));
  }
  void on_transition(const Transition& transition) override {
    alive = transition.sign != Sign::kSuspect;
  }
  void on_reconnect(BrokerId) override {}
  void on_word(model::BrokerId, const raft::Word&) override {}
  void on_leadership(const model::PartitionKey&, const Leadership&) override { ++news; }

  std::atomic<std::uint64_t> messages{0};
  std::atomic<std::uint64_t> bytes{0};
  std::atomic<std::uint64_t> news{0};
  std::atomic<bool> alive{false};
};

class RealBroker {
 public:
  static constexpr std::uint32_t kShards = 2;

  RealBroker() {
    for (std::uint32_t i = 0; i < kShards; ++i) {
      transports_[i] = network_.join(loops_[i]);
      meshes_[i] = std::make_unique<Mesh>(Mesh::Parts{.shard = i,
                                                      .loop = loops_[i],
                                                      .transport = *transports_[i],
                                                      .settings = settings_,
                                                      .handler = counters[i],
                                                      .shard_of = shard_by_index,
                                                      .random = common::Random(i + 1)});
    }
    hub_ = std::make_unique<Hub>(Hub::Parts{.loop = loops_[0],
                                            .transport = *transports_[0],
                                            .settings = settings_,
                                            .random = common::Random(9),
                                            .log = {}});
    for (env::RealLoop& loop : loops_) loop.start();
    run(0, [this] {
      Mesh* const meshes[] = {meshes_[0].get(), meshes_[1].get()};
      hub_->join(meshes);
      door = std::move(hub_->listen({"127.0.0.1", 0})).value();
    });
  }
  ~RealBroker() {
    for (env::RealLoop& loop : loops_) loop.stop();
    hub_.reset();
    for (auto& mesh : meshes_) mesh.reset();
  }
  void start(std::int32_t node, BrokerId other, const env::Endpoint& there) {
    who = std::make_shared<const Introduction>(introduction_of(node, kShards, door));
    run(0, [&] {
      hub_->set_peer({other, there});
      hub_->start(who);
    });
  }
  /// On the loop of a shard; waits.
  template <typename Task>
  void run(std::uint32_t shard, Task task) {
    std::promise<void> done;
    loops_[shard].post([&] {
      task();
      done.set_value();
    });
    done.get_future().wait();
  }
  Mesh& mesh(std::uint32_t shard) { return *meshes_[shard]; }

  Counter counters[kShards];
  env::Endpoint door;
  std::shared_ptr<const Introduction> who;

 private:
  Settings settings_;
  env::RealLoop loops_[kShards];
  env::RealNetwork network_;
  std::unique_ptr<env::Transport> transports_[kShards];
  std::unique_ptr<Mesh> meshes_[kShards];
  std::unique_ptr<Hub> hub_;
};

/// Asks again and again, with a turn of a loop between.
template <typename Condition>
bool comes_true(RealBroker& broker, Condition condition) {
  const common::SystemClock clock;
  const Instant end = clock.now() + 20s;
  while (clock.now() < end) {
    if (condition()) return true;
    broker.run(0, [] {});
  }
  return false;
}

TEST(Threads, ShardsOfTwoBrokersReachEachOther) {
  auto one = std::make_unique<RealBroker>();
  auto two = std::make_unique<RealBroker>();
  one->start(1, BrokerId{2}, two->door);
  two->start(2, BrokerId{1}, one->door);
  ASSERT_TRUE(comes_true(*one, [&] {
    return one->counters[0].alive && one->counters[1].alive && two->counters[0].alive &&
           two->counters[1].alive;
  }));
  std::promise<Result<Bytes>> answer;
  for (std::uint32_t shard = 0; shard < 2; ++shard) {
    one->run(shard, [&] {
      for (std::int32_t i = 0; i < 100; ++i) {
        one->mesh(shard).send(BrokerId{2}, partition(i), message(*one->who, *two->who),
                              {Bytes::zeros(10'000)});
      }
      one->mesh(shard).announce(partition(static_cast<std::int32_t>(shard)),
                                {.leader = BrokerId{1}, .term = model::Term{1}});
      if (shard == 0) return;
      one->mesh(shard).call(
          BrokerId{2}, 0, kMethod, Bytes::copy_of("hello"), 10s,
          [&answer](Result<Bytes> result) { answer.set_value(std::move(result)); });
    });
  }
  EXPECT_TRUE(comes_true(*one, [&] {
    return two->counters[0].messages + two->counters[1].messages == 200 &&
           two->counters[0].news == 2 && two->counters[1].news == 2 && one->counters[0].news == 1 &&
           one->counters[1].news == 1;
  }));
  EXPECT_EQ(two->counters[0].bytes + two->counters[1].bytes, 2'000'000U);
  EXPECT_EQ(answer.get_future().get().value().text(), "hello");
  two.reset();
  EXPECT_TRUE(comes_true(*one, [&] { return !one->counters[0].alive && !one->counters[1].alive; }));
}

}  // namespace
}  // namespace millrace::cluster
