#include "operator/kube/answer.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <utility>

#include "operator/kube/fields.h"

namespace millrace::kube {
namespace {

constexpr std::size_t kShownBytesMax = 300;

std::string_view part_path(Part part) {
  switch (part) {
    case Part::kObject:
      return "";
    case Part::kStatus:
      return "/status";
    case Part::kScale:
      return "/scale";
  }
  return "";
}

void add(std::string& query, std::string_view name, std::string_view value) {
  if (value.empty()) return;
  query += fmt::format("{}{}={}", query.empty() ? '?' : '&', name, percent_encoded(value));
}

std::optional<Cause> cause_of_reason(std::string_view reason) {
  static const std::map<std::string_view, Cause> causes{
      {"NotFound", Cause::kNotFound},
      {"AlreadyExists", Cause::kAlreadyExists},
      {"Conflict", Cause::kConflict},
      {"Gone", Cause::kGone},
      {"Expired", Cause::kGone},
      {"Invalid", Cause::kInvalid},
      {"BadRequest", Cause::kInvalid},
      {"MethodNotAllowed", Cause::kInvalid},
      {"UnsupportedMediaType", Cause::kInvalid},
      {"RequestEntityTooLarge", Cause::kInvalid},
      {"Forbidden", Cause::kForbidden},
      {"Unauthorized", Cause::kUnauthorized},
      {"TooManyRequests", Cause::kTooManyRequests},
      {"ServiceUnavailable", Cause::kUnavailable},
      {"InternalError", Cause::kUnavailable},
      {"ServerTimeout", Cause::kUnavailable},
      {"StorageReadError", Cause::kUnavailable},
      {"Timeout", Cause::kTimeout}};
  const auto found = causes.find(reason);
  if (found == causes.end()) return std::nullopt;
  return found->second;
}

Cause cause_of_http(int status) {
  switch (status) {
    case 401:
      return Cause::kUnauthorized;
    case 403:
      return Cause::kForbidden;
    case 404:
      return Cause::kNotFound;
    case 409:
      return Cause::kConflict;
    case 410:
      return Cause::kGone;
    case 429:
      return Cause::kTooManyRequests;
    case 504:
      return Cause::kTimeout;
    default:
      return status >= 500   ? Cause::kUnavailable
             : status >= 400 ? Cause::kInvalid
                             : Cause::kBadAnswer;
  }
}

/// The server may have begun before it gave up: whether it is done is open.
bool may_be_done(Cause cause, int http_status) {
  return http_status >= 500 && (cause == Cause::kUnavailable || cause == Cause::kTimeout);
}

std::optional<common::Duration> seconds(std::string_view text) {
  int number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || number < 0) return std::nullopt;
  return std::chrono::seconds(std::min(number, 3600));
}

std::string shown(std::string_view body) {
  return std::string(body.substr(0, kShownBytesMax));
}

}  // namespace

std::string percent_encoded(std::string_view text) {
  std::string encoded;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '.' || c == '_' || c == '~';
    if (plain) {
      encoded += c;
    } else {
      encoded += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return encoded;
}

std::string path_of(const Resource& resource, const ObjectKey& key, Part part) {
  std::string path = resource.group.empty()
                         ? fmt::format("/api/{}", resource.version)
                         : fmt::format("/apis/{}/{}", resource.group, resource.version);
  if (resource.namespaced && !key.space.empty()) {
    path += "/namespaces/" + percent_encoded(key.space);
  }
  path += fmt::format("/{}", resource.plural);
  if (!key.name.empty()) path += "/" + percent_encoded(key.name);
  path += part_path(part);
  return path;
}

std::string query_of(const ListOptions& options) {
  std::string query;
  add(query, "labelSelector", options.label_selector);
  add(query, "fieldSelector", options.field_selector);
  if (options.limit > 0) add(query, "limit", std::to_string(options.limit));
  add(query, "continue", options.continue_token);
  // A token stands for a version of its own; together they are refused.
  if (options.continue_token.empty()) add(query, "resourceVersion", options.resource_version);
  return query;
}

std::string query_of(const WatchOptions& options) {
  std::string query;
  const auto duration = std::chrono::duration_cast<std::chrono::seconds>(options.duration).count();
  add(query, "watch", "true");
  add(query, "allowWatchBookmarks", "true");
  add(query, "labelSelector", options.label_selector);
  add(query, "fieldSelector", options.field_selector);
  add(query, "resourceVersion", options.resource_version);
  add(query, "timeoutSeconds", std::to_string(std::max<std::int64_t>(1, duration)));
  return query;
}

ApiError error_of_status(const Json& status, int http_status) {
  const int code = static_cast<int>(number_at(status, {"code"}).value_or(http_status));
  const std::string reason = text_at(status, {"reason"});
  ApiError error;
  error.cause = cause_of_reason(reason).value_or(cause_of_http(code));
  error.http_status = http_status;
  error.detail = text_at(status, {"message"});
  if (error.detail.empty()) error.detail = fmt::format("the server answers {} {}", code, reason);
  error.maybe_done = may_be_done(error.cause, code);
  const auto wait = number_at(status, {"details", "retryAfterSeconds"});
  if (wait && *wait >= 0)
    error.retry_after = std::chrono::seconds(std::min<std::int64_t>(*wait, 3600));
  return error;
}

ApiError error_of_answer(int http_status, std::string_view body, std::string_view retry_after) {
  ApiError error;
  const auto status = parse_object(body);
  if (status && text_at(*status, {"kind"}) == "Status") {
    error = error_of_status(*status, http_status);
  } else {
    error.cause = cause_of_http(http_status);
    error.http_status = http_status;
    error.detail = fmt::format("HTTP {}: {}", http_status, shown(body));
    error.maybe_done = may_be_done(error.cause, http_status);
  }
  if (const auto wait = seconds(retry_after)) error.retry_after = wait;
  return error;
}

ApiResult<ListPage> list_page(std::string_view body, const Resource& resource) {
  auto list = parse_object(body);
  // Without a version there is nothing to watch from.
  if (!list || !list->is_object() || !text_at(*list, {"kind"}).ends_with("List") ||
      text_at(*list, {"metadata", "resourceVersion"}).empty()) {
    return ApiError{.cause = Cause::kBadAnswer,
                    .detail = fmt::format("not a list of {}: {}", resource.plural, shown(body))};
  }
  ListPage page;
  page.resource_version = text_at(*list, {"metadata", "resourceVersion"});
  page.continue_token = text_at(*list, {"metadata", "continue"});
  const auto items = list->find("items");
  if (items == list->end() || !items->is_array()) return page;
  page.items.reserve(items->size());
  for (Json& item : *items) {
    if (!item.is_object()) continue;
    // Items of a list do not say what they are.
    item["apiVersion"] = resource.api_version();
    item["kind"] = resource.kind;
    page.items.push_back(std::move(item));
  }
  return page;
}

ApiResult<WatchEvent> watch_line(std::string_view line) {
  auto event = parse_object(line);
  if (!event || !event->is_object() || !event->contains("object")) {
    return ApiError{.cause = Cause::kBadAnswer,
                    .detail = fmt::format("not an event of a watch: {}", shown(line))};
  }
  static const std::map<std::string, ChangeKind, std::less<>> kinds{
      {"ADDED", ChangeKind::kAdded},
      {"MODIFIED", ChangeKind::kModified},
      {"DELETED", ChangeKind::kDeleted},
      {"BOOKMARK", ChangeKind::kBookmark}};
  const std::string type = text_at(*event, {"type"});
  if (type == "ERROR") return error_of_status((*event)["object"], 0);
  const auto kind = kinds.find(type);
  if (kind == kinds.end()) {
    return ApiError{.cause = Cause::kBadAnswer,
                    .detail = fmt::format("a watch says {}", shown(type))};
  }
  return WatchEvent{kind->second, std::move((*event)["object"])};
}

}  // namespace millrace::kube
