// OtlpMessage message(Labels{{"client_rack", "r1"}});
// message.gauge("org.apache.kafka.consumer.lag", 3, {{"topic", "t"}});   message.bytes()
//
// OpenTelemetry MetricsData messages for tests, written field by field.
#pragma once

#include <bit>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/bytes.h"
#include "common/varint.h"

namespace millrace::telemetry::testing {

using Labels = std::vector<std::pair<std::string, std::string>>;

inline std::string varint(std::uint64_t value) {
  std::uint8_t bytes[common::kVarintBytesMax];
  const std::size_t size = common::write_varint(bytes, value);
  return std::string(reinterpret_cast<const char*>(bytes), size);
}
inline std::string field(std::uint64_t number, std::string_view content) {
  return varint(number << 3 | 2) + varint(content.size()) + std::string(content);
}
inline std::string number_field(std::uint64_t number, std::uint64_t value) {
  return varint(number << 3) + varint(value);
}
inline std::string fixed_field(std::uint64_t number, std::uint64_t value) {
  return varint(number << 3 | 1) + std::string(reinterpret_cast<const char*>(&value), 8);
}
inline std::string attribute(std::string_view name, std::string_view value) {
  return field(1, name) + field(2, field(1, value));
}
inline std::string data_point(double value, const Labels& labels) {
  std::string point = fixed_field(4, std::bit_cast<std::uint64_t>(value));
  for (const auto& [name, text] : labels) point += field(7, attribute(name, text));
  return point;
}

class OtlpMessage {
 public:
  explicit OtlpMessage(const Labels& resource = {}) {
    for (const auto& [name, value] : resource) resource_ += field(1, attribute(name, value));
  }
  OtlpMessage& gauge(std::string_view name, double value, const Labels& labels = {}) {
    return metric(name, 5, field(1, data_point(value, labels)));
  }
  /// A sum that only grows; `delta`: since the last push.
  OtlpMessage& sum(std::string_view name, double value, bool delta = false,
                   const Labels& labels = {}) {
    return metric(
        name, 7,
        field(1, data_point(value, labels)) + number_field(2, delta ? 1 : 2) + number_field(3, 1));
  }
  /// Any data, by the number of its field in Metric.
  OtlpMessage& metric(std::string_view name, std::uint64_t kind, std::string_view data) {
    metrics_ += field(2, field(1, name) + field(kind, data));
    return *this;
  }
  common::Bytes bytes() const {
    return common::Bytes::copy_of(field(1, field(1, resource_) + field(2, metrics_)));
  }

 private:
  std::string resource_;
  std::string metrics_;
};

}  // namespace millrace::telemetry::testing
