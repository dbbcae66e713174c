// RandomRun run({.seed = 7});   const std::string wrong = run.go();
//
// Clients that write to one partition on three brokers, while brokers die, links break, leaders
// move and logs are trimmed, all at random; with checks while it goes on and at the end. A seed is
// a run.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "broker/replica/testing/client.h"
#include "broker/replica/testing/cluster.h"

namespace millrace::replica::testing {

struct RunOptions {
  std::uint64_t seed = 1;
  int steps = 150;
  model::FlushMode flush = model::FlushMode::kStrict;
  /// Prints what happens.
  bool trace = false;
};

/// What a run was worth.
struct RunStats {
  std::size_t acknowledged = 0;
  std::size_t crashes = 0;
  std::size_t terms = 0;
  std::size_t installs = 0;
  std::size_t unclean_elections = 0;
  /// Whose producers were compared with their whole log.
  std::size_t leaders_looked_at = 0;
};

class RandomRun {
 public:
  explicit RandomRun(const RunOptions& options);
  /// What was wrong; empty: nothing.
  std::string go();
  const RunStats& stats() const { return stats_; }
  std::uint64_t digest() const { return cluster_->world.digest(); }

 private:
  void trace(const std::string& what);
  void act();
  void act_on_process();
  void act_on_network();
  void act_on_group();
  void end_process(Node node);
  void note_process(Node node);
  void look();
  void look_at_producers(Node leader);
  void look_at_logs();
  void check_committed(const std::vector<Bytes>& batches, Node node);
  void come_to_rest();
  void check_end();
  void check_log(Node node, const std::vector<Bytes>& batches);
  bool relaxed() const { return options_.flush == model::FlushMode::kRelaxed; }
  /// Then acknowledged records may be gone, and producers know less.
  bool lost_something() const { return stats_.unclean_elections > 0; }
  void fail(std::string what) {
    if (failure_.empty()) failure_ = std::move(what);
  }
  Node any() { return static_cast<Node>(random_.below(cluster_->options().nodes)); }

  const RunOptions options_;
  common::Random random_;
  std::unique_ptr<Cluster> cluster_;
  std::vector<std::unique_ptr<Client>> clients_;
  std::string failure_;
  RunStats stats_;
  std::map<Term, Node> leaders_;
  /// The newest term that a confirmed leader was seen in, and the most that any has shown.
  Term newest_;
  Offset shown_;
  /// What was seen as committed: base offset and the batch's checksum.
  std::map<Offset, std::uint32_t> committed_;
};

}  // namespace millrace::replica::testing
