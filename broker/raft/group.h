// Ready ready;
// group.step(message, now, ready);
// ... put ready.hard_state and ready.writes on their way to the disk, send ready.messages ...
// group.durable(mark, now, ready);      // when a write is on stable storage
// group.persisted(ticket, now, ready);  // when a hard state is
//
// One replica of one Raft group: who leads, what is committed, what goes to whom. Knows offsets and
// terms, never bytes. docs/replication.md describes the protocol and why it is safe.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "broker/raft/mutation.h"
#include "broker/raft/outline.h"
#include "broker/raft/progress.h"
#include "broker/raft/ready.h"
#include "broker/raft/settings.h"
#include "common/random.h"

namespace millrace::raft {

/// What a replica begins with: read back from its disk, or for the first replicas of a new group an
/// empty log and the voter set that all of them are told (term 0, version 1). A replica that is
/// added later begins with nothing at all.
struct Start {
  HardState hard;
  Outline log;
  /// An offset known to be committed, if one was kept. Bounded by the log.
  Offset commit;
  /// The log may lack a part of what this replica acknowledged: its process died without a clean
  /// end and flush had been relaxed since its log was last durable as a whole, or damage at its end
  /// was cut off. Not for a blank directory: that is another replica.
  bool lost_suffix = false;
  /// A process that ended less than an election timeout ago may have promised something to a leader
  /// (Group, "lease"). False only where that cannot be.
  bool may_have_promised = true;
};

/// Why a request to a leader was refused; kNone: it was not.
enum class Refusal : std::uint8_t {
  kNone,
  kNotLeader,
  kNotConfirmed,    // nothing is committed in this term yet (condition 2 of arXiv 2102.11960)
  kConfigNotKnown,  // a majority does not have the newest voter set yet (condition 1)
  kNotCommitted,    // a majority of this set does not have all that is committed (condition 2)
  kNotCaughtUp,     // too far behind to become a voter or leader
  kUnknownReplica,
  kAlreadySo,
  kSelf,         // a leader does not take its own vote away: transfer first
  kTooFewHeard,  // of the voters that would be left, a majority does not answer
  kTooMany,
  kBusy,  // leadership is being handed over
};

enum class Change : std::uint8_t {
  kAddLearner,
  kPromote,  // learner to voter
  kDemote,   // voter to learner
  kRemove,
};

/// Messages that were refused or passed over, by reason.
enum class Oddity : std::uint8_t {
  kWrongReplica,   // for another replica than this, or of nobody who may say that
  kUnsound,        // no working replica sends such
  kTwoLeaders,     // a second leader in one term
  kCutsCommitted,  // would take away what is committed
  kImpossible,     // does not fit what this replica knows for certain
  kCount,
};

/// Roles and transitions (Raft 5.2 and thesis 9.6; terms only grow):
///
///   follower -> pre-candidate: its leader is suspected or unknown, and the election deadline came
///   pre-candidate -> candidate: a majority would vote for it; or a leader said so (TimeoutNow)
///   candidate -> leader: a majority votes for it
///   pre-candidate -> follower: its leader is heard again; no majority in time
///   candidate -> follower: a leader of its term is heard; no majority in time
///   leader -> follower: too few voters are heard; its heir was told to stand and did not win
///   any -> follower: a higher term, or for candidates a newer voter set, is heard of
///
/// Contract with the caller:
/// - All methods belong to one thread, and `now` never goes back.
/// - After every call that takes a Ready, its effects are carried out in the order given there. A
///   hard state and log writes become durable in the order in which they were given out, or at
///   least each kind for itself does; a crash may lose the rest from any point on.
/// - An effect that depends on an undurable hard state is held back here until persisted().
/// - Liveness of brokers comes from outside, as transitions: suspect() when a broker was silent for
///   the election timeout or refuses connections, alive() when it is heard again, restarted() when
///   a new process answers, or the broker says that it has the replica no more; nothing of the old
///   process is given to step() after that. They are told to every group that has the broker as a
///   replica, and to a new group for those suspected at that time. Whatever a broker sends shows
///   that it is alive, so alive() comes before step() of its message. A quiet group has no deadline
///   and sends nothing.
/// - Messages may get lost at any time; the group asks again. Where a connection broke, alive()
///   makes that quicker.
///
/// Lease: a leader that has the promises of a majority not to vote for others, and knows by the
/// word of their brokers that they hold at this moment, is the only one (leased()). A promise is
/// made to the leader that is followed, goes with an AppendReply, and ends when the leader's broker
/// is suspected or was restarted, or the leader itself leads no more or hands over. A replica that
/// was restarted votes for nobody for an election timeout: it does not know what it had promised.
///
/// Unclean: a replica that started with Start::lost_suffix does not count as a voter until a leader
/// that has committed in its own term has given it everything committed, and knows that it must not
/// rely on what it had acknowledged before (`incarnation`). Until then it only votes for the
/// election in which all voters vote and so the furthest log of all wins; if fewer than a majority
/// of the votes are clean there, that is reported, and only then may something committed be lost.
class Group {
 public:
  /// `settings` and `random` outlive the group. Requires is_sound(start).
  Group(const ReplicaId& self, GroupSettings group_settings, const Settings& settings,
        common::Random& random, Start start);
  Group(Group&&) = default;
  ~Group();

  /// Whether what was read from a disk can be a replica's state.
  static bool is_sound(const Start& start);

  /// First of all calls. The sole voter of a group stands at the next tick.
  void begin(Instant now, Ready& ready);
  /// Any message for this replica; bytes that came with an Append are the caller's to write, as
  /// LogWrite::kAppend says, which is only ever filled by the step() of that very message.
  void step(const Message& message, Instant now, Ready& ready);
  /// When tick() is due; kNever: only if something happens.
  Instant next_deadline() const;
  void tick(Instant now, Ready& ready);

  void suspect(model::BrokerId node, Instant now, Ready& ready);
  void alive(model::BrokerId node, Instant now, Ready& ready);
  void restarted(model::BrokerId node, Instant now, Ready& ready);
  /// Somebody else, such as the table of leaders, has heard of this term.
  void observe_term(Term term, Instant now, Ready& ready);

  /// Whether propose() may be called: this replica leads and is not handing over.
  bool accepts_proposals() const { return role_ == Role::kLeader && transfer_.to.is_none(); }
  /// The caller has appended batches [log_end(), to), written in term(), to its own log. Requires
  /// accepts_proposals() and to > log_end(). The mark is for durable().
  LogMark propose(Offset to, Instant now, Ready& ready);
  /// Log writes up to this one are durable. Marks may be skipped; late ones do no harm.
  void durable(LogMark mark, Instant now, Ready& ready);
  void persisted(std::uint32_t ticket, Instant now, Ready& ready);

  /// Answers a Fetch: batches [from, to) were read, to <= up_to. True: the message they go with is
  /// the last of ready.messages. False: they are of no use any more. to == from: they could not be
  /// read; the group asks again later.
  bool fetched(const Fetch& fetch, Offset to, std::uint32_t bytes, Instant now, Ready& ready);
  /// Brings a Fetch that was not carried out yet up to date: its end moves behind what was appended
  /// since, so that one read serves it all. False: it is of no use any more.
  bool renew(Fetch& fetch) const;
  /// Answers a Fetch with `install`: a snapshot of the producers at `at` <= commit() is there.
  /// True: the message it goes with is the last of ready.messages. Requires at == log_start().
  bool install_ready(const Fetch& fetch, Offset at, Instant now, Ready& ready);
  /// The caller has moved its log's start. Requires log_start() <= start <= commit(). The others
  /// hear of a leader's soon, also where nothing is written: see next_deadline(). What is to be
  /// told of it comes with the next call.
  void trimmed(Offset start, Instant now);

  /// Changes the voter set, one voter at a time (arXiv 2102.11960). kNone: it is on its way.
  Refusal reconfigure(Change change, const ReplicaId& replica, Instant now, Ready& ready);
  /// Hands leadership over as soon as `to` has everything; gives up after an election timeout, and
  /// stands again itself where `to` had been told to.
  Refusal transfer(const ReplicaId& to, Instant now, Ready& ready);
  /// Stands for election without waiting; with PreVote, so it cannot disturb.
  void campaign(Instant now, Ready& ready);
  /// By an operator's explicit wish, where a majority of the voters is gone for good: this replica
  /// becomes the only voter, all others learners, and leads with the log it has. What only the lost
  /// ones had committed is lost, which is reported as an unclean election. To be asked of one
  /// replica of a group only, the one with the furthest log. kAlreadySo: it hears a leader, or is
  /// one.
  Refusal recover_alone(Instant now, Ready& ready);
  void set_group_settings(GroupSettings settings, Instant now, Ready& ready);

  const ReplicaId& self() const { return self_; }
  Role role() const { return role_; }
  Term term() const { return hard_.term; }
  const ReplicaId& leader() const { return leader_; }
  const HardState& hard_state() const { return hard_; }
  const VoterSet& config() const { return hard_.config; }
  const Outline& log() const { return log_; }
  Offset log_start() const { return log_.start(); }
  Offset log_end() const { return log_.end(); }
  /// As last told in Ready::commit.
  Offset commit() const { return reported_commit_; }
  /// As last told in Ready::role: a leader whose commit offset is at least all that was ever shown
  /// to anybody.
  bool confirmed() const { return role_ == Role::kLeader && reported_role_.confirmed; }
  /// Nobody else can lead at this moment, nor have led since this one does: what it knows to be
  /// committed is all there is. `now` is the time at which this is asked, to be read after the
  /// question that is to be answered has come. Needs settings.contacts, but for the sole voter.
  bool leased(Instant now) const;
  bool unclean() const { return hard_.unclean; }
  /// Nothing is under way: no deadline, nothing to send, nothing unacknowledged.
  bool quiet() const { return next_deadline() == kNever && !holding(); }
  std::uint32_t oddities(Oddity kind) const { return oddities_[static_cast<std::size_t>(kind)]; }

  /// For a leader: the voters that have all that was there Settings::in_sync_lag ago, itself too.
  std::vector<ReplicaId> in_sync(Instant now) const;
  /// For a leader: whether a write could be acknowledged now (min.insync.replicas).
  bool enough_in_sync(Instant now) const;
  /// For a leader; nullptr: no such replica.
  const Progress* progress(const ReplicaId& replica) const;
  /// Heap included, for the test of how much a quiet group costs.
  std::size_t memory_bytes() const;

 private:
  class Turn;
  struct Held {
    std::vector<Message> messages;
    std::vector<Fetch> fetches;
    std::vector<Notice> notices;
  };
  struct Transfer {
    ReplicaId to;
    Instant deadline = kNever;
    bool told = false;
  };
  struct Votes {
    std::uint16_t granted = 0;
    std::uint16_t unclean = 0;
    std::uint16_t rejected = 0;
  };

  // group.cc
  void dispatch(const Message& message);
  void step_stale(const Message& message);
  bool holding() const { return persisted_ != ticket_; }
  void push_commit_soon();
  void finish_turn();
  void report(Ready& ready);
  void hard_changed() { hard_dirty_ = true; }
  void odd(Oddity kind) { ++oddities_[static_cast<std::size_t>(kind)]; }
  Message message_to(const ReplicaId& to) const;
  void send(Message message);
  void notice(Notice what) { out_->notices.push_back(what); }
  bool is_own_voter() const { return hard_.config.is_voter(self_); }
  bool same_replica(const ReplicaId& left, const ReplicaId& right) const;
  bool suspected(model::BrokerId node) const;
  void set_suspected(model::BrokerId node, bool is);
  /// What counts as safe here: on the disk, or with relaxed flush in memory.
  Position safe_end() const;

  // group_election.cc
  void arm_election(Duration low, Duration width);
  void become_follower(Term term, const ReplicaId& leader);
  enum class Claim : std::uint8_t { kOwn, kHeir };
  void stand(Ballot ballot, Claim claim = Claim::kOwn);
  bool is_bound(const ReplicaId& candidate) const;
  void hear_end_of_leadership(const Message& message);
  void count_own_vote();
  void count_votes();
  void become_leader(bool lossy);
  void election_due();
  bool enough_heard() const;
  void on_vote_request(const Message& message, const VoteRequest& request);
  bool would_vote(const Message& message, const VoteRequest& request) const;
  std::uint16_t vote_of(const ReplicaId& voter) const;
  /// In the ballot that is under way here.
  bool has_refused(const ReplicaId& voter) const;
  void on_vote_reply(const Message& message, const VoteReply& reply);
  void on_timeout_now(const Message& message);
  void lost_leader();

  // group_follower.cc
  bool follow(const Message& message);
  void on_append(const Message& message, const Append& append);
  void on_install(const Message& message, const Install& install);
  void begin_term(Term term);
  bool make_room(Position agreed, Term next);
  void forget_commit(Offset end);
  void write(LogWrite write);
  Position verified_end() const;
  void note_leaders_commit(const Append& append, Position target);
  void readmit_if_caught_up(const Append& append);
  Trust promise_to(const ReplicaId& leader);
  void reply(const ReplicaId& to, std::optional<AppendReply::Mismatch> mismatch);

  // group_leader.cc
  Progress* find_peer(const ReplicaId& replica);
  void refresh_peers();
  bool needs(const Progress& peer) const;
  void on_append_reply(const Message& message, const AppendReply& reply);
  bool forget_lost_acks(Progress& peer, const AppendReply& reply);
  void on_mismatch(Progress& peer, const AppendReply::Mismatch& mismatch);
  void on_match(Progress& peer, const AppendReply& reply);
  void replicate_from(Progress& peer, Position from);
  void push(Progress& peer);
  void push_all();
  void send_append(Progress& peer, Position prev, Stretch what, std::uint32_t bytes, bool probe);
  void send_empty(Progress& peer, bool probe);
  void ask_fetch(Progress& peer, bool install);
  void wait_for(Progress& peer);
  void retry(Progress& peer);
  bool vouches(const Progress& peer, Instant now) const;
  bool owes_promise(const Progress& peer) const;
  std::optional<Offset> quorum_offset(std::size_t count) const;
  Offset majority_start() const;
  void advance_commit();
  void leader_tick();
  void check_quorum();
  void hand_over_if_ready();
  void give_up_transfer();
  bool is_in_sync(const ReplicaId& voter, Instant now) const;

  // group_reconfigure.cc
  void adopt(const VoterSet& config);
  Refusal check_change(Change change, const ReplicaId& replica) const;
  Refusal check_conditions() const;
  std::size_t heard_of(const VoterSet& config) const;
  VoterSet changed_config(Change change, const ReplicaId& replica) const;
  template <typename Predicate>
  std::size_t count_voters(Predicate&& holds) const;

  ReplicaId self_;
  ReplicaId leader_;
  const Settings* settings_;
  common::Random* random_;
  // During a call:
  Ready* out_ = nullptr;
  Instant now_{};

  HardState hard_;
  Outline log_;
  Position durable_;
  /// Up to here the log is the same as that of this term's leader.
  Position verified_;
  Offset commit_;
  Offset acknowledged_;
  Offset reported_commit_;
  Offset reported_acknowledged_;
  Offset leader_log_start_;
  Offset reported_start_known_;
  GroupSettings group_settings_;
  std::uint32_t cuts_ = 0;
  std::uint32_t ticket_ = 0;
  std::uint32_t persisted_ = 0;
  Role role_ = Role::kFollower;
  bool confirmed_ = false;
  bool hard_dirty_ = false;
  bool may_have_promised_ = false;
  Votes votes_;
  RoleChange reported_role_{};
  Instant election_at_ = kNever;
  Instant commit_push_at_ = kNever;
  Transfer transfer_;
  /// The broker of a leader that may count on this replica not to vote for others, and in which
  /// term.
  static constexpr model::BrokerId kNobody{-1};
  model::BrokerId promised_to_ = kNobody;
  Term promised_in_;
  /// What was promised before this process began holds at most until then.
  Instant mute_until_{};
  std::vector<model::BrokerId> suspects_;
  /// Of a leader.
  std::vector<Progress> peers_;
  std::unique_ptr<Held> held_;
  std::array<std::uint32_t, static_cast<std::size_t>(Oddity::kCount)> oddities_{};
};

template <typename Predicate>
std::size_t Group::count_voters(Predicate&& holds) const {
  std::size_t count = 0;
  for (const Progress& peer : peers_)
    count += hard_.config.is_voter(peer.id) && holds(peer) ? 1 : 0;
  return count;
}

}  // namespace millrace::raft
