// const auto plan = parse_local(text);   broker_arguments(*plan, 0, "folder/broker-0");
//
// Brokers on this machine for trying things out: what is remembered of them, and how they are
// started.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "broker/model/errors.h"

namespace millrace::cli {

struct LocalBroker {
  std::int32_t node = 0;
  std::uint16_t kafka = 0;
  std::uint16_t internal = 0;
  std::uint16_t grpc = 0;
  std::uint16_t http = 0;
  pid_t pid = 0;  // 0: it was stopped
  /// KEY=VALUE, as given when it was started last; it keeps them.
  std::vector<std::string> settings;
  bool operator==(const LocalBroker&) const = default;
};

/// Kept in FOLDER/local.json. Ports stay as they were drawn when a broker was added: the others
/// know it by them.
struct LocalCluster {
  std::string cluster_id;
  /// How many of the first brokers are the first voters of the metadata log. Never changed.
  std::size_t voters = 0;
  /// Where the ports of brokers are counted from; 0: they are any that were free.
  std::uint16_t base_port = 0;
  std::vector<LocalBroker> brokers;  // by node
  bool operator==(const LocalCluster&) const = default;
};

std::string to_json(const LocalCluster& cluster);
/// kCorruptMessage: it is not what to_json() writes.
model::Result<LocalCluster> parse_local(std::string_view json);

/// The ports of a broker, counted from a base. False: they would be too high.
bool set_ports(LocalBroker& broker, std::uint16_t base_port);

/// Of so many brokers, how many are the first voters: an odd number, at most three.
std::size_t voters_of(std::size_t brokers);

/// The program's arguments for one of the brokers, without the program.
std::vector<std::string> broker_arguments(const LocalCluster& cluster, std::size_t broker,
                                          const std::string& data);

}  // namespace millrace::cli
