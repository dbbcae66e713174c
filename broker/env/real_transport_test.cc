// What only the machine's sockets have: several loops, other programs, descriptors that run out.
#include "broker/env/real_transport.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <malloc.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <optional>
#include <set>

namespace millrace::env {
namespace {

using common::Result;
using model::ErrorCode;

/// Runs the task on the loop and waits for it.
void run_on(RealLoop& loop, Task task) {
  std::atomic<bool> done{false};
  loop.post([&] {
    task();
    done = true;
    done.notify_one();
  });
  done.wait(false);
}

/// A plain blocking client.
int dial(std::uint16_t port) {
  const int number = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(number, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0) return number;
  ::close(number);
  return -1;
}

TEST(RealTransport, PortOfAnotherProgramIsNoticedEvenIfItSharesIt) {
  // A stranger that listens with SO_REUSEPORT, as another instance of a server might.
  const int stranger = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int on = 1;
  ASSERT_EQ(::setsockopt(stranger, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)), 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof(address);
  ASSERT_EQ(::bind(stranger, reinterpret_cast<sockaddr*>(&address), length), 0);
  ASSERT_EQ(::listen(stranger, 1), 0);
  ASSERT_EQ(::getsockname(stranger, reinterpret_cast<sockaddr*>(&address), &length), 0);

  RealLoop loop;
  RealNetwork network;
  const auto transport = network.join(loop);
  const auto listener = transport->listen({"127.0.0.1", ntohs(address.sin_port)}, [](auto) {});
  ASSERT_FALSE(listener.ok());
  EXPECT_EQ(listener.error().code, ErrorCode::kAddressInUse);
  EXPECT_NE(listener.error().detail.find("another program has the port"), std::string::npos);
  ::close(stranger);
}

TEST(RealTransport, SecondInstanceInThisProcessIsAnotherProgramToo) {
  RealLoop loop;
  RealNetwork first;
  RealNetwork second;
  const auto transport = first.join(loop);
  const auto other = second.join(loop);
  const auto listener = std::move(transport->listen({"127.0.0.1", 0}, [](auto) {})).value();
  EXPECT_EQ(other->listen(listener->endpoint(), [](auto) {}).error().code,
            ErrorCode::kAddressInUse);
}

TEST(RealTransport, PortIsFreeAgainAfterARunWithConnections) {
  Endpoint endpoint{"127.0.0.1", 0};
  for (int i = 0; i < 3; ++i) {
    RealLoop loop;
    RealNetwork network;
    const auto transport = network.join(loop);
    std::atomic<bool> accepted{false};
    auto listener = transport->listen(endpoint, [&](std::unique_ptr<Connection>) {
      accepted = true;  // and closed from this side, which leaves TIME_WAIT behind
      accepted.notify_one();
    });
    ASSERT_TRUE(listener.ok()) << listener.error().detail;
    endpoint = listener.value()->endpoint();
    loop.start();
    const int client = dial(endpoint.port);
    ASSERT_GE(client, 0);
    accepted.wait(false);
    loop.stop();
    ::close(client);
  }
}

TEST(RealTransport, LocalhostAndAllAddressesWork) {
  for (const char* host : {"localhost", "", "0.0.0.0"}) {
    RealLoop loop;
    RealNetwork network;
    const auto transport = network.join(loop);
    std::atomic<bool> accepted{false};
    std::atomic<bool> by_name{false};
    const auto listener = transport->listen({host, 0}, [&](std::unique_ptr<Connection>) {
      accepted = true;
      accepted.notify_one();
    });
    ASSERT_TRUE(listener.ok()) << listener.error().detail;
    const std::uint16_t port = listener.value()->endpoint().port;
    loop.start();
    const int client = dial(port);
    EXPECT_GE(client, 0) << host;
    accepted.wait(false);
    ::close(client);
    run_on(loop, [&] {
      transport->connect({"localhost", port}, [&](Result<std::unique_ptr<Connection>> r) {
        EXPECT_TRUE(r.ok());
        by_name = true;
        by_name.notify_one();
      });
    });
    by_name.wait(false);
    loop.stop();
  }
}

TEST(RealTransport, UnknownHostIsAnError) {
  RealLoop loop;
  RealNetwork network;
  const auto transport = network.join(loop);
  EXPECT_FALSE(transport->listen({"no-such-host.invalid", 0}, [](auto) {}).ok());
  EXPECT_FALSE(transport->listen({"192.0.2.1", 0}, [](auto) {}).ok())
      << "not an address of this machine";
}

// Goal: shards share an address and get equally many connections. Method: three loops, thirty
// clients; one leaves.
TEST(RealTransport, ShardsShareConnectionsEvenly) {
  constexpr std::size_t kShards = 3;
  RealLoop loops[kShards];
  RealNetwork network;
  std::unique_ptr<Transport> transports[kShards];
  std::unique_ptr<Listener> listeners[kShards];
  std::atomic<int> counts[kShards] = {};
  std::atomic<int> all{0};
  Endpoint endpoint{"127.0.0.1", 0};
  for (std::size_t i = 0; i < kShards; ++i) {
    transports[i] = network.join(loops[i]);
    listeners[i] = std::move(transports[i]->listen(endpoint, [&, i](std::unique_ptr<Connection>) {
                     EXPECT_TRUE(loops[i].here());
                     ++counts[i];
                     ++all;
                     all.notify_one();
                   })).value();
    endpoint = listeners[i]->endpoint();
  }
  for (RealLoop& loop : loops) loop.start();
  const auto dial_some = [&](int clients, int until) {
    for (int i = 0; i < clients; ++i) ::close(dial(endpoint.port));
    for (int seen = all; seen < until; seen = all) all.wait(seen);
  };
  dial_some(30, 30);
  for (const auto& count : counts) EXPECT_EQ(count, 10);
  // The one whose loop watches the socket leaves; the others go on.
  run_on(loops[0], [&] { listeners[0].reset(); });
  dial_some(10, 40);
  EXPECT_EQ(counts[0], 10);
  for (RealLoop& loop : loops) loop.stop();
}

// Goal: accepting survives the end of descriptors and heals by itself. Method: lower the limit,
// dial, raise it again.
TEST(RealTransport, AcceptingPausesWithoutDescriptorsAndHeals) {
  RealLoop loop;
  std::atomic<int> notices{0};
  RealNetwork network([&](std::string_view) {
    ++notices;
    notices.notify_one();
  });
  const auto transport = network.join(loop);
  std::vector<std::unique_ptr<Connection>> accepted;
  std::atomic<int> count{0};
  const auto listener =
      std::move(transport->listen({"127.0.0.1", 0}, [&](std::unique_ptr<Connection> connection) {
        accepted.push_back(std::move(connection));
        ++count;
        count.notify_one();
      })).value();
  loop.start();
  const int client = dial(listener->endpoint().port);
  for (int seen = count; seen < 1; seen = count) count.wait(seen);

  // A second client whose own descriptor exists before the limit is drawn.
  const int second = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  rlimit limit{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &limit), 0);
  const rlimit low{static_cast<rlim_t>(second) + 1, limit.rlim_max};
  std::vector<int> fillers;
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &low), 0);
  for (int filler = ::dup(second); filler >= 0; filler = ::dup(second)) fillers.push_back(filler);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(listener->endpoint().port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(::connect(second, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0)
      << "the backlog takes it all the same";
  for (int seen = notices; seen < 1; seen = notices) notices.wait(seen);
  EXPECT_EQ(count, 1);
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &limit), 0);
  for (int seen = count; seen < 2; seen = count) count.wait(seen);
  for (const int filler : fillers) ::close(filler);
  ::close(second);
  ::close(client);
  loop.stop();
}

// Goal: ten thousand idle connections are cheap. Method: as many plain clients as descriptors
// allow; the heap's growth per accepted connection, with both of its callbacks waiting.
TEST(RealTransport, IdleConnectionCostsLessThanAKilobyte) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "sanitizers have their own heap";
#endif
  rlimit limit{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &limit), 0);
  const rlimit high{limit.rlim_max, limit.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &high), 0);
  const std::size_t connections = std::min<std::size_t>(10'000, (limit.rlim_max - 100) / 2);
  RealLoop loop;
  RealNetwork network;
  const auto transport = network.join(loop);
  std::vector<std::unique_ptr<Connection>> accepted;
  accepted.reserve(connections);
  std::atomic<std::size_t> count{0};
  const auto listener =
      std::move(transport->listen({"127.0.0.1", 0}, [&](std::unique_ptr<Connection> connection) {
        connection->when_readable([] {});
        accepted.push_back(std::move(connection));
        ++count;
        count.notify_one();
      })).value();
  loop.start();
  std::vector<int> clients(connections);
  const std::size_t heap_before = ::mallinfo2().uordblks;
  for (int& client : clients) {
    client = dial(listener->endpoint().port);
    ASSERT_GE(client, 0);
  }
  for (std::size_t seen = count; seen < connections; seen = count) count.wait(seen);
  const std::size_t heap_after = ::mallinfo2().uordblks;
  EXPECT_LT((heap_after - heap_before) / connections, 1024U);
  RecordProperty("bytes_per_connection",
                 static_cast<int>((heap_after - heap_before) / connections));
  for (const int client : clients) ::close(client);
  loop.stop();
  accepted.clear();
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &limit), 0);
}

}  // namespace
}  // namespace millrace::env
