// KafkaClient client(endpoint);   const auto response = client.call(request);
//
// A client on a real socket that waits for each answer.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "broker/env/transport.h"
#include "broker/kafka/testing/test_broker.h"
#include "broker/wire/messages/all.h"
#include "common/endian.h"

namespace millrace::server::testing {

// Only a broker that hangs takes so long, sanitizer or not.
inline constexpr timeval kAnswerMax{120, 0};

/// A socket of a client, blocking.
class Socket {
 public:
  explicit Socket(const env::Endpoint& endpoint) : fd_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(endpoint.port);
    inet_pton(AF_INET, endpoint.host.c_str(), &address.sin_addr);
    setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &kAnswerMax, sizeof(kAnswerMax));
    connected_ = ::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0;
  }
  ~Socket() { ::close(fd_); }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;

  /// False: nobody listens there. What is sent then is lost, and nothing comes.
  bool connected() const { return connected_; }
  void send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return;  // what is received then tells
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
  }
  /// Fewer bytes: the broker closed the connection, or did not answer.
  std::string receive(std::size_t size) {
    std::string bytes(size, '\0');
    std::size_t got = 0;
    while (got < size) {
      const ssize_t count = ::recv(fd_, bytes.data() + got, size - got, 0);
      if (count <= 0) break;
      got += static_cast<std::size_t>(count);
    }
    bytes.resize(got);
    return bytes;
  }

 private:
  int fd_;
  bool connected_ = false;
};

/// A Kafka connection that sends a request and waits for its answer.
class KafkaClient {
 public:
  explicit KafkaClient(const env::Endpoint& endpoint) : socket_(endpoint) {}
  /// False: nobody listens there.
  bool connected() const { return socket_.connected(); }

  template <typename Request>
  void send(const Request& request) {
    socket_.send(
        wire::encode_request(request, Request::kVersionMax, ++id_, "test").joined().text());
  }
  /// nullopt: the broker closed the connection.
  template <typename Request>
  std::optional<typename Request::Response> receive() {
    const std::string front = socket_.receive(4);
    if (front.size() < 4) return std::nullopt;
    const auto length =
        common::load_big<std::uint32_t>(reinterpret_cast<const std::uint8_t*>(front.data()));
    const kafka::testing::Answer answer{common::Bytes::copy_of(socket_.receive(length))};
    if (answer.frame.size() < length) return std::nullopt;
    EXPECT_EQ(answer.correlation_id(), id_);
    return kafka::testing::Client::decode<typename Request::Response>(answer, Request::kVersionMax);
  }
  template <typename Request>
  typename Request::Response call(const Request& request) {
    send(request);
    auto response = receive<Request>();
    EXPECT_TRUE(response.has_value()) << "no answer to " << request.debug();
    return response ? std::move(*response) : typename Request::Response{};
  }

 private:
  Socket socket_;
  std::int32_t id_ = 0;
};

}  // namespace millrace::server::testing
