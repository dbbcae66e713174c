#include <sys/prctl.h>

#include <chrono>
#include <memory>
#include <nlohmann/json.hpp>

#include "bench/load/basics.h"
#include "bench/load/fetch_stream.h"
#include "bench/load/produce_lane.h"
#include "bench/load/report.h"
#include "bench/load/runs.h"
#include "common/endian.h"

namespace millrace::bench {
namespace {

using std::chrono::nanoseconds;

constexpr std::uint32_t kConsumerTag = UINT32_MAX;
constexpr int kFetchBytes = 1 << 20;
constexpr std::size_t kReadBytes = 64 << 10;
constexpr std::int64_t kDrainNs = 10'000'000'000;
constexpr nanoseconds kWaitMax = std::chrono::milliseconds(100);

/// Reads partition 0 from its present end on and tells of each record when it is there.
class Consumer {
 public:
  Consumer(const Options& options, const Endpoint& leader)
      : connection_(leader),
        stream_(options.topic.size()),
        body_(fetch_body({options.topic, 0, kFetchBytes})),
        buffer_(kReadBytes) {
    const auto ends = end_offsets(options, {leader});
    if (!ends) fail("'{}' is not served", options.topic);
    base_ = ends->front();
    stream_.seek(base_);
    ask();
  }
  int fd() const { return connection_.fd(); }
  /// Offset of the first record of the run.
  std::int64_t base() const { return base_; }
  /// Reads once; calls on_record with each offset.
  template <typename OnRecord>
  void read(const OnRecord& on_record) {
    stream_.take({buffer_.data(), connection_.read_some({buffer_.data(), buffer_.size()})},
                 [&](std::int64_t first, std::int64_t last) {
                   for (std::int64_t offset = std::max(first, stream_.offset()); offset <= last;
                        ++offset) {
                     on_record(offset);
                   }
                 });
    if (!stream_.complete()) return;
    stream_.next();
    ask();
  }

 private:
  void ask() {
    common::store_big<std::int64_t>(body_.bytes.data() + body_.offset_position, stream_.offset());
    connection_.queue(kFetchApi, correlation_++, body_.bytes);
    connection_.flush();
  }

  Connection connection_;
  FetchStream stream_;
  FetchBody body_;
  Buffer buffer_;
  std::int64_t base_ = 0;
  std::int32_t correlation_ = 0;
};

class OpenLoop {
 public:
  explicit OpenLoop(const Options& options) : options_(options), lanes_(options) {
    // The kernel may otherwise delay each timer by 50 us to bundle them.
    prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0);
    if (!options.end_to_end) return;
    consumer_ = std::make_unique<Consumer>(options, lanes_.leader(0));
    lanes_.poller().add(consumer_->fd(), kConsumerTag);
  }

  int run() {
    const double cpu_before = own_cpu_s();
    const std::int64_t start = monotonic_ns();
    period_ns_ = 1e9 / options_.rate;
    start_ns_ = start;
    count_ = std::min(options_.requests_max,
                      static_cast<std::int64_t>(options_.seconds * options_.rate));
    const std::int64_t deadline = intended(count_) + kDrainNs;
    std::int64_t now = start;
    while (totals_.issued < count_ || !settled()) {
      issue_due(now);
      const auto wait = totals_.issued < count_
                            ? nanoseconds(intended(totals_.issued) - monotonic_ns())
                            : kWaitMax;
      const auto ready = lanes_.poller().wait(std::min(wait, kWaitMax));
      now = monotonic_ns();
      for (const auto& event : ready) handle(event, now);
      if (now > deadline)
        fail("{} of {} requests unanswered: the rate was not sustained", count_ - totals_.answered,
             count_);
    }
    report({static_cast<double>(now - start) * 1e-9, own_cpu_s() - cpu_before});
    return totals_.errors == 0 && totals_.answered == count_ ? 0 : kExitFailed;
  }

 private:
  std::int64_t intended(std::int64_t request) const {
    return start_ns_ + static_cast<std::int64_t>(static_cast<double>(request) * period_ns_);
  }
  bool settled() const {
    return lanes_.all_idle() &&
           (!consumer_ || consumed_.count() >= count_ * options_.batch_records);
  }

  void issue_due(std::int64_t now) {
    while (totals_.issued < count_ && intended(totals_.issued) <= now) {
      const auto i = static_cast<std::size_t>(totals_.issued) % lanes_.size();
      if (!lanes_.lane(i).has_room())
        return;  // sent when there is room, and still counted from now
      lanes_.lane(i).issue(intended(totals_.issued), totals_);
      lanes_.flush(i, totals_);
    }
  }

  void handle(const Poller::Ready& event, std::int64_t now) {
    if (event.tag == kConsumerTag) {
      consumer_->read([&](std::int64_t offset) {
        consumed_.add(now - intended((offset - consumer_->base()) / options_.batch_records));
      });
      return;
    }
    ProduceLane& lane = lanes_.lane(event.tag);
    if (event.readable) lane.read(now, totals_);
    lanes_.flush(event.tag, totals_);
  }

  void report(const Spent& spent) {
    auto line = describe(options_, totals_, spent);
    if (consumer_) {
      // Offsets tell which record came back, so nobody else may have written.
      const std::int64_t last = consumer_->base() + (count_ - 1) * options_.batch_records;
      if (lanes_.lane(0).last_base_offset() != last)
        fail("someone else writes to '{}'", options_.topic);
      line["end_to_end_us"] = describe(consumed_);
    }
    print_line(line);
  }

  const Options& options_;
  ProduceLanes lanes_;
  std::unique_ptr<Consumer> consumer_;
  ProduceTotals totals_;
  Histogram consumed_;
  std::int64_t start_ns_ = 0;
  std::int64_t count_ = 0;
  double period_ns_ = 0;
};

}  // namespace

int run_rate(const Options& options) {
  return OpenLoop(options).run();
}

}  // namespace millrace::bench
