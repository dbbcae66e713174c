#include "broker/cluster/link.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace millrace::cluster {

using common::Error;
using model::ErrorCode;

namespace {

// An attempt that has not come through in this time may be stuck; a new one may not be.
constexpr Duration kPatience = std::chrono::milliseconds(50);

}  // namespace

std::string_view name_of(LinkEnd end) {
  switch (end) {
    case LinkEnd::kRefused:
      return "refused";
    case LinkEnd::kUnreachable:
      return "unreachable";
    case LinkEnd::kTurnedAway:
      return "turned_away";
    case LinkEnd::kStranger:
      return "stranger";
    case LinkEnd::kSilent:
      return "silent";
    case LinkEnd::kBroken:
      return "broken";
    case LinkEnd::kMalformed:
      return "malformed";
    case LinkEnd::kStalled:
      return "stalled";
  }
  return "unknown";
}

Link::Link(Parts parts, Target target)
    : pool_(parts.pool),
      transport_(parts.transport),
      self_(std::move(parts.self)),
      shard_(parts.shard),
      owner_(parts.owner),
      random_(std::move(parts.random)),
      target_(target),
      calls_(pool_.loop(), pool_.metrics()) {}

Link::~Link() {
  stop_timer();
  if (open()) --pool_.metrics().links_open;
}

void Link::set_endpoints(std::vector<env::Endpoint> endpoints) {
  if (endpoints == endpoints_) return;
  endpoints_ = std::move(endpoints);
  endpoint_ = 0;
}

// ---- Seeking

void Link::seek() {
  CHECK(!endpoints_.empty(), "a link to broker {} without an address", target_.node);
  if (!resting()) return;
  failures_ = 0;
  connect();
}

void Link::hurry() {
  const bool trying = state_ == State::kConnecting || state_ == State::kGreeting;
  if (state_ != State::kWaiting && !(trying && pool_.now() - tried_ >= kPatience)) return;
  failures_ = 0;
  drop_connection();
  connect();
}

void Link::restart(const Error& why) {
  if (resting()) return;
  drop_connection();
  failures_ = 1;
  wait(next_pause(LinkEnd::kBroken));
  calls_.fail_all(why);
}

void Link::rest(const Error& why) {
  drop_connection();
  state_ = State::kResting;
  calls_.fail_all(why);
}

void Link::connect() {
  state_ = State::kConnecting;
  tried_ = pool_.now();
  set_timer(pool_.settings().connect_max, &Link::connecting_took_too_long);
  const env::Endpoint& endpoint = endpoints_[endpoint_ % endpoints_.size()];
  transport_.connect(endpoint, [this, here = std::weak_ptr<bool>(here_), attempt = ++attempt_](
                                   Result<std::unique_ptr<env::Connection>> result) {
    if (!here.expired() && attempt == attempt_) connected(std::move(result));
  });
}

void Link::connecting_took_too_long() {
  down(LinkEnd::kUnreachable, "no answer");
}

void Link::connected(Result<std::unique_ptr<env::Connection>> result) {
  if (result.ok()) return greet(std::move(result).value());
  const bool refused = result.error().code == ErrorCode::kConnectionClosed;
  down(refused ? LinkEnd::kRefused : LinkEnd::kUnreachable, result.error().detail);
}

void Link::greet(std::unique_ptr<env::Connection> connection) {
  state_ = State::kGreeting;
  set_timer(pool_.settings().handshake_max, &Link::greeting_took_too_long);
  StreamOwner& self = *this;
  // Answers to our own calls are always taken.
  stream_ = std::make_unique<Stream>(pool_, std::move(connection), self,
                                     pool_.settings().frame_bytes_max, Intake::kGoesOn);
  stream_->queue(encode(Hello{.who = *self_,
                              .to = target_.node,
                              .channel = target_.channel,
                              .shard = shard_,
                              .to_shard = target_.to_shard}));
  stream_->start();
}

void Link::greeting_took_too_long() {
  down(LinkEnd::kSilent, "no answer to our hello");
}

Result<std::size_t> Link::on_welcome(ByteView body) {
  TRY_ASSIGN(const Welcome welcome, decode_welcome(body));
  if (welcome.version < kVersionMin || welcome.version > kVersionMax)
    return Error{ErrorCode::kCorruptMessage, "the version chosen was not offered"};
  incarnation_ = welcome.who.incarnation;
  version_ = welcome.version;
  const std::uint64_t attempt = attempt_;
  const bool wanted = owner_.on_greeted(*this, welcome.who);
  // What the owner made of it may have been to begin anew.
  if (attempt != attempt_ || state_ != State::kGreeting)
    return Error{ErrorCode::kConnectionClosed, "closed"};
  if (!wanted) {
    stranger_ = true;
    return Error{ErrorCode::kConnectionClosed, "somebody else answers"};
  }
  become_open();
  return std::size_t{0};
}

void Link::become_open() {
  stop_timer();
  state_ = State::kOpen;
  opened_ = pool_.now();
  ++pool_.metrics().connections_made;
  ++pool_.metrics().links_open;
  for (std::vector<Bytes>& frame : std::exchange(held_, {})) stream_->queue(std::move(frame));
  held_bytes_ = 0;
  stream_->flush_soon();
  owner_.on_open(*this);
}

// ---- Ends

void Link::on_end(StreamEnd end, const std::string& why) {
  if (turned_away_.has_value()) return down(LinkEnd::kTurnedAway, *turned_away_);
  if (stranger_) return down(LinkEnd::kStranger, why);
  switch (end) {
    case StreamEnd::kBroken:
      return down(LinkEnd::kBroken, why);
    case StreamEnd::kMalformed:
      return down(LinkEnd::kMalformed, why);
    case StreamEnd::kStalled:
      return down(LinkEnd::kStalled, why);
  }
}

void Link::down(LinkEnd end, const std::string& why) {
  const std::string reason = why;  // may be a member that goes with the connection
  const bool was_open = open();
  const Duration pause = next_pause(end);
  if (!was_open) ++endpoint_;
  drop_connection();
  wait(pause);
  owner_.on_down(*this, end, reason);
  calls_.fail_all({was_open ? ErrorCode::kNetworkException : ErrorCode::kBrokerNotAvailable,
                   fmt::format("broker {}: {}", target_.node, reason)});
}

Duration Link::next_pause(LinkEnd end) {
  const Settings& settings = pool_.settings();
  if (open() && pool_.now() - opened_ >= settings.backoff_max) {
    failures_ = 0;
    return Duration{0};
  }
  ++failures_;
  // Nothing will be different soon where we were turned away.
  const bool settled = end == LinkEnd::kTurnedAway || end == LinkEnd::kStranger;
  const std::uint32_t doublings = std::min(failures_ - 1, 16U);
  const Duration most =
      settled ? settings.backoff_max
              : std::min(settings.backoff_max, settings.backoff_min * (1U << doublings));
  return Duration{random_.between(most.count() / 2, most.count())};
}

void Link::wait(Duration pause) {
  state_ = State::kWaiting;
  set_timer(pause, &Link::connect);
}

// What was queued is lost; the state is the caller's to set.
void Link::drop_connection() {
  stop_timer();
  ++attempt_;
  if (open()) {
    --pool_.metrics().links_open;
    ++pool_.metrics().connections_lost;
  }
  if (stream_ != nullptr) {
    stream_->close();
    pool_.bury(std::move(stream_));
  }
  batch_.clear();
  held_.clear();
  held_bytes_ = 0;
  incarnation_ = {};
  version_ = kVersionMax;
  turned_away_.reset();
  stranger_ = false;
}

void Link::set_timer(Duration delay, void (Link::*then)()) {
  stop_timer();
  timer_ = pool_.loop().after(delay, [this, then] {
    timer_ = env::TimerId::kNone;
    (this->*then)();
  });
}

void Link::stop_timer() {
  if (timer_ != env::TimerId::kNone)
    pool_.loop().cancel(std::exchange(timer_, env::TimerId::kNone));
}

// ---- Out

std::size_t Link::queued_bytes() const {
  return batch_.bytes() + held_bytes_ + (stream_ == nullptr ? 0 : stream_->queued_bytes());
}

bool Link::room_for(std::size_t bytes) const {
  const std::size_t queued = queued_bytes();
  return bytes <= pool_.settings().frame_bytes_max &&
         (queued == 0 || queued + bytes <= pool_.settings().queue_bytes_max);
}

bool Link::send(const model::PartitionKey& group, const raft::Message& message,
                std::span<const Bytes> data) {
  std::size_t bytes = 0;
  for (const Bytes& piece : data) bytes += piece.size();
  if (!hopeful() || !room_for(bytes)) return false;
  if (!batch_.room() || batch_.bytes() + bytes > pool_.settings().frame_bytes_max) close_batch();
  batch_.add(group, message, data);
  if (stream_ != nullptr) stream_->flush_soon();
  return true;
}

void Link::send(Bytes frame) {
  CHECK(open());
  stream_->queue(std::move(frame));
}

void Link::call(Method method, Bytes body, Duration timeout, Answer reply) {
  const auto refuse = [&reply, this](ErrorCode code, std::string_view why) {
    ++pool_.metrics().calls_failed;
    reply(Error{code, fmt::format("broker {}: {}", target_.node, why)});
  };
  if (!hopeful()) return refuse(ErrorCode::kBrokerNotAvailable, "not connected");
  if (body.size() > pool_.settings().frame_bytes_max)
    return refuse(ErrorCode::kMessageTooLarge, "the call is too large");
  if (!room_for(body.size()) || calls_.size() >= pool_.settings().calls_max)
    return refuse(ErrorCode::kMemoryExhausted, "too much waits already");
  const auto timeout_ms = std::clamp<std::int64_t>(
      std::chrono::ceil<std::chrono::milliseconds>(timeout).count(), 0, 0x7fffffff);
  const RequestHead head{.id = calls_.add(timeout, std::move(reply)),
                         .method = method,
                         .timeout_ms = static_cast<std::uint32_t>(timeout_ms)};
  ++pool_.metrics().calls_out;
  std::vector<Bytes> pieces;
  pieces.push_back(encode(head, body.size(), version_));
  if (!body.empty()) pieces.push_back(std::move(body));
  emit(std::move(pieces));
}

void Link::flush() {
  close_batch();
  if (open()) stream_->flush();
}

void Link::on_turn_end() {
  close_batch();
}

void Link::close_batch() {
  if (batch_.empty()) return;
  pool_.metrics().messages_out += batch_.messages();
  std::vector<Bytes> pieces;
  batch_.finish(version_, pieces);
  emit(std::move(pieces));
}

void Link::emit(std::vector<Bytes> pieces) {
  if (open()) return stream_->queue(std::move(pieces));
  for (const Bytes& piece : pieces) held_bytes_ += piece.size();
  held_.push_back(std::move(pieces));
}

// ---- In

Result<std::size_t> Link::on_body(const FrameHead& head, Bytes body) {
  if (state_ == State::kGreeting && head.type == FrameType::kWelcome) return on_welcome(body);
  if (state_ == State::kGreeting && head.type == FrameType::kTurnedAway) {
    TRY_ASSIGN(const TurnedAway refusal, decode_turned_away(body));
    turned_away_ = fmt::format("{}: {}", name_of(refusal.reason), refusal.text);
    return Error{ErrorCode::kConnectionClosed, *turned_away_};
  }
  if (!open() || head.type != FrameType::kResponse || head.version != version_)
    return Error{ErrorCode::kCorruptMessage, "a frame that nobody waits for"};
  TRY_ASSIGN(response_, decode_response(body));
  if (head.data_bytes == 0) finish_response({});
  return std::size_t{head.data_bytes};
}

Result<std::size_t> Link::on_piece(Bytes piece) {
  finish_response(std::move(piece));
  return std::size_t{0};
}

void Link::finish_response(Bytes body) {
  const ResponseHead head = std::exchange(response_, {});
  if (head.code == ErrorCode::kNone) return calls_.answer(head.id, std::move(body));
  calls_.answer(head.id, Error{head.code, head.text});
}

}  // namespace millrace::cluster
