// The kinds of load. Each runs once, prints one JSON line and returns the exit code: 0 only when
// every answer was there and none named an error.
#pragma once

#include "bench/load/options.h"

namespace millrace::bench {

/// Closed loop: every connection keeps options.in_flight requests under way.
int run_produce(const Options& options);
/// Open loop: requests leave at their intended times whatever the answers do, and latency counts
/// from those times.
int run_rate(const Options& options);
/// Reads partitions as fast as the broker gives them. Checks that batches join without a gap.
int run_fetch(const Options& options);
/// Tries to connect, create the topic and produce until one produce is acknowledged; prints when
/// that was.
int run_first_produce(const Options& options);

/// Members that only live: the price of their heartbeats.
int run_group_idle(const Options& options);
/// One member leaves and joins again and again: how long until all members have partitions anew.
int run_group_rebalance(const Options& options);
/// Open loop: committed offsets at their intended times.
int run_commits(const Options& options);

/// Prints what one broker of the cluster knows of the topic: leaders, replicas, which are in sync.
int run_describe(const Options& options);
/// Every partition is written by a client of its own, one request at a time, that looks for the
/// leader again whenever a request fails or another broker leads: the longest pauses between
/// acknowledgements, and when they were. SIGTERM ends it: each partition brings the request that is
/// under way to its end, so a pause that has begun is measured whole.
int run_gaps(const Options& options);

}  // namespace millrace::bench
