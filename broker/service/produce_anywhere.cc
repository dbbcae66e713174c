#include "broker/service/produce_anywhere.h"

#include <algorithm>
#include <utility>

#include "broker/model/batch.h"
#include "broker/service/routed.h"

namespace millrace::service {
namespace {

using cluster::FieldReader;
using cluster::FieldWriter;
using common::Result;
using model::ErrorCode;

constexpr std::uint8_t kVersion = 1;
constexpr std::size_t kItemsMax = 100'000;
constexpr std::size_t kRecordErrorsMax = 10'000;
constexpr std::size_t kItemBytesMin = 18;
constexpr std::int64_t kWaitMsMax = 3'600'000;
/// About a second.
constexpr std::size_t kOutOfOrderRounds = 8;

bool has_sequence(const ProduceItem& item) {
  const auto batch = model::BatchView::parse(item.records);
  return batch.ok() && batch->producer_id() != model::kNoProducerId;
}

/// It is not known what became of the request.
bool is_unsure(const ProduceOutcome& outcome) {
  return outcome.appended.base_offset.value() >= 0 || outcome.code == ErrorCode::kRequestTimedOut ||
         outcome.code == ErrorCode::kNetworkException ||
         outcome.code == ErrorCode::kConnectionClosed;
}

struct ProduceUse {
  using Item = ProduceItem;
  using Outcome = ProduceOutcome;
  static constexpr cluster::Method kMethod = cluster::Method::kProduce;

  replica::Acks acks = replica::Acks::kAll;
  /// How long acks=all may wait for other replicas.
  common::Duration timeout{0};

  /// An append patches the batch in place, which the next try must not see.
  Item copy(const Item& item) const {
    return {item.target, common::Bytes::copy_of(item.records.view())};
  }
  void run_here(Shard& here, std::vector<Item> items,
                common::Reply<std::vector<Outcome>> reply) const {
    produce(here, {.acks = acks, .timeout = timeout, .items = std::move(items)}, std::move(reply));
  }
  common::Bytes encode(const std::vector<model::PartitionKey>& keys,
                       const std::vector<const Item*>& items) const {
    FieldWriter out;
    out.byte(kVersion);
    out.byte(acks == replica::Acks::kAll ? 1 : 0);
    out.number(timeout / std::chrono::milliseconds(1));
    out.count(items.size());
    for (std::size_t i = 0; i < items.size(); ++i) {
      put_target(out, keys[i]);
      out.count(items[i]->records.size());
      out.raw(items[i]->records.view());
    }
    return common::Bytes::copy_of(out.view());
  }
  common::Bytes encode_outcomes(const std::vector<Outcome>& outcomes) const {
    FieldWriter out;
    out.byte(kVersion);
    out.count(outcomes.size());
    for (const Outcome& outcome : outcomes) {
      put_error(out, outcome.code, outcome.detail);
      out.number(outcome.appended.base_offset.value());
      out.number(outcome.appended.append_time.value());
      out.number(outcome.appended.log_start.value());
      out.count(outcome.records.size());
      for (const model::RecordError& record : outcome.records) {
        out.number(record.index);
        out.text(std::string_view(record.message).substr(0, kDetailBytesMax));
      }
    }
    return common::Bytes::copy_of(out.view());
  }
  Result<std::vector<Outcome>> decode(const common::Bytes& answer, std::size_t count) const {
    FieldReader in(answer.view());
    if (in.byte() != kVersion) return model::error(ErrorCode::kUnsupportedVersion);
    std::vector<Outcome> outcomes(in.length(kItemsMax));
    for (Outcome& outcome : outcomes) {
      RoutedError error = get_error(in);
      outcome.code = error.code;
      outcome.detail = std::move(error.detail);
      outcome.appended.base_offset = in.offset();
      outcome.appended.append_time = common::Timestamp{in.number<std::int64_t>()};
      outcome.appended.log_start = in.offset();
      outcome.records.resize(in.length(kRecordErrorsMax));
      for (model::RecordError& record : outcome.records) {
        record.index = in.number<std::int32_t>();
        record.message = in.text(kDetailBytesMax);
      }
    }
    if (!in.done() || outcomes.size() != count) return model::error(ErrorCode::kCorruptMessage);
    return outcomes;
  }
  Outcome failed(const common::Error& error) const {
    Outcome outcome;
    outcome.code = error.code;
    outcome.detail = error.detail;
    return outcome;
  }
  bool try_again(const Item& item, const Outcome& outcome, std::size_t rounds) const {
    if (outcome.code == ErrorCode::kNone) return false;
    if (is_unsure(outcome)) return has_sequence(item);
    // The batch before it may be on its way to the same new leader by another road.
    if (outcome.code == ErrorCode::kOutOfOrderSequenceNumber)
      return has_sequence(item) && rounds <= kOutOfOrderRounds;
    return is_misrouted(outcome.code) || outcome.code == ErrorCode::kShuttingDown ||
           outcome.code == ErrorCode::kNotEnoughReplicas;
  }
};

using Asked = std::pair<ProduceUse, std::vector<ProduceItem>>;

Result<Asked> read_request(const common::Bytes& body) {
  FieldReader in(body.view());
  if (in.byte() != kVersion) return model::error(ErrorCode::kUnsupportedVersion);
  Asked asked;
  asked.first.acks = in.byte() == 0 ? replica::Acks::kLeader : replica::Acks::kAll;
  asked.first.timeout =
      std::chrono::milliseconds(std::clamp(in.number<std::int64_t>(), std::int64_t{1}, kWaitMsMax));
  asked.second.resize(in.length(kItemsMax, kItemBytesMin));
  for (ProduceItem& item : asked.second) {
    item.target = get_target(in);
    // Copied: batches end up in the log's memory one by one, and must not keep all of the body.
    item.records = common::Bytes::copy_of(in.raw(in.length(body.size())));
  }
  if (!in.done()) return model::error(ErrorCode::kCorruptMessage);
  return asked;
}

/// What clients are told where nobody knows.
void say_unsure(std::vector<ProduceOutcome>& outcomes) {
  for (ProduceOutcome& outcome : outcomes) {
    // What is written by too few is known to be written.
    if (outcome.code == ErrorCode::kNotEnoughReplicasAfterAppend) continue;
    if (outcome.code == ErrorCode::kNone || !is_unsure(outcome)) continue;
    outcome.code = ErrorCode::kRequestTimedOut;
    outcome.detail = "The leader went away before it acknowledged: the records may be there or not";
    outcome.appended.base_offset = model::Offset{-1};
  }
}

}  // namespace

void produce_anywhere(Shard& here, ProduceCommand command, common::Duration limit,
                      common::Reply<std::vector<ProduceOutcome>> done) {
  if (here.neighbours() == nullptr) return produce(here, std::move(command), std::move(done));
  route(here, ProduceUse{command.acks, limit}, std::move(command.items), limit,
        [done = std::move(done)](std::vector<ProduceOutcome> outcomes) mutable {
          say_unsure(outcomes);
          done(std::move(outcomes));
        });
}

void serve_produce(Shard& shard) {
  serve_routed<ProduceUse>(shard, read_request);
}

}  // namespace millrace::service
