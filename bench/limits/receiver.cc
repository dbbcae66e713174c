#include "bench/limits/receiver.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <thread>

#include "bench/load/basics.h"
#include "common/bytes.h"
#include "common/crc32c.h"

namespace millrace::bench {
namespace {

constexpr std::size_t kReadMax = 256 << 10;
constexpr std::size_t kBuffers = 2;

/// A file that is written whole before use, so that its blocks are allocated and initialised.
class PreparedFile {
 public:
  explicit PreparedFile(const DurableFile& file)
      : path_(file.folder + "/millrace-limits.data"), size_(file.bytes) {
    fd_ = open(path_.c_str(), O_CREAT | O_TRUNC | O_RDWR | O_DIRECT | O_CLOEXEC, 0644);
    if (fd_ < 0) fail("{}: {}", path_, std::strerror(errno));
    const auto zeros = common::Bytes::zeros(file.round_bytes, common::kDiskAlignment);
    for (std::int64_t at = 0; at < size_; at += static_cast<std::int64_t>(zeros.size()))
      write(zeros, at);
    sync();
  }
  ~PreparedFile() {
    close(fd_);
    unlink(path_.c_str());
  }
  PreparedFile(const PreparedFile&) = delete;
  PreparedFile& operator=(const PreparedFile&) = delete;

  std::int64_t size() const { return size_; }
  void write(common::ByteView bytes, std::int64_t at) {
    while (!bytes.empty()) {
      const ssize_t n = pwrite(fd_, bytes.data(), bytes.size(), at);
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) fail("{}: {}", path_, std::strerror(errno));
      bytes = bytes.subspan(static_cast<std::size_t>(n));
      at += n;
    }
  }
  void sync() {
    if (fdatasync(fd_) != 0) fail("{}: {}", path_, std::strerror(errno));
  }

 private:
  std::string path_;
  std::int64_t size_;
  int fd_ = -1;
};

/// Reads from all sockets as they have something; one place for both kinds of run.
class Sockets {
 public:
  explicit Sockets(std::span<const int> sockets)
      : poller_(epoll_create1(EPOLL_CLOEXEC)), open_(sockets.size()) {
    for (const int fd : sockets) {
      epoll_event event{};
      event.events = EPOLLIN;
      event.data.fd = fd;
      if (epoll_ctl(poller_, EPOLL_CTL_ADD, fd, &event) != 0)
        fail("epoll: {}", std::strerror(errno));
    }
  }
  ~Sockets() { close(poller_); }
  Sockets(const Sockets&) = delete;
  Sockets& operator=(const Sockets&) = delete;

  bool any_open() const { return open_ > 0 || next_ < count_; }
  /// Reads once into `space`. 0: a socket ended, or there was nothing after all.
  std::size_t read(common::MutableByteView space) {
    if (next_ == count_) {
      next_ = 0;
      count_ =
          std::max(epoll_wait(poller_, events_.data(), static_cast<int>(events_.size()), -1), 0);
      if (count_ == 0) return 0;
    }
    const int fd = events_[static_cast<std::size_t>(next_++)].data.fd;
    const ssize_t n = recv(fd, space.data(), std::min(space.size(), kReadMax), MSG_DONTWAIT);
    if (n > 0) return static_cast<std::size_t>(n);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return 0;
    epoll_ctl(poller_, EPOLL_CTL_DEL, fd, nullptr);
    --open_;
    return 0;
  }

 private:
  int poller_;
  std::size_t open_;
  std::array<epoll_event, 64> events_;
  int next_ = 0;
  int count_ = 0;
};

/// Writes one round at a time on a thread of its own, while the receiver fills the other buffer.
class RoundWriter {
 public:
  explicit RoundWriter(PreparedFile& file) : file_(file), thread_([this] { run(); }) {}
  ~RoundWriter() {
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return pending_.empty(); });
      stopping_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }
  RoundWriter(const RoundWriter&) = delete;
  RoundWriter& operator=(const RoundWriter&) = delete;

  /// Waits for the round before to be durable, then takes this one; the bytes stay untouched until
  /// the next call.
  void write(common::ByteView round) {
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return pending_.empty(); });
      pending_ = round;
    }
    changed_.notify_all();
  }

 private:
  void run() {
    std::int64_t at = 0;
    for (;;) {
      common::ByteView round;
      {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return stopping_ || !pending_.empty(); });
        if (pending_.empty()) return;
        round = pending_;
      }
      if (at + static_cast<std::int64_t>(round.size()) > file_.size()) at = 0;
      file_.write(round, at);
      file_.sync();
      at += static_cast<std::int64_t>(round.size());
      {
        const std::lock_guard lock(mutex_);
        pending_ = {};
      }
      changed_.notify_all();
    }
  }

  PreparedFile& file_;
  std::mutex mutex_;  // guards pending_ and stopping_
  std::condition_variable changed_;
  common::ByteView pending_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace

Received receive_durably(std::span<const int> sockets, const DurableFile& file) {
  PreparedFile prepared(file);
  Sockets input(sockets);
  std::array<common::Bytes, kBuffers> buffers;
  for (auto& buffer : buffers)
    buffer = common::Bytes::zeros(file.round_bytes, common::kDiskAlignment);
  Received result;
  const double cpu_before = own_cpu_s();
  const std::int64_t start = monotonic_ns();
  {
    RoundWriter writer(prepared);
    std::size_t filled = 0;
    for (std::size_t turn = 0; input.any_open();) {
      auto space = buffers[turn].mutable_view().subspan(filled);
      const std::size_t n = input.read(space);
      result.checksum = common::crc32c(space.first(n), result.checksum);
      filled += n;
      result.bytes += static_cast<std::int64_t>(n);
      if (filled < file.round_bytes && input.any_open()) continue;
      if (filled == 0) break;
      const std::size_t aligned =
          (filled + common::kDiskAlignment - 1) / common::kDiskAlignment * common::kDiskAlignment;
      writer.write(buffers[turn].view().first(aligned));
      ++result.rounds;
      filled = 0;
      turn = (turn + 1) % kBuffers;
    }
  }
  result.seconds = static_cast<double>(monotonic_ns() - start) * 1e-9;
  result.cpu_s = own_cpu_s() - cpu_before;
  return result;
}

Received receive_only(std::span<const int> sockets, std::size_t buffer_bytes) {
  Sockets input(sockets);
  auto buffer = common::Bytes::zeros(buffer_bytes);
  Received result;
  const double cpu_before = own_cpu_s();
  const std::int64_t start = monotonic_ns();
  while (input.any_open()) {
    const std::size_t n = input.read(buffer.mutable_view());
    result.checksum = common::crc32c(buffer.view().first(n), result.checksum);
    result.bytes += static_cast<std::int64_t>(n);
  }
  result.seconds = static_cast<double>(monotonic_ns() - start) * 1e-9;
  result.cpu_s = own_cpu_s() - cpu_before;
  return result;
}

std::vector<double> commit_times_us(const DurableFile& file, std::size_t bytes, int count) {
  PreparedFile prepared(file);
  const auto block = common::Bytes::zeros(bytes, common::kDiskAlignment);
  std::vector<double> times;
  std::int64_t at = 0;
  for (int i = 0; i < count; ++i) {
    if (at + static_cast<std::int64_t>(bytes) > prepared.size()) at = 0;
    const std::int64_t start = monotonic_ns();
    prepared.write(block, at);
    prepared.sync();
    times.push_back(static_cast<double>(monotonic_ns() - start) * 1e-3);
    at += static_cast<std::int64_t>(bytes);
  }
  return times;
}

}  // namespace millrace::bench
