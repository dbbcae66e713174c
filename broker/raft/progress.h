// What a leader knows of one other replica, and what is on its way there.
#pragma once

#include <array>
#include <cstdint>

#include "broker/raft/position.h"
#include "broker/raft/settings.h"
#include "broker/raft/voters.h"

namespace millrace::raft {

inline constexpr Instant kNever = Instant::max();
inline constexpr std::size_t kInflightMax = 16;

/// kProbe: where the logs part is not known, one question at a time. kReplicate: pushed without
/// waiting, within bounds. kInstall: its log must begin anew.
///
///   kProbe -> kReplicate: it answers with a position that both have
///   kProbe -> kInstall: both have none that lies in this log
///   kInstall -> kReplicate: it began anew
///   any -> kProbe: no answer for a while, or the broker came back; kReplicate also when something
///   does not fit
struct Progress {
  enum class State : std::uint8_t { kProbe, kReplicate, kInstall };
  struct Inflight {
    Offset end;
    std::uint32_t bytes;
  };

  ReplicaId id;
  State state = State::kProbe;
  /// kProbe: a question is out. kInstall: the message is out.
  bool asked = false;
  bool fetching = false;
  /// It was heard of in the leader's term.
  bool in_term = false;
  /// It did not answer for an election timeout.
  bool silent = false;
  bool unclean = false;
  /// What it promised last, in this term.
  Trust trust = Trust::kNone;
  std::uint8_t inflight_count = 0;
  std::uint8_t inflight_first = 0;
  std::uint32_t fetch_id = 0;
  std::uint32_t incarnation = 0;
  std::uint32_t inflight_bytes = 0;
  /// What was sent ends here.
  Position next;
  /// What it holds durably and as the leader's log ends here.
  Position acked;
  Offset commit_known;
  Offset commit_sent;
  /// It has heard that the leader's log begins here.
  Offset start_known;
  ConfigId config_known;
  ConfigId config_sent;
  Instant waiting_since = kNever;
  Instant retry_at = kNever;
  Duration backoff{0};
  /// It had all that was there at this time.
  Instant caught_up_at{};
  Instant last_reply_at{};
  Offset end_at_last_reply;
  std::array<Inflight, kInflightMax> inflight{};

  bool may_send(const Settings& settings) const;
  void sent(Position end, std::uint32_t bytes);
  /// It answered with what it has: what was on its way up to there is so no more.
  void arrived(Offset acked_end);
  void forget_inflight();
  /// Back to asking, beginning at `from`.
  void probe_from(Position from);
  void note_caught_up(Instant now, Offset log_end);
};

}  // namespace millrace::raft
