#include "broker/telemetry/clients.h"

#include <fmt/format.h>

#include <algorithm>

#include "broker/model/compression.h"
#include "broker/telemetry/labels.h"
#include "common/check.h"

namespace millrace::telemetry {
namespace {

using common::Instant;
using model::Error;
using model::ErrorCode;
using model::Result;

/// What unpacking may produce: metrics are names that repeat, and pack well.
constexpr std::size_t kUnpackedBytesMax = 4 << 20;
constexpr auto kSilenceMin = std::chrono::minutes(1);
constexpr int kIntervalsOfSilence = 3;
constexpr auto kSweepInterval = std::chrono::seconds(10);

common::Duration silence_max(std::chrono::milliseconds interval) {
  return std::max<common::Duration>(kSilenceMin, kIntervalsOfSilence * interval);
}

bool is_over(std::optional<Instant> since, std::chrono::milliseconds interval, Instant now) {
  return !since || now - *since >= interval;
}

/// After these a client must ask anew at once.
bool calls_for_asking(ErrorCode error) {
  return error == ErrorCode::kUnknownSubscriptionId ||
         error == ErrorCode::kUnsupportedCompressionType;
}

Error too_early(const Client& client) {
  return {ErrorCode::kThrottlingQuotaExceeded,
          fmt::format("Client {} came before its push interval was over.", client.instance)};
}

/// The labels of a client's series: its own first, then those of the point. A point cannot take the
/// name of another label.
std::shared_ptr<const SeriesName> series_name(const Client& client, const Point& point) {
  auto name = std::make_shared<SeriesName>();
  name->metric = label_value(point.metric);
  name->labels = {{"metric", name->metric},
                  {"client_id", label_value(client.id)},
                  {"client_instance_id", client.instance.text()},
                  {"client_software_name", label_value(client.software_name)},
                  {"client_software_version", label_value(client.software_version)}};
  for (const Attribute& attribute : point.attributes) {
    auto label = label_name(attribute.name);
    if (!label) continue;
    const bool taken = std::any_of(name->labels.begin(), name->labels.end(),
                                   [&](const auto& other) { return other.first == *label; });
    if (!taken) name->labels.emplace_back(*std::move(label), label_value(attribute.value));
  }
  return name;
}

/// Equal for equal names: no label holds the separator.
std::string key_of(const SeriesName& name) {
  constexpr char kSeparator = '\x1f';
  std::string key = name.metric;
  for (const auto& [label, value] : name.labels) {
    key += kSeparator;
    key += label;
    key += kSeparator;
    key += value;
  }
  return key;
}

}  // namespace

void Clients::set_subscriptions(std::vector<Subscription> subscriptions) {
  subscriptions_ = std::move(subscriptions);
  ++version_;
}

Clients::Known& Clients::know(const Client& client, Instant now) {
  if (now - swept_ >= kSweepInterval) forget_silent(now);
  auto found = clients_.find(client.instance);
  if (found == clients_.end()) {
    if (clients_.size() == limits_.clients_max) forget(std::prev(order_.end()));
    order_.push_front({.client = client, .interest = interest_in(client, subscriptions_)});
    order_.front().version = version_;
    found = clients_.emplace(client.instance, order_.begin()).first;
  } else {
    order_.splice(order_.begin(), order_, found->second);
  }
  Known& known = *found->second;
  if (known.version != version_) {
    known.client = client;
    known.interest = interest_in(client, subscriptions_);
    known.version = version_;
  }
  known.seen = now;
  DCHECK(clients_.size() == order_.size());
  return known;
}

Result<Interest> Clients::subscribe(const Client& client, Instant now) {
  Known& known = know(client, now);
  const bool over = is_over(known.asked, known.interest.interval, now) &&
                    is_over(known.pushed, known.interest.interval, now);
  if (!over && !calls_for_asking(known.last_error)) return too_early(client);
  known.asked = now;
  known.first_push = true;
  known.last_error = ErrorCode::kNone;
  return known.interest;
}

Result<void> Clients::check(const Known& known, const Push& push, std::size_t bytes_max,
                            Instant now) const {
  if (known.leaving) {
    return Error{ErrorCode::kInvalidRequest,
                 fmt::format("Client {} said that it was leaving.", known.client.instance)};
  }
  // The first push after asking comes whenever the client likes, so that clients spread.
  if (!known.first_push && !push.terminating &&
      !is_over(known.pushed, known.interest.interval, now))
    return too_early(known.client);
  if (push.subscription_id != known.interest.id)
    return model::error(ErrorCode::kUnknownSubscriptionId);
  if (push.compression < 0 ||
      push.compression > static_cast<std::int8_t>(model::Compression::kZstd))
    return model::error(ErrorCode::kUnsupportedCompressionType);
  if (push.metrics.size() > bytes_max) return model::error(ErrorCode::kTelemetryTooLarge);
  return common::ok();
}

Result<void> Clients::push(const Client& client, const Push& push, std::size_t bytes_max,
                           Instant now) {
  Known& known = know(client, now);
  const Result<void> checked = check(known, push, bytes_max, now);
  // A push that came too early does not start the interval anew.
  if (checked.ok() || checked.error().code != ErrorCode::kThrottlingQuotaExceeded) {
    known.pushed = now;
    known.first_push = false;
  }
  Result<void> outcome = checked.ok() ? take(known, push, now) : checked;
  known.leaving = known.leaving || push.terminating;
  known.last_error = outcome.ok() ? ErrorCode::kNone : outcome.error().code;
  return outcome;
}

Result<void> Clients::take(Known& known, const Push& push, Instant now) {
  ++counts_.pushes;
  if (push.metrics.empty()) return common::ok();
  const auto compression = static_cast<model::Compression>(push.compression);
  const auto unpacked = model::decompress(compression, push.metrics, kUnpackedBytesMax);
  auto metrics = unpacked.ok() ? read_metrics(*unpacked) : Result<Metrics>(unpacked.error());
  if (!metrics.ok()) {
    ++counts_.unreadable;
    return Error{ErrorCode::kInvalidRecord, metrics.error().detail};
  }
  counts_.points_dropped += metrics->dropped;
  for (const Point& point : metrics->points) record(known, point, now);
  return common::ok();
}

void Clients::record(Known& known, const Point& point, Instant now) {
  auto name = series_name(known.client, point);
  std::string key = key_of(*name);
  auto found = known.series.find(key);
  if (found == known.series.end()) {
    if (known.series.size() == limits_.series_per_client_max || series_ == limits_.series_max) {
      ++counts_.points_dropped;
      return;
    }
    ++series_;
    found = known.series.emplace(std::move(key), Series{.name = std::move(name)}).first;
  }
  Series& series = found->second;
  series.is_total = point.kind != PointKind::kGauge;
  series.value = point.kind == PointKind::kDelta ? series.value + point.value : point.value;
  series.told = now;
}

void Clients::forget(Order::iterator place) {
  CHECK(series_ >= place->series.size());
  series_ -= place->series.size();
  clients_.erase(place->client.instance);
  order_.erase(place);
}

void Clients::forget_silent(Instant now) {
  swept_ = now;
  for (auto place = order_.begin(); place != order_.end();) {
    const auto current = place++;
    const common::Duration silence = silence_max(current->interest.interval);
    if (now - current->seen > silence) {
      forget(current);
      continue;
    }
    series_ -= std::erase_if(current->series,
                             [&](const auto& entry) { return now - entry.second.told > silence; });
  }
}

std::vector<Reading> Clients::readings(Instant now) {
  forget_silent(now);
  std::vector<const Known*> by_instance;
  for (const Known& known : order_) by_instance.push_back(&known);
  std::sort(by_instance.begin(), by_instance.end(),
            [](const Known* a, const Known* b) { return a->client.instance < b->client.instance; });
  std::vector<Reading> readings;
  readings.reserve(series_);
  for (const Known* known : by_instance) {
    for (const auto& [key, series] : known->series)
      readings.push_back({series.name, series.is_total, series.value});
  }
  CHECK(readings.size() == series_, "{} series are counted, {} are there", series_,
        readings.size());
  return readings;
}

}  // namespace millrace::telemetry
