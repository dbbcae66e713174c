#include <gtest/gtest.h>

#include <thread>

#include "operator/kube/backoff.h"
#include "operator/kube/fields.h"
#include "operator/kube/kinds.h"
#include "operator/kube/lease.h"
#include "operator/kube/testing/model_api.h"

namespace millrace::kube {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

const ObjectKey kLease{"millrace", "millrace-operator"};
constexpr ElectionSettings kQuick{
    .lease = seconds(2), .renew_deadline = milliseconds(1000), .retry = milliseconds(50)};

/// One operator that takes part until it is destroyed.
class Operator {
 public:
  Operator(Api& api, const common::Clock& clock, const std::string& identity)
      : leadership_(api, kLease, identity, clock, kQuick) {
    leadership_.on_change([this](bool leads) {
      const std::lock_guard lock(mutex_);
      leads_ = leads;
      changed_.notify_all();
    });
    thread_ = std::jthread([this](std::stop_token stop) { leadership_.run(std::move(stop)); });
  }

  bool wait(bool leads) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, seconds(30), [&] { return leads_ == leads; });
  }
  void stop() {
    thread_.request_stop();
    thread_.join();
  }
  const Leadership& leadership() const { return leadership_; }

 private:
  Leadership leadership_;
  std::mutex mutex_;  // guards leads_
  std::condition_variable changed_;
  bool leads_ = false;
  std::jthread thread_;
};

class LeadershipTest : public ::testing::Test {
 protected:
  testing::ModelApi api_;
  common::SystemClock clock_;
};

TEST_F(LeadershipTest, OneLeadsAndTheNextFollowsAtOnceWhenItResigns) {
  Operator one(api_, clock_, "one");
  ASSERT_TRUE(one.wait(true));
  EXPECT_TRUE(one.leadership().leading());
  EXPECT_EQ(one.leadership().terms(), 1);
  Operator two(api_, clock_, "two");
  const Json lease = *api_.get(kLeases, kLease);
  EXPECT_EQ(text_at(lease, {"spec", "holderIdentity"}), "one");
  EXPECT_EQ(number_at(lease, {"spec", "leaseDurationSeconds"}), 2);
  EXPECT_FALSE(two.leadership().leading());
  one.stop();
  EXPECT_FALSE(one.leadership().leading());
  ASSERT_TRUE(two.wait(true));
  EXPECT_EQ(number_at(*api_.get(kLeases, kLease), {"spec", "leaseTransitions"}), 1);
}

TEST_F(LeadershipTest, ALeaderThatIsCutOffStopsAndLeadsAgainLater) {
  Operator one(api_, clock_, "one");
  ASSERT_TRUE(one.wait(true));
  api_.set_gate([](const std::string&, const Resource&, const ObjectKey&) {
    return std::optional<ApiError>({.cause = Cause::kUnavailable, .detail = "cut off"});
  });
  ASSERT_TRUE(one.wait(false));
  EXPECT_FALSE(one.leadership().leading());
  EXPECT_EQ(one.leadership().trouble(), "cut off");
  api_.set_gate(nullptr);
  ASSERT_TRUE(one.wait(true));
  EXPECT_EQ(one.leadership().trouble(), "");
  EXPECT_EQ(one.leadership().terms(), 2);
}

TEST_F(LeadershipTest, LostAnswersAndConflictsDoNotEndIt) {
  Operator one(api_, clock_, "one");
  ASSERT_TRUE(one.wait(true));
  api_.set_faults({.lose_answer = 300, .conflict = 300});
  pause(seconds(2), {});
  api_.set_faults({});
  EXPECT_TRUE(one.leadership().leading());
  EXPECT_EQ(one.leadership().terms(), 1);
}

TEST(LeaseObject, SaysWhatItIs) {
  const LeaseRecord record{"one", 15, "2026-03-01T12:30:45.000000Z", "2026-03-01T12:30:47.000000Z",
                           3,     "9"};
  EXPECT_EQ(lease_record(lease_object(kLease, record)), record);
  EXPECT_EQ(lease_record(Json::object()), std::nullopt);
  EXPECT_FALSE(lease_object(kLease, {})["metadata"].contains("resourceVersion"));
}

}  // namespace
}  // namespace millrace::kube
