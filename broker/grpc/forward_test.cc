// Calls that another broker answers, and calls of other brokers.
#include "broker/grpc/forward.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "broker/cluster/methods.h"
#include "broker/grpc/admin_calls.h"
#include "broker/service/testing/fake_neighbours.h"
#include "broker/service/testing/node.h"

namespace millrace::grpc {
namespace {

using model::BrokerId;
using model::ErrorCode;
using service::testing::FakeNeighbours;
using service::testing::Node;
using ::testing::IsEmpty;
using ::testing::SizeIs;

/// Where an answer went.
struct Answered final : UnaryCall {
  void ok() override { code = ErrorCode::kNone; }
  void fail(ErrorCode error, const std::string& why) override {
    code = error;
    detail = why;
  }
  std::optional<ErrorCode> code;
  std::string detail;
};

void echo(service::Shard&, const v1::DescribeGroupRequest& request,
          v1::DescribeGroupResponse& response, const UnaryAnswer& answer) {
  if (request.name() == "bad") return answer.fail(ErrorCode::kGroupIdNotFound, "no such group");
  response.mutable_group()->set_name(request.name());
  answer.ok();
}
const Forwardable<v1::DescribeGroupRequest, v1::DescribeGroupResponse> kEcho{"Echo", echo};

class ForwardTest : public ::testing::Test {
 protected:
  ForwardTest() {
    node.start();
    others.alive_now = {BrokerId{7}};
    node.shard().set_neighbours(&others);
  }
  ~ForwardTest() override { node.shard().set_neighbours(nullptr); }
  std::shared_ptr<Answered> run(BrokerId broker, const std::string& name) {
    request.set_name(name);
    response.Clear();
    auto answered = std::make_shared<Answered>();
    run_at(node.shard(), broker, kEcho, request, response, UnaryAnswer(answered));
    return answered;
  }

  Node node;
  FakeNeighbours others;
  v1::DescribeGroupRequest request;
  v1::DescribeGroupResponse response;
};

TEST_F(ForwardTest, WhatThisBrokerKnowsIsNotAskedOfOthers) {
  for (const BrokerId broker : {BrokerId{-1}, node.shard().identity().node}) {
    EXPECT_EQ(run(broker, "orders")->code, ErrorCode::kNone);
    EXPECT_EQ(response.group().name(), "orders");
  }
  EXPECT_THAT(others.asked, IsEmpty());
}

TEST_F(ForwardTest, AnotherBrokersAnswerAndErrorArrive) {
  others.answer = [this](const FakeNeighbours::Asked& asked) {
    EXPECT_EQ(asked.method, cluster::Method::kDoor);
    EXPECT_EQ(asked.shard, 0u);
    const auto named = parse_body(asked.body.view());
    EXPECT_EQ(named->name, "Echo");
    std::optional<common::Result<common::Bytes>> answer;
    run_for_broker(node.shard(), kEcho, named->request,
                   common::Reply<common::Result<common::Bytes>>(
                       [&](common::Result<common::Bytes> bytes) { answer = std::move(bytes); }));
    return *std::move(answer);
  };
  EXPECT_EQ(run(BrokerId{7}, "orders")->code, ErrorCode::kNone);
  EXPECT_EQ(response.group().name(), "orders");
  const auto failed = run(BrokerId{7}, "bad");
  EXPECT_EQ(failed->code, ErrorCode::kGroupIdNotFound);
  EXPECT_EQ(failed->detail, "no such group");
  EXPECT_THAT(others.asked, SizeIs(2));
}

TEST_F(ForwardTest, ABrokerThatIsAwayOrTalksNonsenseIsAnError) {
  EXPECT_EQ(run(BrokerId{8}, "orders")->code, ErrorCode::kBrokerNotAvailable);
  EXPECT_THAT(others.asked, IsEmpty());
  others.answer = [](const FakeNeighbours::Asked&) { return common::Bytes::copy_of("\xff\xff"); };
  EXPECT_EQ(run(BrokerId{7}, "orders")->code, ErrorCode::kCorruptMessage);
}

TEST_F(ForwardTest, CallsOfOthersThatMakeNoSenseAreRefused) {
  const auto refusal = [this](const common::Bytes& body) {
    std::optional<common::Result<common::Bytes>> answer;
    answer_broker(node.shard(), body,
                  common::Reply<common::Result<common::Bytes>>(
                      [&](common::Result<common::Bytes> bytes) { answer = std::move(bytes); }));
    return answer->error().code;
  };
  EXPECT_EQ(refusal({}), ErrorCode::kCorruptMessage);
  EXPECT_EQ(refusal(common::Bytes::copy_of("\x7f")), ErrorCode::kCorruptMessage);
  EXPECT_EQ(refusal(to_body("DropEverything", request)), ErrorCode::kUnsupportedVersion);
  const std::string wrong = std::string("\x0d") + "DescribeGroup" + "\xff\xff";
  EXPECT_EQ(refusal(common::Bytes::copy_of(wrong)), ErrorCode::kCorruptMessage);
}

// A call that came from another broker is never passed on, wherever its group is.
TEST_F(ForwardTest, ACallIsPassedOnOnceAtMost) {
  request.set_name("orders");
  std::optional<common::Result<common::Bytes>> answer;
  answer_broker(node.shard(), to_body(kDescribeGroup.name, request),
                common::Reply<common::Result<common::Bytes>>(
                    [&](common::Result<common::Bytes> bytes) { answer = std::move(bytes); }));
  ASSERT_TRUE(node.world.run_until([&] { return answer.has_value(); }));
  EXPECT_THAT(others.asked, IsEmpty());
}

}  // namespace
}  // namespace millrace::grpc
