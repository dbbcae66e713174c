#include "broker/raft/testing/oracle.h"

#include <fmt/format.h>

#include <algorithm>

#include "broker/raft/testing/text.h"

namespace millrace::raft {

std::uint64_t Oracle::committed_chain(Offset end) const {
  return end == Offset{0} ? 0 : committed_[static_cast<std::size_t>(end.value()) - 1];
}

void Oracle::observe(Shell& shell) {
  const Shell::Output& output = shell.output();
  check_written(shell);
  check_config(shell);
  for (const Notice what : output.notices) {
    if (what == Notice::kUncleanElection) note_lossy_election(shell);
    if (what == Notice::kLostCommitted) {
      if (strict()) fail(fmt::format("{} lost what was committed", to_text(shell.id())));
      shown_[shell.id()] = shell.group().commit();
    }
  }
  for (const RoleChange& role : output.roles) check_role(shell, role);
  if (output.commit.has_value()) check_commit(shell, *output.commit);
  if (output.acknowledged.has_value() && strict()) {
    const std::size_t wanted =
        std::max<std::size_t>(shell.group().config().majority(), group_settings_.min_insync);
    check_majority(shell, *output.acknowledged, wanted, "acknowledged");
  }
}

/// Log matching: whoever writes a record of a term at an offset has the same in front of it; and
/// offsets are dense, as the images only take what joins their end.
void Oracle::check_written(Shell& shell) {
  for (const Shell::Written& range : shell.written()) {
    for (Offset offset = range.from; offset < range.to; ++offset) {
      if (offset < shell.log().start || offset >= shell.log().end()) continue;
      const Entry& entry =
          shell.log().entries[static_cast<std::size_t>(offset - shell.log().start)];
      const std::uint64_t key = (static_cast<std::uint64_t>(entry.term.value()) << 40) |
                                static_cast<std::uint64_t>(offset.value());
      const auto [found, fresh] = written_.emplace(key, entry.chain);
      if (!fresh && (range.own || found->second != entry.chain)) {
        fail(fmt::format("{} writes {} in term {} otherwise than it was written",
                         to_text(shell.id()), offset, entry.term));
      }
      if (fresh && !range.own) {
        fail(fmt::format("{} got {} of term {} that no leader wrote", to_text(shell.id()), offset,
                         entry.term));
      }
    }
  }
  shell.written().clear();
}

void Oracle::check_role(const Shell& shell, const RoleChange& role) {
  if (role.role != Role::kLeader) return;
  const auto [known, fresh] = leaders_.emplace(role.term, shell.id());
  if (known->second != shell.id()) {
    fail(fmt::format("{} and {} both lead in term {}", to_text(known->second), to_text(shell.id()),
                     role.term));
  }
  // Leader completeness. What leaders of later terms committed since is not its business.
  if (fresh && role.term == leaders_.rbegin()->first &&
      !shell.log().holds(committed(), committed_chain(committed()))) {
    fail(fmt::format("{} leads in term {} without what is committed up to {}: {}",
                     to_text(shell.id()), role.term, committed(), to_text(shell.group().log())));
  }
  if (role.confirmed && role.term > newest_confirmed_) {
    newest_confirmed_ = role.term;
    if (role.term == leaders_.rbegin()->first && shell.group().commit() < committed()) {
      fail(fmt::format("{} serves reads up to {}, others have shown {}", to_text(shell.id()),
                       shell.group().commit(), committed()));
    }
  }
}

void Oracle::check_commit(const Shell& shell, Offset commit) {
  Offset& shown = shown_[shell.id()];
  if (commit < shown) {
    fail(fmt::format("the high watermark of {} falls from {} to {}", to_text(shell.id()), shown,
                     commit));
  }
  // Who has not heard of an unclean election yet still goes by what was committed before it.
  if (shell.group().log().last().term < loss_term_) {
    shown = commit;
    return;
  }
  const LogImage& log = shell.log();
  for (Offset offset = std::max(shown, log.start); offset < commit; ++offset) {
    const std::uint64_t chain = log.chain_at(offset + 1);
    if (offset < committed()) {
      if (committed_chain(offset + 1) != chain) {
        fail(fmt::format("{} has another record at {} than was committed", to_text(shell.id()),
                         offset));
        return;
      }
    } else if (offset == committed()) {
      committed_.push_back(chain);
    }
  }
  shown = commit;
  if (shell.group().role() == Role::kLeader && strict())
    check_majority(shell, commit, shell.group().config().majority(), "committed");
}

void Oracle::check_majority(const Shell& shell, Offset end, std::size_t wanted, const char* what) {
  if (end > committed()) return fail(fmt::format("{} {} {}", to_text(shell.id()), what, end));
  const std::uint64_t chain = committed_chain(end);
  std::size_t holders = 0;
  for (const ReplicaId& voter : shell.group().config().voters) {
    const Shell* replica = replicas_.find(voter);
    holders += replica != nullptr && replica->disk_log().holds(end, chain) ? 1 : 0;
  }
  if (holders < wanted) {
    fail(fmt::format("{} {} {}, which {} voters of {} have on disk", to_text(shell.id()), what, end,
                     holders, to_text(shell.group().config())));
  }
}

void Oracle::check_config(const Shell& shell) {
  const VoterSet& config = shell.group().config();
  if (config.id.version == 0) return;
  const auto [known, fresh] = configs_.emplace(config.id, config);
  if (!fresh) {
    if (known->second != config) {
      fail(fmt::format("two voter sets are called {}.{}", config.id.term, config.id.version));
    }
    return;
  }
  // A set comes from the one before it in the same term, or was taken over into a new term.
  const auto before = configs_.find({config.id.term, config.id.version - 1});
  if (before != configs_.end() && voters_changed(before->second, config) > 1) {
    fail(fmt::format("{} comes right after {}", to_text(config), to_text(before->second)));
  }
}

/// Only where a majority had lost something may what was committed go, and only down to what the
/// furthest log has.
void Oracle::note_lossy_election(const Shell& shell) {
  ++lossy_elections_;
  loss_term_ = std::max(loss_term_, shell.group().term());
  const VoterSet& config = shell.group().config();
  std::size_t clean = 0;
  for (const ReplicaId& voter : config.voters) {
    const Shell* replica = replicas_.find(voter);
    if (voter == shell.id() || replica == nullptr || !replica->running()) continue;
    clean += replica->group().unclean() ? 0 : 1;
  }
  if (strict() || clean >= config.majority()) {
    fail(fmt::format("{} won an unclean election that {} clean voters could have decided",
                     to_text(shell.id()), clean));
  }
  const LogImage& log = shell.log();
  while (!committed_.empty() && !log.holds(committed(), committed_chain(committed())))
    committed_.pop_back();
  for (auto& [id, shown] : shown_) shown = std::min(shown, committed());
}

void Oracle::compare(const Shell& left, const Shell& right) {
  if (left.log().end() != right.log().end() ||
      !left.log().holds(right.log().end(), right.log().chain_at(right.log().end()))) {
    fail(fmt::format("{} {} and {} {} stay different", to_text(left.id()),
                     to_text(left.group().log()), to_text(right.id()),
                     to_text(right.group().log())));
  }
}

}  // namespace millrace::raft
