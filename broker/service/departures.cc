#include "broker/service/departures.h"

#include <fmt/format.h>

#include <utility>
#include <vector>

#include "broker/service/assignments.h"
#include "broker/service/group_report.h"
#include "broker/service/shard.h"

namespace millrace::service {
namespace {

constexpr auto kInterval = std::chrono::seconds(2);
constexpr auto kAnswerMax = std::chrono::seconds(5);

}  // namespace

void Departures::watch(const model::PartitionKey& key) {
  leaving_.insert(key);
  arm();
}

void Departures::arm() {
  if (leaving_.empty() || stopped_ || timer_ != env::TimerId::kNone) return;
  timer_ = shard_.loop().after(kInterval, lifeline_.guard([this] {
    timer_ = env::TimerId::kNone;
    look();
    arm();
  }));
}

void Departures::look() {
  const raft::ReplicaId self = shard_.self_replica();
  for (const model::PartitionKey& key : std::vector(leaving_.begin(), leaving_.end())) {
    const replica::Partition* const replica = shard_.partition(key);
    const metadata::PartitionAssignment* const wanted = shard_.image().assignment(key);
    if (replica == nullptr || wanted == nullptr || names(*wanted, self)) {
      forget(key);
    } else if (replica->role() != raft::Role::kLeader) {
      ask_leader(key);
    }
  }
}

void Departures::ask_leader(const model::PartitionKey& key) {
  describe_group(shard_, key, kAnswerMax,
                 lifeline_.guard([this, key](const common::Result<GroupReport>& report) {
                   const metadata::PartitionAssignment* const wanted =
                       shard_.image().assignment(key);
                   const raft::ReplicaId self = shard_.self_replica();
                   if (!report.ok() || wanted == nullptr || names(*wanted, self)) return;
                   if (report->has(self) || !report->agreed) return;
                   if (!leaving_.contains(key)) return;
                   shard_.tell(fmt::format("event=replica-retired topic={} partition={}",
                                           shard_.image().topic(key.topic)->name, key.index));
                   shard_.retire_partition(key);
                 }));
}

void Departures::stop() {
  stopped_ = true;
  if (timer_ != env::TimerId::kNone)
    shard_.loop().cancel(std::exchange(timer_, env::TimerId::kNone));
}

}  // namespace millrace::service
