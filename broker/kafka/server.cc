#include "broker/kafka/server.h"

#include <algorithm>
#include <utility>

namespace millrace::kafka {

namespace {

constexpr std::size_t kScratchBytes = std::size_t{64} << 10;
constexpr common::Duration kSweepEvery = std::chrono::seconds(1);
constexpr int kLogLinesPerSecond = 5;

std::string_view name_of(CloseReason reason) {
  switch (reason) {
    case CloseReason::kPeer:
      return "peer";
    case CloseReason::kShutdown:
      return "shutdown";
    case CloseReason::kIdle:
      return "idle";
    case CloseReason::kMalformed:
      return "malformed";
    case CloseReason::kOversized:
      return "oversized";
    case CloseReason::kUnsupported:
      return "unsupported";
    case CloseReason::kUnanswerable:
      return "unanswerable";
    case CloseReason::kStalled:
      return "stalled";
  }
  return "unknown";
}

}  // namespace

Limits limits_from(const model::BrokerSettings& settings, std::uint64_t memory_bytes,
                   std::size_t shards) {
  Limits limits;
  if (settings.request_bytes_max > 0)
    limits.request_bytes_max = static_cast<std::size_t>(settings.request_bytes_max);
  if (settings.requests_in_flight_max > 0) {
    limits.requests_per_connection_max = static_cast<std::size_t>(settings.requests_in_flight_max);
  }
  if (settings.connection_idle_ms_max > 0) {
    limits.idle_max = std::chrono::milliseconds(settings.connection_idle_ms_max);
  }
  if (settings.fetch_bytes_max > 0)
    limits.fetch_bytes_max = static_cast<std::size_t>(settings.fetch_bytes_max);
  if (settings.fetch_session_slots_max >= 0) {
    limits.fetch_sessions_max = static_cast<std::size_t>(settings.fetch_session_slots_max) /
                                std::max<std::size_t>(shards, 1);
  }
  // A quarter of the broker's memory is for what is on its way; the rest holds records and
  // everything else.
  limits.memory_bytes_max =
      static_cast<std::size_t>(memory_bytes) / 4 / std::max<std::size_t>(shards, 1);
  return limits;
}

Server::Server(Parts parts)
    : shard_(parts.shard),
      transport_(parts.transport),
      limits_(parts.limits),
      connections_(std::move(parts.connections)),
      log_(std::move(parts.log)),
      memory_(limits_.memory_bytes_max),
      fetch_sessions_(limits_.fetch_sessions_max, shard_.random().fork()),
      context_{shard_, fetch_sessions_, memory_, limits_},
      scratch_(common::Bytes::allocate(kScratchBytes)) {
  memory_.on_room([this] {
    if (resume_posted_ || parked_.empty()) return;
    resume_posted_ = true;
    shard_.loop().post([this, here = std::weak_ptr<bool>(here_)] {
      if (!here.expired()) resume_parked();
    });
  });
}

Server::~Server() {
  listeners_.clear();
  while (!sessions_.empty())
    sessions_.back()->close(CloseReason::kShutdown, "the broker is stopping");
  if (sweep_timer_ != env::TimerId::kNone) shard_.loop().cancel(sweep_timer_);
  flush_.clear();
  parked_.clear();
  closed_sessions_.clear();
  for (Session* session : alive_) session->detach();
}

common::Result<env::Endpoint> Server::listen(const env::Endpoint& endpoint,
                                             const std::string& listener) {
  const auto take = [this, listener](std::unique_ptr<env::Connection> connection) {
    accept(std::move(connection), listener);
  };
  TRY_ASSIGN(auto listening, transport_.listen(endpoint, take));
  listeners_.push_back(std::move(listening));
  return listeners_.back()->endpoint();
}

void Server::set_peers(const std::vector<Server*>& servers) {
  for (Server* server : servers) peers_.push_back({server, &server->shard_.loop(), server->here_});
}

void Server::serve() {
  CHECK(!serving_);
  serving_ = true;
  const auto sessions = sessions_;
  for (const auto& session : sessions) session->start();
}

bool Server::admit(const env::Connection& connection) {
  const model::BrokerSettings& settings = shard_.settings();
  const ConnectionMaxima maxima{settings.connections_max, settings.connections_per_ip_max};
  const auto verdict = connections_->open(connection.peer(), maxima);
  if (verdict == ConnectionCount::Verdict::kOpened) return true;
  ++metrics_.closed.refused;
  if (log_allowed()) {
    log_(fmt::format(
        "event=connection_refused peer={} reason=\"{}\"", connection.peer(),
        verdict == ConnectionCount::Verdict::kTooMany
            ? fmt::format("max.connections={} are open", maxima.total)
            : fmt::format("max.connections.per.ip={} are open from there", maxima.per_address)));
  }
  return false;
}

void Server::accept(std::unique_ptr<env::Connection> connection, const std::string& listener) {
  if (!admit(*connection)) return;
  ++metrics_.connections_opened;
  enlist(std::make_shared<Session>(*this, std::move(connection), listener));
}

void Server::enlist(std::shared_ptr<Session> session) {
  session->list_position = sessions_.size();
  sessions_.push_back(session);
  if (serving_) session->start();
  sweep_soon();
}

const Metrics& Server::metrics_now() {
  metrics_.connections_now = sessions_.size();
  metrics_.memory_bytes = memory_.used();
  metrics_.fetch_sessions = fetch_sessions_.size();
  metrics_.fetch_sessions_evicted = fetch_sessions_.evictions();
  return metrics_;
}

// ---- Turns

void Server::flush_soon(Session& session) {
  if (session.flush_due) return;
  session.flush_due = true;
  flush_.push_back(session.shared_from_this());
  if (std::exchange(flush_posted_, true)) return;
  shard_.loop().post([this, here = std::weak_ptr<bool>(here_)] {
    if (!here.expired()) flush_all();
  });
}

void Server::flush_all() {
  flush_posted_ = false;
  std::swap(flush_, flushing_);
  for (const auto& session : flushing_) {
    session->flush_due = false;
    session->flush();
    if (const auto shard = session->destination()) move_away(*session, *shard);
  }
  flushing_.clear();
}

void Server::forget(Session& session, std::unique_ptr<env::Connection> connection) {
  connections_->close(connection->peer());
  closed_connections_.push_back(std::move(connection));
  closed_sessions_.push_back(unlist(session));
  bury_soon();
}

std::shared_ptr<Session> Server::unlist(Session& session) {
  const std::size_t at = session.list_position;
  CHECK(at < sessions_.size() && sessions_[at].get() == &session);
  std::shared_ptr<Session> taken = std::move(sessions_[at]);
  if (at + 1 < sessions_.size()) {
    sessions_[at] = std::move(sessions_.back());
    sessions_[at]->list_position = at;
  }
  sessions_.pop_back();
  return taken;
}

void Server::bury_soon() {
  if (std::exchange(bury_posted_, true)) return;
  shard_.loop().post([this, here = std::weak_ptr<bool>(here_)] {
    if (!here.expired()) bury();
  });
}

void Server::bury() {
  bury_posted_ = false;
  closed_connections_.clear();
  for (const auto& session : closed_sessions_) session->shrink();
  closed_sessions_.clear();
  if (sessions_.empty() && drained_) std::exchange(drained_, {})();
}

// A client that writes to one partition again and again is served best where that lives: each
// request then takes two hops between threads less.
void Server::move_away(Session& session, std::size_t shard) {
  if (shard >= peers_.size()) return;
  ++metrics_.connections_moved;
  const Peer& peer = peers_[shard];
  Session::Luggage luggage = session.pack();
  closed_sessions_.push_back(unlist(session));
  bury_soon();
  peer.loop->post([server = peer.server, here = peer.here, luggage = std::move(luggage)]() mutable {
    if (!here.expired()) server->take_over(std::move(luggage));
  });
}

void Server::take_over(Session::Luggage luggage) {
  auto connection = transport_.adopt(std::move(luggage.connection));
  if (draining_) return connections_->close(connection->peer());
  auto session =
      std::make_shared<Session>(*this, std::move(connection), std::move(luggage.listener));
  session->unpack(std::move(luggage));
  enlist(std::move(session));
}

void Server::drain(common::Function<void()> drained) {
  draining_ = true;
  listeners_.clear();
  drained_ = std::move(drained);
  const auto sessions = sessions_;
  for (const auto& session : sessions) session->drain();
  if (sessions.empty()) {
    shard_.loop().post([this, here = std::weak_ptr<bool>(here_)] {
      if (!here.expired()) bury();
    });
  }
}

// ---- Memory

void Server::park(Session& session) {
  if (parked_.empty() && sweep_timer_ != env::TimerId::kNone) {
    // The next sweep may be far off; while memory is short they come often.
    shard_.loop().cancel(std::exchange(sweep_timer_, env::TimerId::kNone));
  }
  parked_.push_back(session.shared_from_this());
  sweep_soon();
}

void Server::resume_parked() {
  resume_posted_ = false;
  // Those that park again wait for the next time.
  for (std::size_t left = parked_.size(); left > 0 && !memory_.short_of(); --left) {
    const auto session = std::move(parked_.front());
    parked_.pop_front();
    if (!session->closed()) session->resume(false);
  }
}

// Memory is short and nothing was given back for a while: what holds it are answers that nobody
// reads, or halves of frames whose other halves cannot come because no socket is read. First a
// reader that stands still is closed; else one parked connection may read on past the limit until
// its frame is whole, and is closed itself if it stands still.
void Server::relieve() {
  const common::Instant now = shard_.clock().now();
  if (Session* reader = stalled_reader(now)) {
    return reader->close(CloseReason::kStalled, "memory is short and its answers are not read");
  }
  if (const auto holder = overdraft_.lock();
      holder != nullptr && holder->in_overdraft() && !holder->closed()) {
    if (now - holder->last_moved() < limits_.stall_max) return;
    return holder->close(CloseReason::kStalled, "memory is short and its request does not arrive");
  }
  while (!parked_.empty()) {
    const auto session = std::move(parked_.front());
    parked_.pop_front();
    if (session->closed()) continue;
    overdraft_ = session;
    return session->resume(true);
  }
}

Session* Server::stalled_reader(common::Instant now) {
  Session* worst = nullptr;
  for (const auto& session : sessions_) {
    if (session->bytes_waiting() == 0 || now - session->last_moved() < limits_.stall_max) continue;
    if (worst == nullptr || session->bytes_waiting() > worst->bytes_waiting())
      worst = session.get();
  }
  return worst;
}

// ---- Time

void Server::sweep_soon() {
  if (sweep_timer_ != env::TimerId::kNone) return;
  const bool hurry = !parked_.empty();
  const common::Duration delay =
      hurry ? kSweepEvery : std::min<common::Duration>(limits_.idle_max / 4, kSweepEvery * 30);
  sweep_timer_ = shard_.loop().after(delay, [this] {
    sweep_timer_ = env::TimerId::kNone;
    sweep();
    if (!sessions_.empty()) sweep_soon();
  });
}

void Server::sweep() {
  const common::Instant now = shard_.clock().now();
  const auto sessions = sessions_;
  for (const auto& session : sessions) {
    session->shrink();
    if (!session->in_work() && now - session->last_moved() >= limits_.idle_max) {
      session->close(CloseReason::kIdle, "no traffic for connections.max.idle.ms");
    }
  }
  if (memory_.short_of() && memory_.released() == released_at_sweep_) relieve();
  released_at_sweep_ = memory_.released();
}

// ---- Log

void Server::count_close(const Session& session, CloseReason reason, std::string_view why) {
  switch (reason) {
    case CloseReason::kPeer:
    case CloseReason::kShutdown:
      return;
    case CloseReason::kIdle:
      ++metrics_.closed.idle;
      break;
    case CloseReason::kMalformed:
      ++metrics_.closed.malformed;
      break;
    case CloseReason::kOversized:
      ++metrics_.closed.oversized;
      break;
    case CloseReason::kUnsupported:
      ++metrics_.closed.unsupported;
      break;
    case CloseReason::kUnanswerable:
      ++metrics_.closed.unanswerable;
      break;
    case CloseReason::kStalled:
      ++metrics_.closed.stalled;
      break;
  }
  if (!log_allowed()) return;
  log_(fmt::format("event=connection_closed {} cause={} reason=\"{}\"", session.describe(),
                   name_of(reason), why));
}

bool Server::log_allowed() {
  if (!log_) return false;
  const common::Instant now = shard_.clock().now();
  if (now - log_second_ >= std::chrono::seconds(1)) {
    log_second_ = now;
    log_lines_ = 0;
    if (log_lines_dropped_ > 0) {
      log_(fmt::format("event=log_lines_dropped source=kafka count={}",
                       std::exchange(log_lines_dropped_, 0)));
    }
  }
  if (log_lines_ < kLogLinesPerSecond) {
    ++log_lines_;
    return true;
  }
  ++log_lines_dropped_;
  return false;
}

}  // namespace millrace::kafka
