// The bytes of a shard's journal. The page docs/formats/journal.md says the same in prose.
#pragma once

#include <cstdint>
#include <optional>

#include "broker/model/ids.h"
#include "common/bytes.h"

namespace millrace::storage {

/// Identifies a log within its store: small, never used again. 0: none.
struct LogNumberTag {};
using LogNumber = common::Number<LogNumberTag, std::uint32_t>;

/// What an entry tells. Numbers are on disk and never reused.
enum class EntryType : std::uint8_t {
  kPadding = 0,  // not an entry: zeros end a round
  kLogCreated = 1,
  kAppended = 2,
  kTruncated = 3,
  kStartMoved = 4,
  kTermStarted = 5,
  kSegmentStarted = 6,
  kLogRemoved = 7,
  kLogQuarantined = 8,
  kState = 9,
  kCompactionBegan = 10,
  kSegmentsReplaced = 11,
  kLogReset = 12,
};
inline constexpr EntryType kLastEntryType = EntryType::kLogReset;

inline constexpr std::uint64_t kRoundMagic = 0x31444e554f524c4dULL;  // "MLROUND1"
inline constexpr std::size_t kRoundHeaderBytes = 64;
inline constexpr std::size_t kEntryHeaderBytes = 32;
/// Entries begin at multiples of this within their round.
inline constexpr std::size_t kEntryAlignment = 8;

/// At the front of each round.
struct RoundHeader {
  /// Random number of the store: no client can put something into its records that looks like a
  /// round.
  std::uint64_t salt = 0;
  /// Which use of a journal file this is: files are used again under a higher one.
  std::uint64_t file_sequence = 0;
  /// Dense over the life of the store.
  std::uint64_t number = 0;
  /// Bytes of the round with this header, without the zeros behind its last entry.
  std::uint64_t length = 0;
  std::uint32_t entries = 0;

  void encode(common::MutableByteView out) const;
  /// nullopt: not a round of the store with this salt.
  static std::optional<RoundHeader> decode(common::ByteView bytes, std::uint64_t salt);
  /// Bytes that the round takes in its file.
  std::uint64_t padded_length() const;
};

/// In front of each entry's payload.
struct EntryHeader {
  EntryType type = EntryType::kPadding;
  /// Zeros between the header and the payload, below kDiskAlignment: they give the payload the
  /// place in memory that lets it be written to its segment without a copy.
  std::uint16_t gap = 0;
  LogNumber log;
  std::uint32_t payload_length = 0;
  /// The offset that the entry is about: base offset, new start or end.
  model::Offset offset;
  model::Term term;
  /// kAppended: the batch's own checksum field, which covers it from its attributes on. Others: of
  /// the payload.
  std::uint32_t payload_crc = 0;

  void encode(common::MutableByteView out) const;
  static std::optional<EntryHeader> decode(common::ByteView bytes);
};

std::uint64_t round_up(std::uint64_t value, std::uint64_t alignment);
std::uint64_t round_down(std::uint64_t value, std::uint64_t alignment);

/// Bytes an entry with this payload and gap takes in a round.
std::uint64_t entry_bytes(std::uint64_t payload_length, std::uint64_t gap = 0);

/// A place between two rounds.
struct JournalPosition {
  std::uint64_t file_sequence = 1;
  std::uint64_t offset = 0;
  /// The round that comes next.
  std::uint64_t round = 1;
  bool operator==(const JournalPosition&) const = default;
};

}  // namespace millrace::storage
