#include "broker/service/offsets.h"

#include <utility>

#include "broker/service/leaders.h"
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
  const auto leader = leader_of(owner, key, query.leader_epoch);
  if (!leader.ok()) return done(no_offset(leader.error()));
  replica::Partition* const partition = *leader;
  if (const auto why = partition->leader_refusal()) return done(no_offset(*why));
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

EpochAnswer find_epoch(Shard& owner, const model::PartitionKey& key, const EpochQuery& query) {
  const auto partition = leader_of(owner, key, query.current_epoch);
  if (!partition.ok()) return {.code = partition.error().code};
  if (const auto why = (*partition)->leader_refusal()) return {.code = why->code};
  const storage::TermStart end = (*partition)->end_of_epoch(query.epoch);
  return {.epoch = end.term, .end_offset = end.offset};
}

DeleteRecordsOutcome not_deleted(const common::Error& error) {
  return {.code = error.code, .detail = error.detail};
}

void delete_until(Shard& owner, const model::PartitionKey& key, model::Offset before,
                  common::Reply<DeleteRecordsOutcome> done) {
  const auto partition = leader_of(owner, key);
  if (!partition.ok()) return done(not_deleted(partition.error()));
  (*partition)
      ->delete_records(before,
                       [done = std::move(done)](common::Result<model::Offset> start) mutable {
                         done(start.ok() ? DeleteRecordsOutcome{.low_watermark = *start}
                                         : not_deleted(start.error()));
                       });
}

}  // namespace

void list_offsets(Shard& here, std::vector<OffsetQuery> queries, replica::Isolation isolation,
                  common::Reply<std::vector<OffsetAnswer>> done) {
  scatter<OffsetQuery, OffsetAnswer>(
      here, std::move(queries),
      [isolation](Shard& owner, const model::PartitionKey& key, OffsetQuery query,
                  common::Reply<OffsetAnswer> reply) {
        when_settled(
            owner, key,
            [&owner, key, query = std::move(query), isolation, reply = std::move(reply)]() mutable {
              find_offset(owner, key, query, isolation, std::move(reply));
            });
      },
      no_offset, std::move(done));
}

void offsets_for_epochs(Shard& here, std::vector<EpochQuery> queries,
                        common::Reply<std::vector<EpochAnswer>> done) {
  scatter<EpochQuery, EpochAnswer>(
      here, std::move(queries),
      [](Shard& owner, const model::PartitionKey& key, EpochQuery query,
         common::Reply<EpochAnswer> reply) {
        when_settled(owner, key,
                     [&owner, key, query = std::move(query), reply = std::move(reply)]() mutable {
                       reply(find_epoch(owner, key, query));
                     });
      },
      [](const common::Error& error) { return EpochAnswer{.code = error.code}; }, std::move(done));
}

void delete_records(Shard& here, std::vector<DeleteRecordsItem> items,
                    common::Reply<std::vector<DeleteRecordsOutcome>> done) {
  scatter<DeleteRecordsItem, DeleteRecordsOutcome>(
      here, std::move(items),
      [](Shard& owner, const model::PartitionKey& key, const DeleteRecordsItem& item,
         common::Reply<DeleteRecordsOutcome> reply) {
        // A leader that does not know yet what is committed would find too little to delete.
        when_settled(owner, key,
                     [&owner, key, before = item.before, reply = std::move(reply)]() mutable {
                       delete_until(owner, key, before, std::move(reply));
                     });
      },
      not_deleted, std::move(done));
}

}  // namespace millrace::service
