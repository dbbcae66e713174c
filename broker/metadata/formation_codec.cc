#include <fmt/format.h>

#include <limits>

#include "broker/metadata/cluster_codec.h"
#include "broker/metadata/formation.h"
#include "common/check.h"
#include "proto/millrace/internal/formation.pb.h"

namespace millrace::metadata {
namespace {

namespace pb = ::millrace::internal;
using model::BrokerId;
using model::Error;
using model::ErrorCode;

/// The newest version that this code reads.
constexpr std::uint32_t kVersion = 1;
/// Far more than any of these takes: of bytes from a network no more is looked at.
constexpr std::size_t kBytesMax = 64 << 10;

Error not_ours(std::string_view what) {
  return Error{ErrorCode::kCorruptMessage, fmt::format("these bytes are no {}", what)};
}

void put(const Standing& standing, pb::FormationStanding& to) {
  to.set_version(kVersion);
  to.set_stage(static_cast<std::int32_t>(standing.stage));
  if (standing.first == FirstVoters{}) return;
  pb::FormationSet& first = *to.mutable_first();
  first.set_round(standing.first.round);
  first.set_cluster_id(standing.first.cluster_id);
  for (const Replica& voter : standing.first.voters) {
    pb::FormationVoter* const one = first.add_voters();
    one->set_broker(voter.broker.value());
    one->set_directory(bytes_of(voter.directory));
  }
}

Result<Standing> standing_of(const pb::FormationStanding& from) {
  if (from.version() > kVersion) {
    return Error{ErrorCode::kUnsupportedVersion,
                 fmt::format("the formation of a cluster in version {}; this broker knows {}",
                             from.version(), kVersion)};
  }
  if (from.stage() < 0 || from.stage() > static_cast<std::int32_t>(Stage::kMember))
    return not_ours("standing");
  Standing standing{.stage = static_cast<Stage>(from.stage()), .first = {}};
  standing.first.round = from.first().round();
  standing.first.cluster_id = from.first().cluster_id();
  for (const pb::FormationVoter& one : from.first().voters()) {
    const auto directory = uuid_of(one.directory());
    if (!directory) return not_ours("standing");
    standing.first.voters.push_back({BrokerId{one.broker()}, *directory});
  }
  return standing;
}

template <typename Message>
common::Bytes bytes_from(const Message& message) {
  common::Bytes bytes = common::Bytes::allocate(message.ByteSizeLong());
  CHECK(bytes.size() <= kBytesMax);
  CHECK(message.SerializeToArray(bytes.mutable_data(), static_cast<int>(bytes.size())));
  return bytes;
}

template <typename Message>
bool parsed(common::ByteView bytes, Message& message) {
  return bytes.size() <= kBytesMax &&
         message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()));
}

}  // namespace

common::Bytes encode(const Standing& standing) {
  pb::FormationStanding out;
  put(standing, out);
  return bytes_from(out);
}

Result<Standing> read_standing(common::ByteView bytes) {
  pb::FormationStanding from;
  if (!parsed(bytes, from) || from.version() == 0) return not_ours("standing");
  TRY_ASSIGN(Standing standing, standing_of(from));
  if (!is_sound(standing)) return not_ours("standing");
  return standing;
}

common::Bytes encode(const Tale& tale) {
  pb::FormationTale out;
  out.set_version(kVersion);
  out.set_broker(tale.node.value());
  out.set_directory(bytes_of(tale.directory));
  out.set_cluster_id(tale.cluster_id);
  for (const BrokerId node : tale.first_voters) out.add_first_voters(node.value());
  put(tale.standing, *out.mutable_standing());
  return bytes_from(out);
}

Result<Tale> read_tale(common::ByteView bytes) {
  pb::FormationTale from;
  if (!parsed(bytes, from) || from.version() == 0) return not_ours("tale");
  const auto directory = uuid_of(from.directory());
  if (!directory) return not_ours("tale");
  TRY_ASSIGN(Standing standing, standing_of(from.standing()));
  if (!is_sound(standing)) return not_ours("tale");
  Tale tale{.node = BrokerId{from.broker()},
            .directory = *directory,
            .cluster_id = from.cluster_id(),
            .first_voters = {},
            .standing = std::move(standing)};
  for (const std::int32_t node : from.first_voters()) tale.first_voters.push_back(BrokerId{node});
  return tale;
}

}  // namespace millrace::metadata
