#include "broker/service/produce.h"

#include <utility>

#include "broker/model/topic_name.h"
#include "broker/service/scatter.h"

namespace millrace::service {
namespace {

ProduceOutcome failed(const common::Error& error) {
  return {error.code, error.detail, {}, {}};
}

void append(Shard& owner, const model::PartitionKey& key, ProduceItem item, replica::Acks acks,
            common::Reply<ProduceOutcome> done) {
  replica::Partition* partition = owner.partition(key);
  if (partition == nullptr)
    return done(failed(model::error(model::ErrorCode::kUnknownTopicOrPartition)));
  if (model::is_internal_topic(partition->log().topic_name())) {
    return done(failed({model::ErrorCode::kInvalidTopic,
                        "The topic belongs to the broker itself; clients cannot write to it"}));
  }
  if (item.records.empty()) {
    return done(failed({model::ErrorCode::kInvalidRecord, "The partition's record set is empty"}));
  }
  partition->append(std::move(item.records), {.acks = acks, .origin = replica::Origin::kClient},
                    [done = std::move(done)](replica::AppendOutcome outcome) mutable {
                      if (outcome.error) {
                        done({outcome.error->code, std::move(outcome.error->detail),
                              std::move(outcome.records), outcome.appended});
                      } else {
                        done({model::ErrorCode::kNone, {}, {}, outcome.appended});
                      }
                    });
}

}  // namespace

void produce(Shard& here, ProduceCommand command, common::Reply<std::vector<ProduceOutcome>> done) {
  scatter<ProduceItem, ProduceOutcome>(
      here, std::move(command.items),
      [acks = command.acks](Shard& owner, const model::PartitionKey& key, ProduceItem item,
                            common::Reply<ProduceOutcome> reply) {
        append(owner, key, std::move(item), acks, std::move(reply));
      },
      failed, std::move(done));
}

}  // namespace millrace::service
