#include "broker/storage/file_table.h"

#include <fmt/format.h>

#include <algorithm>

namespace millrace::storage {

using common::Result;
using model::ErrorCode;

Result<void> set_aside(env::Disk& disk, const std::string& path) {
  TRY_ASSIGN(const bool there, disk.exists(path));
  if (!there) return common::ok();
  TRY(disk.make_directories("quarantine"));
  TRY(disk.sync_directory(""));
  std::string flat = path;
  std::replace(flat.begin(), flat.end(), '/', '~');
  for (int attempt = 0;; ++attempt) {
    const std::string to = fmt::format("quarantine/{}.{}", flat, attempt);
    TRY_ASSIGN(const bool taken, disk.exists(to));
    if (taken) continue;
    TRY(disk.rename(path, to));
    TRY(disk.sync_directory("quarantine"));
    return disk.sync_directory(path.substr(0, path.rfind('/')));
  }
}

Result<FileTable::Opened> open_segment_file(env::Disk& disk, const FileTable::Spec& spec) {
  const std::string path = spec.folder + "/" + spec.name;
  TRY_ASSIGN(const bool there, disk.exists(path));
  FileTable::Opened opened;
  if (there && spec.create && !spec.expected) {
    TRY(set_aside(disk, path));
  } else if (!there && spec.size_min > 0) {
    opened.damage = fmt::format("{} is missing, {} bytes of it are gone", path, spec.size_min);
  }
  if (!there && !spec.create) return {ErrorCode::kCorruptLog, fmt::format("{} is missing", path)};
  if (!there) TRY(disk.make_directories(spec.folder));
  TRY_ASSIGN(std::unique_ptr<env::File> file, disk.open(path, {.create = spec.create}));
  TRY_ASSIGN(const std::uint64_t size, file->size());
  if (there && spec.expected && size < spec.size_min) {
    opened.damage = fmt::format("{} has {} bytes where {} were stored", path, size, spec.size_min);
  }
  opened.file = std::move(file);
  return opened;
}

void FileTable::acquire(const Key& key, Spec spec, common::Reply<Result<Opened>> done) {
  if (auto file = find(key)) return done(Opened{.file = std::move(file)});
  struct Job {
    Spec spec;
    Result<Opened> opened = Opened{};
    common::Reply<Result<Opened>> done;
  };
  auto job = std::make_shared<Job>();
  job->spec = std::move(spec);
  job->done = std::move(done);
  disk_.offload([&disk = disk_, job] { job->opened = open_segment_file(disk, job->spec); },
                [alive = lifeline_.guard([this, key, job] {
                  if (job->opened.ok() && job->opened->damage.empty())
                    insert(key, job->opened->file);
                }),
                 job]() mutable {
                  alive();
                  job->done(std::move(job->opened));
                });
}

std::shared_ptr<env::File> FileTable::find(const Key& key) {
  const auto found = files_.find(key);
  if (found == files_.end()) return nullptr;
  uses_.splice(uses_.begin(), uses_, found->second.use);
  return found->second.file;
}

void FileTable::insert(const Key& key, std::shared_ptr<env::File> file) {
  if (files_.contains(key)) return;
  uses_.push_front(key);
  files_.emplace(key, Entry{.file = std::move(file), .use = uses_.begin()});
  while (files_.size() > std::max<std::size_t>(open_max_, 1)) {
    files_.erase(uses_.back());
    uses_.pop_back();
  }
}

void FileTable::drop(const Key& key) {
  const auto found = files_.find(key);
  if (found == files_.end()) return;
  uses_.erase(found->second.use);
  files_.erase(found);
}

void FileTable::drop(LogNumber log) {
  auto found = files_.lower_bound(Key{.log = log, .base = model::Offset{0}});
  while (found != files_.end() && found->first.log == log) {
    uses_.erase(found->second.use);
    found = files_.erase(found);
  }
}

}  // namespace millrace::storage
