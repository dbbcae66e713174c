#include "broker/model/cluster_settings.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <string>
#include <utility>

#include "common/check.h"

namespace millrace::model {
namespace {

Error bad_voter(std::string_view element) {
  return {ErrorCode::kInvalidConfig,
          fmt::format("Invalid value {} for configuration metadata.voters: Expected "
                      "NODE@HOST:PORT, with commas between them",
                      element)};
}

/// "NODE@HOST:PORT". A voter has to be found, so neither may be left out.
Result<VoterAddress> parse_voter(std::string_view element) {
  std::int32_t node = -1;
  const auto [end, error] = std::from_chars(element.data(), element.data() + element.size(), node);
  const auto at = static_cast<std::size_t>(end - element.data());
  if (error != std::errc{} || node < 0 || at == element.size() || element[at] != '@')
    return bad_voter(element);
  auto address = parse_listen_address(element.substr(at + 1));
  if (!address.ok() || address->host.empty() || address->port == 0) return bad_voter(element);
  return VoterAddress{.node = BrokerId{node}, .address = *std::move(address)};
}

std::int64_t number(std::string_view name, const BrokerLayers& layers) {
  const auto value = broker_value(name, layers);
  const auto parsed = value ? parse_integer(*value) : std::nullopt;
  CHECK(parsed.has_value(), "{} has no value", name);
  return *parsed;
}

}  // namespace

Result<std::vector<VoterAddress>> parse_voters(std::string_view text) {
  std::vector<VoterAddress> voters;
  for (const std::string& element : parse_list(text)) {
    TRY_ASSIGN(VoterAddress voter, parse_voter(element));
    voters.push_back(std::move(voter));
  }
  std::ranges::sort(voters, {}, &VoterAddress::node);
  if (const auto twice = std::ranges::adjacent_find(voters, {}, &VoterAddress::node);
      twice != voters.end()) {
    return Error{ErrorCode::kInvalidConfig,
                 fmt::format("Invalid value {} for configuration metadata.voters: Node {} is named "
                             "twice",
                             text, twice->node)};
  }
  return voters;
}

ClusterSettings resolve_cluster_settings(const BrokerLayers& layers) {
  ClusterSettings settings;
  if (const auto text = broker_value("metadata.voters", layers)) {
    if (auto voters = parse_voters(*text); voters.ok()) settings.voters = *std::move(voters);
  }
  const auto advertised = broker_value("internal.advertised", layers);
  if (advertised && !advertised->empty()) {
    if (auto address = parse_listen_address(*advertised); address.ok())
      settings.internal_advertised = *std::move(address);
  }
  settings.metadata_voters_max = static_cast<std::int32_t>(number("metadata.voters.max", layers));
  settings.election_timeout_ms = number("raft.election.timeout.ms", layers);
  settings.heartbeat_interval_ms = number("raft.heartbeat.interval.ms", layers);
  settings.dead_after_ms = number("broker.dead.after.ms", layers);
  settings.move_bytes_per_second_max = number("replica.move.bytes.per.second.max", layers);
  return settings;
}

}  // namespace millrace::model
