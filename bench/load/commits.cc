#include <sys/prctl.h>

#include <chrono>
#include <deque>
#include <memory>
#include <nlohmann/json.hpp>

#include "bench/load/basics.h"
#include "bench/load/group_member.h"
#include "bench/load/report.h"
#include "bench/load/runs.h"
#include "common/endian.h"

namespace millrace::bench {
namespace {

using std::chrono::nanoseconds;

constexpr std::int64_t kDrainNs = 10'000'000'000;
constexpr nanoseconds kWaitMax = std::chrono::milliseconds(100);
constexpr std::size_t kUnderWayMax = 256;

/// A second connection of a member, as most clients have for their commits; several commits may be
/// under way.
class CommitLane {
 public:
  CommitLane(const Options& options, const MemberAt& who)
      : options_(options),
        connection_(options.bootstrap),
        slots_(kUnderWayMax, commit_body(who, options.topic, options.commit_partitions)) {}

  int fd() const { return connection_.fd(); }
  bool has_room() const { return under_way_.size() < slots_.size(); }
  bool idle() const { return under_way_.empty(); }

  void issue(std::int64_t stamp_ns) {
    CommitBody& body = slots_[static_cast<std::size_t>(next_) % slots_.size()];
    for (const std::size_t at : body.offset_positions)
      common::store_big<std::int64_t>(body.bytes.data() + at, next_);
    connection_.queue(kOffsetCommitApi, static_cast<std::int32_t>(next_), body.bytes);
    under_way_.push_back({stamp_ns, static_cast<std::int32_t>(next_)});
    ++next_;
  }
  /// Whether all that was issued has left.
  bool flush() {
    connection_.flush();
    return connection_.all_sent();
  }
  /// Notes the latency of each answer. Ends the program on an error: a refused commit is no commit.
  void read(std::int64_t now_ns, Histogram& latency) {
    connection_.read_answers([&](common::ByteView answer) {
      if (under_way_.empty() ||
          common::load_big<std::int32_t>(answer.data()) != under_way_.front().correlation)
        fail("an answer out of order");
      if (const int error = read_commit(answer.subspan(4), options_.commit_partitions); error != 0)
        fail("a commit was refused: error {}", error);
      latency.add(now_ns - under_way_.front().stamp_ns);
      under_way_.pop_front();
    });
  }

 private:
  struct Request {
    std::int64_t stamp_ns;
    std::int32_t correlation;
  };
  const Options& options_;
  Connection connection_;
  std::vector<CommitBody> slots_;  // a body lies where it is until its request has left
  std::deque<Request> under_way_;
  std::int64_t next_ = 0;  // the offset to commit, and the number of the request
};

class CommitLoop {
 public:
  CommitLoop(const Options& options, Crowd& crowd)
      : options_(options),
        period_ns_(1e9 * options.commit_partitions / options.rate),
        count_(static_cast<std::int64_t>(options.seconds * 1e9 / period_ns_)) {
    // The kernel may otherwise delay each timer by 50 us to bundle them.
    prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0);
    for (std::size_t i = 0; i < crowd.size(); ++i) {
      lanes_.push_back(std::make_unique<CommitLane>(options, crowd.member(i).who()));
      poller_.add(lanes_.back()->fd(), static_cast<std::uint32_t>(i));
    }
    watching_.resize(lanes_.size());
  }

  void run() {
    start_ns_ = monotonic_ns();
    const std::int64_t deadline = intended(count_) + kDrainNs;
    while (latency_.count() < count_) {
      std::int64_t now = monotonic_ns();
      issue_due(now);
      const auto wait =
          issued_ < count_ ? nanoseconds(intended(issued_) - monotonic_ns()) : kWaitMax;
      const auto ready = poller_.wait(std::min(wait, kWaitMax));
      now = monotonic_ns();
      for (const auto& event : ready) {
        if (event.readable) lanes_[event.tag]->read(now, latency_);
        flush(event.tag);
      }
      if (now > deadline)
        fail("{} of {} commits unanswered: the rate was not sustained", count_ - latency_.count(),
             count_);
    }
  }
  const Histogram& latency() const { return latency_; }

 private:
  std::int64_t intended(std::int64_t request) const {
    return start_ns_ + static_cast<std::int64_t>(static_cast<double>(request) * period_ns_);
  }
  void issue_due(std::int64_t now_ns) {
    while (issued_ < count_ && intended(issued_) <= now_ns) {
      const std::size_t i = static_cast<std::size_t>(issued_) % lanes_.size();
      if (!lanes_[i]->has_room()) return;  // sent when there is room, and still counted from now
      lanes_[i]->issue(intended(issued_));
      ++issued_;
      flush(i);
    }
  }
  void flush(std::size_t i) {
    const bool full = !lanes_[i]->flush();
    if (full == watching_[i]) return;
    watching_[i] = full;
    poller_.watch_writable(lanes_[i]->fd(), static_cast<std::uint32_t>(i), full);
  }

  const Options& options_;
  double period_ns_;
  std::int64_t count_;
  std::int64_t start_ns_ = 0;
  std::int64_t issued_ = 0;
  std::vector<std::unique_ptr<CommitLane>> lanes_;
  std::vector<bool> watching_;
  Poller poller_;
  Histogram latency_;
};

}  // namespace

int run_commits(const Options& options) {
  await_coordinator(options, group_name(options, 0));
  Crowd crowd(options, options.groups, 1);
  for (std::size_t i = 0; i < crowd.size(); ++i) crowd.join(i);
  const std::int64_t deadline = monotonic_ns() + static_cast<std::int64_t>(options.timeout_s * 1e9);
  for (std::size_t i = 0; i < crowd.size();) {
    if (crowd.member(i).state() == GroupMember::State::kIn) {
      ++i;
      continue;
    }
    if (monotonic_ns() > deadline)
      fail("not all of {} groups have their member within {} s", crowd.size(), options.timeout_s);
    crowd.step(deadline);
  }
  CommitLoop loop(options, crowd);
  const Meter meter(options.broker_pid);
  loop.run();
  nlohmann::ordered_json line{{"groups", crowd.size()}, {"requests", loop.latency().count()}};
  meter.put(line);
  const double offsets = static_cast<double>(loop.latency().count()) * options.commit_partitions;
  line["offsets"] = static_cast<std::int64_t>(offsets);
  line["offsets_per_s"] = offsets / line["seconds"].get<double>();
  line["latency_us"] = describe(loop.latency());
  print_line(line);
  crowd.leave_all();
  return 0;
}

}  // namespace millrace::bench
