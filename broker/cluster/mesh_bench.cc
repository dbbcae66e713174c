// cluster_mesh_bench [SECONDS]: messages per second and CPU per message between two brokers of one
// shard each, over loopback: appends with 1 KiB and 64 KiB of data, each answered as a follower
// would; then calls, one after the other.
#include <fmt/format.h>
#include <sys/resource.h>

#include <atomic>
#include <cstdlib>
#include <future>

#include "broker/cluster/hub.h"
#include "broker/cluster/mesh.h"
#include "broker/env/real_transport.h"

namespace millrace::cluster {
namespace {

using model::BrokerId;

double cpu_us() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto us = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) * 1e6 + static_cast<double>(t.tv_usec);
  };
  return us(usage.ru_utime) + us(usage.ru_stime);
}

std::uint32_t only_shard(const model::PartitionKey&, std::uint32_t) {
  return 0;
}

/// A broker that sends appends, so many under way at once, or answers them.
class Side final : public MeshHandler {
 public:
  explicit Side(std::int32_t node) : node_(node), transport_(network_.join(loop_)) {
    mesh_ = std::make_unique<Mesh>(Mesh::Parts{.loop = loop_,
                                               .transport = *transport_,
                                               .settings = settings_,
                                               .handler = *this,
                                               .shard_of = only_shard,
                                               .random = common::Random(1)});
    hub_ = std::make_unique<Hub>(Hub::Parts{.loop = loop_,
                                            .transport = *transport_,
                                            .settings = settings_,
                                            .random = common::Random(2),
                                            .log = {}});
    loop_.start();
    run([this] {
      Mesh* const meshes[] = {mesh_.get()};
      hub_->join(meshes);
      door_ = std::move(hub_->listen({"127.0.0.1", 0})).value();
    });
  }
  ~Side() override {
    loop_.stop();
    hub_.reset();
    mesh_.reset();
  }

  void start(Side& other) {
    Introduction who;
    who.cluster_id = "bench";
    who.node = BrokerId{node_};
    who.directory.bytes[0] = static_cast<std::uint8_t>(node_);
    who.incarnation.bytes[0] = static_cast<std::uint8_t>(node_);
    who.internal = door_;
    run([&] {
      hub_->set_peer({BrokerId{other.node_}, other.door_});
      hub_->start(std::make_shared<const Introduction>(who));
    });
  }
  void wait_alive() { met_.get_future().wait(); }
  template <typename Task>
  void run(Task task) {
    std::promise<void> done;
    loop_.post([&] {
      task();
      done.set_value();
    });
    done.get_future().wait();
  }

  /// Keeps `window` appends of this size under way, for so long. Answers how many were answered.
  std::uint64_t pump(std::size_t size, int window, Duration span) {
    std::promise<void> over;
    run([&] {
      data_ = {Bytes::zeros(size)};
      answered_ = 0;
      pumping_ = true;
      for (int i = 0; i < window; ++i) send_append();
      loop_.after(span, [&] {
        pumping_ = false;
        over.set_value();
      });
    });
    over.get_future().wait();
    return answered_;
  }
  /// Calls one after the other.
  std::uint64_t call(Duration span) {
    std::promise<void> over;
    std::uint64_t calls = 0;
    common::Function<void()> next;
    run([&] {
      const Instant end = loop_.clock().now() + span;
      next = [&, end] {
        mesh_->call(peer(), 0, Method::kProposeRecords, Bytes::zeros(100), std::chrono::seconds(10),
                    [&, end](Result<Bytes> answer) {
                      CHECK(answer.ok(), "{}", answer.error().detail);
                      ++calls;
                      if (loop_.clock().now() >= end) return over.set_value();
                      next();
                    });
      };
      next();
    });
    over.get_future().wait();
    return calls;
  }
  MeshMetrics metrics() {
    MeshMetrics metrics;
    run([&] { metrics = mesh_->metrics_now(); });
    return metrics;
  }

 private:
  BrokerId peer() const { return BrokerId{3 - node_}; }
  raft::Message message() const {
    raft::Message message;
    message.from = {BrokerId{node_}, {}};
    message.from.directory.bytes[0] = static_cast<std::uint8_t>(node_);
    message.to = {peer(), {}};
    message.to.directory.bytes[0] = static_cast<std::uint8_t>(3 - node_);
    message.term = model::Term{5};
    return message;
  }
  // Of a hundred partitions of one topic.
  void send_append() {
    model::PartitionKey key;
    key.topic.bytes[0] = 1;
    key.index = model::PartitionIndex{static_cast<std::int32_t>(turn_++ % 100)};
    raft::Message append = message();
    append.body = raft::Append{.prev = {model::Term{5}, model::Offset{turn_}},
                               .term = model::Term{5},
                               .to = model::Offset{turn_ + 10},
                               .bytes = static_cast<std::uint32_t>(data_[0].size())};
    mesh_->send(peer(), key, append, data_);
  }

  void on_raft(const model::PartitionKey& group, raft::Message got, std::vector<Bytes>) override {
    if (std::holds_alternative<raft::Append>(got.body)) {
      raft::Message reply = message();
      const raft::Append& append = std::get<raft::Append>(got.body);
      reply.body = raft::AppendReply{.acked = {model::Term{5}, append.to},
                                     .received = {model::Term{5}, append.to},
                                     .commit = append.commit};
      return mesh_->send(peer(), group, reply, {});
    }
    ++answered_;
    if (pumping_) send_append();
  }
  void on_request(Request request, common::Reply<Result<Bytes>> reply) override {
    reply(std::move(request.body));
  }
  void on_transition(const Transition& transition) override {
    CHECK(transition.sign == Sign::kAlive, "a broker was suspected");
    met_.set_value();
  }
  void on_reconnect(BrokerId) override {}
  void on_word(model::BrokerId, const raft::Word&) override {}
  void on_leadership(const model::PartitionKey&, const Leadership&) override {}

  const std::int32_t node_;
  Settings settings_;
  env::RealLoop loop_;
  env::RealNetwork network_;
  std::unique_ptr<env::Transport> transport_;
  std::unique_ptr<Mesh> mesh_;
  std::unique_ptr<Hub> hub_;
  env::Endpoint door_;
  std::promise<void> met_;
  std::vector<Bytes> data_;
  std::int64_t turn_ = 0;
  std::atomic<std::uint64_t> answered_{0};
  bool pumping_ = false;
};

void measure(Side& leader, Side& follower, std::size_t size, int window, Duration span) {
  const MeshMetrics before = leader.metrics();
  const double cpu = cpu_us();
  const auto count = static_cast<double>(leader.pump(size, window, span));
  const double used = cpu_us() - cpu;
  const double seconds = std::chrono::duration<double>(span).count();
  const MeshMetrics after = leader.metrics();
  fmt::print(
      "appends of {:6} bytes, {:4} under way: {:9.0f}/s, {:7.1f} MB/s, {:6.2f} us of CPU each "
      "(both "
      "sides), {:5.1f} messages a frame\n",
      size, window, count / seconds, count * static_cast<double>(size) / seconds / 1e6,
      used / count,
      static_cast<double>(after.messages_out - before.messages_out) /
          static_cast<double>(after.frames_out - before.frames_out));
  CHECK(follower.metrics().malformed == 0);
}

}  // namespace
}  // namespace millrace::cluster

int main(int argc, char** argv) {
  using namespace millrace::cluster;
  const auto span = std::chrono::seconds(argc > 1 ? std::atoi(argv[1]) : 3);
  Side leader(1);
  Side follower(2);
  // The follower first: nobody is to be suspected because he is not there yet.
  follower.start(leader);
  leader.start(follower);
  leader.wait_alive();
  follower.wait_alive();
  for (const int window : {1, 16, 256}) measure(leader, follower, 1024, window, span);
  for (const int window : {1, 16, 64}) measure(leader, follower, 65536, window, span);
  const double cpu = cpu_us();
  const auto calls = static_cast<double>(leader.call(span));
  fmt::print("calls, one after the other: {:.0f}/s, {:.2f} us of CPU each (both sides)\n",
             calls / std::chrono::duration<double>(span).count(), (cpu_us() - cpu) / calls);
  return 0;
}
