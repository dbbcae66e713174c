// Against the API server that KUBECONFIG names (stage kube of scripts/test starts one): the parts
// that no model can vouch for. Skipped without it. Tests that end the server also want
// MILLRACE_KUBE_API and MILLRACE_KUBE_FOLDER.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <thread>

#include "common/testing/cpu_time.h"
#include "operator/kube/client.h"
#include "operator/kube/events.h"
#include "operator/kube/fields.h"
#include "operator/kube/informer.h"
#include "operator/kube/kinds.h"
#include "operator/kube/lease.h"

namespace millrace::kube {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::StartsWith;

constexpr int kMany = 5000;

/// Kilobytes of memory that this process holds now.
std::int64_t resident_kb() {
  std::ifstream file("/proc/self/status");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("VmRSS:")) return std::stoll(line.substr(6));
  }
  return 0;
}

class Server : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!environment_("KUBECONFIG")) GTEST_SKIP() << "KUBECONFIG is not set";
    api_ = client();
    space_ = fmt::format("kube-server-{:x}", common::system_seed());
    const Json space{{"apiVersion", "v1"}, {"kind", "Namespace"}, {"metadata", {{"name", space_}}}};
    ASSERT_TRUE(api_->create(kNamespaces, space).ok());
  }
  void TearDown() override {
    if (api_) (void)api_->remove(kNamespaces, {{}, space_});
  }

  std::unique_ptr<Client> client(ClientSettings settings = {}) {
    return make_client(find_config(environment_, "", "").value(), clock_,
                       common::Random(common::system_seed()), settings)
        .value();
  }
  bool can_end_the_server() { return environment_("MILLRACE_KUBE_API").has_value(); }
  void server(const std::string& verb) {
    const std::string command = fmt::format("'{}' {} '{}'", *environment_("MILLRACE_KUBE_API"),
                                            verb, *environment_("MILLRACE_KUBE_FOLDER"));
    ASSERT_EQ(std::system(command.c_str()), 0) << command;  // NOLINT(concurrency-mt-unsafe)
  }
  Json config_map(const std::string& name, const std::string& value) const {
    return {{"apiVersion", "v1"},
            {"kind", "ConfigMap"},
            {"metadata", {{"namespace", space_}, {"name", name}}},
            {"data", {{"a", value}}}};
  }
  /// Waits in real time until this holds.
  template <typename F>
  static bool eventually(F holds, seconds most = seconds(60)) {
    const common::SystemClock clock;
    const common::Instant end = clock.now() + most;
    while (!holds()) {
      if (clock.now() > end) return false;
      pause(milliseconds(20), {});
    }
    return true;
  }

  const Environment environment_ = process_environment();
  common::SystemClock clock_;
  std::unique_ptr<Client> api_;
  std::string space_;
};

TEST_F(Server, SaysItsVersion) {
  EXPECT_THAT(api_->server_version().value(), StartsWith("v1."));
}

TEST_F(Server, ATokenThatIsNoneIsUnauthorized) {
  Config config = find_config(environment_, "", "").value();
  config.cert_pem.clear();
  config.cert_file.clear();
  config.key_pem.clear();
  config.key_file.clear();
  config.token = "nonsense";
  const auto stranger = make_client(config, clock_, common::Random(1)).value();
  EXPECT_EQ(stranger->get(kNamespaces, {{}, "default"}).error().cause, Cause::kUnauthorized);
  config.token.clear();
  const auto nobody = make_client(config, clock_, common::Random(1)).value();
  EXPECT_EQ(nobody->get(kNamespaces, {{}, "default"}).error().cause, Cause::kForbidden);
}

TEST_F(Server, AWatchEndsAfterItsTime) {
  const std::string since = api_->list(kConfigMaps, {.space = space_})->resource_version;
  const common::Instant began = clock_.now();
  const auto ended =
      api_->watch(kConfigMaps, {.space = space_, .resource_version = since, .duration = seconds(3)},
                  [](WatchEvent&&) { return true; }, {});
  EXPECT_TRUE(ended.ok()) << ended.error().detail;
  EXPECT_GE(clock_.now() - began, seconds(2));
}

TEST_F(Server, EventsAreStoredAndCounted) {
  const Json about = *api_->create(kConfigMaps, config_map("c", "1"));
  EventSender events(*api_, clock_, {.instance = "test"});
  for (int i = 0; i < 3; ++i) {
    events.record({.regarding = reference_of(kConfigMaps, about),
                   .type = EventType::kWarning,
                   .reason = "RollWaits",
                   .note = "events-1 is behind"});
    events.flush();
  }
  EXPECT_EQ(events.lost(), 0);
  const auto page = api_->list(kEvents, {.space = space_});
  ASSERT_EQ(page->items.size(), 1);
  EXPECT_EQ(number_at(page->items[0], {"count"}), 3);
}

TEST_F(Server, TwoOperatorsHaveOneLeader) {
  const ElectionSettings quick{
      .lease = seconds(3), .renew_deadline = seconds(2), .retry = milliseconds(200)};
  const auto other_api = client();
  Leadership one(*api_, {space_, "lock"}, "one", clock_, quick);
  Leadership two(*other_api, {space_, "lock"}, "two", clock_, quick);
  std::jthread first([&](std::stop_token stop) { one.run(std::move(stop)); });
  ASSERT_TRUE(eventually([&] { return one.leading(); }));
  std::jthread second([&](std::stop_token stop) { two.run(std::move(stop)); });
  ASSERT_TRUE(eventually([&] { return two.holder() == "one"; }));
  EXPECT_FALSE(two.leading());
  first.request_stop();
  first.join();
  EXPECT_TRUE(eventually([&] { return two.leading(); }, seconds(20)));
  EXPECT_EQ(one.trouble(), "");
}

TEST_F(Server, AnInformerOutlivesTheServer) {
  if (!can_end_the_server()) GTEST_SKIP() << "MILLRACE_KUBE_API is not set";
  ASSERT_TRUE(api_->create(kConfigMaps, config_map("before", "1")).ok());
  Informer informer(*api_, clock_, common::Random(1), {.resource = kConfigMaps, .space = space_});
  const auto leader_api = client({.call = seconds(2), .total = seconds(3), .tries = 1});
  Leadership leadership(
      *leader_api, {space_, "lock"}, "one", clock_,
      {.lease = seconds(5), .renew_deadline = seconds(3), .retry = milliseconds(200)});
  std::jthread follower([&](std::stop_token stop) { informer.run(std::move(stop)); });
  std::jthread leader([&](std::stop_token stop) { leadership.run(std::move(stop)); });
  ASSERT_TRUE(informer.wait_synced({}, seconds(60)));
  ASSERT_TRUE(eventually([&] { return leadership.leading(); }));
  server("kill");
  ASSERT_TRUE(eventually([&] { return !leadership.leading() && !informer.trouble().empty(); }));
  const std::uint64_t errors = informer.counts().errors;
  pause(seconds(2), {});
  EXPECT_LE(informer.counts().errors, errors + 10) << "a hot loop";
  server("start");
  // It remembers nothing from before its start.
  const auto past =
      api_->watch(kConfigMaps, {.resource_version = "1"}, [](WatchEvent&&) { return false; }, {});
  ASSERT_FALSE(past.ok());
  EXPECT_EQ(past.error().cause, Cause::kGone) << past.error().detail;
  const auto made = api_->create(kConfigMaps, config_map("after", "1"));
  ASSERT_TRUE(made.ok()) << made.error().detail;
  EXPECT_TRUE(eventually([&] { return informer.cache().get({space_, "after"}).has_value(); }));
  EXPECT_TRUE(informer.cache().get({space_, "before"}).has_value());
  EXPECT_TRUE(eventually([&] { return leadership.leading(); }));
  EXPECT_EQ(leadership.terms(), 2);
}

// Goal: thousands of objects cost little memory and, when nothing happens, no CPU and no request.
// Prints what it measured.
TEST_F(Server, FiveThousandObjectsAreSmall) {
  std::vector<std::jthread> writers;
  for (int writer = 0; writer < 8; ++writer) {
    writers.emplace_back([this, writer] {
      for (int i = writer; i < kMany; i += 8) {
        Json one = config_map(fmt::format("topic-{:04}", i), std::string(200, 'x'));
        one["metadata"]["labels"] = {{"millrace.dev/cluster", "events"}};
        EXPECT_TRUE(api_->create(kConfigMaps, one).ok());
      }
    });
  }
  writers.clear();
  const std::int64_t before_kb = resident_kb();
  const auto reader = client();
  Informer informer(*reader, clock_, common::Random(1),
                    {.resource = kConfigMaps,
                     .space = space_,
                     .label_selector = "millrace.dev/cluster",
                     .index_labels = {"millrace.dev/cluster"}});
  const common::Instant began = clock_.now();
  std::jthread thread([&](std::stop_token stop) { informer.run(std::move(stop)); });
  ASSERT_TRUE(informer.wait_synced({}, seconds(120)));
  const auto took = std::chrono::duration_cast<milliseconds>(clock_.now() - began);
  EXPECT_EQ(informer.cache().size(), kMany);
  const std::int64_t after_kb = resident_kb();
  // The watch begins right after the list.
  ASSERT_TRUE(eventually([&] { return informer.counts().watches == 1; }));
  pause(milliseconds(500), {});
  const std::uint64_t requests = reader->counts().requests;
  const double cpu_before = common::testing::cpu_seconds();
  pause(seconds(5), {});
  const double cpu_ms = (common::testing::cpu_seconds() - cpu_before) * 1000;
  fmt::print(
      "{} objects: listed in {} ms, text {} KiB, process {} KiB before and {} KiB after; {:.1f} ms "
      "of CPU in 5 s idle\n",
      kMany, took.count(), informer.cache().bytes() / 1024, before_kb, after_kb, cpu_ms);
  EXPECT_LE(after_kb - before_kb, 20 * 1024);
  EXPECT_EQ(reader->counts().requests, requests);
  EXPECT_LE(cpu_ms, 50);
}

}  // namespace
}  // namespace millrace::kube
