// Use cases: offsets, fronts and producers of partitions, whoever leads them. For clients that do
// not look for leaders themselves; see produce_anywhere.h.
#pragma once

#include "broker/service/offsets.h"
#include "broker/service/producers.h"

namespace millrace::service {

void list_offsets_anywhere(Shard& here, std::vector<OffsetQuery> queries,
                           replica::Isolation isolation, common::Duration limit,
                           common::Reply<std::vector<OffsetAnswer>> done);
void delete_records_anywhere(Shard& here, std::vector<DeleteRecordsItem> items,
                             common::Duration limit,
                             common::Reply<std::vector<DeleteRecordsOutcome>> done);
/// Of a producer on another broker only the newest batch is told.
void describe_producers_anywhere(Shard& here, std::vector<PartitionRef> partitions,
                                 common::Duration limit,
                                 common::Reply<std::vector<ProducersAnswer>> done);

/// Serves the calls by which brokers ask each other for the above. Once, at the start.
void serve_offsets(Shard& shard);

}  // namespace millrace::service
