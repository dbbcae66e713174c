#include "operator/kube/testing/https_server.h"

#include <openssl/pem.h>

#include <nlohmann/json.hpp>
#include <utility>

#include "common/check.h"

namespace millrace::kube::testing {
namespace {

X509* read_certificate(const std::string& pem) {
  BIO* bio = BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size()));
  X509* certificate = PEM_read_bio_X509(bio, nullptr, nullptr, nullptr);
  BIO_free(bio);
  CHECK(certificate != nullptr);
  return certificate;
}

EVP_PKEY* read_key(const std::string& pem) {
  BIO* bio = BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size()));
  EVP_PKEY* key = PEM_read_bio_PrivateKey(bio, nullptr, nullptr, nullptr);
  BIO_free(bio);
  CHECK(key != nullptr);
  return key;
}

}  // namespace

HttpsServer::HttpsServer(const Certificate& own, Handler handler, const std::string& client_ca,
                         int port)
    : handler_(std::move(handler)) {
  X509* certificate = read_certificate(own.cert_pem);
  EVP_PKEY* key = read_key(own.key_pem);
  X509_STORE* trusted = nullptr;
  if (!client_ca.empty()) {
    trusted = X509_STORE_new();
    X509* authority = read_certificate(client_ca);
    X509_STORE_add_cert(trusted, authority);
    X509_free(authority);
  }
  server_ = std::make_unique<httplib::SSLServer>(certificate, key, trusted);
  X509_free(certificate);
  EVP_PKEY_free(key);
  const auto answer = [this](const httplib::Request& request, httplib::Response& response) {
    {
      const std::lock_guard lock(mutex_);
      requests_.push_back(request.method + " " + request.target);
    }
    handler_(request, response);
  };
  server_->Get(".*", answer);
  server_->Post(".*", answer);
  server_->Put(".*", answer);
  server_->Patch(".*", answer);
  server_->Delete(".*", answer);
  server_->set_keep_alive_max_count(1000);
  server_->set_keep_alive_timeout(1);
  server_->set_socket_options([](socket_t socket) {
    const int yes = 1;
    setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
  });
  if (port == 0) {
    port_ = server_->bind_to_any_port("127.0.0.1");
  } else {
    CHECK(server_->bind_to_port("127.0.0.1", port), "port {}", port);
    port_ = port;
  }
  CHECK(port_ > 0);
  thread_ = std::thread([this] { server_->listen_after_bind(); });
  // stop() has an effect only on a server that runs.
  while (!server_->is_running()) std::this_thread::yield();
}

HttpsServer::~HttpsServer() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  stopping_changed_.notify_all();
  server_->stop();
  thread_.join();
}

std::vector<std::string> HttpsServer::requests() const {
  const std::lock_guard lock(mutex_);
  return requests_;
}

void HttpsServer::wait_until_stopped() {
  std::unique_lock lock(mutex_);
  stopping_changed_.wait(lock, [this] { return stopping_; });
}

void break_off(httplib::Response& response) {
  response.set_content_provider(1000, "application/json",
                                [](std::size_t, std::size_t, httplib::DataSink& sink) {
                                  sink.write("{", 1);
                                  return false;
                                });
}

void stream_lines(httplib::Response& response, std::vector<std::string> lines,
                  std::function<bool()> then) {
  response.set_chunked_content_provider(
      "application/json",
      [lines = std::move(lines), then = std::move(then)](std::size_t, httplib::DataSink& sink) {
        for (const std::string& line : lines) {
          const std::string whole = line + "\n";
          sink.write(whole.data(), whole.size());
        }
        if (!then()) return false;
        sink.done();
        return true;
      });
}

void refuse(httplib::Response& response, int status, const std::string& reason,
            const std::string& message) {
  const nlohmann::json body{{"kind", "Status"},   {"apiVersion", "v1"}, {"status", "Failure"},
                            {"message", message}, {"reason", reason},   {"code", status}};
  response.status = status;
  response.set_content(body.dump(), "application/json");
}

}  // namespace millrace::kube::testing
