#include "common/process/pages.h"

#include <httplib.h>

#include <mutex>
#include <nlohmann/json.hpp>
#include <thread>
#include <utility>

namespace millrace::process {
namespace {

constexpr std::size_t kThreads = 2;
constexpr time_t kSocketTimeoutSeconds = 5;
constexpr std::size_t kRequestBytesMax = 64 << 10;
constexpr const char* kText = "text/plain; charset=utf-8";
constexpr const char* kMetricsText = "text/plain; version=0.0.4; charset=utf-8";

class RealServer final : public PageServer {
 public:
  explicit RealServer(Pages pages) : pages_(std::move(pages)) { set_up(); }
  ~RealServer() override { stop(); }

  bool listen(const std::string& wanted, int port) {
    const std::string host = wanted.empty() ? "0.0.0.0" : wanted;
    port_ = port;
    if (port == 0) {
      port_ = server_.bind_to_any_port(host);
    } else if (!server_.bind_to_port(host, port)) {
      port_ = -1;
    }
    if (port_ <= 0) return false;
    thread_ = std::thread([this] { server_.listen_after_bind(); });
    // stop() has an effect only on a server that runs.
    while (!server_.is_running()) std::this_thread::yield();
    return true;
  }

  int port() const override { return port_; }

  void stop() override {
    if (!thread_.joinable()) return;
    server_.stop();
    thread_.join();
  }

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
      const std::string reason = pages_.not_ready();
      response.status = reason.empty() ? 200 : 503;
      response.set_content(reason.empty() ? "ok\n" : reason + "\n", kText);
    });
    server_.Get("/metrics", [this](const httplib::Request&, httplib::Response& response) {
      const std::lock_guard lock(mutex_);
      response.set_content(pages_.metrics(), kMetricsText);
    });
    server_.Get("/version", [this](const httplib::Request&, httplib::Response& response) {
      const nlohmann::json page = {{"name", pages_.program}, {"version", pages_.version}};
      response.set_content(page.dump() + "\n", "application/json");
    });
  }

  Pages pages_;
  std::mutex mutex_;  // guards the functions of pages_
  httplib::Server server_;
  std::thread thread_;
  int port_ = -1;
};

}  // namespace

std::unique_ptr<PageServer> PageServer::start(const std::string& host, int port, Pages pages) {
  auto server = std::make_unique<RealServer>(std::move(pages));
  if (!server->listen(host, port)) return nullptr;
  return server;
}

}  // namespace millrace::process
