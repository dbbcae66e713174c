#include "broker/storage/journal_reader.h"

#include <fmt/format.h>

#include <algorithm>

#include "broker/model/batch.h"
#include "broker/model/mutation.h"
#include "common/crc32c.h"

namespace millrace::storage {
namespace {

using common::ByteView;
using common::Error;
using model::BatchView;
using model::ErrorCode;

constexpr std::uint64_t kBlock = common::kDiskAlignment;
constexpr std::uint64_t kWindowBytes = 1 << 20;

bool ends_with(std::string_view text, std::string_view end) {
  return text.size() >= end.size() && text.substr(text.size() - end.size()) == end;
}

// What the batch's own checksum does not cover must agree with the entry's header.
bool batch_agrees(const EntryHeader& header, ByteView payload) {
  const Result<BatchView> batch = BatchView::parse(payload);
  return batch.ok() && batch->size() == payload.size() && batch->base_offset() == header.offset &&
         batch->leader_epoch() == header.term && batch->crc() == header.payload_crc &&
         batch->crc_matches();
}

}  // namespace

Result<FoundJournal> find_journal(env::Disk& disk, const std::string& folder,
                                  std::uint64_t file_bytes, std::uint64_t salt) {
  struct Found {
    JournalFile file;
    std::uint64_t size;
    std::uint64_t first_round;
  };
  std::vector<Found> all;
  TRY_ASSIGN(const auto entries, disk.list(folder));
  const Bytes block = Bytes::zeros(kBlock, kBlock);
  for (const env::DirectoryEntry& entry : entries) {
    if (entry.directory || !ends_with(entry.name, ".wal")) continue;
    Found found{.file = {.path = folder + "/" + entry.name}, .size = 0, .first_round = 0};
    TRY_ASSIGN(auto file, disk.open(found.file.path, {}));
    found.file.file = std::move(file);
    TRY_ASSIGN(found.size, found.file.file->size());
    found.file.odd_size = found.size != file_bytes;
    Bytes front = block;
    TRY_ASSIGN(const std::size_t got, found.file.file->read_now(0, front.mutable_view()));
    const auto header = RoundHeader::decode(front.view().first(got), salt);
    if (header.has_value()) {
      found.file.sequence = header->file_sequence;
      found.first_round = header->number;
    } else if (found.file.odd_size) {
      // It was being made when power was lost: finish that.
      TRY(found.file.file->resize(file_bytes));
      found.size = file_bytes;
      found.file.odd_size = false;
    }
    if (!found.file.odd_size) {
      TRY_ASSIGN(const bool covered, is_covered(*found.file.file, file_bytes));
      if (covered) found.file.covered = file_bytes;
    }
    all.push_back(std::move(found));
  }
  std::stable_sort(all.begin(), all.end(), [](const Found& a, const Found& b) {
    return std::pair(a.file.sequence == 0, a.file.sequence) <
           std::pair(b.file.sequence == 0, b.file.sequence);
  });
  FoundJournal journal;
  for (Found& found : all) {
    journal.files.push_back(std::move(found.file));
    journal.sizes.push_back(found.size);
    journal.first_rounds.push_back(found.first_round);
  }
  return journal;
}

JournalReader::JournalReader(Arenas& arenas, const FoundJournal& found, std::uint64_t salt,
                             JournalPosition from)
    : arenas_(arenas), found_(found), salt_(salt), position_(from) {}

JournalReader::~JournalReader() {
  if (arena_ != nullptr) arenas_.close(*arena_);
}

std::size_t JournalReader::file_of(std::uint64_t sequence) const {
  for (std::size_t i = 0; i < found_.files.size(); ++i) {
    if (found_.files[i].sequence == sequence) return i;
  }
  return kNone;
}

// The bytes [offset, offset + length) of a file, fewer at its end. Read in large pieces, which stay
// as long as logs use them.
Result<Bytes> JournalReader::window(std::size_t file, std::uint64_t offset, std::uint64_t length) {
  CHECK(offset % kBlock == 0);
  const std::uint64_t file_end = found_.sizes[file];
  if (offset >= file_end) return Bytes();
  length = std::min(length, file_end - offset);
  const bool inside = window_file_ == file && window_start_ <= offset &&
                      offset + length <= window_start_ + window_length_;
  if (!inside) {
    if (arena_ != nullptr) arenas_.close(*std::exchange(arena_, nullptr));
    window_file_ = kNone;
    const std::uint64_t wanted = std::min(std::max(round_up(length, kBlock), kWindowBytes),
                                          round_up(file_end - offset, kBlock));
    arena_ = &arenas_.open(wanted);
    TRY_ASSIGN(const std::size_t got, found_.files[file].file->read_now(
                                          offset, arena_->buffer.mutable_view().first(wanted)));
    bytes_read_ += got;
    window_file_ = file;
    window_start_ = offset;
    window_length_ = got;
    if (got < length) length = got;
  }
  return arena_->buffer.slice(offset - window_start_, length);
}

Result<std::vector<JournalEntry>> JournalReader::next() {
  std::size_t file = file_of(position_.file_sequence);
  if (file == kNone && position_.offset > 0) {
    return {ErrorCode::kCorruptLog,
            fmt::format("the journal's file with sequence {} is missing or damaged at its front",
                        position_.file_sequence)};
  }
  if (file != kNone) {
    RoundHeader header;
    TRY_ASSIGN(auto entries, read_round(file, position_.offset, header));
    if (!entries.empty()) {
      TRY_ASSIGN(Bytes bytes, window(file, position_.offset, header.padded_length()));
      last_round_ = {.file_sequence = position_.file_sequence,
                     .offset = position_.offset,
                     .bytes = std::move(bytes)};
      position_.offset += header.padded_length();
      ++position_.round;
      return entries;
    }
  }
  // The round may have gone to the next file because it did not fit into this one.
  const std::size_t next_file = file_of(position_.file_sequence + 1);
  if (next_file != kNone && found_.first_rounds[next_file] == position_.round) {
    ++position_.file_sequence;
    position_.offset = 0;
    return next();
  }
  return end_or_damage(file);
}

Result<std::vector<JournalEntry>> JournalReader::read_round(std::size_t file, std::uint64_t offset,
                                                            RoundHeader& header) {
  std::vector<JournalEntry> none;
  TRY_ASSIGN(const Bytes front, window(file, offset, kBlock));
  const auto found = RoundHeader::decode(front, salt_);
  if (!found.has_value() || found->file_sequence != position_.file_sequence ||
      found->number != position_.round) {
    return none;
  }
  header = *found;
  if (header.padded_length() > found_.sizes[file] - offset) return none;
  TRY_ASSIGN(const Bytes bytes, window(file, offset, header.padded_length()));
  if (bytes.size() < header.length) return none;
  return parse(header, bytes);
}

Result<std::vector<JournalEntry>> JournalReader::parse(const RoundHeader& header,
                                                       const Bytes& bytes) {
  std::vector<JournalEntry> entries;
  std::vector<JournalEntry> none;
  std::uint64_t at = kRoundHeaderBytes;
  while (at < header.length) {
    const auto entry = EntryHeader::decode(
        bytes.view().subspan(at, std::min(header.length - at, kEntryHeaderBytes)));
    if (!entry.has_value()) return none;
    const std::uint64_t size = entry_bytes(entry->payload_length, entry->gap);
    if (size > header.length - at) return none;
    const Bytes payload = bytes.slice(at + kEntryHeaderBytes + entry->gap, entry->payload_length);
    const bool right = entry->type == EntryType::kAppended
                           ? batch_agrees(*entry, payload)
                           : common::crc32c(payload) == entry->payload_crc;
    if (!right && !model::mutated(model::Mutation::kTakeTornRounds)) return none;
    entries.push_back({.header = *entry, .payload = payload, .arena = arena_});
    at += size;
  }
  if (entries.size() != header.entries) return none;
  return entries;
}

// Whether a valid header of a round behind the expected one lies behind this place.
Result<bool> JournalReader::later_round_exists(std::size_t file, std::uint64_t offset) {
  for (std::size_t i = 0; i < found_.files.size(); ++i) {
    if (found_.files[i].sequence > position_.file_sequence &&
        found_.first_rounds[i] > position_.round)
      return true;
  }
  if (file == kNone) return false;
  for (std::uint64_t at = offset; at < found_.sizes[file]; at += kWindowBytes) {
    TRY_ASSIGN(const Bytes bytes, window(file, at, kWindowBytes));
    for (std::size_t block = 0; block + kBlock <= bytes.size(); block += kBlock) {
      const auto header = RoundHeader::decode(bytes.view().subspan(block, kBlock), salt_);
      const bool ours = header.has_value() && header->file_sequence == position_.file_sequence;
      if (ours && header->number > position_.round) return true;
      if (ours && header->number == position_.round) torn_entries_ = header->entries;
    }
  }
  return false;
}

Result<std::vector<JournalEntry>> JournalReader::end_or_damage(std::size_t file) {
  TRY_ASSIGN(const bool damaged, later_round_exists(file, position_.offset));
  if (damaged) {
    const std::string where = file == kNone ? "a missing file" : found_.files[file].path;
    return {ErrorCode::kCorruptLog,
            fmt::format("the journal is damaged in {} (sequence {}) at byte {}: round {} can't be "
                        "read, later ones can",
                        where, position_.file_sequence, position_.offset, position_.round)};
  }
  return std::vector<JournalEntry>();
}

}  // namespace millrace::storage
