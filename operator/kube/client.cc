#include "operator/kube/client.h"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <mutex>
#include <optional>
#include <utility>

#include "operator/kube/answer.h"
#include "operator/kube/connection.h"
#include "operator/kube/fields.h"
#include "operator/kube/file.h"

namespace millrace::kube {
namespace {

constexpr common::Duration kTokenAge = std::chrono::minutes(1);
constexpr const char* kJsonType = "application/json";

void ignore_broken_pipes() {
  struct sigaction action {};
  if (sigaction(SIGPIPE, nullptr, &action) != 0 || action.sa_handler != SIG_DFL) return;
  action.sa_handler = SIG_IGN;
  sigaction(SIGPIPE, &action, nullptr);
}

std::string base64(const std::string& bytes) {
  std::string text((bytes.size() + 2) / 3 * 4 + 1, '\0');
  const int size = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()),
                                   reinterpret_cast<const unsigned char*>(bytes.data()),
                                   static_cast<int>(bytes.size()));
  text.resize(static_cast<std::size_t>(size));
  return text;
}

/// What the Authorization header says, as new as the file it comes from. Thread-safe.
class Credentials {
 public:
  Credentials(const Config& config, const common::Clock& clock) : clock_(clock) {
    file_ = config.token_file;
    if (!config.token.empty()) {
      header_ = "Bearer " + config.token;
    } else if (!config.user.empty()) {
      header_ = "Basic " + base64(config.user + ":" + config.password);
    }
  }

  std::string header() {
    const std::lock_guard lock(mutex_);
    const common::Instant now = clock_.now();
    if (!file_.empty() && (!read_at_ || now - *read_at_ >= kTokenAge)) {
      // A file that is just being replaced leaves the token that was.
      const auto token = read_token(file_);
      if (token && !token->empty()) header_ = "Bearer " + *token;
      read_at_ = now;
    }
    return header_;
  }

  /// The server did not accept the header: read the file again. True if there is one.
  bool refuse() {
    const std::lock_guard lock(mutex_);
    read_at_.reset();
    return !file_.empty();
  }

 private:
  const common::Clock& clock_;
  std::string file_;
  std::mutex mutex_;  // guards what follows
  std::string header_;
  std::optional<common::Instant> read_at_;
};

/// May a request whose answer is lost be sent once more?
enum class Repeat { kFreely, kIfUnsent };

struct Call {
  const char* method;
  std::string target;
  std::string body;
  const char* content_type = "";
  Repeat repeat = Repeat::kFreely;
};

/// Cuts a stream of bytes into lines. A line longer than `most` ends the stream.
class Lines {
 public:
  explicit Lines(std::size_t most) : most_(most) {}

  /// Each whole line to `sink`, which returns false to end. False: ended, or too_long().
  bool take(std::string_view bytes, const std::function<bool(std::string_view)>& sink) {
    while (!bytes.empty()) {
      const std::size_t end = bytes.find('\n');
      const std::string_view piece = bytes.substr(0, end);
      if (rest_.size() + piece.size() > most_) {
        too_long_ = true;
        return false;
      }
      if (end == std::string_view::npos) {
        rest_ += piece;
        return true;
      }
      bytes.remove_prefix(end + 1);
      if (rest_.empty()) {
        if (!piece.empty() && !sink(piece)) return false;
        continue;
      }
      rest_ += piece;
      // Large objects are rare: their room is not kept.
      const std::string line = std::exchange(rest_, {});
      if (!sink(line)) return false;
    }
    return true;
  }

  bool too_long() const { return too_long_; }

 private:
  const std::size_t most_;
  std::string rest_;
  bool too_long_ = false;
};

class HttpClient final : public Client {
 public:
  HttpClient(Config config, const common::Clock& clock, common::Random random,
             ClientSettings settings)
      : settings_(std::move(settings)),
        clock_(clock),
        credentials_(config, clock),
        pool_(std::move(config), settings_, clock),
        random_(random) {}

  ApiResult<Json> get(const Resource& resource, const ObjectKey& key, Part part) override {
    return object_of(call({"GET", path_of(resource, key, part), {}}));
  }

  ApiResult<ListPage> list(const Resource& resource, const ListOptions& options) override {
    const ObjectKey collection{options.space, {}};
    TRY_ASSIGN(const std::string body,
               call({"GET", path_of(resource, collection) + query_of(options), {}}));
    return list_page(body, resource);
  }

  ApiResult<Json> create(const Resource& resource, const Json& object) override {
    ++writes_;
    const ObjectKey collection{key_of(object).space, {}};
    return object_of(call({"POST", path_of(resource, collection) + manager_query(kFieldManager),
                           compact(object), kJsonType, Repeat::kIfUnsent}));
  }

  ApiResult<Json> update(const Resource& resource, const Json& object, Part part) override {
    CHECK(!text_at(object, {"metadata", "resourceVersion"}).empty(), "update is conditional");
    ++writes_;
    return object_of(
        call({"PUT", path_of(resource, key_of(object), part) + manager_query(kFieldManager),
              compact(object), kJsonType, Repeat::kIfUnsent}));
  }

  ApiResult<Json> apply(const Resource& resource, const Json& manifest,
                        const ApplyOptions& options) override {
    ++writes_;
    std::string target =
        path_of(resource, key_of(manifest), options.part) + manager_query(options.field_manager);
    if (options.ownership == Ownership::kTake) target += "&force=true";
    return object_of(call({"PATCH", std::move(target), compact(manifest),
                           "application/apply-patch+yaml", Repeat::kFreely}));
  }

  ApiResult<Json> patch(const Resource& resource, const ObjectKey& key, const Json& patch,
                        PatchKind kind, Part part) override {
    ++writes_;
    const char* type =
        kind == PatchKind::kMerge ? "application/merge-patch+json" : "application/json-patch+json";
    return object_of(call({"PATCH", path_of(resource, key, part) + manager_query(kFieldManager),
                           compact(patch), type, Repeat::kIfUnsent}));
  }

  ApiResult<void> remove(const Resource& resource, const ObjectKey& key,
                         const DeleteOptions& options) override {
    ++writes_;
    Json body{{"apiVersion", "v1"}, {"kind", "DeleteOptions"}};
    if (options.uid) body["preconditions"]["uid"] = *options.uid;
    if (options.resource_version) {
      body["preconditions"]["resourceVersion"] = *options.resource_version;
    }
    body["propagationPolicy"] = options.propagation == Propagation::kBackground   ? "Background"
                                : options.propagation == Propagation::kForeground ? "Foreground"
                                                                                  : "Orphan";
    if (options.grace_seconds) body["gracePeriodSeconds"] = *options.grace_seconds;
    TRY(call({"DELETE", path_of(resource, key), compact(body), kJsonType, Repeat::kIfUnsent}));
    return {};
  }

  ApiResult<void> watch(const Resource& resource, const WatchOptions& options,
                        const WatchSink& sink, std::stop_token stop) override {
    CHECK(!options.resource_version.empty(), "a watch begins after a list");
    ++calls_;
    auto ended = stream(path_of(resource, {options.space, {}}) + query_of(options), sink, stop);
    if (!ended.ok() && ended.error().cause != Cause::kCancelled) note_failure(ended.error());
    return ended;
  }

  ApiResult<std::string> server_version() override {
    TRY_ASSIGN(const Json version, object_of(call({"GET", "/version", {}})));
    return text_at(version, {"gitVersion"});
  }

  ClientCounts counts() const override {
    return {.calls = calls_.load(),
            .writes = writes_.load(),
            .requests = requests_.load(),
            .failures = failures_.load(),
            .connections = pool_.made()};
  }

 private:
  static std::string manager_query(std::string_view manager) {
    return "?fieldManager=" + percent_encoded(manager);
  }

  static ApiResult<Json> object_of(ApiResult<std::string> body) {
    if (!body.ok()) return std::move(body).error();
    auto object = parse_object(*body);
    if (object && object->is_object()) return std::move(*object);
    return ApiError{.cause = Cause::kBadAnswer,
                    .detail = fmt::format("not an object: {}", body->substr(0, 300)),
                    .maybe_done = true};
  }

  HttpRequest request_of(const Call& call) {
    return {.method = call.method,
            .target = call.target,
            .body = call.body,
            .content_type = call.content_type,
            .authorization = credentials_.header(),
            .user_agent = settings_.user_agent};
  }

  /// One try.
  ApiResult<std::string> send(const Call& call, bool& reused) {
    TRY_ASSIGN(ConnectionPool::Lease lease, pool_.take());
    reused = lease.reused;
    ++requests_;
    TRY_ASSIGN(HttpAnswer answer, lease.connection->exchange(request_of(call)));
    pool_.give_back(std::move(lease));
    if (answer.status < 300) return std::move(answer.body);
    return error_of_answer(answer.status, answer.body, answer.retry_after);
  }

  /// Tries until there is an answer that repeating would not change, or time is up.
  ApiResult<std::string> call(const Call& call) {
    ++calls_;
    Backoff backoff(settings_.backoff, fork());
    const common::Instant deadline = clock_.now() + settings_.total;
    bool token_refused = false;
    for (int tries_left = settings_.tries - 1;; --tries_left) {
      bool reused = false;
      auto answer = send(call, reused);
      if (answer.ok()) return answer;
      const ApiError& error = answer.error();
      if (error.cause == Cause::kUnauthorized && credentials_.refuse() && !token_refused) {
        // Rotated while we were not looking. Nothing was done.
        token_refused = true;
        ++tries_left;
        continue;
      }
      const bool again = tries_left > 0 && is_worth_repeating(error) &&
                         (call.repeat == Repeat::kFreely || !error.maybe_done);
      if (!again) return given_up(std::move(answer).error(), call);
      // The others that wait are as old as the one that turned out to be closed.
      if (reused && error.http_status == 0) {
        pool_.drop_idle();
        continue;
      }
      const common::Duration wait =
          std::max(backoff.next(), error.retry_after.value_or(common::Duration(0)));
      if (clock_.now() + wait >= deadline) return given_up(std::move(answer).error(), call);
      pause(wait, {});
    }
  }

  static bool is_worth_repeating(const ApiError& error) {
    return error.cause == Cause::kUnavailable || error.cause == Cause::kTimeout ||
           error.cause == Cause::kTooManyRequests;
  }

  ApiError given_up(ApiError error, const Call& call) {
    note_failure(error);
    if (call.method == std::string_view("GET")) error.maybe_done = false;
    if (error.http_status == 0) {
      error.detail = fmt::format("{} {}: {}", call.method, call.target, error.detail);
    }
    return error;
  }

  void note_failure(const ApiError& error) {
    if (error.http_status == 0 || error.http_status >= 500) ++failures_;
  }

  ApiResult<void> stream(const std::string& target, const WatchSink& sink,
                         const std::stop_token& stop) {
    TRY_ASSIGN(const std::unique_ptr<Connection> connection, pool_.make());
    ++requests_;
    Lines lines(settings_.line_bytes_max);
    std::optional<ApiError> said;
    const auto on_line = [&](std::string_view line) {
      auto event = watch_line(line);
      if (event.ok()) return sink(std::move(*event));
      said = std::move(event).error();
      return false;
    };
    const auto answer = connection->stream(
        request_of({"GET", target, {}}),
        [&](std::string_view bytes) { return lines.take(bytes, on_line); }, stop);
    if (said) return std::move(*said);
    if (lines.too_long()) {
      return ApiError{.cause = Cause::kBadAnswer,
                      .detail = fmt::format("a watch sends a line of more than {} bytes",
                                            settings_.line_bytes_max)};
    }
    if (!answer.ok()) {
      ApiError error = answer.error();
      error.maybe_done = false;
      return error;
    }
    if (answer->status < 300) return {};
    ApiError error = error_of_answer(answer->status, answer->body, answer->retry_after);
    if (error.cause == Cause::kUnauthorized) credentials_.refuse();
    return error;
  }

  common::Random fork() {
    const std::lock_guard lock(mutex_);
    return random_.fork();
  }

  const ClientSettings settings_;
  const common::Clock& clock_;
  Credentials credentials_;
  ConnectionPool pool_;
  std::atomic<std::uint64_t> calls_ = 0;
  std::atomic<std::uint64_t> writes_ = 0;
  std::atomic<std::uint64_t> requests_ = 0;
  std::atomic<std::uint64_t> failures_ = 0;
  std::mutex mutex_;  // guards random_
  common::Random random_;
};

}  // namespace

ApiResult<std::unique_ptr<Client>> make_client(Config config, const common::Clock& clock,
                                               common::Random random, ClientSettings settings) {
  CHECK(settings.tries > 0);
  ignore_broken_pipes();
  // Shows at once what is wrong with the certificates; it is not connected yet.
  TRY(Connection::make(config, settings, clock));
  return std::unique_ptr<Client>(
      std::make_unique<HttpClient>(std::move(config), clock, random, std::move(settings)));
}

}  // namespace millrace::kube
