#include "broker/env/posix_io.h"

#include <fmt/format.h>
#include <limits.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace millrace::env {

using model::ErrorCode;

Error posix_error(int number, std::string_view what, std::string_view path) {
  ErrorCode code = ErrorCode::kIo;
  if (number == ENOSPC || number == EDQUOT) code = ErrorCode::kNoSpace;
  if (number == ENOENT || number == ENOTDIR) code = ErrorCode::kNotFound;
  return {code, fmt::format("{} {}: {}", what, path, std::strerror(number))};
}

Descriptor::~Descriptor() {
  ::close(number_);
}

Result<void> write_fully(const Descriptor& file, std::uint64_t position,
                         std::span<const common::ByteView> pieces, Durable durable) {
  const int flags = durable == Durable::kYes ? RWF_DSYNC : 0;
  std::vector<iovec> vectors;
  vectors.reserve(pieces.size());
  for (const auto piece : pieces) {
    if (!piece.empty()) vectors.push_back({const_cast<std::uint8_t*>(piece.data()), piece.size()});
  }
  std::span<iovec> left(vectors);
  while (!left.empty()) {
    const auto count = static_cast<int>(std::min<std::size_t>(left.size(), IOV_MAX));
    const ssize_t written =
        ::pwritev2(file.number(), left.data(), count, static_cast<off_t>(position), flags);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return posix_error(errno, "write", file.path());
    if (written == 0) return posix_error(EIO, "write", file.path());
    position += static_cast<std::uint64_t>(written);
    auto rest = static_cast<std::size_t>(written);
    while (!left.empty() && rest >= left.front().iov_len) {
      rest -= left.front().iov_len;
      left = left.subspan(1);
    }
    if (rest > 0) {
      left.front().iov_base = static_cast<std::uint8_t*>(left.front().iov_base) + rest;
      left.front().iov_len -= rest;
    }
  }
  return {};
}

Result<std::size_t> read_fully(const Descriptor& file, std::uint64_t position,
                               common::MutableByteView into) {
  std::size_t done = 0;
  while (done < into.size()) {
    const ssize_t count = ::pread(file.number(), into.data() + done, into.size() - done,
                                  static_cast<off_t>(position + done));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return posix_error(errno, "read", file.path());
    if (count == 0) break;
    done += static_cast<std::size_t>(count);
    // Around the page cache a short read is the end of the file, and the rest would be unaligned.
    if (count % static_cast<ssize_t>(common::kDiskAlignment) != 0) break;
  }
  return done;
}

Result<void> sync_data(const Descriptor& file) {
  // Never retried, not even after EINTR: the error that it carries may be gone by the second call.
  if (::fdatasync(file.number()) != 0) return posix_error(errno, "fdatasync", file.path());
  return {};
}

}  // namespace millrace::env
