// Reading the journal back: every round from a checkpoint's place on, up to its end.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "broker/env/disk.h"
#include "broker/model/errors.h"
#include "broker/storage/arenas.h"
#include "broker/storage/journal_files.h"
#include "broker/storage/journal_format.h"

namespace millrace::storage {

using common::Result;

/// The journal's files as they were found; blocking.
struct FoundJournal {
  std::vector<JournalFile>
      files;  // those that begin with a round of this store, in order of sequence, then the others
  std::vector<std::uint64_t> sizes;
  std::vector<std::uint64_t> first_rounds;  // 0: none
};
Result<FoundJournal> find_journal(env::Disk& disk, const std::string& folder,
                                  std::uint64_t file_bytes, std::uint64_t salt);

/// One entry of a valid round.
struct JournalEntry {
  EntryHeader header;
  Bytes payload;  // shares memory with `arena`
  Arena* arena;
};

/// Walks rounds in order. A round counts only as a whole, with every checksum right, those of the
/// record batches in it included. The first one that is not right is the torn end of the journal if
/// nothing valid follows it, for only one round is ever under way; otherwise the journal is
/// damaged. Blocking.
class JournalReader {
 public:
  JournalReader(Arenas& arenas, const FoundJournal& found, std::uint64_t salt,
                JournalPosition from);
  ~JournalReader();

  /// The entries of the next round; empty at the end. kCorruptLog: damage, named.
  Result<std::vector<JournalEntry>> next();
  /// Behind the last round that next() gave out.
  JournalPosition position() const { return position_; }
  /// The last round, to be written again where it lies: if only the process died it may be in the
  /// machine's cache alone, even if a sync says otherwise after one that failed. Empty: none.
  struct LastRound {
    std::uint64_t file_sequence = 0;
    std::uint64_t offset = 0;
    Bytes bytes;
  };
  const LastRound& last_round() const { return last_round_; }
  std::uint64_t bytes_read() const { return bytes_read_; }
  /// Entries of a torn end, as far as its header tells.
  std::uint64_t torn_entries() const { return torn_entries_; }

 private:
  static constexpr std::size_t kNone = SIZE_MAX;
  std::size_t file_of(std::uint64_t sequence) const;
  Result<Bytes> window(std::size_t file, std::uint64_t offset, std::uint64_t length);
  Result<std::vector<JournalEntry>> read_round(std::size_t file, std::uint64_t offset,
                                               RoundHeader& header);
  Result<std::vector<JournalEntry>> parse(const RoundHeader& header, const Bytes& bytes);
  Result<bool> later_round_exists(std::size_t file, std::uint64_t offset);
  Result<std::vector<JournalEntry>> end_or_damage(std::size_t file);

  Arenas& arenas_;
  const FoundJournal& found_;
  const std::uint64_t salt_;
  JournalPosition position_;
  Arena* arena_ = nullptr;
  std::size_t window_file_ = kNone;
  std::uint64_t window_start_ = 0;
  std::uint64_t window_length_ = 0;
  LastRound last_round_;
  std::uint64_t bytes_read_ = 0;
  std::uint64_t torn_entries_ = 0;
};

}  // namespace millrace::storage
