#include "broker/storage/journal_format.h"

#include <bit>

#include "common/crc32c.h"
#include "common/endian.h"

namespace millrace::storage {
namespace {

using common::ByteView;
using common::load_little;
using common::store_little;

constexpr std::size_t kRoundCrcAt = 44;
static_assert(kRoundCrcAt + 4 <= kRoundHeaderBytes);
static_assert(kRoundHeaderBytes % kEntryAlignment == 0 && kEntryHeaderBytes % kEntryAlignment == 0);
static_assert(common::kDiskAlignment % kEntryAlignment == 0);

}  // namespace

void RoundHeader::encode(common::MutableByteView out) const {
  CHECK(out.size() >= kRoundHeaderBytes);
  CHECK(length >= kRoundHeaderBytes && entries > 0, "round {} is empty", number);
  std::uint8_t* at = out.data();
  store_little(at, kRoundMagic);
  store_little(at + 8, salt);
  store_little(at + 16, file_sequence);
  store_little(at + 24, number);
  store_little(at + 32, length);
  store_little(at + 40, entries);
  store_little(at + kRoundCrcAt, common::crc32c(ByteView(at, kRoundCrcAt)));
  std::memset(at + kRoundCrcAt + 4, 0, kRoundHeaderBytes - kRoundCrcAt - 4);
}

std::optional<RoundHeader> RoundHeader::decode(ByteView bytes, std::uint64_t salt) {
  if (bytes.size() < kRoundHeaderBytes) return std::nullopt;
  const std::uint8_t* at = bytes.data();
  if (load_little<std::uint64_t>(at) != kRoundMagic) return std::nullopt;
  if (load_little<std::uint64_t>(at + 8) != salt) return std::nullopt;
  if (load_little<std::uint32_t>(at + kRoundCrcAt) != common::crc32c(ByteView(at, kRoundCrcAt))) {
    return std::nullopt;
  }
  RoundHeader header;
  header.salt = salt;
  header.file_sequence = load_little<std::uint64_t>(at + 16);
  header.number = load_little<std::uint64_t>(at + 24);
  header.length = load_little<std::uint64_t>(at + 32);
  header.entries = load_little<std::uint32_t>(at + 40);
  if (header.length < kRoundHeaderBytes || header.entries == 0) return std::nullopt;
  return header;
}

std::uint64_t RoundHeader::padded_length() const {
  return round_up(length, common::kDiskAlignment);
}

void EntryHeader::encode(common::MutableByteView out) const {
  CHECK(out.size() >= kEntryHeaderBytes);
  CHECK(type != EntryType::kPadding && gap < common::kDiskAlignment);
  std::uint8_t* at = out.data();
  store_little(at + 4, payload_length);
  store_little(at + 8, static_cast<std::uint16_t>(type));
  store_little(at + 10, gap);
  store_little(at + 12, log.value());
  store_little(at + 16, offset.value());
  store_little(at + 24, term.value());
  store_little(at + 28, payload_crc);
  store_little(at, common::crc32c(ByteView(at + 4, kEntryHeaderBytes - 4)));
}

std::optional<EntryHeader> EntryHeader::decode(ByteView bytes) {
  if (bytes.size() < kEntryHeaderBytes) return std::nullopt;
  const std::uint8_t* at = bytes.data();
  if (load_little<std::uint32_t>(at) != common::crc32c(ByteView(at + 4, kEntryHeaderBytes - 4))) {
    return std::nullopt;
  }
  const auto type = load_little<std::uint16_t>(at + 8);
  if (type == 0 || type > static_cast<std::uint16_t>(kLastEntryType)) return std::nullopt;
  EntryHeader header;
  header.gap = load_little<std::uint16_t>(at + 10);
  if (header.gap >= common::kDiskAlignment) return std::nullopt;
  header.payload_length = load_little<std::uint32_t>(at + 4);
  header.type = static_cast<EntryType>(type);
  header.log = LogNumber{load_little<std::uint32_t>(at + 12)};
  header.offset = model::Offset{load_little<std::int64_t>(at + 16)};
  header.term = model::Term{load_little<std::int32_t>(at + 24)};
  header.payload_crc = load_little<std::uint32_t>(at + 28);
  return header;
}

std::uint64_t round_up(std::uint64_t value, std::uint64_t alignment) {
  return round_down(value + alignment - 1, alignment);
}

std::uint64_t round_down(std::uint64_t value, std::uint64_t alignment) {
  DCHECK(std::has_single_bit(alignment));
  return value & ~(alignment - 1);
}

std::uint64_t entry_bytes(std::uint64_t payload_length, std::uint64_t gap) {
  return kEntryHeaderBytes + round_up(gap + payload_length, kEntryAlignment);
}

}  // namespace millrace::storage
