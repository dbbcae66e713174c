// Bounds and times of Raft groups.
#pragma once

#include <cstdint>

#include "broker/model/topic_settings.h"
#include "broker/raft/contacts.h"
#include "common/clock.h"

namespace millrace::raft {

using model::FlushMode;

/// The same for all groups of a shard; outlives them.
struct Settings {
  /// raft.election.timeout.ms. A candidate waits half to once as long; a replica that knows of no
  /// leader once to twice as long; a leader counts on nobody who has not answered for that long.
  Duration election_timeout = std::chrono::milliseconds(1000);
  /// Those who lost their leader stand at a random moment within this.
  Duration election_spread = std::chrono::milliseconds(200);
  /// What was not answered for so long is asked about; doubled each time, up to the maximum.
  Duration retry = std::chrono::milliseconds(300);
  Duration retry_max = std::chrono::seconds(5);
  /// A commit offset that no data carries to the followers goes by itself after this; where nobody
  /// waits for it there (CommitNews::kLazy), after that.
  Duration commit_delay = std::chrono::milliseconds(10);
  Duration commit_delay_lazy = std::chrono::milliseconds(100);
  /// replica.lag.time.max.ms: in sync is who had all that was there this long ago.
  Duration in_sync_lag = std::chrono::seconds(10);
  /// A learner may become a voter when at most so many records are missing.
  std::int64_t promotion_lag_max = 1000;
  std::uint32_t append_bytes_max = 1 << 20;
  std::uint32_t inflight_bytes_max = 8 << 20;
  /// At most kInflightMax.
  std::uint32_t inflight_messages_max = 16;
  /// nullptr: nothing is known of other brokers, and a leader that needs some has no lease.
  const Contacts* contacts = nullptr;
};

/// How soon followers must hear of what is committed. Each time costs a message and an answer for
/// each of them, as much as a small batch does.
enum class CommitNews : std::uint8_t { kPrompt, kLazy };

/// Of one group. May change while it runs.
struct GroupSettings {
  FlushMode flush = FlushMode::kStrict;
  /// min.insync.replicas: how many voters must have a write before it is acknowledged, where that
  /// is more than a majority.
  std::uint32_t min_insync = 1;
  CommitNews commit_news = CommitNews::kPrompt;
};

}  // namespace millrace::raft
