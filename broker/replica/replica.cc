#include "broker/replica/replica.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "broker/replica/hard_state_codec.h"
#include "broker/replica/replica_turn.h"
#include "common/check.h"

namespace millrace::replica {
namespace {

using common::Error;
using model::ErrorCode;

/// A leader with damage looks for so long.
constexpr auto kHandOverMax = std::chrono::seconds(5);

/// The log's term starts as Raft has them. Versions before groups counted from term 0, which is
/// none in Raft: what was written in it counts as written in term 1, as if that had begun there.
std::vector<raft::TermStart> raft_starts(const std::vector<storage::TermStart>& starts) {
  std::vector<raft::TermStart> converted;
  converted.reserve(starts.size());
  for (const storage::TermStart& start : starts) {
    const Term term = std::max(start.term, Term{1});
    if (converted.empty() || converted.back().term < term)
      converted.push_back({term, start.offset});
  }
  return converted;
}

}  // namespace

Replica::Replica(storage::Log& log, Host& host, const Beginning& beginning, OnNews on_news)
    : log_(log),
      host_(host),
      on_news_(std::move(on_news)),
      name_(fmt::format("{}-{}", log.topic_name(), log.key().index)),
      self_(std::make_shared<Replica*>(this)) {
  auto start = read_back(beginning);
  if (!start.ok()) {
    refusal_ = std::move(start).error();
    return;
  }
  restore_producers(*start);
  group_.emplace(host.self, raft::GroupSettings{}, host.raft, host.random, std::move(*start));
  join_log();
}

Replica::~Replica() {
  close();
  self_.reset();
}

bool Replica::is_alone(const raft::VoterSet& config) const {
  return config.voters.size() == 1 && config.voters.front() == host_.self &&
         config.learners.empty();
}

/// What the log and its state say of this replica; why it can take no part.
Result<raft::Start> Replica::read_back(const Beginning& beginning) {
  StoredState stored;
  const bool blank = log_.state().empty();
  if (blank) {
    stored.hard.config = beginning.first_voters;
  } else {
    TRY_ASSIGN(stored, decode_state(log_.state()));
  }
  others_known_ = !is_alone(stored.hard.config);
  // Nobody else can have cut off what this one has, nor committed anything else.
  Offset commit = others_known_ ? log_.start_offset() : log_.end_offset();
  TRY(producers_.reset({}, commit));
  if (auto damage = log_.damage()) return std::move(*damage);
  auto outline =
      raft::Outline::make(log_.start_offset(), log_.end_offset(), raft_starts(log_.term_starts()));
  if (!outline.has_value())
    return Error{ErrorCode::kCorruptLog, fmt::format("the terms of {} fit no log", name_)};
  if (blank && others_known_ && log_.end_offset() > Offset{0}) {
    return Error{ErrorCode::kCorruptLog,
                 fmt::format("{} has records and no state of a replica", name_)};
  }
  relaxed_ = stored.relaxed;
  relaxed_durable_ = stored.relaxed;
  const bool died_relaxed = stored.relaxed && !beginning.after_clean_stop;
  // What retirement wrote may not be on the disk yet: it is written once more, in front of the
  // first word.
  const bool lost = log_.lost_suffix() || died_relaxed || stored.retired;
  raft::Start start{.hard = std::move(stored.hard),
                    .log = std::move(*outline),
                    .commit = commit,
                    .lost_suffix = !blank && lost};
  if (!raft::Group::is_sound(start))
    return Error{ErrorCode::kCorruptLog,
                 fmt::format("the state of {} is none of a replica", name_)};
  return start;
}

/// From the log, with what was kept of them; also finds out what is known to be committed.
void Replica::restore_producers(raft::Start& start) {
  storage::Log::RecoveredProducers recovered = log_.take_recovered_producers();
  // A state that cannot be read is of a version that this one does not know, as the checkpoint's
  // own checksum held: what follows it rebuilds the rest.
  if (!producers_.reset(recovered.snapshot, Offset{0}).ok())
    CHECK(producers_.reset({}, Offset{0}).ok());
  // A state was kept at the commit offset of its time. With relaxed flush that may have been lost.
  const Offset kept_at = recovered.snapshot.empty() ? Offset{0} : recovered.at;
  start.commit =
      std::min(std::max({start.commit, kept_at, log_.compacted_to()}), log_.end_offset());
  if (kept_at > log_.end_offset()) producers_.cut(log_.end_offset());
  for (const Bytes& piece : recovered.batches_behind) {
    for (common::ByteView rest = piece.view(); !rest.empty();) {
      const auto batch = model::BatchView::parse(rest);
      CHECK(batch.ok(), "{}: recovery handed over a batch that it had checked: {}", name_,
            batch.error().detail);
      // Not the records' own time, which producers choose: one that writes old events would look
      // long idle.
      producers_.append(*batch, host_.clock.wall());
      producers_.commit(std::min(batch->next_offset(), start.commit));
      rest = rest.subspan(batch->size());
    }
  }
  producers_.commit(start.commit);
}

void Replica::join_log() {
  log_.on_checkpoint([weak = std::weak_ptr(self_)]() -> storage::ProducersAt {
    const auto self = weak.lock();
    if (self == nullptr) return {};
    return (*self)->kept_producers();
  });
  log_.on_compaction([weak = std::weak_ptr(self_)]() -> storage::CompactionLimits {
    const auto self = weak.lock();
    if (self == nullptr) return {};
    // A committed record is never taken back.
    return {.up_to = (*self)->commit(), .last_batches = (*self)->producers_.last_batches()};
  });
  // Retention is the leader's; the others follow its log's start.
  log_.on_retention([weak = std::weak_ptr(self_)]() -> Offset {
    const auto self = weak.lock();
    if (self == nullptr || (*self)->closed_ || !(*self)->confirmed()) return Offset{0};
    // What is removed now the others are to hear of.
    (*self)->host_.ticker.call_soon(**self);
    return (*self)->commit();
  });
  // Also where nobody writes, who only reads should find another replica.
  log_.on_damage([weak = std::weak_ptr(self_)] {
    const auto self = weak.lock();
    if (self != nullptr && !(*self)->closed_) (*self)->host_.ticker.call_soon(**self);
  });
}

/// For a checkpoint: as they are at the commit offset, which nothing takes back.
storage::ProducersAt Replica::kept_producers() {
  // Checkpoints come as often as there is much to remember: the right time to forget.
  producers_.expire(host_.clock.wall(), producer_expiration_ms_);
  const Offset start = log_.start_offset();
  // The start may lie inside a batch: then all that is there is read again.
  if (commit() <= start && start < log_.end_offset())
    return {.bytes = producers_.before(std::min(commit(), start)), .at = Offset{0}};
  ProducerHistory::Snapshot snapshot = producers_.at_commit();
  return {.bytes = std::move(snapshot.bytes), .at = snapshot.at};
}

void Replica::begin(const model::TopicSettings& settings) {
  if (!group_.has_value()) {
    // For the group that begins when it is repaired.
    set_settings(settings);
    note("replica-out-of-service", refusal_->detail);
    return on_news_({.out = true});
  }
  // Alone, so that the first state says so already.
  if (!others_known_ && settings.flush_mode == model::FlushMode::kRelaxed) relaxed_ = true;
  run([&](Turn& turn) {
    group_->begin(now(), turn.ready);
    settle_alone(turn);
  });
  if (group_->next_deadline() <= now()) tick(now());
  set_settings(settings);
}

void Replica::close() {
  closed_ = true;
  host_.ticker.forget(*this);
}

// ---- What others ask

bool Replica::accepts_appends() const {
  return group_.has_value() && !closed_ && group_->accepts_proposals();
}

bool Replica::leads() const {
  return group_.has_value() && group_->role() == raft::Role::kLeader;
}

bool Replica::confirmed() const {
  return leads() && (group_->confirmed() || !others_known_);
}

bool Replica::leased() const {
  return leads() && (!others_known_ || group_->leased(now()));
}

bool Replica::enough_in_sync() const {
  if (!leads()) return false;
  return group_->config().voters.size() == 1 || group_->enough_in_sync(now());
}

std::vector<raft::ReplicaId> Replica::in_sync() const {
  return leads() ? group_->in_sync(now()) : std::vector<raft::ReplicaId>{};
}

// ---- What is asked of it

void Replica::append(const Bytes& batch, const model::BatchView& view) {
  CHECK(accepts_appends());
  CHECK(view.base_offset() == group_->log_end() && view.leader_epoch() == group_->term(),
        "{}: a batch at {} of term {}, the log ends at {} in term {}", name_, view.base_offset(),
        view.leader_epoch(), group_->log_end(), group_->term());
  CHECK(log_.end_offset() == group_->log_end(), "{}: the log ends at {}, the group's at {}", name_,
        log_.end_offset(), group_->log_end());
  run([&](Turn& turn) {
    const raft::LogMark mark = group_->propose(view.next_offset(), now(), turn.ready);
    producers_.append(view, host_.clock.wall());
    log_.append(batch, durable_reply(mark));
  });
}

void Replica::trimmed() {
  if (fit()) run([&](Turn& turn) { group_->tick(now(), turn.ready); });
}

void Replica::suspect(model::BrokerId node) {
  if (std::ranges::find(suspects_, node) == suspects_.end()) suspects_.push_back(node);
  if (fit()) run([&](Turn& turn) { group_->suspect(node, now(), turn.ready); });
}

void Replica::alive(model::BrokerId node) {
  if (std::erase(suspects_, node) > 0 && suspects_.empty()) suspects_ = {};
  if (fit()) run([&](Turn& turn) { group_->alive(node, now(), turn.ready); });
}

void Replica::restarted(model::BrokerId node) {
  std::erase(suspects_, node);
  if (fit()) run([&](Turn& turn) { group_->restarted(node, now(), turn.ready); });
}

void Replica::observe_term(Term term) {
  if (fit()) run([&](Turn& turn) { group_->observe_term(term, now(), turn.ready); });
}

void Replica::campaign() {
  if (!fit()) return;
  run([&](Turn& turn) {
    group_->campaign(now(), turn.ready);
    settle_alone(turn);
  });
}

raft::Refusal Replica::transfer(const raft::ReplicaId& to) {
  raft::Refusal refused = raft::Refusal::kNotLeader;
  if (fit()) run([&](Turn& turn) { refused = group_->transfer(to, now(), turn.ready); });
  return refused;
}

raft::Refusal Replica::reconfigure(raft::Change change, const raft::ReplicaId& replica) {
  raft::Refusal refused = raft::Refusal::kNotLeader;
  if (!fit()) return refused;
  run([&](Turn& turn) { refused = group_->reconfigure(change, replica, now(), turn.ready); });
  return refused;
}

raft::Refusal Replica::recover_alone() {
  raft::Refusal refused = raft::Refusal::kUnknownReplica;
  if (fit()) run([&](Turn& turn) { refused = group_->recover_alone(now(), turn.ready); });
  return refused;
}

void Replica::tick(Instant now) {
  if (!fit()) return ask_to_be_repaired();
  run([&](Turn& turn) {
    group_->tick(now, turn.ready);
    settle_alone(turn);
  });
}

// ---- Settings

void Replica::set_settings(const model::TopicSettings& settings) {
  flush_ = settings.flush_mode;
  min_insync_ = settings.min_insync_replicas;
  if (group_.has_value()) apply_flush_mode();
}

void Replica::apply_flush_mode() {
  const bool relaxed = flush_ == model::FlushMode::kRelaxed;
  if (relaxed != relaxed_) {
    // How much a death of the process may take away is noted beside the hard state. Back from
    // relaxed to strict the note lies in the journal behind all that was only in memory.
    relaxed_ = relaxed;
    relaxed_durable_ = false;
    ++flush_changes_;
    put_state(group_->hard_state(), kNoTicket);
  }
  apply_settings();
}

void Replica::apply_settings() {
  const bool relaxed = relaxed_ && (relaxed_durable_ || !others_known_);
  const raft::VoterSet& config = group_->config();
  // A learner that comes in the place of a voter counts as one that there should be: a group that
  // lost a disk of three has two voters for a moment. What has one copy stays writable while its
  // first other one is made.
  const std::size_t learners = config.voters.size() > 1 ? config.learners.size() : 0;
  const std::size_t wanted = std::max<std::size_t>(config.voters.size() + learners, 1);
  const raft::GroupSettings settings{
      .flush = relaxed ? model::FlushMode::kRelaxed : model::FlushMode::kStrict,
      // More than there are could never be had; as Kafka has it too.
      .min_insync = static_cast<std::uint32_t>(
          std::clamp<std::size_t>(static_cast<std::size_t>(std::max(min_insync_, 1)), 1, wanted)),
      // Every broker applies the metadata; of other logs only readers far from the leader wait
      // here.
      .commit_news = log_.key().topic == model::kMetadataTopicId ? raft::CommitNews::kPrompt
                                                                 : raft::CommitNews::kLazy};
  run([&](Turn& turn) { group_->set_group_settings(settings, now(), turn.ready); });
}

void Replica::turn_ended() {
  if (fit() && log_.start_offset() > group_->log_start()) run([](Turn&) {});
  // Those that follow from these come in this turn too.
  for (std::size_t i = 0; i < fetches_.size() && fit(); ++i) fetch(fetches_[i]);
  fetches_.clear();
}

// ---- Going out of service

bool Replica::fit() {
  if (closed_ || !group_.has_value()) return false;
  if (!log_.damage().has_value()) return true;
  if (leads() && !is_in_the_way()) {
    step_aside();
    // Nobody may be able to take over yet.
    host_.ticker.wake(*this, std::min(now() + kAskAgain, group_->next_deadline()));
    return true;
  }
  fail(*log_.damage());
  return false;
}

/// It leads, nobody could take over for a while, and a majority is there without it: that cannot
/// lack what is committed.
bool Replica::is_in_the_way() {
  if (!in_the_way_since_.has_value()) in_the_way_since_ = now();
  if (now() - *in_the_way_since_ < kHandOverMax) return false;
  const raft::VoterSet& config = group_->config();
  const auto others = std::ranges::count_if(config.voters, [this](const raft::ReplicaId& voter) {
    return voter != host_.self && std::ranges::count(suspects_, voter.node) == 0;
  });
  return std::cmp_greater_equal(others, config.majority());
}

void Replica::step_aside() {
  if (!accepts_appends()) return;
  for (const raft::ReplicaId& other : group_->in_sync(now())) {
    if (other == host_.self) continue;
    raft::Refusal refused = raft::Refusal::kNone;
    run([&](Turn& turn) { refused = group_->transfer(other, now(), turn.ready); });
    if (refused == raft::Refusal::kNone) return;
  }
}

void Replica::fail(common::Error error) {
  if (!group_.has_value()) return;
  refusal_ = std::move(error);
  const raft::RoleChange gone{raft::Role::kFollower, group_->term(), raft::ReplicaId{}, false};
  last_words_ = last_words();
  const raft::HardState hard = group_->hard_state();
  group_.reset();
  later_.clear();
  fetches_.clear();
  host_.ticker.forget(*this);
  note("replica-out-of-service", refusal_->detail);
  host_.peers.leadership(log_.key(), gone);
  on_news_({.role = gone, .out = true});
  ask_when_durable(hard);
}

void Replica::note(std::string_view event, std::string_view detail) {
  if (!host_.note) return;
  std::string line =
      fmt::format("event={} topic={} partition={}", event, log_.topic_name(), log_.key().index);
  if (!detail.empty()) line += fmt::format(" detail=\"{}\"", detail);
  host_.note(line);
}

}  // namespace millrace::replica
