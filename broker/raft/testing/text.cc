#include "broker/raft/testing/text.h"

#include <fmt/format.h>

namespace millrace::raft {
namespace {

std::string list(const std::vector<ReplicaId>& replicas) {
  std::string text;
  for (const ReplicaId& replica : replicas) text += (text.empty() ? "" : ",") + to_text(replica);
  return text;
}

std::string starts_text(const std::vector<TermStart>& starts) {
  std::string text;
  for (const TermStart& start : starts)
    text += fmt::format("{}{}@{}", text.empty() ? "" : ",", start.term, start.offset);
  return text;
}

const char* ballot(Ballot kind) {
  return kind == Ballot::kPre ? "pre-vote" : "vote";
}

struct Body {
  std::string operator()(const VoteRequest& request) const {
    return fmt::format("{}? term={} last={}", ballot(request.ballot), request.candidate_term,
                       to_text(request.last));
  }
  std::string operator()(const VoteReply& reply) const {
    return fmt::format("{} {}{}", ballot(reply.ballot), reply.granted ? "granted" : "refused",
                       reply.unclean ? " unclean" : "");
  }
  std::string operator()(const Append& append) const {
    std::string text = append.probe ? "probe" : "append";
    text += fmt::format(" {}", to_text(append.prev));
    const Position end{append.term, append.to};
    if (end != append.prev) text += fmt::format("..{}", to_text(end));
    text += fmt::format(" commit={}", append.commit);
    if (append.incarnation > 0) text += fmt::format(" incarnation={}", append.incarnation);
    return text;
  }
  std::string operator()(const Install& install) const {
    return fmt::format("install {}", to_text(install.at));
  }
  std::string operator()(const AppendReply& reply) const {
    std::string text = fmt::format("acked={}", to_text(reply.acked));
    if (reply.received != reply.acked) text += fmt::format(" received={}", to_text(reply.received));
    text += fmt::format(" commit={}", reply.commit);
    if (reply.unclean) text += " unclean";
    if (reply.incarnation > 0) text += fmt::format(" incarnation={}", reply.incarnation);
    if (!reply.mismatch.has_value()) return text;
    return fmt::format("has not {}: [{}] {}..{}", to_text(reply.mismatch->prev),
                       starts_text(reply.mismatch->starts), reply.mismatch->log_start,
                       reply.mismatch->log_end);
  }
  std::string operator()(const TimeoutNow&) const { return "stand now"; }
};

}  // namespace

ReplicaId replica_id(int node, int directory) {
  ReplicaId id{.node = model::BrokerId{node}, .directory = {}};
  id.directory.bytes[14] = static_cast<std::uint8_t>(node);
  id.directory.bytes[15] = static_cast<std::uint8_t>(directory + 1);
  return id;
}

std::string to_text(const ReplicaId& replica) {
  if (replica.is_none()) return "-";
  const int directory = replica.directory.bytes[15];
  return directory <= 1 ? fmt::format("{}", replica.node)
                        : fmt::format("{}{}", replica.node, static_cast<char>('a' + directory - 1));
}

std::string to_text(Position position) {
  return fmt::format("{}@{}", position.term, position.offset);
}

std::string to_text(const VoterSet& config) {
  std::string text =
      fmt::format("v{}.{}=[{}]", config.id.term, config.id.version, list(config.voters));
  if (!config.learners.empty()) text += fmt::format("+[{}]", list(config.learners));
  return text;
}

std::string to_text(const Message& message) {
  std::string text = fmt::format("{}->{} t{} {}", to_text(message.from), to_text(message.to),
                                 message.term, std::visit(Body{}, message.body));
  if (message.config.has_value()) text += ' ' + to_text(*message.config);
  return text;
}

std::string to_text(const LogWrite& write) {
  switch (write.kind) {
    case LogWrite::Kind::kTruncate:
      return fmt::format("truncate to {}", write.to);
    case LogWrite::Kind::kTermStart:
      return fmt::format("start term {} at {}", write.start.term, write.start.offset);
    case LogWrite::Kind::kAppend:
      return fmt::format("write {}..{}", write.from, write.to);
    case LogWrite::Kind::kReset:
      return fmt::format("begin anew at {}, term {}", write.to, write.start.term);
  }
  return "?";
}

std::string to_text(const HardState& hard) {
  std::string text =
      fmt::format("term={} vote={} {}", hard.term, to_text(hard.vote), to_text(hard.config));
  if (hard.unclean) text += " unclean";
  if (hard.incarnation > 0) text += fmt::format(" incarnation={}", hard.incarnation);
  if (hard.loss_term > Term{0}) text += fmt::format(" loss={}", hard.loss_term);
  return text;
}

std::string to_text(const RoleChange& role) {
  static constexpr const char* kNames[] = {"follower", "pre-candidate", "candidate", "leader"};
  return fmt::format("{} term={} leader={}{}", kNames[static_cast<int>(role.role)], role.term,
                     to_text(role.leader), role.confirmed ? " confirmed" : "");
}

std::string to_text(Notice notice) {
  static constexpr const char* kNames[] = {"unclean election", "readmitted", "lost committed",
                                           "new voter set"};
  return kNames[static_cast<int>(notice)];
}

std::string to_text(Refusal refusal) {
  static constexpr const char* kNames[] = {"ok",
                                           "not the leader",
                                           "nothing committed in this term",
                                           "voter set not known to a majority",
                                           "committed is not in this set",
                                           "not caught up",
                                           "unknown replica",
                                           "is so already",
                                           "itself",
                                           "too few left that answer",
                                           "too many",
                                           "handing over"};
  return kNames[static_cast<int>(refusal)];
}

std::string to_text(const Outline& log) {
  return fmt::format("[{}] {}..{}", starts_text(log.starts()), log.start(), log.end());
}

}  // namespace millrace::raft
