#include "broker/cluster/handshake.h"

#include <fmt/format.h>

#include <algorithm>

namespace millrace::cluster {

std::uint8_t agreed_version(const Hello& hello) {
  const std::uint8_t version = std::min(hello.version_max, kVersionMax);
  CHECK(version >= std::max(hello.version_min, kVersionMin));
  return version;
}

std::optional<TurnedAway> judge(const Hello& hello, const Introduction& self) {
  if (hello.version_min > kVersionMax || hello.version_max < kVersionMin) {
    return TurnedAway{
        RefusalReason::kVersion,
        fmt::format("you speak versions {} to {}, broker {} speaks {} to {}", hello.version_min,
                    hello.version_max, self.node, kVersionMin, kVersionMax)};
  }
  if (hello.who.cluster_id != self.cluster_id) {
    return TurnedAway{RefusalReason::kCluster,
                      fmt::format("you belong to cluster {}, broker {} to cluster {}",
                                  hello.who.cluster_id, self.node, self.cluster_id)};
  }
  if (hello.who.node == self.node) {
    return TurnedAway{
        RefusalReason::kSelf,
        fmt::format("both of us are configured as broker {}, or you called yourself", self.node)};
  }
  if (hello.to != self.node) {
    return TurnedAway{RefusalReason::kAddress,
                      fmt::format("you seek broker {}, this is broker {}", hello.to, self.node)};
  }
  if (hello.channel == Channel::kShards && hello.to_shard >= self.shards) {
    return TurnedAway{RefusalReason::kShard, fmt::format("you seek shard {}, broker {} has {}",
                                                         hello.to_shard, self.node, self.shards)};
  }
  return std::nullopt;
}

TurnedAway refusal_of(Doubt doubt, const Introduction& who) {
  switch (doubt) {
    case Doubt::kOtherDirectory:
      return {
          RefusalReason::kDirectory,
          fmt::format("a broker {} with another directory than yours, {}, is alive; give one of "
                      "the two another node id",
                      who.node, who.directory)};
    case Doubt::kReplaced:
      return {RefusalReason::kReplaced,
              fmt::format("a newer process of broker {} is known", who.node)};
    case Doubt::kLeft:
      return {RefusalReason::kReplaced,
              fmt::format("this process of broker {} has said goodbye", who.node)};
    case Doubt::kUnknown:
      return {RefusalReason::kFull,
              fmt::format("broker {} is not known here, and too many like it are", who.node)};
    case Doubt::kNone:
      break;
  }
  CHECK(false, "a refusal without a doubt");
}

}  // namespace millrace::cluster
