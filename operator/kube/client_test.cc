#include "operator/kube/client.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <thread>

#include "operator/kube/fields.h"
#include "operator/kube/informer.h"
#include "operator/kube/kinds.h"
#include "operator/kube/testing/https_server.h"

namespace millrace::kube {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::HttpsServer;
using ::testing::StartsWith;

const ObjectKey kPod{"shop", "events-0"};
const char* const kPodText =
    R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":"events-0","namespace":"shop","resourceVersion":"7"}})";

/// What handlers on the server's threads saw.
class Notes {
 public:
  void add(std::string text) {
    const std::lock_guard lock(mutex_);
    texts_.push_back(std::move(text));
  }
  std::vector<std::string> all() const {
    const std::lock_guard lock(mutex_);
    return texts_;
  }

 private:
  mutable std::mutex mutex_;  // guards texts_
  std::vector<std::string> texts_;
};

class ClientTest : public ::testing::Test {
 protected:
  ClientTest()
      : authority_("cluster"), server_certificate_(authority_.issue("api", "IP:127.0.0.1")) {}

  void serve(HttpsServer::Handler handler, int port = 0) {
    server_ = std::make_unique<HttpsServer>(server_certificate_, std::move(handler), "", port);
  }
  Config config() const {
    Config config;
    config.host = "127.0.0.1";
    config.port = server_->port();
    config.ca_pem = authority_.cert_pem();
    config.token = "secret";
    return config;
  }
  static ClientSettings quick() {
    ClientSettings settings;
    settings.connect = seconds(5);
    settings.call = seconds(5);
    settings.total = seconds(10);
    settings.watch_idle = seconds(5);
    settings.backoff = {milliseconds(1), milliseconds(10)};
    return settings;
  }
  std::unique_ptr<Client> client(ClientSettings settings = quick()) {
    return make_client(config(), clock_, common::Random(1), settings).value();
  }
  static void json(httplib::Response& response, const std::string& body) {
    response.set_content(body, "application/json");
  }

  testing::Authority authority_;
  testing::Certificate server_certificate_;
  common::SystemClock clock_;
  std::unique_ptr<HttpsServer> server_;
};

TEST_F(ClientTest, EachCallIsTheRequestItShouldBe) {
  Notes notes;
  serve([&](const httplib::Request& request, httplib::Response& response) {
    EXPECT_EQ(request.get_header_value("Authorization"), "Bearer secret");
    EXPECT_EQ(request.get_header_value("User-Agent"), "millrace-operator");
    if (!request.body.empty()) {
      notes.add(request.get_header_value("Content-Type") + " " + request.body);
    }
    json(response, kPodText);
  });
  const auto api = client();
  const Json pod = *parse_object(kPodText);
  EXPECT_EQ(*api->get(kPods, kPod), pod);
  ASSERT_TRUE(api->create(kPods, pod).ok());
  ASSERT_TRUE(api->update(kPods, pod, Part::kStatus).ok());
  ASSERT_TRUE(api->apply(kPods, pod).ok());
  ASSERT_TRUE(
      api->apply(kPods, pod, {.ownership = Ownership::kRespect, .part = Part::kStatus}).ok());
  ASSERT_TRUE(api->patch(kPods, kPod, {{"a", 1}}, PatchKind::kMerge, Part::kStatus).ok());
  ASSERT_TRUE(api->patch(kPods, kPod, Json::array(), PatchKind::kJson).ok());
  ASSERT_TRUE(
      api->remove(kPods, kPod, {.uid = "u", .resource_version = "7", .grace_seconds = 0}).ok());
  const std::string pods = "/api/v1/namespaces/shop/pods";
  EXPECT_THAT(
      server_->requests(),
      ElementsAre("GET " + pods + "/events-0", "POST " + pods + "?fieldManager=millrace-operator",
                  "PUT " + pods + "/events-0/status?fieldManager=millrace-operator",
                  "PATCH " + pods + "/events-0?fieldManager=millrace-operator&force=true",
                  "PATCH " + pods + "/events-0/status?fieldManager=millrace-operator",
                  "PATCH " + pods + "/events-0/status?fieldManager=millrace-operator",
                  "PATCH " + pods + "/events-0?fieldManager=millrace-operator",
                  "DELETE " + pods + "/events-0"));
  const std::vector<std::string> bodies = notes.all();
  ASSERT_EQ(bodies.size(), 7);
  EXPECT_THAT(bodies[0], StartsWith("application/json {"));
  EXPECT_THAT(bodies[2], StartsWith("application/apply-patch+yaml {"));
  EXPECT_EQ(bodies[4], R"(application/merge-patch+json {"a":1})");
  EXPECT_EQ(bodies[5], "application/json-patch+json []");
  EXPECT_EQ(
      bodies[6],
      R"(application/json {"apiVersion":"v1","gracePeriodSeconds":0,"kind":"DeleteOptions",)"
      R"("preconditions":{"resourceVersion":"7","uid":"u"},"propagationPolicy":"Background"})");
  // All over one connection.
  EXPECT_EQ(api->counts().connections, 1);
  EXPECT_EQ(api->counts().calls, 8);
  EXPECT_EQ(api->counts().writes, 7);
  EXPECT_EQ(api->counts().failures, 0);
}

TEST_F(ClientTest, ARefusalSpeaksTheServersWords) {
  serve([](const httplib::Request&, httplib::Response& response) {
    testing::refuse(response, 422, "Invalid", "spec.partitions: must not fall");
  });
  const auto api = client();
  const auto done = api->apply(kPods, *parse_object(kPodText));
  ASSERT_FALSE(done.ok());
  EXPECT_EQ(done.error().cause, Cause::kInvalid);
  EXPECT_EQ(done.error().detail, "spec.partitions: must not fall");
  EXPECT_FALSE(done.error().maybe_done);
  EXPECT_EQ(server_->requests().size(), 1);
}

TEST_F(ClientTest, WhatTheServerDidNotLookAtIsRepeated) {
  std::atomic<int> left = 2;
  serve([&](const httplib::Request&, httplib::Response& response) {
    if (left-- > 0) return testing::refuse(response, 429, "TooManyRequests", "slow down");
    json(response, kPodText);
  });
  EXPECT_TRUE(client()->create(kPods, *parse_object(kPodText)).ok());
  EXPECT_EQ(server_->requests().size(), 3);
}

TEST_F(ClientTest, ALongWaitThatTheServerAsksForIsTheCallersDecision) {
  serve([](const httplib::Request&, httplib::Response& response) {
    response.set_header("Retry-After", "60");
    testing::refuse(response, 429, "TooManyRequests", "slow down");
  });
  const auto done = client()->get(kPods, kPod);
  ASSERT_FALSE(done.ok());
  EXPECT_EQ(done.error().cause, Cause::kTooManyRequests);
  EXPECT_EQ(done.error().retry_after, seconds(60));
}

TEST_F(ClientTest, ReadsAndAppliesSurviveALostAnswer) {
  std::atomic<int> left = 1;
  serve([&](const httplib::Request&, httplib::Response& response) {
    if (left-- > 0) return testing::break_off(response);
    json(response, kPodText);
  });
  const auto api = client();
  EXPECT_TRUE(api->get(kPods, kPod).ok());
  left = 1;
  EXPECT_TRUE(api->apply(kPods, *parse_object(kPodText)).ok());
}

// Goal: nothing is created, replaced, patched or deleted twice because an answer got lost.
TEST_F(ClientTest, OtherWritesWhoseAnswerIsLostSaySo) {
  serve([](const httplib::Request&, httplib::Response& response) { testing::break_off(response); });
  const auto api = client();
  const Json pod = *parse_object(kPodText);
  const auto check = [&](const auto& done, std::size_t requests) {
    ASSERT_FALSE(done.ok());
    EXPECT_TRUE(done.error().maybe_done) << done.error().detail;
    EXPECT_EQ(server_->requests().size(), requests);
  };
  check(api->create(kPods, pod), 1);
  check(api->update(kPods, pod), 2);
  check(api->patch(kPods, kPod, {{"a", 1}}), 3);
  check(api->remove(kPods, kPod), 4);
}

TEST_F(ClientTest, AServerThatGaveUpMayHaveDoneIt) {
  serve([](const httplib::Request&, httplib::Response& response) {
    testing::refuse(response, 504, "Timeout", "request did not complete");
  });
  const auto done = client()->create(kPods, *parse_object(kPodText));
  EXPECT_EQ(done.error().cause, Cause::kTimeout);
  EXPECT_TRUE(done.error().maybe_done);
  EXPECT_EQ(server_->requests().size(), 1);
}

TEST_F(ClientTest, NoServerIsUnavailableAndNothingWasDone) {
  serve([](const httplib::Request&, httplib::Response&) {});
  const Config old = config();
  server_.reset();
  const auto api = make_client(old, clock_, common::Random(1), quick()).value();
  const auto done = api->create(kPods, *parse_object(kPodText));
  ASSERT_FALSE(done.ok());
  EXPECT_EQ(done.error().cause, Cause::kUnavailable);
  EXPECT_FALSE(done.error().maybe_done);
  EXPECT_EQ(api->counts().requests, 4);
  EXPECT_EQ(api->counts().failures, 1);
}

TEST_F(ClientTest, NoAnswerInTimeEndsTheCall) {
  serve([this](const httplib::Request&, httplib::Response&) { server_->wait_until_stopped(); });
  ClientSettings settings = quick();
  settings.call = milliseconds(100);
  settings.tries = 2;
  const auto api = client(settings);
  const auto done = api->get(kPods, kPod);
  EXPECT_EQ(done.error().cause, Cause::kTimeout);
  EXPECT_FALSE(done.error().maybe_done);
  EXPECT_EQ(api->counts().requests, 2);
  EXPECT_TRUE(api->create(kPods, *parse_object(kPodText)).error().maybe_done);
}

// Goal: connections that the server closed while they waited cost no call its success.
TEST_F(ClientTest, ARestartedServerIsFoundAgain) {
  const auto answer = [](const httplib::Request&, httplib::Response& response) {
    json(response, kPodText);
  };
  serve(answer);
  const auto api = client();
  ASSERT_TRUE(api->get(kPods, kPod).ok());
  const int port = server_->port();
  server_.reset();
  serve(answer, port);
  EXPECT_TRUE(api->get(kPods, kPod).ok());
  EXPECT_TRUE(api->create(kPods, *parse_object(kPodText)).ok());
}

TEST_F(ClientTest, AnswersThatAreNoneAreRefused) {
  serve([](const httplib::Request& request, httplib::Response& response) {
    json(response, request.target.ends_with("huge") ? std::string(10'000, ' ') : "<html>");
  });
  ClientSettings settings = quick();
  settings.answer_bytes_max = 1000;
  const auto api = client(settings);
  EXPECT_EQ(api->get(kPods, kPod).error().cause, Cause::kBadAnswer);
  const auto huge = api->get(kPods, {"shop", "huge"});
  EXPECT_EQ(huge.error().cause, Cause::kBadAnswer);
  EXPECT_THAT(huge.error().detail, HasSubstr("more than 1000 bytes"));
}

TEST_F(ClientTest, APageThatExpiredBeginsTheListAgain) {
  std::atomic<bool> expired = false;
  serve([&](const httplib::Request& request, httplib::Response& response) {
    if (request.has_param("continue") && !expired.exchange(true)) {
      return testing::refuse(response, 410, "Expired", "the continue token is too old");
    }
    const bool first = !request.has_param("continue");
    json(response,
         fmt::format(R"({{"kind":"PodList","metadata":{{"resourceVersion":"9","continue":"{}"}},)"
                     R"("items":[{{"metadata":{{"name":"{}"}}}}]}})",
                     first ? "t" : "", first ? "a" : "b"));
  });
  std::vector<std::string> names;
  const auto version = list_all(
      *client(), kPods, {.limit = 1}, [&](Json&& object) { names.push_back(key_of(object).name); },
      [&] { names.clear(); });
  EXPECT_EQ(*version, "9");
  EXPECT_THAT(names, ElementsAre("a", "b"));
}

// ---- credentials -------------------------------------------------------------------------------

TEST_F(ClientTest, AnotherAuthoritysServerIsNotTrusted) {
  serve([](const httplib::Request&, httplib::Response& response) { json(response, kPodText); });
  Config other = config();
  other.ca_pem = testing::Authority("stranger").cert_pem();
  const auto api = make_client(other, clock_, common::Random(1), quick()).value();
  const auto done = api->create(kPods, *parse_object(kPodText));
  ASSERT_FALSE(done.ok());
  EXPECT_EQ(done.error().cause, Cause::kUnavailable);
  EXPECT_FALSE(done.error().maybe_done);
  EXPECT_THAT(done.error().detail, HasSubstr("certificate is not accepted"));
  EXPECT_TRUE(server_->requests().empty());
}

TEST_F(ClientTest, ACertificateForAnotherNameIsNotAccepted) {
  server_certificate_ = authority_.issue("api", "DNS:elsewhere,IP:127.0.0.2");
  serve([](const httplib::Request&, httplib::Response& response) { json(response, kPodText); });
  EXPECT_THAT(client()->get(kPods, kPod).error().detail, HasSubstr("certificate is not accepted"));
  Config named = config();
  named.server_name = "elsewhere";
  EXPECT_TRUE(
      make_client(named, clock_, common::Random(1), quick()).value()->get(kPods, kPod).ok());
  Config blind = config();
  blind.verify = false;
  EXPECT_TRUE(
      make_client(blind, clock_, common::Random(1), quick()).value()->get(kPods, kPod).ok());
}

TEST_F(ClientTest, AClientCertificateIsShown) {
  server_ = std::make_unique<HttpsServer>(
      server_certificate_,
      [](const httplib::Request&, httplib::Response& response) { json(response, kPodText); },
      authority_.cert_pem());
  EXPECT_FALSE(client()->get(kPods, kPod).ok());
  const testing::Certificate mine = authority_.issue("operator", "");
  Config with = config();
  with.cert_pem = mine.cert_pem;
  with.key_pem = mine.key_pem;
  EXPECT_TRUE(make_client(with, clock_, common::Random(1), quick()).value()->get(kPods, kPod).ok());
  with.key_pem = authority_.issue("another", "").key_pem;
  EXPECT_EQ(make_client(with, clock_, common::Random(1), quick()).error().cause, Cause::kInvalid);
}

/// A folder of its own, gone afterwards.
class Folder {
 public:
  Folder() {
    path_ = ::testing::TempDir() + "/kube_client_test_XXXXXX";
    if (mkdtemp(path_.data()) == nullptr) ADD_FAILURE() << path_;
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  std::string write(const std::string& name, const std::string& text) const {
    std::ofstream(path_ + "/" + name) << text;
    return path_ + "/" + name;
  }

 private:
  std::string path_;
};

TEST_F(ClientTest, ATokenThatWasReplacedIsReadAgain) {
  std::atomic<int> wanted = 1;
  serve([&](const httplib::Request& request, httplib::Response& response) {
    if (request.get_header_value("Authorization") != fmt::format("Bearer t{}", wanted.load())) {
      return testing::refuse(response, 401, "Unauthorized", "Unauthorized");
    }
    json(response, kPodText);
  });
  const Folder folder;
  Config with = config();
  with.token.clear();
  with.token_file = folder.write("token", "t1\n");
  const auto api = make_client(with, clock_, common::Random(1), quick()).value();
  EXPECT_TRUE(api->get(kPods, kPod).ok());
  wanted = 2;
  EXPECT_EQ(api->get(kPods, kPod).error().cause, Cause::kUnauthorized);
  folder.write("token", "t2\n");
  EXPECT_TRUE(api->create(kPods, *parse_object(kPodText)).ok());
}

TEST_F(ClientTest, ATokenIsReadAgainEveryMinute) {
  Notes seen;
  serve([&](const httplib::Request& request, httplib::Response& response) {
    seen.add(request.get_header_value("Authorization"));
    json(response, kPodText);
  });
  const Folder folder;
  Config with = config();
  with.token_file = folder.write("token", "t1");
  common::ManualClock clock;
  const auto api = make_client(with, clock, common::Random(1), quick()).value();
  ASSERT_TRUE(api->get(kPods, kPod).ok());
  folder.write("token", "t2");
  ASSERT_TRUE(api->get(kPods, kPod).ok());
  clock.advance(seconds(60));
  ASSERT_TRUE(api->get(kPods, kPod).ok());
  EXPECT_THAT(seen.all(), ElementsAre("Bearer t1", "Bearer t1", "Bearer t2"));
  // The connection waited a minute too, and is not trusted any more.
  EXPECT_EQ(api->counts().connections, 2);
}

// Goal: a rotated authority is taken over without a restart.
TEST_F(ClientTest, ACertificateAuthorityIsReadWithEachNewConnection) {
  const Folder folder;
  serve([](const httplib::Request&, httplib::Response& response) { json(response, kPodText); });
  Config with = config();
  with.ca_file = folder.write("ca.crt", testing::Authority("old").cert_pem());
  const auto api = make_client(with, clock_, common::Random(1), quick()).value();
  EXPECT_FALSE(api->get(kPods, kPod).ok());
  folder.write("ca.crt", authority_.cert_pem());
  EXPECT_TRUE(api->get(kPods, kPod).ok());
}

// ---- watches -----------------------------------------------------------------------------------

std::string line(const std::string& type, const std::string& name, int version) {
  return fmt::format(
      R"({{"type":"{}","object":{{"kind":"Pod","metadata":{{"name":"{}","namespace":"shop","resourceVersion":"{}"}}}}}})",
      type, name, version);
}

TEST_F(ClientTest, AWatchHandsOverEachLine) {
  serve([](const httplib::Request&, httplib::Response& response) {
    testing::stream_lines(response, {line("ADDED", "a", 8), line("BOOKMARK", "", 9)},
                          [] { return true; });
  });
  std::vector<std::string> seen;
  const auto ended =
      client()->watch(kPods, {.space = "shop", .resource_version = "7"},
                      [&](WatchEvent&& event) {
                        seen.push_back(fmt::format(
                            "{} {} {}", static_cast<int>(event.kind), key_of(event.object).name,
                            text_at(event.object, {"metadata", "resourceVersion"})));
                        return true;
                      },
                      {});
  EXPECT_TRUE(ended.ok());
  EXPECT_THAT(seen, ElementsAre("0 a 8", "3  9"));
  EXPECT_EQ(server_->requests()[0],
            "GET /api/v1/namespaces/shop/"
            "pods?watch=true&allowWatchBookmarks=true&resourceVersion=7&timeoutSeconds=300");
}

TEST_F(ClientTest, AWatchEndsAsTheServerSays) {
  std::atomic<int> round = 0;
  serve([&](const httplib::Request&, httplib::Response& response) {
    switch (round++) {
      case 0:
        return testing::refuse(response, 410, "Expired", "too old resource version");
      case 1:
        return testing::stream_lines(
            response,
            {R"({"type":"ERROR","object":{"kind":"Status","reason":"Expired","code":410}})"},
            [] { return true; });
      case 2:
        return testing::stream_lines(response, {line("ADDED", "a", 8)}, [] { return false; });
      case 3:
        return testing::stream_lines(response, {"garbage"}, [] { return true; });
      default:
        return testing::refuse(response, 403, "Forbidden", "pods is forbidden");
    }
  });
  const auto api = client();
  const auto watch = [&] {
    return api->watch(kPods, {.resource_version = "7"}, [](WatchEvent&&) { return true; }, {});
  };
  EXPECT_EQ(watch().error().cause, Cause::kGone);
  EXPECT_EQ(watch().error().cause, Cause::kGone);
  EXPECT_EQ(watch().error().cause, Cause::kTimeout);
  EXPECT_EQ(watch().error().cause, Cause::kBadAnswer);
  EXPECT_EQ(watch().error().cause, Cause::kForbidden);
}

TEST_F(ClientTest, AWatchStopsAtOnceWhenAsked) {
  serve([this](const httplib::Request&, httplib::Response& response) {
    testing::stream_lines(response, {line("ADDED", "a", 8)}, [this] {
      server_->wait_until_stopped();
      return true;
    });
  });
  ClientSettings settings = quick();
  settings.watch_idle = seconds(300);
  const auto api = client(settings);
  std::stop_source stop;
  std::jthread stopper;
  const auto ended = api->watch(
      kPods, {.resource_version = "7"},
      [&](WatchEvent&&) {
        stopper = std::jthread([&] { stop.request_stop(); });
        return true;
      },
      stop.get_token());
  EXPECT_EQ(ended.error().cause, Cause::kCancelled);
}

TEST_F(ClientTest, AWatchThatWasStoppedBeforeItBeganEnds) {
  serve([this](const httplib::Request&, httplib::Response& response) {
    testing::stream_lines(response, {}, [this] {
      server_->wait_until_stopped();
      return true;
    });
  });
  std::stop_source stop;
  stop.request_stop();
  const auto ended = client()->watch(
      kPods, {.resource_version = "7"}, [](WatchEvent&&) { return true; }, stop.get_token());
  EXPECT_EQ(ended.error().cause, Cause::kCancelled);
}

TEST_F(ClientTest, ASinkThatHadEnoughEndsTheWatch) {
  serve([this](const httplib::Request&, httplib::Response& response) {
    testing::stream_lines(response, {line("ADDED", "a", 8), line("ADDED", "b", 9)}, [this] {
      server_->wait_until_stopped();
      return true;
    });
  });
  int seen = 0;
  EXPECT_TRUE(client()
                  ->watch(kPods, {.resource_version = "7"},
                          [&](WatchEvent&&) {
                            ++seen;
                            return false;
                          },
                          {})
                  .ok());
  EXPECT_EQ(seen, 1);
}

// Goal: a network that swallows a stream does not leave the cache stale for ever.
TEST_F(ClientTest, ASilentWatchIsGivenUp) {
  serve([this](const httplib::Request&, httplib::Response& response) {
    testing::stream_lines(response, {line("ADDED", "a", 8)}, [this] {
      server_->wait_until_stopped();
      return true;
    });
  });
  ClientSettings settings = quick();
  settings.watch_idle = milliseconds(200);
  const auto ended = client(settings)->watch(kPods, {.resource_version = "7"},
                                             [](WatchEvent&&) { return true; }, {});
  EXPECT_EQ(ended.error().cause, Cause::kTimeout);
}

TEST_F(ClientTest, ALineOfAWatchHasALimit) {
  serve([](const httplib::Request&, httplib::Response& response) {
    testing::stream_lines(response, {std::string(5000, 'x')}, [] { return true; });
  });
  ClientSettings settings = quick();
  settings.line_bytes_max = 1000;
  const auto ended = client(settings)->watch(kPods, {.resource_version = "7"},
                                             [](WatchEvent&&) { return true; }, {});
  EXPECT_EQ(ended.error().cause, Cause::kBadAnswer);
  EXPECT_THAT(ended.error().detail, HasSubstr("more than 1000 bytes"));
}

// Goal: the whole way, list, watch, restart of the server, resume, 410, list again, over real
// sockets.
TEST_F(ClientTest, AnInformerFollowsAServerThroughRestarts) {
  Notes watched_from;
  std::atomic<int> lists = 0;
  const auto answer = [&](const httplib::Request& request, httplib::Response& response) {
    if (!request.has_param("watch")) {
      ++lists;
      return json(
          response,
          fmt::format(
              R"({{"kind":"PodList","metadata":{{"resourceVersion":"{}"}},"items":[)"
              R"({{"metadata":{{"name":"p{}","namespace":"shop","resourceVersion":"5"}}}}]}})",
              lists.load() * 10, lists.load()));
    }
    const std::string from = request.get_param_value("resourceVersion");
    watched_from.add(from);
    if (from == "12") {
      return testing::refuse(response, 410, "Expired", "too old resource version");
    }
    testing::stream_lines(response, {line("ADDED", "w" + from, std::stoi(from) + 2)}, [&, from] {
      if (from != "10") server_->wait_until_stopped();
      return false;
    });
  };
  serve(answer);
  const auto api = client();
  Informer informer(*api, clock_, common::Random(2),
                    {.resource = kPods, .backoff = {milliseconds(1), milliseconds(20)}});
  std::mutex changed_mutex;
  std::condition_variable changed;
  informer.on_change([&](const Change&) {
    const std::lock_guard lock(changed_mutex);
    changed.notify_all();
  });
  std::jthread thread([&](std::stop_token stop) { informer.run(std::move(stop)); });
  {
    // Listed at 10, watched to 12, cut, refused at 12, listed at 20, watched to 22.
    std::unique_lock lock(changed_mutex);
    EXPECT_TRUE(changed.wait_for(lock, seconds(30), [&] {
      return informer.cache().get({"shop", "w20"}).has_value();
    }));
  }
  EXPECT_THAT(watched_from.all(), ElementsAre("10", "12", "20"));
  EXPECT_EQ(lists, 2);
  EXPECT_FALSE(informer.cache().get({"shop", "p1"}));
  EXPECT_TRUE(informer.cache().get({"shop", "p2"}));
  thread.request_stop();
  thread.join();
}

}  // namespace
}  // namespace millrace::kube
