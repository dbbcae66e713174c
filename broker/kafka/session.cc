#include "broker/kafka/session.h"

#include <algorithm>
#include <array>
#include <utility>

#include "broker/kafka/dispatch.h"
#include "broker/kafka/handlers/18_api_versions.h"
#include "broker/kafka/server.h"

namespace millrace::kafka {

using common::Bytes;
using common::ByteView;

namespace {

// A busy connection gives way to the others of its shard after this many reads.
constexpr int kReadsPerTurn = 4;
// Pieces of one gathered write; more than this gains nothing.
constexpr std::size_t kPiecesPerWrite = 64;
// One request in so many is asked where its partition lives, if asking costs; the answers that make
// a connection move, twice as many after each move, and the most moves: a client that changes
// between partitions stays where it is.
constexpr std::uint32_t kRequestsPerQuestion = 4;
constexpr int kTellsToMove = 4;
constexpr std::uint8_t kMovesMax = 6;
// Requests that an idle connection keeps room for.
constexpr std::size_t kSlotsKept = 1;

}  // namespace

Session::Session(Server& server, std::unique_ptr<env::Connection> connection, std::string listener)
    : server_(&server),
      connection_(std::move(connection)),
      listener_(std::move(listener)),
      input_(server.limits().request_bytes_max),
      last_moved_(server.now()) {
  server.born(*this);
}

Session::~Session() {
  CHECK(closed_, "an open connection was forgotten");
  if (server_ != nullptr) server_->gone(*this);
}

void Session::start() {
  listen_for_input();
}

const Context& Session::context() const {
  return server_->context();
}

void Session::set_client_software(std::string_view name, std::string_view version) {
  software_name_ = name;
  software_version_ = version;
}

std::string Session::describe() const {
  std::string text = fmt::format(
      "peer={} software={}", connection_ != nullptr ? connection_->peer() : "gone",
      software_name_.empty() ? "unknown" : fmt::format("{}/{}", software_name_, software_version_));
  if (listener_ != kMainListener) text += fmt::format(" listener={}", listener_);
  return text;
}

// ---- Input

void Session::on_readable() {
  const auto self = shared_from_this();
  read_armed_ = false;
  read_some();
}

bool Session::may_read() {
  if (closed_ || draining_ || !next_frame_.empty()) return false;
  if (requests_in_work() >= server_->limits().requests_per_connection_max) return false;
  if (out_bytes_ >= server_->limits().response_bytes_waiting_max) return false;
  if (server_->memory().short_of() && !overdraft_) {
    if (!parked_) server_->park(*this);
    parked_ = true;
    return false;
  }
  return true;
}

void Session::read_some() {
  for (int reads = 0; reads < kReadsPerTurn; ++reads) {
    if (!may_read()) return;
    const common::MutableByteView space = input_.space(server_->scratch());
    count_held();
    const auto count = connection_->read(space);
    if (!count.ok()) {
      close(CloseReason::kPeer, "the client closed the connection");
      return count_held();
    }
    if (*count > 0) last_moved_ = server_->now();
    if (!take_frames(*count)) return;
    if (*count < space.size()) break;
  }
  listen_for_input();
}

// False: the connection is closed.
bool Session::take_frames(std::size_t count) {
  const auto taken = input_.take(count, [this](Bytes frame) { return on_frame(std::move(frame)); });
  if (!taken.ok() && !closed_) close(CloseReason::kOversized, taken.error().detail);
  count_held();
  return !closed_;
}

// Answers whether the next frame may be handed over.
bool Session::on_frame(Bytes frame) {
  overdraft_ = false;
  wire::Reader body(frame);
  auto header = wire::read_request_header(body);
  if (!header.ok()) {
    close(CloseReason::kMalformed, header.error().detail);
    return false;
  }
  if (!wire::is_served(*header)) {
    refuse(*header);
    return !closed_;
  }
  if (!may_start(static_cast<wire::ApiKey>(header->request_api_key))) {
    next_frame_ = std::move(frame);
    return false;
  }
  begin(std::move(frame), std::move(*header), std::move(body));
  return !closed_ && requests_in_work() < server_->limits().requests_per_connection_max;
}

bool Session::may_start(wire::ApiKey key) const {
  for (std::size_t i = head_; i < slots_.size(); ++i) {
    if (!slots_[i].done && (!pipelined(key) || wire::kApis[slots_[i].api].key != key)) return false;
  }
  return true;
}

void Session::begin(Bytes frame, wire::RequestHeader header, wire::Reader body) {
  const std::size_t api = *api_position(header.request_api_key);
  if (const auto& id = header.client_id; client_id_ != (id ? std::string_view(*id) : ""))
    client_id_ = id.value_or("");
  Slot& slot = slots_.emplace_back();
  slot.started = server_->now();
  slot.frame_bytes = static_cast<std::uint32_t>(frame.size());
  slot.api = static_cast<std::uint8_t>(api);
  const std::uint64_t id = head_id_ + (slots_.size() - 1 - head_);
  server_->memory().add(frame.size());
  // Fetch sessions belong to their shard.
  fetches_ |= wire::kApis[api].key == wire::ApiKey::kFetch;
  ApiMetrics& metrics = server_->metrics().apis[api];
  ++metrics.requests;
  metrics.bytes_in += frame.size();
  CallTicket ticket{shared_from_this(), id, header.correlation_id, header.request_api_version};
  frame = Bytes();  // the handler may write into the records: the reader's reference is enough
  if (const auto started = dispatch(api, body, ticket); !started.ok()) {
    finish(id, {});
    close(CloseReason::kMalformed, fmt::format("{} version {}: {}", wire::kApis[api].name,
                                               header.request_api_version, started.error().detail));
  }
}

// An API or version that is not served. An ApiVersions request learns what is (KIP-511); others
// cannot be answered.
void Session::refuse(const wire::RequestHeader& header) {
  if (header.request_api_key != static_cast<std::int16_t>(wire::ApiKey::kApiVersions)) {
    return close(CloseReason::kUnsupported,
                 fmt::format("API {} version {} is not served", header.request_api_key,
                             header.request_api_version));
  }
  Slot& slot = slots_.emplace_back();
  slot.started = server_->now();
  slot.api = static_cast<std::uint8_t>(*api_position(header.request_api_key));
  ++server_->metrics().apis[slot.api].requests;
  finish(head_id_ + (slots_.size() - 1 - head_), version_refusal(header.correlation_id));
}

void Session::go_on_with_input() {
  if (closed_ || draining_) return;
  if (!next_frame_.empty()) {
    Bytes frame = std::exchange(next_frame_, Bytes());
    if (!on_frame(std::move(frame))) {
      if (closed_ || !next_frame_.empty()) return;
    }
  }
  if (input_.holds_data() && may_read()) {
    const auto taken = input_.resume([this](Bytes frame) { return on_frame(std::move(frame)); });
    if (!taken.ok() && !closed_) close(CloseReason::kOversized, taken.error().detail);
    count_held();
  }
  if (!closed_) listen_for_input();
}

void Session::listen_for_input() {
  if (read_armed_ || !may_read()) return;
  read_armed_ = true;
  connection_->when_readable([this] { on_readable(); });
}

void Session::resume(bool overdraft) {
  parked_ = false;
  overdraft_ = overdraft && !closed_;
  go_on_with_input();
}

// Keeps the shard's count of memory in step with what the input holds.
void Session::count_held() {
  if (closed_) input_ = FrameInput(server_->limits().request_bytes_max);
  const std::size_t held = input_.held_bytes() + next_frame_.size();
  if (held > held_counted_) server_->memory().add(held - held_counted_);
  const std::size_t before = std::exchange(held_counted_, held);
  if (held < before) server_->memory().release(before - held);
}

// ---- Answers

void Session::cancel_with_connection(std::uint64_t slot,
                                     std::shared_ptr<service::FetchHandle> waiting) {
  const std::size_t at = head_ + static_cast<std::size_t>(slot - head_id_);
  CHECK(slot >= head_id_ && at < slots_.size());
  if (slots_[at].done) return;
  if (closed_) return waiting->cancel();
  slots_[at].waiting = std::move(waiting);
}

void Session::finish(std::uint64_t slot, wire::Chunks frame) {
  const std::size_t at = head_ + static_cast<std::size_t>(slot - head_id_);
  CHECK(slot >= head_id_ && at < slots_.size(), "slot {} of [{}, +{})", slot, head_id_,
        requests_in_work());
  Slot& done = slots_[at];
  CHECK(!done.done, "a request was answered twice");
  done.done = true;
  done.waiting.reset();
  if (server_ == nullptr) return;
  ApiMetrics& metrics = server_->metrics().apis[done.api];
  metrics.latency.record(server_->now() - done.started);
  metrics.bytes_out += frame.size();
  if (!closed_) {
    out_bytes_ += frame.size();
    server_->memory().add(frame.size());
    done.answer = std::move(frame);
    server_->flush_soon(*this);
  }
  server_->memory().release(std::exchange(done.frame_bytes, 0));
}

void Session::collect_answers() {
  while (head_ < slots_.size() && slots_[head_].done) {
    Slot& slot = slots_[head_];
    for (std::size_t i = 0; i < slot.answer.count(); ++i) out_.push_back(slot.answer[i]);
    slot.answer = {};
    ++head_;
    ++head_id_;
  }
  if (head_ == slots_.size()) {
    slots_.clear();
    head_ = 0;
  } else if (head_ >= server_->limits().requests_per_connection_max) {
    slots_.erase(slots_.begin(), slots_.begin() + static_cast<std::ptrdiff_t>(head_));
    head_ = 0;
  }
}

void Session::flush() {
  if (closed_) return;
  const auto self = shared_from_this();
  collect_answers();
  if (!write_armed_ && !write_out()) return;
  if (draining_ && !in_work() && out_bytes_ == 0)
    return close(CloseReason::kShutdown, "the broker is stopping");
  go_on_with_input();
}

// False: the connection is closed.
bool Session::write_out() {
  std::array<ByteView, kPiecesPerWrite> pieces;
  while (out_head_ < out_.size()) {
    std::size_t count = 0;
    std::size_t bytes = 0;
    for (std::size_t i = out_head_; i < out_.size() && count < pieces.size(); ++i) {
      const std::size_t skip = i == out_head_ ? out_offset_ : 0;
      pieces[count] = out_[i].view().subspan(skip);
      bytes += pieces[count++].size();
    }
    const auto written = connection_->write(std::span(pieces.data(), count));
    if (!written.ok()) {
      close(CloseReason::kPeer, "the client closed the connection");
      return false;
    }
    if (*written > 0) last_moved_ = server_->now();
    drop_written(*written);
    if (*written < bytes) {
      write_armed_ = true;
      connection_->when_writable([this] {
        write_armed_ = false;
        flush();
      });
      return true;
    }
  }
  return true;
}

void Session::drop_written(std::size_t count) {
  out_bytes_ -= count;
  server_->memory().release(count);
  std::size_t left = count;
  while (left > 0) {
    const std::size_t piece = out_[out_head_].size() - out_offset_;
    if (left < piece) {
      out_offset_ += left;
      return;
    }
    left -= piece;
    out_[out_head_++] = Bytes();
    out_offset_ = 0;
  }
  if (out_head_ == out_.size()) {
    out_.clear();
    out_head_ = 0;
  }
}

// ---- Moving

bool Session::may_move() const {
  return !fetches_ && moves_ < kMovesMax;
}

bool Session::asks_for_home() {
  return may_move() && ++questions_ % kRequestsPerQuestion == 0;
}

void Session::lives_on(std::size_t shard) {
  told_ = shard == home_ ? static_cast<std::uint16_t>(std::min(told_ + 1, 1 << 12)) : 1;
  home_ = static_cast<std::uint32_t>(shard);
}

std::optional<std::size_t> Session::destination() const {
  const bool settled = closed_ || draining_ || !may_move() || told_ < (kTellsToMove << moves_) ||
                       home_ == context().shard.index();
  const bool busy = in_work() || out_bytes_ > 0 || write_armed_ || parked_ || overdraft_ ||
                    input_.holds_data() || !next_frame_.empty();
  return settled || busy ? std::nullopt : std::optional<std::size_t>(home_);
}

Session::Luggage Session::pack() {
  CHECK(destination().has_value());
  closed_ = true;
  count_held();
  connection_->leave();
  return {std::move(connection_), std::move(listener_), std::move(software_name_),
          std::move(software_version_), static_cast<std::uint8_t>(moves_ + 1)};
}

void Session::unpack(Luggage luggage) {
  software_name_ = std::move(luggage.software_name);
  software_version_ = std::move(luggage.software_version);
  moves_ = luggage.moves;
}

// ---- Ends

void Session::drain() {
  if (closed_) return;
  draining_ = true;
  const auto self = shared_from_this();
  std::vector<std::shared_ptr<service::FetchHandle>> waiting;
  for (std::size_t i = head_; i < slots_.size(); ++i) {
    if (slots_[i].waiting != nullptr) waiting.push_back(slots_[i].waiting);
  }
  for (const auto& handle : waiting) handle->cancel();
  flush();
}

void Session::close(CloseReason reason, std::string_view why) {
  if (closed_) return;
  const auto self = shared_from_this();
  closed_ = true;
  server_->count_close(*this, reason, why);
  std::vector<std::shared_ptr<service::FetchHandle>> waiting;
  for (std::size_t i = head_; i < slots_.size(); ++i) {
    slots_[i].answer = {};
    if (slots_[i].waiting != nullptr) waiting.push_back(std::move(slots_[i].waiting));
  }
  server_->memory().release(std::exchange(out_bytes_, 0));
  server_->memory().release(std::exchange(held_counted_, 0));
  out_.clear();
  next_frame_ = Bytes();
  server_->forget(*this, std::move(connection_));
  for (const auto& handle : waiting) handle->cancel();
}

void Session::shrink() {
  if (closed_) input_ = FrameInput(0);
  if (in_work() || out_bytes_ > 0) return;
  if (slots_.capacity() > kSlotsKept) std::vector<Slot>().swap(slots_);
  if (out_.capacity() > kSlotsKept) std::vector<Bytes>().swap(out_);
}

}  // namespace millrace::kafka
