// A disk that breaks one promise, to prove that the crash tests notice.
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "broker/env/disk.h"

namespace millrace::storage::testing {

using common::Bytes;
using common::Reply;
using common::Result;

/// Passes everything on to another disk, except what the flaw says.
class FlawedDisk final : public env::Disk {
 public:
  enum class Flaw : std::uint8_t {
    kNone,
    kWritesNotDurable,     // Durable::kYes means nothing
    kSyncAllSkipped,       // checkpoints sync nothing
    kChunksLost,           // every write that needs not be durable at once is thrown away
    kRenameBeforeContent,  // small files are replaced without a sync of what is in them
    kSegmentsNotSynced,    // the sync of one segment's file does nothing
  };
  FlawedDisk(std::unique_ptr<env::Disk> disk, Flaw flaw) : disk_(std::move(disk)), flaw_(flaw) {}

  Result<std::unique_ptr<env::File>> open(std::string_view path, env::OpenOptions options) override;
  Result<void> make_directories(std::string_view path) override {
    return disk_->make_directories(path);
  }
  Result<std::vector<env::DirectoryEntry>> list(std::string_view path) override {
    return disk_->list(path);
  }
  Result<void> rename(std::string_view from, std::string_view to) override {
    return disk_->rename(from, to);
  }
  Result<void> remove(std::string_view path) override { return disk_->remove(path); }
  Result<void> remove_all(std::string_view path) override { return disk_->remove_all(path); }
  Result<bool> exists(std::string_view path) override { return disk_->exists(path); }
  Result<void> sync_directory(std::string_view path) override {
    return disk_->sync_directory(path);
  }
  Result<void> sync_all() override {
    return flaw_ == Flaw::kSyncAllSkipped ? Result<void>() : disk_->sync_all();
  }
  Result<env::DiskSpace> space() override { return disk_->space(); }
  void offload(env::Task job, env::Task done) override {
    disk_->offload(std::move(job), std::move(done));
  }
  bool direct() const override { return disk_->direct(); }

 private:
  std::unique_ptr<env::Disk> disk_;
  const Flaw flaw_;
};

}  // namespace millrace::storage::testing
