#include "broker/storage/shard.h"

#include <fmt/format.h>

#include <algorithm>

namespace millrace::storage {
namespace {

using common::Error;

std::size_t buffer_bytes(const StoreOptions& options) {
  return round_up(std::max(options.round_bytes_max, options.chunk_bytes), common::kDiskAlignment);
}

// Most rounds between two drains of the statistics; the oldest are forgotten.
constexpr std::size_t kRecentRoundsMax = 4096;

}  // namespace

Shard::Shard(StoreWorld world, const StoreOptions& given, std::uint64_t store_salt)
    : disk(world.disk),
      loop(world.loop),
      options(given),
      number(world.shard),
      salt(store_salt),
      journal_folder(fmt::format("journal/{}", world.shard)),
      pool(buffer_bytes(given)),
      passing_pool(buffer_bytes(given)),
      arenas(pool),
      journal_files(world.disk, world.loop, journal_folder,
                    round_up(given.journal_file_bytes, common::kDiskAlignment)),
      space(world.disk, world.loop,
            {.free_bytes_min = given.free_bytes_min, .ballast = world.shard == 0}),
      journal(
          world.loop, arenas, journal_files,
          {.salt = store_salt, .round_bytes_max = given.round_bytes_max},
          [this](const Error& error) { fail(error); },
          [this](double seconds) { round_done(seconds); }),
      files(world.disk, given.open_files_max),
      indexes(given.index_cache_bytes),
      reader(*this),
      flusher(*this),
      removals(world.disk, world.loop, given.removal_step_bytes),
      compactor(*this),
      on_fatal_(std::move(world.on_fatal)),
      on_notice_(std::move(world.on_notice)) {
  journal_files.set_events({.on_ready = [this] { journal.resume(); },
                            .on_no_space = [this] { space.report_full(); },
                            .on_fatal = [this](const Error& error) { fail(error); }});
}

Shard::~Shard() = default;

void Shard::fail(const Error& error) {
  if (std::exchange(failed_, true)) return;
  refusal_ = error;
  journal.stop();
  if (on_fatal_) on_fatal_(error);
}

void Shard::refuse(Error why) {
  if (!refusal_.has_value()) refusal_ = std::move(why);
}

PartitionLog* Shard::find(const PartitionKey& key) {
  const auto found = serving_.find(key);
  return found == serving_.end() ? nullptr : found->second;
}

PartitionLog* Shard::find(LogNumber log) {
  const auto found = logs_.find(log);
  return found == logs_.end() ? nullptr : found->second.get();
}

std::shared_ptr<const std::string> Shard::intern(const model::TopicId& id, std::string_view name) {
  auto& known = topics_[id];
  auto topic = known.lock();
  if (topic == nullptr || *topic != name) {
    topic = std::make_shared<const std::string>(name);
    known = topic;
  }
  return topic;
}

PartitionLog& Shard::add(LogNumber log_number, const PartitionKey& key, std::string_view topic,
                         LogNumber suffix) {
  auto log =
      std::make_unique<PartitionLog>(*this, log_number, key, intern(key.topic, topic), suffix);
  PartitionLog& added = *log;
  const bool fresh_number = logs_.emplace(log_number, std::move(log)).second;
  CHECK(fresh_number);
  const bool fresh_key = serving_.emplace(key, &added).second;
  CHECK(fresh_key);
  return added;
}

void Shard::unlist(PartitionLog& log) {
  const auto found = serving_.find(log.key());
  CHECK(found != serving_.end() && found->second == &log);
  serving_.erase(found);
}

void Shard::retire(PartitionLog& log) {
  CHECK(!log.busy() && log.log_state() != LogState::kServing);
  const auto topic = log.key().topic;
  for (std::string& path : log.take_old_folders())
    removals.add_folder(std::move(path), log.settings().file_delete_delay_ms);
  log.drop_memory();
  logs_.erase(log.number());
  if (const auto known = topics_.find(topic); known != topics_.end() && known->second.expired())
    topics_.erase(known);
}

void Shard::log_idle(PartitionLog& log) {
  if (on_log_idle_) on_log_idle_(log);
}

void Shard::round_done(double seconds) {
  if (seconds < 0) {
    space.report_full();
  } else {
    if (stats.recent_round_seconds.size() >= kRecentRoundsMax) stats.recent_round_seconds.clear();
    stats.recent_round_seconds.push_back(seconds);
  }
  reclaim();
  if (on_round_) on_round_();
}

// The oldest memory goes first. What is not written behind yet is written early enough, from half
// the budget on.
void Shard::reclaim() {
  if (failed_ || std::exchange(reclaiming_, true)) return;
  const std::size_t budget = options.cache_bytes;
  const std::size_t tails = std::min(arenas.bytes(), budget);
  cache.shrink(std::max(budget / 4, budget - tails));
  while (arenas.bytes() + cache.bytes() > budget) {
    Arena* oldest = arenas.oldest_closed();
    if (oldest == nullptr) break;
    const bool clean =
        std::all_of(oldest->uses.begin(), oldest->uses.end(), [&](const Arena::Use& use) {
          PartitionLog* log = find(use.log);
          return log == nullptr || log->evict(use.stream_end);
        });
    if (!clean) {
      if (arenas.ask(*oldest)) write_behind(*oldest);
      break;
    }
    arenas.forget(*oldest);
  }
  while (arenas.bytes_not_asked() > budget / 2) {
    const Arena* next = arenas.ask_next();
    if (next == nullptr) break;
    write_behind(*next);
  }
  reclaiming_ = false;
}

void Shard::write_behind(const Arena& arena) {
  for (const Arena::Use& use : arena.uses) {
    PartitionLog* log = find(use.log);
    if (log != nullptr && log->written_stream() < use.stream_end)
      flusher.force(*log, use.stream_end);
  }
}

}  // namespace millrace::storage
