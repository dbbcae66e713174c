// Client client(cluster, {.producer = ProducerId{1}});   client.begin();   ...
// client.acknowledged()
//
// An idempotent producer that keeps some batches in flight, finds the leader by trying, and sends
// again what was not acknowledged, in order.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "broker/replica/testing/cluster.h"
#include "broker/replica/testing/inspect.h"

namespace millrace::replica::testing {

struct ClientOptions {
  model::ProducerId producer;
  std::uint64_t seed = 1;
  std::size_t inflight_max = 3;
  common::Duration pause = std::chrono::milliseconds(5);
  common::Duration timeout = std::chrono::seconds(2);
  /// What was acknowledged may be lost: it then goes on as another producer.
  bool loss_expected = false;
};

/// One batch that the leader took.
struct Acknowledged {
  Offset offset;
  std::string text;
};

class Client {
 public:
  Client(Cluster& cluster, const ClientOptions& options);
  /// Sends until end() is called.
  void begin();
  /// Sends nothing new; what is not acknowledged is sent again until it is.
  void end() { ending_ = true; }
  bool idle() const { return waiting_.empty(); }

  const std::vector<Acknowledged>& acknowledged() const { return acknowledged_; }
  /// What must never happen, if it did: an answer that no client should get.
  const std::string& failure() const { return failure_; }

 private:
  struct Waiting {
    std::int32_t sequence;
    std::int32_t count;
    std::string text;
    bool sent = false;
  };
  void act();
  void send(std::size_t at);
  void answered(std::uint64_t round, std::int32_t sequence, const AppendOutcome& outcome);
  void start_over();
  void become_another();

  Cluster& cluster_;
  const ClientOptions options_;
  model::ProducerId producer_;
  common::Random random_;
  std::deque<Waiting> waiting_;
  std::int32_t next_sequence_ = 0;
  std::int32_t number_ = 0;
  Node target_ = 0;
  /// Answers of an earlier round are nobody's any more.
  std::uint64_t round_ = 1;
  common::Instant round_began_{};
  bool ending_ = false;
  std::vector<Acknowledged> acknowledged_;
  std::string failure_;
};

}  // namespace millrace::replica::testing
