#include "broker/grpc/record_decoder.h"

#include <algorithm>
#include <utility>

#include "broker/model/compression.h"
#include "broker/model/record.h"

namespace millrace::grpc {
namespace {

using model::Offset;

/// A batch may not unpack to more than this: the most that one response can carry, with room for a
/// reader's own limits.
constexpr std::size_t kPlainBytesMax = 256 << 20;

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
