// TRY_ASSIGN(const Metrics metrics, read_metrics(bytes));   for (const Point& point :
// metrics.points) ...
//
// The numbers in an OpenTelemetry MetricsData message
// (opentelemetry/proto/metrics/v1/metrics.proto), which is what clients push (KIP-714). Read where
// it lies, without protobuf's own classes: those take tens of bytes of memory for each byte that a
// hostile client sends.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "broker/model/errors.h"
#include "common/bytes.h"

namespace millrace::telemetry {

enum class PointKind : std::uint8_t {
  kGauge,
  kTotal,  // a sum since the client's start
  kDelta,  // a sum since the client's last push
};

struct Attribute {
  std::string_view name;
  std::string value;  // numbers and truth values as text
};

/// One number. Views point into the message.
struct Point {
  std::string_view metric;
  PointKind kind = PointKind::kGauge;
  double value = 0;
  /// Those of the client as a whole first, then the point's own.
  std::vector<Attribute> attributes;
};

struct Metrics {
  std::vector<Point> points;
  /// Points that were left out: histograms and summaries, points without a value, and those beyond
  /// kPointsMax.
  std::size_t dropped = 0;
};

/// Points of one message; Kafka's clients have some hundreds of metrics.
inline constexpr std::size_t kPointsMax = 4000;
/// Attributes of one point; further ones are left out, and so is what is longer than a label can
/// be.
inline constexpr std::size_t kAttributesMax = 8;

/// kInvalidRecord: not such a message. Safe on any bytes. Cost: two passes over the bytes.
model::Result<Metrics> read_metrics(common::ByteView message);

}  // namespace millrace::telemetry
