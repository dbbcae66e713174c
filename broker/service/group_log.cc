#include "broker/service/group_log.h"

#include <fmt/format.h>

#include <utility>

#include "broker/model/compression.h"
#include "broker/model/mutation.h"
#include "broker/model/record.h"

namespace millrace::service {
namespace {

using common::Error;
using common::Result;
using model::BatchView;
using model::ErrorCode;

/// What one batch may unpack to: more than any broker's batch, less than what harms.
constexpr std::size_t kPlainBytesMax = std::size_t{256} << 20;

Error at(model::Offset offset, Error error) {
  return Error{error.code, fmt::format("at offset {}: {}", offset, error.detail)};
}

void skip(model::Offset offset, const Error& error, GroupLogReport& report) {
  ++report.skipped;
  if (report.skipped_named.size() < GroupLogReport::kNamedMax)
    report.skipped_named.push_back(at(offset, error).detail);
}

Result<void> replay_record(const model::RecordView& record, model::Offset offset,
                           coordinator::Machine& machine, GroupLogReport& report) {
  ++report.records;
  if (!record.key) {
    skip(offset, {ErrorCode::kCorruptMessage, "a record without a key"}, report);
    return common::ok();
  }
  auto decoded = coordinator::decode(*record.key, record.value);
  if (!decoded.ok()) {
    if (decoded.error().code == ErrorCode::kUnsupportedVersion) return at(offset, decoded.error());
    skip(offset, decoded.error(), report);
    return common::ok();
  }
  if (model::mutated(model::Mutation::kForgetOffsets) && decoded->has_value() &&
      std::holds_alternative<coordinator::OffsetRecord>(**decoded))
    return common::ok();
  if (decoded->has_value()) {
    machine.load(**decoded);
  } else {
    ++report.foreign;
  }
  return common::ok();
}

Result<void> replay_batch(const BatchView& batch, model::Offset from, coordinator::Machine& machine,
                          GroupLogReport& report) {
  if (!batch.crc_matches()) {
    return Error{ErrorCode::kCorruptMessage,
                 fmt::format("at offset {}: a batch of {} records does not match its checksum",
                             batch.base_offset(), batch.record_count())};
  }
  if (batch.control()) return common::ok();
  auto plain = model::plain_records(batch, kPlainBytesMax);
  if (!plain.ok()) return at(batch.base_offset(), plain.error());
  model::RecordReader records(plain->records, batch.record_count());
  for (;;) {
    auto next = records.next();
    if (!next.ok()) {
      return Error{ErrorCode::kCorruptMessage,
                   fmt::format("at offset {}: {}", batch.base_offset(), next.error().detail)};
    }
    if (!next->has_value()) return common::ok();
    const model::Offset offset = (*next)->offset(batch);
    if (offset >= from) TRY(replay_record(**next, offset, machine, report));
  }
}

}  // namespace

Result<void> replay_group_log(common::ByteView batches, model::Offset from,
                              coordinator::Machine& machine, GroupLogReport& report) {
  while (!batches.empty()) {
    const auto batch = BatchView::parse(batches);
    if (!batch.ok()) return batch.error();
    TRY(replay_batch(*batch, from, machine, report));
    report.bytes += batch->size();
    batches = batches.subspan(batch->size());
  }
  return common::ok();
}

}  // namespace millrace::service
