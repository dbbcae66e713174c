// The table of broker settings. Where Kafka has a name for one, it is Kafka's, with Kafka 4.3's
// type, default and bounds.
#include <algorithm>
#include <array>

#include "broker/model/broker_keys_groups.h"
#include "broker/model/broker_keys_logs.h"
#include "broker/model/broker_keys_server.h"
#include "broker/model/broker_settings.h"

namespace millrace::model {
namespace {

/// By name, as find_key() wants it.
constexpr auto sorted() {
  std::array<ConfigKey, kGroupKeys.size() + kLogKeys.size() + kServerKeys.size()> keys;
  auto* to = std::copy(kGroupKeys.begin(), kGroupKeys.end(), keys.begin());
  to = std::copy(kLogKeys.begin(), kLogKeys.end(), to);
  std::copy(kServerKeys.begin(), kServerKeys.end(), to);
  std::sort(keys.begin(), keys.end(),
            [](const ConfigKey& a, const ConfigKey& b) { return a.name < b.name; });
  return keys;
}

constexpr std::array kBrokerKeys = sorted();

}  // namespace

std::span<const ConfigKey> broker_keys() {
  return kBrokerKeys;
}

const ConfigKey* find_broker_key(std::string_view name) {
  return find_key(kBrokerKeys, name);
}

}  // namespace millrace::model
