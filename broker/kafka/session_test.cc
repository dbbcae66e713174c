// The connection itself: framing over a wire, order of answers, limits and how connections end.
#include "broker/kafka/session.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "broker/kafka/testing/test_broker.h"
#include "broker/wire/messages/api_versions.h"
#include "broker/wire/messages/list_offsets.h"
#include "broker/wire/messages/metadata.h"
#include "common/endian.h"

namespace millrace::kafka {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;
using testing::batch_of;
using testing::Client;
using testing::produce_request;
using testing::TestBroker;
using testing::TestBrokerOptions;

std::string api_versions_bytes(std::int32_t correlation_id) {
  return std::string(
      wire::encode_request(wire::ApiVersionsRequest{}, 0, correlation_id, "cut").joined().text());
}

/// A Fetch that waits for records of a partition that has none.
wire::FetchRequest long_poll(const model::TopicId& id, std::int32_t wait_ms,
                             std::int64_t from = 0) {
  wire::FetchRequest request;
  request.max_wait_ms = wait_ms;
  request.min_bytes = 1;
  request.session_epoch = -1;
  auto& topic = request.topics.emplace_back();
  topic.topic_id = id;
  auto& partition = topic.partitions.emplace_back();
  partition.partition = 0;
  partition.fetch_offset = from;
  partition.partition_max_bytes = 1 << 20;
  return request;
}

// Goal: clients that come while the broker starts wait for its answers. Method: serve() after the
// request came.
TEST(Session, EarlyClientsWait) {
  TestBroker broker({.shards = 1, .limits = {}, .config = {}, .serve = false});
  Client client = broker.connect();
  const auto id = client.send(wire::ApiVersionsRequest{}, 0);
  broker.world().run_for(seconds(5));
  EXPECT_TRUE(client.end().received().empty());
  broker.server().serve();
  EXPECT_EQ(client.receive_as<wire::ApiVersionsRequest>(id, 0).error_code, 0);
}

// Goal: a request is understood however the network cuts it. Method: every cut of one request into
// two deliveries.
TEST(Session, RequestsMayBeCutAnywhere) {
  TestBroker broker;
  Client client = broker.connect();
  const std::string bytes = api_versions_bytes(7);
  for (std::size_t cut = 1; cut < bytes.size(); ++cut) {
    client.send_bytes(bytes.substr(0, cut));
    broker.world().run_for(milliseconds(1));
    EXPECT_TRUE(client.end().received().empty()) << cut;
    client.send_bytes(bytes.substr(cut));
    const auto answer = client.receive();
    ASSERT_TRUE(answer.has_value()) << cut;
    EXPECT_EQ(answer->correlation_id(), 7);
  }
}

// Goal: what is pipelined in one delivery is answered in order and with few writes.
TEST(Session, PipelinedRequestsAreAnsweredInOrderAndTogether) {
  TestBroker broker;
  const auto id = broker.create_topic("orders");
  Client client = broker.connect();
  std::vector<std::int32_t> sent;
  for (int i = 0; i < 50; ++i)
    sent.push_back(client.send(produce_request("", id, 0, batch_of({"v"})), 13));
  for (std::size_t i = 0; i < sent.size(); ++i) {
    const auto response = client.receive_as<wire::ProduceRequest>(sent[i], 13);
    ASSERT_EQ(response.responses.at(0).partition_responses.at(0).error_code, 0);
    EXPECT_EQ(response.responses[0].partition_responses[0].base_offset,
              static_cast<std::int64_t>(i));
  }
  EXPECT_LT(client.end().writes(), 25u) << "answers of one turn leave together";
}

// Goal: a request that follows a slow one is answered after it, though its own answer is there at
// once.
TEST(Session, AQuickRequestWaitsForASlowOne) {
  TestBroker broker;
  const auto id = broker.create_topic("orders");
  Client client = broker.connect();
  const auto slow = client.send(long_poll(id, 500), 17);
  const auto quick = client.send(wire::ApiVersionsRequest{"test", "1"}, 3);
  broker.world().run_for(milliseconds(400));
  EXPECT_TRUE(client.end().received().empty());
  client.receive_as<wire::FetchRequest>(slow, 17);
  const auto response = client.receive_as<wire::ApiVersionsRequest>(quick, 3);
  EXPECT_EQ(response.error_code, 0);
}

// Goal: what follows a produce on its connection sees what it wrote. Method: both in one delivery.
TEST(Session, LaterRequestsSeeEarlierWrites) {
  TestBroker broker;
  const auto id = broker.create_topic("orders");
  Client client = broker.connect();
  const auto write = client.send(produce_request("", id, 0, batch_of({"a", "b", "c"})), 13);
  wire::ListOffsetsRequest latest;
  auto& topic = latest.topics.emplace_back();
  topic.name = "orders";
  topic.partitions.push_back({0, -1, -1});
  const auto ask = client.send(latest, 9);
  client.receive_as<wire::ProduceRequest>(write, 13);
  const auto found = client.receive_as<wire::ListOffsetsRequest>(ask, 9);
  EXPECT_EQ(found.topics.at(0).partitions.at(0).offset, 3);
}

TEST(Session, LengthsThatAreTooLargeOrNegativeEndTheConnection) {
  for (const std::int32_t length : {INT32_MAX, 100 << 20 | 1, -1}) {
    TestBroker broker;
    Client client = broker.connect();
    std::string bytes(4, 0);
    common::store_big(reinterpret_cast<std::uint8_t*>(bytes.data()), length);
    client.send_bytes(bytes);
    EXPECT_TRUE(client.closed()) << length;
    EXPECT_EQ(broker.server().metrics().closed.oversized, 1u);
    ASSERT_EQ(broker.log().size(), 1u);
    EXPECT_THAT(broker.log()[0], ::testing::HasSubstr("cause=oversized"));
    EXPECT_EQ(broker.connections().open_now(), 0);
  }
}

// Goal: an announced frame costs nothing until it comes, and a connection that holds half of one is
// known to hold it.
TEST(Session, AnAnnouncedFrameCostsNothing) {
  TestBroker broker;
  Client client = broker.connect();
  std::string bytes(4, 0);
  common::store_big(reinterpret_cast<std::uint8_t*>(bytes.data()), 100 << 20);
  client.send_bytes(bytes + "xxxx");
  broker.world().run_for(seconds(1));
  EXPECT_FALSE(client.end().broker_closed());
  EXPECT_GT(broker.server().memory().used(), 0u);
  EXPECT_LE(broker.server().memory().used(), 64u);
  client.end().shut();
  EXPECT_TRUE(client.closed());
  EXPECT_EQ(broker.server().memory().used(), 0u);
}

TEST(Session, WhatCannotBeDecodedEndsOnlyItsConnection) {
  TestBroker broker;
  Client other = broker.connect();
  Client client = broker.connect();
  std::string bytes = api_versions_bytes(1);
  bytes.resize(4 + 5);  // cut inside of the header
  common::store_big(reinterpret_cast<std::uint8_t*>(bytes.data()), 5);
  client.send_bytes(bytes);
  EXPECT_TRUE(client.closed());
  EXPECT_EQ(broker.server().metrics().closed.malformed, 1u);

  Client third = broker.connect();
  std::string produce(wire::encode_request(produce_request("t", {}, 0, batch_of({"v"})), 9, 1, "c")
                          .joined()
                          .text());
  produce[produce.size() - 90] = static_cast<char>(0xff);
  produce.resize(produce.size() - 40);
  common::store_big(reinterpret_cast<std::uint8_t*>(produce.data()),
                    static_cast<std::int32_t>(produce.size() - 4));
  third.send_bytes(produce);
  EXPECT_TRUE(third.closed());
  EXPECT_EQ(other.call(wire::ApiVersionsRequest{}, 0).error_code, 0);
}

TEST(Session, RequestsThatAreNotServedEndTheConnection) {
  TestBroker broker;
  Client client = broker.connect();
  std::string bytes = api_versions_bytes(1);
  common::store_big(reinterpret_cast<std::uint8_t*>(bytes.data()) + 4,
                    std::int16_t{24});  // AddPartitionsToTxn
  client.send_bytes(bytes);
  EXPECT_TRUE(client.closed());
  EXPECT_EQ(broker.server().metrics().closed.unsupported, 1u);
  ASSERT_FALSE(broker.log().empty());
  EXPECT_THAT(broker.log()[0], ::testing::HasSubstr("API 24 version 0 is not served"));
}

// Goal: a flood of bad connections does not flood the log, and nothing is hidden: what was left out
// is counted.
TEST(Session, ReasonsAreLoggedAtALimitedRate) {
  TestBroker broker;
  for (int i = 0; i < 100; ++i) {
    Client client = broker.connect();
    client.send_bytes(std::string("\xff\xff\xff\xff", 4));
    EXPECT_TRUE(client.closed(milliseconds(1)));
  }
  EXPECT_LE(broker.log().size(), 5u);
  broker.world().run_for(seconds(2));
  Client client = broker.connect();
  client.send_bytes(std::string("\xff\xff\xff\xff", 4));
  EXPECT_TRUE(client.closed());
  EXPECT_THAT(broker.log(), ::testing::Contains("event=log_lines_dropped source=kafka count=95"));
}

// Goal: while a client does not read its answers, no more of its requests are read; when it reads,
// it gets all.
TEST(Session, ASlowReaderIsNotReadFrom) {
  TestBrokerOptions options;
  options.limits.response_bytes_waiting_max = 2000;
  TestBroker broker(options);
  Client client = broker.connect();
  client.end().set_room(10);
  constexpr int kRequests = 20'000;
  std::string bytes;
  for (int i = 0; i < kRequests; ++i) bytes += api_versions_bytes(i);
  client.send_bytes(bytes);
  broker.world().run_for(seconds(1));
  EXPECT_GT(client.end().unread(), bytes.size() / 2);
  EXPECT_LT(broker.server().memory().used(), 1u << 20);
  client.end().set_room(SIZE_MAX);
  for (int i = 0; i < kRequests; ++i) {
    const auto answer = client.receive();
    ASSERT_TRUE(answer.has_value());
    ASSERT_EQ(answer->correlation_id(), i);
  }
  EXPECT_EQ(broker.server().memory().used(), 0u);
}

// Goal: only so many requests of one connection are worked on at once. Method: appends that take a
// second.
TEST(Session, RequestsInWorkAreLimited) {
  TestBrokerOptions options;
  options.limits.requests_per_connection_max = 8;
  TestBroker broker(options);
  const auto id = broker.create_topic("orders");
  broker.storage().append_delay = seconds(1);
  Client client = broker.connect();
  for (int i = 0; i < 30; ++i) client.send(produce_request("", id, 0, batch_of({"v"})), 13);
  broker.world().run_for(milliseconds(900));
  const auto& log = broker.shard().partitions().begin()->second->log();
  EXPECT_EQ(log.end_offset().value(), 8);
  for (int i = 0; i < 30; ++i) ASSERT_EQ(client.receive()->correlation_id(), i + 1);
  EXPECT_EQ(log.end_offset().value(), 30);
}

// Goal: over the memory budget sockets are not read, and everything is served in the end.
TEST(Session, MemoryThatIsShortHoldsReadersBack) {
  TestBrokerOptions options;
  options.limits.memory_bytes_max = 300'000;
  TestBroker broker(options);
  const auto id = broker.create_topic("orders");
  broker.storage().append_delay = seconds(1);
  std::vector<Client> clients;
  const std::string value(100'000, 'v');
  for (int i = 0; i < 20; ++i) {
    clients.push_back(broker.connect());
    clients.back().send(produce_request("", id, 0, batch_of({value})), 13);
  }
  std::size_t used_max = 0;
  for (int i = 0; i < 50; ++i) {
    broker.world().run_for(milliseconds(10));
    used_max = std::max(used_max, broker.server().memory().used());
  }
  EXPECT_LT(used_max, 600'000u);
  for (Client& client : clients) EXPECT_TRUE(client.receive().has_value());
  EXPECT_EQ(broker.server().memory().used(), 0u);
}

// Goal: senders that stop in the middle of a frame do not block the others for ever. Method: they
// hold all memory.
TEST(Session, StalledSendersAreClosedWhenMemoryIsShort) {
  TestBrokerOptions options;
  options.limits.memory_bytes_max = 100'000;
  options.limits.stall_max = seconds(5);
  TestBroker broker(options);
  const auto id = broker.create_topic("orders");
  const std::string bytes(
      wire::encode_request(produce_request("", id, 0, batch_of({std::string(90'000, 'v')})), 13, 1,
                           "c")
          .joined()
          .text());
  std::vector<Client> liars;
  for (int i = 0; i < 4; ++i) {
    liars.push_back(broker.connect());
    liars.back().send_bytes(std::string_view(bytes).substr(0, 60'000));
  }
  broker.world().run_for(seconds(1));
  EXPECT_GE(broker.server().memory().used(), 100'000u);
  Client honest = broker.connect();
  honest.send_bytes(bytes);
  EXPECT_TRUE(honest.receive(minutes(2)).has_value());
  EXPECT_GT(broker.server().metrics().closed.stalled, 0u);
}

TEST(Session, IdleConnectionsEndAndBusyOnesStay) {
  TestBrokerOptions options;
  options.limits.idle_max = minutes(10);
  TestBroker broker(options);
  Client idle = broker.connect();
  Client busy = broker.connect();
  for (int i = 0; i < 20; ++i) {
    broker.world().run_for(minutes(1));
    EXPECT_EQ(busy.call(wire::ApiVersionsRequest{}, 0).error_code, 0);
    if (i == 8) {
      EXPECT_FALSE(idle.end().broker_closed());
    }
  }
  EXPECT_TRUE(idle.end().broker_closed());
  EXPECT_EQ(broker.server().metrics().closed.idle, 1u);
  EXPECT_EQ(broker.connections().open_now(), 1);
}

TEST(Session, ConnectionsBeyondTheMaximumAreRefused) {
  for (const char* limit : {"max.connections", "max.connections.per.ip"}) {
    TestBroker broker({.shards = 1, .limits = {}, .config = {{limit, "2"}}});
    Client a = broker.connect();
    Client b = broker.connect();
    Client c = broker.connect();
    EXPECT_TRUE(c.closed()) << limit;
    EXPECT_THAT(broker.log(),
                ::testing::ElementsAre(::testing::HasSubstr(std::string(limit) + "=2 are open")));
    a.end().shut();
    EXPECT_TRUE(a.closed());
    Client d = broker.connect();
    EXPECT_EQ(d.call(wire::ApiVersionsRequest{}, 0).error_code, 0);
  }
}

// Goal: a client that leaves while its fetch waits leaves nothing behind; one whose produce is
// under way neither.
TEST(Session, ClientsMayLeaveAtAnyTime) {
  TestBroker broker;
  const auto id = broker.create_topic("orders");
  broker.storage().append_delay = seconds(1);
  Client reader = broker.connect();
  reader.send(long_poll(id, 1'000'000), 17);
  Client writer = broker.connect();
  writer.send(produce_request("", id, 0, batch_of({"v"})), 13);
  broker.world().run_for(milliseconds(10));
  reader.end().shut();
  writer.end().shut();
  EXPECT_TRUE(reader.closed());
  EXPECT_TRUE(writer.closed());
  broker.world().run_for(seconds(3));
  EXPECT_EQ(broker.server().memory().used(), 0u);
  EXPECT_EQ(broker.shard().partitions().begin()->second->bounds().high_watermark.value(), 1);
}

// Goal: a broker that stops answers what is under way and then lets its clients go.
TEST(Session, DrainingAnswersFirst) {
  TestBroker broker;
  const auto id = broker.create_topic("orders");
  broker.storage().append_delay = milliseconds(500);
  Client idle = broker.connect();
  Client writer = broker.connect();
  const auto write = writer.send(produce_request("", id, 0, batch_of({"v"})), 13);
  Client reader = broker.connect();
  const auto read = reader.send(long_poll(id, 1'000'000, 0), 17);
  broker.world().run_for(milliseconds(10));
  bool drained = false;
  broker.server().drain([&] { drained = true; });
  EXPECT_TRUE(
      broker.world().run_until([&] { return idle.end().broker_closed(); }, milliseconds(10)));
  EXPECT_FALSE(drained);
  const auto written = writer.receive_as<wire::ProduceRequest>(write, 13);
  EXPECT_EQ(written.responses.at(0).partition_responses.at(0).base_offset, 0);
  EXPECT_EQ(reader.receive_as<wire::FetchRequest>(read, 17).error_code, 0);
  EXPECT_TRUE(broker.world().run_until([&] { return drained; }, seconds(5)));
  EXPECT_TRUE(writer.end().broker_closed());
  EXPECT_TRUE(reader.end().broker_closed());
}

// Goal: an idle connection holds little of ours. Method: ten thousand of them, each after a
// request.
TEST(Session, IdleConnectionsHoldNoBuffers) {
  EXPECT_LT(sizeof(Session), 512u);
  TestBroker broker;
  std::vector<Client> clients;
  const std::size_t before = common::live_block_bytes();
  for (int i = 0; i < 1000; ++i) {
    clients.push_back(broker.connect());
    ASSERT_EQ(clients.back().call(wire::ApiVersionsRequest{}, 0).error_code, 0);
  }
  broker.world().run_for(minutes(2));
  EXPECT_EQ(broker.server().memory().used(), 0u);
  EXPECT_LE(common::live_block_bytes(), before + 4096);
}

}  // namespace
}  // namespace millrace::kafka
