#include "broker/grpc/record_decoder.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace millrace::grpc {
namespace {

using model::Offset;

/// Bytes of the UTF-8 character at the front of `text`; 0: what is there is none.
std::size_t character_bytes(std::string_view text) {
  const auto byte = [text](std::size_t i) { return static_cast<std::uint8_t>(text[i]); };
  const std::uint8_t lead = byte(0);
  if (lead < 0x80) return 1;
  const std::size_t count = lead < 0xc2   ? 0
                            : lead < 0xe0 ? 2
                            : lead < 0xf0 ? 3
                            : lead < 0xf5 ? 4
                                          : 0;
  if (count == 0 || text.size() < count) return 0;
  for (std::size_t i = 1; i < count; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
  }
  // Overlong forms, surrogates, and what is beyond U+10FFFF.
  if (lead == 0xe0 && byte(1) < 0xa0) return 0;
  if (lead == 0xed && byte(1) >= 0xa0) return 0;
  if (lead == 0xf0 && byte(1) < 0x90) return 0;
  if (lead == 0xf4 && byte(1) >= 0x90) return 0;
  return count;
}

/// A header's key as protobuf's strings must be. Kafka's clients write UTF-8, but nothing checks
/// it: a single bad byte would keep every reader from getting past the record.
std::string as_utf8(std::string_view text) {
  std::string valid;
  valid.reserve(text.size());
  while (!text.empty()) {
    const std::size_t count = character_bytes(text);
    if (count == 0) {
      valid += "\xef\xbf\xbd";  // U+FFFD
    } else {
      valid += text.substr(0, count);
    }
    text.remove_prefix(std::max<std::size_t>(count, 1));
  }
  return valid;
}

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

common::Result<void> RecordDecoder::take(std::size_t bytes_max, v1::ReadResponse& response) {
  std::size_t bytes = 0;
  while (!pieces_.empty()) {
    if (!record_) {
      const auto advanced = advance();
      if (!advanced.ok() && bytes > 0) break;
      TRY(advanced);
      continue;
    }
    const Piece& piece = pieces_.front();
    const std::size_t size = message_bytes(*record_, topic_.size());
    if (bytes > 0 && bytes + size > bytes_max) break;
    if (size > kRecordBytesMax) {
      return common::Error{
          model::ErrorCode::kMessageTooLarge,
          fmt::format("Record {} of {}-{} is larger than {} MiB: it can be read with the Kafka "
                      "protocol only",
                      record_->offset(*batch_), topic_, piece.partition, kRecordBytesMax >> 20)};
    }
    bytes += size;
    v1::Record& out = *response.add_records();
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
