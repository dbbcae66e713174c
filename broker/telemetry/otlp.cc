#include "broker/telemetry/otlp.h"

#include <fmt/format.h>

#include <bit>
#include <optional>
#include <utility>

#include "common/endian.h"
#include "common/varint.h"

namespace millrace::telemetry {
namespace {

using common::ByteView;
using model::Result;

constexpr std::size_t kAttributeBytesMax = 256;

enum class Wire : std::uint8_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

/// One field of a message: its number, and its value by the wire type.
struct Field {
  std::uint64_t number = 0;
  Wire wire = Wire::kVarint;
  std::uint64_t bits = 0;  // kVarint, kFixed64, kFixed32
  ByteView bytes;          // kBytes
  bool is(std::uint64_t wanted, Wire as) const { return number == wanted && wire == as; }
};

/// The fields of one message, one after the other.
class Fields {
 public:
  explicit Fields(ByteView message) : rest_(message) {}

  /// False at the end, or at damage.
  bool next(Field& field) {
    if (rest_.empty() || damaged_) return false;
    const auto key = common::read_varint(rest_);
    if (!key || *key >> 3 == 0) return fail();
    field.number = *key >> 3;
    field.wire = static_cast<Wire>(*key & 7);
    switch (field.wire) {
      case Wire::kVarint: {
        const auto value = common::read_varint(rest_);
        if (!value) return fail();
        field.bits = *value;
        return true;
      }
      case Wire::kFixed64:
        return fixed<std::uint64_t>(field);
      case Wire::kFixed32:
        return fixed<std::uint32_t>(field);
      case Wire::kBytes: {
        const auto size = common::read_varint(rest_);
        if (!size || *size > rest_.size()) return fail();
        field.bytes = rest_.first(static_cast<std::size_t>(*size));
        rest_ = rest_.subspan(static_cast<std::size_t>(*size));
        return true;
      }
    }
    return fail();  // groups, which no version of these messages has
  }
  bool damaged() const { return damaged_; }

 private:
  template <typename Word>
  bool fixed(Field& field) {
    if (rest_.size() < sizeof(Word)) return fail();
    field.bits = common::load_little<Word>(rest_.data());
    rest_ = rest_.subspan(sizeof(Word));
    return true;
  }
  bool fail() {
    damaged_ = true;
    return false;
  }

  ByteView rest_;
  bool damaged_ = false;
};

model::Error damage(std::string_view message) {
  return {model::ErrorCode::kInvalidRecord,
          fmt::format("The metrics are no OpenTelemetry MetricsData: a {} is damaged", message)};
}

/// Calls `take(field)` for every field; it answers whether the field was well formed.
template <typename Take>
Result<void> each_field(ByteView message, std::string_view name, Take take) {
  Fields fields(message);
  for (Field field; fields.next(field);) TRY(take(field));
  if (fields.damaged()) return damage(name);
  return common::ok();
}

// AnyValue: 1 text, 2 truth value, 3 integer, 4 double. Lists and the like make no label.
Result<std::optional<std::string>> read_value(ByteView message) {
  std::optional<std::string> value;
  Result<void> walked = each_field(message, "value", [&](const Field& field) -> Result<void> {
    if (field.is(1, Wire::kBytes)) {
      if (field.bytes.size() <= kAttributeBytesMax)
        value = std::string(common::as_text(field.bytes));
    } else if (field.is(2, Wire::kVarint)) {
      value = field.bits == 0 ? "false" : "true";
    } else if (field.is(3, Wire::kVarint)) {
      value = fmt::format("{}", static_cast<std::int64_t>(field.bits));
    } else if (field.is(4, Wire::kFixed64)) {
      value = fmt::format("{}", std::bit_cast<double>(field.bits));
    }
    return common::ok();
  });
  TRY(std::move(walked));
  return value;
}

// KeyValue: 1 key, 2 value.
Result<void> read_attribute(ByteView message, std::vector<Attribute>& attributes) {
  std::string_view name;
  std::optional<std::string> value;
  Result<void> walked = each_field(message, "attribute", [&](const Field& field) -> Result<void> {
    if (field.is(1, Wire::kBytes)) name = common::as_text(field.bytes);
    if (field.is(2, Wire::kBytes)) {
      TRY_ASSIGN(value, read_value(field.bytes));
    }
    return common::ok();
  });
  TRY(std::move(walked));
  const bool fits =
      attributes.size() < kAttributesMax && !name.empty() && name.size() <= kAttributeBytesMax;
  if (value && fits) attributes.push_back({name, std::move(*value)});
  return common::ok();
}

/// Reads one message and remembers what its metrics have in common on the way down.
class Reader {
 public:
  Result<Metrics> read(ByteView message) {
    // MetricsData: 1 ResourceMetrics.
    Result<void> walked =
        each_field(message, "MetricsData", [&](const Field& field) -> Result<void> {
          if (field.is(1, Wire::kBytes)) TRY(resource_metrics(field.bytes));
          return common::ok();
        });
    TRY(std::move(walked));
    return std::move(metrics_);
  }

 private:
  // ResourceMetrics: 1 Resource, 2 ScopeMetrics. Fields may come in any order, so what concerns the
  // others is looked for first.
  Result<void> resource_metrics(ByteView message) {
    resource_.clear();
    Result<void> walked =
        each_field(message, "ResourceMetrics", [&](const Field& field) -> Result<void> {
          if (field.is(1, Wire::kBytes)) TRY(resource(field.bytes));
          return common::ok();
        });
    TRY(std::move(walked));
    return each_field(message, "ResourceMetrics", [&](const Field& field) -> Result<void> {
      if (field.is(2, Wire::kBytes)) TRY(scope_metrics(field.bytes));
      return common::ok();
    });
  }

  // Resource: 1 attributes.
  Result<void> resource(ByteView message) {
    return each_field(message, "Resource", [&](const Field& field) -> Result<void> {
      if (field.is(1, Wire::kBytes)) TRY(read_attribute(field.bytes, resource_));
      return common::ok();
    });
  }

  // ScopeMetrics: 2 metrics.
  Result<void> scope_metrics(ByteView message) {
    return each_field(message, "ScopeMetrics", [&](const Field& field) -> Result<void> {
      if (field.is(2, Wire::kBytes)) TRY(metric(field.bytes));
      return common::ok();
    });
  }

  // Metric: 1 name; 5 Gauge, 7 Sum, 9 Histogram, 10 ExponentialHistogram, 11 Summary.
  Result<void> metric(ByteView message) {
    name_ = {};
    Result<void> walked = each_field(message, "Metric", [&](const Field& field) -> Result<void> {
      if (field.is(1, Wire::kBytes)) name_ = common::as_text(field.bytes);
      return common::ok();
    });
    TRY(std::move(walked));
    return each_field(message, "Metric", [&](const Field& field) -> Result<void> {
      if (field.wire != Wire::kBytes) return common::ok();
      if (field.number == 5) return data(field.bytes, PointKind::kGauge);
      if (field.number == 7) return sum(field.bytes);
      if (field.number >= 9 && field.number <= 11) ++metrics_.dropped;
      return common::ok();
    });
  }

  // Sum: 1 data points, 2 temporality (1 delta, 2 cumulative), 3 whether it only grows.
  Result<void> sum(ByteView message) {
    constexpr std::uint64_t kDeltaTemporality = 1;
    PointKind kind = PointKind::kTotal;
    bool grows = false;
    Result<void> walked = each_field(message, "Sum", [&](const Field& field) -> Result<void> {
      if (field.is(2, Wire::kVarint))
        kind = field.bits == kDeltaTemporality ? PointKind::kDelta : PointKind::kTotal;
      if (field.is(3, Wire::kVarint)) grows = field.bits != 0;
      return common::ok();
    });
    TRY(std::move(walked));
    // A sum since the start that may shrink is what others call a gauge.
    if (!grows && kind == PointKind::kTotal) kind = PointKind::kGauge;
    return data(message, kind);
  }

  // Gauge and Sum: 1 data points.
  Result<void> data(ByteView message, PointKind kind) {
    return each_field(message, "Gauge or Sum", [&](const Field& field) -> Result<void> {
      if (field.is(1, Wire::kBytes)) TRY(data_point(field.bytes, kind));
      return common::ok();
    });
  }

  // NumberDataPoint: 4 double or 6 integer, 7 attributes, 8 flags (1: there is no value).
  Result<void> data_point(ByteView message, PointKind kind) {
    constexpr std::uint64_t kNoValue = 1;
    std::optional<double> value;
    bool absent = false;
    std::vector<Attribute> attributes = resource_;
    Result<void> walked =
        each_field(message, "NumberDataPoint", [&](const Field& field) -> Result<void> {
          if (field.is(4, Wire::kFixed64)) value = std::bit_cast<double>(field.bits);
          if (field.is(6, Wire::kFixed64))
            value = static_cast<double>(static_cast<std::int64_t>(field.bits));
          if (field.is(7, Wire::kBytes)) TRY(read_attribute(field.bytes, attributes));
          if (field.is(8, Wire::kVarint)) absent = (field.bits & kNoValue) != 0;
          return common::ok();
        });
    TRY(std::move(walked));
    if (!value || absent || name_.empty() || metrics_.points.size() == kPointsMax) {
      ++metrics_.dropped;
    } else {
      metrics_.points.push_back({name_, kind, *value, std::move(attributes)});
    }
    return common::ok();
  }

  Metrics metrics_;
  std::vector<Attribute> resource_;
  std::string_view name_;
};

}  // namespace

Result<Metrics> read_metrics(ByteView message) {
  return Reader().read(message);
}

}  // namespace millrace::telemetry
