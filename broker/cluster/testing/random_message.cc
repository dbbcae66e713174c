#include "broker/cluster/testing/random_message.h"

#include <limits>
#include <tuple>

namespace millrace::cluster::testing {
namespace {

using common::Random;

/// Of any length in bits.
std::int64_t number(Random& random) {
  const auto value = static_cast<std::int64_t>(random.next() >> random.below(64));
  return random.chance(1, 8) ? -value : value;
}
std::int32_t number32(Random& random) {
  return static_cast<std::int32_t>(random.next() >> (32 + random.below(32)));
}
std::uint32_t count32(Random& random) {
  return static_cast<std::uint32_t>(random.next() >> (32 + random.below(32)));
}
bool coin(Random& random) {
  return random.chance(1, 2);
}
raft::Position position(Random& random) {
  return {model::Term{number32(random)}, model::Offset{number(random)}};
}
raft::TermStart start(Random& random) {
  return {model::Term{number32(random)}, model::Offset{number(random)}};
}
raft::ReplicaId replica(Random& random) {
  return {model::BrokerId{number32(random)}, common::Uuid::random(random)};
}
raft::VoterSet config(Random& random) {
  raft::VoterSet config;
  config.id = {model::Term{number32(random)}, number(random)};
  for (std::uint64_t i = random.below(raft::kReplicasMax + 1); i > 0; --i)
    config.voters.push_back(replica(random));
  for (std::uint64_t i = random.below(raft::kReplicasMax + 1); i > 0; --i)
    config.learners.push_back(replica(random));
  return config;
}

raft::AppendReply append_reply(Random& random) {
  raft::AppendReply reply{.acked = position(random),
                          .received = position(random),
                          .commit = model::Offset{number(random)},
                          .start_heard = model::Offset{number(random)},
                          .incarnation = count32(random),
                          .unclean = coin(random)};
  if (coin(random)) reply.trust = raft::Trust{random.next()};
  if (coin(random)) return reply;
  raft::AppendReply::Mismatch mismatch;
  mismatch.prev = position(random);
  mismatch.log_start = model::Offset{number(random)};
  mismatch.log_end = model::Offset{number(random)};
  for (std::uint64_t i = random.below(raft::kStartsPerReply + 1); i > 0; --i)
    mismatch.starts.push_back(start(random));
  reply.mismatch = std::move(mismatch);
  return reply;
}

raft::Append append(Random& random) {
  return {.prev = position(random),
          .term = model::Term{number32(random)},
          .to = model::Offset{number(random)},
          .bytes = count32(random),
          .commit = model::Offset{number(random)},
          .commit_confirmed = coin(random),
          .log_start = model::Offset{number(random)},
          .loss_term = model::Term{number32(random)},
          .incarnation = count32(random),
          .probe = coin(random)};
}

raft::Ballot ballot(Random& random) {
  return coin(random) ? raft::Ballot::kPre : raft::Ballot::kReal;
}

struct Same {
  template <typename Left, typename Right>
  bool operator()(const Left&, const Right&) const {
    return false;
  }
  bool operator()(const raft::VoteRequest& a, const raft::VoteRequest& b) const {
    return std::tie(a.ballot, a.candidate_term, a.last, a.handed_over) ==
           std::tie(b.ballot, b.candidate_term, b.last, b.handed_over);
  }
  bool operator()(const raft::VoteReply& a, const raft::VoteReply& b) const {
    return std::tie(a.ballot, a.candidate_term, a.granted, a.unclean) ==
           std::tie(b.ballot, b.candidate_term, b.granted, b.unclean);
  }
  bool operator()(const raft::Append& a, const raft::Append& b) const {
    return std::tie(a.prev, a.term, a.to, a.bytes, a.commit, a.commit_confirmed, a.log_start,
                    a.loss_term, a.incarnation, a.probe) ==
           std::tie(b.prev, b.term, b.to, b.bytes, b.commit, b.commit_confirmed, b.log_start,
                    b.loss_term, b.incarnation, b.probe);
  }
  bool operator()(const raft::Install& a, const raft::Install& b) const {
    return std::tie(a.at, a.first, a.loss_term) == std::tie(b.at, b.first, b.loss_term);
  }
  bool operator()(const raft::AppendReply& a, const raft::AppendReply& b) const {
    if (std::tie(a.acked, a.received, a.commit, a.start_heard, a.incarnation, a.unclean, a.trust) !=
        std::tie(b.acked, b.received, b.commit, b.start_heard, b.incarnation, b.unclean, b.trust))
      return false;
    if (a.mismatch.has_value() != b.mismatch.has_value()) return false;
    if (!a.mismatch.has_value()) return true;
    return std::tie(a.mismatch->prev, a.mismatch->log_start, a.mismatch->log_end,
                    a.mismatch->starts) == std::tie(b.mismatch->prev, b.mismatch->log_start,
                                                    b.mismatch->log_end, b.mismatch->starts);
  }
  bool operator()(const raft::TimeoutNow&, const raft::TimeoutNow&) const { return true; }
};

}  // namespace

model::PartitionKey random_key(Random& random) {
  return {common::Uuid::random(random),
          model::PartitionIndex{static_cast<std::int32_t>(random.below(1U << random.below(31)))}};
}

raft::Message random_message(Random& random) {
  raft::Message message;
  message.term = model::Term{number32(random)};
  message.config_id = {model::Term{number32(random)}, number(random)};
  if (random.chance(1, 4)) message.config = config(random);
  switch (random.below(6)) {
    case 0:
      message.body = raft::VoteRequest{ballot(random), model::Term{number32(random)},
                                       position(random), coin(random)};
      break;
    case 1:
      message.body = raft::VoteReply{ballot(random), model::Term{number32(random)}, coin(random),
                                     coin(random)};
      break;
    case 2:
      message.body = append(random);
      break;
    case 3:
      message.body = raft::Install{position(random), start(random), model::Term{number32(random)}};
      break;
    case 4:
      message.body = append_reply(random);
      break;
    default:
      message.body = raft::TimeoutNow{};
  }
  return message;
}

bool same(const raft::Message& left, const raft::Message& right) {
  return left.term == right.term && left.config_id == right.config_id &&
         left.config == right.config && std::visit(Same{}, left.body, right.body);
}

}  // namespace millrace::cluster::testing
