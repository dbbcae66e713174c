#include "broker/kafka/handlers/features.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace millrace::kafka {
namespace {

using Kind = FeatureUpdate::Kind;

constexpr std::array kFeatures = {
    // 1: groups of the protocol of KIP-848.
    Feature{.name = "group.version", .level_min = 1, .level_max = 1},
};

model::Error refused(const FeatureUpdate& update, std::string_view why) {
  return {
      model::ErrorCode::kInvalidUpdateVersion,
      fmt::format("Invalid update version {} for feature {}. {}", update.level, update.name, why)};
}

}  // namespace

std::span<const Feature> features() {
  return kFeatures;
}

model::Result<void> check_update(const FeatureUpdate& update, model::BrokerId self) {
  if (update.kind < Kind::kUpgrade || update.kind > Kind::kUnsafeDowngrade)
    return refused(update, "The controller does not support the given upgrade type.");
  if (update.level < 0) return refused(update, "A feature version cannot be less than 0.");
  const auto known = std::find_if(kFeatures.begin(), kFeatures.end(), [&](const Feature& feature) {
    return feature.name == update.name;
  });
  if (known == kFeatures.end()) {
    return refused(update, fmt::format("Local controller {} does not support this feature.", self));
  }
  if (update.level < known->level_min || update.level > known->level_max) {
    return refused(update, fmt::format("Local controller {} only supports versions {}-{}", self,
                                       known->level_min, known->level_max));
  }
  return common::ok();
}

}  // namespace millrace::kafka
