// Exposition out;   out.gauge("millrace_topics", "Topics of the cluster.", 3);   out.text();
#pragma once

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "broker/kafka/metrics.h"

namespace millrace::server {

using Labels = std::vector<prometheus::ClientMetric::Label>;

/// Builds families in the order they are first named.
class Exposition {
 public:
  void gauge(const std::string& name, const std::string& help, double value, Labels labels = {}) {
    prometheus::ClientMetric metric;
    metric.label = std::move(labels);
    metric.gauge.value = value;
    family(name, help, prometheus::MetricType::Gauge).metric.push_back(std::move(metric));
  }
  void counter(const std::string& name, const std::string& help, double value, Labels labels = {}) {
    prometheus::ClientMetric metric;
    metric.label = std::move(labels);
    metric.counter.value = value;
    family(name, help, prometheus::MetricType::Counter).metric.push_back(std::move(metric));
  }
  void histogram(const std::string& name, const std::string& help,
                 const kafka::LatencyHistogram& from, Labels labels) {
    prometheus::ClientMetric metric;
    metric.label = std::move(labels);
    metric.histogram.sample_count = from.count();
    metric.histogram.sample_sum = from.sum_seconds();
    std::uint64_t cumulative = 0;
    for (std::size_t i = 0; i < from.buckets().size(); ++i) {
      cumulative += from.buckets()[i];
      metric.histogram.bucket.push_back(
          {cumulative, kafka::LatencyHistogram::upper_bound_seconds(i)});
    }
    family(name, help, prometheus::MetricType::Histogram).metric.push_back(std::move(metric));
  }
  std::string text() const { return prometheus::TextSerializer().Serialize(families_); }

 private:
  prometheus::MetricFamily& family(const std::string& name, const std::string& help,
                                   prometheus::MetricType type) {
    const auto [place, added] = index_.emplace(name, families_.size());
    if (added) families_.push_back({name, help, type, {}});
    return families_[place->second];
  }
  std::vector<prometheus::MetricFamily> families_;
  std::map<std::string, std::size_t> index_;
};

}  // namespace millrace::server
