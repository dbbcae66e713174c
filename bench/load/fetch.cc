#include <chrono>
#include <memory>
#include <nlohmann/json.hpp>

#include "bench/load/admin.h"
#include "bench/load/basics.h"
#include "bench/load/fetch_stream.h"
#include "bench/load/report.h"
#include "bench/load/runs.h"
#include "common/endian.h"

namespace millrace::bench {
namespace {

constexpr std::size_t kReadBytes = 256 << 10;  // small enough to stay in the core's own cache
constexpr std::chrono::nanoseconds kWait = std::chrono::milliseconds(100);
constexpr std::int64_t kGraceNs = 10'000'000'000;

/// One connection that reads one partition, a request at a time.
struct Lane {
  Lane(const Options& options, const Endpoint& leader, int partition)
      : connection(leader),
        stream(options.topic.size()),
        body(fetch_body({options.topic, partition, options.fetch_bytes})) {}

  void ask(std::int64_t now) {
    common::store_big<std::int64_t>(body.bytes.data() + body.offset_position, stream.offset());
    connection.queue(kFetchApi, correlation++, body.bytes);
    connection.flush();
    asked_ns = now;
  }

  Connection connection;
  FetchStream stream;
  FetchBody body;
  std::int64_t first = 0;  // [first, end) is read
  std::int64_t end = 0;
  std::int64_t asked_ns = 0;
  std::int32_t correlation = 0;
  bool done = false;
};

class FetchRun {
 public:
  explicit FetchRun(const Options& options) : options_(options), buffer_(kReadBytes) {
    const auto leaders = find_leaders(options);
    const auto ends = end_offsets(options, leaders);
    if (!ends) fail("'{}' is not served", options.topic);
    for (int i = 0; i < options.connections; ++i) {
      const int partition = i % options.partitions;
      const auto at = static_cast<std::size_t>(partition);
      lanes_.push_back(std::make_unique<Lane>(options, leaders[at], partition));
      Lane& lane = *lanes_.back();
      lane.end = (*ends)[at];
      if (options.last_records >= 0)
        lane.first = std::max<std::int64_t>(0, lane.end - options.last_records);
      if (lane.first >= lane.end) fail("partition {} of '{}' is empty", partition, options.topic);
      lane.stream.seek(lane.first);
      poller_.add(lane.connection.fd(), static_cast<std::uint32_t>(i));
    }
  }

  int run() {
    const double cpu_before = own_cpu_s();
    const std::int64_t start = monotonic_ns();
    const std::int64_t end = start + static_cast<std::int64_t>(options_.seconds * 1e9);
    for (auto& lane : lanes_) lane->ask(start);
    std::size_t open = lanes_.size();
    std::int64_t now = start;
    while (open > 0) {
      for (const auto& event : poller_.wait(kWait)) {
        now = monotonic_ns();
        if (lanes_[event.tag]->done) continue;
        read(*lanes_[event.tag], now, now >= end);
        if (lanes_[event.tag]->done) --open;
      }
      if (monotonic_ns() > end + kGraceNs)
        fail("no fetch answers for {} s", kGraceNs / 1'000'000'000);
    }
    report({static_cast<double>(now - start) * 1e-9, own_cpu_s() - cpu_before});
    return bytes_ > 0 ? 0 : kExitFailed;
  }

 private:
  void read(Lane& lane, std::int64_t now, bool time_is_up) {
    const std::size_t size = lane.connection.read_some({buffer_.data(), buffer_.size()});
    const std::int64_t before = lane.stream.batch_bytes();
    lane.stream.take({buffer_.data(), size}, [this](std::int64_t first, std::int64_t last) {
      ++batches_;
      records_ += last - first + 1;
    });
    bytes_ += lane.stream.batch_bytes() - before;
    if (!lane.stream.complete()) return;
    ++requests_;
    latency_.add(now - lane.asked_ns);
    if (lane.stream.answer_bytes() == 0) ++empty_;
    if (lane.stream.offset() >= lane.end && options_.again) lane.stream.seek(lane.first);
    lane.done = time_is_up || bytes_ >= options_.bytes_max || lane.stream.offset() >= lane.end;
    lane.stream.next();
    if (!lane.done) lane.ask(now);
  }

  void report(const Spent& spent) const {
    const double mb = static_cast<double>(bytes_) / 1e6;
    print_line({{"requests", requests_},
                {"empty_answers", empty_},
                {"batches", batches_},
                {"records", records_},
                {"seconds", spent.seconds},
                {"mb", mb},
                {"mb_per_s", mb / spent.seconds},
                {"client_cpu_s", spent.client_cpu_s},
                {"latency_us", describe(latency_)}});
  }

  const Options& options_;
  Buffer buffer_;
  std::vector<std::unique_ptr<Lane>> lanes_;
  Poller poller_;
  Histogram latency_;
  std::int64_t requests_ = 0;
  std::int64_t empty_ = 0;
  std::int64_t batches_ = 0;
  std::int64_t records_ = 0;
  std::int64_t bytes_ = 0;
};

}  // namespace

int run_fetch(const Options& options) {
  return FetchRun(options).run();
}

}  // namespace millrace::bench
