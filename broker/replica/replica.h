// Replica replica(log, settings, host, beginning, [](const News& news) { ... });   replica.begin();
// replica.append(batch, view);   replica.step(message, data, now);
//
// One replica of one Raft group over the log on its disk: what drives raft::Group. It decides
// nothing that the group can decide.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "broker/model/topic_settings.h"
#include "broker/raft/group.h"
#include "broker/replica/host.h"
#include "broker/replica/producer_history.h"
#include "broker/storage/log.h"

namespace millrace::replica {

using common::Bytes;
using common::Instant;
using common::Reply;
using common::Result;
using model::Offset;
using model::Term;

/// What has become of the group, for the one who serves clients. In this order.
struct News {
  /// The log was cut back to here, or begins anew here.
  std::optional<Offset> cut;
  /// Readers may see what lies in front.
  std::optional<Offset> commit;
  /// Producers may be told of what lies in front (acks=all).
  std::optional<Offset> acknowledged;
  std::optional<raft::RoleChange> role;
  /// For a leader: a majority has heard that the log begins here.
  std::optional<Offset> start_known;
  /// This replica goes on no more: see Replica::refusal().
  bool out = false;
};

/// Effects of the group are carried out in the order of Ready, and those of one call before those
/// of the next: a call that comes while effects are carried out (the log or a client answered at
/// once) is made at once, and its effects wait.
///
/// A replica whose log is damaged, or whose state cannot be read, takes no part: it has no group,
/// says so in refusal(), never votes and never leads. One that finds out while it leads hands
/// over first. If nobody can take over, perhaps because what they miss cannot be read here, it
/// leaves the group after a while where the others can go on without it; else it stays, and the log
/// refuses appends.
///
/// One whose log is damaged is repaired by the others: when it hears a leader of its group that has
/// committed in its own term, the log is thrown away and comes again from there. That leader has
/// all that was ever committed, and forgets what this replica acknowledged before: it comes back as
/// one that lost a part of its log (raft::Group, "unclean"), and its vote does not count until it
/// has everything again. As a leader has nothing to say while nothing is written, it is asked.
///
/// What others are to be sent is read at the end of the loop's turn, so that batches of one turn
/// travel in one message; what lies far behind in the log waits for its turn (catch_up.h).
///
/// One that is the only member of its group needs nobody else and waits for nobody: it leads as
/// soon as begin() returns. It may go on before its hard state is durable, because nobody else can
/// have heard of it, and what rests on it, its own log, lies behind it in the same journal. What
/// its log holds at the start is committed.
///
/// Shard thread only. Everything it was given outlives it; answers of the log may come later.
class Replica final : private Ticker::Client {
 public:
  using OnNews = common::Function<void(const News&)>;
  Replica(storage::Log& log, Host& host, const Beginning& beginning, OnNews on_news);
  Replica(const Replica&) = delete;
  Replica& operator=(const Replica&) = delete;
  ~Replica();

  /// First of all calls, once, when news can be taken.
  void begin(const model::TopicSettings& settings);
  /// Nothing is done any more but to note what becomes durable, for a last checkpoint.
  void close();

  /// Why it takes no part; nullopt: it does.
  const std::optional<common::Error>& refusal() const { return refusal_; }
  /// nullptr: it takes no part.
  const raft::Group* group() const { return group_.has_value() ? &*group_ : nullptr; }
  bool leads() const;
  /// It leads, and append() may be called.
  bool accepts_appends() const;
  /// It leads, and knows all that was ever committed by others before it did.
  bool confirmed() const;
  /// It leads, and at this moment nobody else can (raft::Group::leased). Reads the clock.
  bool leased() const;
  /// For a leader: so many are in sync that a write can be acknowledged.
  bool enough_in_sync() const;
  std::vector<raft::ReplicaId> in_sync() const;
  /// As last told in News::commit; where it takes no part, what is known to be committed.
  Offset commit() const { return producers_.committed(); }

  /// Appends a batch with its position set. Requires accepts_appends(), and that the log would take
  /// it (Log::refusal).
  void append(const Bytes& batch, const model::BatchView& view);
  /// The log's start was moved by its owner; the group hears of it.
  void trimmed();

  /// A message for this replica with what came along. Data that no working leader sends is refused
  /// and counted.
  void step(const raft::Message& message, const std::vector<Bytes>& data, Instant now);
  /// See raft::Group.
  void suspect(model::BrokerId node);
  void alive(model::BrokerId node);
  void restarted(model::BrokerId node);
  void observe_term(Term term);
  void campaign();
  raft::Refusal transfer(const raft::ReplicaId& to);
  raft::Refusal reconfigure(raft::Change change, const raft::ReplicaId& replica);
  raft::Refusal recover_alone();
  /// Hands over to anybody who is in sync, if it leads: its log is damaged.
  void step_aside();

  void set_settings(const model::TopicSettings& settings);
  const ProducerHistory& producers() const { return producers_; }
  void set_producer_expiration_ms(std::int64_t idle_ms) { producer_expiration_ms_ = idle_ms; }
  /// There are other members, or may be: what is damaged here comes again from them.
  bool has_others() const { return others_known_; }
  /// Messages refused because of what came with them.
  std::uint64_t refused_data() const { return refused_data_; }
  /// Times that a damaged log was thrown away, to come again from the leader.
  std::uint64_t repairs() const { return repairs_; }

 private:
  /// One call of the group and what goes with its effects.
  struct Turn {
    raft::Ready ready;
    /// What came with the message that was stepped. Its effects are carried out before step()
    /// returns.
    const std::vector<Bytes>* input = nullptr;
    /// To go with the last message.
    std::vector<Bytes> data;
  };

  // replica.cc
  bool is_alone(const raft::VoterSet& config) const;
  Result<raft::Start> read_back(const Beginning& beginning);
  void restore_producers(raft::Start& start);
  void join_log();
  bool repair(const raft::Message& message);
  std::optional<raft::HardState> state_for_repair(const raft::Message& message) const;
  storage::ProducersAt kept_producers();
  void tick(Instant now) override;
  void turn_ended() override;
  void apply_flush_mode();
  void apply_settings();
  bool fit();
  bool is_in_the_way();
  void fail(common::Error error);
  std::vector<raft::Message> farewells() const;
  raft::Message question() const;
  std::vector<raft::Message> last_words() const;
  void ask_when_durable(const raft::HardState& hard);
  void ask_to_be_repaired();
  void note(std::string_view event, std::string_view detail = {});
  Instant now() const { return host_.clock.now(); }

  template <typename Call>
  void run(Call&& call);  // replica_turn.h

  // replica_ready.cc
  bool is_sound(const raft::Message& message, const std::vector<Bytes>& data);
  bool log_takes(const raft::Message& message, const std::vector<Bytes>& data) const;
  void carry_out(Turn& turn);
  void settle_alone(Turn& turn);
  static constexpr std::uint32_t kNoTicket = 0;
  void put_state(const raft::HardState& state, std::uint32_t ticket);
  void state_durable(std::uint32_t ticket, std::uint32_t flush_change);
  Reply<Result<void>> durable_reply(const raft::LogMark& mark);
  void write(const raft::LogWrite& what, const Turn& turn);
  void append_data(const raft::LogWrite& what, const std::vector<Bytes>& data);
  void begin_inside(Offset base);
  std::optional<storage::TermStart> start_in_front(Offset offset) const;
  void cut_log(Offset to, Reply<Result<void>> durable);
  void send(Turn& turn);
  void trim_to(Offset start);
  void note_trim();
  void notice(raft::Notice what);
  void tell(const raft::Ready& ready);
  void fetch(raft::Fetch fetch);
  CatchUp* queue_for(const raft::Fetch& fetch) const;
  void read_in_turn(CatchUp& queue, const raft::Fetch& fetch);
  template <typename Done>
  void read_for(const raft::Fetch& fetch, Done done);
  void fetched(const raft::Fetch& fetch, Result<storage::ReadResult> read);
  void look_behind_hole(const raft::Fetch& fetch);
  void answer_fetch(const raft::Fetch& fetch, Offset to, std::vector<Bytes> pieces);
  void install(const raft::Fetch& fetch);

  storage::Log& log_;
  Host& host_;
  OnNews on_news_;
  const std::string name_;  // "TOPIC-N", for messages
  std::optional<raft::Group> group_;
  ProducerHistory producers_;
  std::optional<common::Error> refusal_;
  model::FlushMode flush_ = model::FlushMode::kStrict;
  std::int32_t min_insync_ = 1;
  /// What is written beside each state: flush is relaxed. It is in force where that is durable.
  bool relaxed_ = false;
  bool relaxed_durable_ = false;
  std::uint32_t flush_changes_ = 0;
  /// A state on the disk, or on its way there, may name other members than this one.
  bool others_known_ = false;
  std::uint32_t ticket_told_ = 0;
  std::uint32_t ticket_written_ = 0;
  bool carrying_out_ = false;
  bool closed_ = false;
  std::vector<Turn> later_;
  std::vector<raft::Fetch> fetches_;  // to be read for at the end of the loop's turn
  /// Brokers that are not heard, so that a group that begins later can be told.
  std::vector<model::BrokerId> suspects_;
  std::optional<Offset> cut_to_;  // by the turn that is being carried out
  std::int64_t producer_expiration_ms_ = 86'400'000;
  std::uint64_t refused_data_ = 0;
  std::uint64_t repairs_ = 0;
  /// While it takes no part because of damage, said again and again until a leader is heard: makes
  /// the one there was say something, or others stand, if that was this one itself.
  std::vector<raft::Message> last_words_;
  /// Since when it leads with damage.
  std::optional<Instant> in_the_way_since_;
  /// Answers of the log may come after this object is gone (a deleted topic): they hold it weakly.
  std::shared_ptr<Replica*> self_;
};

}  // namespace millrace::replica
