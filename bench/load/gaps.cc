#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <csignal>
#include <memory>
#include <nlohmann/json.hpp>
#include <thread>
#include <vector>

#include "bench/load/admin.h"
#include "bench/load/basics.h"
#include "bench/load/report.h"
#include "bench/load/runs.h"

namespace millrace::bench {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;

/// Longer than a broker under load takes to answer, short beside a failover.
constexpr milliseconds kImpatience{50};
constexpr milliseconds kPause{2};
/// A broker that is halted takes a connection and says nothing.
constexpr milliseconds kMetadataPatience{100};
constexpr milliseconds kAnswerPatience{30'000};
constexpr std::int64_t kNamedNs = 20'000'000;

std::atomic<bool> stopped = false;

struct Gap {
  std::int64_t from_ns;
  std::int64_t to_ns;
};

/// The client of one partition, on a thread of its own: one request under way, sent again until it
/// is acknowledged.
class Stream {
 public:
  Stream(const Options& options, int partition)
      : options_(options),
        partition_(partition),
        body_(produce_body({options.topic, -1, std::array{partition}}, {1, options.record_bytes})),
        turn_(static_cast<std::size_t>(partition)) {}

  void run(std::int64_t start_ns) {
    const auto period_ns = static_cast<std::int64_t>(1e9 / options_.rate);
    const auto count = static_cast<std::int64_t>(options_.seconds * options_.rate);
    for (std::int64_t i = 0; i < count && !failed_ && !stopped; ++i) {
      const std::int64_t due = start_ns + i * period_ns;
      // What is late is not made up for: the pauses between answers are asked for, not the rate.
      if (const std::int64_t now = monotonic_ns(); now < due)
        std::this_thread::sleep_for(nanoseconds(due - now));
      write_one();
    }
  }

  bool failed() const { return failed_; }
  nlohmann::ordered_json report() const {
    std::int64_t longest = 0;
    auto named = nlohmann::ordered_json::array();
    for (const Gap& gap : gaps_) {
      longest = std::max(longest, gap.to_ns - gap.from_ns);
      if (gap.to_ns - gap.from_ns >= kNamedNs) named.push_back({gap.from_ns, gap.to_ns});
    }
    return {{"partition", partition_},
            {"acked", acked_},
            {"sent_again", sent_again_},
            {"failed", failed_},
            {"longest_ms", static_cast<double>(longest) * 1e-6},
            {"gaps_ns", named}};
  }

 private:
  void write_one() {
    const std::int64_t begin = monotonic_ns();
    while (!acknowledged()) {
      ++sent_again_;
      if (monotonic_ns() - begin > static_cast<std::int64_t>(options_.timeout_s * 1e9)) {
        failed_ = true;
        return;
      }
      find_leader();
    }
    const std::int64_t now = monotonic_ns();
    if (last_ack_ns_ != 0) note({last_ack_ns_, now});
    last_ack_ns_ = now;
    ++acked_;
  }

  /// Only the longest is of interest, and what is long enough to be told of.
  void note(Gap gap) {
    if (gap.to_ns - gap.from_ns >= kNamedNs || gaps_.empty()) {
      gaps_.push_back(gap);
    } else if (Gap& first = gaps_.front(); gap.to_ns - gap.from_ns > first.to_ns - first.from_ns) {
      first = gap;
    }
  }

  /// Sends the request once. False: whether it was taken is not known, or it was refused.
  bool acknowledged() {
    if (!session_ || !session_->open() || !session_->ask(kProduceApi, body_.bytes)) return false;
    while (!session_->wait(kImpatience)) {
      if (another_leads()) return false;
    }
    const auto bytes = session_->answer();
    if (!bytes) return false;
    Buffer answer(4);  // read_produce_answer() begins at the correlation id
    answer.insert(answer.end(), bytes->begin(), bytes->end());
    return read_produce_answer(answer).error == 0;
  }

  /// Asks one broker after the other, another one each time.
  std::optional<Endpoint> ask_for_leader() {
    const Endpoint& broker = options_.bootstraps[turn_++ % options_.bootstraps.size()];
    Session session(broker, kMetadataPatience);
    if (!session.open()) return std::nullopt;
    const auto state = ask_topic(session, options_);
    if (!state) return std::nullopt;
    const auto leader =
        state->brokers.find(state->partitions[static_cast<std::size_t>(partition_)].leader);
    if (leader == state->brokers.end()) return std::nullopt;
    return leader->second;
  }

  bool another_leads() {
    const auto leader = ask_for_leader();
    return leader && !(*leader == leader_);
  }

  void find_leader() {
    session_.reset();
    const auto leader = ask_for_leader();
    const bool another = leader && !(*leader == leader_);
    if (leader) {
      leader_ = *leader;
      session_ = std::make_unique<Session>(leader_, kAnswerPatience);
    }
    // The one that refused or is gone may be named a little longer.
    if (!another) std::this_thread::sleep_for(kPause);
  }

  const Options& options_;
  const int partition_;
  const ProduceBody body_;
  std::size_t turn_;
  Endpoint leader_;
  std::unique_ptr<Session> session_;
  std::vector<Gap> gaps_;
  std::int64_t last_ack_ns_ = 0;
  std::int64_t acked_ = 0;
  std::int64_t sent_again_ = 0;
  bool failed_ = false;
};

}  // namespace

int run_gaps(const Options& options) {
  static_assert(std::atomic<bool>::is_always_lock_free);
  for (const int number : {SIGTERM, SIGINT}) std::signal(number, [](int) { stopped = true; });
  find_leaders(options);
  std::vector<std::unique_ptr<Stream>> streams;
  for (int partition = 0; partition < options.partitions; ++partition)
    streams.push_back(std::make_unique<Stream>(options, partition));
  const std::int64_t start = monotonic_ns();
  std::vector<std::thread> threads;
  for (auto& stream : streams) threads.emplace_back([&stream, start] { stream->run(start); });
  for (auto& thread : threads) thread.join();
  auto partitions = nlohmann::ordered_json::array();
  bool failed = false;
  for (const auto& stream : streams) {
    partitions.push_back(stream->report());
    failed = failed || stream->failed();
  }
  print_line({{"start_ns", start}, {"failed", failed}, {"partitions", partitions}});
  return failed ? kExitFailed : 0;
}

}  // namespace millrace::bench
