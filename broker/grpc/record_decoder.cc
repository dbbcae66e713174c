#include "broker/grpc/record_decoder.h"

#include <utility>

#include "broker/model/compression.h"
#include "broker/model/record.h"

namespace millrace::grpc {
namespace {

using model::Offset;

/// A batch may not unpack to more than this: the most that one response can carry, with room for a
/// reader's own limits.
constexpr std::size_t kPlainBytesMax = 256 << 20;

void fill(v1::Record& out, const model::RecordView& record, const model::BatchView& batch) {
  out.set_offset(record.offset(batch).value());
  out.set_timestamp_ms(record.timestamp(batch).value());
  if (record.key) out.set_key(record.key->data(), record.key->size());
  if (record.value) out.set_value(record.value->data(), record.value->size());
  model::HeaderReader headers = record.headers;
  while (const auto header = headers.next()) {
    v1::Header& added = *out.add_headers();
    added.set_key(std::string(header->key));
    if (header->value) added.set_value(header->value->data(), header->value->size());
  }
}

}  // namespace

common::Result<Offset> decode_records(common::ByteView piece, const std::string& topic,
                                      model::PartitionIndex partition, Offset from,
                                      v1::ReadResponse& response) {
  Offset next = from;
  while (!piece.empty()) {
    TRY_ASSIGN(const model::BatchView batch, model::BatchView::parse(piece));
    piece = piece.subspan(batch.size());
    next = batch.next_offset();
    if (batch.control()) continue;
    TRY_ASSIGN(const model::PlainRecords plain, model::plain_records(batch, kPlainBytesMax));
    model::RecordReader reader(plain.records, batch.record_count());
    for (;;) {
      TRY_ASSIGN(const std::optional<model::RecordView> record, reader.next());
      if (!record) break;
      if (record->offset(batch) < from) continue;
      v1::Record& out = *response.add_records();
      out.set_topic(topic);
      out.set_partition(partition.value());
      fill(out, *record, batch);
    }
  }
  return next;
}

}  // namespace millrace::grpc
