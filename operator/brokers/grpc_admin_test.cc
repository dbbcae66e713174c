// Calls over real sockets to stand-ins for brokers: who is asked, for how long, and what the caller
// learns when nobody answers.
#include "operator/brokers/grpc_admin.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <optional>

namespace millrace::brokers {
namespace {

using std::chrono::milliseconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

/// A broker that answers what the test says.
class StandIn final : public v1::Admin::Service {
 public:
  StandIn() {
    ::grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", ::grpc::InsecureServerCredentials(), &port_);
    builder.RegisterService(this);
    server_ = builder.BuildAndStart();
    CHECK(server_ != nullptr);
  }
  ~StandIn() override { stop(); }
  void stop() {
    let_go_.store(true);
    let_go_.notify_all();
    if (server_ != nullptr) server_->Shutdown(std::chrono::system_clock::now());
  }
  std::string address() const { return fmt::format("127.0.0.1:{}", port_); }

  /// What a call says instead of an answer.
  struct Refusal {
    ::grpc::StatusCode status;
    std::string sentence;
    std::string code;
  };
  std::optional<Refusal> refusal;
  bool silent = false;
  std::atomic<int> calls = 0;

  ::grpc::Status ClusterHealth(::grpc::ServerContext* context, const v1::ClusterHealthRequest*,
                               v1::ClusterHealthResponse* response) override {
    response->set_cluster_id(address());
    return answer(context);
  }
  ::grpc::Status DecommissionBroker(::grpc::ServerContext* context,
                                    const v1::DecommissionBrokerRequest* request,
                                    v1::DecommissionBrokerResponse* response) override {
    response->mutable_receipt()->set_broker(request->broker());
    response->mutable_receipt()->set_directory_id(request->directory_id());
    response->mutable_receipt()->set_epoch(5);
    return answer(context);
  }
  ::grpc::Status CreateTopics(::grpc::ServerContext* context, const v1::CreateTopicsRequest*,
                              v1::CreateTopicsResponse*) override {
    return answer(context);
  }
  ::grpc::Status AlterConfigs(::grpc::ServerContext* context,
                              const v1::AlterConfigsRequest* request,
                              v1::AlterConfigsResponse*) override {
    altered = *request;
    return answer(context);
  }
  v1::AlterConfigsRequest altered;

 private:
  ::grpc::Status answer(::grpc::ServerContext* context) {
    ++calls;
    if (silent) let_go_.wait(false);
    if (!refusal) return ::grpc::Status::OK;
    if (!refusal->code.empty()) context->AddTrailingMetadata("millrace-error", refusal->code);
    return {refusal->status, refusal->sentence};
  }

  int port_ = 0;
  std::atomic<bool> let_go_ = false;
  std::unique_ptr<::grpc::Server> server_;
};

/// An address where nobody listens: one that was bound and let go.
std::string nobody() {
  StandIn gone;
  return gone.address();
}

TEST(GrpcAdmin, AnyBrokerThatIsUpIsEnough) {
  StandIn up;
  std::vector<std::string> seen;
  GrpcAdmin admin({nobody(), nobody(), up.address()}, {},
                  [&](std::string_view method, std::string_view outcome) {
                    seen.push_back(fmt::format("{} {}", method, outcome));
                  });
  const Answer<Cluster> cluster = admin.cluster();
  ASSERT_TRUE(cluster.ok()) << cluster.error().detail;
  EXPECT_EQ(cluster->cluster_id, up.address());
  EXPECT_THAT(seen, ElementsAre("ClusterHealth ok")) << "a call counts once";
}

TEST(GrpcAdmin, WhoAnsweredLastIsAskedFirst) {
  StandIn first;
  StandIn second;
  GrpcAdmin admin({first.address(), second.address()});
  first.refusal = {::grpc::StatusCode::UNAVAILABLE, "starting", "BROKER_NOT_AVAILABLE"};
  ASSERT_TRUE(admin.cluster().ok());
  first.refusal.reset();
  EXPECT_EQ(admin.cluster()->cluster_id, second.address());
  EXPECT_EQ(first.calls, 1);
}

TEST(GrpcAdmin, RefusalIsTheBrokersOwnSentenceAndNobodyElseIsAsked) {
  StandIn first;
  StandIn second;
  GrpcAdmin admin({first.address(), second.address()});
  first.refusal = {::grpc::StatusCode::FAILED_PRECONDITION, "Broker 3 is not drained",
                   "POLICY_VIOLATION"};
  const Answer<Receipt> receipt = admin.decommission(3, "disk");
  ASSERT_FALSE(receipt.ok());
  EXPECT_EQ(receipt.error().trouble, Trouble::kRefused);
  EXPECT_EQ(receipt.error().detail, "Broker 3 is not drained");
  EXPECT_EQ(receipt.error().code, "POLICY_VIOLATION");
  EXPECT_FALSE(receipt.error().maybe_done);
  EXPECT_EQ(second.calls, 0);
}

// A broker that cannot now says more than one that is not there: the sentence is its.
TEST(GrpcAdmin, NotNowWinsOverUnreachable) {
  StandIn up;
  up.refusal = {::grpc::StatusCode::UNAVAILABLE, "Nobody leads the metadata", "NOT_CONTROLLER"};
  GrpcAdmin admin({up.address(), nobody()});
  const Answer<Cluster> cluster = admin.cluster();
  ASSERT_FALSE(cluster.ok());
  EXPECT_EQ(cluster.error().trouble, Trouble::kNotNow);
  EXPECT_EQ(cluster.error().detail, "Nobody leads the metadata");
}

TEST(GrpcAdmin, AFinalWordWinsOverNotNow) {
  StandIn starting;
  starting.refusal = {::grpc::StatusCode::UNAVAILABLE, "Nobody leads the metadata",
                      "NOT_CONTROLLER"};
  StandIn up;
  up.refusal = {::grpc::StatusCode::FAILED_PRECONDITION, "Broker 3 is not drained",
                "POLICY_VIOLATION"};
  GrpcAdmin admin({starting.address(), up.address()});
  EXPECT_EQ(admin.decommission(3, "disk").error().detail, "Broker 3 is not drained");
}

// gRPC itself answers for a method that a broker does not have.
TEST(GrpcAdmin, TooOldBrokersSayWhatToDoAndANewerOneIsLookedFor) {
  StandIn old;
  old.refusal = {::grpc::StatusCode::UNIMPLEMENTED, "", ""};
  GrpcAdmin admin({nobody(), old.address(), nobody()});
  const auto made = admin.create_topics({{.name = "orders"}});
  ASSERT_FALSE(made.ok());
  EXPECT_EQ(made.error().trouble, Trouble::kTooOld);
  EXPECT_THAT(made.error().detail, HasSubstr("do not know CreateTopics"));
  EXPECT_THAT(made.error().detail, HasSubstr("spec.image"));
  StandIn newer;
  admin.set_addresses({old.address(), newer.address()});
  EXPECT_TRUE(admin.decommission(3, "disk").ok());
  EXPECT_EQ(newer.calls, 1);
}

TEST(GrpcAdmin, SilentBrokerCostsOneDeadlineAndTheCallMayBeDone) {
  StandIn silent;
  silent.silent = true;
  GrpcAdmin admin({silent.address()}, {.read = milliseconds(200), .change = milliseconds(200)});
  const auto began = std::chrono::steady_clock::now();
  const Answer<Receipt> receipt = admin.decommission(3, "disk");
  EXPECT_LT(std::chrono::steady_clock::now() - began, std::chrono::seconds(10));
  ASSERT_FALSE(receipt.ok());
  EXPECT_EQ(receipt.error().trouble, Trouble::kUnreachable);
  EXPECT_TRUE(receipt.error().maybe_done);
  EXPECT_THAT(receipt.error().detail, HasSubstr(silent.address()));
}

TEST(GrpcAdmin, AllTriesTogetherHaveAnEnd) {
  StandIn first;
  StandIn second;
  StandIn third;
  for (StandIn* broker : {&first, &second, &third}) broker->silent = true;
  GrpcAdmin admin({first.address(), second.address(), third.address()},
                  {.read = milliseconds(300), .whole = milliseconds(400)});
  EXPECT_EQ(admin.cluster().error().trouble, Trouble::kUnreachable);
  EXPECT_EQ(third.calls, 0) << "the time was up";
}

TEST(GrpcAdmin, NoAddressYetIsUnreachable) {
  GrpcAdmin admin({});
  const Answer<Cluster> cluster = admin.cluster();
  EXPECT_EQ(cluster.error().trouble, Trouble::kUnreachable);
  EXPECT_FALSE(cluster.error().maybe_done);
  StandIn up;
  admin.set_addresses({up.address()});
  EXPECT_TRUE(admin.cluster().ok());
}

TEST(GrpcAdmin, AnswersThatDoNotFitTheQuestionAreRefused) {
  StandIn broker;
  GrpcAdmin admin({broker.address()});
  const auto made = admin.create_topics({{.name = "orders"}});
  ASSERT_FALSE(made.ok());
  EXPECT_EQ(made.error().trouble, Trouble::kFailed);
  EXPECT_TRUE(made.error().maybe_done);
}

TEST(GrpcAdmin, SettingsAreSetAndTakenBackInOneCall) {
  StandIn broker;
  GrpcAdmin admin({broker.address()});
  ASSERT_TRUE(admin.alter_topic("orders", {{"retention.ms", "1"}}, {"segment.bytes"}).ok());
  EXPECT_EQ(broker.calls, 1);
  EXPECT_EQ(broker.altered.type(), v1::RESOURCE_TYPE_TOPIC);
  ASSERT_EQ(broker.altered.changes_size(), 2);
  EXPECT_EQ(broker.altered.changes(0).name(), "retention.ms");
  EXPECT_EQ(broker.altered.changes(1).operation(), v1::CONFIG_OPERATION_DELETE);
}

TEST(GrpcAdmin, ReceiptNamesWhatWasAsked) {
  StandIn broker;
  GrpcAdmin admin({broker.address()});
  EXPECT_EQ(admin.decommission(3, "disk").value(), (Receipt{3, "disk", 5}));
}

TEST(GrpcAdmin, ManyThreadsMayAskWhileAddressesChange) {
  StandIn first;
  StandIn second;
  GrpcAdmin admin({first.address()});
  std::vector<std::future<bool>> asking;
  for (int i = 0; i < 4; ++i) {
    asking.push_back(std::async(std::launch::async, [&admin] {
      for (int n = 0; n < 50; ++n)
        if (!admin.cluster().ok()) return false;
      return true;
    }));
  }
  for (int n = 0; n < 20; ++n)
    admin.set_addresses(n % 2 == 0 ? std::vector{second.address(), first.address()}
                                   : std::vector{first.address()});
  for (std::future<bool>& one : asking) EXPECT_TRUE(one.get());
}

}  // namespace
}  // namespace millrace::brokers
