#include "broker/storage/journal_files.h"

#include <fmt/format.h>

#include <algorithm>

namespace millrace::storage {
namespace {

using common::Error;
using common::Result;

// The first write to reserved but never written space costs the file system a metadata commit. A
// spare file is written with zeros while nobody waits for it; of the very first one only the front,
// so that start-up is quick.
constexpr std::uint64_t kFirstFileZeroed = 4ULL << 20;
constexpr std::uint64_t kZeroPiece = 1ULL << 20;

}  // namespace

Result<std::shared_ptr<env::File>> make_journal_file(env::Disk& disk, const std::string& folder,
                                                     const std::string& path, std::uint64_t bytes,
                                                     std::uint64_t zeroed_bytes) {
  TRY_ASSIGN(std::unique_ptr<env::File> made, disk.open(path, {.create = true, .reserve = bytes}));
  std::shared_ptr<env::File> file = std::move(made);
  const std::uint64_t zeroed = std::min(bytes, zeroed_bytes);
  if (zeroed > 0) {
    const common::Bytes zeros =
        common::Bytes::zeros(std::min(zeroed, kZeroPiece), common::kDiskAlignment);
    for (std::uint64_t at = 0; at < zeroed; at += zeros.size()) {
      TRY(file->write_now(at,
                          zeros.view().first(std::min<std::uint64_t>(zeros.size(), zeroed - at))));
    }
  }
  TRY(file->sync_now());
  TRY(disk.sync_directory(folder));
  return file;
}

JournalFiles::JournalFiles(env::Disk& disk, std::string folder, std::uint64_t file_bytes)
    : disk_(disk), folder_(std::move(folder)), file_bytes_(file_bytes) {
  CHECK(file_bytes_ >= 4 * common::kDiskAlignment);
  CHECK(file_bytes_ % common::kDiskAlignment == 0);
}

std::string JournalFiles::next_path() {
  return fmt::format("{}/{:06}.wal", folder_, ++names_);
}

Result<void> JournalFiles::start(std::vector<JournalFile> live, std::vector<JournalFile> free,
                                 std::uint64_t offset, std::uint64_t first_sequence) {
  for (const auto* group : {&live, &free}) {
    for (const JournalFile& file : *group) {
      const std::string name = file.path.substr(folder_.size() + 1);
      names_ = std::max<std::uint64_t>(names_, std::strtoull(name.c_str(), nullptr, 10));
    }
  }
  free_ = std::move(free);
  std::erase_if(free_, [](const JournalFile& file) { return file.odd_size; });
  if (live.empty() || live.back().odd_size) {
    JournalFile file;
    if (!free_.empty()) {
      file = std::move(free_.back());
      free_.pop_back();
    } else {
      file.path = next_path();
      TRY_ASSIGN(file.file,
                 make_journal_file(disk_, folder_, file.path, file_bytes_, kFirstFileZeroed));
    }
    file.sequence = live.empty() ? first_sequence : live.back().sequence + 1;
    live.push_back(std::move(file));
    offset = 0;
  }
  live_.assign(std::make_move_iterator(live.begin()), std::make_move_iterator(live.end()));
  offset_ = offset;
  CHECK(offset_ <= file_bytes_ && offset_ % common::kDiskAlignment == 0);
  return common::ok();
}

bool JournalFiles::reserve(std::uint64_t length) {
  CHECK(length <= file_bytes_, "a round of {} bytes in files of {}", length, file_bytes_);
  if (offset_ + length <= file_bytes_) return true;
  if (free_.empty()) {
    wanted_ = true;
    prepare();
    return false;
  }
  JournalFile file = std::move(free_.back());
  free_.pop_back();
  file.sequence = current_sequence() + 1;
  live_.push_back(std::move(file));
  offset_ = 0;
  prepare();
  return true;
}

void JournalFiles::advance(std::uint64_t length) {
  offset_ += length;
  CHECK(offset_ <= file_bytes_);
}

void JournalFiles::release_before(std::uint64_t sequence) {
  while (live_.size() > 1 && live_.front().sequence < sequence) {
    JournalFile file = std::move(live_.front());
    live_.pop_front();
    file.sequence = 0;
    if (!file.odd_size) {
      free_.push_back(std::move(file));
      continue;
    }
    disk_.offload([&disk = disk_, path = file.path] { (void)disk.remove(path).ok(); }, [] {});
  }
  if (std::exchange(wanted_, false) && !free_.empty() && events_.on_ready) events_.on_ready();
}

std::uint64_t JournalFiles::live_bytes(std::uint64_t since_sequence,
                                       std::uint64_t since_offset) const {
  CHECK(since_sequence <= current_sequence());
  return (current_sequence() - since_sequence) * file_bytes_ + offset_ - since_offset;
}

void JournalFiles::prepare() {
  if (preparing_ || !free_.empty()) return;
  preparing_ = true;
  struct Job {
    std::string path;
    Result<std::shared_ptr<env::File>> made = std::shared_ptr<env::File>();
  };
  auto job = std::make_shared<Job>(Job{.path = next_path()});
  disk_.offload(
      [&disk = disk_, folder = folder_, bytes = file_bytes_, job] {
        job->made = make_journal_file(disk, folder, job->path, bytes, bytes);
      },
      lifeline_.guard([this, job] {
        preparing_ = false;
        if (!job->made.ok()) {
          --names_;  // the name is tried again
          if (job->made.error().code == model::ErrorCode::kNoSpace) return events_.on_no_space();
          return events_.on_fatal(job->made.error());
        }
        free_.push_back({.path = job->path, .sequence = 0, .file = std::move(job->made).value()});
        if (std::exchange(wanted_, false) && events_.on_ready) events_.on_ready();
      }));
}

}  // namespace millrace::storage
