#include "broker/grpc/record_decoder.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "broker/grpc/utf8.h"

namespace millrace::grpc {
namespace {

using model::Offset;

void fill(v1::Record& out, const model::RecordView& record, const model::BatchView& batch) {
  out.set_offset(record.offset(batch).value());
  out.set_timestamp_ms(record.timestamp(batch).value());
  if (record.key) out.set_key(record.key->data(), record.key->size());
  if (record.value) out.set_value(record.value->data(), record.value->size());
  model::HeaderReader headers = record.headers;
  while (const auto header = headers.next()) {
    v1::Header& added = *out.add_headers();
    added.set_key(as_utf8(header->key));
    if (header->value) added.set_value(header->value->data(), header->value->size());
  }
}

/// About what the record takes as a message: never less.
std::size_t message_bytes(const model::RecordView& record, std::size_t topic_bytes) {
  constexpr std::size_t kFieldsBytes = 56;  // tags, lengths and numbers of one record
  constexpr std::size_t kHeaderBytes = 24;  // the same of one header
  std::size_t bytes = kFieldsBytes + topic_bytes;
  if (record.key) bytes += record.key->size();
  if (record.value) bytes += record.value->size();
  model::HeaderReader headers = record.headers;
  while (const auto header = headers.next()) {
    // Each byte of a name that is no UTF-8 becomes three.
    bytes += kHeaderBytes + 3 * header->key.size() + (header->value ? header->value->size() : 0);
  }
  return bytes;
}

}  // namespace

bool UnpackedBytes::take(std::size_t bytes) {
  std::size_t used = used_.load(std::memory_order_relaxed);
  do {
    if (bytes > bytes_max_ - used) return false;
  } while (!used_.compare_exchange_weak(used, used + bytes, std::memory_order_relaxed));
  return true;
}

void RecordDecoder::add(model::PartitionIndex partition, Offset& place, common::Bytes piece) {
  if (!piece.empty()) pieces_.push_back({partition, &place, std::move(piece), 0});
}

void RecordDecoder::drop(model::PartitionIndex partition) {
  if (!pieces_.empty() && pieces_.front().partition == partition) close_batch();
  std::erase_if(pieces_, [&](const Piece& piece) { return piece.partition == partition; });
}

common::Result<void> RecordDecoder::take(Portion portion, Records& records) {
  std::size_t bytes = 0;
  std::int64_t count = 0;
  while (!pieces_.empty() && count < portion.records_max) {
    if (!record_) {
      const auto advanced = advance();
      if (!advanced.ok() && bytes > 0) break;
      TRY(advanced);
      continue;
    }
    const Piece& piece = pieces_.front();
    const std::size_t size = message_bytes(*record_, topic_.size());
    if (bytes > 0 && bytes + size > portion.bytes_max) break;
    if (size > kRecordBytesMax) {
      return common::Error{
          model::ErrorCode::kMessageTooLarge,
          fmt::format("Record {} of {}-{} is larger than {} MiB: it can be read with the Kafka "
                      "protocol only",
                      record_->offset(*batch_), topic_, piece.partition, kRecordBytesMax >> 20)};
    }
    bytes += size;
    ++count;
    v1::Record& out = *records.Add();
    out.set_topic(topic_);
    out.set_partition(piece.partition.value());
    fill(out, *record_, *batch_);
    *piece.place = record_->offset(*batch_) + 1;
    record_.reset();
  }
  return common::ok();
}

/// One step towards the next record: opens a batch, passes over a record, or leaves what is used
/// up.
common::Result<void> RecordDecoder::advance() {
  Piece& piece = pieces_.front();
  if (!batch_) {
    if (piece.at < piece.bytes.size()) return open_batch();
    pieces_.pop_front();
    return common::ok();
  }
  std::optional<model::RecordView> next;
  if (reader_) {
    TRY_ASSIGN(next, reader_->next());
  }
  if (!next) {
    *piece.place = std::max(*piece.place, batch_->next_offset());
    piece.at += batch_->size();
    close_batch();
  } else if (next->offset(*batch_) >= *piece.place) {
    record_ = next;
  }
  return common::ok();
}

common::Result<void> RecordDecoder::open_batch() {
  const Piece& piece = pieces_.front();
  TRY_ASSIGN(const model::BatchView batch,
             model::BatchView::parse(piece.bytes.view().subspan(piece.at)));
  if (!batch.control()) {
    TRY_ASSIGN(model::PlainRecords plain, model::plain_records(batch, kPlainBytesMax));
    if (!unpacked_.take(plain.owned.size())) {
      return common::Error{model::ErrorCode::kMemoryExhausted,
                           "Readers hold too many unpacked records at the moment; read on from the "
                           "last offset later"};
    }
    plain_ = std::move(plain);
    reader_.emplace(plain_.records, batch.record_count());
  }
  batch_ = batch;
  return common::ok();
}

void RecordDecoder::close_batch() {
  unpacked_.release(plain_.owned.size());
  record_.reset();
  reader_.reset();
  plain_ = {};
  batch_.reset();
}

}  // namespace millrace::grpc
