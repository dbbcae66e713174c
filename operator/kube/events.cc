#include "operator/kube/events.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "operator/kube/fields.h"
#include "operator/kube/kinds.h"
#include "operator/kube/timestamp.h"

namespace millrace::kube {
namespace {

constexpr std::size_t kNoteBytesMax = 1024;  // the server's limit
constexpr std::size_t kNameBytesMax = 253;   // of an object, RFC 1123

std::string_view type_text(EventType type) {
  return type == EventType::kWarning ? "Warning" : "Normal";
}

/// At most `bytes` of it, and no half of a character.
std::string cut(const std::string& text, std::size_t bytes) {
  if (text.size() <= bytes) return text;
  std::size_t end = bytes;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  return text.substr(0, end);
}

std::string identity_of(const Event& event) {
  const Reference& about = event.regarding;
  return fmt::format("{}\n{}\n{}\n{}\n{}\n{}\n{}", about.kind, about.space, about.name, about.uid,
                     type_text(event.type), event.reason, event.note);
}

std::string object_of(const Event& event) {
  const Reference& about = event.regarding;
  return fmt::format("{}\n{}\n{}\n{}", about.kind, about.space, about.name, about.uid);
}

}  // namespace

Reference reference_of(const Resource& resource, const Json& object) {
  ObjectKey key = key_of(object);
  return {.api_version = resource.api_version(),
          .kind = std::string(resource.kind),
          .space = std::move(key.space),
          .name = std::move(key.name),
          .uid = text_at(object, {"metadata", "uid"}),
          .resource_version = text_at(object, {"metadata", "resourceVersion"})};
}

EventLog::EventLog(Settings settings) : settings_(std::move(settings)) {
  CHECK(settings_.remembered > 0);
  CHECK(settings_.burst > 0);
}

bool EventLog::allow(const std::string& object, common::Instant now) {
  const double full = settings_.burst;
  // Whoever said nothing for as long as a full allowance takes is as good as unknown.
  if (allowances_.size() >= settings_.remembered && !allowances_.contains(object)) {
    const auto full_after = settings_.refill * settings_.burst;
    std::erase_if(allowances_, [&](const auto& at) { return now - at.second.at >= full_after; });
    if (allowances_.size() >= settings_.remembered) allowances_.erase(allowances_.begin());
  }
  auto [at, is_new] = allowances_.try_emplace(object, Allowance{full, now});
  Allowance& allowance = at->second;
  const double refilled = std::chrono::duration<double>(now - allowance.at) /
                          std::chrono::duration<double>(settings_.refill);
  allowance.tokens = std::min(full, allowance.tokens + refilled);
  allowance.at = now;
  if (allowance.tokens < 1) return false;
  allowance.tokens -= 1;
  return true;
}

void EventLog::remember(const std::string& identity, Known known) {
  if (known_.size() >= settings_.remembered) {
    known_.erase(used_.back());
    used_.pop_back();
  }
  used_.push_front(identity);
  known.used = used_.begin();
  known_[identity] = std::move(known);
}

Json EventLog::build(const Event& event, const Known& known, common::Timestamp wall) const {
  const Reference& about = event.regarding;
  Json regarding{{"apiVersion", about.api_version}, {"kind", about.kind}, {"name", about.name}};
  if (!about.space.empty()) regarding["namespace"] = about.space;
  if (!about.uid.empty()) regarding["uid"] = about.uid;
  if (!about.resource_version.empty()) regarding["resourceVersion"] = about.resource_version;
  return {{"apiVersion", kEvents.api_version()},
          {"kind", kEvents.kind},
          {"metadata", {{"namespace", known.key.space}, {"name", known.key.name}}},
          {"involvedObject", std::move(regarding)},
          {"type", type_text(event.type)},
          {"reason", event.reason},
          {"message", cut(event.note, kNoteBytesMax)},
          {"count", known.count},
          {"firstTimestamp", time_text(known.first)},
          {"lastTimestamp", time_text(wall)},
          {"source", {{"component", settings_.component}}},
          {"reportingComponent", settings_.component},
          {"reportingInstance", settings_.instance}};
}

EventLog::Decision EventLog::record(const Event& event, common::Instant now,
                                    common::Timestamp wall) {
  if (!allow(object_of(event), now)) return Drop{};
  const std::string identity = identity_of(event);
  const auto found = known_.find(identity);
  if (found != known_.end() && now - found->second.last <= settings_.window) {
    Known& known = found->second;
    used_.splice(used_.begin(), used_, known.used);
    ++known.count;
    known.last = now;
    return Raise{known.key,
                 {{"count", known.count}, {"lastTimestamp", time_text(wall)}},
                 build(event, known, wall)};
  }
  if (found != known_.end()) {
    used_.erase(found->second.used);
    known_.erase(found);
  }
  const std::string suffix =
      fmt::format(".{:x}.{:x}", static_cast<std::uint64_t>(wall.value()), ++sequence_);
  const Reference& about = event.regarding;
  Known known{.key = {about.space.empty() ? "default" : about.space,
                      cut(about.name, kNameBytesMax - suffix.size()) + suffix},
              .count = 1,
              .first = wall,
              .last = now,
              .used = {}};
  Json object = build(event, known, wall);
  remember(identity, std::move(known));
  return Create{std::move(object)};
}

EventSender::EventSender(Api& api, const common::Clock& clock, EventLog::Settings settings)
    : api_(api), clock_(clock), log_(std::move(settings)) {}

void EventSender::record(Event event) {
  const std::lock_guard lock(mutex_);
  if (queue_.size() >= kQueueMax) {
    ++lost_;
    return;
  }
  queue_.push_back(std::move(event));
  changed_.notify_one();
}

void EventSender::run(std::stop_token stop) {
  while (!stop.stop_requested()) {
    while (!stop.stop_requested()) {
      const auto event = take();
      if (!event) break;
      send(*event);
    }
    std::unique_lock lock(mutex_);
    changed_.wait(lock, stop, [this] { return !queue_.empty(); });
  }
  for (auto event = take(); event && send(*event); event = take()) {
  }
  const std::lock_guard lock(mutex_);
  lost_ += queue_.size();
  queue_.clear();
}

void EventSender::flush() {
  while (const auto event = take()) send(*event);
}

std::optional<Event> EventSender::take() {
  const std::lock_guard lock(mutex_);
  if (queue_.empty()) return std::nullopt;
  Event event = std::move(queue_.front());
  queue_.pop_front();
  return event;
}

bool EventSender::send(const Event& event) {
  EventLog::Decision decision = log_.record(event, clock_.now(), clock_.wall());
  bool sent = true;
  if (const auto* create = std::get_if<EventLog::Create>(&decision)) {
    sent = api_.create(kEvents, create->object).ok();
  } else if (const auto* raise = std::get_if<EventLog::Raise>(&decision)) {
    const auto answer = api_.patch(kEvents, raise->key, raise->patch);
    // Events expire, an hour after their last change as a rule.
    sent = answer.ok() ||
           (answer.error().cause == Cause::kNotFound && api_.create(kEvents, raise->object).ok());
  }
  const std::lock_guard lock(mutex_);
  lost_ += sent ? 0 : 1;
  return sent;
}

std::uint64_t EventSender::lost() const {
  const std::lock_guard lock(mutex_);
  return lost_;
}

}  // namespace millrace::kube
