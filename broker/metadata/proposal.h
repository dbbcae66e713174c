// What brokers tell each other to change the metadata, and who judges it.
//
// Any broker decides on its own image, which holds everything committed in front of some offset,
// and proposes the records with that offset to the leader of the metadata log. The leader appends
// them if its log ends there, and otherwise says where it ends: the asker waits until it has
// applied as much and decides again. So a proposal can be appended at one offset only, and whether
// it was can be seen there: each carries an id (records.h, to_batch).
#pragma once

#include <cstdint>
#include <deque>
#include <string>

#include "broker/metadata/records.h"
#include "common/clock.h"

namespace millrace::metadata {

struct Proposal {
  model::BrokerId from{-1};
  /// The end of what it was decided on.
  model::Offset base;
  /// One batch with an id; empty: only asks whether nothing is newer than `base`.
  common::Bytes batch;
  /// The newest of the metadata log that the asker has heard of: a leader of an older one is
  /// deposed and does not know it.
  model::Term term;
};

enum class Verdict : std::uint8_t {
  /// The records are committed; or, of a question, nothing is newer.
  kYes = 0,
  /// Not appended: the log goes on to `newest`.
  kStale = 1,
  /// Not appended: it is another broker's turn. Ask again in a moment.
  kBusy = 2,
  /// Not appended: this broker does not lead.
  kNotLeader = 3,
  /// Not appended, and never will be: see `error`.
  kRefused = 4,
  /// Perhaps appended: leadership was lost before it was known.
  kUnknown = 5,
};

struct ProposalAnswer {
  Verdict verdict = Verdict::kNotLeader;
  model::Offset newest;
  model::ErrorCode error = model::ErrorCode::kNone;
  std::string detail;
};

common::Bytes encode(const Proposal& proposal);
common::Bytes encode(const ProposalAnswer& answer);
/// kCorruptMessage: not such. Safe on any bytes.
Result<Proposal> read_proposal(const common::Bytes& bytes);
Result<ProposalAnswer> read_answer(common::ByteView bytes);

/// Whether a proposed batch is one that may go into the log: whole, uncompressed, undamaged, with
/// an id, and of records that can be read here, none of them of a snapshot. kCorruptMessage,
/// kInvalidRecord, kMessageTooLarge, kUnsupportedVersion.
Result<void> check_batch(common::ByteView batch);
/// No decision comes near: the largest is the creation of 10,000 partitions.
inline constexpr std::size_t kProposalBytesMax = 16 << 20;

/// Where a leader's log is at the moment of a judgement.
struct LogPosition {
  model::Offset end;
  common::Instant now;
};

/// Of the leader: takes what was decided on the newest state, and sees to it that everybody's turn
/// comes. A broker that was too late gets the next turn, in order of arrival, for a while in which
/// nobody else may append; or one that sits beside the log would always be quicker.
class ProposalGate {
 public:
  explicit ProposalGate(common::Duration turn) : turn_(turn) {}

  /// kYes: append it now (of a question: answer so). Otherwise kStale, kBusy or kNotLeader (the
  /// asker has seen a newer leader's log).
  Verdict judge(const Proposal& proposal, const LogPosition& log);
  /// Nobody appends while it is shut: a snapshot is being written.
  void shut() { shut_ = true; }
  void open() { shut_ = false; }
  /// Another leader: who waits asks there.
  void clear();

 private:
  struct Turn {
    model::BrokerId broker;
    common::Instant until;
  };
  bool is_turn_of(model::BrokerId broker, common::Instant now);
  void enqueue(model::BrokerId broker, common::Instant now);
  void done(model::BrokerId broker, common::Instant now);

  const common::Duration turn_;
  std::deque<Turn> turns_;  // the front one has it
  bool shut_ = false;
};
/// More brokers do not queue; they compete.
inline constexpr std::size_t kTurnsMax = 64;

}  // namespace millrace::metadata
