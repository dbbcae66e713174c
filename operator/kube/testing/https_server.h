// An HTTPS server on loopback that a test tells what to answer.
#pragma once

#include <httplib.h>

#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "operator/kube/testing/certificates.h"

namespace millrace::kube::testing {

class HttpsServer {
 public:
  using Handler = std::function<void(const httplib::Request&, httplib::Response&)>;

  /// `client_ca`: demands a certificate of this authority, as PEM. `port` 0: any.
  HttpsServer(const Certificate& own, Handler handler, const std::string& client_ca = {},
              int port = 0);
  /// Ends every request that still waits.
  ~HttpsServer();

  int port() const { return port_; }
  /// "GET /api/v1/pods?limit=2", in the order they came.
  std::vector<std::string> requests() const;
  /// For handlers: returns when the server is about to stop.
  void wait_until_stopped();

 private:
  std::unique_ptr<httplib::Server> server_;
  Handler handler_;
  int port_ = 0;
  mutable std::mutex mutex_;  // guards what follows
  std::condition_variable stopping_changed_;
  bool stopping_ = false;
  std::vector<std::string> requests_;
  std::thread thread_;
};

/// A body of which only the beginning is sent before the connection breaks.
void break_off(httplib::Response& response);
/// A watch: these lines, then `then` decides: true ends the stream properly, false breaks it.
void stream_lines(httplib::Response& response, std::vector<std::string> lines,
                  std::function<bool()> then);
/// A Status object, as the API server refuses.
void refuse(httplib::Response& response, int status, const std::string& reason,
            const std::string& message);

}  // namespace millrace::kube::testing
