// A whole operator on a model of an API server: who acts, what its pages say, how it ends.
#include "operator/main/process.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <httplib.h>

#include <atomic>

#include "operator/kube/fields.h"
#include "operator/kube/kinds.h"
#include "operator/kube/testing/model_api.h"

namespace millrace::operators {
namespace {

using kube::Json;
using ::testing::HasSubstr;

constexpr std::chrono::seconds kMost{20};

/// Real time passes: the process has threads of its own.
template <typename Check>
bool comes_true(const Check& check) {
  const common::SystemClock clock;
  const common::Instant end = clock.now() + kMost;
  while (!check()) {
    if (clock.now() > end) return false;
    kube::pause(std::chrono::milliseconds(20), {});
  }
  return true;
}

class ProcessTest : public ::testing::Test {
 protected:
  static Options options(const std::string& identity) {
    Options options;
    options.http_listen = "127.0.0.1:0";
    options.identity = identity;
    options.lease_seconds = 3;
    options.broker_image = "localhost/millrace:0.1.0";
    return options;
  }
  std::unique_ptr<Process> start(const std::string& identity) {
    auto process = std::make_unique<Process>(options(identity), "millrace",
                                             Process::Servers{api, api}, clock, common::Random(7));
    const auto problem = process->start([this] { ++ended; });
    EXPECT_FALSE(problem.has_value()) << *problem;
    return process;
  }
  static std::string page(const Process& process, const std::string& path, int status = 200) {
    httplib::Client client(fmt::format("http://127.0.0.1:{}", process.port()));
    const auto answer = client.Get(path);
    EXPECT_TRUE(answer) << path;
    if (!answer) return "";
    EXPECT_EQ(answer->status, status) << answer->body;
    return answer->body;
  }
  static bool is_ready(const Process& process) {
    const auto answer =
        httplib::Client(fmt::format("http://127.0.0.1:{}", process.port())).Get("/readyz");
    return answer && answer->status == 200;
  }
  std::string holder() {
    const auto lease = api.get(kube::kLeases, {"millrace", "millrace-operator"});
    return lease.ok() ? kube::text_at(*lease, {"spec", "holderIdentity"}) : "";
  }
  void make_cluster() {
    const Json cluster = {{"apiVersion", "millrace.dev/v1alpha1"},
                          {"kind", "MillraceCluster"},
                          {"metadata", {{"namespace", "shop"}, {"name", "events"}}},
                          {"spec", {{"brokers", 3}}}};
    ASSERT_TRUE(api.create(kube::kClusters, cluster).ok());
  }

  kube::testing::ModelApi api;
  common::SystemClock clock;
  std::atomic<int> ended = 0;
};

TEST_F(ProcessTest, ItLeadsActsAndTellsAndGivesTheLeaseUp) {
  auto process = start("one");
  ASSERT_TRUE(comes_true([&] { return process->leading(); }));
  EXPECT_EQ(holder(), "one");
  make_cluster();
  EXPECT_TRUE(comes_true([&] { return api.get(kube::kStatefulSets, {"shop", "events"}).ok(); }));
  EXPECT_TRUE(comes_true([&] {
    const auto cluster = api.get(kube::kClusters, {"shop", "events"});
    return cluster.ok() && kube::find(*cluster, {"status", "conditions"}) != nullptr;
  }));
  EXPECT_EQ(page(*process, "/livez"), "ok\n");
  EXPECT_EQ(page(*process, "/readyz"), "ok\n");
  const std::string metrics = page(*process, "/metrics");
  EXPECT_THAT(metrics, HasSubstr("millrace_operator_leader 1"));
  EXPECT_THAT(metrics, HasSubstr("millrace_operator_objects{kind=\"millraceclusters\"} 1"));
  EXPECT_THAT(metrics, HasSubstr("millrace_operator_actions_total{kind=\"cluster\""));
  EXPECT_THAT(metrics, HasSubstr("millrace_operator_cluster_brokers{namespace=\"shop\",name="
                                 "\"events\",state=\"desired\"} 3"));
  process->stop();
  EXPECT_EQ(holder(), "");
  EXPECT_EQ(ended, 0);
}

TEST_F(ProcessTest, ASecondOneIsReadyAndWaitsAndTakesOver) {
  auto first = start("one");
  ASSERT_TRUE(comes_true([&] { return first->leading(); }));
  auto second = start("two");
  EXPECT_TRUE(comes_true([&] { return is_ready(*second); }));
  EXPECT_FALSE(second->leading());
  EXPECT_THAT(page(*second, "/metrics"), HasSubstr("millrace_operator_leader 0"));
  first->stop();
  EXPECT_TRUE(comes_true([&] { return second->leading(); }));
}

TEST_F(ProcessTest, WhoLosesTheLeaseIsToldAndActsNoMore) {
  auto process = start("one");
  ASSERT_TRUE(comes_true([&] { return process->leading(); }));
  api.set_gate([](const std::string&, const kube::Resource& resource,
                  const kube::ObjectKey&) -> std::optional<kube::ApiError> {
    if (resource.plural != "leases") return std::nullopt;
    return kube::ApiError{.cause = kube::Cause::kUnavailable, .detail = "no leases today"};
  });
  EXPECT_TRUE(comes_true([&] { return ended.load() == 1; }));
  EXPECT_FALSE(process->leading());
  api.clear_writes();
  make_cluster();
  kube::pause(std::chrono::milliseconds(500), {});
  for (const auto& one : api.writes())
    EXPECT_EQ(one.plural, "millraceclusters") << one.verb << ": only the test itself writes";
}

// C06: an operator in a namespace that is going lets go of everything there before it goes.
TEST_F(ProcessTest, ItReleasesFinalizersOfItsOwnNamespaceWhenThatIsGoing) {
  ASSERT_TRUE(api.create(kube::kNamespaces,
                         {{"apiVersion", "v1"},
                          {"kind", "Namespace"},
                          {"metadata", {{"name", "millrace"}, {"finalizers", {"test/keep"}}}}})
                  .ok());
  ASSERT_TRUE(
      api.create(kube::kTopics, {{"apiVersion", "millrace.dev/v1alpha1"},
                                 {"kind", "MillraceTopic"},
                                 {"metadata",
                                  {{"namespace", "millrace"},
                                   {"name", "orders"},
                                   {"finalizers", {"millrace.dev/topic", "somebody/else"}}}},
                                 {"spec", {{"cluster", "events"}, {"deletionPolicy", "Delete"}}}})
          .ok());
  auto process = start("one");
  ASSERT_TRUE(comes_true([&] {
    return process->leading() &&
           page(*process, "/metrics").find("millracetopics\"} 1") != std::string::npos;
  }));
  ASSERT_TRUE(api.remove(kube::kNamespaces, {"", "millrace"}, {}).ok());
  process->stop();
  const auto topic = api.get(kube::kTopics, {"millrace", "orders"});
  ASSERT_TRUE(topic.ok());
  EXPECT_EQ((*topic)["metadata"]["finalizers"], Json({"somebody/else"}));
}

TEST_F(ProcessTest, AnAddressThatIsTakenIsSaid) {
  auto first = start("one");
  Options second = options("two");
  second.http_listen = fmt::format("127.0.0.1:{}", first->port());
  Process process(second, "millrace", {api, api}, clock, common::Random(8));
  const auto problem = process.start([] {});
  ASSERT_TRUE(problem.has_value());
  EXPECT_THAT(*problem, HasSubstr("in use"));
}

}  // namespace
}  // namespace millrace::operators
