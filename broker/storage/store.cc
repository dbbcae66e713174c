#include "broker/storage/store.h"

#include <fmt/format.h>

#include <chrono>

#include "broker/storage/checkpointer.h"
#include "broker/storage/clean_mark.h"
#include "broker/storage/codec.h"
#include "broker/storage/recovery.h"
#include "broker/storage/retention.h"
#include "broker/storage/shard.h"

namespace millrace::storage {
namespace {

using common::Error;
using model::ErrorCode;

// How often memory that was not needed for a while is given back.
constexpr std::chrono::seconds kTrimInterval{3};
constexpr std::size_t kFreeBuffersKept = 8;
constexpr std::size_t kFreeBuffersKeptIdle = 2;

/// The store: what concerns logs as a whole. Everything else is in the parts of its shard.
class ShardStore final : public Store {
 public:
  explicit ShardStore(RecoveredShard recovered)
      : report_(std::move(recovered.report)),
        shard_(std::move(recovered.shard)),
        checkpointer_(*shard_, recovered.checkpoint) {
    shard_->set_on_round([this] { checkpointer_.check(); });
    shard_->set_on_log_idle([this](PartitionLog& log) { settle_later(log.number()); });
    shard_->flusher.set_on_progress([this](PartitionLog& log) {
      checkpointer_.progressed(log);
      shard_->reclaim();
      checkpointer_.check();
    });
    shard_->space.set_on_healed([this] { healed(); });
    shard_->space.set_on_full([this] { shard_->removals.hurry(); });
    shard_->compactor.set_on_checkpoint_wanted([this] {
      if (checkpointer_.idle()) checkpointer_.request([](Result<void>) {});
    });
    shard_->loop.post(lifeline_.guard([this] { start(); }));
  }
  ~ShardStore() override;

  const RecoveryReport& recovery() const override { return report_; }
  std::vector<Log*> logs() override;
  Log* find(const PartitionKey& key) override { return shard_->find(key); }
  Log& create(const PartitionKey& key, std::string_view topic_name,
              const LogSettings& settings) override;
  void remove(const PartitionKey& key, Reply<Result<void>> durable) override;
  void quarantine(const PartitionKey& key, Reply<Result<void>> durable) override;
  void apply_retention() override;
  void compact() override { shard_->compactor.look(); }
  void close(Reply<Result<void>> closed) override;
  void checkpoint(Reply<Result<void>> done) override { checkpointer_.request(std::move(done)); }
  StoreStats stats() override;
  bool out_of_space() const override { return shard_->space.full(); }

 private:
  void start();
  void healed();
  void retention_tick();
  void trim_tick();
  LogNumber free_folder_suffix(const PartitionKey& key, std::string_view topic,
                               LogNumber number) const;
  void settle_later(LogNumber number);
  void settle(LogNumber number);
  void set_folder_aside(PartitionLog& log);
  void unlist(PartitionLog& log, EntryType why, LogState state);
  void mark_clean();
  void closed(const Result<void>& result);

  RecoveryReport report_;
  std::unique_ptr<Shard> shard_;
  std::vector<Reply<Result<void>>> closings_;  // answered by the checkpointer too
  Checkpointer checkpointer_;
  Lifeline lifeline_;
  std::map<LogNumber, Reply<Result<void>>> quarantines_;  // to be answered when the folder is aside
  std::uint64_t rounds_at_trim_ = 0;
};

ShardStore::~ShardStore() {
  shard_->refuse(model::error(ErrorCode::kShuttingDown));
  shard_->journal.abandon();
  shard_->reader.abandon();
  for (auto& [number, reply] : quarantines_) reply(model::error(ErrorCode::kShuttingDown));
  closed(model::error(ErrorCode::kShuttingDown));
}

// Work that recovery left over, begun once the loop runs.
void ShardStore::start() {
  shard_->journal_files.prepare();
  shard_->removals.start();
  shard_->space.start();
  std::vector<PartitionLog*> all;
  for (const auto& [number, log] : shard_->logs()) all.push_back(log.get());
  for (PartitionLog* log : all) {
    if (log->log_state() != LogState::kServing) {
      settle_later(log->number());
      continue;
    }
    log->drop_dead_segments();
    log->flush_if_due();
  }
  shard_->reclaim();
  checkpointer_.check();
  shard_->compactor.start();
  shard_->loop.after(std::chrono::milliseconds(shard_->options.retention_check_interval_ms),
                     lifeline_.guard([this] { retention_tick(); }));
  shard_->loop.after(kTrimInterval, lifeline_.guard([this] { trim_tick(); }));
}

void ShardStore::healed() {
  shard_->journal.resume();
  shard_->flusher.resume();
  checkpointer_.resume();
}

void ShardStore::retention_tick() {
  apply_retention();
  shard_->loop.after(std::chrono::milliseconds(shard_->options.retention_check_interval_ms),
                     lifeline_.guard([this] { retention_tick(); }));
}

void ShardStore::trim_tick() {
  const bool quiet = rounds_at_trim_ == shard_->journal.rounds();
  rounds_at_trim_ = shard_->journal.rounds();
  const std::size_t kept = quiet ? kFreeBuffersKeptIdle : kFreeBuffersKept;
  shard_->pool.trim(kept);
  shard_->passing_pool.trim(kept);
  shard_->loop.after(kTrimInterval, lifeline_.guard([this] { trim_tick(); }));
}

std::vector<Log*> ShardStore::logs() {
  std::vector<Log*> all;
  all.reserve(shard_->serving().size());
  for (const auto& [key, log] : shard_->serving()) all.push_back(log);
  return all;
}

// A log that was removed may still have its folder; the new one of the same name then lives beside
// it.
LogNumber ShardStore::free_folder_suffix(const PartitionKey& key, std::string_view topic,
                                         LogNumber number) const {
  bool taken = shard_->removals.holds(log_folder(std::string(topic), key, LogNumber{0}));
  if (shard_->logs().size() > shard_->serving().size()) {
    for (const auto& [other, log] : shard_->logs()) taken = taken || log->key() == key;
  }
  return taken ? number : LogNumber{0};
}

Log& ShardStore::create(const PartitionKey& key, std::string_view topic_name,
                        const LogSettings& settings) {
  CHECK(shard_->find(key) == nullptr, "{} [{}] is there already", topic_name, key.index);
  const LogNumber number = shard_->next_number();
  const LogNumber suffix = free_folder_suffix(key, topic_name, number);
  ByteWriter payload;
  payload.key(key);
  payload.put(suffix.value());
  payload.text(topic_name);
  shard_->journal.add({.type = EntryType::kLogCreated, .log = number}, payload.view());
  PartitionLog& log = shard_->add(number, key, topic_name, suffix);
  log.set_settings(settings);
  log.complete({});  // what is asked of the log next is answered behind this
  return log;
}

void ShardStore::unlist(PartitionLog& log, EntryType why, LogState state) {
  shard_->journal.add({.type = why, .log = log.number()}, {});
  shard_->unlist(log);
  log.set_log_state(state);
}

void ShardStore::remove(const PartitionKey& key, Reply<Result<void>> durable) {
  PartitionLog* log = shard_->find(key);
  CHECK(log != nullptr, "there is no log {} [{}] to remove", key.topic, key.index);
  if (shard_->refusal().has_value()) return durable(*shard_->refusal());
  unlist(*log, EntryType::kLogRemoved, LogState::kRemoved);
  shard_->flusher.forget(*log);
  checkpointer_.progressed(*log);
  log->drop_memory();
  log->complete(std::move(durable));
}

void ShardStore::quarantine(const PartitionKey& key, Reply<Result<void>> durable) {
  PartitionLog* log = shard_->find(key);
  CHECK(log != nullptr, "there is no log {} [{}] to set aside", key.topic, key.index);
  if (shard_->refusal().has_value()) return durable(*shard_->refusal());
  unlist(*log, EntryType::kLogQuarantined, LogState::kQuarantining);
  quarantines_.emplace(log->number(), std::move(durable));
  log->complete({});
}

void ShardStore::settle_later(LogNumber number) {
  shard_->loop.post(lifeline_.guard([this, number] { settle(number); }));
}

void ShardStore::settle(LogNumber number) {
  PartitionLog* log = shard_->find(number);
  if (log == nullptr || log->busy() || shard_->failed()) return;
  if (log->log_state() == LogState::kRemoved) {
    shard_->removals.add_folder(log->folder(), log->settings().file_delete_delay_ms);
    shard_->retire(*log);
  } else if (log->log_state() == LogState::kQuarantining) {
    if (log->written_stream() < log->stream_end())
      return shard_->flusher.force(*log, log->stream_end());
    set_folder_aside(*log);
  }
}

void ShardStore::set_folder_aside(PartitionLog& log) {
  log.pin();
  auto result = std::make_shared<Result<void>>();
  shard_->disk.offload(
      [&disk = shard_->disk, path = log.folder(), result] { *result = set_aside(disk, path); },
      lifeline_.guard([this, result, &log] {
        if (!result->ok() && result->error().code == ErrorCode::kIo)
          return shard_->fail(result->error());
        auto waiting = quarantines_.extract(log.number());
        log.set_log_state(LogState::kRemoved);
        log.unpin();
        if (!waiting.empty()) waiting.mapped()(*result);
      }));
}

void ShardStore::apply_retention() {
  const common::Timestamp now = shard_->loop.clock().wall();
  std::vector<PartitionLog*> due;
  for (const auto& [key, log] : shard_->serving()) {
    // Before a log was told its settings nobody knows how long its data must stay.
    if (!log->settings_known()) continue;
    const Offset from = retained_from(log->segments(), log->start_offset(), log->removable_to(),
                                      log->settings(), now);
    if (from > log->start_offset()) due.push_back(log);
  }
  for (PartitionLog* log : due) {
    const Offset from = retained_from(log->segments(), log->start_offset(), log->removable_to(),
                                      log->settings(), now);
    log->delete_before(from, [](Result<void>) {});
  }
}

void ShardStore::close(Reply<Result<void>> closed_reply) {
  if (shard_->failed()) return closed_reply(*shard_->refusal());
  shard_->refuse(model::error(ErrorCode::kShuttingDown));
  closings_.push_back(std::move(closed_reply));
  checkpointer_.request([this](Result<void> result) {
    // Nothing may be at the disk's files any more.
    shard_->compactor.when_still([this, result = std::move(result)] {
      if (result.ok()) return mark_clean();
      // Whatever kept the checkpoint from being made: what was acknowledged is in the journal.
      closed(shard_->failed() ? result : common::ok());
    });
  });
}

void ShardStore::mark_clean() {
  auto result = std::make_shared<Result<void>>();
  const CleanMark mark{.salt = shard_->salt, .round = checkpointer_.stored_position().round};
  shard_->disk.offload([&disk = shard_->disk, folder = shard_->journal_folder, mark,
                        result] { *result = put_clean_mark(disk, folder, mark); },
                       lifeline_.guard([this, result] {
                         const bool no_room =
                             !result->ok() && result->error().code == ErrorCode::kNoSpace;
                         // Without it the next start takes all for what it would be after a loss of
                         // power.
                         if (result->ok() || no_room) return closed(common::ok());
                         shard_->fail(result->error());
                         closed(*result);
                       }));
}

void ShardStore::closed(const Result<void>& result) {
  for (auto& reply : std::exchange(closings_, {})) reply(result);
}

StoreStats ShardStore::stats() {
  StoreStats& stats = shard_->stats;
  stats.journal_rounds = shard_->journal.rounds();
  stats.journal_bytes = shard_->journal.bytes_written();
  stats.cache_bytes = shard_->arenas.bytes() + shard_->cache.bytes();
  stats.open_files = shard_->files.open_files();
  StoreStats drained = stats;
  stats.recent_round_seconds.clear();
  return drained;
}

}  // namespace

Result<std::unique_ptr<Store>> Store::open(StoreWorld world, const StoreOptions& options) {
  TRY_ASSIGN(RecoveredShard recovered, recover(std::move(world), options));
  return std::unique_ptr<Store>(std::make_unique<ShardStore>(std::move(recovered)));
}

}  // namespace millrace::storage
