// link.set_endpoints({endpoint});   link.seek();   ...   link.send(group, message, data);
//
// The way to one shard of another broker, or to the broker: a connection that is made, and made
// again when it breaks.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "broker/cluster/calls.h"
#include "broker/cluster/raft_codec.h"
#include "broker/cluster/stream.h"
#include "common/random.h"

namespace millrace::cluster {

class Link;

/// Why a link is not open.
enum class LinkEnd : std::uint8_t {
  kRefused,      // nobody listens there
  kUnreachable,  // no such host, no way to it, or no answer
  kTurnedAway,   // the other broker says why
  kStranger,     // whoever answers is not the one that is sought
  kSilent,       // no answer to our hello
  kBroken,       // closed by the other end, or by the network
  kMalformed,    // what came makes no sense
  kStalled,      // nothing moves
};
std::string_view name_of(LinkEnd end);

/// Who needs the link.
class LinkOwner {
 public:
  virtual ~LinkOwner() = default;
  /// Somebody answers. False: it is not who is sought, and the link tries again later.
  virtual bool on_greeted(Link& link, const Introduction& who) = 0;
  virtual void on_open(Link& link) = 0;
  /// The attempt failed, or what was open is no more; the link tries again by itself. `why`: for
  /// people.
  virtual void on_down(Link& link, LinkEnd end, const std::string& why) = 0;
};

/// States: resting -> (seek) waiting -> connecting -> greeting -> open; from the last three back to
/// waiting when something fails, and from everywhere to resting (rest). Between two attempts it
/// waits: not at all where the connection had worked for a while, else twice as long each time, up
/// to a bound, with some randomness, so that brokers do not knock in step. Endpoints are tried in
/// turn. Destroyed only where it is not on the stack. Loop thread only.
class Link final : private StreamOwner {
 public:
  struct Target {
    model::BrokerId node{-1};
    Channel channel = Channel::kShards;
    std::uint32_t to_shard = 0;
  };
  struct Parts {
    StreamPool& pool;
    env::Transport& transport;
    std::shared_ptr<const Introduction> self;
    std::uint32_t shard;
    LinkOwner& owner;
    common::Random random;
  };
  Link(Parts parts, Target target);
  /// Calls that wait are dropped unanswered: rest() first, where somebody still listens.
  ~Link() override;

  const Target& target() const { return target_; }
  /// Where it may be, the likeliest first. Not empty from seek() on.
  void set_endpoints(std::vector<env::Endpoint> endpoints);
  /// Begins to seek, if it rests.
  void seek();
  /// There is reason to hope: tries again at once, if it waits or an attempt is under way that may
  /// have met a network which was not as good.
  void hurry();
  /// Gives up what there is and begins anew.
  void restart(const common::Error& why);
  /// Gives up what there is and stops. Calls that wait are answered with the error.
  void rest(const common::Error& why);

  bool open() const { return state_ == State::kOpen; }
  bool resting() const { return state_ == State::kResting; }
  /// What is sent now gets there if nothing breaks: it is open, or about to be.
  bool hopeful() const { return state_ >= State::kConnecting; }
  /// Zero: not greeted.
  const common::Uuid& incarnation() const { return incarnation_; }

  /// Sends with the other messages of this turn. False: too much waits, or nobody is there.
  bool send(const model::PartitionKey& group, const raft::Message& message,
            std::span<const Bytes> data);
  /// A whole frame, at the end of the turn. Requires open().
  void send(Bytes frame);
  /// Of the other end and this one. Requires open().
  std::uint8_t version() const { return version_; }
  void call(Method method, Bytes body, Duration timeout, Answer reply);
  /// Writes what is queued without waiting for the turn's end.
  void flush();
  std::size_t queued_bytes() const;

 private:
  enum class State : std::uint8_t { kResting, kWaiting, kConnecting, kGreeting, kOpen };

  void connect();
  void connected(Result<std::unique_ptr<env::Connection>> result);
  void greet(std::unique_ptr<env::Connection> connection);
  Result<std::size_t> on_welcome(ByteView body);
  void become_open();
  void down(LinkEnd end, const std::string& why);
  Duration next_pause(LinkEnd end);
  void wait(Duration pause);
  void drop_connection();
  void set_timer(Duration delay, void (Link::*then)());
  void stop_timer();
  void connecting_took_too_long();
  void greeting_took_too_long();
  void close_batch();
  void emit(std::vector<Bytes> pieces);
  bool room_for(std::size_t bytes) const;
  void finish_response(Bytes body);

  Result<std::size_t> on_body(const FrameHead& head, Bytes body) override;
  Result<std::size_t> on_piece(Bytes piece) override;
  void on_turn_end() override;
  void on_end(StreamEnd end, const std::string& why) override;

  StreamPool& pool_;
  env::Transport& transport_;
  const std::shared_ptr<const Introduction> self_;
  const std::uint32_t shard_;
  LinkOwner& owner_;
  common::Random random_;
  const Target target_;
  std::vector<env::Endpoint> endpoints_;
  std::size_t endpoint_ = 0;

  State state_ = State::kResting;
  std::uint64_t attempt_ = 0;
  std::uint32_t failures_ = 0;  // one after the other
  Instant tried_{};             // when the attempt began that is under way
  Instant opened_{};
  env::TimerId timer_ = env::TimerId::kNone;
  std::unique_ptr<Stream> stream_;
  common::Uuid incarnation_;
  std::uint8_t version_ = kVersionMax;
  /// What the other broker said when it turned us away, until the stream ends for that.
  std::optional<std::string> turned_away_;

  RaftFrameWriter batch_;
  /// Frames that wait until the link is open.
  std::vector<std::vector<Bytes>> held_;
  std::size_t held_bytes_ = 0;
  Calls calls_;
  ResponseHead response_;  // whose data is on its way
  bool stranger_ = false;
  const std::shared_ptr<bool> here_ = std::make_shared<bool>(true);
};

}  // namespace millrace::cluster
