#include "tests/sim/client/connection.h"

#include <array>
#include <utility>

#include "common/endian.h"

namespace millrace::sim {

using model::ErrorCode;

Connection::~Connection() {
  const common::RepliesMayDrop the_run_is_over;
  waiting_.clear();
}

void Connection::send(const wire::Chunks& frame, std::int32_t correlation_id, Duration timeout,
                      Reply<Result<Bytes>> answer) {
  const env::TimerId timer =
      parts_.loop.after(timeout, [this] { end(ErrorCode::kRequestTimedOut); });
  waiting_.push_back({correlation_id, queued_, timer, std::move(answer)});
  enqueue(frame);
}

void Connection::send_only(const wire::Chunks& frame) {
  enqueue(frame);
}

void Connection::enqueue(const wire::Chunks& frame) {
  for (std::size_t i = 0; i < frame.count(); ++i) out_.push_back(frame[i]);
  queued_ += frame.size();
  if (socket_ == nullptr) {
    connect();
  } else {
    write();
  }
}

void Connection::reset() {
  end(ErrorCode::kNetworkException);
}

void Connection::connect() {
  if (std::exchange(connecting_, true)) return;
  parts_.transport.connect(parts_.endpoint, [this, generation = generation_](
                                                Result<std::unique_ptr<env::Connection>> result) {
    if (generation != generation_) return;
    connecting_ = false;
    if (!result.ok()) return end(ErrorCode::kBrokerNotAvailable);
    socket_ = std::move(*result);
    socket_->when_readable([this] { read(); });
    write();
  });
}

void Connection::write() {
  while (!out_.empty() && !waits_for_room_) {
    const common::ByteView pieces[] = {out_.front().view().subspan(out_taken_)};
    const auto taken = socket_->write(pieces);
    if (!taken.ok()) {
      waits_for_room_ = true;  // for ever
      return parts_.loop.post([this, generation = generation_] {
        if (generation == generation_) end(ErrorCode::kNetworkException);
      });
    }
    written_ += *taken;
    out_taken_ += *taken;
    if (out_taken_ == out_.front().size()) {
      out_.pop_front();
      out_taken_ = 0;
    } else {
      waits_for_room_ = true;
      socket_->when_writable([this] {
        waits_for_room_ = false;
        write();
      });
    }
  }
}

void Connection::read() {
  std::array<std::uint8_t, 16384> buffer;
  for (;;) {
    const auto count = socket_->read(buffer);
    if (!count.ok()) return end(ErrorCode::kNetworkException);
    if (*count == 0) break;
    in_.insert(in_.end(), buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(*count));
  }
  if (take_frames()) socket_->when_readable([this] { read(); });
}

// False: an answer's taker ended the connection.
bool Connection::take_frames() {
  const std::uint64_t generation = generation_;
  std::size_t at = 0;
  while (in_.size() - at >= 4) {
    const auto length = static_cast<std::size_t>(common::load_big<std::int32_t>(in_.data() + at));
    if (in_.size() - at - 4 < length) break;
    const Bytes frame = Bytes::copy_of(common::ByteView(in_).subspan(at + 4, length));
    at += 4 + length;
    const auto id = length >= 4 ? common::load_big<std::int32_t>(frame.data()) : -1;
    if (waiting_.empty() || waiting_.front().correlation_id != id) {
      parts_.trace.fail(fmt::format("{} was answered request {} out of turn", parts_.owner, id));
      end(ErrorCode::kNetworkException);
      return false;
    }
    Waiting request = std::move(waiting_.front());
    waiting_.pop_front();
    parts_.loop.cancel(request.timer);
    request.answer(frame);
    if (generation != generation_) return false;
  }
  in_.erase(in_.begin(), in_.begin() + static_cast<std::ptrdiff_t>(at));
  return true;
}

void Connection::end(ErrorCode code) {
  ++generation_;
  connecting_ = false;
  waits_for_room_ = false;
  socket_.reset();
  in_.clear();
  out_.clear();
  out_taken_ = 0;
  const std::uint64_t written = std::exchange(written_, 0);
  queued_ = 0;
  // An answer may bring the next request.
  auto waiting = std::exchange(waiting_, {});
  for (Waiting& request : waiting) {
    parts_.loop.cancel(request.timer);
    const bool unsent = request.begin >= written;
    request.answer(model::error(unsent ? ErrorCode::kBrokerNotAvailable : code));
  }
}

}  // namespace millrace::sim
