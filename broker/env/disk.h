// auto file = disk.open("journal/0/000001.wal", {.create = true, .size = 64 << 20});
// file->write(position, {round}, Durable::kYes, [](Result<void> written) { ... });
//
// The disk as the storage module sees it: a real data directory, or a simulated one that loses,
// tears and rots.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "broker/env/loop.h"
#include "broker/model/errors.h"
#include "common/bytes.h"
#include "common/reply.h"

namespace millrace::env {

using common::Bytes;
using common::Error;
using common::Reply;
using common::Result;

/// Whether a write must be on stable storage before it is answered.
enum class Durable : bool { kNo, kYes };

/// One open file. Asynchronous calls answer on the loop that the disk was made for; the synchronous
/// ones block and are for start-up and for jobs of the I/O pool (Disk::offload).
///
/// Direct I/O: positions, lengths and memory of read() and write() are multiples of
/// common::kDiskAlignment. (On file systems without O_DIRECT the same calls go through the page
/// cache.) Closing happens in the destructor, which must not run before every call was answered.
class File {
 public:
  virtual ~File() = default;
  /// Writes the pieces one after the other at `position`, extending the file if need be. With
  /// Durable::kYes the answer comes when data and the metadata needed to read it are on stable
  /// storage. Several writes may be on their way; they may be done in any order. kNoSpace: nothing
  /// can be said of the range. kIo: the same, and the caller must treat the file as lost.
  virtual void write(std::uint64_t position, std::vector<Bytes> pieces, Durable durable,
                     Reply<Result<void>> done) = 0;
  /// Fills `into` (which the callee keeps alive) from `position`. Answers how many bytes were
  /// there: fewer only at the end of the file.
  virtual void read(std::uint64_t position, Bytes into, Reply<Result<std::size_t>> done) = 0;
  /// Makes every answered write durable. An error is final: what reached the disk is unknown (never
  /// retry).
  virtual void sync(Reply<Result<void>> done) = 0;

  /// Blocking forms.
  virtual Result<std::size_t> read_now(std::uint64_t position, common::MutableByteView into) = 0;
  virtual Result<void> write_now(std::uint64_t position, common::ByteView bytes) = 0;
  virtual Result<void> sync_now() = 0;
  virtual Result<std::uint64_t> size() = 0;
  /// Makes the file exactly `size` bytes long (zeros are added, or the end is cut). Blocking.
  virtual Result<void> resize(std::uint64_t size) = 0;
};

struct OpenOptions {
  /// Makes the file if it is missing (its folders must be there). Without it a missing file is
  /// kNotFound.
  bool create = false;
  /// Reserves this many bytes of space at creation and makes the file that long; 0: leaves the size
  /// alone.
  std::uint64_t reserve = 0;
  /// Whether async reads and writes go around the page cache. Small files that are read and written
  /// whole use kNo and the blocking calls, which then need no alignment.
  enum class Caching : bool { kNo, kYes } caching = Caching::kNo;
};

/// What list() tells of one entry.
struct DirectoryEntry {
  std::string name;
  bool directory = false;
  std::uint64_t size = 0;
};

struct DiskSpace {
  std::uint64_t total = 0;
  std::uint64_t free = 0;
};

/// One data directory. Paths are relative to it, with '/' between parts. Blocking calls are for
/// start-up and for offloaded jobs; they are thread-safe. Names made, renamed or removed are
/// durable only after sync_directory() of their folder or sync_all().
class Disk {
 public:
  virtual ~Disk() = default;
  virtual Result<std::unique_ptr<File>> open(std::string_view path, OpenOptions options) = 0;
  /// Makes the folder and those above it. No error if it is there.
  virtual Result<void> make_directories(std::string_view path) = 0;
  /// Entries in order of name. kNotFound: no such folder.
  virtual Result<std::vector<DirectoryEntry>> list(std::string_view path) = 0;
  /// Replaces `to` if it is there, in one step.
  virtual Result<void> rename(std::string_view from, std::string_view to) = 0;
  /// Removes a file. kNotFound: none is there.
  virtual Result<void> remove(std::string_view path) = 0;
  /// Removes a folder and all in it. No error if it is not there.
  virtual Result<void> remove_all(std::string_view path) = 0;
  virtual Result<bool> exists(std::string_view path) = 0;
  virtual Result<void> sync_directory(std::string_view path) = 0;
  /// Makes everything written to the file system durable, data and names (syncfs: one commit for
  /// many files).
  virtual Result<void> sync_all() = 0;
  virtual Result<DiskSpace> space() = 0;
  /// Runs `job` on the I/O pool, where it may block, and then `done` on the loop.
  virtual void offload(Task job, Task done) = 0;
  /// False where the file system refuses O_DIRECT.
  virtual bool direct() const = 0;
};

/// Reads a small file whole. kNotFound as open().
Result<Bytes> read_file(Disk& disk, std::string_view path);
/// Writes a small file so that after a crash either the old or the new content is there, durably:
/// to a temporary name, synced, renamed, folder synced.
Result<void> replace_file(Disk& disk, std::string_view path, common::ByteView content);

}  // namespace millrace::env
