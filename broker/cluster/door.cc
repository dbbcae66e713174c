#include "broker/cluster/door.h"

#include "broker/cluster/hub.h"

namespace millrace::cluster {

using common::Error;
using model::ErrorCode;

Visitor::Visitor(Hub& hub, StreamPool& pool, std::unique_ptr<env::Connection> connection)
    : hub_(hub), came_(pool.now()), stream_(pool, std::move(connection), *this, 0) {}

void Visitor::turn_away(const TurnedAway& refusal) {
  stream_.queue(encode(refusal));
}

Result<std::size_t> Visitor::on_body(const FrameHead& head, Bytes body) {
  if (head.type != FrameType::kHello || hello_.has_value())
    return Error{ErrorCode::kCorruptMessage,
                 "a hello must come first, and nothing before it is answered"};
  TRY_ASSIGN(hello_, decode_hello(body));
  hub_.on_hello(*this, *hello_);
  return std::size_t{0};
}

Result<std::size_t> Visitor::on_piece(Bytes) {
  return Error{ErrorCode::kCorruptMessage, "a hello has no data"};
}

void Visitor::on_end(StreamEnd end, const std::string& why) {
  if (end == StreamEnd::kMalformed) hub_.on_garbage(peer(), why);
  hub_.drop_visitor(*this);
}

Pulse::Pulse(Hub& hub, StreamPool& pool, std::unique_ptr<env::Connection> connection,
             std::shared_ptr<const Introduction> who, std::uint8_t version)
    : hub_(hub),
      who_(std::move(who)),
      version_(version),
      stream_(pool, std::move(connection), *this, 0) {}

void Pulse::start(const Introduction& self) {
  stream_.queue(encode(Welcome{.version = version_, .who = self}));
  stream_.start();
}

Result<std::size_t> Pulse::on_body(const FrameHead& head, Bytes body) {
  if (head.version != version_)
    return Error{ErrorCode::kCorruptMessage, "a frame of a version that was not agreed"};
  TRY(hub_.on_pulse(*this, head, body));
  return std::size_t{0};
}

Result<std::size_t> Pulse::on_piece(Bytes) {
  return Error{ErrorCode::kCorruptMessage, "heartbeats have no data"};
}

void Pulse::on_end(StreamEnd end, const std::string& why) {
  if (end == StreamEnd::kMalformed) hub_.on_garbage(stream_.peer(), why);
  hub_.pulse_lost(*this);
}

}  // namespace millrace::cluster
