// The features (KIP-584) that this broker knows, for ApiVersions and UpdateFeatures.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "broker/model/errors.h"
#include "broker/model/ids.h"

namespace millrace::kafka {

/// One of Kafka's features, with the levels that this broker can work at. All of them are always
/// in force at the highest.
struct Feature {
  std::string_view name;
  std::int16_t level_min = 0;
  std::int16_t level_max = 0;
};

/// Only what clients and tools may conclude something true from: Kafka's metadata.version, for
/// one, is the form of a log that this broker does not have.
std::span<const Feature> features();

struct FeatureUpdate {
  /// With the numbers of UpdateFeatures.
  enum class Kind : std::int8_t { kUpgrade = 1, kSafeDowngrade = 2, kUnsafeDowngrade = 3 };
  std::string name;
  std::int16_t level = 0;
  Kind kind = Kind::kUpgrade;
};

/// Whether what is asked for is so already. kInvalidUpdateVersion, in Kafka's words, if it is not:
/// no level can be changed.
model::Result<void> check_update(const FeatureUpdate& update, model::BrokerId self);

}  // namespace millrace::kafka
