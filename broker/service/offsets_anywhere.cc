#include "broker/service/offsets_anywhere.h"

#include <utility>

#include "broker/service/routed.h"

namespace millrace::service {
namespace {

using cluster::FieldReader;
using cluster::FieldWriter;
using common::Result;
using model::ErrorCode;

constexpr std::uint8_t kVersion = 1;
constexpr std::size_t kItemsMax = 1'000'000;
constexpr std::size_t kItemBytesMin = 17;
constexpr std::size_t kProducersMax = 10'000'000;

/// What the uses below have in common: how a request, or an answer, is framed.
template <typename Put>
common::Bytes framed(std::size_t count, Put put) {
  FieldWriter out;
  out.byte(kVersion);
  out.count(count);
  for (std::size_t i = 0; i < count; ++i) put(out, i);
  return common::Bytes::copy_of(out.view());
}

template <typename T, typename Get>
Result<std::vector<T>> unframed(FieldReader& in, std::size_t bytes_min, Get get) {
  std::vector<T> all(in.length(kItemsMax, bytes_min));
  for (T& one : all) get(in, one);
  if (!in.done()) return model::error(ErrorCode::kCorruptMessage);
  return all;
}

/// The outcomes of an answer, `count` of them.
template <typename T, typename Get>
Result<std::vector<T>> outcomes_in(const common::Bytes& answer, std::size_t count, Get get) {
  FieldReader in(answer.view());
  if (in.byte() != kVersion) return model::error(ErrorCode::kUnsupportedVersion);
  auto outcomes = unframed<T>(in, 1, get);
  if (outcomes.ok() && outcomes->size() != count) return model::error(ErrorCode::kCorruptMessage);
  return outcomes;
}

template <typename Outcome>
void take_error(FieldReader& in, Outcome& outcome) {
  RoutedError error = get_error(in);
  outcome.code = error.code;
  outcome.detail = std::move(error.detail);
}

/// Uses that change nothing, or nothing that cannot be done twice.
template <typename Item_, typename Outcome_>
struct HarmlessUse {
  using Item = Item_;
  using Outcome = Outcome_;
  Item copy(const Item& item) const { return item; }
  Outcome failed(const common::Error& error) const {
    Outcome outcome;
    outcome.code = error.code;
    outcome.detail = error.detail;
    return outcome;
  }
  bool try_again(const Item&, const Outcome& outcome, std::size_t) const {
    return is_misrouted(outcome.code) || outcome.code == ErrorCode::kShuttingDown ||
           outcome.code == ErrorCode::kNetworkException ||
           outcome.code == ErrorCode::kConnectionClosed;
  }
};

struct ListUse : HarmlessUse<OffsetQuery, OffsetAnswer> {
  static constexpr cluster::Method kMethod = cluster::Method::kListOffsets;
  replica::Isolation isolation = replica::Isolation::kReadUncommitted;

  void run_here(Shard& here, std::vector<Item> items,
                common::Reply<std::vector<Outcome>> reply) const {
    list_offsets(here, std::move(items), isolation, std::move(reply));
  }
  common::Bytes encode(const std::vector<model::PartitionKey>& keys,
                       const std::vector<const Item*>& items) const {
    return framed(items.size(), [&](FieldWriter& out, std::size_t i) {
      if (i == 0) out.byte(static_cast<std::uint8_t>(isolation));
      put_target(out, keys[i]);
      out.number(items[i]->at.value());
    });
  }
  common::Bytes encode_outcomes(const std::vector<Outcome>& outcomes) const {
    return framed(outcomes.size(), [&](FieldWriter& out, std::size_t i) {
      put_error(out, outcomes[i].code, outcomes[i].detail);
      out.number(outcomes[i].timestamp.value());
      out.number(outcomes[i].offset.value());
      out.number(outcomes[i].leader_epoch.value());
    });
  }
  Result<std::vector<Outcome>> decode(const common::Bytes& answer, std::size_t count) const {
    return outcomes_in<Outcome>(answer, count, [](FieldReader& in, Outcome& outcome) {
      take_error(in, outcome);
      outcome.timestamp = common::Timestamp{in.number<std::int64_t>()};
      outcome.offset = in.offset();
      outcome.leader_epoch = in.term();
    });
  }
};

using ListAsked = std::pair<ListUse, std::vector<OffsetQuery>>;
Result<ListAsked> read_list(const common::Bytes& body) {
  FieldReader in(body.view());
  if (in.byte() != kVersion) return model::error(ErrorCode::kUnsupportedVersion);
  ListAsked asked;
  asked.second.resize(in.length(kItemsMax, kItemBytesMin));
  bool first = true;
  for (OffsetQuery& query : asked.second) {
    if (std::exchange(first, false)) {
      asked.first.isolation = in.byte() == 0 ? replica::Isolation::kReadUncommitted
                                             : replica::Isolation::kReadCommitted;
    }
    query.target = get_target(in);
    query.at = common::Timestamp{in.number<std::int64_t>()};
  }
  if (!in.done()) return model::error(ErrorCode::kCorruptMessage);
  return asked;
}

struct DeleteUse : HarmlessUse<DeleteRecordsItem, DeleteRecordsOutcome> {
  static constexpr cluster::Method kMethod = cluster::Method::kDeleteRecords;

  void run_here(Shard& here, std::vector<Item> items,
                common::Reply<std::vector<Outcome>> reply) const {
    delete_records(here, std::move(items), std::move(reply));
  }
  common::Bytes encode(const std::vector<model::PartitionKey>& keys,
                       const std::vector<const Item*>& items) const {
    return framed(items.size(), [&](FieldWriter& out, std::size_t i) {
      put_target(out, keys[i]);
      out.number(items[i]->before.value());
    });
  }
  common::Bytes encode_outcomes(const std::vector<Outcome>& outcomes) const {
    return framed(outcomes.size(), [&](FieldWriter& out, std::size_t i) {
      put_error(out, outcomes[i].code, outcomes[i].detail);
      out.number(outcomes[i].low_watermark.value());
    });
  }
  Result<std::vector<Outcome>> decode(const common::Bytes& answer, std::size_t count) const {
    return outcomes_in<Outcome>(answer, count, [](FieldReader& in, Outcome& outcome) {
      take_error(in, outcome);
      outcome.low_watermark = in.offset();
    });
  }
};

using DeleteAsked = std::pair<DeleteUse, std::vector<DeleteRecordsItem>>;
Result<DeleteAsked> read_delete(const common::Bytes& body) {
  FieldReader in(body.view());
  if (in.byte() != kVersion) return model::error(ErrorCode::kUnsupportedVersion);
  auto items = unframed<DeleteRecordsItem>(in, kItemBytesMin,
                                           [](FieldReader& fields, DeleteRecordsItem& item) {
                                             item.target = get_target(fields);
                                             item.before = fields.offset();
                                           });
  if (!items.ok()) return std::move(items).error();
  return DeleteAsked{DeleteUse{}, *std::move(items)};
}

struct ProducersItem {
  PartitionRef target;
};

struct ProducersUse : HarmlessUse<ProducersItem, ProducersAnswer> {
  static constexpr cluster::Method kMethod = cluster::Method::kDescribeProducers;

  void run_here(Shard& here, std::vector<Item> items,
                common::Reply<std::vector<Outcome>> reply) const {
    std::vector<PartitionRef> partitions;
    for (Item& item : items) partitions.push_back(std::move(item.target));
    describe_producers(here, std::move(partitions), std::move(reply));
  }
  common::Bytes encode(const std::vector<model::PartitionKey>& keys,
                       const std::vector<const Item*>& items) const {
    return framed(items.size(), [&](FieldWriter& out, std::size_t i) { put_target(out, keys[i]); });
  }
  common::Bytes encode_outcomes(const std::vector<Outcome>& outcomes) const {
    return framed(outcomes.size(), [&](FieldWriter& out, std::size_t i) {
      put_error(out, outcomes[i].code, outcomes[i].detail);
      out.count(outcomes[i].producers.size());
      for (const model::ProducerEntry& producer : outcomes[i].producers) {
        out.number(producer.producer_id.value());
        out.number(producer.epoch);
        out.number(producer.last_seen.value());
        out.number(producer.last_sequence());
      }
    });
  }
  Result<std::vector<Outcome>> decode(const common::Bytes& answer, std::size_t count) const {
    return outcomes_in<Outcome>(answer, count, [](FieldReader& in, Outcome& outcome) {
      take_error(in, outcome);
      outcome.producers.resize(in.length(kProducersMax, 4));
      for (model::ProducerEntry& producer : outcome.producers) {
        producer.producer_id = model::ProducerId{in.number<std::int64_t>()};
        producer.epoch = in.number<std::int16_t>();
        producer.last_seen = common::Timestamp{in.number<std::int64_t>()};
        const auto last = in.number<std::int32_t>();
        if (last < 0) continue;
        producer.batch_count = 1;
        producer.batches[0].last_sequence = last;
      }
    });
  }
};

using ProducersAsked = std::pair<ProducersUse, std::vector<ProducersItem>>;
Result<ProducersAsked> read_producers(const common::Bytes& body) {
  FieldReader in(body.view());
  if (in.byte() != kVersion) return model::error(ErrorCode::kUnsupportedVersion);
  auto items = unframed<ProducersItem>(
      in, kItemBytesMin,
      [](FieldReader& fields, ProducersItem& item) { item.target = get_target(fields); });
  if (!items.ok()) return std::move(items).error();
  return ProducersAsked{ProducersUse{}, *std::move(items)};
}

}  // namespace

void list_offsets_anywhere(Shard& here, std::vector<OffsetQuery> queries,
                           replica::Isolation isolation, common::Duration limit,
                           common::Reply<std::vector<OffsetAnswer>> done) {
  ListUse use;
  use.isolation = isolation;
  route(here, use, std::move(queries), limit, std::move(done));
}

void delete_records_anywhere(Shard& here, std::vector<DeleteRecordsItem> items,
                             common::Duration limit,
                             common::Reply<std::vector<DeleteRecordsOutcome>> done) {
  route(here, DeleteUse{}, std::move(items), limit, std::move(done));
}

void describe_producers_anywhere(Shard& here, std::vector<PartitionRef> partitions,
                                 common::Duration limit,
                                 common::Reply<std::vector<ProducersAnswer>> done) {
  std::vector<ProducersItem> items;
  for (PartitionRef& partition : partitions) items.push_back({std::move(partition)});
  route(here, ProducersUse{}, std::move(items), limit, std::move(done));
}

void serve_offsets(Shard& shard) {
  serve_routed<ListUse>(shard, read_list);
  serve_routed<DeleteUse>(shard, read_delete);
  serve_routed<ProducersUse>(shard, read_producers);
}

}  // namespace millrace::service
