// The Disk and File that programs get from a SimDisk.
#pragma once

#include <memory>

#include "broker/env/testing/sim_disk.h"

namespace millrace::env::testing {

class SimMount final : public Disk {
 public:
  SimMount(SimDisk& disk, SimLoop& loop) : disk_(disk), loop_(loop), boot_(disk.boot_) {}
  Result<std::unique_ptr<File>> open(std::string_view path, OpenOptions options) override;
  Result<void> make_directories(std::string_view path) override;
  Result<std::vector<DirectoryEntry>> list(std::string_view path) override;
  Result<void> rename(std::string_view from, std::string_view to) override;
  Result<void> remove(std::string_view path) override;
  Result<void> remove_all(std::string_view path) override;
  Result<bool> exists(std::string_view path) override;
  Result<void> sync_directory(std::string_view path) override;
  Result<void> sync_all() override;
  Result<DiskSpace> space() override;
  void offload(Task job, Task done) override;
  bool direct() const override { return disk_.options_.direct; }

 private:
  /// kIo when the machine this was mounted on is gone.
  Result<void> alive() const;
  Result<void> may_change() const;

  SimDisk& disk_;
  SimLoop& loop_;
  const std::uint64_t boot_;
};

class SimHandle final : public File {
 public:
  SimHandle(SimDisk& disk, SimLoop& loop, std::shared_ptr<SimFile> file,
            OpenOptions::Caching caching);
  ~SimHandle() override;
  void write(std::uint64_t position, std::vector<Bytes> pieces, Durable durable,
             Reply<Result<void>> done) override;
  void read(std::uint64_t position, Bytes into, Reply<Result<std::size_t>> done) override;
  void sync(Reply<Result<void>> done) override;
  Result<std::size_t> read_now(std::uint64_t position, common::MutableByteView into) override;
  Result<void> write_now(std::uint64_t position, common::ByteView bytes) override;
  Result<void> sync_now() override;
  Result<std::uint64_t> size() override;
  Result<void> resize(std::uint64_t size) override;

 private:
  Result<void> alive() const;
  Result<void> may_change() const;
  SimDisk::Pending call(SimDisk::Kind kind);
  void check_alignment(std::uint64_t position, common::ByteView bytes) const;
  /// False: nobody will hear an answer, and `reply` was dropped.
  template <typename T>
  bool start_or_drop(Reply<T>& reply);

  SimDisk& disk_;
  SimLoop& loop_;
  const std::uint64_t boot_;
  const std::shared_ptr<SimFile> file_;
  const OpenOptions::Caching caching_;
  const std::shared_ptr<std::uint64_t> pending_ = std::make_shared<std::uint64_t>(0);
};

}  // namespace millrace::env::testing
