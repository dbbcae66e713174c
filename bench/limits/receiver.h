// What any broker must at least do with a produce: receive it, check it, make it durable.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace millrace::bench {

/// How the bytes get to the disk.
struct DurableFile {
  std::string folder;  // a file is made there and removed
  std::int64_t
      bytes;  // its size: written before, so that writes in it change no file-system metadata
  std::size_t round_bytes;  // one write, and one fdatasync
};

struct Received {
  std::int64_t bytes = 0;
  std::int64_t rounds = 0;
  double seconds = 0;
  double cpu_s =
      0;  // of this process, by getrusage, from the first byte to the last round on the disk
  std::uint32_t checksum = 0;
};

/// Receives until all sockets are closed: reads into the buffer of the round, computes crc32c over
/// what came, and writes full buffers past the page cache while the next one fills. No answers, no
/// framing, no index.
Received receive_durably(std::span<const int> sockets, const DurableFile& file);
/// The same without the disk: receive and checksum.
Received receive_only(std::span<const int> sockets, std::size_t buffer_bytes);

/// Microseconds of `count` single durable writes of `bytes`, in order of time.
std::vector<double> commit_times_us(const DurableFile& file, std::size_t bytes, int count);

}  // namespace millrace::bench
