#include "broker/service/offsets.h"

#include <utility>

#include "broker/service/scatter.h"

namespace millrace::service {
namespace {

using model::ErrorCode;

OffsetAnswer no_offset(const common::Error& error) {
  return {.code = error.code, .detail = error.detail};
}

void answer_found(common::Result<std::optional<storage::TimedOffset>> found,
                  common::Reply<OffsetAnswer> done) {
  if (!found.ok()) return done(no_offset(found.error()));
  if (!found->has_value()) return done(OffsetAnswer{});
  const storage::TimedOffset& record = **found;
  done({.timestamp = record.timestamp,
        .offset = record.offset,
        .leader_epoch = record.leader_epoch});
}

void find_offset(Shard& owner, const model::PartitionKey& key, const OffsetQuery& query,
                 replica::Isolation isolation, common::Reply<OffsetAnswer> done) {
  replica::Partition* partition = owner.partition(key);
  if (partition == nullptr)
    return done(no_offset(model::error(ErrorCode::kUnknownTopicOrPartition)));
  if (const auto checked = partition->check_leader_epoch(query.leader_epoch); !checked.ok()) {
    return done(no_offset(checked.error()));
  }
  const replica::Bounds bounds = partition->bounds();
  if (query.at == kLatest) {
    return done(
        {.offset = partition->readable_end(isolation), .leader_epoch = bounds.leader_epoch});
  }
  if (query.at == kEarliest || query.at == kEarliestLocal) {
    // All data is local here, so both names of the beginning mean the same.
    const auto& starts = partition->log().term_starts();
    model::Term epoch = bounds.leader_epoch;
    for (const storage::TermStart& start : starts) {
      if (start.offset <= bounds.log_start) epoch = start.term;
    }
    return done({.offset = bounds.log_start, .leader_epoch = epoch});
  }
  if (query.at == kLatestTiered) return done(OffsetAnswer{});  // nothing is in remote storage
  auto answer =
      [done = std::move(done)](common::Result<std::optional<storage::TimedOffset>> found) mutable {
        answer_found(std::move(found), std::move(done));
      };
  if (query.at == kMaxTimestamp) return partition->find_max_time(std::move(answer));
  partition->find_time(query.at, isolation, std::move(answer));
}

}  // namespace

void list_offsets(Shard& here, std::vector<OffsetQuery> queries, replica::Isolation isolation,
                  common::Reply<std::vector<OffsetAnswer>> done) {
  scatter<OffsetQuery, OffsetAnswer>(
      here, std::move(queries),
      [isolation](Shard& owner, const model::PartitionKey& key, const OffsetQuery& query,
                  common::Reply<OffsetAnswer> reply) {
        find_offset(owner, key, query, isolation, std::move(reply));
      },
      no_offset, std::move(done));
}

void offsets_for_epochs(Shard& here, std::vector<EpochQuery> queries,
                        common::Reply<std::vector<EpochAnswer>> done) {
  scatter<EpochQuery, EpochAnswer>(
      here, std::move(queries),
      [](Shard& owner, const model::PartitionKey& key, const EpochQuery& query,
         common::Reply<EpochAnswer> reply) {
        replica::Partition* partition = owner.partition(key);
        if (partition == nullptr) return reply({.code = ErrorCode::kUnknownTopicOrPartition});
        if (const auto checked = partition->check_leader_epoch(query.current_epoch);
            !checked.ok()) {
          return reply({.code = checked.error().code});
        }
        const storage::TermStart end = partition->end_of_epoch(query.epoch);
        reply({.epoch = end.term, .end_offset = end.offset});
      },
      [](const common::Error& error) { return EpochAnswer{.code = error.code}; }, std::move(done));
}

void delete_records(Shard& here, std::vector<DeleteRecordsItem> items,
                    common::Reply<std::vector<DeleteRecordsOutcome>> done) {
  const auto failed = [](const common::Error& error) {
    return DeleteRecordsOutcome{.code = error.code, .detail = error.detail};
  };
  scatter<DeleteRecordsItem, DeleteRecordsOutcome>(
      here, std::move(items),
      [failed](Shard& owner, const model::PartitionKey& key, const DeleteRecordsItem& item,
               common::Reply<DeleteRecordsOutcome> reply) {
        replica::Partition* partition = owner.partition(key);
        if (partition == nullptr)
          return reply(failed(model::error(ErrorCode::kUnknownTopicOrPartition)));
        partition->delete_records(item.before, [failed, reply = std::move(reply)](
                                                   common::Result<model::Offset> start) mutable {
          reply(start.ok() ? DeleteRecordsOutcome{.low_watermark = *start} : failed(start.error()));
        });
      },
      failed, std::move(done));
}

}  // namespace millrace::service
