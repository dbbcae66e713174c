#include "broker/metadata/proposer.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "common/check.h"

namespace millrace::metadata {

using model::ErrorCode;

Proposer::Proposer(const ProposerSettings& settings, common::Random& random, common::Instant now)
    : settings_(settings),
      random_(random),
      deadline_(now + settings.patience),
      backoff_(settings.retry) {
  CHECK(settings.retry.count() > 1);
  CHECK(settings.decisions_max > 0);
}

void Proposer::fail(ErrorCode code, std::string detail) {
  state_ = State::kFailed;
  error_ = common::Error{code, std::move(detail)};
}

void Proposer::time_is_over() {
  if (committed_) {
    state_ = State::kDone;
    return;
  }
  if (doubtful_ || in_call_) {
    return fail(ErrorCode::kRequestTimedOut,
                fmt::format("It is not known whether the change took place: {}", trouble_));
  }
  fail(ErrorCode::kNotController, fmt::format("Nothing was changed: {}", trouble_));
}

Proposer::Step Proposer::next(common::Instant now, model::Offset applied) {
  if (state_ != State::kDone && state_ != State::kFailed && now >= deadline_) time_is_over();
  if (state_ == State::kDone) return {.act = Act::kDone, .until = {}, .error = {}};
  if (state_ == State::kFailed) return {.act = Act::kFail, .until = {}, .error = error_};
  if (state_ == State::kDeciding) {
    if (applied < wanted_ && now < wanted_until_)
      return {.act = Act::kWait, .until = std::min(deadline_, wanted_until_), .error = {}};
    return {.act = Act::kDecide, .until = {}, .error = {}};
  }
  if (in_call_) return {.act = Act::kWait, .until = deadline_, .error = {}};
  if (now < retry_at_)
    return {.act = Act::kWait, .until = std::min(deadline_, retry_at_), .error = {}};
  return {.act = Act::kSend, .until = {}, .error = {}};
}

void Proposer::decided(model::Offset base, const common::Uuid& id, Question question) {
  CHECK(state_ == State::kDeciding);
  state_ = State::kProposing;
  base_ = base;
  id_ = id;
  question_ = question;
  CHECK(!committed_);
  doubtful_ = false;
  ++decisions_;
}

std::uint64_t Proposer::sent() {
  CHECK(state_ == State::kProposing);
  CHECK(!in_call_);
  in_call_ = true;
  return ++call_;
}

void Proposer::back_off(common::Instant now) {
  const auto half = backoff_.count() / 2;
  retry_at_ = now + common::Duration(random_.between(half, backoff_.count()));
  backoff_ = std::min(backoff_ * 2, settings_.retry_max);
}

void Proposer::decide_again() {
  in_call_ = false;
  ++call_;  // its answer tells nothing any more
  doubtful_ = false;
  retry_at_ = {};
  backoff_ = settings_.retry;
  state_ = State::kDeciding;
  if (decisions_ >= settings_.decisions_max) {
    fail(ErrorCode::kNotController,
         fmt::format("Nothing was changed: others were quicker {} times", decisions_));
  }
}

bool Proposer::gave_up_asking() {
  if (!is_question() || question_ == Question::kStrict) return false;
  state_ = State::kDone;
  return true;
}

void Proposer::no_leader(common::Instant now) {
  CHECK(state_ == State::kProposing);
  trouble_ = "no broker leads the metadata log";
  if (!gave_up_asking()) back_off(now);
}

void Proposer::unanswered(std::uint64_t call, const common::Error& why, common::Instant now) {
  if (call != call_ || state_ != State::kProposing) return;
  in_call_ = false;
  trouble_ = fmt::format("its leader did not answer: {}", why.detail);
  if (gave_up_asking()) return;
  const bool sent =
      why.code != ErrorCode::kBrokerNotAvailable && why.code != ErrorCode::kMemoryExhausted;
  doubtful_ = doubtful_ || (sent && !is_question());
  back_off(now);
}

void Proposer::answered(std::uint64_t call, const ProposalAnswer& answer, common::Instant now) {
  if (call != call_ || state_ != State::kProposing) return;
  in_call_ = false;
  switch (answer.verdict) {
    case Verdict::kYes:
      if (is_question()) {
        state_ = State::kDone;
      } else {
        // On its way to these images.
        committed_ = true;
        retry_at_ = deadline_;
      }
      return;
    case Verdict::kStale:
      trouble_ = "others were quicker";
      if (doubtful_) return back_off(now);  // perhaps it is this itself that is newer
      decide_again();
      wanted_ = answer.newest;
      wanted_until_ = now + settings_.retry_max;
      return;
    case Verdict::kBusy:
      trouble_ = "it was the turn of others";
      return back_off(now);
    case Verdict::kNotLeader:
      trouble_ = "the broker that led the metadata log leads it no more";
      if (!gave_up_asking()) back_off(now);
      return;
    case Verdict::kRefused:
      if (doubtful_) return back_off(now);
      return fail(answer.error, answer.detail);
    case Verdict::kUnknown:
      trouble_ = "the leader lost its leadership";
      doubtful_ = !is_question();
      return back_off(now);
  }
}

void Proposer::applied(model::Offset base, const common::Uuid& id) {
  if (state_ != State::kProposing || is_question() || base < base_) return;
  CHECK(base == base_, "a batch at {} was applied, and not the one at {}", base, base_);
  if (id == id_) {
    state_ = State::kDone;
    return;
  }
  if (committed_) {
    return fail(ErrorCode::kRequestTimedOut,
                "The change was committed, and lost again: a majority of the metadata's voters was "
                "given up");
  }
  decide_again();
}

void Proposer::skipped_to(model::Offset start) {
  if (state_ != State::kProposing || is_question() || start <= base_) return;
  trouble_ = "the part of the log in which it would be was replaced by a snapshot";
  if (committed_ || doubtful_ || in_call_) return time_is_over();
  decide_again();
}

}  // namespace millrace::metadata
