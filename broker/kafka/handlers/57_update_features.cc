// UpdateFeatures (KIP-584): all of a request or nothing of it; what is so already is granted.
#include "broker/kafka/handlers/answers.h"
#include "broker/kafka/handlers/features.h"
#include "broker/wire/messages/update_features.h"

namespace millrace::kafka {
namespace {

using Request = wire::UpdateFeaturesRequest;
using Response = wire::UpdateFeaturesResponse;

constexpr std::int16_t kUpgradeTypeVersionMin = 1;

FeatureUpdate update_of(const Request::Update& from, std::int16_t version) {
  FeatureUpdate update{.name = from.feature, .level = from.max_version_level};
  if (version >= kUpgradeTypeVersionMin) {
    update.kind = static_cast<FeatureUpdate::Kind>(from.upgrade_type);
  } else if (from.allow_downgrade) {
    update.kind = FeatureUpdate::Kind::kSafeDowngrade;
  }
  return update;
}

}  // namespace

template <>
void handle(Request request, Call<Request> call) {
  Response response;
  response.error_message.reset();
  for (const Request::Update& update : request.feature_updates) {
    const auto checked =
        check_update(update_of(update, call.version()), call.shard().identity().node);
    if (!checked.ok()) {
      put_error(response, checked.error().code,
                "The update failed for all features since the following feature had an error: " +
                    checked.error().detail);
      response.results.clear();
      return call.answer(response);
    }
    Response::Result& result = response.results.emplace_back();
    result.feature = update.feature;
    result.error_message.reset();
  }
  call.answer(response);
}

}  // namespace millrace::kafka
