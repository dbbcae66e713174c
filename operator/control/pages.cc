#include "operator/control/pages.h"

#include <fmt/format.h>
#include <httplib.h>

#include <charconv>
#include <mutex>
#include <nlohmann/json.hpp>
#include <thread>
#include <utility>

namespace millrace::control {
namespace {

constexpr std::size_t kThreads = 2;
constexpr time_t kSocketTimeoutSeconds = 5;
constexpr std::size_t kRequestBytesMax = 64 << 10;
constexpr const char* kText = "text/plain; charset=utf-8";
constexpr const char* kMetricsText = "text/plain; version=0.0.4; charset=utf-8";

struct Address {
  std::string host;
  int port = 0;
};

common::Outcome<Address, PageError> parse(const std::string& text) {
  const std::size_t colon = text.rfind(':');
  Address address;
  if (colon != std::string::npos) {
    address.host = text.substr(0, colon);
    if (address.host.starts_with('[') && address.host.ends_with(']'))
      address.host = address.host.substr(1, address.host.size() - 2);
    const char* const end = text.data() + text.size();
    const auto [stop, problem] = std::from_chars(text.data() + colon + 1, end, address.port);
    if (problem == std::errc{} && stop == end && address.port >= 0 && address.port <= 65535)
      return address;
  }
  return PageError{fmt::format("{} is no address of the form HOST:PORT", text)};
}

class RealPages final : public Pages {
 public:
  explicit RealPages(PageContents contents) : contents_(std::move(contents)) { set_up(); }
  ~RealPages() override {
    if (!thread_.joinable()) return;
    server_.stop();
    thread_.join();
  }

  common::Outcome<void, PageError> listen(const std::string& text) {
    TRY_ASSIGN(const Address address, parse(text));
    const std::string host = address.host.empty() ? "0.0.0.0" : address.host;
    port_ = address.port;
    if (port_ == 0) {
      port_ = server_.bind_to_any_port(host);
    } else if (!server_.bind_to_port(host, port_)) {
      port_ = -1;
    }
    if (port_ <= 0)
      return PageError{
          fmt::format("cannot listen on {}: it is in use or not of this machine", text)};
    thread_ = std::thread([this] { server_.listen_after_bind(); });
    // stop() has an effect only on a server that runs.
    while (!server_.is_running()) std::this_thread::yield();
    return {};
  }
  int port() const override { return port_; }

 private:
  void set_up() {
    server_.new_task_queue = [] { return new httplib::ThreadPool(kThreads); };
    server_.set_read_timeout(kSocketTimeoutSeconds);
    server_.set_write_timeout(kSocketTimeoutSeconds);
    server_.set_payload_max_length(kRequestBytesMax);
    // The library would share the port with any other process that does the same.
    server_.set_socket_options([](socket_t socket) {
      const int yes = 1;
      setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
    });
    server_.Get("/livez", [](const httplib::Request&, httplib::Response& response) {
      response.set_content("ok\n", kText);
    });
    server_.Get("/readyz", [this](const httplib::Request&, httplib::Response& response) {
      const std::lock_guard lock(mutex_);
      const std::string reason = contents_.not_ready();
      response.status = reason.empty() ? 200 : 503;
      response.set_content(reason.empty() ? "ok\n" : reason + "\n", kText);
    });
    server_.Get("/metrics", [this](const httplib::Request&, httplib::Response& response) {
      const std::lock_guard lock(mutex_);
      response.set_content(contents_.metrics(), kMetricsText);
    });
    server_.Get("/version", [this](const httplib::Request&, httplib::Response& response) {
      const nlohmann::json page = {{"name", "millrace-operator"}, {"version", contents_.version}};
      response.set_content(page.dump() + "\n", "application/json");
    });
  }

  const PageContents contents_;
  std::mutex mutex_;  // one call of contents_ at a time
  httplib::Server server_;
  std::thread thread_;
  int port_ = -1;
};

}  // namespace

common::Outcome<std::unique_ptr<Pages>, PageError> Pages::start(const std::string& address,
                                                                PageContents contents) {
  auto pages = std::make_unique<RealPages>(std::move(contents));
  TRY(pages->listen(address));
  return std::unique_ptr<Pages>(std::move(pages));
}

}  // namespace millrace::control
