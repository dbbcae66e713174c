// Goal: a broker whose disk is full does not keep others from writing. Method: the disk of one of
// three is filled; what it leads must be led by the others, and be its own again when there is
// room.
#include <string>

#include "broker/service/leaders.h"
#include "broker/service/topics.h"
#include "tests/sim/machines_test.h"

namespace millrace::sim {
namespace {

using model::BrokerId;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::int32_t kPartitions = 12;
constexpr std::uint64_t kReserve = 1 << 16;
constexpr std::uint64_t kRoom = std::uint64_t{1} << 32;

class FullDisk : public MachinesTest {
 protected:
  void SetUp() override {
    for (std::uint32_t i = 0; i < kFirstVoters; ++i)
      add({{"disk.reserve.bytes", std::to_string(kReserve)}}).start();
    ASSERT_TRUE(all_serve()) << trace_.failure();
    bool made = false;
    service::create_topics(door(),
                           {{.name = "orders", .partitions = kPartitions, .replication_factor = 3}},
                           false, [&](const std::vector<service::TopicOutcome>& outcomes) {
                             made = outcomes.front().code == model::ErrorCode::kNone;
                             topic_ = outcomes.front().id;
                           });
    ASSERT_TRUE(agenda_.run_until([&] { return made; }, kLimit));
    ASSERT_TRUE(agenda_.run_until([&] { return led_by(one()) == kPartitions / 3; }, kLimit));
  }
  Machine& one() { return *machines_[1]; }

  /// How many of the topic's partitions a machine leads.
  int led_by(Machine& machine) {
    int led = 0;
    for (const auto& shard : machine.node().shards()) {
      for (const auto& [key, partition] : shard->partitions())
        led += key.topic == topic_ && partition->is_leader() ? 1 : 0;
    }
    return led;
  }
  int led_by_all() {
    int led = 0;
    for (const auto& machine : machines_) led += led_by(*machine);
    return led;
  }
  static void fill(Machine& machine) { machine.disk().set_capacity(machine.disk().used()); }
  static void free(Machine& machine) { machine.disk().set_capacity(kRoom); }
  bool others_lead_all_soon() {
    return agenda_.run_until([&] { return led_by(one()) == 0 && led_by_all() == kPartitions; },
                             seconds(10));
  }

  model::TopicId topic_;
};

TEST_F(FullDisk, TheOthersLeadUntilThereIsRoom) {
  fill(one());
  ASSERT_TRUE(others_lead_all_soon());
  // Nobody gives them back meanwhile.
  EXPECT_FALSE(agenda_.run_until([&] { return led_by(one()) > 0; }, seconds(20)));
  free(one());
  EXPECT_TRUE(agenda_.run_until([&] { return led_by(one()) == kPartitions / 3; }, kLimit));
  EXPECT_EQ(trace_.failure(), "");
}

// The metadata is such a partition too.
TEST_F(FullDisk, SoDoesWhoLedTheMetadata) {
  const auto leads_metadata = [](Machine& machine) {
    return machine.node().shards().front()->metadata_writer()->replica().is_leader();
  };
  Machine* leader = nullptr;
  for (const auto& machine : machines_)
    if (leads_metadata(*machine)) leader = machine.get();
  ASSERT_NE(leader, nullptr);
  fill(*leader);
  EXPECT_TRUE(agenda_.run_until(
      [&] {
        return !leads_metadata(*leader) && led_by(*leader) == 0 && led_by_all() == kPartitions;
      },
      seconds(10)));
}

// With nobody to take over, leadership stays where it is: reading goes on.
TEST_F(FullDisk, WhereNobodyHasRoomEverybodyLeadsOn) {
  for (const auto& machine : machines_) fill(*machine);
  agenda_.run_until([] { return false; }, seconds(20));
  EXPECT_EQ(led_by_all(), kPartitions);
  // The first that has room takes all.
  free(*machines_.front());
  EXPECT_TRUE(agenda_.run_until([&] { return led_by(*machines_.front()) == kPartitions; }, kLimit));
}

}  // namespace
}  // namespace millrace::sim
