// TRY_ASSIGN(const auto listeners, parse_outside_listeners("nodes://0.0.0.0:9095"));
// const OutsideLines lines = read_outside_addresses("nodes 0 192.0.2.7:31000\n", self);
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

/// What the file of kafka.outside.addresses says of one broker.
struct OutsideLines {
  OutsideAddresses addresses;
  /// What is wrong with the first line that is not understood, as a sentence; empty: nothing is.
  /// Such a line may be about any listener and broker.
  std::string problem;
};
/// Each line is "LISTENER BROKER HOST:PORT"; empty ones and those that begin with '#' say nothing.
/// Of two lines about the same place the second one is not understood. A listener without a line of
/// `self` has no address yet.
OutsideLines read_outside_addresses(std::string_view text, BrokerId self);

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
