// Proposer proposer(settings, random, now);
// for (;;) switch (proposer.next(now, applied).act) { ... }
//
// One change on its way from the decision to the log, on the broker that was asked for it. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "broker/metadata/proposal.h"
#include "common/random.h"

namespace millrace::metadata {

struct ProposerSettings {
  /// How long one change may take in all.
  common::Duration patience = std::chrono::seconds(15);
  /// Between questions that were not answered, at first and at most; drawn from half of it to all.
  common::Duration retry = std::chrono::milliseconds(20);
  common::Duration retry_max = std::chrono::milliseconds(500);
  /// Times that others may be quicker.
  int decisions_max = 200;
};

/// How much depends on a leader's word that a decision without records was made on the newest
/// state.
enum class Question : std::uint8_t {
  kIfPossible,  // without a leader the decision stands
  kStrict,
};

/// States and what leads from one to the next:
///
///   deciding -> proposing: decided()
///   proposing -> done: a question was answered, or need not be; its own batch was applied
///   proposing -> deciding: something else is at its place in the log, or will be
///   any -> failed: the time is over; others were quicker too often; the leader refuses it for good
///   (what is known to be committed never fails: where the time is over before it was seen, it is
///   done)
///
/// A proposal whose answer was lost is sent again, the same bytes for the same offset, until
/// something is applied at that offset; only then is it known, and only then is it decided again.
/// So a change happens once at most, and one that happened is reported as such.
class Proposer {
 public:
  Proposer(const ProposerSettings& settings, common::Random& random, common::Instant now);

  enum class Act : std::uint8_t {
    kDecide,  // decide on the image, then decided()
    kSend,    // propose to whoever leads, with sent(); or no_leader()
    kWait,    // until `until`, or until something happens
    kDone,
    kFail,  // with `error`
  };
  struct Step {
    Act act = Act::kWait;
    common::Instant until{};
    std::optional<common::Error> error;
  };
  /// `applied`: the end of what this broker's images hold.
  Step next(common::Instant now, model::Offset applied);

  /// The decision has records: they go under `id`. Zero: it has none, or refused: then the leader
  /// is asked whether it was made on the newest state.
  void decided(model::Offset base, const common::Uuid& id,
               Question question = Question::kIfPossible);
  model::Offset base() const { return base_; }
  const common::Uuid& id() const { return id_; }

  /// The proposal is under way; the number is for answered() and unanswered().
  std::uint64_t sent();
  void no_leader(common::Instant now);
  void answered(std::uint64_t call, const ProposalAnswer& answer, common::Instant now);
  /// Lost, late, or the connection broke. kBrokerNotAvailable and kMemoryExhausted say that it was
  /// not even sent.
  void unanswered(std::uint64_t call, const common::Error& why, common::Instant now);
  /// A batch was applied, on all shards, in order of the log.
  void applied(model::Offset base, const common::Uuid& id);
  /// The log begins anew at `start`, with a snapshot: what was in front is not seen.
  void skipped_to(model::Offset start);

 private:
  enum class State : std::uint8_t { kDeciding, kProposing, kDone, kFailed };
  bool is_question() const { return id_.is_zero(); }
  /// Nobody can be asked now. True: that does not matter.
  bool gave_up_asking();
  void back_off(common::Instant now);
  void decide_again();
  void fail(model::ErrorCode code, std::string detail);
  void time_is_over();

  const ProposerSettings& settings_;
  common::Random& random_;
  const common::Instant deadline_;
  State state_ = State::kDeciding;
  model::Offset base_;
  common::Uuid id_;
  Question question_ = Question::kIfPossible;
  /// Decide only on what holds everything in front of this...
  model::Offset wanted_;
  /// ... or once this is over: a leader's log may lose its end.
  common::Instant wanted_until_{};
  /// It may be in the log; it is.
  bool doubtful_ = false;
  bool committed_ = false;
  bool in_call_ = false;
  std::uint64_t call_ = 0;
  common::Instant retry_at_{};
  common::Duration backoff_;
  int decisions_ = 0;
  std::string trouble_ = "no broker leads the metadata log";
  std::optional<common::Error> error_;
};

}  // namespace millrace::metadata
