#include "broker/storage/journal_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "common/endian.h"

namespace millrace::storage {
namespace {

using common::Error;
using common::Result;

constexpr std::uint64_t kBlock = common::kDiskAlignment;
// Of the very first file only the front is written before, so that start-up is quick; the spare one
// is ready before that is used up.
constexpr std::uint64_t kFirstCoveredShare = 16;
constexpr std::uint64_t kCoverPiece = 1ULL << 20;
// Between two pieces, unless somebody waits for the file: rounds have the disk meanwhile.
constexpr std::chrono::milliseconds kCoverPause{4};
// In front of the last block, which is written last: files that have something there were written
// from front to back. No round begins like this.
constexpr std::uint64_t kCoveredMark = 0x64657265766f634dULL;

/// Writes zeros over [from, to), and the mark if the file ends there. `zeros` is the memory for it.
Result<void> cover_range(env::File& file, std::uint64_t from, std::uint64_t to,
                         std::uint64_t file_bytes, common::Bytes zeros) {
  CHECK(to - from <= zeros.size());
  if (to == file_bytes)
    common::store_little(zeros.mutable_data() + (to - from) - kBlock, kCoveredMark);
  return file.write_now(from, zeros.view().first(to - from));
}

/// Opens or makes a file of exactly `bytes`, writes its front and makes it and its name durable;
/// blocking.
Result<std::shared_ptr<env::File>> make_file(env::Disk& disk, const std::string& folder,
                                             const std::string& path, std::uint64_t bytes,
                                             std::uint64_t covered) {
  TRY_ASSIGN(std::unique_ptr<env::File> file, disk.open(path, {.create = true, .reserve = bytes}));
  const common::Bytes zeros = common::Bytes::zeros(std::min(covered, kCoverPiece), kBlock);
  for (std::uint64_t at = 0; at < covered; at += zeros.size())
    TRY(cover_range(*file, at, std::min<std::uint64_t>(covered, at + zeros.size()), bytes, zeros));
  TRY(file->sync_now());
  TRY(disk.sync_directory(folder));
  return std::shared_ptr<env::File>(std::move(file));
}

}  // namespace

Result<bool> is_covered(env::File& file, std::uint64_t bytes) {
  common::Bytes block = common::Bytes::zeros(kBlock, kBlock);
  TRY_ASSIGN(const std::size_t got, file.read_now(bytes - kBlock, block.mutable_view()));
  const auto view = block.view().first(got);
  return std::any_of(view.begin(), view.end(), [](std::uint8_t byte) { return byte != 0; });
}

/// A file that is being made ready.
struct JournalFiles::Spare {
  JournalFile file;
  common::Bytes zeros;
  Result<void> result;
};

JournalFiles::JournalFiles(env::Disk& disk, env::Loop& loop, std::string folder,
                           std::uint64_t file_bytes)
    : disk_(disk), loop_(loop), folder_(std::move(folder)), file_bytes_(file_bytes) {
  CHECK(file_bytes_ >= 4 * kBlock);
  CHECK(file_bytes_ % kBlock == 0);
}

std::string JournalFiles::next_path() {
  return fmt::format("{}/{:06}.wal", folder_, ++names_);
}

void JournalFiles::add_free(JournalFile file) {
  file.sequence = 0;
  const bool ready = file.covered == file_bytes_;
  free_.insert(ready ? free_.end() : free_.begin(), std::move(file));
}

Result<void> JournalFiles::start(std::vector<JournalFile> live, std::vector<JournalFile> free,
                                 std::uint64_t offset, std::uint64_t first_sequence) {
  for (const auto* group : {&live, &free}) {
    for (const JournalFile& file : *group) {
      const std::string name = file.path.substr(folder_.size() + 1);
      names_ = std::max<std::uint64_t>(names_, std::strtoull(name.c_str(), nullptr, 10));
    }
  }
  for (JournalFile& file : free) {
    if (!file.odd_size) add_free(std::move(file));
  }
  // Where the rounds of the older ones end nobody looked up.
  for (JournalFile& file : live) file.end = file_bytes_;
  if (live.empty() || live.back().odd_size) {
    JournalFile file;
    if (!free_.empty()) {
      file = std::move(free_.back());
      free_.pop_back();
    } else {
      file.path = next_path();
      file.covered = round_up(file_bytes_ / kFirstCoveredShare, kBlock);
      TRY_ASSIGN(file.file, make_file(disk_, folder_, file.path, file_bytes_, file.covered));
    }
    file.sequence = live.empty() ? first_sequence : live.back().sequence + 1;
    live.push_back(std::move(file));
    offset = 0;
  }
  live_.assign(std::make_move_iterator(live.begin()), std::make_move_iterator(live.end()));
  offset_ = offset;
  CHECK(offset_ <= file_bytes_ && offset_ % kBlock == 0);
  return common::ok();
}

bool JournalFiles::reserve(std::uint64_t length) {
  CHECK(length <= file_bytes_, "a round of {} bytes in files of {}", length, file_bytes_);
  const bool fits = offset_ + length <= file_bytes_;
  if (fits && (offset_ + length <= live_.back().covered || !spare_ready())) return true;
  if (free_.empty()) {
    wanted_ = true;
    prepare();
    return false;
  }
  use_spare();
  return true;
}

void JournalFiles::use_spare() {
  JournalFile file = std::move(free_.back());
  free_.pop_back();
  file.sequence = current_sequence() + 1;
  live_.back().end = offset_;
  live_.push_back(std::move(file));
  offset_ = 0;
  prepare();
}

void JournalFiles::advance(std::uint64_t length) {
  offset_ += length;
  CHECK(offset_ <= file_bytes_);
}

void JournalFiles::release_before(std::uint64_t sequence) {
  while (live_.size() > 1 && live_.front().sequence < sequence) {
    JournalFile file = std::move(live_.front());
    live_.pop_front();
    if (!file.odd_size) {
      add_free(std::move(file));
      continue;
    }
    disk_.offload([&disk = disk_, path = file.path] { (void)disk.remove(path).ok(); }, [] {});
  }
  if (!free_.empty()) prepare();
  if (std::exchange(wanted_, false) && !free_.empty() && events_.on_ready) events_.on_ready();
}

std::uint64_t JournalFiles::live_bytes(std::uint64_t since_sequence,
                                       std::uint64_t since_offset) const {
  CHECK(since_sequence <= current_sequence());
  std::uint64_t bytes = offset_;
  for (const JournalFile& file : live_) {
    if (file.sequence >= since_sequence && file.sequence < current_sequence()) bytes += file.end;
  }
  return bytes - since_offset;
}

void JournalFiles::prepare() {
  if (preparing_ || spare_ready()) return;
  preparing_ = true;
  auto spare = std::make_shared<Spare>();
  if (!free_.empty()) {
    spare->file = std::move(free_.back());
    free_.pop_back();
    return cover(std::move(spare));
  }
  spare->file.path = next_path();
  disk_.offload(
      [&disk = disk_, folder = folder_, bytes = file_bytes_, spare] {
        auto made = make_file(disk, folder, spare->file.path, bytes, 0);
        if (!made.ok()) {
          spare->result = std::move(made).error();
          return;
        }
        spare->file.file = std::move(made).value();
      },
      lifeline_.guard([this, spare] {
        if (spare->result.ok()) return cover(spare);
        preparing_ = false;
        --names_;  // the name is tried again
        if (spare->result.error().code == model::ErrorCode::kNoSpace) return events_.on_no_space();
        events_.on_fatal(spare->result.error());
      }));
}

// Writes over what was never written, a piece at a time. Nothing is in the file yet, and its name
// is durable: whatever becomes of this, it can be used.
void JournalFiles::cover(std::shared_ptr<Spare> spare) {
  disk_.offload(
      [bytes = file_bytes_, spare] {
        JournalFile& file = spare->file;
        if (spare->zeros.empty())
          spare->zeros = common::Bytes::zeros(std::min(bytes, kCoverPiece), kBlock);
        const std::uint64_t to = std::min(bytes, file.covered + kCoverPiece);
        spare->result = cover_range(*file.file, file.covered, to, bytes, spare->zeros);
        if (spare->result.ok() && to == bytes) spare->result = file.file->sync_now();
        if (spare->result.ok()) file.covered = to;
      },
      lifeline_.guard([this, spare] { covered(spare); }));
}

void JournalFiles::covered(std::shared_ptr<Spare> spare) {
  if (!spare->result.ok()) {
    preparing_ = false;
    if (spare->result.error().code != model::ErrorCode::kNoSpace)
      return events_.on_fatal(spare->result.error());
    add_free(std::move(spare->file));
    return events_.on_no_space();
  }
  if (spare->file.covered < file_bytes_) {
    if (wanted_) return cover(std::move(spare));
    loop_.after(kCoverPause, lifeline_.guard([this, spare] { cover(spare); }));
    return;
  }
  preparing_ = false;
  add_free(std::move(spare->file));
  if (std::exchange(wanted_, false) && events_.on_ready) events_.on_ready();
}

}  // namespace millrace::storage
