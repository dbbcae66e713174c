// The contract of Transport, kept by the machine's and by the simulator's.
#include "broker/env/transport.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <optional>

#include "broker/env/testing/both_worlds.h"

namespace millrace::env {
namespace {

using common::Result;
using model::ErrorCode;

TEST(Endpoint, ParsesWhatPeopleWrite) {
  EXPECT_EQ(*Endpoint::parse("localhost:9092"), (Endpoint{"localhost", 9092}));
  EXPECT_EQ(*Endpoint::parse(":0"), (Endpoint{"", 0}));
  EXPECT_EQ(*Endpoint::parse("[::1]:65535"), (Endpoint{"::1", 65535}));
  EXPECT_EQ(Endpoint::parse("[::1]:80")->text(), "[::1]:80");
  EXPECT_EQ(Endpoint::parse("10.0.0.1:80")->text(), "10.0.0.1:80");
}

TEST(Endpoint, RefusesTheRestWithAReason) {
  for (const char* text : {"", "host", "host:", "host:65536", "host:-1", "host:8x", "::1:80",
                           "[::1:80", "[]:80", "a b:80", "http://x:80"}) {
    const auto parsed = Endpoint::parse(text);
    ASSERT_FALSE(parsed.ok()) << text;
    EXPECT_EQ(parsed.error().code, ErrorCode::kInvalidConfig);
    EXPECT_NE(parsed.error().detail.find("expected HOST:PORT"), std::string::npos);
  }
}

class TransportTest : public ::testing::TestWithParam<std::string> {
 protected:
  ~TransportTest() override {
    world->run([this] {
      client.reset();
      servers.clear();
      listener.reset();
    });
  }

  void listen() {
    world->run([this] {
      auto made = world->transport().listen({"127.0.0.1", 0},
                                            [this](std::unique_ptr<Connection> connection) {
                                              servers.push_back(std::move(connection));
                                            });
      CHECK(made.ok(), "{}", made.error().detail);
      listener = std::move(made).value();
      endpoint = listener->endpoint();
    });
  }

  Result<std::unique_ptr<Connection>> connect(const Endpoint& target) {
    std::optional<Result<std::unique_ptr<Connection>>> answer;
    world->run([&] {
      world->transport().connect(
          target, [&](Result<std::unique_ptr<Connection>> r) { answer = std::move(r); });
      EXPECT_FALSE(answer.has_value()) << "answered inside the call";
    });
    CHECK(world->wait([&] { return answer.has_value(); }));
    return std::move(*answer);
  }

  void connect_pair() {
    listen();
    client = std::move(connect(endpoint)).value();
    ASSERT_TRUE(world->wait([this] { return servers.size() == 1; }));
  }

  /// Reads until `wanted` bytes are there or the connection ended.
  void read_on(Connection& connection, std::size_t wanted, std::vector<std::uint8_t>& into,
               bool& ended) {
    connection.when_readable([this, &connection, wanted, &into, &ended] {
      std::uint8_t chunk[7000];
      for (;;) {
        const auto count = connection.read(chunk);
        if (!count.ok()) {
          EXPECT_EQ(count.error().code, ErrorCode::kConnectionClosed);
          ended = true;
          return;
        }
        if (*count == 0) break;
        into.insert(into.end(), chunk, chunk + *count);
      }
      if (into.size() < wanted) read_on(connection, wanted, into, ended);
    });
  }

  /// Writes all of `bytes`, waiting for room.
  void write_on(Connection& connection, common::ByteView bytes, bool& done) {
    while (!bytes.empty()) {
      const common::ByteView pieces[] = {
          bytes.first(bytes.size() / 3), {}, bytes.subspan(bytes.size() / 3)};
      const auto count = connection.write(pieces);
      if (!count.ok()) return;
      if (*count == 0) {
        connection.when_writable(
            [this, &connection, bytes, &done] { write_on(connection, bytes, done); });
        return;
      }
      bytes = bytes.subspan(*count);
    }
    done = true;
  }

  std::unique_ptr<testing::World> world = testing::make_world(GetParam());
  std::unique_ptr<Listener> listener;
  Endpoint endpoint;
  std::unique_ptr<Connection> client;
  std::vector<std::unique_ptr<Connection>> servers;
};

TEST_P(TransportTest, FreePortIsChosenAndTold) {
  listen();
  EXPECT_NE(endpoint.port, 0);
  EXPECT_EQ(endpoint.host, "127.0.0.1");
}

TEST_P(TransportTest, BytesFlowBothWays) {
  connect_pair();
  std::vector<std::uint8_t> at_server;
  std::vector<std::uint8_t> at_client;
  bool ended = false;
  bool written = false;
  world->run([&] {
    read_on(*servers[0], 5, at_server, ended);
    read_on(*client, 5, at_client, ended);
    write_on(*client, common::as_bytes("hello"), written);
    write_on(*servers[0], common::as_bytes("world"), written);
  });
  ASSERT_TRUE(world->wait([&] { return at_server.size() == 5 && at_client.size() == 5; }));
  EXPECT_EQ(common::as_text(at_server), "hello");
  EXPECT_EQ(common::as_text(at_client), "world");
  EXPECT_FALSE(ended);
}

// Goal: a full socket is waited for and nothing is lost or mixed up. Method: 20 MB, the reader
// starts late.
TEST_P(TransportTest, BackpressureAndOrder) {
  connect_pair();
  std::vector<std::uint8_t> sent(20'000'000);
  for (std::size_t i = 0; i < sent.size(); ++i) sent[i] = static_cast<std::uint8_t>(i * 31 >> 3);
  std::vector<std::uint8_t> received;
  bool ended = false;
  bool written = false;
  world->run([&] {
    write_on(*client, sent, written);
    EXPECT_FALSE(written) << "a socket that takes 20 MB at once has no bound";
  });
  world->run([&] { read_on(*servers[0], sent.size(), received, ended); });
  ASSERT_TRUE(world->wait([&] { return received.size() == sent.size(); }));
  EXPECT_TRUE(received == sent);
}

TEST_P(TransportTest, PeerSeesTheEndAfterTheLastByte) {
  connect_pair();
  std::vector<std::uint8_t> received;
  bool ended = false;
  bool written = false;
  world->run([&] {
    write_on(*client, common::as_bytes("last words"), written);
    client.reset();
  });
  world->run([&] { read_on(*servers[0], SIZE_MAX, received, ended); });
  ASSERT_TRUE(world->wait([&] { return ended; }));
  EXPECT_EQ(common::as_text(received), "last words");
}

TEST_P(TransportTest, IdleReaderHearsTheEnd) {
  connect_pair();
  std::vector<std::uint8_t> received;
  bool ended = false;
  world->run([&] { read_on(*servers[0], SIZE_MAX, received, ended); });
  world->run([&] { client.reset(); });
  EXPECT_TRUE(world->wait([&] { return ended; }));
}

TEST_P(TransportTest, WriterLearnsThatThePeerIsGone) {
  connect_pair();
  world->run([&] { servers.clear(); });
  const auto refused = [&] {
    const common::ByteView piece = common::as_bytes("x");
    return !client->write(std::span(&piece, 1)).ok();
  };
  EXPECT_TRUE(world->wait(refused));
}

TEST_P(TransportTest, DestroyedConnectionForgetsItsCallbacks) {
  connect_pair();
  bool written = false;
  bool told = false;
  world->run([&] { write_on(*servers[0], common::as_bytes("unread"), written); });
  world->run([&] {
    client->when_readable([&] { told = true; });
    client->when_writable([&] { told = true; });
    client.reset();
  });
  auto second = connect(endpoint);
  ASSERT_TRUE(second.ok());
  world->run([&] { second = model::error(ErrorCode::kConnectionClosed); });
  EXPECT_FALSE(told);
}

TEST_P(TransportTest, CallbackMayDestroyItsConnection) {
  connect_pair();
  bool done = false;
  world->run([&] {
    client->when_readable([] {});
    client->when_writable([&] {
      client.reset();
      done = true;
    });
  });
  EXPECT_TRUE(world->wait([&] { return done; }));
}

TEST_P(TransportTest, WritableIsToldLaterNeverInside) {
  connect_pair();
  bool told = false;
  world->run([&] {
    client->when_writable([&] { told = true; });
    EXPECT_FALSE(told);
  });
  EXPECT_TRUE(world->wait([&] { return told; }));
}

TEST_P(TransportTest, NobodyListensIsAnError) {
  listen();
  world->run([&] { listener.reset(); });
  const auto refused = connect(endpoint);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::kConnectionClosed);
}

TEST_P(TransportTest, ListenersOfOneAddressTakeTurns) {
  listen();
  int second = 0;
  std::unique_ptr<Listener> other;
  world->run([&] {
    other = std::move(world->transport().listen(endpoint, [&](std::unique_ptr<Connection>) {
              ++second;
            })).value();
  });
  for (int i = 0; i < 10; ++i) {
    const auto connection = connect(endpoint);
    EXPECT_TRUE(connection.ok());
    world->run([&] {
      auto gone = std::move(const_cast<Result<std::unique_ptr<Connection>>&>(connection)).value();
    });
  }
  EXPECT_TRUE(world->wait([&] { return second == 5 && servers.size() == 5; }));
  world->run([&] { listener.reset(); });
  const auto last = connect(endpoint);
  EXPECT_TRUE(world->wait([&] { return second == 6; })) << "the one that is left takes all";
  world->run([&] {
    auto gone = std::move(const_cast<Result<std::unique_ptr<Connection>>&>(last)).value();
    gone.reset();
    other.reset();
  });
}

TEST_P(TransportTest, HundredsOfConnectionsEcho) {
  constexpr std::size_t kClients = 200;
  listen();
  std::vector<std::unique_ptr<Connection>> clients;
  for (std::size_t i = 0; i < kClients; ++i) {
    world->run([&] {
      world->transport().connect(endpoint, [&](Result<std::unique_ptr<Connection>> r) {
        clients.push_back(std::move(r).value());
      });
    });
  }
  ASSERT_TRUE(
      world->wait([&] { return clients.size() == kClients && servers.size() == kClients; }));
  std::vector<std::vector<std::uint8_t>> received(kClients);
  bool ended = false;
  bool written = false;
  world->run([&] {
    for (std::size_t i = 0; i < kClients; ++i) {
      read_on(*servers[i], 1, received[i], ended);
      write_on(*clients[i], common::as_bytes("x"), written);
    }
  });
  EXPECT_TRUE(world->wait(
      [&] { return std::ranges::all_of(received, [](const auto& r) { return r.size() == 1; }); }));
  world->run([&] { clients.clear(); });
}

TEST_P(TransportTest, PeerIsNamed) {
  connect_pair();
  world->run([&] {
    EXPECT_TRUE(client->peer().ends_with(std::to_string(endpoint.port))) << client->peer();
    EXPECT_EQ(client->peer(), servers[0]->local());
    EXPECT_EQ(client->local(), servers[0]->peer());
  });
}

INSTANTIATE_TEST_SUITE_P(Worlds, TransportTest, ::testing::Values("real", "simulated"),
                         [](const auto& chosen) { return chosen.param; });

}  // namespace
}  // namespace millrace::env
