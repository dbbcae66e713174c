#include "broker/model/compression.h"

#include <fmt/format.h>
#include <lz4frame.h>
#include <snappy-c.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>

#include "common/endian.h"

namespace millrace::model {
namespace {

using common::Bytes;
using common::ByteView;

constexpr std::array<std::string_view, 5> kNames = {"uncompressed", "gzip", "snappy", "lz4",
                                                    "zstd"};

// Xerial's framing: magic, version, oldest compatible version, then blocks of {length, raw snappy}.
constexpr std::array<std::uint8_t, 8> kXerialMagic = {0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0};
constexpr std::size_t kXerialHeaderBytes = 16;
constexpr std::size_t kXerialBlockBytes = 32 << 10;

// Kafka's own default level for lz4; it stands for the fast compressor, every other one for the
// high one.
constexpr int kLz4FastLevel = 9;

Error corrupt(std::string_view codec, std::string_view why) {
  return Error{ErrorCode::kCorruptMessage,
               fmt::format("{} data cannot be decompressed: {}", codec, why)};
}
Error too_large(std::string_view codec, std::size_t size_max) {
  return Error{ErrorCode::kMessageTooLarge,
               fmt::format("{} data decompresses to more than {} bytes", codec, size_max)};
}

/// Output that grows up to a limit.
class Output {
 public:
  Output(std::size_t expected, std::size_t limit) : limit_(limit) {
    bytes_ = Bytes::allocate(std::clamp<std::size_t>(expected, 1, std::max<std::size_t>(limit, 1)));
  }
  /// Room for at least one more byte, if the limit allows it; the room may be empty otherwise.
  common::MutableByteView room() {
    if (used_ == bytes_.size() && used_ < limit_) grow(used_ + 1);
    return bytes_.mutable_view().subspan(used_, std::min(bytes_.size(), limit_) - used_);
  }
  /// Room for exactly `size` more; empty and false if the limit is below.
  bool room_for(std::size_t size) {
    if (size > limit_ - used_) return false;
    if (bytes_.size() - used_ < size) grow(used_ + size);
    return true;
  }
  std::uint8_t* end() { return bytes_.mutable_data() + used_; }
  void advance(std::size_t size) { used_ += size; }
  bool full() const { return used_ == limit_; }
  Bytes take() { return bytes_.slice(0, used_); }

 private:
  void grow(std::size_t needed) {
    const std::size_t size = std::min(limit_, std::max(needed, bytes_.size() * 2));
    Bytes larger = Bytes::allocate(size);
    std::memcpy(larger.mutable_data(), bytes_.data(), used_);
    bytes_ = std::move(larger);
  }

  Bytes bytes_;
  std::size_t used_ = 0;
  std::size_t limit_;
};

std::size_t expected_size(ByteView packed) {
  return packed.size() * 3 + 64;
}

Bytes gzip_compress(ByteView plain, int level) {
  z_stream stream{};
  constexpr int kGzipWindow = 15 + 16;
  CHECK(deflateInit2(&stream, level, Z_DEFLATED, kGzipWindow, 8, Z_DEFAULT_STRATEGY) == Z_OK);
  Bytes out = Bytes::allocate(deflateBound(&stream, plain.size()) + 32);
  stream.next_in = const_cast<Bytef*>(plain.data());
  stream.avail_in = static_cast<uInt>(plain.size());
  stream.next_out = out.mutable_data();
  stream.avail_out = static_cast<uInt>(out.size());
  const int end = deflate(&stream, Z_FINISH);
  const std::size_t size = stream.total_out;
  deflateEnd(&stream);
  CHECK(end == Z_STREAM_END);
  return out.slice(0, size);
}

/// Runs the stream to the end of its input, over any number of gzip members.
Result<void> inflate_all(z_stream& stream, Output& out, std::size_t size_max) {
  for (;;) {
    common::MutableByteView room = out.room();
    std::uint8_t spare;  // with no room left, one byte of output proves that there is too much
    const bool over = room.empty();
    stream.next_out = over ? &spare : room.data();
    stream.avail_out = over ? 1 : static_cast<uInt>(std::min<std::size_t>(room.size(), 1U << 30));
    const uInt offered = stream.avail_out;
    const int state = inflate(&stream, Z_NO_FLUSH);
    const std::size_t produced = offered - stream.avail_out;
    if (over && produced > 0) return too_large("gzip", size_max);
    if (!over) out.advance(produced);
    if (state == Z_STREAM_END) {
      if (stream.avail_in == 0) return common::ok();
      if (inflateReset(&stream) != Z_OK) return corrupt("gzip", "the next member cannot be read");
      continue;
    }
    if (state != Z_OK) return corrupt("gzip", stream.msg != nullptr ? stream.msg : "it ends early");
    if (produced == 0 && stream.avail_in == 0) return corrupt("gzip", "it ends early");
  }
}

Result<Bytes> gzip_decompress(ByteView packed, std::size_t size_max) {
  z_stream stream{};
  CHECK(inflateInit2(&stream, 15 + 16) == Z_OK);
  const std::unique_ptr<z_stream, int (*)(z_stream*)> owner(&stream, inflateEnd);
  stream.next_in = const_cast<Bytef*>(packed.data());
  stream.avail_in = static_cast<uInt>(packed.size());
  Output out(expected_size(packed), size_max);
  TRY(inflate_all(stream, out, size_max));
  return out.take();
}

Bytes snappy_compress_framed(ByteView plain) {
  const std::size_t blocks = (plain.size() + kXerialBlockBytes - 1) / kXerialBlockBytes;
  const std::size_t block_max = snappy_max_compressed_length(kXerialBlockBytes);
  Bytes out = Bytes::allocate(kXerialHeaderBytes + blocks * (4 + block_max));
  std::uint8_t* const start = out.mutable_data();
  std::memcpy(start, kXerialMagic.data(), kXerialMagic.size());
  common::store_big<std::int32_t>(start + 8, 1);
  common::store_big<std::int32_t>(start + 12, 1);
  std::size_t used = kXerialHeaderBytes;
  for (std::size_t at = 0; at < plain.size(); at += kXerialBlockBytes) {
    const ByteView block = plain.subspan(at, std::min(kXerialBlockBytes, plain.size() - at));
    std::size_t size = block_max;
    CHECK(snappy_compress(reinterpret_cast<const char*>(block.data()), block.size(),
                          reinterpret_cast<char*>(start + used + 4), &size) == SNAPPY_OK);
    common::store_big(start + used, static_cast<std::int32_t>(size));
    used += 4 + size;
  }
  return out.slice(0, used);
}

Result<void> snappy_block(ByteView block, Output& out, std::size_t size_max) {
  const char* const data = reinterpret_cast<const char*>(block.data());
  std::size_t size = 0;
  if (snappy_uncompressed_length(data, block.size(), &size) != SNAPPY_OK) {
    return corrupt("snappy", "a block has no length");
  }
  // A block of snappy grows at most 64 bytes for every 3 it takes, so a lying length is told before
  // memory is taken.
  if (size / 24 > block.size()) return corrupt("snappy", "a block announces more than it can hold");
  if (!out.room_for(size)) return too_large("snappy", size_max);
  if (snappy_uncompress(data, block.size(), reinterpret_cast<char*>(out.end()), &size) !=
      SNAPPY_OK) {
    return corrupt("snappy", "a block is damaged");
  }
  out.advance(size);
  return common::ok();
}

bool xerial_framed(ByteView packed) {
  return packed.size() >= kXerialHeaderBytes &&
         std::equal(kXerialMagic.begin(), kXerialMagic.end(), packed.begin());
}

Result<Bytes> snappy_decompress(ByteView packed, std::size_t size_max) {
  Output out(expected_size(packed), size_max);
  if (!xerial_framed(packed)) {
    TRY(snappy_block(packed, out, size_max));
    return out.take();
  }
  while (!packed.empty()) {
    if (xerial_framed(packed)) {  // streams may follow one another
      packed = packed.subspan(kXerialHeaderBytes);
      continue;
    }
    if (packed.size() < 4) return corrupt("snappy", "it ends inside a block's length");
    const auto length = common::load_big<std::int32_t>(packed.data());
    packed = packed.subspan(4);
    if (length < 0 || static_cast<std::size_t>(length) > packed.size())
      return corrupt("snappy", "it ends inside a block");
    TRY(snappy_block(packed.first(static_cast<std::size_t>(length)), out, size_max));
    packed = packed.subspan(static_cast<std::size_t>(length));
  }
  return out.take();
}

Bytes lz4_compress(ByteView plain, int level) {
  LZ4F_preferences_t preferences{};
  // What the Java client reads: independent blocks of 64 KiB.
  preferences.frameInfo.blockMode = LZ4F_blockIndependent;
  preferences.frameInfo.blockSizeID = LZ4F_max64KB;
  preferences.compressionLevel = level == kLz4FastLevel ? 0 : level;
  Bytes out = Bytes::allocate(LZ4F_compressFrameBound(plain.size(), &preferences));
  const std::size_t size =
      LZ4F_compressFrame(out.mutable_data(), out.size(), plain.data(), plain.size(), &preferences);
  CHECK(LZ4F_isError(size) == 0, "{}", LZ4F_getErrorName(size));
  return out.slice(0, size);
}

Result<Bytes> lz4_decompress(ByteView packed, std::size_t size_max) {
  LZ4F_dctx* raw = nullptr;
  CHECK(LZ4F_isError(LZ4F_createDecompressionContext(&raw, LZ4F_VERSION)) == 0);
  const std::unique_ptr<LZ4F_dctx, LZ4F_errorCode_t (*)(LZ4F_dctx*)> context(
      raw, LZ4F_freeDecompressionContext);
  Output out(expected_size(packed), size_max);
  std::size_t wanted = 1;
  for (;;) {
    common::MutableByteView room = out.room();
    std::uint8_t spare;
    const bool over = room.empty();
    std::size_t produced = over ? 1 : room.size();
    std::size_t consumed = packed.size();
    wanted = LZ4F_decompress(context.get(), over ? &spare : room.data(), &produced, packed.data(),
                             &consumed, nullptr);
    if (LZ4F_isError(wanted) != 0) return corrupt("lz4", LZ4F_getErrorName(wanted));
    if (over && produced > 0) return too_large("lz4", size_max);
    if (!over) out.advance(produced);
    packed = packed.subspan(consumed);
    if (wanted == 0 && packed.empty()) return out.take();
    if (produced == 0 && consumed == 0) return corrupt("lz4", "it ends early");
  }
}

Bytes zstd_compress(ByteView plain, int level) {
  Bytes out = Bytes::allocate(ZSTD_compressBound(plain.size()));
  const std::size_t size =
      ZSTD_compress(out.mutable_data(), out.size(), plain.data(), plain.size(), level);
  CHECK(ZSTD_isError(size) == 0, "{}", ZSTD_getErrorName(size));
  return out.slice(0, size);
}

Result<Bytes> zstd_decompress(ByteView packed, std::size_t size_max) {
  const std::unique_ptr<ZSTD_DCtx, std::size_t (*)(ZSTD_DCtx*)> context(ZSTD_createDCtx(),
                                                                        ZSTD_freeDCtx);
  CHECK(context != nullptr);
  Output out(expected_size(packed), size_max);
  ZSTD_inBuffer in{packed.data(), packed.size(), 0};
  std::size_t wanted = 1;
  for (;;) {
    common::MutableByteView room = out.room();
    std::uint8_t spare;
    const bool over = room.empty();
    ZSTD_outBuffer step{over ? &spare : room.data(), over ? 1 : room.size(), 0};
    const std::size_t before = in.pos;
    wanted = ZSTD_decompressStream(context.get(), &step, &in);
    if (ZSTD_isError(wanted) != 0) return corrupt("zstd", ZSTD_getErrorName(wanted));
    if (over && step.pos > 0) return too_large("zstd", size_max);
    if (!over) out.advance(step.pos);
    if (wanted == 0 && in.pos == in.size) return out.take();
    if (step.pos == 0 && in.pos == before) return corrupt("zstd", "it ends early");
  }
}

}  // namespace

std::string_view compression_name(Compression compression) {
  return kNames[static_cast<std::size_t>(compression)];
}

std::optional<Compression> parse_compression(std::string_view name) {
  const auto* const found = std::find(kNames.begin(), kNames.end(), name);
  if (found == kNames.end()) return std::nullopt;
  return static_cast<Compression>(found - kNames.begin());
}

std::optional<int> default_level(Compression compression) {
  switch (compression) {
    case Compression::kGzip:
      return Z_DEFAULT_COMPRESSION;
    case Compression::kLz4:
      return kLz4FastLevel;
    case Compression::kZstd:
      return ZSTD_CLEVEL_DEFAULT;
    case Compression::kNone:
    case Compression::kSnappy:
      break;
  }
  return std::nullopt;
}

common::Bytes compress(Compression compression, common::ByteView plain, std::optional<int> level) {
  CHECK(plain.size() < std::size_t{INT32_MAX});
  const int chosen = level.value_or(default_level(compression).value_or(0));
  switch (compression) {
    case Compression::kGzip:
      return gzip_compress(plain, chosen);
    case Compression::kSnappy:
      return snappy_compress_framed(plain);
    case Compression::kLz4:
      return lz4_compress(plain, chosen);
    case Compression::kZstd:
      return zstd_compress(plain, chosen);
    case Compression::kNone:
      break;
  }
  return Bytes::copy_of(plain);
}

Result<common::Bytes> decompress(Compression compression, common::ByteView packed,
                                 std::size_t size_max) {
  if (packed.size() >= std::size_t{INT32_MAX})
    return too_large(compression_name(compression), size_max);
  switch (compression) {
    case Compression::kGzip:
      return gzip_decompress(packed, size_max);
    case Compression::kSnappy:
      return snappy_decompress(packed, size_max);
    case Compression::kLz4:
      return lz4_decompress(packed, size_max);
    case Compression::kZstd:
      return zstd_decompress(packed, size_max);
    case Compression::kNone:
      break;
  }
  if (packed.size() > size_max) return too_large("record", size_max);
  return Bytes::copy_of(packed);
}

Result<PlainRecords> plain_records(const BatchView& batch, std::size_t size_max) {
  if (batch.compression() == Compression::kNone)
    return PlainRecords{.owned = {}, .records = batch.payload()};
  TRY_ASSIGN(Bytes plain, decompress(batch.compression(), batch.payload(), size_max));
  PlainRecords result{.owned = std::move(plain), .records = {}};
  result.records = result.owned;
  return result;
}

Result<common::Bytes> recompress(const BatchView& batch, Compression target,
                                 std::optional<int> level, std::size_t size_max) {
  TRY_ASSIGN(const PlainRecords plain, plain_records(batch, size_max));
  const Bytes packed =
      target == Compression::kNone ? Bytes{} : compress(target, plain.records, level);
  const ByteView payload = target == Compression::kNone ? plain.records : packed.view();
  Bytes result = Bytes::allocate(kBatchHeaderBytes + payload.size());
  std::memcpy(result.mutable_data() + kBatchHeaderBytes, payload.data(), payload.size());
  BatchHeader header = header_of(batch);
  header.attributes =
      static_cast<std::uint16_t>((header.attributes & ~7U) | static_cast<unsigned>(target));
  seal_batch(result.mutable_view(), header);
  return result;
}

}  // namespace millrace::model
