// The codecs of record batches, with a bound on what decompression may produce.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "broker/model/batch.h"

namespace millrace::model {

/// The name that compression.type uses: "uncompressed", "gzip", "snappy", "lz4", "zstd".
std::string_view compression_name(Compression compression);
std::optional<Compression> parse_compression(std::string_view name);

/// The level used when none is asked for; nullopt for codecs without levels.
std::optional<int> default_level(Compression compression);

/// Compresses into what Kafka clients read: gzip member, xerial-framed snappy, lz4 frame, zstd
/// frame. `level` must be one the codec knows (topic settings check it). Requires less than 2 GiB.
common::Bytes compress(Compression compression, common::ByteView plain,
                       std::optional<int> level = std::nullopt);

/// The reverse, never producing more than `size_max` bytes. Safe on any bytes.
/// kCorruptMessage: not what the codec writes. kMessageTooLarge: more than size_max would come out
/// (a "bomb"). Snappy is taken in Kafka's xerial framing and, as some clients send it, raw.
Result<common::Bytes> decompress(Compression compression, common::ByteView packed,
                                 std::size_t size_max);

/// The records of a batch, uncompressed: a copy only if the batch is compressed, else an empty
/// `owned`.
struct PlainRecords {
  common::Bytes owned;
  common::ByteView records;
};
Result<PlainRecords> plain_records(const BatchView& batch, std::size_t size_max);

/// The same batch under another codec: same header otherwise, checksum anew. Records are not looked
/// at.
Result<common::Bytes> recompress(const BatchView& batch, Compression target,
                                 std::optional<int> level, std::size_t size_max);

}  // namespace millrace::model
