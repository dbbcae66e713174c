#include "broker/telemetry/subscription.h"

#include <fmt/format.h>
#include <re2/re2.h>

#include <algorithm>
#include <array>
#include <set>
#include <utility>

#include "broker/model/client_metrics_keys.h"
#include "common/crc32c.h"
#include "common/endian.h"

namespace millrace::telemetry {
namespace {

using model::ErrorCode;

constexpr std::int64_t kRegexMemoryMax = 1 << 20;
constexpr std::string_view kAllMetrics = "*";

struct Selector {
  std::string_view name;
  std::string (*member)(const Client&);
};
constexpr std::array<Selector, 6> kSelectors = {{
    {"client_instance_id", [](const Client& client) { return client.instance.text(); }},
    {"client_id", [](const Client& client) { return client.id; }},
    {"client_software_name", [](const Client& client) { return client.software_name; }},
    {"client_software_version", [](const Client& client) { return client.software_version; }},
    {"client_source_address", [](const Client& client) { return client.address; }},
    {"client_source_port", [](const Client& client) { return client.port; }},
}};

model::Error illegal(std::string_view text, std::string_view why) {
  return {ErrorCode::kInvalidConfig,
          fmt::format("Illegal client matching pattern: {}{}", text, why)};
}

std::string_view setting(const model::ConfigMap& configs, std::string_view name) {
  const auto found = configs.find(name);
  return found == configs.end() ? std::string_view{} : std::string_view(found->second);
}

std::int32_t interest_id(const Client& client, const Interest& interest) {
  const std::string text =
      fmt::format("{}/{}", fmt::join(interest.metrics, ","), interest.interval.count());
  std::uint32_t id = common::crc32c(common::as_bytes(text));
  for (std::size_t i = 0; i < client.instance.bytes.size(); i += sizeof(id))
    id ^= common::load_big<std::uint32_t>(client.instance.bytes.data() + i);
  return static_cast<std::int32_t>(id);
}

}  // namespace

Pattern::Pattern(Member member, std::shared_ptr<const re2::RE2> regex)
    : member_(member), regex_(std::move(regex)) {}

model::Result<Pattern> Pattern::parse(std::string_view text) {
  const std::size_t equals = text.find('=');
  if (equals == std::string_view::npos) return illegal(text, "");
  const std::string_view name = text.substr(0, equals);
  const auto selector = std::find_if(kSelectors.begin(), kSelectors.end(),
                                     [&](const Selector& one) { return one.name == name; });
  if (selector == kSelectors.end()) return illegal(text, "");
  const std::string_view expression = text.substr(equals + 1);
  re2::RE2::Options options;
  options.set_log_errors(false);
  options.set_max_mem(kRegexMemoryMax);
  auto regex = std::make_shared<const re2::RE2>(
      re2::StringPiece(expression.data(), expression.size()), options);
  if (!regex->ok()) return illegal(text, fmt::format(" ({})", regex->error()));
  return Pattern(selector->member, std::move(regex));
}

bool Pattern::matches(const Client& client) const {
  return re2::RE2::FullMatch(member_(client), *regex_);
}

model::Result<std::vector<Pattern>> parse_match(std::string_view value) {
  std::vector<Pattern> patterns;
  for (const std::string& text : model::parse_list(value)) {
    TRY_ASSIGN(Pattern pattern, Pattern::parse(text));
    patterns.push_back(std::move(pattern));
  }
  return patterns;
}

model::Result<Subscription> Subscription::from(const model::ConfigMap& configs) {
  TRY_ASSIGN(std::vector<Pattern> match, parse_match(setting(configs, model::kSubscriptionMatch)));
  const auto interval = model::parse_integer(setting(configs, model::kSubscriptionInterval));
  return Subscription{.metrics = model::parse_list(setting(configs, model::kSubscribedMetrics)),
                      .interval = std::chrono::milliseconds(
                          interval.value_or(model::kSubscriptionIntervalMsDefault)),
                      .match = std::move(match)};
}

bool Subscription::matches(const Client& client) const {
  return std::all_of(match.begin(), match.end(),
                     [&](const Pattern& pattern) { return pattern.matches(client); });
}

Interest interest_in(const Client& client, const std::vector<Subscription>& subscriptions) {
  std::set<std::string> metrics;
  auto interval = std::chrono::milliseconds::max();
  for (const Subscription& subscription : subscriptions) {
    if (!subscription.matches(client)) continue;
    metrics.insert(subscription.metrics.begin(), subscription.metrics.end());
    interval = std::min(interval, subscription.interval);
  }
  Interest interest;
  if (metrics.contains(std::string(kAllMetrics))) metrics = {std::string(kAllMetrics)};
  interest.metrics.assign(metrics.begin(), metrics.end());
  interest.interval = interval == std::chrono::milliseconds::max()
                          ? std::chrono::milliseconds(model::kSubscriptionIntervalMsDefault)
                          : interval;
  interest.id = interest_id(client, interest);
  return interest;
}

}  // namespace millrace::telemetry
