#include "broker/cluster/inbound.h"

#include <utility>

#include "broker/cluster/mesh.h"

namespace millrace::cluster {

using common::Error;
using model::ErrorCode;

Inbound::Inbound(Mesh& mesh, std::unique_ptr<env::Connection> connection,
                 std::shared_ptr<const Introduction> who, std::uint32_t from_shard,
                 std::uint8_t version)
    : mesh_(mesh),
      who_(std::move(who)),
      from_shard_(from_shard),
      version_(version),
      stream_(mesh.pool_, std::move(connection), *this, mesh.settings_.frame_bytes_max) {}

void Inbound::start() {
  stream_.queue(encode(Welcome{.version = version_, .who = *mesh_.self_}));
  stream_.start();
}

Result<std::size_t> Inbound::on_body(const FrameHead& head, Bytes body) {
  reading_ = head.type;
  if (head.version == version_ && head.type == FrameType::kRaft) {
    reader_ = RaftFrameReader(std::move(body));
    return next_messages();
  }
  if (head.version == version_ && head.type == FrameType::kRequest) {
    TRY_ASSIGN(request_, decode_request(body));
    if (head.data_bytes == 0) serve(request_, {});
    return std::size_t{head.data_bytes};
  }
  return Error{ErrorCode::kCorruptMessage, "a frame that does not belong here"};
}

Result<std::size_t> Inbound::on_piece(Bytes piece) {
  if (reading_ == FrameType::kRequest) {
    serve(request_, std::move(piece));
    return std::size_t{0};
  }
  std::vector<Bytes> data;
  data.reserve(item_.pieces.size());
  std::size_t at = 0;
  for (const std::uint32_t size : item_.pieces) {
    data.push_back(piece.slice(at, size));
    at += size;
  }
  deliver(std::exchange(item_, {}), std::move(data));
  return next_messages();
}

// Delivers messages up to the next one with data, and answers how much that is.
Result<std::size_t> Inbound::next_messages() {
  while (!closed() && reader_.more()) {
    TRY_ASSIGN(item_, reader_.next());
    if (item_.data_bytes > 0) return item_.data_bytes;
    std::vector<Bytes> empty(item_.pieces.size());
    deliver(std::exchange(item_, {}), std::move(empty));
  }
  return std::size_t{0};
}

void Inbound::deliver(RaftItem item, std::vector<Bytes> data) {
  item.message.from = {who_->node, who_->directory};
  item.message.to = {mesh_.self_->node, mesh_.self_->directory};
  mesh_.deliver(item.group, std::move(item.message), std::move(data));
}

// ---- Calls

void Inbound::serve(const RequestHead& head, Bytes body) {
  if (in_work_ >= kRequestsMax)
    return respond(head.id, Error{ErrorCode::kMemoryExhausted, "too many calls are in work"});
  ++in_work_;
  Request request{.from = who_->node,
                  .from_shard = from_shard_,
                  .method = head.method,
                  .body = std::move(body),
                  .deadline = mesh_.pool_.now() + std::chrono::milliseconds(head.timeout_ms)};
  mesh_.serve(std::move(request),
              [this, here = std::weak_ptr<bool>(here_), id = head.id](Result<Bytes> result) {
                if (here.expired()) return;
                --in_work_;
                respond(id, std::move(result));
              });
}

void Inbound::respond(std::uint64_t id, Result<Bytes> result) {
  if (closed()) return;
  const Settings& settings = mesh_.settings_;
  if (result.ok()) {
    const std::size_t queued = stream_.queued_bytes();
    if (result->size() > settings.frame_bytes_max) {
      result = Error{ErrorCode::kMessageTooLarge, "the answer is too large"};
    } else if (queued > 0 && queued + result->size() > settings.queue_bytes_max) {
      result = Error{ErrorCode::kMemoryExhausted, "too many answers wait"};
    }
  }
  if (!result.ok()) {
    const Error& error = result.error();
    return stream_.queue(
        encode(ResponseHead{.id = id, .code = error.code, .text = error.detail}, 0, version_));
  }
  std::vector<Bytes> pieces;
  pieces.push_back(encode(ResponseHead{.id = id}, result->size(), version_));
  if (!result->empty()) pieces.push_back(*std::move(result));
  stream_.queue(std::move(pieces));
}

void Inbound::on_end(StreamEnd, const std::string&) {
  mesh_.lost(*this);
}

}  // namespace millrace::cluster
