// TRY_ASSIGN(const auto listeners, parse_outside_listeners("nodes://0.0.0.0:9095"));
// TRY_ASSIGN(const auto addresses, read_outside_addresses("nodes 0 192.0.2.7:31000\n", self));
//
// Listeners for Kafka clients who cannot be told the addresses that brokers have for each other,
// and the file that says which they are told instead.
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "broker/model/broker_settings.h"
#include "broker/model/ids.h"

namespace millrace::model {

/// Listeners have sockets and threads to wait for them; nobody needs more.
inline constexpr std::size_t kOutsideListenersMax = 16;
/// What a ConfigMap of Kubernetes may hold.
inline constexpr std::size_t kOutsideFileBytesMax = std::size_t{1} << 20;

/// One listener of kafka.outside.listen.
struct OutsideListener {
  /// Letters, digits, '.', '_' and '-'. The broker registers its address on it under this name, so
  /// it is none of the names that brokers register in any case (metadata/endpoints.h).
  std::string name;
  ListenAddress listen;
  bool operator==(const OutsideListener&) const = default;
};

/// "NAME://HOST:PORT,NAME://HOST:PORT", as kafka.outside.listen has it; in that order.
/// kInvalidConfig: something else, a name or a port twice (port 0, a free one, may be), or too
/// many.
Result<std::vector<OutsideListener>> parse_outside_listeners(std::string_view text);

/// Where clients find one broker: by the name of the listener that they come by.
using OutsideAddresses = std::map<std::string, ListenAddress, std::less<>>;

/// What the file of kafka.outside.addresses says of broker `self`. Each line is "LISTENER BROKER
/// HOST:PORT"; empty ones and those that begin with '#' say nothing. A listener without a line of
/// this broker has no address yet. kInvalidConfig names the first line that is something else, or
/// that says what another one said: then the file says nothing, whoever that line is about.
Result<OutsideAddresses> read_outside_addresses(std::string_view text, BrokerId self);

/// The values in force, typed.
struct OutsideSettings {
  std::vector<OutsideListener> listeners;
  /// The file; empty: none.
  std::string addresses;
};
/// The layers must have been checked.
OutsideSettings resolve_outside_settings(const BrokerLayers& layers);

/// Whether the settings fit each other. kInvalidConfig: a listener has the address of another door,
/// or nobody says which addresses to tell.
Result<void> check_outside(const OutsideSettings& outside, const BrokerSettings& settings);

}  // namespace millrace::model
