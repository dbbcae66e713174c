#include "broker/telemetry/clients.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "broker/model/compression.h"
#include "broker/telemetry/testing/otlp_message.h"

namespace millrace::telemetry {
namespace {

using model::ErrorCode;
using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using testing::OtlpMessage;

constexpr std::size_t kBytesMax = 1 << 20;

Client client(std::uint8_t number = 1) {
  Client client{.id = fmt::format("app-{}", number), .software_name = "java"};
  client.instance.bytes[0] = number;
  return client;
}

class ClientsTest : public ::testing::Test {
 protected:
  ClientsTest() { want("*"); }

  void want(const std::string& metrics) {
    std::vector<Subscription> all;
    all.push_back(*Subscription::from({{"metrics", metrics}, {"interval.ms", "1000"}}));
    clients_.set_subscriptions(std::move(all));
  }
  ErrorCode ask(const Client& who = client()) {
    const auto granted = clients_.subscribe(who, now_);
    if (!granted.ok()) return granted.error().code;
    id_ = granted->id;
    return ErrorCode::kNone;
  }
  ErrorCode push(const common::Bytes& metrics, Push push = {}, const Client& who = client()) {
    push.subscription_id = id_;
    push.metrics = metrics;
    const auto pushed = clients_.push(who, push, kBytesMax, now_);
    return pushed.ok() ? ErrorCode::kNone : pushed.error().code;
  }
  ErrorCode push_gauge(double value) { return push(OtlpMessage().gauge("m", value).bytes()); }
  void wait(common::Duration time) { now_ += time; }
  std::vector<std::string> readings() {
    std::vector<std::string> lines;
    for (const Reading& reading : clients_.readings(now_)) {
      std::string line;
      for (const auto& [label, value] : reading.name->labels) {
        if (!value.empty() && label != "client_instance_id")
          line += fmt::format("{}{}={}", line.empty() ? "" : ",", label, value);
      }
      lines.push_back(
          fmt::format("{} {} {}", reading.is_total ? "total" : "gauge", line, reading.value));
    }
    return lines;
  }

  Clients clients_{{.clients_max = 3, .series_per_client_max = 4, .series_max = 6}};
  common::Instant now_{seconds(1000)};
  std::int32_t id_ = 0;
};

TEST_F(ClientsTest, WhatAClientPushedLastIsShown) {
  ASSERT_EQ(ask(), ErrorCode::kNone);
  EXPECT_EQ(push(OtlpMessage(testing::Labels{{"client_rack", "r"}})
                     .gauge("lag", 3, {{"Topic", "t"}, {"metric", "mine"}, {"9", "x"}})
                     .sum("sent", 5)
                     .sum("bytes", 10, true)
                     .bytes()),
            ErrorCode::kNone);
  const std::string software = "client_id=app-1,client_software_name=java,client_rack=r";
  EXPECT_THAT(readings(), ElementsAre("total metric=bytes," + software + " 10",
                                      "gauge metric=lag," + software + ",topic=t 3",
                                      "total metric=sent," + software + " 5"));
  wait(seconds(1));
  EXPECT_EQ(push(OtlpMessage(testing::Labels{{"client_rack", "r"}})
                     .sum("sent", 9)
                     .sum("bytes", 4, true)
                     .bytes()),
            ErrorCode::kNone);
  EXPECT_THAT(readings(), ElementsAre("total metric=bytes," + software + " 14",
                                      "gauge metric=lag," + software + ",topic=t 3",
                                      "total metric=sent," + software + " 9"))
      << "deltas add up, sums since the start replace";
}

TEST_F(ClientsTest, EveryCodecIsRead) {
  for (std::int8_t codec = 0; codec <= 4; ++codec) {
    ASSERT_EQ(ask(), ErrorCode::kNone);
    const auto packed = model::compress(static_cast<model::Compression>(codec),
                                        OtlpMessage().gauge("m", codec).bytes());
    EXPECT_EQ(push(packed, {.compression = codec}), ErrorCode::kNone);
    EXPECT_THAT(readings(), ElementsAre(::testing::EndsWith(fmt::format(" {}", codec))));
    wait(seconds(2));
  }
  ask();
  EXPECT_EQ(push({}, {.compression = 5}), ErrorCode::kUnsupportedCompressionType);
  EXPECT_EQ(ask(), ErrorCode::kNone) << "it may ask at once what is supported";
  EXPECT_EQ(push({}, {.compression = -1}), ErrorCode::kUnsupportedCompressionType);
}

TEST_F(ClientsTest, RequestsThatComeTooEarlyAreHeldBack) {
  EXPECT_EQ(ask(), ErrorCode::kNone);
  EXPECT_EQ(ask(), ErrorCode::kThrottlingQuotaExceeded);
  EXPECT_EQ(push_gauge(1), ErrorCode::kNone) << "the first push comes when the client likes";
  EXPECT_EQ(push_gauge(2), ErrorCode::kThrottlingQuotaExceeded);
  wait(milliseconds(999));
  EXPECT_EQ(push_gauge(2), ErrorCode::kThrottlingQuotaExceeded);
  wait(milliseconds(1));
  EXPECT_EQ(push_gauge(3), ErrorCode::kNone) << "being held back does not start the time anew";
  EXPECT_EQ(ask(), ErrorCode::kThrottlingQuotaExceeded);
  wait(seconds(1));
  EXPECT_EQ(ask(), ErrorCode::kNone);
}

TEST_F(ClientsTest, OtherWishesMakeClientsAskAgain) {
  ask();
  EXPECT_EQ(push_gauge(1), ErrorCode::kNone);
  want("a.");
  wait(seconds(1));
  EXPECT_EQ(push_gauge(2), ErrorCode::kUnknownSubscriptionId);
  EXPECT_EQ(ask(), ErrorCode::kNone) << "at once";
  EXPECT_EQ(push_gauge(2), ErrorCode::kNone);
  EXPECT_THAT(readings(),
              ElementsAre("gauge metric=m,client_id=app-1,client_software_name=java 2"));
}

TEST_F(ClientsTest, TheLastPushMayComeEarlyAndIsTheLast) {
  ask();
  EXPECT_EQ(push_gauge(1), ErrorCode::kNone);
  EXPECT_EQ(push(OtlpMessage().gauge("m", 5).bytes(), {.terminating = true}), ErrorCode::kNone);
  wait(seconds(1));
  EXPECT_EQ(push_gauge(6), ErrorCode::kInvalidRequest);
  EXPECT_THAT(readings(), ElementsAre(::testing::EndsWith(" 5")));
}

TEST_F(ClientsTest, BytesThatAreNoMetricsChangeNothing) {
  ask();
  EXPECT_EQ(push(common::Bytes::copy_of("no metrics")), ErrorCode::kInvalidRecord);
  wait(seconds(1));
  EXPECT_EQ(push(common::Bytes::copy_of("no gzip"), {.compression = 1}), ErrorCode::kInvalidRecord);
  wait(seconds(1));
  const auto bomb = model::compress(model::Compression::kZstd, common::Bytes::zeros(64 << 20));
  EXPECT_EQ(push(bomb, {.compression = 4}), ErrorCode::kInvalidRecord);
  wait(seconds(1));
  EXPECT_EQ(push(common::Bytes::zeros(kBytesMax + 1)), ErrorCode::kTelemetryTooLarge);
  EXPECT_THAT(readings(), IsEmpty());
  EXPECT_EQ(clients_.counts().pushes, 3U);
  EXPECT_EQ(clients_.counts().unreadable, 3U);
}

TEST_F(ClientsTest, SeriesAreBounded) {
  for (const std::uint8_t number : {1, 2}) {
    ask(client(number));
    OtlpMessage message;
    for (int i = 0; i < 9; ++i) message.gauge(fmt::format("m{}", i), i);
    EXPECT_EQ(push(message.bytes(), {}, client(number)), ErrorCode::kNone);
  }
  EXPECT_EQ(readings().size(), 6U) << "four of the first, and two of the second";
  EXPECT_EQ(clients_.counts().points_dropped, 12U);
}

TEST_F(ClientsTest, TheLongestSilentMakesRoom) {
  for (const std::uint8_t number : {1, 2, 3}) {
    ask(client(number));
    push(OtlpMessage().gauge("m", number).bytes(), {}, client(number));
    wait(milliseconds(10));
  }
  wait(seconds(1));
  ask(client(1));
  ask(client(4));
  EXPECT_EQ(clients_.size(), 3U);
  EXPECT_THAT(readings(),
              ElementsAre("gauge metric=m,client_id=app-1,client_software_name=java 1",
                          "gauge metric=m,client_id=app-3,client_software_name=java 3"));
}

TEST_F(ClientsTest, SilenceIsForgotten) {
  ask();
  push(OtlpMessage().gauge("old", 1).gauge("new", 1).bytes());
  wait(seconds(59));
  push(OtlpMessage().gauge("new", 2).bytes());
  EXPECT_EQ(readings().size(), 2U);
  wait(seconds(2));
  EXPECT_THAT(readings(),
              ElementsAre("gauge metric=new,client_id=app-1,client_software_name=java 2"))
      << "a series that is not told again goes before its client";
  wait(seconds(61));
  EXPECT_THAT(readings(), IsEmpty());
  EXPECT_EQ(clients_.size(), 0U);
}

TEST_F(ClientsTest, AClientThatWasForgottenGoesOn) {
  ask();
  wait(seconds(120));
  ask(client(2));
  EXPECT_EQ(clients_.size(), 1U);
  id_ =
      interest_in(client(), {*Subscription::from({{"metrics", "*"}, {"interval.ms", "1000"}})}).id;
  EXPECT_EQ(push_gauge(1), ErrorCode::kNone) << "its subscription id is still the right one";
}

}  // namespace
}  // namespace millrace::telemetry
