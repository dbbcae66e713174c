// Goal: a broker joins whoever leads the cluster. Method: the metadata is led by a broker that
// joined itself; then another one starts that has been told only of the first voters.
#include <utility>

#include "broker/metadata/machine_cluster.h"
#include "broker/service/hand_over.h"
#include "broker/service/metadata_writer.h"
#include "tests/sim/machines_test.h"

namespace millrace::sim {
namespace {

using model::BrokerId;
using std::chrono::seconds;

constexpr model::PartitionKey kMetadataKey{model::kMetadataTopicId, model::PartitionIndex{0}};

class Joining : public MachinesTest {
 protected:
  void drain(BrokerId broker) {
    using Command = metadata::DrainBroker;
    using Outcome = decltype(metadata::decide(door().image(), Command{})->outcome);
    service::MetadataWriter::decide_on<Outcome>(
        door(),
        [broker](const metadata::Image& image) {
          return metadata::decide(image, Command{.broker = broker});
        },
        [this](const common::Result<Outcome>& outcome) { drained_ = outcome.ok(); });
  }
  replica::Partition& metadata_log(Machine& machine) {
    return machine.node().shards().front()->metadata_writer()->replica();
  }

  bool drained_ = false;
};

TEST_F(Joining, ABrokerThatCameLaterLeadsTheMetadata) {
  for (std::uint32_t i = 0; i < kFirstVoters; ++i) add().start();
  ASSERT_TRUE(all_serve()) << trace_.failure();
  Machine& fourth = add();
  fourth.start();
  ASSERT_TRUE(all_serve()) << trace_.failure();
  drain(BrokerId{1});  // the fourth one votes in its place
  ASSERT_TRUE(agenda_.run_until(
      [&] {
        const raft::VoterSet& set = metadata_log(fourth).group()->config();
        return drained_ && std::ranges::count(set.voters, fourth.id(), &raft::ReplicaId::node) > 0;
      },
      kLimit));
  bool asked = false;
  ASSERT_TRUE(agenda_.run_until(
      [&] {
        if (!std::exchange(asked, true)) {
          service::transfer_leader(door(), kMetadataKey, fourth.id(), seconds(5),
                                   [&](const common::Result<void>& moved) { asked = moved.ok(); });
        }
        return metadata_log(fourth).is_leader();
      },
      kLimit));
  add().start();
  EXPECT_TRUE(all_serve()) << trace_.failure();
  EXPECT_TRUE(metadata_log(fourth).is_leader());
}

}  // namespace
}  // namespace millrace::sim
