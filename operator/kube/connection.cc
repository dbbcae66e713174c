#include "operator/kube/connection.h"

#include <fmt/format.h>
#include <httplib.h>
#include <netinet/tcp.h>

#include <exception>
#include <utility>

#include "operator/kube/tls.h"

namespace millrace::kube {
namespace {

/// A peer that vanished without a word is noticed after about half a minute.
void watch_over(socket_t socket) {
  const auto set = [socket](int level, int name, int value) {
    setsockopt(socket, level, name, &value, sizeof(value));
  };
  set(SOL_SOCKET, SO_KEEPALIVE, 1);
  set(IPPROTO_TCP, TCP_KEEPIDLE, 15);
  set(IPPROTO_TCP, TCP_KEEPINTVL, 5);
  set(IPPROTO_TCP, TCP_KEEPCNT, 3);
  set(IPPROTO_TCP, TCP_USER_TIMEOUT, 30'000);
}

class RealConnection final : public Connection {
 public:
  RealConnection(const Config& config, const ClientSettings& settings, const common::Clock& clock)
      : url_(config.url()), settings_(settings), clock_(clock) {
    if (config.tls) {
      auto client = std::make_unique<httplib::SSLClient>(config.host, config.port);
      // The context verifies by itself: tls.h.
      client->enable_server_certificate_verification(false);
      context_ = client->ssl_context();
      client_ = std::move(client);
    } else {
      client_ = std::make_unique<httplib::ClientImpl>(config.host, config.port);
    }
    client_->set_keep_alive(true);
    client_->set_tcp_nodelay(true);
    client_->set_url_encode(false);
    client_->set_decompress(false);
    client_->set_socket_options(watch_over);
    const auto connect = std::chrono::duration_cast<std::chrono::microseconds>(settings.connect);
    client_->set_connection_timeout(connect.count() / 1'000'000, connect.count() % 1'000'000);
    client_->set_write_timeout(
        std::chrono::duration_cast<std::chrono::microseconds>(settings.call));
    host_ = config.url().substr(config.tls ? 8 : 7);
  }

  SSL_CTX* context() const { return context_; }

  ApiResult<HttpAnswer> exchange(const HttpRequest& request) override {
    client_->set_read_timeout(
        std::chrono::duration_cast<std::chrono::microseconds>(settings_.call));
    HttpAnswer answer;
    const common::Instant deadline = clock_.now() + settings_.call;
    Refusal refused;
    httplib::Request sent = prepared(request);
    sent.content_receiver = [&](const char* bytes, std::size_t size, std::uint64_t, std::uint64_t) {
      if (answer.body.size() + size > settings_.answer_bytes_max) {
        refused.why = fmt::format("an answer of more than {} bytes", settings_.answer_bytes_max);
        return false;
      }
      if (clock_.now() > deadline) {
        refused = {Cause::kTimeout, "the answer takes too long"};
        return false;
      }
      answer.body.append(bytes, size);
      return true;
    };
    TRY_ASSIGN(const httplib::Response got, send(sent, refused));
    answer.status = got.status;
    answer.retry_after = got.get_header_value("Retry-After");
    return answer;
  }

  ApiResult<HttpAnswer> stream(const HttpRequest& request, const ByteSink& sink,
                               const std::stop_token& stop) override {
    client_->set_read_timeout(
        std::chrono::duration_cast<std::chrono::microseconds>(settings_.watch_idle));
    HttpAnswer answer;
    bool had_enough = false;
    httplib::Request sent = prepared(request);
    // From here on the connection exists, and stop() below has something to close.
    sent.response_handler = [&](const httplib::Response& got) {
      answer.status = got.status;
      return !stop.stop_requested();
    };
    sent.content_receiver = [&](const char* bytes, std::size_t size, std::uint64_t, std::uint64_t) {
      if (answer.status >= 300) {
        if (answer.body.size() + size > settings_.answer_bytes_max) return false;
        answer.body.append(bytes, size);
        return true;
      }
      had_enough = !sink({bytes, size});
      return !had_enough && !stop.stop_requested();
    };
    const std::stop_callback close(stop, [this] { client_->stop(); });
    const auto got = send(sent, Refusal{});
    if (stop.stop_requested()) {
      return ApiError{.cause = Cause::kCancelled, .detail = "the watch was stopped"};
    }
    if (had_enough) return answer;
    if (!got.ok()) return got.error();
    answer.retry_after = got->get_header_value("Retry-After");
    return answer;
  }

 private:
  /// Why a receiver wanted no more.
  struct Refusal {
    Cause cause = Cause::kBadAnswer;
    std::string why = "the answer was cut off";
  };

  httplib::Request prepared(const HttpRequest& request) const {
    httplib::Request sent;
    sent.method = request.method;
    sent.path = request.target;
    sent.body = request.body;
    sent.headers.emplace("Host", host_);
    sent.headers.emplace("Accept", "application/json");
    sent.headers.emplace("Accept-Encoding", "identity");
    sent.headers.emplace("User-Agent", request.user_agent);
    if (!request.content_type.empty()) sent.headers.emplace("Content-Type", request.content_type);
    if (!request.authorization.empty()) {
      sent.headers.emplace("Authorization", request.authorization);
    }
    return sent;
  }

  ApiResult<httplib::Response> send(httplib::Request& request, const Refusal& refused) {
    httplib::Response got;
    httplib::Error error = httplib::Error::Success;
    take_certificate_trouble();
    try {
      const bool sent = client_->send(request, got, error);
      if (sent && error == httplib::Error::Success) return got;
    } catch (const std::exception& thrown) {
      return ApiError{.cause = Cause::kBadAnswer,
                      .detail = fmt::format("{}: {}", url_, thrown.what()),
                      .maybe_done = true};
    }
    return trouble(error, refused);
  }

  ApiError trouble(httplib::Error error, const Refusal& refused) const {
    const auto say = [&](Cause cause, const std::string& what, bool maybe_done) {
      return ApiError{
          .cause = cause, .detail = fmt::format("{}: {}", url_, what), .maybe_done = maybe_done};
    };
    const std::string certificate = take_certificate_trouble();
    switch (error) {
      case httplib::Error::Connection:
      case httplib::Error::BindIPAddress:
        return say(Cause::kUnavailable, "cannot connect", false);
      case httplib::Error::ConnectionTimeout:
        return say(Cause::kUnavailable, "no connection in time", false);
      case httplib::Error::SSLConnection:
      case httplib::Error::SSLLoadingCerts:
      case httplib::Error::SSLServerVerification:
        return say(Cause::kUnavailable,
                   certificate.empty() ? "the TLS handshake failed"
                                       : "the server's certificate is not accepted: " + certificate,
                   false);
      case httplib::Error::Canceled:
        return say(refused.cause, refused.why, true);
      case httplib::Error::Read:
        return say(Cause::kTimeout, "the connection broke, or no answer came in time", true);
      case httplib::Error::Write:
        return say(Cause::kUnavailable, "the connection broke while sending", true);
      default:
        return say(Cause::kUnavailable, httplib::to_string(error), true);
    }
  }

  const std::string url_;
  std::string host_;
  const ClientSettings settings_;
  const common::Clock& clock_;
  SSL_CTX* context_ = nullptr;  // of client_
  std::unique_ptr<httplib::ClientImpl> client_;
};

}  // namespace

ApiResult<std::unique_ptr<Connection>> Connection::make(const Config& config,
                                                        const ClientSettings& settings,
                                                        const common::Clock& clock) {
  auto connection = std::make_unique<RealConnection>(config, settings, clock);
  if (connection->context() != nullptr) TRY(set_up_tls(connection->context(), config));
  return std::unique_ptr<Connection>(std::move(connection));
}

ConnectionPool::ConnectionPool(Config config, ClientSettings settings, const common::Clock& clock)
    : config_(std::move(config)), settings_(std::move(settings)), clock_(clock) {}

ApiResult<ConnectionPool::Lease> ConnectionPool::take() {
  {
    const std::lock_guard lock(mutex_);
    const common::Instant now = clock_.now();
    std::erase_if(idle_, [&](const Idle& idle) {
      return now - idle.since >= settings_.idle || now - idle.lease.made >= kAgeMax;
    });
    if (!idle_.empty()) {
      Lease lease = std::move(idle_.back().lease);
      idle_.pop_back();
      lease.reused = true;
      return lease;
    }
  }
  TRY_ASSIGN(auto connection, make());
  return Lease{std::move(connection), clock_.now(), false};
}

ApiResult<std::unique_ptr<Connection>> ConnectionPool::make() {
  {
    const std::lock_guard lock(mutex_);
    ++made_;
  }
  return Connection::make(config_, settings_, clock_);
}

void ConnectionPool::give_back(Lease lease) {
  const std::lock_guard lock(mutex_);
  if (idle_.size() >= static_cast<std::size_t>(settings_.idle_connections)) return;
  idle_.push_back({std::move(lease), clock_.now()});
}

void ConnectionPool::drop_idle() {
  const std::lock_guard lock(mutex_);
  idle_.clear();
}

std::uint64_t ConnectionPool::made() const {
  const std::lock_guard lock(mutex_);
  return made_;
}

}  // namespace millrace::kube
