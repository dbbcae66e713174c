// What the logs of one shard share, wired together. Each part has its own file; this one only owns
// them.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>

#include "broker/storage/arenas.h"
#include "broker/storage/block_cache.h"
#include "broker/storage/buffer_pool.h"
#include "broker/storage/cold_reader.h"
#include "broker/storage/compactor.h"
#include "broker/storage/file_table.h"
#include "broker/storage/flusher.h"
#include "broker/storage/index_table.h"
#include "broker/storage/journal_files.h"
#include "broker/storage/journal_writer.h"
#include "broker/storage/partition_log.h"
#include "broker/storage/removals.h"
#include "broker/storage/space_watch.h"
#include "broker/storage/store.h"

namespace millrace::storage {

/// Owns the parts and the logs. Shard thread only.
class Shard {
 public:
  Shard(StoreWorld world, const StoreOptions& options, std::uint64_t salt);
  ~Shard();

  env::Disk& disk;
  env::Loop& loop;
  const StoreOptions options;
  const std::uint32_t number;
  const std::uint64_t salt;
  const std::string journal_folder;
  StoreStats stats;

  BufferPool pool;
  /// For buffers that are held only while the disk has them: between the long-lived ones of `pool`
  /// they would not be found again.
  BufferPool passing_pool;
  Arenas arenas;
  JournalFiles journal_files;
  SpaceWatch space;
  JournalWriter journal;
  FileTable files;
  IndexTable indexes;
  BlockCache cache;
  ColdReader reader;
  Flusher flusher;
  Removals removals;
  Compactor compactor;

  /// The disk can't be trusted any more.
  void fail(const common::Error& error);
  /// Why nothing is taken any more: closing, or failed.
  const std::optional<common::Error>& refusal() const { return refusal_; }
  void refuse(common::Error why);
  bool failed() const { return failed_; }
  /// A line for the broker's log.
  void notice(std::string_view line) {
    if (on_notice_) on_notice_(line);
  }

  PartitionLog* find(const PartitionKey& key);
  PartitionLog* find(LogNumber log);
  PartitionLog& add(LogNumber log_number, const PartitionKey& key, std::string_view topic,
                    LogNumber folder_suffix);
  LogNumber next_number() { return LogNumber{++last_number_}; }
  std::uint32_t last_number() const { return last_number_; }
  void set_last_number(std::uint32_t last) { last_number_ = last; }
  const std::map<PartitionKey, PartitionLog*>& serving() const { return serving_; }
  const std::map<LogNumber, std::unique_ptr<PartitionLog>>& logs() const { return logs_; }
  /// No longer found by its key; goes on to exist until retire().
  void unlist(PartitionLog& log);
  /// Destroys a log that nothing works on any more.
  void retire(PartitionLog& log);
  /// Called by a log when the last thing that worked on it has ended.
  void log_idle(PartitionLog& log);
  void set_on_log_idle(common::Function<void(PartitionLog&)> callback) {
    on_log_idle_ = std::move(callback);
  }

  /// Keeps memory within its budget: writes behind and evicts the oldest.
  void reclaim();
  /// Has the logs with pieces in this arena write them behind.
  void write_behind(const Arena& arena);
  /// Called when a round is done: checkpoints and the like are looked at.
  void set_on_round(common::Function<void()> callback) { on_round_ = std::move(callback); }

 private:
  std::shared_ptr<const std::string> intern(const model::TopicId& id, std::string_view name);
  void round_done(double seconds);

  common::Function<void(const common::Error&)> on_fatal_;
  common::Function<void(std::string_view)> on_notice_;
  common::Function<void(PartitionLog&)> on_log_idle_;
  common::Function<void()> on_round_;
  std::optional<common::Error> refusal_;
  bool failed_ = false;
  bool reclaiming_ = false;
  std::uint32_t last_number_ = 0;
  std::map<LogNumber, std::unique_ptr<PartitionLog>> logs_;
  std::map<PartitionKey, PartitionLog*> serving_;
  std::unordered_map<model::TopicId, std::weak_ptr<const std::string>> topics_;
};

}  // namespace millrace::storage
