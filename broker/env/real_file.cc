#include "broker/env/real_file.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace millrace::env {
namespace {

bool is_aligned(std::uint64_t position, common::ByteView bytes) {
  return (position | bytes.size() | reinterpret_cast<std::uintptr_t>(bytes.data())) %
             common::kDiskAlignment ==
         0;
}

std::vector<common::ByteView> views_of(const std::vector<Bytes>& pieces) {
  return {pieces.begin(), pieces.end()};
}

}  // namespace

RealFile::RealFile(Home home, std::shared_ptr<Descriptor> descriptor, bool direct, bool aligned,
                   std::uint64_t size)
    : home_(home),
      descriptor_(std::move(descriptor)),
      direct_(direct),
      aligned_(aligned),
      size_(size) {}

RealFile::~RealFile() {
  CHECK(pending_ == 0 || home_.loop.stopped(), "{} was closed with {} calls under way",
        descriptor_->path(), pending_);
}

void RealFile::check_alignment(std::uint64_t position, common::ByteView bytes) const {
  CHECK(!aligned_ || is_aligned(position, bytes),
        "unaligned call on {}: position {}, length {}, memory {}", descriptor_->path(), position,
        bytes.size(), static_cast<const void*>(bytes.data()));
}

void RealFile::finish_write(std::uint64_t end, Result<void> result, Reply<Result<void>> done) {
  --pending_;
  if (result.ok() && end > size_.load(std::memory_order_relaxed))
    size_.store(end, std::memory_order_relaxed);
  done(std::move(result));
}

void RealFile::write(std::uint64_t position, std::vector<Bytes> pieces, Durable durable,
                     Reply<Result<void>> done) {
  CHECK(home_.loop.here() || home_.loop.stopped());
  std::uint64_t end = position;
  for (const Bytes& piece : pieces) {
    check_alignment(end, piece);
    end += piece.size();
  }
  ++pending_;
  if (direct_ && end > position && end <= size_.load(std::memory_order_relaxed)) {
    struct State {
      std::vector<Bytes> pieces;
      Reply<Result<void>> done;
    };
    auto state = std::make_unique<State>(State{std::move(pieces), std::move(done)});
    State* const at = state.get();
    Aio::Done answer = [this, position, end, durable,
                        state = std::move(state)](std::int64_t count) mutable {
      if (count == static_cast<std::int64_t>(end - position))
        return finish_write(end, {}, std::move(state->done));
      if (count < 0 && count != -EAGAIN && count != -EINTR) {
        return finish_write(end,
                            posix_error(static_cast<int>(-count), "write", descriptor_->path()),
                            std::move(state->done));
      }
      // A part was written: once more, in the way that goes on until all is.
      write_by_pool(position, std::move(state->pieces), durable, std::move(state->done));
    };
    if (home_.aio.write(descriptor_, position, at->pieces, durable, answer)) return;
    pieces = std::move(at->pieces);
    done = std::move(at->done);
  }
  write_by_pool(position, std::move(pieces), durable, std::move(done));
}

void RealFile::write_by_pool(std::uint64_t position, std::vector<Bytes> pieces, Durable durable,
                             Reply<Result<void>> done) {
  home_.pool.run([this, loop = &home_.loop, file = descriptor_, position,
                  pieces = std::move(pieces), durable, done = std::move(done)]() mutable {
    const auto views = views_of(pieces);
    std::uint64_t end = position;
    for (const auto view : views) end += view.size();
    Result<void> result = write_fully(*file, position, views, durable);
    loop->post([this, end, result = std::move(result), done = std::move(done)]() mutable {
      finish_write(end, std::move(result), std::move(done));
    });
  });
}

void RealFile::read(std::uint64_t position, Bytes into, Reply<Result<std::size_t>> done) {
  CHECK(home_.loop.here() || home_.loop.stopped());
  check_alignment(position, into);
  ++pending_;
  if (direct_) {
    struct State {
      Bytes into;
      Reply<Result<std::size_t>> done;
    };
    auto state = std::make_unique<State>(State{std::move(into), std::move(done)});
    State* const at = state.get();
    Aio::Done answer = [this, position, state = std::move(state)](std::int64_t count) mutable {
      // Fewer bytes than asked for, and not because the file ends: go on in the way that asks
      // again.
      const bool cut_short =
          count > 0 && count < static_cast<std::int64_t>(state->into.size()) &&
          position + static_cast<std::uint64_t>(count) < size_.load(std::memory_order_relaxed);
      if (cut_short || count == -EAGAIN || count == -EINTR) {
        return read_by_pool(position, std::move(state->into), std::move(state->done));
      }
      --pending_;
      if (count >= 0) return state->done(static_cast<std::size_t>(count));
      state->done(posix_error(static_cast<int>(-count), "read", descriptor_->path()));
    };
    if (home_.aio.read(descriptor_, position, at->into, answer)) return;
    into = std::move(at->into);
    done = std::move(at->done);
  }
  read_by_pool(position, std::move(into), std::move(done));
}

void RealFile::read_by_pool(std::uint64_t position, Bytes into, Reply<Result<std::size_t>> done) {
  home_.pool.run([this, loop = &home_.loop, file = descriptor_, position, into = std::move(into),
                  done = std::move(done)]() mutable {
    Result<std::size_t> result = read_fully(*file, position, into.mutable_view());
    loop->post([this, into = std::move(into), result = std::move(result),
                done = std::move(done)]() mutable {
      --pending_;
      done(std::move(result));
    });
  });
}

void RealFile::sync(Reply<Result<void>> done) {
  CHECK(home_.loop.here() || home_.loop.stopped());
  ++pending_;
  home_.pool.run([this, loop = &home_.loop, file = descriptor_, done = std::move(done)]() mutable {
    Result<void> result = sync_data(*file);
    loop->post([this, result = std::move(result), done = std::move(done)]() mutable {
      --pending_;
      done(std::move(result));
    });
  });
}

Result<std::size_t> RealFile::read_now(std::uint64_t position, common::MutableByteView into) {
  if (!direct_ || is_aligned(position, into)) return read_fully(*descriptor_, position, into);
  // A reader that does not care for alignment gets its bytes by way of memory that is aligned.
  const std::uint64_t first = position / common::kDiskAlignment * common::kDiskAlignment;
  const std::uint64_t end = position + into.size();
  const std::size_t length =
      (end - first + common::kDiskAlignment - 1) / common::kDiskAlignment * common::kDiskAlignment;
  Bytes bounce = Bytes::allocate(length, common::kDiskAlignment);
  TRY_ASSIGN(const std::size_t there, read_fully(*descriptor_, first, bounce.mutable_view()));
  const std::size_t skip = position - first;
  if (there <= skip) return std::size_t{0};
  const std::size_t count = std::min(there - skip, into.size());
  std::memcpy(into.data(), bounce.data() + skip, count);
  return count;
}

Result<void> RealFile::write_now(std::uint64_t position, common::ByteView bytes) {
  check_alignment(position, bytes);
  TRY(write_fully(*descriptor_, position, std::span(&bytes, 1), Durable::kNo));
  std::uint64_t size = size_.load(std::memory_order_relaxed);
  while (size < position + bytes.size() &&
         !size_.compare_exchange_weak(size, position + bytes.size())) {
  }
  return {};
}

Result<void> RealFile::sync_now() {
  return sync_data(*descriptor_);
}

Result<std::uint64_t> RealFile::size() {
  struct stat status {};
  if (::fstat(descriptor_->number(), &status) != 0)
    return posix_error(errno, "stat", descriptor_->path());
  return static_cast<std::uint64_t>(status.st_size);
}

Result<void> RealFile::resize(std::uint64_t size) {
  while (::ftruncate(descriptor_->number(), static_cast<off_t>(size)) != 0) {
    if (errno != EINTR) return posix_error(errno, "resize", descriptor_->path());
  }
  size_.store(size, std::memory_order_relaxed);
  return {};
}

}  // namespace millrace::env
