// The pages over real sockets of the loopback interface.
#include "common/process/pages.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <httplib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

namespace millrace::process {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

class PagesTest : public ::testing::Test {
 protected:
  PagesTest() {
    server_ = start(0);
    CHECK(server_ != nullptr);
  }

  std::unique_ptr<PageServer> start(int port) {
    return PageServer::start("127.0.0.1", port,
                             {.program = "millrace",
                              .version = "1.2.3",
                              .not_ready = [this] { return reason_; },
                              .metrics = [this] { return metrics_; }});
  }

  httplib::Client client() const { return httplib::Client("127.0.0.1", server_->port()); }
  httplib::Result get(const std::string& path) const { return client().Get(path); }

  /// A connection on which these bytes were sent as they are.
  int sent(const std::string& bytes) const {
    const int descriptor = ::socket(AF_INET, SOCK_STREAM, 0);
    CHECK(descriptor >= 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(server_->port()));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CHECK(::connect(descriptor, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0);
    CHECK(
        std::cmp_equal(::send(descriptor, bytes.data(), bytes.size(), MSG_NOSIGNAL), bytes.size()));
    return descriptor;
  }
  /// The head of what the server answers.
  std::string raw(const std::string& bytes) const {
    const int descriptor = sent(bytes);
    std::string answer;
    char buffer[4096];
    // The connection stays open for more, so the end of the head ends the wait.
    for (ssize_t size = 0; answer.find("\r\n\r\n") == std::string::npos &&
                           (size = ::recv(descriptor, buffer, sizeof(buffer), 0)) > 0;)
      answer.append(buffer, static_cast<std::size_t>(size));
    ::close(descriptor);
    return answer;
  }

  std::string reason_;
  std::string metrics_ = "# TYPE millrace_x counter\nmillrace_x 7\n";
  std::unique_ptr<PageServer> server_;
};

TEST_F(PagesTest, TellsWhatItIs) {
  const auto answer = get("/version");
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 200);
  EXPECT_EQ(answer->get_header_value("Content-Type"), "application/json");
  const auto body = nlohmann::json::parse(answer->body);
  EXPECT_EQ(body.at("name"), "millrace");
  EXPECT_EQ(body.at("version"), "1.2.3");
}

TEST_F(PagesTest, MetricsAreTakenAnewForEachScrape) {
  const auto answer = get("/metrics");
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 200);
  EXPECT_THAT(answer->get_header_value("Content-Type"), StartsWith("text/plain; version=0.0.4"));
  EXPECT_EQ(answer->body, metrics_);
  metrics_ = "millrace_x 8\n";
  EXPECT_EQ(get("/metrics")->body, "millrace_x 8\n");
}

// A broker that recovers is alive, so that nothing restarts it, but gets no traffic yet.
TEST_F(PagesTest, AliveBeforeItIsReady) {
  reason_ = "starting: partitions are not served";
  const auto waiting = get("/readyz");
  ASSERT_TRUE(waiting);
  EXPECT_EQ(waiting->status, 503);
  EXPECT_EQ(waiting->body, reason_ + "\n");
  EXPECT_EQ(get("/livez")->status, 200);
  reason_.clear();
  EXPECT_EQ(get("/readyz")->status, 200);
  EXPECT_EQ(get("/readyz")->body, "ok\n");
}

TEST_F(PagesTest, EverythingElseIsNotThere) {
  for (const char* path : {"/", "/metrics/", "/metricsx", "/../etc/passwd", "/LIVEZ"}) {
    const auto answer = get(path);
    ASSERT_TRUE(answer) << path;
    EXPECT_EQ(answer->status, 404) << path;
  }
  EXPECT_EQ(client().Post("/metrics", "x", "text/plain")->status, 404);
  EXPECT_EQ(client().Delete("/livez")->status, 404);
  EXPECT_EQ(client().Head("/livez")->status, 200);
}

TEST_F(PagesTest, BadRequestsAreRefusedAndHarmNothing) {
  EXPECT_THAT(raw("NONSENSE\r\n\r\n"), StartsWith("HTTP/1.1 400"));
  EXPECT_THAT(raw("GET /livez HTTP/9.9\r\n\r\n"), StartsWith("HTTP/1.1 400"));
  EXPECT_THAT(raw("GET /" + std::string(20'000, 'x') + " HTTP/1.1\r\n\r\n"), HasSubstr(" 414 "));
  ::close(sent(""));
  ::close(sent("GET /livez"));
  ::close(sent(std::string(100, '\0')));
  EXPECT_EQ(get("/livez")->status, 200);
}

TEST_F(PagesTest, TwoServersDoNotShareAPort) {
  const int port = server_->port();
  EXPECT_EQ(start(port), nullptr);
  server_->stop();
  server_->stop();
  EXPECT_FALSE(get("/livez")) << "it listens no more";
  EXPECT_NE(start(port), nullptr);
}

}  // namespace
}  // namespace millrace::process
