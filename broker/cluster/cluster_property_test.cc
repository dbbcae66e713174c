// Goal: whatever the network and the processes do, what arrives was sent, by that process and in
// the order of its link; every call is answered once, and truthfully; all shards of a broker are
// told the same of the others, and it makes sense; and when the faults end, all are alive for each
// other, all tables of leaders are equal and everything gets through, soon. Method: random runs of
// a few brokers, each from a seed. A failing seed prints the command that replays it.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <set>

#include "broker/cluster/testing/sim_cluster.h"
#include "common/endian.h"

namespace millrace::cluster {
namespace {

using common::Random;
using model::BrokerId;
using testing::Arrival;
using testing::Recorder;
using testing::SimBroker;
using testing::SimCluster;
using namespace std::chrono_literals;

constexpr Method kMethod{7};

std::uint64_t number_from(const char* variable, std::uint64_t fallback) {
  const char* text = std::getenv(variable);
  return text == nullptr ? fallback : std::stoull(text);
}

/// Bytes that say what they should be.
Bytes stamped(std::uint64_t stamp, std::size_t size) {
  Bytes bytes = Bytes::allocate(size);
  for (std::size_t i = 0; i < size; ++i)
    bytes.mutable_data()[i] = static_cast<std::uint8_t>(stamp * 31 + i * 7);
  return bytes;
}

class Trial {
 public:
  explicit Trial(std::uint64_t seed) : cluster_(seed, options(seed)), random_(seed * 77 + 1) {
    cluster_.settings.queue_bytes_max = std::size_t{1} << random_.between(16, 22);
    cluster_.settings.input_bytes_max = std::size_t{1} << random_.between(17, 22);
    const std::int64_t brokers = random_.between(2, 4);
    for (std::int32_t node = 1; node <= brokers; ++node)
      cluster_.add(node, static_cast<std::uint32_t>(random_.between(1, 3)));
  }

  /// Empty: all is well.
  std::string go() {
    for (auto& [node, broker] : cluster_.brokers()) start(broker);
    for (int step = 0; step < 400 && failure_.empty(); ++step) {
      act();
      cluster_.world.run_for(Duration{random_.between(0, 20'000'000)});
    }
    if (failure_.empty()) settle();
    if (std::getenv("CLUSTER_TRACE") != nullptr) {
      for (const auto& [node, broker] : cluster_.brokers()) {
        for (const std::string& line : broker.log) fmt::print("broker {} {}\n", node, line);
      }
    }
    return failure_;
  }
  std::uint64_t arrived() const { return arrived_; }
  std::uint64_t answered() const { return answered_; }
  std::uint64_t transitions() const { return transitions_; }
  std::uint64_t digest() const { return cluster_.world.digest(); }

 private:
  static env::testing::SimNetworkOptions options(std::uint64_t seed) {
    return {.delay_max = std::chrono::microseconds(seed % 3 == 0 ? 20'000 : 300),
            .buffer_bytes = seed % 5 == 0 ? 4096U : 256U * 1024U};
  }
  template <typename... Args>
  void fail(fmt::format_string<Args...> format, Args&&... args) {
    if (failure_.empty()) failure_ = fmt::format(format, std::forward<Args>(args)...);
  }
  SimBroker& any() {
    auto at = cluster_.brokers().begin();
    std::advance(at, static_cast<std::ptrdiff_t>(random_.below(cluster_.brokers().size())));
    return at->second;
  }
  Mesh& any_mesh(SimBroker& broker) { return broker.mesh(random_.below(broker.shards.size())); }

  void start(SimBroker& broker) {
    cluster_.start(broker.node().value(), [this](SimCluster::Plan& plan) {
      // Sometimes a broker comes back with a new disk, and sometimes it is not told of those behind
      // it, who seek it.
      if (random_.chance(1, 5))
        plan.introduction.directory = common::Uuid::random(cluster_.world.random());
      if (random_.chance(1, 5)) {
        std::erase_if(plan.peers,
                      [&plan](const Peer& peer) { return peer.node > plan.introduction.node; });
      }
    });
    for (const auto& shard : broker.shards) {
      shard->recorder.on_arrival = [this, &broker, mesh = shard->mesh.get(),
                                    recorder = &shard->recorder](const Arrival& arrival) {
        check_arrival(broker, *mesh, *recorder, arrival);
      };
    }
  }

  // ---- What happens

  void act() {
    SimBroker& broker = any();
    SimBroker& other = any();
    switch (random_.below(30)) {
      case 0:
        if (broker.running()) crash(broker, random_.chance(1, 2));
        break;
      case 1:
      case 2:
      case 26:
        if (!broker.running()) start(broker);
        break;
      case 3:
        cluster_.network.cut(broker.host, other.host);
        break;
      case 4:
        cluster_.network.partition(broker.host, other.host);
        break;
      case 5:
      case 6:
      case 24:
      case 25:
        cluster_.network.heal_all();
        break;
      case 7:
        cluster_.network.reset_connections(broker.host, other.host);
        break;
      case 8:
        cluster_.network.reset_some(4);
        break;
      case 9:
        cluster_.network.slow_down(broker.host, other.host,
                                   Duration{random_.between(0, 300'000'000)});
        break;
      case 10:
        if (broker.running()) any_mesh(broker).pause_input();
        break;
      case 11:
        if (broker.running()) resume(broker);
        break;
      case 12:
        if (broker.running() && random_.chance(1, 3)) broker.hub->goodbye();
        break;
      case 13:
        cluster_.world.run_for(Duration{random_.between(0, 3'000'000'000)});
        break;
      case 14:
      case 15:
        if (broker.running()) announce(broker);
        break;
      case 16:
      case 17:
      case 27:
        if (broker.running()) call(broker, other.node());
        break;
      default:
        if (broker.running() && &broker != &other) send(broker, other);
    }
  }

  void crash(SimBroker& broker, bool told) {
    check_transitions(broker);
    cluster_.crash(broker.node().value(), told);
  }

  void resume(SimBroker& broker) {
    for (const auto& shard : broker.shards) shard->mesh->resume_input();
  }

  /// A burst of messages, each stamped with its number on its way.
  void send(SimBroker& from, SimBroker& to) {
    const std::size_t shard = random_.below(from.shards.size());
    Mesh& mesh = from.mesh(shard);
    const auto who = mesh.introduction(to.node());
    if (who == nullptr) return;
    for (std::uint64_t left = random_.below(20) + 1; left > 0; --left) {
      const std::uint64_t stamp = ++stamp_;
      model::PartitionKey key;
      common::store_little(key.topic.bytes.data(), stamp);
      key.topic.bytes[15] = static_cast<std::uint8_t>(shard);
      key.index = model::PartitionIndex{static_cast<std::int32_t>(random_.below(6))};
      raft::Message message;
      message.from = from.replica();
      message.to = {to.node(), who->directory};
      message.term = model::Term{1};
      message.body = raft::TimeoutNow{};
      std::vector<Bytes> data;
      if (random_.chance(1, 2))
        data.push_back(stamped(stamp, random_.chance(1, 8) ? 200'000 : random_.below(3000)));
      sent_[stamp] = {from.introduction->incarnation, to.node(), key.index};
      mesh.send(to.node(), key, message, std::move(data));
    }
  }

  void announce(SimBroker& broker) {
    model::PartitionKey key;
    key.topic.bytes[0] = 1;
    key.index = model::PartitionIndex{static_cast<std::int32_t>(random_.below(300))};
    any_mesh(broker).announce(key,
                              {.leader = broker.node(),
                               .term = model::Term{static_cast<std::int32_t>(random_.below(50))},
                               .in_sync = {broker.node()}});
  }

  void call(SimBroker& from, BrokerId to) {
    const std::uint64_t stamp = ++stamp_;
    const std::size_t size = random_.below(5000);
    ++open_calls_[from.introduction->incarnation];
    any_mesh(from).call(
        to, static_cast<std::uint32_t>(random_.below(3)), kMethod, stamped(stamp, size),
        Duration{random_.between(1'000'000, 5'000'000'000)},
        [this, stamp, size, caller = from.introduction->incarnation](Result<Bytes> answer) {
          if (--open_calls_[caller] < 0) fail("a call was answered twice");
          if (!answer.ok()) return;
          ++answered_;
          if (!(*answer == stamped(stamp, size))) fail("call {} got another answer", stamp);
        });
  }

  // ---- What must hold

  struct Sent {
    common::Uuid by;
    BrokerId to;
    model::PartitionIndex index;
  };

  void check_arrival(SimBroker& broker, Mesh& mesh, Recorder& recorder, const Arrival& arrival) {
    ++arrived_;
    const auto stamp = common::load_little<std::uint64_t>(arrival.group.topic.bytes.data());
    const auto sent = sent_.find(stamp);
    if (sent == sent_.end()) return fail("message {} was never sent", stamp);
    const BrokerId from = arrival.message.from.node;
    const auto alive = recorder.alive.find(from);
    if (alive == recorder.alive.end())
      return fail("broker {} heard broker {}, which is suspected", broker.node(), from);
    if (alive->second != sent->second.by)
      return fail("broker {} heard another process of broker {}", broker.node(), from);
    if (sent->second.to != broker.node() || sent->second.index != arrival.group.index)
      return fail("message {} went astray", stamp);
    if (arrival.message.to != broker.replica()) return fail("message {}: wrong replica", stamp);
    for (const Bytes& piece : arrival.data) {
      if (!(piece == stamped(stamp, piece.size()))) return fail("message {} was changed", stamp);
    }
    // Stamps of one link grow.
    const auto link = std::make_tuple(sent->second.by, arrival.group.topic.bytes[15], broker.node(),
                                      broker.introduction->incarnation, mesh.shard());
    std::uint64_t& last = last_[link];
    if (stamp <= last) return fail("message {} came after {}", stamp, last);
    last = stamp;
    recorder.arrivals.clear();
  }

  /// All shards are told the same, and of each broker in an order that can be.
  void check_transitions(SimBroker& broker) {
    std::vector<Transition> longest;
    for (const auto& shard : broker.shards) {
      const auto& told = shard->recorder.transitions;
      const std::size_t common = std::min(told.size(), longest.size());
      if (!std::equal(told.begin(), told.begin() + static_cast<std::ptrdiff_t>(common),
                      longest.begin()))
        fail("two shards of broker {} were told different things", broker.node());
      if (told.size() > longest.size()) longest = told;
    }
    std::map<BrokerId, Sign> standing;
    std::map<BrokerId, common::Uuid> incarnation;
    for (const Transition& transition : longest) {
      ++transitions_;
      const auto before = standing.find(transition.node);
      const bool known = !incarnation[transition.node].is_zero();
      const bool same = incarnation[transition.node] == transition.incarnation;
      if (transition.sign == Sign::kRestarted) {
        if (!known || same) fail("a restart of broker {} that was none", transition.node);
      } else {
        if (before != standing.end() && before->second == transition.sign)
          fail("broker {} was told the same of broker {} twice", broker.node(), transition.node);
        if (known && !same) fail("another process of broker {} came unannounced", transition.node);
        standing[transition.node] = transition.sign;
      }
      incarnation[transition.node] = transition.incarnation;
    }
  }

  // ---- The end

  /// The faults end. A broker that has said goodbye starts anew.
  void settle() {
    cluster_.network.heal_all();
    for (auto& [node, broker] : cluster_.brokers()) {
      if (broker.running()) crash(broker, random_.chance(1, 2));
    }
    cluster_.world.run_for(Duration{random_.between(0, 2'000'000'000)});
    for (auto& [node, broker] : cluster_.brokers()) start(broker);
    // Faults of a last moment, then none: what was there before goes on from where it is.
    cluster_.world.run_for(Duration{random_.between(0, 2'000'000'000)});
    for (auto& [node, broker] : cluster_.brokers()) announce(broker);
    cluster_.network.partition(any().host, any().host);
    cluster_.world.run_for(Duration{random_.between(0, 4'000'000'000)});
    cluster_.network.heal_all();
    // What they have done may still be noticed.
    cluster_.world.run_for(3s);
    if (!cluster_.run_until([this] { return cluster_.all_alive(); }, 3s))
      return fail("not all are alive 6 s after the faults ended");
    const std::size_t told = transitions_told();
    if (!cluster_.run_until([this] { return tables_equal(); }, 10s))
      return fail("tables of leaders differ 20 s after the faults ended");
    const std::uint64_t before = arrived_;
    const std::uint64_t answered = answered_;
    std::uint64_t links = 0;
    for (auto& [node, broker] : cluster_.brokers()) {
      for (auto& [other, there] : cluster_.brokers()) {
        if (other == node) continue;
        ++links;
        any_mesh(broker).call(other, 0, kMethod, stamped(1, 100), 1min,
                              [this](Result<Bytes> answer) { answered_ += answer.ok() ? 1 : 0; });
        // Each burst has at least one message.
        send(broker, there);
        cluster_.world.run_for(1s);
      }
    }
    // The network may be a slow one.
    if (!cluster_.run_until([&] { return arrived_ >= before + links; }, 1min))
      return fail("messages are lost though all is well");
    if (!cluster_.run_until([&] { return answered_ >= answered + links; }, 1min))
      return fail("calls are lost though all is well");
    cluster_.world.run_for(20s);
    if (transitions_told() != told) fail("somebody was suspected though all is well");
    for (auto& [node, broker] : cluster_.brokers()) {
      check_transitions(broker);
      if (open_calls_[broker.introduction->incarnation] != 0) fail("a call was never answered");
      for (const auto& shard : broker.shards) {
        const MeshMetrics& metrics = shard->mesh->metrics_now();
        if (metrics.queued_bytes != 0 || metrics.input_bytes != 0)
          fail("{} bytes are queued and {} half read at rest", metrics.queued_bytes,
               metrics.input_bytes);
        if (metrics.malformed != 0) fail("a broker found another's frames malformed");
      }
    }
  }

  std::size_t transitions_told() {
    std::size_t told = 0;
    for (const auto& [node, broker] : cluster_.brokers()) {
      for (const auto& shard : broker.shards) told += shard->recorder.transitions.size();
    }
    return told;
  }

  bool tables_equal() {
    std::set<LeaderTable::Sum> sums;
    for (auto& [node, broker] : cluster_.brokers()) {
      for (const auto& shard : broker.shards) sums.insert(shard->mesh->leaders().sum());
    }
    return sums.size() == 1;
  }

  SimCluster cluster_;
  Random random_;
  std::map<std::uint64_t, Sent> sent_;
  std::map<std::tuple<common::Uuid, std::uint8_t, BrokerId, common::Uuid, std::uint32_t>,
           std::uint64_t>
      last_;
  std::map<common::Uuid, int> open_calls_;  // by the process that made them
  std::uint64_t stamp_ = 0;
  std::uint64_t arrived_ = 0;
  std::uint64_t answered_ = 0;
  std::uint64_t transitions_ = 0;
  std::string failure_;
};

TEST(Cluster, HoldsUnderFaults) {
  const std::uint64_t first = number_from("CLUSTER_SEED", 1);
  const bool one =
      std::getenv("CLUSTER_SEED") != nullptr && std::getenv("CLUSTER_SEEDS") == nullptr;
  const std::uint64_t count = one ? 1 : number_from("CLUSTER_SEEDS", 300);
  std::uint64_t arrived = 0;
  std::uint64_t answered = 0;
  std::uint64_t transitions = 0;
  for (std::uint64_t seed = first; seed < first + count; ++seed) {
    Trial run(seed);
    const std::string failure = run.go();
    EXPECT_TRUE(failure.empty()) << "seed " << seed << ": " << failure
                                 << "\nreplay: CLUSTER_TRACE=1 CLUSTER_SEED=" << seed
                                 << " build/release/bin/cluster_property_test";
    arrived += run.arrived();
    answered += run.answered();
    transitions += run.transitions();
    if (HasFailure()) break;
  }
  fmt::print("{} seeds: {} messages arrived, {} calls answered, {} transitions\n", count, arrived,
             answered, transitions);
  if (count >= 100) {
    // The runs must be worth something.
    EXPECT_GT(arrived, 100 * count);
    EXPECT_GT(answered, 5 * count);
    EXPECT_GT(transitions, 20 * count);
  }
}

TEST(Cluster, ASeedIsARun) {
  for (std::uint64_t seed = 1; seed <= 3; ++seed) {
    Trial first(seed);
    Trial second(seed);
    EXPECT_EQ(first.go(), second.go());
    EXPECT_EQ(first.digest(), second.digest()) << seed;
  }
}

}  // namespace
}  // namespace millrace::cluster
