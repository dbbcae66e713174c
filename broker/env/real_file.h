// A File of the machine's disk.
#pragma once

#include <atomic>
#include <memory>

#include "broker/env/aio.h"
#include "broker/env/io_pool.h"
#include "broker/env/posix_io.h"

namespace millrace::env {

/// Writes inside the file's length and reads go to AIO; what would block there (writes that extend
/// the file, syncs, and everything through the page cache) goes to the pool.
class RealFile final : public File {
 public:
  struct Home {
    RealLoop& loop;
    Aio& aio;
    IoPool& pool;
  };
  /// direct: the descriptor was opened with O_DIRECT. size: the file's length now.
  RealFile(Home home, std::shared_ptr<Descriptor> descriptor, bool direct, bool aligned,
           std::uint64_t size);
  ~RealFile() override;
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
  void check_alignment(std::uint64_t position, common::ByteView bytes) const;
  void write_by_pool(std::uint64_t position, std::vector<Bytes> pieces, Durable durable,
                     Reply<Result<void>> done);
  void read_by_pool(std::uint64_t position, Bytes into, Reply<Result<std::size_t>> done);
  void finish_write(std::uint64_t end, Result<void> result, Reply<Result<void>> done);

  const Home home_;
  const std::shared_ptr<Descriptor> descriptor_;
  const bool direct_;
  const bool aligned_;  // calls must be aligned, whatever the file system
  std::atomic<std::uint64_t> size_;
  std::uint32_t pending_ = 0;
};

}  // namespace millrace::env
