// storage_compaction_bench DIR [GB] [KEYS]: what a compaction takes and what it costs those who
// append meanwhile. Fills two logs with GB of records of KEYS keys; compacts one of them alone;
// then appends to other logs as fast as they take it, without, with and again without a compaction
// of the second one beside it, and prints how throughput compares.
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <string>

#include "broker/env/real_disk.h"
#include "broker/model/record.h"
#include "broker/storage/store.h"
#include "common/random.h"
#include "common/testing/cpu_time.h"

namespace millrace::storage {
namespace {

using common::testing::cpu_seconds;

constexpr std::size_t kValueBytes = 500;
constexpr std::size_t kKeyBytes = 8;
constexpr int kRecordsPerBatch = 32;
constexpr int kLoadLogs = 4;
constexpr int kInFlight = 16;
constexpr int kInFlightFilling = 128;
constexpr auto kPhase = std::chrono::seconds(5);

double resident_mib() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmRSS:")) return std::strtod(line.c_str() + 6, nullptr) / 1024;
  }
  return 0;
}

PartitionKey key_of(int partition) {
  PartitionKey key{.topic = {}, .index = model::PartitionIndex{partition}};
  key.topic.bytes[0] = 9;
  return key;
}

LogSettings compacted(bool on) {
  return {.segment_bytes = 256 << 20,
          .retention_ms = -1,
          .file_delete_delay_ms = 0,
          .delete_old = false,
          .compact = on,
          .min_cleanable_dirty_ratio = 0.1};
}
LogSettings load_settings() {
  return {.segment_bytes = 64 << 20, .retention_bytes = 256 << 20, .file_delete_delay_ms = 0};
}

/// A batch whose keys are changed in place: building each anew would be most of the work.
class KeyedTemplate {
 public:
  KeyedTemplate() {
    model::BatchBuilder builder;
    const std::string key(kKeyBytes, '@');
    std::vector<std::uint8_t> value(kValueBytes);
    for (std::size_t i = 0; i < value.size(); ++i)
      value[i] = static_cast<std::uint8_t>('a' + i % 26);
    for (int i = 0; i < kRecordsPerBatch; ++i) {
      builder.append({.timestamp = common::Timestamp{1'700'000'000'000},
                      .key = common::as_bytes(key),
                      .value = common::ByteView(value)});
    }
    batch_ = builder.build();
    for (std::size_t at = batch_.text().find(key); at != std::string_view::npos;
         at = batch_.text().find(key, at + 1))
      places_.push_back(at);
    CHECK(places_.size() == kRecordsPerBatch);
  }
  Bytes draw(common::Random& random, std::uint64_t keys, Offset base) const {
    Bytes batch = Bytes::copy_of(batch_.view());
    for (const std::size_t place : places_) {
      const std::uint64_t key = random.below(keys);
      std::memcpy(batch.mutable_data() + place, &key, kKeyBytes);
    }
    model::BatchHeader header = model::header_of(*model::BatchView::parse(batch));
    header.base_offset = base;
    header.leader_epoch = Term{0};
    model::seal_batch(batch.mutable_view(), header);
    return batch;
  }
  std::size_t size() const { return batch_.size(); }

 private:
  Bytes batch_;
  std::vector<std::size_t> places_;
};

/// Bytes per second, in MB.
double rate(std::uint64_t bytes, common::Duration time) {
  return static_cast<double>(bytes) / 1e6 / std::chrono::duration<double>(time).count();
}

/// The store, whose thread does everything; the others wait for it.
class Bench {
 public:
  explicit Bench(const std::string& path) {
    auto opened =
        env::DataDirectory::open(path, [](std::string_view text) { fmt::print("{}\n", text); });
    CHECK(opened.ok(), "{}", opened.error().detail);
    data_ = std::move(opened).value();
    disk_ = data_->disk(loop_);
    StoreOptions options;
    options.retention_check_interval_ms = 500;
    options.compaction.check_interval_ms = 3'600'000;  // begins when it is told to
    auto store = Store::open(
        {.disk = *disk_,
         .loop = loop_,
         .shard = 0,
         .on_fatal = [](const common::Error& error) { CHECK(false, "{}", error.detail); },
         .on_notice = [](std::string_view line) { fmt::print("  {}\n", line); }},
        options);
    CHECK(store.ok(), "{}", store.error().detail);
    store_ = std::move(store).value();
    loop_.start();
  }
  ~Bench() {
    loop_.stop();
    const common::RepliesMayDrop may_drop;
    store_.reset();
  }

  void fill(int partition, double gb, std::uint64_t keys) {
    on_loop([&] {
      left_ = static_cast<std::uint64_t>(gb * 1e9 / static_cast<double>(keyed_.size()));
      keys_ = keys;
      filled_ = &store_->create(key_of(partition), "keyed", compacted(false));
      filled_->on_compaction(
          [log = filled_] { return CompactionLimits{.up_to = log->durable_offset()}; });
      for (int i = 0; i < kInFlightFilling; ++i) fill_next();
    });
    wait_until([this] { return running_ == 0; });
    bool stored = false;
    on_loop([&] {
      store_->checkpoint([&](const Result<void>& result) {
        CHECK(result.ok(), "{}", result.error().detail);
        stored = true;
      });
    });
    wait_until([&] { return stored; });
  }

  void begin_compaction(int partition) {
    on_loop([&] {
      begun_at_ = store_->stats().compaction;
      store_->find(key_of(partition))->set_settings(compacted(true));
      store_->compact();
    });
  }
  /// Waits for its end, pass after pass. Answers the most memory the process had.
  double end_compaction() {
    double resident_max = 0;
    wait_until([&] {
      resident_max = std::max(resident_max, resident_mib());
      const CompactionStats stats = store_->stats().compaction;
      return stats.runs > begun_at_.runs && stats.map_bytes == 0;
    });
    return resident_max;
  }
  CompactionStats compaction_since() {
    CompactionStats stats;
    on_loop([&] { stats = store_->stats().compaction; });
    stats.bytes_read -= begun_at_.bytes_read;
    stats.bytes_written -= begun_at_.bytes_written;
    stats.seconds -= begun_at_.seconds;
    return stats;
  }
  std::uint64_t log_bytes(int partition) {
    std::uint64_t bytes = 0;
    on_loop([&] { bytes = store_->find(key_of(partition))->size_bytes(); });
    return bytes;
  }

  void begin_load() {
    on_loop([&] {
      for (int i = 0; i < kLoadLogs; ++i)
        load_.push_back(&store_->create(key_of(100 + i), "load", load_settings()));
      loading_ = true;
      for (int i = 0; i < kInFlight; ++i) load_next();
    });
  }
  void end_load() {
    on_loop([&] { loading_ = false; });
    wait_until([this] { return running_ == 0; });
  }
  /// MB/s of the load while `phase` runs.
  template <typename Phase>
  double loaded_during(Phase phase) {
    const std::uint64_t before = loaded_bytes_;
    const common::Instant began = loop_.clock().now();
    phase();
    return rate(loaded_bytes_ - before, loop_.clock().now() - began);
  }
  void pass(common::Duration time) {
    const common::Instant end = loop_.clock().now() + time;
    wait_until([&] { return loop_.clock().now() >= end; });
  }

 private:
  void on_loop(const std::function<void()>& task) {
    std::atomic<bool> ran = false;
    loop_.post([&] {
      task();
      ran = true;
      ran.notify_one();
    });
    ran.wait(false);
  }
  /// Looks on the loop, from time to time.
  void wait_until(const std::function<bool()>& condition) {
    std::atomic<bool> met = false;
    std::function<void()> look = [&] {
      if (!condition()) {
        loop_.after(std::chrono::milliseconds(10), [&look] { look(); });
        return;
      }
      met = true;
      met.notify_one();
    };
    loop_.post([&look] { look(); });
    met.wait(false);
  }

  void fill_next() {
    if (left_ == 0) return;
    --left_;
    ++running_;
    filled_->append(keyed_.draw(random_, keys_, filled_->end_offset()),
                    [this](const Result<void>& done) { filled(done); });
  }
  void filled(const Result<void>& done) {
    CHECK(done.ok(), "{}", done.error().detail);
    --running_;
    fill_next();
  }
  void load_next() {
    ++running_;
    Log& log = *load_[turn_++ % load_.size()];
    Bytes frame = Bytes::copy_of(load_batch_.view());
    const auto view = model::BatchView::parse(frame);
    CHECK(view.ok() && view->crc_matches());  // as the broker does with what it is sent
    model::set_position(frame.mutable_view(), log.end_offset(), Term{0});
    const std::size_t size = frame.size();
    log.append(std::move(frame), [this, size](const Result<void>& done) { loaded(done, size); });
  }
  void loaded(const Result<void>& done, std::size_t size) {
    CHECK(done.ok(), "{}", done.error().detail);
    --running_;
    loaded_bytes_ += size;
    if (loading_) load_next();
  }
  static Bytes make_load_batch() {
    model::BatchBuilder builder;
    const std::vector<std::uint8_t> value(1024, 'x');
    for (int i = 0; i < 63; ++i)
      builder.append({.timestamp = common::Timestamp{1'700'000'000'000 + i}, .value = value});
    return builder.build();
  }

  env::RealLoop loop_{{.name = "bench"}};
  std::unique_ptr<env::DataDirectory> data_;
  std::unique_ptr<env::Disk> disk_;
  std::unique_ptr<Store> store_;
  common::Random random_{1};
  const KeyedTemplate keyed_;
  const Bytes load_batch_ = make_load_batch();
  // Of the loop's thread, except loaded_bytes_.
  Log* filled_ = nullptr;
  std::vector<Log*> load_;
  std::uint64_t left_ = 0;
  std::uint64_t keys_ = 0;
  std::uint64_t turn_ = 0;
  int running_ = 0;
  bool loading_ = false;
  CompactionStats begun_at_;
  std::atomic<std::uint64_t> loaded_bytes_ = 0;
};

void report(const CompactionStats& stats, std::uint64_t before, std::uint64_t after) {
  const double moved = static_cast<double>(stats.bytes_read + stats.bytes_written) / 1e6;
  fmt::print(
      "  {:.2f} GB became {:.2f} GB in {:.1f} s: {:.0f} MB read, {:.0f} MB written, "
      "{:.0f} MB/s\n",
      static_cast<double>(before) / 1e9, static_cast<double>(after) / 1e9, stats.seconds,
      static_cast<double>(stats.bytes_read) / 1e6, static_cast<double>(stats.bytes_written) / 1e6,
      moved / stats.seconds);
}

int run(const std::string& path, double gb, std::uint64_t keys) {
  Bench bench(path);
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  for (const int partition : {0, 1}) {
    bench.fill(partition, gb, keys);
    fmt::print("filled {:.2f} GB\n", static_cast<double>(bench.log_bytes(partition)) / 1e9);
  }
  std::uint64_t before = bench.log_bytes(0);
  fmt::print("alone, {} keys:\n", keys);
  const double resident = resident_mib();
  const double cpu = cpu_seconds();
  bench.begin_compaction(0);
  const double resident_max = bench.end_compaction();
  report(bench.compaction_since(), before, bench.log_bytes(0));
  fmt::print("  {:.1f} CPU s, memory {:.0f} MiB before and {:.0f} MiB at most\n",
             cpu_seconds() - cpu, resident, resident_max);

  fmt::print("beside appends:\n");
  before = bench.log_bytes(1);
  bench.begin_load();
  bench.pass(std::chrono::seconds(2));
  const double first = bench.loaded_during([&] { bench.pass(kPhase); });
  const double beside = bench.loaded_during([&] {
    bench.begin_compaction(1);
    bench.end_compaction();
  });
  const double last = bench.loaded_during([&] { bench.pass(kPhase); });
  bench.end_load();
  report(bench.compaction_since(), before, bench.log_bytes(1));
  fmt::print(
      "  appends: {:.0f} MB/s before, {:.0f} MB/s beside it, {:.0f} MB/s behind it: "
      "ratio {:.2f}\n",
      first, beside, last, 2 * beside / (first + last));
  return 0;
}

}  // namespace
}  // namespace millrace::storage

int main(int count, char** arguments) {
  if (count < 2) {
    fmt::print(stderr, "usage: storage_compaction_bench DIR [GB] [KEYS]\n");
    return 2;
  }
  return millrace::storage::run(arguments[1], count > 2 ? std::atof(arguments[2]) : 1.0,
                                count > 3 ? std::strtoull(arguments[3], nullptr, 10) : 1'000'000);
}
