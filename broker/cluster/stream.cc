#include "broker/cluster/stream.h"

#include <algorithm>
#include <array>
#include <utility>

namespace millrace::cluster {

using common::Error;
using model::ErrorCode;

namespace {

constexpr std::size_t kScratchBytes = std::size_t{64} << 10;
// A busy connection gives way to the others of its loop after this many reads.
constexpr int kReadsPerTurn = 8;
// Pieces of one gathered write.
constexpr std::size_t kPiecesPerWrite = 256;
// Pieces that an idle stream keeps room for.
constexpr std::size_t kPiecesKept = 64;

}  // namespace

// ---- StreamPool

StreamPool::~StreamPool() {
  graves_.clear();
  CHECK(streams_.empty(), "a stream outlives its pool");
  if (sweep_timer_ != env::TimerId::kNone) loop_.cancel(sweep_timer_);
}

void StreamPool::enter(Stream& stream) {
  streams_.push_back(&stream);
  sweep_soon();
}

void StreamPool::leave(Stream& stream) {
  std::erase(streams_, &stream);
  std::erase(parked_, &stream);
  std::ranges::replace(dirty_, &stream, nullptr);
  std::ranges::replace(flushing_, &stream, nullptr);
}

common::MutableByteView StreamPool::scratch() {
  if (scratch_.empty()) scratch_ = Bytes::allocate(kScratchBytes);
  return scratch_.mutable_view();
}

void StreamPool::pause() {
  paused_ = true;
}

void StreamPool::resume() {
  paused_ = false;
  unpark_soon();
}

void StreamPool::count_input(std::size_t before, std::size_t after) {
  const bool was_short = !may_begin_frame();
  CHECK(metrics_.input_bytes >= before);
  metrics_.input_bytes = metrics_.input_bytes - before + after;
  if (was_short) unpark_soon();
}

void StreamPool::unpark_soon() {
  if (parked_.empty() || !may_begin_frame() || std::exchange(unpark_posted_, true)) return;
  loop_.post([this, here = std::weak_ptr<bool>(here_)] {
    if (!here.expired()) unpark();
  });
}

void StreamPool::unpark() {
  unpark_posted_ = false;
  // Those that find no room park again, at the end.
  std::vector<Stream*> parked = std::exchange(parked_, {});
  for (Stream* const stream : parked) {
    stream->parked_ = false;
    stream->listen();
  }
}

void StreamPool::flush_soon(Stream& stream) {
  if (std::exchange(stream.dirty_, true)) return;
  dirty_.push_back(&stream);
  end_turn_soon();
}

void StreamPool::at_turn_end(env::Task task) {
  turn_end_.push_back(std::move(task));
  end_turn_soon();
}

void StreamPool::bury(std::shared_ptr<void> thing) {
  if (thing == nullptr) return;
  graves_.push_back(std::move(thing));
  end_turn_soon();
}

void StreamPool::end_turn_soon() {
  if (std::exchange(turn_end_posted_, true)) return;
  loop_.post([this, here = std::weak_ptr<bool>(here_)] {
    if (!here.expired()) end_turn();
  });
}

void StreamPool::end_turn() {
  turn_end_posted_ = false;
  for (env::Task& task : std::exchange(turn_end_, {})) task();
  std::swap(dirty_, flushing_);
  for (std::size_t i = 0; i < flushing_.size(); ++i) {
    Stream* const stream = flushing_[i];
    if (stream == nullptr) continue;
    // What it queues now is flushed now.
    stream->owner_.on_turn_end();
    if (flushing_[i] == nullptr) continue;
    stream->dirty_ = false;
    if (!stream->closed()) stream->flush();
  }
  flushing_.clear();
  std::exchange(graves_, {}).clear();
}

void StreamPool::sweep_soon() {
  if (sweep_timer_ != env::TimerId::kNone) return;
  sweep_timer_ = loop_.after(settings_.stall_max / 4, [this] {
    sweep_timer_ = env::TimerId::kNone;
    sweep();
    if (!streams_.empty()) sweep_soon();
  });
}

void StreamPool::sweep() {
  const Instant now = loop_.clock().now();
  // Ends change the list.
  const std::vector<Stream*> streams = streams_;
  for (Stream* const stream : streams) {
    if (std::ranges::count(streams_, stream) > 0) stream->end_if_stalled(now);
  }
}

// ---- Stream

Stream::Stream(StreamPool& pool, std::unique_ptr<env::Connection> connection, StreamOwner& owner,
               std::size_t data_bytes_max, Intake intake)
    : pool_(pool),
      connection_(std::move(connection)),
      owner_(owner),
      peer_(connection_->peer()),
      intake_(intake),
      input_(data_bytes_max),
      moved_(pool.now()) {
  pool_.enter(*this);
}

Stream::~Stream() {
  forget();
  pool_.leave(*this);
}

void Stream::start() {
  listen();
}

void Stream::listen() {
  if (closed() || stopped_ || read_armed_ || parked_) return;
  if (must_wait()) {
    parked_ = true;
    return pool_.park(*this);
  }
  read_armed_ = true;
  connection_->when_readable([this] { on_readable(); });
}

void Stream::on_readable() {
  read_armed_ = false;
  for (int i = 0; i < kReadsPerTurn && !must_wait(); ++i) {
    if (!read_some()) return;
  }
  listen();
}

// False: there is nothing more now (and listen() was called), or the stream has ended.
bool Stream::read_some() {
  const auto space = input_.space(pool_.scratch());
  const auto count = connection_->read(space);
  if (!count.ok()) {
    end(StreamEnd::kBroken, count.error().detail);
    return false;
  }
  if (*count == 0) {
    listen();
    return false;
  }
  moved_ = pool_.now();
  pool_.metrics().bytes_in += *count;
  const auto taken = input_.take(*count, *this);
  if (closed()) return false;
  count_input();
  if (!taken.ok()) {
    const bool malformed = taken.error().code == ErrorCode::kCorruptMessage;
    if (malformed) ++pool_.metrics().malformed;
    end(malformed ? StreamEnd::kMalformed : StreamEnd::kBroken, taken.error().detail);
    return false;
  }
  return !stopped_;
}

Result<std::size_t> Stream::on_body(const FrameHead& head, Bytes body) {
  ++pool_.metrics().frames_in;
  auto wanted = owner_.on_body(head, std::move(body));
  // Whoever was told closed it: the rest of what was read is not wanted.
  if (closed()) return Error{ErrorCode::kShuttingDown, "closed"};
  return wanted;
}

Result<std::size_t> Stream::on_piece(Bytes piece) {
  auto wanted = owner_.on_piece(std::move(piece));
  if (closed()) return Error{ErrorCode::kShuttingDown, "closed"};
  return wanted;
}

void Stream::count_input() {
  const std::size_t held = closed() ? 0 : input_.held_bytes();
  if (held == input_counted_) return;
  pool_.count_input(std::exchange(input_counted_, held), held);
}

// ---- Writing

void Stream::queue(Bytes frame, std::span<const Bytes> data) {
  if (closed()) return;
  if (queued_bytes_ == 0) moved_ = pool_.now();
  std::size_t bytes = frame.size();
  out_.push_back(std::move(frame));
  for (const Bytes& piece : data) {
    bytes += piece.size();
    out_.push_back(piece);
  }
  queued_bytes_ += bytes;
  pool_.metrics().queued_bytes += bytes;
  ++pool_.metrics().frames_out;
  flush_soon();
}

void Stream::queue(std::vector<Bytes> pieces) {
  if (closed()) return;
  if (queued_bytes_ == 0) moved_ = pool_.now();
  for (Bytes& piece : pieces) {
    queued_bytes_ += piece.size();
    pool_.metrics().queued_bytes += piece.size();
  }
  ++pool_.metrics().frames_out;
  std::ranges::move(pieces, std::back_inserter(out_));
  flush_soon();
}

void Stream::flush_soon() {
  if (!closed()) pool_.flush_soon(*this);
}

void Stream::flush() {
  std::array<ByteView, kPiecesPerWrite> pieces;
  while (!write_armed_ && out_head_ < out_.size()) {
    std::size_t count = 0;
    std::size_t bytes = 0;
    for (std::size_t i = out_head_; i < out_.size() && count < pieces.size(); ++i) {
      pieces[count] = out_[i].view().subspan(i == out_head_ ? out_offset_ : 0);
      bytes += pieces[count++].size();
    }
    const auto written = connection_->write(std::span(pieces.data(), count));
    if (!written.ok()) return end(StreamEnd::kBroken, written.error().detail);
    if (*written > 0) moved_ = pool_.now();
    drop_written(*written);
    if (*written < bytes) {
      write_armed_ = true;
      connection_->when_writable([this] {
        write_armed_ = false;
        flush();
      });
    }
  }
}

void Stream::drop_written(std::size_t count) {
  pool_.metrics().bytes_out += count;
  pool_.metrics().queued_bytes -= count;
  queued_bytes_ -= count;
  while (out_head_ < out_.size()) {
    const std::size_t piece = out_[out_head_].size() - out_offset_;
    if (count < piece) {
      out_offset_ += count;
      break;
    }
    count -= piece;
    out_[out_head_++] = Bytes();
    out_offset_ = 0;
  }
  if (out_head_ == out_.size()) {
    out_.clear();
    if (out_.capacity() > kPiecesKept) std::vector<Bytes>().swap(out_);
    out_head_ = 0;
  } else if (out_head_ >= kPiecesPerWrite) {
    out_.erase(out_.begin(), out_.begin() + static_cast<std::ptrdiff_t>(out_head_));
    out_head_ = 0;
  }
}

// ---- Ends

void Stream::end_if_stalled(Instant now) {
  if (closed() || now - moved_ < pool_.settings().stall_max) return;
  if (queued_bytes_ > 0) return end(StreamEnd::kStalled, "the peer takes nothing");
  if (!input_.between_frames()) end(StreamEnd::kStalled, "half a frame came, and no more");
}

void Stream::end(StreamEnd kind, const std::string& why) {
  if (closed()) return;
  close();
  owner_.on_end(kind, why);
}

void Stream::close() {
  if (closed()) return;
  connection_.reset();
  forget();
}

std::unique_ptr<env::Connection> Stream::release() {
  CHECK(!closed() && queued_bytes_ == 0);
  connection_->leave();
  auto connection = std::move(connection_);
  forget();
  return connection;
}

// The buffers, and what they count for.
void Stream::forget() {
  pool_.metrics().queued_bytes -= std::exchange(queued_bytes_, 0);
  out_.clear();
  out_head_ = 0;
  out_offset_ = 0;
  if (input_counted_ > 0) pool_.count_input(std::exchange(input_counted_, 0), 0);
}

}  // namespace millrace::cluster
