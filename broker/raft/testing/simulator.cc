#include "broker/raft/testing/simulator.h"

#include <fmt/format.h>

#include <algorithm>

#include "broker/raft/testing/text.h"
#include "common/check.h"

namespace millrace::raft {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

}  // namespace

Simulator::Simulator(Options options) : options_(options), random_(options.seed) {
  draw_faults();
  set_up();
}

void Simulator::draw_faults() {
  const auto maybe = [&](int percent, std::int64_t low, std::int64_t high) {
    return random_.chance(static_cast<std::uint64_t>(percent), 100)
               ? static_cast<int>(random_.between(low, high))
               : 0;
  };
  voter_count_ = static_cast<int>(random_.between(1, 10));
  voter_count_ = voter_count_ <= 6 ? 3 : voter_count_ <= 8 ? 5 : voter_count_ == 9 ? 4 : 2;
  node_count_ = std::min<int>(kNodesMax, voter_count_ + static_cast<int>(random_.between(0, 2)));
  if (random_.chance(1, 4)) group_settings_.flush = FlushMode::kRelaxed;
  if (random_.chance(1, 4) && voter_count_ > 1)
    group_settings_.min_insync = static_cast<std::uint32_t>(random_.between(2, voter_count_));
  faults_.drop_percent = maybe(50, 1, 20);
  faults_.repeat_percent = maybe(50, 1, 20);
  faults_.delay_us_max = static_cast<int>(random_.between(500, 5000));
  faults_.slow_percent = maybe(50, 1, 10);
  faults_.crash_permille = maybe(70, 5, 60);
  faults_.pause_permille = maybe(40, 5, 30);
  faults_.part_permille = maybe(60, 5, 60);
  faults_.reconfigure_permille = maybe(60, 20, 200);
  faults_.transfer_permille = maybe(40, 5, 50);
  faults_.wipe_permille = maybe(30, 5, 20);
  faults_.trim_permille = maybe(50, 10, 60);
  faults_.campaign_permille = maybe(30, 5, 40);
  faults_.sync_us_max =
      static_cast<int>(random_.between(200, random_.chance(1, 4) ? 200'000 : 5000));
  faults_.crash_unsynced_permille = maybe(30, 5, 100);
  faults_.starve_permille = maybe(50, 5, 40);
  faults_.split_permille = maybe(40, 2, 20);
  if (random_.chance(1, 3)) faults_.write_percent = 1;
  faults_.odd_clocks = random_.chance(1, 2);
  if (random_.chance(1, 4)) {
    // Few voters, and a set that never rests.
    faults_.reconfigure_permille = 400;
    voter_count_ = static_cast<int>(random_.between(1, 3));
    node_count_ = 4;
  }
  if (random_.chance(1, 4)) draw_lease_faults();
  settings_.election_timeout = milliseconds(300);
  settings_.election_spread = milliseconds(100);
  settings_.retry = milliseconds(60);
  settings_.retry_max = milliseconds(500);
  settings_.commit_delay = milliseconds(random_.between(0, 10));
  if (random_.chance(1, 2)) group_settings_.commit_news = CommitNews::kLazy;
  settings_.in_sync_lag = seconds(1);
  settings_.promotion_lag_max = random_.between(0, 20);
  settings_.append_bytes_max = static_cast<std::uint32_t>(random_.between(100, 2000));
  settings_.inflight_bytes_max = 4 * settings_.append_bytes_max;
  settings_.inflight_messages_max = static_cast<std::uint32_t>(random_.between(1, 16));
}

/// One voter hears two that do not hear each other: what it says to one of them decides what the
/// other may do.
void Simulator::draw_lease_faults() {
  const bool odd_clocks = faults_.odd_clocks;
  faults_ = {};
  faults_.odd_clocks = odd_clocks;
  voter_count_ = 3;
  node_count_ = 3;
  faults_.slow_percent = static_cast<int>(random_.between(0, 30));
  faults_.delay_us_max = static_cast<int>(random_.between(100, 2000));
  faults_.sync_us_max = 300;
  faults_.write_percent = 100;
  faults_.pair_permille = static_cast<int>(random_.between(5, 20));
  if (random_.chance(1, 2)) faults_.restart_permille = static_cast<int>(random_.between(10, 60));
  if (random_.chance(1, 2)) faults_.campaign_permille = static_cast<int>(random_.between(50, 300));
  if (random_.chance(1, 3)) faults_.transfer_permille = static_cast<int>(random_.between(5, 50));
  if (random_.chance(1, 3)) faults_.pause_permille = static_cast<int>(random_.between(5, 20));
}

void Simulator::set_up() {
  oracle_ = std::make_unique<Oracle>(*this, group_settings_);
  HardState first;
  first.config.id.version = 1;
  for (int i = 0; i < voter_count_; ++i) first.config.voters.push_back(replica_id(i));
  nodes_.resize(static_cast<std::size_t>(node_count_));
  for (int i = 0; i < node_count_; ++i) {
    // Two of them differ by less than leases allow for.
    if (faults_.odd_clocks) at(i).speed = random_.between(880, 1120);
    at(i).settings = settings_;
    at(i).settings.contacts = &at(i).contacts;
    at(i).shell = std::make_unique<Shell>(replica_id(i), group_settings_, at(i).settings, random_);
    at(i).shell->renews = random_.chance(1, 2);
    if (i < voter_count_) at(i).shell->format(first, {});
    boot(i);
    push(now_ + microseconds(random_.between(0, 100'000)), EventKind::kHeartbeat, i);
  }
  push(now_ + milliseconds(1), EventKind::kAct, 0);
  trace("nodes={} voters={} relaxed={} min.insync={}", node_count_, voter_count_,
        group_settings_.flush == FlushMode::kRelaxed, group_settings_.min_insync);
}

const Shell* Simulator::find(const ReplicaId& id) const {
  for (const Node& node : nodes_) {
    if (node.shell->id() == id) return node.shell.get();
  }
  for (const auto& shell : gone_) {
    if (shell->id() == id) return shell.get();
  }
  return nullptr;
}

void Simulator::push(Instant when, EventKind kind, int node, std::uint32_t letter) {
  const std::uint64_t life = kind == EventKind::kDeliver || kind == EventKind::kHeartbeat ||
                                     kind == EventKind::kHear || kind == EventKind::kAct
                                 ? 0
                                 : at(node).life;
  events_.push({when, ++sequence_, kind, node, life, letter});
}

void Simulator::handle(const Event& event) {
  Node& node = at(event.node);
  const bool network = event.kind == EventKind::kDeliver || event.kind == EventKind::kHeartbeat ||
                       event.kind == EventKind::kHear;
  if (event.kind == EventKind::kAct) return act();
  if (event.kind == EventKind::kBoot) {
    if (!node.shell->running()) boot(event.node);
    return;
  }
  if (event.life != 0 && event.life != node.life) return;
  if (node.shell->running() && now_ < node.paused_until) {
    // A paused process sees everything later.
    events_.push(
        {node.paused_until, ++sequence_, event.kind, event.node, event.life, event.letter});
    return;
  }
  if (!network && !node.shell->running()) return;
  switch (event.kind) {
    case EventKind::kDeliver:
      return deliver(event);
    case EventKind::kHeartbeat:
      return heartbeat(event.node);
    case EventKind::kHear:
      return hear(event);
    case EventKind::kTick:
      if (node.tick_at != event.at && node.tick_at > now_) return;
      node.tick_at = Instant::max();
      node.shell->tick(local(node));
      break;
    case EventKind::kSyncLog:
      node.log_syncing = false;
      node.shell->sync_log(1 + random_.below(8), local(node));
      break;
    case EventKind::kSyncHard:
      node.hard_syncing = false;
      node.shell->sync_hard(local(node));
      break;
    case EventKind::kFetch:
      node.fetch_due = false;
      node.shell->answer_fetch(random_.chance(1, 10) ? random_.between(0, 2) : 20, local(node));
      break;
    case EventKind::kCrash:
      crash(event.node);
      if (event.letter == 0) return;
      events_.push(
          {now_ + microseconds(event.letter), ++sequence_, EventKind::kBoot, event.node, 0, 0});
      return;
    case EventKind::kBoot:
    case EventKind::kAct:
      break;
  }
  after(event.node);
}

void Simulator::deliver(const Event& event) {
  const Letter letter = std::move(letters_[event.letter]);
  free_letters_.push_back(event.letter);
  const int from = letter.message.from.node.value();
  if (!up(event.node) || !linked(from, event.node)) return;
  // Nothing of a process is delivered once a newer one is known; the first thing of a newer one
  // shows that it is new.
  const std::uint64_t known = at(event.node).heard_life[static_cast<std::size_t>(from)];
  if (letter.sender_life < known) return;
  if (letter.sender_life > known) see_new(event.node, from, letter.sender_life);
  trace("{}", to_text(letter.message));
  heard(event.node, from);
  at(event.node).shell->step(letter, local(event.node));
  after(event.node);
}

Duration Simulator::travel_time() {
  if (random_.chance(static_cast<std::uint64_t>(faults_.slow_percent), 100))
    return milliseconds(random_.between(1, 1000));
  return microseconds(random_.between(50, faults_.delay_us_max));
}

void Simulator::send(Letter letter) {
  ++sent_;
  letter.sender_life = at(letter.message.from.node.value()).life;
  const int to = letter.message.to.node.value();
  const int from = letter.message.from.node.value();
  if (to >= node_count_ || !linked(from, to)) return;
  if (letter.data != nullptr && now_ < at(to).starved_until) return;
  if (random_.chance(static_cast<std::uint64_t>(faults_.drop_percent), 100)) return;
  const int copies =
      random_.chance(static_cast<std::uint64_t>(faults_.repeat_percent), 100) ? 2 : 1;
  for (int i = 0; i < copies; ++i) {
    const Duration delay = travel_time();
    std::uint32_t slot = static_cast<std::uint32_t>(letters_.size());
    if (free_letters_.empty()) {
      letters_.push_back(letter);
    } else {
      slot = free_letters_.back();
      free_letters_.pop_back();
      letters_[slot] = letter;
    }
    push(now_ + delay, EventKind::kDeliver, to, slot);
  }
}

/// Carries out and checks what a call brought.
void Simulator::after(int index) {
  Node& node = at(index);
  Shell& shell = *node.shell;
  Shell::Output& output = shell.output();
  if (options_.trace) {
    for (const HardState& hard : output.hard_states) trace("  {} saves {}", index, to_text(hard));
    for (const LogWrite& write : output.writes) trace("  {} {}", index, to_text(write));
    for (const RoleChange& role : output.roles) trace("  {} is {}", index, to_text(role));
    for (const Notice what : output.notices) trace("  {}: {}", index, to_text(what));
    if (output.commit.has_value()) trace("  {} commits {}", index, *output.commit);
  }
  oracle_->observe(shell);
  for (const RoleChange& role : output.roles)
    digest_ = digest_ * 31 + static_cast<std::uint64_t>(role.term.value()) * 8 +
              static_cast<std::uint64_t>(role.role);
  if (output.commit.has_value())
    digest_ = digest_ * 31 + static_cast<std::uint64_t>(output.commit->value());
  std::vector<Letter> letters = std::move(output.letters);
  if (!letters.empty() && (shell.unsynced() || !output.hard_states.empty()) &&
      random_.chance(static_cast<std::uint64_t>(faults_.crash_unsynced_permille), 1000)) {
    // It stays away for a moment or for long.
    const bool soon = random_.chance(2, 3);
    push(now_ + microseconds(1), EventKind::kCrash, index,
         soon ? static_cast<std::uint32_t>(random_.between(1, 3000)) : 0);
  }
  const std::optional<Offset> trim_to = output.trim_to;
  output.clear();
  for (Letter& letter : letters) send(std::move(letter));
  if (trim_to.has_value() && random_.chance(1, 2)) shell.trim(*trim_to, local(node));
  if (shell.fetching() && !node.fetch_due) {
    node.fetch_due = true;
    push(now_ + microseconds(random_.chance(1, 10) ? random_.between(1, 20'000) : 1),
         EventKind::kFetch, index);
  }
  const bool lazy = group_settings_.flush == FlushMode::kRelaxed;
  if (shell.unsynced_log() && !node.log_syncing) {
    node.log_syncing = true;
    push(now_ + microseconds(random_.between(50, lazy ? 500'000 : faults_.sync_us_max)),
         EventKind::kSyncLog, index);
  }
  if (shell.unsynced_hard() && !node.hard_syncing) {
    node.hard_syncing = true;
    push(now_ + microseconds(random_.between(50, faults_.sync_us_max)), EventKind::kSyncHard,
         index);
  }
  if (shell.group().next_deadline() == kNever) return;
  const Instant deadline = when(node, shell.group().next_deadline());
  if (node.tick_at == Instant::max() || deadline < node.tick_at) {
    node.tick_at = std::max(deadline, now_);
    push(node.tick_at, EventKind::kTick, index);
  }
}

void Simulator::crash(int index) {
  Node& node = at(index);
  trace("{} dies", index);
  node.shell->crash(random_);
  oracle_->ended(node.shell->id());
  ++node.life;
  node.relaxed_died = group_settings_.flush == FlushMode::kRelaxed;
}

void Simulator::boot(int index) {
  Node& node = at(index);
  ++node.life;
  node.tick_at = Instant::max();
  node.log_syncing = false;
  node.hard_syncing = false;
  node.fetch_due = false;
  node.paused_until = Instant{};
  node.suspects = {};
  node.contacts = {};
  node.trust = {};
  node.trusts = 0;
  node.beat_at = local(node);
  node.heard_at.fill(local(node));
  node.heard_sent = {};
  for (int other = 0; other < node_count_; ++other)
    node.heard_life[static_cast<std::size_t>(other)] = at(other).life;
  trace("{} starts as {} with {}", index, to_text(node.shell->id()),
        to_text(node.shell->disk_hard()));
  node.shell->boot(local(node), node.relaxed_died);
  node.relaxed_died = false;
  after(index);
}

/// Of these voters enough exist without this one.
bool Simulator::survives(const VoterSet& config, const ReplicaId& without) const {
  std::size_t left = 0;
  for (const ReplicaId& voter : config.voters) {
    const bool there =
        std::ranges::any_of(nodes_, [&](const Node& node) { return node.shell->id() == voter; });
    left += there && voter != without ? 1 : 0;
  }
  return config.voters.empty() || left >= config.majority();
}

/// No voter set that anybody may still go by loses its majority for good.
bool Simulator::wipe_allowed(const ReplicaId& id) const {
  // Where a majority may have lost something, one that is gone for good can only be given up by
  // hand: all voters are asked, and it does not answer.
  if (group_settings_.flush == FlushMode::kRelaxed) return false;
  for (const Node& node : nodes_) {
    if (!survives(node.shell->disk_hard().config, id)) return false;
    if (node.shell->running() && !survives(node.shell->group().config(), id)) return false;
  }
  return true;
}

/// The broker comes back with an empty disk: another replica.
void Simulator::wipe(int index) {
  Node& node = at(index);
  if (!wipe_allowed(node.shell->id())) return;
  if (node.shell->running()) crash(index);
  trace("{} loses its disk", index);
  gone_.push_back(std::move(node.shell));
  ++node.directory;
  node.shell = std::make_unique<Shell>(replica_id(index, node.directory), group_settings_,
                                       node.settings, random_);
  node.relaxed_died = false;
  boot(index);
}

int Simulator::pick_leader() {
  std::vector<int> leaders;
  for (int i = 0; i < node_count_; ++i) {
    if (up(i) && at(i).shell->group().role() == Role::kLeader && at(i).paused_until <= now_)
      leaders.push_back(i);
  }
  return leaders.empty() ? -1 : leaders[random_.below(leaders.size())];
}

void Simulator::act() {
  if (!acting_) return;
  push(now_ + microseconds(random_.between(500, 15'000)), EventKind::kAct, 0);
  act_client();
  act_fault();
  act_admin();
}

void Simulator::act_client() {
  const int leader = pick_leader();
  if (leader < 0) return;
  Shell& shell = *at(leader).shell;
  if (shell.group().confirmed()) {
    ++led_;
    leased_ += shell.group().leased(local(leader)) ? 1 : 0;
  }
  if (random_.chance(static_cast<std::uint64_t>(faults_.write_percent), 100) &&
      shell.propose(random_.between(1, 5), local(leader))) {
    trace("{} appends up to {}", leader, shell.log().end());
    after(leader);
  }
}

void Simulator::act_fault() {
  const auto happens = [&](int permille) {
    return random_.chance(static_cast<std::uint64_t>(permille), 1000);
  };
  const int index = static_cast<int>(random_.below(static_cast<std::uint64_t>(node_count_)));
  if (happens(faults_.crash_permille) && up(index)) crash(index);
  if (random_.chance(1, 12) && !up(index)) boot(index);
  if (happens(faults_.pause_permille) && up(index)) {
    at(index).paused_until = now_ + milliseconds(random_.between(10, 2000));
    trace("{} pauses", index);
  }
  if (happens(faults_.wipe_permille)) wipe(index);
  if (happens(faults_.starve_permille)) {
    at(index).starved_until = now_ + milliseconds(random_.between(10, 1500));
    trace("{} gets no data", index);
  }
  if (happens(faults_.part_permille)) {
    const int other = static_cast<int>(random_.below(static_cast<std::uint64_t>(node_count_)));
    cut_[static_cast<std::size_t>(index)][static_cast<std::size_t>(other)] = true;
    if (random_.chance(1, 2))
      cut_[static_cast<std::size_t>(other)][static_cast<std::size_t>(index)] = true;
    if (random_.chance(1, 3)) {
      for (int i = 0; i < node_count_; ++i) {
        cut_[static_cast<std::size_t>(index)][static_cast<std::size_t>(i)] = true;
        cut_[static_cast<std::size_t>(i)][static_cast<std::size_t>(index)] = true;
      }
    }
    trace("links of {} are cut", index);
  }
  if (happens(faults_.split_permille)) {
    const std::uint64_t side = random_.next();
    for (std::size_t i = 0; i < nodes_.size(); ++i) {
      for (std::size_t j = 0; j < nodes_.size(); ++j)
        cut_[i][j] = ((side >> i) & 1) != ((side >> j) & 1);
    }
    trace("split {:b}", side % (1U << nodes_.size()));
  }
  if (faults_.pair_permille > 0) return act_pair();
  if (random_.chance(1, 60)) cut_ = {};
}

/// Two of three do not hear each other, and perhaps one of them is not heard at all for a while;
/// the third one dies and comes back.
void Simulator::act_pair() {
  const auto happens = [&](int permille) {
    return random_.chance(static_cast<std::uint64_t>(permille), 1000);
  };
  const std::size_t third = third_;
  const std::size_t one = (third + 1) % nodes_.size();
  const std::size_t other = (third + 2) % nodes_.size();
  if (happens(faults_.restart_permille) && up(static_cast<int>(third))) {
    crash(static_cast<int>(third));
    push(now_ + microseconds(random_.between(1, 30'000)), EventKind::kBoot,
         static_cast<int>(third));
    // One of the two may not hear so soon that it is another process.
    if (random_.chance(1, 2)) cut_[third][random_.chance(1, 2) ? one : other] = true;
  }
  if (!happens(faults_.pair_permille)) return;
  if (cut_[one][other] && random_.chance(2, 3)) {
    // Whom the third one heard all the time does not know what happened meanwhile.
    cut_[one][third] = !cut_[one][third];
    return;
  }
  cut_ = {};
  third_ = random_.below(nodes_.size());
  if (random_.chance(1, 4)) return;
  const std::size_t left = (third_ + 1) % nodes_.size();
  const std::size_t right = (third_ + 2) % nodes_.size();
  cut_[left][right] = true;
  cut_[right][left] = true;
}

void Simulator::act_admin() {
  const auto happens = [&](int permille) {
    return random_.chance(static_cast<std::uint64_t>(permille), 1000);
  };
  const int leader = pick_leader();
  const int index = static_cast<int>(random_.below(static_cast<std::uint64_t>(node_count_)));
  if (happens(faults_.campaign_permille) && up(index) && at(index).paused_until <= now_) {
    at(index).shell->campaign(local(index));
    after(index);
    const int rival = static_cast<int>(random_.below(static_cast<std::uint64_t>(node_count_)));
    if (up(rival) && at(rival).paused_until <= now_) {
      at(rival).shell->campaign(local(rival));
      after(rival);
    }
  }
  if (leader < 0) return;
  Shell& shell = *at(leader).shell;
  if (happens(faults_.transfer_permille)) {
    const Refusal refused = shell.transfer(at(index).shell->id(), local(leader));
    trace("{} hands over to {}: {}", leader, index, to_text(refused));
    after(leader);
  }
  if (happens(faults_.trim_permille)) {
    shell.trim(Offset{random_.between(0, shell.group().commit().value())}, local(leader));
    after(leader);
  }
  if (!happens(faults_.reconfigure_permille)) return;
  const VoterSet& config = shell.group().config();
  ReplicaId replica = at(index).shell->id();
  // Replicas of disks that are no more should go.
  for (const auto& gone : gone_) {
    if (config.is_member(gone->id()) && random_.chance(1, 2)) replica = gone->id();
  }
  const bool gone = find(replica) != at(replica.node.value()).shell.get();
  Change change = config.is_voter(replica)
                      ? (random_.chance(1, 2) ? Change::kDemote : Change::kRemove)
                  : config.is_learner(replica) ? (gone ? Change::kRemove : Change::kPromote)
                                               : Change::kAddLearner;
  // Nobody takes living voters away until the dead are a majority.
  VoterSet left = config;
  std::erase(left.voters, replica);
  if ((change == Change::kDemote || change == Change::kRemove) && !survives(left, ReplicaId{}))
    return;
  const Refusal refused = shell.reconfigure(change, replica, local(leader));
  trace("{} changes {} ({}): {}", leader, to_text(replica), static_cast<int>(change),
        to_text(refused));
  after(leader);
}

void Simulator::run_until(Instant end) {
  while (!events_.empty() && events_.top().at <= end && oracle_->failure().empty()) {
    const Event event = events_.top();
    events_.pop();
    now_ = std::max(now_, event.at);
    ++handled_;
    handle(event);
    check_leases();
  }
  now_ = std::max(now_, end);
}

/// Also of those that stand still: they may go on at any moment.
void Simulator::check_leases() {
  for (int i = 0; i < node_count_; ++i) {
    if (!up(i)) continue;
    const Group& group = at(i).shell->group();
    if (!group.confirmed() || group.commit() >= oracle_->committed()) continue;
    if (!group.leased(local(i))) continue;
    oracle_->fail(fmt::format("{} leads in term {} and would tell readers of {}, {} is committed",
                              to_text(at(i).shell->id()), group.term(), group.commit(),
                              oracle_->committed()));
  }
}

void Simulator::heal() {
  trace("faults end");
  acting_ = false;
  cut_ = {};
  faults_ = {};
  for (int i = 0; i < node_count_; ++i) {
    at(i).paused_until = now_;
    at(i).starved_until = now_;
    if (!up(i)) boot(i);
  }
}

/// Liveness (E42): with the faults over, one leads, writes are committed, and all become equal.
void Simulator::check_alive() {
  run_until(now_ + seconds(20));
  if (!oracle_->failure().empty()) return;
  int leader = -1;
  for (int i = 0; i < node_count_; ++i) {
    // One that was taken out of the set and heard nothing of it may still think that it leads: it
    // learns better with its first write, or from the table of leaders.
    const Group& group = at(i).shell->group();
    if (!group.confirmed()) continue;
    if (leader < 0 || group.term() > at(leader).shell->group().term()) leader = i;
  }
  if (leader < 0) return oracle_->fail("nobody leads long after the faults ended");
  Shell& shell = *at(leader).shell;
  if (!shell.group().leased(local(leader))) return oracle_->fail("the leader has no lease");
  if (!shell.propose(3, local(leader))) return oracle_->fail("the leader takes no proposals");
  after(leader);
  run_until(now_ + seconds(5));
  if (shell.group().commit() != shell.log().end()) {
    return oracle_->fail(fmt::format("{} does not get committed: {}", to_text(shell.id()),
                                     to_text(shell.group().log())));
  }
  check_quiet(leader);
}

void Simulator::check_quiet(int leader) {
  Shell& shell = *at(leader).shell;
  const VoterSet& config = shell.group().config();
  bool all_there = true;
  std::vector<ReplicaId> members = config.voters;
  members.insert(members.end(), config.learners.begin(), config.learners.end());
  for (const ReplicaId& member : members) {
    Shell* other = at(member.node.value()).shell.get();
    if (other->id() != member) {
      all_there = false;
      continue;
    }
    oracle_->compare(shell, *other);
    if (other->group().commit() != shell.group().commit())
      oracle_->fail(fmt::format("{} does not hear of the commit", to_text(member)));
    if (other->group().unclean())
      oracle_->fail(fmt::format("{} is not readmitted", to_text(member)));
  }
  if (shell.group().log().end() < oracle_->committed())
    oracle_->fail("what was committed is not there at the end");
  if (!all_there) return;
  for (const ReplicaId& member : members) {
    if (!at(member.node.value()).shell->group().quiet())
      oracle_->fail(fmt::format("{} does not become quiet", to_text(member)));
  }
}

Verdict Simulator::run() {
  run_until(now_ + milliseconds(random_.between(1000, 8000)));
  if (oracle_->failure().empty()) {
    heal();
    check_alive();
  }
  return {.failure = oracle_->failure(),
          .events = handled_,
          .committed = oracle_->committed().value(),
          .elections = oracle_->elections(),
          .lossy_elections = oracle_->lossy_elections(),
          .configs = oracle_->configs(),
          .led = led_,
          .leased = leased_,
          .digest = digest()};
}

}  // namespace millrace::raft
