// replica_bench DIR CASE [COUNT]: what replication costs on this machine, without sockets: brokers
// of one shard each in one process and on one loop, with their stores in folders of DIR.
//   alone    batches of 100 bytes over 8 partitions, 64 in flight, one replica
//   three    the same with three replicas
//   large    batches of 64 KiB over 8 partitions, 16 in flight, three replicas
//   many     batches of 100 bytes over 1,000 partitions, 64 in flight, three replicas
//   idle     COUNT partitions of three replicas: memory, and what they do when nobody wants
//   anything
#include <fmt/format.h>
#include <malloc.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <map>
#include <string>

#include "broker/env/real_disk.h"
#include "broker/env/real_loop.h"
#include "broker/model/record.h"
#include "broker/replica/partition.h"
#include "broker/storage/store.h"
#include "common/testing/cpu_time.h"

namespace millrace::replica {
namespace {

using common::testing::cpu_seconds;

model::PartitionKey key_of(int partition) {
  model::PartitionKey key{.topic = {}, .index = model::PartitionIndex{partition}};
  key.topic.bytes[0] = 7;
  return key;
}

raft::ReplicaId id_of(int broker) {
  raft::ReplicaId id{.node = model::BrokerId{broker}, .directory = {}};
  id.directory.bytes[0] = static_cast<std::uint8_t>(broker + 1);
  return id;
}

Bytes template_batch(std::size_t value_bytes) {
  model::BatchBuilder builder;
  const std::vector<std::uint8_t> value(value_bytes, 'x');
  builder.append(
      {.timestamp = common::Timestamp{1'700'000'000'000}, .value = common::ByteView(value)});
  return builder.build();
}

std::size_t heap_bytes() {
  return mallinfo2().uordblks + mallinfo2().hblkhd;
}

class Bench;

class Broker final : public Peers {
 public:
  Broker(Bench& bench, env::RealLoop& loop, int number, const std::string& path);

  void open(int partitions, const raft::VoterSet& voters);
  void send(const model::PartitionKey& key, raft::Message message,
            std::vector<Bytes> data) override;
  bool has_room(const model::PartitionKey&, const raft::ReplicaId&) const override { return true; }
  void leadership(const model::PartitionKey&, const raft::RoleChange&) override {}

  Bench& bench;
  env::RealLoop& loop;
  const int number;
  common::Random random;
  raft::Settings raft;
  std::unique_ptr<env::DataDirectory> data;
  std::unique_ptr<env::Disk> disk;
  std::unique_ptr<storage::Store> store;
  Ticker ticker;
  CatchUp catch_up;
  Host host;
  std::vector<std::unique_ptr<Partition>> partitions;
};

/// All calls but the first ones and run() on the loop.
class Bench {
 public:
  Bench(const std::string& path, int brokers) {
    for (int i = 0; i < brokers; ++i)
      brokers_.push_back(std::make_unique<Broker>(*this, loop_, i, fmt::format("{}/{}", path, i)));
    loop_.start();
  }
  ~Bench() {
    loop_.stop();
    const common::RepliesMayDrop may_drop;
    for (auto& broker : brokers_) broker->partitions.clear();
    for (auto& broker : brokers_) broker->store.reset();
  }

  /// The first leaders, evenly. Waits until they lead.
  void open(int partitions) {
    raft::VoterSet voters{
        .id = {.term = model::Term{0}, .version = 1}, .voters = {}, .learners = {}};
    for (std::size_t i = 0; i < brokers_.size(); ++i)
      voters.voters.push_back(id_of(static_cast<int>(i)));
    run([&] {
      for (auto& broker : brokers_) broker->open(partitions, voters);
      for (int i = 0; i < partitions; ++i) leader_of(i).campaign();
    });
    wait([&] {
      for (int i = 0; i < partitions; ++i) {
        if (!leader_of(i).is_leader()) return false;
      }
      return true;
    });
  }

  void append(int partitions, const Bytes& batch, std::uint64_t count, int in_flight) {
    const double began = now();
    const double cpu = cpu_seconds();
    const std::uint64_t rounds = total_rounds();
    messages_ = 0;
    run([&] {
      left_ = count;
      under_way_ = in_flight;
      for (int i = 0; i < in_flight; ++i) next(partitions, batch);
    });
    wait([&] { return under_way_ == 0; });
    const double seconds = now() - began;
    const auto batches = static_cast<double>(count);
    const double used = cpu_seconds() - cpu;
    const double bytes = batches * static_cast<double>(batch.size());
    fmt::print(
        "{:9.0f} batches/s  {:7.2f} CPU us/batch  {:6.3f} CPU s/GB  {:.2f} messages/batch  "
        "{} rounds\n",
        batches / seconds, used / batches * 1e6, used / bytes * 1e9,
        static_cast<double>(messages_) / batches, total_rounds() - rounds);
  }

  void idle(int partitions) {
    const std::size_t empty = heap_bytes();
    double began = now();
    double cpu = cpu_seconds();
    open(partitions);
    fmt::print("{} partitions led after {:.2f} s, {:.2f} CPU s\n", partitions, now() - began,
               cpu_seconds() - cpu);
    append(partitions, template_batch(100), static_cast<std::uint64_t>(partitions), 256);
    wait([&] { return is_quiet(); });
    const std::size_t full = heap_bytes();
    run([&] {
      for (auto& broker : brokers_) broker->store->checkpoint([](auto) {});
    });
    pause(std::chrono::seconds(2));
    fmt::print("{} bytes of heap per replica, {} behind a checkpoint\n",
               (full - empty) / (static_cast<std::size_t>(partitions) * brokers_.size()),
               (heap_bytes() - empty) / (static_cast<std::size_t>(partitions) * brokers_.size()));
    messages_ = 0;
    const std::uint64_t rounds = total_rounds();
    began = now();
    cpu = cpu_seconds();
    pause(std::chrono::seconds(10));
    fmt::print("idle for {:.1f} s: {:.4f} CPU s, {} messages, {} rounds, {} deadlines\n",
               now() - began, cpu_seconds() - cpu, messages_.load(), total_rounds() - rounds,
               deadlines());
  }

  void deliver(const model::PartitionKey& key, raft::Message message, std::vector<Bytes> data) {
    ++messages_;
    // As a socket does: into memory of its own, once.
    std::vector<Bytes> arrived;
    if (!data.empty()) {
      std::size_t size = 0;
      for (const Bytes& piece : data) size += piece.size();
      Bytes block = Bytes::allocate(size);
      std::size_t at = 0;
      for (const Bytes& piece : data) {
        std::copy(piece.view().begin(), piece.view().end(), block.mutable_data() + at);
        at += piece.size();
      }
      arrived.push_back(std::move(block));
    }
    loop_.post([this, key, message = std::move(message), data = std::move(arrived)] {
      Broker& broker = *brokers_[static_cast<std::size_t>(message.to.node.value())];
      broker.partitions[static_cast<std::size_t>(key.index.value())]->step(message, data,
                                                                           loop_.clock().now());
    });
  }

 private:
  Partition& leader_of(int partition) {
    return *brokers_[static_cast<std::size_t>(partition) % brokers_.size()]
                ->partitions[static_cast<std::size_t>(partition)];
  }
  void next(int partitions, const Bytes& batch) {
    if (left_ == 0) {
      --under_way_;
      return;
    }
    --left_;
    leader_of(turn_++ % partitions)
        .append(Bytes::copy_of(batch.view()), {},
                [this, partitions, &batch](AppendOutcome outcome) {
                  CHECK(!outcome.error.has_value(), "{}", outcome.error->detail);
                  next(partitions, batch);
                });
  }
  bool is_quiet() {
    for (auto& broker : brokers_) {
      for (auto& partition : broker->partitions) {
        if (!partition->group()->quiet()) return false;
      }
    }
    return true;
  }
  std::size_t deadlines() {
    std::size_t count = 0;
    run([&] {
      for (auto& broker : brokers_) count += broker->ticker.size();
    });
    return count;
  }
  std::uint64_t total_rounds() {
    std::uint64_t rounds = 0;
    run([&] {
      for (auto& broker : brokers_) rounds += broker->store->stats().journal_rounds;
    });
    return rounds;
  }
  double now() const {
    return std::chrono::duration<double>(loop_.clock().now().time_since_epoch()).count();
  }
  /// On the loop, to its end.
  void run(const std::function<void()>& task) {
    std::atomic<bool> done = false;
    loop_.post([&] {
      task();
      done = true;
      done.notify_one();
    });
    done.wait(false);
  }
  void pause(common::Duration time) {
    std::atomic<bool> over = false;
    loop_.post([&] {
      loop_.after(time, [&] {
        over = true;
        over.notify_one();
      });
    });
    over.wait(false);
  }
  void wait(const std::function<bool()>& condition) {
    for (bool holds = false; !holds;) {
      pause(std::chrono::milliseconds(5));
      run([&] { holds = condition(); });
    }
  }

  env::RealLoop loop_{{.name = "bench"}};
  std::vector<std::unique_ptr<Broker>> brokers_;
  std::atomic<std::uint64_t> messages_ = 0;
  std::uint64_t left_ = 0;
  int under_way_ = 0;
  int turn_ = 0;
};

Broker::Broker(Bench& owner, env::RealLoop& its_loop, int its_number, const std::string& path)
    : bench(owner),
      loop(its_loop),
      number(its_number),
      random(static_cast<std::uint64_t>(its_number) + 1),
      ticker(its_loop),
      catch_up(its_loop, {}),
      host{.self = id_of(its_number),
           .clock = its_loop.clock(),
           .ticker = ticker,
           .peers = *this,
           .random = random,
           .raft = raft,
           .catch_up = &catch_up} {
  std::filesystem::create_directories(path);
  auto opened = env::DataDirectory::open(path, [](std::string_view) {});
  CHECK(opened.ok(), "{}", opened.error().detail);
  data = std::move(opened).value();
  disk = data->disk(loop);
  auto made = storage::Store::open(
      {.disk = *disk,
       .loop = loop,
       .shard = 0,
       .on_fatal = [](const common::Error& error) { CHECK(false, "{}", error.detail); }},
      {});
  CHECK(made.ok(), "{}", made.error().detail);
  store = std::move(made).value();
}

void Broker::open(int count, const raft::VoterSet& voters) {
  model::TopicSettings settings;
  for (int i = 0; i < count; ++i) {
    storage::Log& log = store->create(key_of(i), "bench", log_settings(settings));
    partitions.push_back(
        std::make_unique<Partition>(log, settings, host, Beginning{.first_voters = voters}));
  }
}

void Broker::send(const model::PartitionKey& key, raft::Message message,
                  std::vector<Bytes> batches) {
  bench.deliver(key, std::move(message), std::move(batches));
}

int run(const std::string& path, const std::string& what, int count) {
  if (what == "idle") {
    Bench(path, 3).idle(count > 0 ? count : 10'000);
    return 0;
  }
  struct Case {
    int brokers;
    int partitions;
    std::size_t value_bytes;
    int in_flight;
    int batches;
  };
  const std::map<std::string, Case> cases{
      {"alone", {1, 8, 100, 64, 200'000}},
      {"three", {3, 8, 100, 64, 100'000}},
      {"large", {3, 8, 65'000, 16, 10'000}},
      {"many", {3, 1000, 100, 64, 100'000}},
  };
  const auto found = cases.find(what);
  if (found == cases.end()) {
    fmt::print(stderr, "unknown case {}\n", what);
    return 2;
  }
  const Case& wanted = found->second;
  Bench bench(path, wanted.brokers);
  bench.open(wanted.partitions);
  const Bytes batch = template_batch(wanted.value_bytes);
  bench.append(wanted.partitions, batch,
               static_cast<std::uint64_t>(count > 0 ? count : wanted.batches), wanted.in_flight);
  return 0;
}

}  // namespace
}  // namespace millrace::replica

int main(int count, char** arguments) {
  if (count < 3) {
    fmt::print(stderr, "usage: replica_bench DIR alone|three|large|many|idle [COUNT]\n");
    return 2;
  }
  return millrace::replica::run(arguments[1], arguments[2],
                                count > 3 ? std::atoi(arguments[3]) : 0);
}
