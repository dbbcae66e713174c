#include "operator/control/exposition.h"

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <chrono>

namespace millrace::control {
namespace {

prometheus::ClientMetric labelled(const MetricLabels& labels) {
  prometheus::ClientMetric metric;
  for (const auto& [name, value] : labels) metric.label.push_back({name, value});
  return metric;
}

}  // namespace

double Latencies::bound(std::size_t i) {
  return 0.001 * static_cast<double>(std::uint64_t{1} << i);
}

void Latencies::add(common::Duration took) {
  const double seconds = std::chrono::duration<double>(took).count();
  ++count;
  sum_seconds += seconds;
  for (std::size_t i = 0; i < kBuckets; ++i) {
    if (seconds > bound(i)) continue;
    ++buckets[i];
    return;
  }
}

Exposition::Exposition() = default;
Exposition::~Exposition() = default;

prometheus::MetricFamily& Exposition::family(const std::string& name, const std::string& help,
                                             int type) {
  const auto [place, added] = index_.emplace(name, families_.size());
  if (added) families_.push_back({name, help, static_cast<prometheus::MetricType>(type), {}});
  return families_[place->second];
}

void Exposition::gauge(const std::string& name, const std::string& help, double value,
                       const MetricLabels& labels) {
  prometheus::ClientMetric metric = labelled(labels);
  metric.gauge.value = value;
  family(name, help, static_cast<int>(prometheus::MetricType::Gauge))
      .metric.push_back(std::move(metric));
}

void Exposition::counter(const std::string& name, const std::string& help, double value,
                         const MetricLabels& labels) {
  prometheus::ClientMetric metric = labelled(labels);
  metric.counter.value = value;
  family(name, help, static_cast<int>(prometheus::MetricType::Counter))
      .metric.push_back(std::move(metric));
}

void Exposition::histogram(const std::string& name, const std::string& help, const Latencies& from,
                           const MetricLabels& labels) {
  prometheus::ClientMetric metric = labelled(labels);
  metric.histogram.sample_count = from.count;
  metric.histogram.sample_sum = from.sum_seconds;
  std::uint64_t cumulative = 0;
  for (std::size_t i = 0; i < Latencies::kBuckets; ++i) {
    cumulative += from.buckets[i];
    metric.histogram.bucket.push_back({cumulative, Latencies::bound(i)});
  }
  family(name, help, static_cast<int>(prometheus::MetricType::Histogram))
      .metric.push_back(std::move(metric));
}

std::string Exposition::text() const {
  return prometheus::TextSerializer().Serialize(families_);
}

}  // namespace millrace::control
