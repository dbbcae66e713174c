#include "broker/replica/testing/client.h"

#include <fmt/format.h>

namespace millrace::replica::testing {

using model::ErrorCode;

Client::Client(Cluster& cluster, const ClientOptions& options)
    : cluster_(cluster), options_(options), producer_(options.producer), random_(options.seed) {}

void Client::begin() {
  act();
}

void Client::act() {
  const common::Instant now = cluster_.world.clock().now();
  if (!waiting_.empty() && now - round_began_ > options_.timeout) start_over();
  if (!ending_ && waiting_.size() < options_.inflight_max) {
    const auto count = static_cast<std::int32_t>(1 + random_.below(3));
    waiting_.push_back({.sequence = next_sequence_,
                        .count = count,
                        .text = fmt::format("p{}n{}", options_.producer, number_++)});
    next_sequence_ += count;
  }
  for (std::size_t i = 0; i < waiting_.size(); ++i) {
    if (!waiting_[i].sent) send(i);
  }
  const common::Duration pause{static_cast<common::Duration::rep>(
      random_.below(2 * static_cast<std::uint64_t>(options_.pause.count())))};
  cluster_.world.schedule(nullptr, pause, [this] { act(); });
}

void Client::send(std::size_t at) {
  Waiting& one = waiting_[at];
  one.sent = true;
  if (at == 0) round_began_ = cluster_.world.clock().now();
  Bytes bytes = batch({.count = one.count,
                       .producer = producer_,
                       .sequence = one.sequence,
                       .text = one.text,
                       .padding = random_.below(300)});
  // A retry is the same batch, whatever its bytes: the sequence tells.
  cluster_.on(target_, [this, to = target_, round = round_, sequence = one.sequence,
                        bytes = std::move(bytes)]() mutable {
    cluster_.at(to).append(std::move(bytes), {}, [this, round, sequence](AppendOutcome outcome) {
      // As it would come over a socket: later.
      cluster_.world.schedule(nullptr, std::chrono::microseconds(50),
                              [this, round, sequence, outcome = std::move(outcome)] {
                                answered(round, sequence, outcome);
                              });
    });
  });
}

void Client::answered(std::uint64_t round, std::int32_t sequence, const AppendOutcome& outcome) {
  if (round != round_ || waiting_.empty()) return;
  if (!outcome.error.has_value()) {
    // Answers come in the order of the appends.
    if (waiting_.front().sequence != sequence) return;
    acknowledged_.push_back(
        {.offset = outcome.appended.base_offset, .text = waiting_.front().text});
    waiting_.pop_front();
    round_began_ = cluster_.world.clock().now();
    return;
  }
  const ErrorCode code = outcome.error->code;
  const bool retriable = model::error_row(code).retriable || code == ErrorCode::kShuttingDown;
  // A later one follows one that was refused.
  const bool first = waiting_.front().sequence == sequence;
  if (first && code == ErrorCode::kOutOfOrderSequenceNumber && options_.loss_expected) {
    become_another();
  } else if (!retriable && (first || code != ErrorCode::kOutOfOrderSequenceNumber) &&
             failure_.empty()) {
    failure_ = fmt::format("producer {} was told at sequence {}: {}", options_.producer, sequence,
                           outcome.error->detail);
  }
  start_over();
}

void Client::become_another() {
  producer_ = producer_ + 1000;
  next_sequence_ = 0;
  for (Waiting& one : waiting_) {
    one.sequence = next_sequence_;
    next_sequence_ += one.count;
  }
}

void Client::start_over() {
  ++round_;
  round_began_ = cluster_.world.clock().now();
  for (Waiting& one : waiting_) one.sent = false;
  const auto leader = cluster_.leader();
  target_ = leader.has_value() && random_.chance(3, 4)
                ? *leader
                : static_cast<Node>(random_.below(cluster_.options().nodes));
}

}  // namespace millrace::replica::testing
