// What a simulated network does to connections on request.
#include "broker/env/testing/sim_transport.h"

#include <gtest/gtest.h>

#include <optional>

namespace millrace::env::testing {
namespace {

using common::Result;
using model::ErrorCode;
using namespace std::chrono_literals;

class SimNetworkTest : public ::testing::Test {
 protected:
  SimNetworkTest() {
    listener = std::move(b->listen({"", 9092}, [this](std::unique_ptr<Connection> c) {
                 server = std::move(c);
               })).value();
    a->connect({"b", 9092},
               [this](Result<std::unique_ptr<Connection>> r) { client = std::move(r).value(); });
    CHECK(world.run_until([this] { return client != nullptr && server != nullptr; }));
  }
  bool send(Connection& connection, std::string_view text) {
    const common::ByteView piece = common::as_bytes(text);
    return connection.write(std::span(&piece, 1)).ok();
  }
  /// What can be read now; "closed" when no more will come.
  std::string receive(Connection& connection) {
    std::uint8_t bytes[64];
    const auto count = connection.read(bytes);
    return count.ok() ? std::string(common::as_text({bytes, *count})) : "closed";
  }

  SimWorld world{3};
  SimLoop& loop_a = world.make_loop();
  SimLoop& loop_b = world.make_loop();
  SimNetwork network{world};
  std::unique_ptr<Transport> a = network.join(loop_a, "a");
  std::unique_ptr<Transport> b = network.join(loop_b, "b");
  std::unique_ptr<Listener> listener;
  std::unique_ptr<Connection> client;
  std::unique_ptr<Connection> server;
};

TEST_F(SimNetworkTest, BytesTakeTime) {
  ASSERT_TRUE(send(*client, "x"));
  EXPECT_EQ(receive(*server), "");
  world.run();
  EXPECT_EQ(receive(*server), "x");
}

TEST_F(SimNetworkTest, OneWayCutHoldsBytesBackUntilItHeals) {
  network.cut("a", "b");
  ASSERT_TRUE(send(*client, "x"));
  ASSERT_TRUE(send(*server, "y"));
  world.run_for(1s);
  EXPECT_EQ(receive(*server), "");
  EXPECT_EQ(receive(*client), "y");
  network.heal("a", "b");
  EXPECT_EQ(receive(*server), "x");
}

TEST_F(SimNetworkTest, LongCutBreaksTheConnection) {
  network.partition("a", "b");
  ASSERT_TRUE(send(*client, "x"));
  world.run_for(1min);
  EXPECT_EQ(receive(*server), "closed");
  EXPECT_EQ(receive(*client), "closed");
  // Nobody says that nobody listens.
  std::optional<ErrorCode> why;
  a->connect({"b", 9092}, [&](Result<std::unique_ptr<Connection>> r) { why = r.error().code; });
  world.run_for(1min);
  EXPECT_EQ(why, ErrorCode::kNetworkException);
}

TEST_F(SimNetworkTest, ResetTellsBothAndLosesBytes) {
  ASSERT_TRUE(send(*client, "x"));
  network.reset_connections("b", "a");
  bool told = false;
  server->when_readable([&] { told = true; });
  world.run();
  EXPECT_TRUE(told);
  EXPECT_EQ(receive(*server), "closed");
  EXPECT_FALSE(send(*client, "x"));
}

TEST_F(SimNetworkTest, SilentCrashIsNoticedOnlyByWriting) {
  network.crash("b", false);
  world.run_for(1min);
  EXPECT_EQ(receive(*client), "");
  EXPECT_TRUE(send(*client, "x"));
  world.run_for(1min);
  EXPECT_EQ(receive(*client), "closed");
  bool refused = false;
  a->connect({"b", 9092}, [&](Result<std::unique_ptr<Connection>> r) { refused = !r.ok(); });
  world.run();
  EXPECT_TRUE(refused);
}

TEST_F(SimNetworkTest, SlowLinkIsSlow) {
  network.slow_down("a", "b", 3s);
  ASSERT_TRUE(send(*client, "x"));
  world.run_for(2s);
  EXPECT_EQ(receive(*server), "");
  world.run_for(2s);
  EXPECT_EQ(receive(*server), "x");
}

TEST_F(SimNetworkTest, UnreadBytesAreBounded) {
  const std::string chunk(64 * 1024, 'x');
  const common::ByteView piece = common::as_bytes(chunk);
  std::size_t taken = 0;
  for (int i = 0; i < 100; ++i) {
    taken += *client->write(std::span(&piece, 1));
    world.run();
  }
  EXPECT_EQ(taken, SimNetworkOptions{}.buffer_bytes);
}

TEST_F(SimNetworkTest, OccupiedPort) {
  network.occupy("b", 80);
  EXPECT_EQ(b->listen({"", 80}, [](auto) {}).error().code, ErrorCode::kAddressInUse);
  EXPECT_TRUE(a->listen({"", 80}, [](auto) {}).ok());
}

TEST_F(SimNetworkTest, ClosedConnectionsAreForgotten) {
  EXPECT_EQ(network.connections(), 1U);
  client.reset();
  server.reset();
  world.run();
  EXPECT_EQ(network.connections(), 0U);
}

}  // namespace
}  // namespace millrace::env::testing
