#include "broker/raft/testing/shell.h"

#include <algorithm>

#include "common/check.h"

namespace millrace::raft {
namespace {

std::uint64_t mix(std::uint64_t chain, std::uint64_t value) {
  std::uint64_t x = chain * 0x9E3779B97F4A7C15ULL + value + 0x7F4A7C15ULL;
  x ^= x >> 31;
  x *= 0xBF58476D1CE4E5B9ULL;
  return x ^ (x >> 29);
}

}  // namespace

std::uint64_t LogImage::chain_at(Offset offset) const {
  CHECK(start <= offset && offset <= end());
  return offset == start ? chain_at_start
                         : entries[static_cast<std::size_t>(offset - start) - 1].chain;
}

bool LogImage::holds(Offset offset, std::uint64_t chain) const {
  if (offset < start) return true;
  return offset <= end() && chain_at(offset) == chain;
}

void LogImage::apply(const LogWrite& write, const Entries* data, std::uint64_t chain) {
  switch (write.kind) {
    case LogWrite::Kind::kTruncate:
      CHECK(start <= write.to && write.to <= end());
      entries.resize(static_cast<std::size_t>(write.to - start));
      while (!starts.empty() && starts.back().offset >= write.to) starts.pop_back();
      return;
    case LogWrite::Kind::kTermStart:
      CHECK(write.start.offset == end(), "a term begins at {}, the log ends at {}",
            write.start.offset, end());
      CHECK(starts.empty() || starts.back().term < write.start.term);
      if (!starts.empty() && starts.back().offset == write.start.offset) starts.pop_back();
      starts.push_back(write.start);
      return;
    case LogWrite::Kind::kAppend:
      CHECK(write.from == end() && data != nullptr);
      CHECK(static_cast<std::int64_t>(data->size()) == write.to - write.from);
      entries.insert(entries.end(), data->begin(), data->end());
      return;
    case LogWrite::Kind::kReset:
      entries.clear();
      start = write.to;
      chain_at_start = chain;
      starts.clear();
      if (write.start != TermStart{}) starts.push_back(write.start);
      return;
  }
}

void LogImage::trim(Offset to) {
  if (to <= start) return;
  chain_at_start = chain_at(to);
  entries.erase(entries.begin(), entries.begin() + (to - start));
  start = to;
  while (starts.size() > 1 && starts[1].offset < start) starts.erase(starts.begin());
}

void Shell::Output::clear() {
  letters.clear();
  writes.clear();
  hard_states.clear();
  commit.reset();
  acknowledged.reset();
  roles.clear();
  notices.clear();
  trim_to.reset();
  start_known.reset();
}

void Shell::format(HardState hard, LogImage log) {
  CHECK(!running());
  disk_hard_ = std::move(hard);
  disk_log_ = std::move(log);
}

void Shell::boot(Instant now, bool lost_suffix) {
  CHECK(!running());
  log_ = disk_log_;
  auto outline = Outline::make(log_.start, log_.end(), log_.starts);
  CHECK(outline.has_value(), "the log on the disk is no log");
  group_ = std::make_unique<Group>(id_, group_settings_, *settings_, *random_,
                                   Start{.hard = disk_hard_,
                                         .log = std::move(*outline),
                                         .commit = log_.start,
                                         .lost_suffix = lost_suffix,
                                         .may_have_promised = !was_away});
  group_->begin(now, ready_);
  absorb(nullptr);
}

void Shell::crash(common::Random& random) {
  const std::size_t log_kept = random.below(log_changes_.size() + 1);
  end(log_kept, random.below(hard_changes_.size() + 1));
}

void Shell::die(Unsynced unsynced) {
  const bool kept = unsynced == Unsynced::kKept;
  end(kept ? log_changes_.size() : 0, kept ? hard_changes_.size() : 0);
}

void Shell::end(std::size_t log_kept, std::size_t hard_kept) {
  CHECK(running());
  for (std::size_t i = 0; i < log_kept; ++i)
    disk_log_.apply(log_changes_[i].write, &log_changes_[i].data, log_changes_[i].chain);
  if (hard_kept > 0) disk_hard_ = hard_changes_[hard_kept - 1].state;
  log_changes_.clear();
  hard_changes_.clear();
  fetches_.clear();
  group_.reset();
  output_.clear();
  written_.clear();
}

void Shell::absorb(const Letter* input) {
  if (ready_.hard_state.has_value()) {
    hard_changes_.push_back({*ready_.hard_state, ready_.ticket});
    output_.hard_states.push_back(*ready_.hard_state);
  }
  for (const LogWrite& write : ready_.writes) {
    LogChange change{write, {}, 0};
    if (write.kind == LogWrite::Kind::kAppend) {
      CHECK(input != nullptr && input->data != nullptr, "data to write, and none came");
      const Offset first = std::get<Append>(input->message.body).prev.offset;
      CHECK(write.from >= first);
      const auto begin = input->data->begin() + (write.from - first);
      change.data.assign(begin, begin + (write.to - write.from));
      written_.push_back({write.from, write.to, false});
    }
    if (write.kind == LogWrite::Kind::kReset) change.chain = input->chain;
    log_.apply(write, &change.data, change.chain);
    log_changes_.push_back(std::move(change));
    output_.writes.push_back(write);
  }
  for (Message& message : ready_.messages)
    output_.letters.push_back({std::move(message), nullptr, 0, 0});
  for (const Fetch& fetch : ready_.fetches) fetches_.push_back(fetch);
  if (ready_.commit.has_value()) output_.commit = ready_.commit;
  if (ready_.acknowledged.has_value()) output_.acknowledged = ready_.acknowledged;
  if (ready_.role.has_value()) output_.roles.push_back(*ready_.role);
  if (ready_.trim_to.has_value()) output_.trim_to = ready_.trim_to;
  if (ready_.start_known.has_value()) output_.start_known = ready_.start_known;
  output_.notices.insert(output_.notices.end(), ready_.notices.begin(), ready_.notices.end());
  ready_.clear();
}

void Shell::step(const Letter& letter, Instant now) {
  group_->step(letter.message, now, ready_);
  absorb(&letter);
}

void Shell::tick(Instant now) {
  group_->tick(now, ready_);
  absorb(nullptr);
}

void Shell::suspect(model::BrokerId node, Instant now) {
  group_->suspect(node, now, ready_);
  absorb(nullptr);
}

void Shell::alive(model::BrokerId node, Instant now) {
  group_->alive(node, now, ready_);
  absorb(nullptr);
}

void Shell::restarted(model::BrokerId node, Instant now) {
  group_->restarted(node, now, ready_);
  absorb(nullptr);
}

void Shell::campaign(Instant now) {
  group_->campaign(now, ready_);
  absorb(nullptr);
}

bool Shell::propose(std::int64_t records, Instant now) {
  if (!group_->accepts_proposals()) return false;
  LogChange change{{.kind = LogWrite::Kind::kAppend,
                    .from = group_->log_end(),
                    .to = group_->log_end() + records,
                    .start = {},
                    .mark = {}},
                   {},
                   0};
  std::uint64_t chain = log_.chain_at(log_.end());
  for (std::int64_t i = 0; i < records; ++i) {
    chain = mix(chain, random_->next());
    change.data.push_back({group_->term(), chain});
  }
  log_.apply(change.write, &change.data, 0);
  written_.push_back({change.write.from, change.write.to, true});
  const Offset to = change.write.to;
  change.write.mark = group_->propose(to, now, ready_);
  log_changes_.push_back(std::move(change));
  absorb(nullptr);
  return true;
}

Refusal Shell::reconfigure(Change change, const ReplicaId& replica, Instant now) {
  const Refusal refused = group_->reconfigure(change, replica, now, ready_);
  absorb(nullptr);
  return refused;
}

Refusal Shell::transfer(const ReplicaId& to, Instant now) {
  const Refusal refused = group_->transfer(to, now, ready_);
  absorb(nullptr);
  return refused;
}

Refusal Shell::recover_alone(Instant now) {
  const Refusal refused = group_->recover_alone(now, ready_);
  absorb(nullptr);
  return refused;
}

void Shell::trim(Offset to, Instant now) {
  if (to <= log_.start) return;
  log_.trim(to);
  group_->trimmed(to, now);
  // On the disk this would have its place behind the changes under way; a crash may lose it.
  if (log_changes_.empty()) disk_log_.trim(to);
}

bool Shell::sync_log(std::size_t changes, Instant now) {
  if (log_changes_.empty()) return false;
  LogMark mark;
  for (std::size_t i = 0; i < changes && !log_changes_.empty(); ++i) {
    const LogChange& change = log_changes_.front();
    disk_log_.apply(change.write, &change.data, change.chain);
    mark = change.write.mark;
    log_changes_.pop_front();
  }
  group_->durable(mark, now, ready_);
  absorb(nullptr);
  return true;
}

bool Shell::sync_hard(Instant now) {
  if (hard_changes_.empty()) return false;
  disk_hard_ = hard_changes_.back().state;
  const std::uint32_t ticket = hard_changes_.back().ticket;
  hard_changes_.clear();
  group_->persisted(ticket, now, ready_);
  absorb(nullptr);
  return true;
}

bool Shell::answer_fetch(std::int64_t records_max, Instant now) {
  if (fetches_.empty()) return false;
  Fetch fetch = fetches_.front();
  fetches_.pop_front();
  if (renews && !group_->renew(fetch)) return true;
  if (fetch.install) {
    const bool sent = group_->install_ready(fetch, log_.start, now, ready_);
    const std::uint64_t chain = log_.chain_at_start;
    absorb(nullptr);
    if (sent) output_.letters.back().chain = chain;
    return true;
  }
  const bool there = fetch.from >= log_.start && fetch.from <= log_.end();
  const Offset limit = std::min(fetch.up_to, log_.end());
  const Offset to = there ? std::min(limit, fetch.from + records_max) : fetch.from;
  auto data = std::make_shared<Entries>();
  if (to > fetch.from) {
    const auto first = log_.entries.begin() + (fetch.from - log_.start);
    data->assign(first, first + (to - fetch.from));
  }
  const bool sent = group_->fetched(fetch, std::max(to, fetch.from),
                                    static_cast<std::uint32_t>(100 * data->size()), now, ready_);
  absorb(nullptr);
  if (sent) output_.letters.back().data = std::move(data);
  return true;
}

}  // namespace millrace::raft
