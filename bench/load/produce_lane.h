// One connection that produces: which request comes next, what is under way, what the answers said.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "bench/load/admin.h"
#include "bench/load/connection.h"
#include "bench/load/histogram.h"
#include "bench/load/options.h"
#include "bench/load/wire.h"

namespace millrace::bench {

/// What all lanes of a run add up to.
struct ProduceTotals {
  Histogram latency_ns;
  std::int64_t issued = 0;
  std::int64_t answered = 0;
  std::int64_t errors = 0;  // answers with an error number
  int first_error = 0;
};

/// All bodies that a run sends to the partitions of one broker, encoded once: body i writes the
/// partitions [i * k, (i + 1) * k) of the list, modulo their number, where k is
/// options.request_partitions.
std::vector<ProduceBody> encode_bodies(const Options& options, const std::vector<int>& partitions);

/// Owned by one run; not thread-safe.
class ProduceLane {
 public:
  /// first: the body of the first request. bodies must outlive the lane.
  ProduceLane(const Options& options, const Endpoint& leader,
              const std::vector<ProduceBody>& bodies, std::size_t first);

  int fd() const { return connection_.fd(); }
  bool has_room() const { return static_cast<int>(under_way_.size()) < options_.in_flight; }
  bool idle() const { return under_way_.empty(); }
  bool all_sent() const { return connection_.all_sent(); }
  /// Queues the next request. stamp_ns: when its latency begins.
  void issue(std::int64_t stamp_ns, ProduceTotals& totals);
  /// Sends what the socket takes. Requests without acknowledgement are done when they are sent.
  void flush(ProduceTotals& totals);
  /// Reads answers that are there. Ends the program when one answers out of order.
  void read(std::int64_t now_ns, ProduceTotals& totals);
  /// Base offset in the latest answer.
  std::int64_t last_base_offset() const { return last_base_offset_; }

 private:
  struct Request {
    std::int64_t stamp_ns;
    std::int32_t correlation;
  };
  common::ByteView next_body();
  common::ByteView sequenced(const ProduceBody& body);

  const Options& options_;
  const std::vector<ProduceBody>& bodies_;
  Connection connection_;
  std::deque<Request> under_way_;
  std::size_t next_;  // body of the next request
  std::int32_t correlation_ = 0;
  std::int64_t last_base_offset_ = -1;
  Producer producer_;                    // idempotent runs only, as the three below
  std::vector<std::int32_t> sequences_;  // next of each partition
  std::vector<Buffer> slots_;            // one body per request under way
  std::size_t slot_ = 0;
};

/// The lanes of a run, with a poller. Connection i goes to the leader of the partition it writes;
/// in turn, to each leader as many connections as to the others, one more or less.
class ProduceLanes {
 public:
  explicit ProduceLanes(const Options& options);
  std::size_t size() const { return lanes_.size(); }
  ProduceLane& lane(std::size_t i) { return *lanes_[i]; }
  Poller& poller() { return poller_; }
  /// Sends what the lane has queued; asks the poller for writability where the socket is full.
  void flush(std::size_t i, ProduceTotals& totals);
  bool all_idle() const;
  const Endpoint& leader(int partition) const {
    return leaders_[static_cast<std::size_t>(partition)];
  }

 private:
  void add_lane(const Endpoint& leader, const std::vector<ProduceBody>& bodies, std::size_t first);
  void spread_in_turn(const std::vector<LedPartitions>& groups);

  const Options& options_;
  std::vector<Endpoint> leaders_;
  std::vector<std::vector<ProduceBody>> bodies_;  // per leader in turn, else one list of all
  std::vector<std::unique_ptr<ProduceLane>> lanes_;
  std::vector<bool> watching_;
  Poller poller_;
};

}  // namespace millrace::bench
