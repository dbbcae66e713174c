// Files and folders that nothing needs any more and that go a while later, when no reader can be at
// them.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "broker/env/disk.h"
#include "broker/env/loop.h"
#include "broker/storage/lifeline.h"

namespace millrace::storage {

/// One path to remove, with all in it if it is a folder.
struct Removal {
  /// Numbers are on disk.
  enum class Kind : std::uint8_t {
    kFile = 0,
    kFolder = 1,       // its parent goes with the last one in it
    kFolderAlone = 2,  // something else in its parent lives, though perhaps not on disk yet
  };
  std::string path;
  Kind kind = Kind::kFile;
};

/// What was added is removed once, by jobs of the I/O pool; a checkpoint takes the rest over a
/// restart. Large files give back their space in small steps: where the file system tells the
/// device of free space, each megabyte keeps the device from all else for a quarter of a
/// millisecond. Who is behind for seconds stops being so considerate: else a topic that is written
/// fast and kept short would fill the disk. Shard thread only.
class Removals {
 public:
  Removals(env::Disk& disk, env::Loop& loop, std::uint64_t step_bytes)
      : disk_(disk), loop_(loop), step_bytes_(step_bytes) {}

  /// Begins to work; until then it only takes notes.
  void start();
  /// Files, durably unneeded from now on.
  void add(std::vector<std::string> files, std::int64_t delay_ms);
  /// The folder of a log. Its parent goes with the last one in it.
  void add_folder(std::string path, std::int64_t delay_ms);
  /// The folder that a log has left for another one.
  void add_folder_alone(std::string path, std::int64_t delay_ms);
  /// Whether this folder or something in it will go: a new log must not use it.
  bool holds(const std::string& folder) const;
  /// A replayed log uses this folder, so that all this went already.
  void cancel(const std::string& folder);
  /// All that was not removed yet.
  std::vector<Removal> pending() const;
  /// Removes everything that is due; called by itself when time has come.
  void run();
  /// Makes all that waits due.
  void hurry();

 private:
  struct Entry {
    Removal removal;
    common::Instant due;
    bool running = false;
  };
  struct Sweep;
  void enter(Removal removal, std::int64_t delay_ms);
  void schedule();
  void step(std::shared_ptr<Sweep> sweep);
  void stepped(std::shared_ptr<Sweep> sweep);
  void end(const Sweep& sweep);

  env::Disk& disk_;
  env::Loop& loop_;
  const std::uint64_t step_bytes_;
  Lifeline lifeline_;
  std::vector<Entry> entries_;
  env::TimerId timer_ = env::TimerId::kNone;
  bool running_ = false;
  bool started_ = false;
  bool hurried_ = false;
};

}  // namespace millrace::storage
