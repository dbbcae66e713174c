// auto data = DataDirectory::open("/var/lib/millrace", [](std::string_view notice) { log(notice);
// }); auto disk = (*data)->disk(loop);   // one per shard
//
// The machine's disk.
#pragma once

#include <memory>
#include <string>

#include "broker/env/disk.h"
#include "broker/env/io_pool.h"
#include "broker/env/real_loop.h"

namespace millrace::env {

/// One data directory, held by this process alone. Outlives its disks; the loops outlive it.
class DataDirectory {
 public:
  /// Makes the folder if it is missing and locks it. Tells `notice` a sentence for the log where
  /// the file system refuses O_DIRECT. The error says what is wrong and what to do: kDataInUse
  /// (another process), kNoSpace, kIo (no permission, read-only and the like).
  static Result<std::unique_ptr<DataDirectory>> open(
      std::string path, common::Function<void(std::string_view)> notice);
  ~DataDirectory();
  DataDirectory(const DataDirectory&) = delete;
  DataDirectory& operator=(const DataDirectory&) = delete;

  /// The same directory with its answers on `loop`. Made and destroyed on the loop, before it
  /// starts or after it stopped.
  std::unique_ptr<Disk> disk(RealLoop& loop);
  /// Takes back what open() put there: the folder turned out to be somebody else's.
  void leave_as_found();
  const std::string& path() const { return path_; }
  bool direct() const { return direct_; }

 private:
  friend class RealDisk;
  friend class RealFile;
  DataDirectory(std::string path, int lock);
  Result<void> probe_direct(common::Function<void(std::string_view)>& notice);

  const std::string path_;
  const int lock_;
  bool made_lock_ = false;
  bool direct_ = true;
  // Calls of files that AIO does not take, and longer jobs, which must not delay them.
  IoPool calls_{"disk", 4};
  IoPool jobs_{"disk-jobs", 2};
};

}  // namespace millrace::env
