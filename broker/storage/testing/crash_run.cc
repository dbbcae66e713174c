#include "broker/storage/testing/crash_run.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "broker/model/batch.h"
#include "broker/storage/testing/keyed_records.h"
#include "common/endian.h"

namespace millrace::storage::testing {
namespace {

using Kind = ModelOperation::Kind;
using model::ErrorCode;

constexpr int kPartitions = 3;

// With MILLRACE_TRACE set every step is printed, to see what a failing seed does.
template <typename... Args>
void trace(fmt::format_string<Args...> format, Args&&... args) {
  static const bool on = std::getenv("MILLRACE_TRACE") != nullptr;
  if (on) fmt::print(stderr, "{}\n", fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace

struct CrashRun::Partition {
  explicit Partition(const PartitionKey& key) : model(key) {}
  PartitionModel model;
  Log* log = nullptr;  // while it exists
  model::Term term;
  /// Of a replica: a batch boundary.
  Offset commit;
  /// Something committed was cut off: start-up may know nothing of the producers any more.
  bool lossy = false;
};

StoreOptions CrashRun::draw_options(std::uint64_t seed, bool compaction) {
  common::Random random(seed ^ 0x5eed);
  StoreOptions options = tiny_options();
  options.journal_file_bytes = std::uint64_t{32 << 10} << random.below(3);
  options.journal_bytes_max = std::uint64_t{64 << 10} << random.below(3);
  options.round_bytes_max = std::uint64_t{4 << 10} << random.below(3);
  options.chunk_bytes = std::uint64_t{4 << 10} << random.below(3);
  options.cache_bytes = std::uint64_t{48 << 10} << random.below(3);
  options.direct_bytes_min = std::uint64_t{2 << 10} << random.below(4);
  options.compaction.enabled = compaction;
  options.compaction.map_bytes_max = std::uint64_t{64} << random.below(8);
  options.compaction.step_bytes = std::uint64_t{512} << random.below(8);
  return options;
}

CrashRun::CrashRun(std::uint64_t seed, CrashRunOptions options)
    : options_(options),
      machine_(seed, draw_options(seed, options.compaction)),
      random_(seed * 77 + 5) {
  machine_.set_flaw(options.flaw);
  for (int i = 0; i < kPartitions; ++i)
    partitions_.push_back(std::make_unique<Partition>(key_of(i)));
}

CrashRun::~CrashRun() = default;

void CrashRun::found(std::string what) {
  if (!wrong_.has_value()) wrong_ = std::move(what);
}

bool CrashRun::dead() const {
  return machine_.fatal.has_value() || machine_.hardware.power_is_cut();
}

std::optional<std::string> CrashRun::go() {
  for (int cycle = 0; cycle < options_.cycles; ++cycle) {
    if (auto wrong = start_and_check()) return fmt::format("cycle {}: {}", cycle, *wrong);
    work();
    if (wrong_.has_value()) return fmt::format("cycle {}: {}", cycle, *wrong_);
    end_machine();
  }
  if (auto wrong = start_and_check()) return fmt::format("at the end: {}", *wrong);
  return std::nullopt;
}

// Some starts are cut short by another loss of power.
std::optional<std::string> CrashRun::start_and_check() {
  ++boot_;
  while (random_.chance(1, 8)) {
    machine_.hardware.cut_power_after(random_.below(12));
    const auto started = machine_.try_start();
    const bool excused = machine_.hardware.power_is_cut() || options_.failures;
    if (!started.ok() && !excused) return started.error().detail;
    if (started.ok()) may_be_clean_ = false;
    for (std::uint64_t i = random_.below(30); i > 0 && machine_.world.step(); --i) {
    }
    machine_.crash();
  }
  auto started = machine_.try_start();
  // An injected failure may have waited for this; the next attempt finds a good disk.
  for (int i = 0;
       i < 8 && options_.failures && !started.ok() && started.error().code == ErrorCode::kIo; ++i) {
    machine_.crash();
    started = machine_.try_start();
  }
  if (!started.ok()) return started.error().detail;
  if (!machine_.store().recovery().damages.empty())
    return machine_.store().recovery().damages.front();
  if (machine_.store().recovery().closed_cleanly && !may_be_clean_)
    return "a start says that the store was closed, and it was not";
  may_be_clean_ = false;
  for (auto& partition : partitions_) {
    if (auto wrong = check(*partition)) return wrong;
  }
  return std::nullopt;
}

std::optional<std::string> CrashRun::check(Partition& partition) {
  Log* log = machine_.store().find(partition.model.key());
  partition.log = log;
  PartitionModel::Observed observed{.exists = log != nullptr};
  if (log != nullptr) {
    if (!options_.replica) (void)log->take_recovered_producers();
    if (log->lost_suffix()) return "something undamaged was cut off as damaged";
    observed.start = log->start_offset();
    observed.end = log->end_offset();
    observed.terms = log->term_starts();
    observed.replica_state = std::string(log->state().text());
    trace("found {} [{}, {})", log->key().index, observed.start, observed.end);
    if (log->durable_offset() != log->end_offset()) return "recovered records are not durable";
    const std::size_t bytes_max = std::size_t{1} << random_.between(8, 20);
    auto content = machine_.read_all(*log, observed.start, observed.end, bytes_max);
    if (!content.ok())
      return fmt::format("partition {}: {}", log->key().index, content.error().detail);
    observed.content = std::move(content).value();
    if (log->damage().has_value()) return log->damage()->detail;
    if (!log->term_starts().empty()) partition.term = log->term_starts().back().term;
    log->set_settings(draw_settings());
    allow_compaction(partition);
    // From here on until attach() nothing happens but this: a checkpoint would not know the
    // producers.
    if (options_.replica) {
      if (auto wrong = check_producers(partition, observed)) return wrong;
    }
  }
  auto wrong = partition.model.settle(observed);
  if (log == nullptr || wrong.has_value() || !options_.replica) return wrong;
  const ModelState& now = partition.model.now();
  partition.commit = now.boundary(std::max(observed.producers.at, now.start));
  attach(partition);
  return std::nullopt;
}

// What recovery hands over of the producers must be their batches as they can be read, and a state
// that fits what lies in front of them.
std::optional<std::string> CrashRun::check_producers(Partition& partition,
                                                     PartitionModel::Observed& observed) {
  const auto recovered = partition.log->take_recovered_producers();
  const Offset from = std::max(recovered.at, observed.start);
  if (recovered.at > observed.end)
    return fmt::format("producers are known at {}, behind the end", recovered.at);
  const auto producers_in = [from](common::ByteView bytes) {
    std::vector<std::uint8_t> found;
    while (!bytes.empty()) {
      const auto batch = model::BatchView::parse(bytes);
      CHECK(batch.ok());
      const common::ByteView whole = bytes.first(batch->size());
      if (batch->producer_id() != model::kNoProducerId && batch->next_offset() > from)
        found.insert(found.end(), whole.begin(), whole.end());
      bytes = bytes.subspan(batch->size());
    }
    return found;
  };
  std::vector<std::uint8_t> handed_over;
  for (const Bytes& piece : recovered.batches_behind) {
    const auto found = producers_in(piece);
    handed_over.insert(handed_over.end(), found.begin(), found.end());
  }
  if (handed_over != producers_in(observed.content))
    return fmt::format("the batches of producers from {} on are not those of the log", from);
  observed.producers.at = recovered.at;
  const common::ByteView snapshot = recovered.snapshot.view();
  if (!snapshot.empty()) {
    CHECK(snapshot.size() == sizeof(std::uint64_t));
    observed.producers.known = common::load_little<std::uint64_t>(snapshot.data());
    partition.lossy = false;
  } else if (!partition.lossy) {
    observed.producers.known = 0;
  }
  trace("producers of {} known at {}: {}", partition.model.key().index, recovered.at,
        observed.producers.known.value_or(0));
  return std::nullopt;
}

void CrashRun::attach(Partition& partition) {
  if (!options_.replica) return;
  partition.log->on_retention([&partition] { return partition.commit; });
  partition.log->on_checkpoint([&partition] {
    ProducersAt producers{.bytes = {}, .at = partition.commit};
    const std::uint64_t known = partition.model.now().producers_at(producers.at);
    if (known == 0) return producers;
    producers.bytes = Bytes::allocate(sizeof(known));
    common::store_little(producers.bytes.mutable_data(), known);
    return producers;
  });
}

LogSettings CrashRun::draw_settings() {
  LogSettings settings;
  settings.segment_bytes = std::uint64_t{2000} << random_.below(6);
  settings.segment_ms = random_.chance(1, 4) ? 5'000 : 1'000'000'000;
  settings.retention_ms = -1;
  settings.retention_bytes =
      random_.chance(1, 3) ? static_cast<std::int64_t>(random_.below(60'000)) : -1;
  settings.file_delete_delay_ms = random_.chance(1, 2) ? 0 : 1000;
  if (!options_.compaction) return settings;
  settings.compact = !random_.chance(1, 8);
  settings.delete_old = random_.chance(1, 4);
  settings.min_cleanable_dirty_ratio = random_.chance(1, 2) ? 0 : 0.3;
  settings.delete_retention_ms = random_.chance(1, 2) ? 0 : 1'000'000'000;
  settings.max_compaction_lag_ms = random_.chance(1, 4) ? 1000 : INT64_MAX;
  return settings;
}

void CrashRun::work() {
  if (random_.chance(2, 3)) machine_.hardware.cut_power_after(random_.below(80));
  const auto operations = random_.below(static_cast<std::uint64_t>(options_.operations_max));
  for (std::uint64_t i = 0; i < operations && !dead() && !wrong_.has_value(); ++i) {
    operate(*partitions_[random_.below(partitions_.size())]);
    pass();
    if (options_.failures && random_.chance(1, 60)) {
      random_.chance(1, 2) ? machine_.hardware.fail_next_sync()
                           : machine_.hardware.fail_next_write();
    }
  }
}

void CrashRun::pass() {
  const std::uint64_t events = random_.chance(1, 10) ? random_.below(200) : random_.below(12);
  for (std::uint64_t i = 0; i < events && machine_.world.step(); ++i) {
  }
}

void CrashRun::end_machine() {
  const std::uint64_t checkpoints = machine_.store().stats().checkpoints;
  segments_replaced_ += machine_.store().stats().compaction.segments_replaced;
  if (!dead() && random_.chance(1, 6)) {
    // Where the power goes meanwhile, the answer comes when the store is taken apart, below.
    const auto closed = std::make_shared<bool>(false);
    machine_.store().close([closed](Result<void>) { *closed = true; });
    machine_.world.run_until([&] { return *closed || dead(); });
    if (!*closed && !dead()) found("the store does not close");
    // If not, it may have been closed all the same: its mark is there, and the answer was not
    // given.
    may_be_clean_ = true;
  }
  if (!machine_.hardware.power_is_cut() && random_.chance(1, 3)) {
    machine_.kill();
  } else {
    machine_.crash();
  }
  trace("end of the machine; {} checkpoints", checkpoints);
  for (auto& partition : partitions_) partition->log = nullptr;
}

auto CrashRun::acknowledge(Partition& partition, std::size_t number) {
  return [this, &partition, number, boot = boot_](Result<void> result) {
    if (boot != boot_) return;
    trace("{} done {}", partition.model.key().index, result.ok());
    if (result.ok()) partition.model.acknowledged(number);
    if (!result.ok() && !dead() && result.error().code != ErrorCode::kShuttingDown)
      found(result.error().detail);
  };
}

void CrashRun::operate(Partition& partition) {
  if (partition.log == nullptr) {
    trace("create {}", partition.model.key().index);
    partition.model.add({.kind = Kind::kCreate});
    partition.log = &machine_.create(partition.model.key(), draw_settings());
    allow_compaction(partition);
    attach(partition);
    partition.term = model::Term{0};
    partition.commit = Offset{0};
    return;
  }
  if (options_.replica && random_.chance(1, 4)) return replicate(partition);
  const std::uint64_t draw = random_.below(100);
  if (options_.compaction && random_.chance(1, 6)) return compact();
  if (draw < 62) return append(partition);
  if (draw < 74) return read(partition);
  if (draw < 78) return delete_before(partition);
  if (draw < 82) return start_term(partition);
  if (draw < 86) return retention();
  if (draw < 88) return remove(partition);
  if (draw < 92) return truncate(partition);
  if (draw < 95) return partition.log->set_settings(draw_settings());
  trace("checkpoint");
  machine_.store().checkpoint([](Result<void>) {});
}

// Of several batches in one append the first ones may survive alone.
void CrashRun::append(Partition& partition) {
  Log& log = *partition.log;
  std::vector<std::uint8_t> joined;
  std::size_t number = 0;
  Offset base = log.end_offset();
  const std::vector<TermStart>& terms = log.term_starts();
  for (std::uint64_t batches = random_.chance(1, 5) ? random_.between(2, 4) : 1; batches > 0;
       --batches) {
    BatchSpec spec{.base = base,
                   .count = static_cast<std::int32_t>(random_.between(1, 3)),
                   .term = terms.empty() ? partition.term : terms.back().term};
    spec.value_bytes = random_.chance(1, 6) ? random_.below(7000) : random_.below(300);
    spec.timestamp = common::Timestamp{1000 + base.value()};
    if (options_.replica && random_.chance(2, 3)) {
      spec.producer = model::ProducerId{static_cast<std::int64_t>(random_.between(1, 3))};
      spec.sequence = static_cast<std::int32_t>(base.value());
    }
    const Bytes bytes = draw_batch(spec);
    joined.insert(joined.end(), bytes.view().begin(), bytes.view().end());
    number = partition.model.add(
        {.kind = Kind::kAppend,
         .batches = {{.base = base, .next = base + spec.count, .bytes = bytes}}});
    base = base + spec.count;
  }
  trace("append {} [{}, {})", partition.model.key().index, log.end_offset(), base);
  log.append(Bytes::copy_of(joined), acknowledge(partition, number));
  if (!dead() && log.end_offset() != base) found("an append did not move the end");
}

Bytes CrashRun::draw_batch(const BatchSpec& spec) {
  if (!options_.compaction) return make_batch(random_, spec);
  const bool packed = random_.chance(1, 3);
  return make_keyed_batch(
      random_, {.base = spec.base,
                .count = spec.count,
                .value_bytes_max = spec.value_bytes,
                .term = spec.term,
                .timestamp = spec.timestamp,
                .compression = packed ? model::Compression::kLz4 : model::Compression::kNone,
                .producer = spec.producer,
                .sequence = spec.sequence});
}

// As a replica would: up to somewhere in front of what is durable, and never back.
void CrashRun::allow_compaction(Partition& partition) {
  if (!options_.compaction) return;
  partition.log->on_compaction([this, &partition] {
    const ModelState& now = partition.model.now();
    Offset up_to = partition.log->durable_offset();
    if (options_.replica) up_to = std::min(up_to, partition.commit);
    if (random_.chance(1, 4)) up_to = std::max(now.compactable_to, up_to - 10);
    partition.model.add({.kind = Kind::kCompactable, .offset = up_to});
    trace("compact {} up to {}", partition.model.key().index, up_to);
    return CompactionLimits{.up_to = partition.model.now().compactable_to};
  });
}

void CrashRun::compact() {
  if (random_.chance(1, 2)) machine_.store().checkpoint([](Result<void>) {});
  trace("look for a log to compact");
  machine_.store().compact();
}

void CrashRun::truncate(Partition& partition) {
  if (!options_.truncations) return;
  Log& log = *partition.log;
  const auto& batches = partition.model.now().batches;
  // At the end a cut takes away terms that wrote nothing.
  const std::size_t places = batches.size() + (options_.replica ? 1 : 0);
  if (places == 0) return;
  const std::size_t drawn = random_.below(places);
  const Offset offset = drawn < batches.size() ? batches[drawn].base : log.end_offset();
  if (offset < log.start_offset() || offset < partition.model.now().compactable_to) return;
  if (options_.replica && offset < partition.commit) {
    if (!random_.chance(1, 6)) return;
    partition.commit = offset;
    partition.lossy = true;
  }
  const std::size_t number = partition.model.add({.kind = Kind::kTruncate, .offset = offset});
  trace("truncate {} to {}", partition.model.key().index, offset);
  log.truncate(offset, acknowledge(partition, number));
}

void CrashRun::delete_before(Partition& partition) {
  Log& log = *partition.log;
  const Offset up_to = options_.replica ? partition.commit : log.end_offset();
  const auto length = static_cast<std::uint64_t>(up_to - log.start_offset());
  const Offset offset = log.start_offset() + static_cast<std::int64_t>(random_.below(length + 1));
  const std::size_t number = partition.model.add({.kind = Kind::kStart, .offset = offset});
  trace("delete {} before {} of [{}, {})", partition.model.key().index, offset, log.start_offset(),
        log.end_offset());
  log.delete_before(offset, acknowledge(partition, number));
}

void CrashRun::start_term(Partition& partition) {
  Log& log = *partition.log;
  partition.term = partition.term + static_cast<std::int32_t>(random_.between(1, 3));
  const std::size_t number = partition.model.add(
      {.kind = Kind::kTerm, .offset = log.end_offset(), .term = partition.term});
  log.start_term({.term = partition.term, .offset = log.end_offset()},
                 acknowledge(partition, number));
}

void CrashRun::replicate(Partition& partition) {
  const std::uint64_t draw = random_.below(12);
  if (draw < 3) return put_state(partition);
  if (draw < 4) return reset(partition);
  const ModelState& now = partition.model.now();
  const auto behind = static_cast<std::uint64_t>(now.end() - partition.commit);
  partition.commit =
      now.boundary(partition.commit + static_cast<std::int64_t>(random_.below(behind + 1)));
  trace("{} is committed up to {}", partition.model.key().index, partition.commit);
}

void CrashRun::put_state(Partition& partition) {
  std::string state = fmt::format("{:016x}", random_.next());
  const std::size_t size_max = random_.chance(1, 10) ? kStateBytesMax : 300;
  state.resize(random_.below(size_max) + 1, '.');
  const Bytes bytes = Bytes::copy_of(state);
  const std::size_t number =
      partition.model.add({.kind = Kind::kState, .replica_state = std::move(state)});
  trace("put state {}", partition.model.key().index);
  partition.log->put_state(bytes, acknowledge(partition, number));
}

void CrashRun::reset(Partition& partition) {
  Log& log = *partition.log;
  // Mostly a replica is behind what its leader has; after a lossy election it may be in front.
  const Offset at = random_.chance(1, 3)
                        ? Offset{static_cast<std::int64_t>(random_.below(
                              static_cast<std::uint64_t>(log.end_offset().value()) + 1))}
                        : log.end_offset() + static_cast<std::int64_t>(random_.between(0, 50));
  partition.term = partition.term + static_cast<std::int32_t>(random_.between(1, 3));
  std::optional<TermStart> first;
  if (at > Offset{0} || random_.chance(1, 2)) {
    const auto distance = random_.below(static_cast<std::uint64_t>(at.value()) + 1);
    first = TermStart{.term = partition.term, .offset = at - static_cast<std::int64_t>(distance)};
  }
  const std::uint64_t known = random_.next() | 1;
  Bytes producers = Bytes::allocate(sizeof(known));
  common::store_little(producers.mutable_data(), known);
  const std::size_t number =
      partition.model.add({.kind = Kind::kReset, .offset = at, .first = first, .producers = known});
  trace("reset {} of [{}, {}) to {}", partition.model.key().index, log.start_offset(),
        log.end_offset(), at);
  partition.commit = at;
  log.reset(at, first, std::move(producers), acknowledge(partition, number));
}

void CrashRun::remove(Partition& partition) {
  const std::size_t number = partition.model.add({.kind = Kind::kRemove});
  auto done = acknowledge(partition, number);
  trace("remove {}", partition.model.key().index);
  partition.log = nullptr;
  if (random_.chance(1, 4)) {
    machine_.store().quarantine(partition.model.key(), std::move(done));
  } else {
    machine_.store().remove(partition.model.key(), std::move(done));
  }
}

void CrashRun::retention() {
  machine_.store().apply_retention();
  for (auto& partition : partitions_) {
    if (partition->log == nullptr) continue;
    if (partition->log->start_offset() == partition->model.now().start) continue;
    partition->model.add({.kind = Kind::kStart, .offset = partition->log->start_offset()});
  }
}

void CrashRun::read(Partition& partition) {
  Log& log = *partition.log;
  const auto length = static_cast<std::uint64_t>(log.end_offset() - log.start_offset());
  const Offset from = log.start_offset() + static_cast<std::int64_t>(random_.below(length + 1));
  ReadLimits limits{.up_to = log.end_offset(), .bytes_max = random_.below(20'000)};
  log.read(from, limits,
           [this, &partition, from, boot = boot_,
            breaks = partition.model.breaks()](Result<ReadResult> result) {
             if (boot != boot_ || breaks != partition.model.breaks() || dead()) return;
             if (!result.ok()) {
               if (result.error().code == ErrorCode::kShuttingDown) return;
               const bool moved = result.error().code == ErrorCode::kOffsetOutOfRange &&
                                  from < partition.model.now().start;
               if (!moved)
                 found(fmt::format("a read at {} failed: {}", from, result.error().detail));
               return;
             }
             std::vector<std::uint8_t> bytes;
             for (const Bytes& piece : result->pieces)
               bytes.insert(bytes.end(), piece.view().begin(), piece.view().end());
             if (const auto wrong =
                     partition.model.now().mismatch(from, result->next_offset, bytes, false)) {
               found(fmt::format("a read at {} brought other bytes than were appended: {}", from,
                                 *wrong));
             }
           });
}

}  // namespace millrace::storage::testing
