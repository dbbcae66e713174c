// env_loop_bench: CPU per event of the loop and the sockets: 64 connections that echo 100 bytes
// over loopback between two loops, and posts between the two.
#include <fmt/format.h>
#include <sys/resource.h>

#include <atomic>
#include <vector>

#include "broker/env/real_transport.h"

namespace millrace::env {
namespace {

constexpr std::size_t kConnections = 64;
constexpr int kEchoes = 400'000;
constexpr int kPosts = 2'000'000;

double cpu_us() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto us = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) * 1e6 + static_cast<double>(t.tv_usec);
  };
  return us(usage.ru_utime) + us(usage.ru_stime);
}

/// Sends back what arrives.
class Echo {
 public:
  Echo(std::unique_ptr<Connection> connection, std::atomic<int>& left)
      : connection_(std::move(connection)), left_(left) {
    wait();
  }
  void send(common::ByteView bytes) { CHECK(connection_->write(std::span(&bytes, 1)).ok()); }

 private:
  void wait() {
    connection_->when_readable([this] {
      std::uint8_t bytes[256];
      const auto count = connection_->read(bytes);
      if (!count.ok()) return;
      if (left_.fetch_sub(1) == 1) left_.notify_one();
      if (*count > 0) send({bytes, *count});
      wait();
    });
  }
  std::unique_ptr<Connection> connection_;
  std::atomic<int>& left_;
};

void wait_for_zero(const std::atomic<int>& left) {
  for (int seen = left; seen > 0; seen = left) left.wait(seen);
}

void measure_echo() {
  RealLoop loops[2];
  RealNetwork network;
  const auto server = network.join(loops[0]);
  const auto client = network.join(loops[1]);
  std::atomic<int> left{kEchoes};
  std::vector<std::unique_ptr<Echo>> echoes;
  std::vector<std::unique_ptr<Echo>> senders;
  const auto listener =
      std::move(server->listen({"127.0.0.1", 0}, [&](std::unique_ptr<Connection> accepted) {
        echoes.push_back(std::make_unique<Echo>(std::move(accepted), left));
      })).value();
  for (RealLoop& loop : loops) loop.start();
  const double before = cpu_us();
  loops[1].post([&] {
    for (std::size_t i = 0; i < kConnections; ++i) {
      client->connect(listener->endpoint(), [&](common::Result<std::unique_ptr<Connection>> made) {
        senders.push_back(std::make_unique<Echo>(std::move(made).value(), left));
        const std::vector<std::uint8_t> bytes(100);
        senders.back()->send(bytes);
      });
    }
  });
  wait_for_zero(left);
  fmt::print("echo: {:.2f} us of CPU per message received and sent\n",
             (cpu_us() - before) / kEchoes);
  for (RealLoop& loop : loops) loop.stop();
}

void measure_posts() {
  RealLoop loops[2];
  for (RealLoop& loop : loops) loop.start();
  std::atomic<int> left{kPosts};
  const double before = cpu_us();
  common::Function<void()> turn;
  turn = [&] {
    if (left.fetch_sub(1) == 1) left.notify_one();
    if (left > 0) (loops[0].here() ? loops[1] : loops[0]).post([&turn] { turn(); });
  };
  for (int i = 0; i < 64; ++i) loops[0].post([&turn] { turn(); });
  wait_for_zero(left);
  for (RealLoop& loop : loops) loop.stop();
  fmt::print("posts between loops, 64 under way: {:.2f} us of CPU each\n",
             (cpu_us() - before) / kPosts);
}

}  // namespace
}  // namespace millrace::env

int main() {
  millrace::env::measure_echo();
  millrace::env::measure_posts();
  return 0;
}
