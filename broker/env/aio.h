// Linux AIO: reads and writes around the page cache that the kernel does while the loop goes on.
#pragma once

#include <linux/aio_abi.h>
#include <sys/uio.h>

#include <memory>
#include <vector>

#include "broker/env/posix_io.h"
#include "broker/env/real_loop.h"

namespace millrace::env {

/// The calls under way of one loop. Why this and not io_uring or threads:
/// docs/decisions/disk-submission.md.
class Aio final : private Watcher {
 public:
  /// What one call was answered with: bytes done, or -errno.
  using Done = common::Function<void(std::int64_t)>;

  /// At most `depth` calls are under way.
  Aio(RealLoop& loop, unsigned depth);
  /// Waits for the calls under way; their answers are dropped.
  ~Aio();
  Aio(const Aio&) = delete;
  Aio& operator=(const Aio&) = delete;

  /// False where the kernel has no AIO for us (a seccomp profile, or all of fs.aio-max-nr taken).
  bool usable() const { return context_ != 0; }
  /// Starts the call. False: it was not started and `done` is untouched, because too many are under
  /// way or the kernel refuses; do it by other means.
  bool write(const std::shared_ptr<Descriptor>& file, std::uint64_t position,
             const std::vector<Bytes>& pieces, Durable durable, Done& done);
  bool read(const std::shared_ptr<Descriptor>& file, std::uint64_t position, const Bytes& into,
            Done& done);

 private:
  struct Call {
    iocb control{};
    std::vector<iovec> vectors;
    std::vector<Bytes> memory;  // kept alive while the device works on it
    std::shared_ptr<Descriptor> file;
    Done done;
  };
  void on_ready(std::uint32_t events) override;
  Call* free_call();
  bool submit(Call* call, Done& done);

  RealLoop& loop_;
  aio_context_t context_ = 0;
  int event_ = -1;
  std::vector<std::unique_ptr<Call>> calls_;
  std::vector<Call*> free_;
  const unsigned depth_;
};

}  // namespace millrace::env
