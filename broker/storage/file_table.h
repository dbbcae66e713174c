// The open files of segments: a bounded number, whatever the number of partitions.
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <string>

#include "broker/env/disk.h"
#include "broker/model/errors.h"
#include "broker/storage/journal_format.h"
#include "broker/storage/lifeline.h"
#include "common/reply.h"

namespace millrace::storage {

/// Opens files when they are needed and closes those that were used longest ago. A file stays open
/// as long as somebody holds it. Opening happens on the I/O pool. Shard thread only.
class FileTable {
 public:
  struct Key {
    LogNumber log;
    model::Offset base;
    std::uint32_t generation = 0;
    LogNumber folder;  // suffix of the log's folder
    auto operator<=>(const Key&) const = default;
  };
  /// How to find the file, and what it must be like.
  struct Spec {
    std::string folder;
    std::string name;
    /// Made if missing, with its folder.
    bool create = false;
    /// Bytes that must be in the file already.
    std::uint64_t size_min = 0;
    /// The file may exist before it is made here; otherwise a foreign one is set aside to
    /// quarantine/.
    bool expected = true;
  };
  struct Opened {
    std::shared_ptr<env::File> file;
    /// What is wrong with the file that was found: one sentence; empty: nothing.
    std::string damage;
  };
  FileTable(env::Disk& disk, std::size_t open_max) : disk_(disk), open_max_(open_max) {}

  /// Answers inline when the file is open. Requires that no other acquire() of the same file that
  /// would create it is under way.
  void acquire(const Key& key, Spec spec, common::Reply<common::Result<Opened>> done);
  /// True and the file when it is open now.
  std::shared_ptr<env::File> find(const Key& key);
  /// Lets go of the file of a segment, or of all of a log; those who hold one go on.
  void drop(const Key& key);
  void drop(LogNumber log);
  std::size_t open_files() const { return files_.size(); }

 private:
  struct Entry {
    std::shared_ptr<env::File> file;
    std::list<Key>::iterator use;
  };
  void insert(const Key& key, std::shared_ptr<env::File> file);

  env::Disk& disk_;
  const std::size_t open_max_;
  std::map<Key, Entry> files_;
  std::list<Key> uses_;  // most recent first
  Lifeline lifeline_;
};

/// Moves a file or folder out of the way, to a free name in quarantine/; blocking. No error if it
/// is not there.
common::Result<void> set_aside(env::Disk& disk, const std::string& path);

/// Opens as the spec says; blocking.
common::Result<FileTable::Opened> open_segment_file(env::Disk& disk, const FileTable::Spec& spec);

}  // namespace millrace::storage
