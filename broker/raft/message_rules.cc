#include "broker/raft/message_rules.h"

#include <limits>

namespace millrace::raft {
namespace {

constexpr Term kTermMax{std::numeric_limits<std::int32_t>::max()};

bool can_be(Position position) {
  if (position.term < Term{0} || position.offset < Offset{0}) return false;
  return position.term > Term{0} || position.offset == Offset{0};
}

struct Judge {
  Term term;

  bool operator()(const VoteRequest& request) const {
    const Term stands_for = request.ballot == Ballot::kPre ? term + 1 : term;
    return can_be(request.last) && request.candidate_term == stands_for &&
           request.last.term <= term;
  }
  bool operator()(const VoteReply& reply) const { return reply.candidate_term > Term{0}; }
  bool operator()(const Append& append) const {
    const bool has_data = append.to > append.prev.offset;
    return can_be(append.prev) && append.prev.term <= append.term && append.term <= term &&
           append.to >= append.prev.offset && (!has_data || append.term > Term{0}) &&
           (has_data || append.bytes == 0) && append.commit >= Offset{0} &&
           append.log_start >= Offset{0} && append.loss_term >= Term{0} && append.loss_term <= term;
  }
  bool operator()(const Install& install) const {
    return can_be(install.at) && install.at.term <= term && install.first.term == install.at.term &&
           install.first.offset <= install.at.offset && install.first.offset >= Offset{0} &&
           install.loss_term <= term;
  }
  bool operator()(const AppendReply& reply) const {
    if (!can_be(reply.acked) || !can_be(reply.received)) return false;
    if (reply.received < reply.acked || reply.received.term > term) return false;
    if (reply.commit < Offset{0} || reply.start_heard < Offset{0}) return false;
    if (!reply.mismatch.has_value()) return true;
    const AppendReply::Mismatch& mismatch = *reply.mismatch;
    if (!can_be(mismatch.prev) || mismatch.log_start < Offset{0}) return false;
    if (mismatch.log_end < mismatch.log_start) return false;
    if (mismatch.starts.size() > kStartsPerReply) return false;
    for (std::size_t i = 0; i < mismatch.starts.size(); ++i) {
      const TermStart& start = mismatch.starts[i];
      if (start.term <= Term{0} || start.offset > mismatch.log_end) return false;
      if (i > 0 && start.term <= mismatch.starts[i - 1].term) return false;
      if (i > 0 && start.offset <= mismatch.starts[i - 1].offset) return false;
    }
    return true;
  }
  bool operator()(const TimeoutNow&) const { return true; }
};

}  // namespace

bool is_sound(const Message& message) {
  if (message.term < Term{0} || message.term >= kTermMax) return false;
  if (message.from.node < model::BrokerId{0} || message.from == message.to) return false;
  if (message.config.has_value()) {
    if (!message.config->is_sound()) return false;
    if (message.config->id.term > message.term) return false;
  }
  return std::visit(Judge{message.term}, message.body);
}

}  // namespace millrace::raft
