// storage_bench DIR CASE [GB]: what the store costs on this machine, without sockets.
//   large    64 KiB batches over 8 partitions, 16 in flight: MB/s and CPU seconds per GB
//   bare     the same bytes received, checksummed and written durably by hand: the machine's own
//   price small    1 KiB batches over 1,000 partitions in turn, 64 in flight tiny     100-byte
//   batches over 8 partitions, 64 in flight one      100-byte batches, one at a time cold     reads
//   what `large` left behind fill     10,000 partitions written in turn, then the process ends at
//   once; what the next one prints
//            first is how start-up went
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <string>

#include "broker/env/real_disk.h"
#include "broker/model/record.h"
#include "broker/storage/store.h"
#include "common/testing/cpu_time.h"

namespace millrace::storage {
namespace {

using common::testing::cpu_seconds;

std::size_t resident_kib() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmRSS:")) return std::strtoull(line.c_str() + 6, nullptr, 10);
  }
  return 0;
}

PartitionKey key_of(int partition) {
  PartitionKey key{.topic = {}, .index = model::PartitionIndex{partition}};
  key.topic.bytes[0] = 7;
  return key;
}

Bytes template_batch(std::size_t value_bytes, int records) {
  model::BatchBuilder builder;
  const std::vector<std::uint8_t> value(value_bytes, 'x');
  for (int i = 0; i < records; ++i) {
    builder.append(
        {.timestamp = common::Timestamp{1'700'000'000'000 + i}, .value = common::ByteView(value)});
  }
  return builder.build();
}

/// Time and CPU since it was made.
class Meter {
 public:
  explicit Meter(const common::Clock& clock) : clock_(clock) {}
  double seconds() const { return std::chrono::duration<double>(clock_.now() - began_).count(); }
  double cpu() const { return cpu_seconds() - cpu_; }

 private:
  const common::Clock& clock_;
  common::Instant began_ = clock_.now();
  double cpu_ = cpu_seconds();
};

class Bench {
 public:
  explicit Bench(const std::string& path) {
    auto opened =
        env::DataDirectory::open(path, [](std::string_view text) { fmt::print("{}\n", text); });
    CHECK(opened.ok(), "{}", opened.error().detail);
    data_ = std::move(opened).value();
    disk_ = data_->disk(loop_);
  }
  ~Bench() { loop_.stop(); }

  void open() {
    const Meter meter(loop_.clock());
    auto opened = Store::open(
        {.disk = *disk_,
         .loop = loop_,
         .shard = 0,
         .on_fatal = [](const common::Error& error) { CHECK(false, "{}", error.detail); }},
        {});
    CHECK(opened.ok(), "{}", opened.error().detail);
    store_ = std::move(opened).value();
    fmt::print("opened in {:.3f} s, {} entries of {:.1f} MB replayed, {} logs, {} KiB resident\n",
               meter.seconds(), store_->recovery().entries_replayed,
               static_cast<double>(store_->recovery().journal_bytes_read) / 1e6,
               store_->logs().size(), resident_kib());
  }
  void start() { loop_.start(); }

  /// `count` appends of this batch, `in_flight` at a time, to the partitions in turn.
  void append(int partitions, const Bytes& batch, std::uint64_t count, int in_flight) {
    in_flight_ = in_flight;
    left_ = count;
    batch_ = batch;
    loop_.post([this, partitions] {
      logs_.clear();
      for (int i = 0; i < partitions; ++i) {
        Log* log = store_->find(key_of(i));
        logs_.push_back(log != nullptr ? log : &store_->create(key_of(i), "bench", {}));
        logs_.back()->set_settings({});
      }
      for (int i = 0; i < in_flight_; ++i) next();
    });
    const Meter meter(loop_.clock());
    done_.wait(false);
    done_ = false;
    const double gb = static_cast<double>(batch.size()) * static_cast<double>(count) / 1e9;
    const auto records = static_cast<double>(count);
    fmt::print(
        "{:8.1f} MB/s  {:6.3f} CPU s/GB  {:9.0f} appends/s  {:7.2f} CPU us/append  {} KiB "
        "resident\n",
        gb * 1e3 / meter.seconds(), meter.cpu() / gb, records / meter.seconds(),
        meter.cpu() / records * 1e6, resident_kib());
    loop_.post([this] {
      const StoreStats stats = store_->stats();
      fmt::print(
          "  {} rounds, {:.1f} MB of journal, {:.1f} MB of segments, {} checkpoints, cache {} "
          "KiB\n",
          stats.journal_rounds, static_cast<double>(stats.journal_bytes) / 1e6,
          static_cast<double>(stats.segment_bytes_written) / 1e6, stats.checkpoints,
          stats.cache_bytes / 1024);
    });
  }

  void read_all(std::size_t bytes_max) {
    loop_.post([this, bytes_max] {
      logs_.clear();
      for (Log* log : store_->logs()) logs_.push_back(log);
      read_next(0, logs_[0]->start_offset(), bytes_max);
    });
    const Meter meter(loop_.clock());
    done_.wait(false);
    done_ = false;
    const double gb = static_cast<double>(read_bytes_) / 1e9;
    fmt::print("{:8.1f} MB/s  {:6.3f} CPU s/GB  {:.2f} GB read  {} KiB resident\n",
               gb * 1e3 / meter.seconds(), meter.cpu() / gb, gb, resident_kib());
  }

  /// As after kill -9: nothing is closed.
  void kill() {
    loop_.stop();
    const common::RepliesMayDrop may_drop;
    store_.reset();
  }
  void close() {
    std::atomic<bool> closed = false;
    loop_.post([&] {
      store_->close([&](Result<void>) {
        closed = true;
        closed.notify_one();
      });
    });
    closed.wait(false);
    kill();
  }

 private:
  void next() {
    if (left_ == 0) {
      if (--in_flight_ == 0) finish();
      return;
    }
    --left_;
    Log& log = *logs_[turn_++ % logs_.size()];
    // As a connection would: a frame of its own, filled once, checked once.
    Bytes frame = Bytes::copy_of(batch_.view());
    const auto view = model::BatchView::parse(frame);
    CHECK(view.ok() && view->crc_matches());
    model::set_position(frame.mutable_view(), log.end_offset(), model::Term{0});
    log.append(std::move(frame), [this](Result<void> result) {
      CHECK(result.ok(), "{}", result.error().detail);
      next();
    });
  }

  void read_next(std::size_t index, Offset from, std::size_t bytes_max) {
    while (from == logs_[index]->end_offset()) {
      if (++index == logs_.size()) return finish();
      from = logs_[index]->start_offset();
    }
    Log& log = *logs_[index];
    log.read(from, {.up_to = log.end_offset(), .bytes_max = bytes_max},
             [this, index, bytes_max](Result<ReadResult> result) {
               CHECK(result.ok(), "{}", result.error().detail);
               for (const Bytes& piece : result->pieces) read_bytes_ += piece.size();
               loop_.post([this, index, next = result->next_offset, bytes_max] {
                 read_next(index, next, bytes_max);
               });
             });
  }

  void finish() {
    done_ = true;
    done_.notify_one();
  }

  env::RealLoop loop_{{.name = "bench"}};
  std::unique_ptr<env::DataDirectory> data_;
  std::unique_ptr<env::Disk> disk_;
  std::unique_ptr<Store> store_;
  std::vector<Log*> logs_;
  Bytes batch_;
  std::uint64_t left_ = 0;
  std::uint64_t turn_ = 0;
  std::uint64_t read_bytes_ = 0;
  int in_flight_ = 0;
  std::atomic<bool> done_ = false;
};

// What receiving, checking and durably writing costs with nothing around it: rounds of 1 MiB, one
// write under way.
void bare(const std::string& path, double gb) {
  env::RealLoop loop({.name = "bare"});
  auto data = env::DataDirectory::open(path, [](std::string_view) {});
  CHECK(data.ok(), "{}", data.error().detail);
  auto disk = (*data)->disk(loop);
  auto opened = disk->open("bare", {.create = true, .reserve = 256 << 20});
  CHECK(opened.ok());
  env::File& file = **opened;
  Bytes round = Bytes::zeros(1 << 20, common::kDiskAlignment);
  for (std::uint64_t at = 0; at < (256 << 20); at += round.size())
    CHECK(file.write_now(at, round).ok());
  const Bytes batch = template_batch(1024, 63);
  std::uint64_t left = static_cast<std::uint64_t>(gb * 1e9) / round.size();
  const std::uint64_t rounds = left;
  std::atomic<bool> done = false;
  std::uint64_t at = 0;
  common::Function<void()> next;
  next = [&] {
    if (left-- == 0) {
      done = true;
      done.notify_one();
      return;
    }
    for (std::size_t filled = 0; filled + batch.size() <= round.size(); filled += batch.size()) {
      const Bytes frame = Bytes::copy_of(batch.view());
      CHECK(model::BatchView::parse(frame)->crc_matches());
      std::memcpy(round.mutable_data() + filled, frame.data(), frame.size());
    }
    file.write(at, {round}, env::Durable::kYes, [&](Result<void> written) {
      CHECK(written.ok());
      next();
    });
    at = (at + round.size()) % (256 << 20);
  };
  const Meter meter(loop.clock());
  loop.post([&] { next(); });
  loop.start();
  done.wait(false);
  const double written = static_cast<double>(rounds * round.size()) / 1e9;
  fmt::print("{:8.1f} MB/s  {:6.3f} CPU s/GB\n", written * 1e3 / meter.seconds(),
             meter.cpu() / written);
  loop.stop();
}

int run(const std::string& path, const std::string& what, double gb) {
  const auto count_of = [gb](const Bytes& batch) {
    return static_cast<std::uint64_t>(gb * 1e9 / static_cast<double>(batch.size()));
  };
  if (what == "bare") {
    bare(path, gb);
    return 0;
  }
  Bench bench(path);
  bench.open();
  bench.start();
  if (what == "large") {
    const Bytes batch = template_batch(1024, 63);
    bench.append(8, batch, count_of(batch), 16);
  } else if (what == "small") {
    const Bytes batch = template_batch(100, 10);
    bench.append(1000, batch, count_of(batch), 64);
  } else if (what == "tiny") {
    bench.append(8, template_batch(20, 1), 300'000, 64);
  } else if (what == "one") {
    bench.append(8, template_batch(20, 1), 20'000, 1);
  } else if (what == "cold") {
    bench.read_all(1 << 20);
  } else if (what == "fill") {
    const Bytes batch = template_batch(100, 10);
    bench.append(10'000, batch, count_of(batch), 256);
    bench.kill();
    return 0;
  } else {
    fmt::print(stderr, "unknown case {}\n", what);
    return 2;
  }
  bench.close();
  return 0;
}

}  // namespace
}  // namespace millrace::storage

int main(int count, char** arguments) {
  if (count < 3) {
    fmt::print(stderr, "usage: storage_bench DIR large|bare|small|tiny|one|cold|fill [GB]\n");
    return 2;
  }
  return millrace::storage::run(arguments[1], arguments[2],
                                count > 3 ? std::atof(arguments[3]) : 1.0);
}
