// The journal's files: reserved and written over once while nobody waits, filled one after the
// other, used again once a checkpoint has passed them.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "broker/env/disk.h"
#include "broker/env/loop.h"
#include "broker/storage/journal_format.h"
#include "broker/storage/lifeline.h"

namespace millrace::storage {

/// One file. Its name says nothing about its place: the rounds in it carry the sequence.
struct JournalFile {
  std::string path;
  std::uint64_t sequence = 0;  // 0: free
  std::shared_ptr<env::File> file;
  /// Made with another setting: it is not used again.
  bool odd_size = false;
  /// The first bytes, which were written before. The first write to reserved space costs the file
  /// system a metadata commit, which a round would have to wait for.
  std::uint64_t covered = 0;
  /// Where its rounds end; of the current file JournalFiles::offset() tells.
  std::uint64_t end = 0;
};

/// Hands out the current file and keeps a spare one ready, so that a round seldom waits: neither
/// for space to be reserved nor for the metadata of space that was never written.
class JournalFiles {
 public:
  struct Events {
    /// A file became free after position() had none.
    common::Function<void()> on_ready;
    common::Function<void()> on_no_space;
    common::Function<void(const common::Error&)> on_fatal;
  };
  JournalFiles(env::Disk& disk, env::Loop& loop, std::string folder, std::uint64_t file_bytes);

  std::uint64_t file_bytes() const { return file_bytes_; }
  /// Blocking, at start-up: takes over what recovery found. Live files are in order of sequence,
  /// the last one is current; if there is none a first one is made.
  common::Result<void> start(std::vector<JournalFile> live, std::vector<JournalFile> free,
                             std::uint64_t offset, std::uint64_t first_sequence);
  void set_events(Events events) { events_ = std::move(events); }

  env::File& current() { return *live_.back().file; }
  std::uint64_t current_sequence() const { return live_.back().sequence; }
  std::uint64_t offset() const { return offset_; }
  /// Makes room for `length` bytes at offset(), in the next file if need be, or if that one was
  /// written before and this one was not. False: none is ready, on_ready will tell.
  bool reserve(std::uint64_t length);
  void advance(std::uint64_t length);
  /// Files wholly in front of this one may be used again.
  void release_before(std::uint64_t sequence);
  /// Bytes of the files that are not free: what recovery may have to read.
  std::uint64_t live_bytes(std::uint64_t since_sequence, std::uint64_t since_offset) const;
  /// Makes a spare file if none is ready; called again after a full disk.
  void prepare();

 private:
  struct Spare;
  std::string next_path();
  bool spare_ready() const { return !free_.empty() && free_.back().covered == file_bytes_; }
  void add_free(JournalFile file);
  void use_spare();
  void cover(std::shared_ptr<Spare> spare);
  void covered(std::shared_ptr<Spare> spare);

  env::Disk& disk_;
  env::Loop& loop_;
  const std::string folder_;
  const std::uint64_t file_bytes_;
  Events events_;
  Lifeline lifeline_;
  std::deque<JournalFile> live_;
  std::vector<JournalFile> free_;  // those that were written before are behind the others
  std::uint64_t offset_ = 0;
  std::uint64_t names_ = 0;  // highest number in a name
  bool preparing_ = false;
  bool wanted_ = false;
};

/// Whether such a file was once written from front to back.
common::Result<bool> is_covered(env::File& file, std::uint64_t bytes);

}  // namespace millrace::storage
