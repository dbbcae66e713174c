#include "broker/service/produce.h"

#include <utility>

#include "broker/model/topic_name.h"
#include "broker/service/append_waits.h"
#include "broker/service/scatter.h"

namespace millrace::service {
namespace {

ProduceOutcome failed(const common::Error& error) {
  return {.code = error.code, .detail = error.detail, .records = {}, .leader = {}};
}

ProduceOutcome failed_at(Shard& owner, const model::PartitionKey& key, const common::Error& error) {
  ProduceOutcome outcome = failed(error);
  outcome.leader = leader_hint(owner, key, error.code);
  return outcome;
}

/// How all items of a command are appended.
struct Manner {
  replica::Acks acks;
  common::Duration timeout;
};

void append(Shard& owner, const model::PartitionKey& key, ProduceItem item, Manner manner,
            common::Reply<ProduceOutcome> done) {
  replica::Partition* partition = owner.partition(key);
  if (partition == nullptr) return done(failed_at(owner, key, replica_of(owner, key).error()));
  if (model::is_internal_topic(partition->log().topic_name())) {
    return done(failed({model::ErrorCode::kInvalidTopic,
                        "The topic belongs to the broker itself; clients cannot write to it"}));
  }
  if (item.records.empty()) {
    return done(failed({model::ErrorCode::kInvalidRecord, "The partition's record set is empty"}));
  }
  auto answer = [&owner, key, done = std::move(done)](replica::AppendOutcome outcome) mutable {
    if (!outcome.error) return done({model::ErrorCode::kNone, {}, {}, outcome.appended, {}});
    const model::ErrorCode code = outcome.error->code;
    done({code, std::move(outcome.error->detail), std::move(outcome.records), outcome.appended,
          leader_hint(owner, key, code)});
  };
  // A broker that is alone waits for its own disk only.
  const bool waits = manner.acks == replica::Acks::kAll && owner.neighbours() != nullptr;
  if (waits && manner.timeout > common::Duration{0})
    return owner.append_waits().append(*partition, std::move(item.records), manner.timeout,
                                       std::move(answer));
  partition->append(std::move(item.records),
                    {.acks = manner.acks, .origin = replica::Origin::kClient}, std::move(answer));
}

}  // namespace

void produce(Shard& here, ProduceCommand command, common::Reply<std::vector<ProduceOutcome>> done) {
  scatter<ProduceItem, ProduceOutcome>(
      here, std::move(command.items),
      [manner = Manner{command.acks, command.timeout}](Shard& owner, const model::PartitionKey& key,
                                                       ProduceItem item,
                                                       common::Reply<ProduceOutcome> reply) {
        append(owner, key, std::move(item), manner, std::move(reply));
      },
      failed, std::move(done));
}

}  // namespace millrace::service
