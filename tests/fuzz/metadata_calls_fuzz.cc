// Any bytes as what brokers tell each other about the metadata: tales of a cluster's formation,
// proposals and answers. What can be read comes back from its bytes; a broker that hears any tales
// lives, and forms nothing without promises.
#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "broker/metadata/formation.h"
#include "broker/metadata/proposal.h"
#include "common/check.h"

namespace {

using namespace millrace;
using model::BrokerId;

common::Uuid directory_of(std::uint8_t number) {
  common::Uuid id;
  id.bytes[0] = number;
  return id;
}

void hear(metadata::Formation& formation, const metadata::Tale& tale) {
  CHECK(*metadata::read_tale(metadata::encode(tale)) == tale);
  formation.heard(tale);
  const metadata::FormationStep step = formation.next();
  if (step.act != metadata::FormationStep::Act::kPersist) return;
  CHECK(metadata::is_sound(step.standing));
  CHECK(step.standing.stage != metadata::Stage::kFormed,
        "there is a second voter, who promised nothing");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  common::ByteView rest{data, size};
  metadata::Formation formation({.self = {BrokerId{0}, directory_of(1)},
                                 .cluster_id = {},
                                 .fresh_cluster_id = "fresh",
                                 .first_voters = {BrokerId{0}, BrokerId{1}}},
                                {});
  while (!rest.empty()) {
    const std::size_t length = std::min<std::size_t>(rest[0], rest.size() - 1);
    const common::ByteView bytes = rest.subspan(1, length);
    rest = rest.subspan(1 + length);
    if (const auto tale = metadata::read_tale(bytes); tale.ok()) hear(formation, *tale);
    if (const auto standing = metadata::read_standing(bytes); standing.ok())
      CHECK(*metadata::read_standing(metadata::encode(*standing)) == *standing);
    if (const auto proposal = metadata::read_proposal(common::Bytes::copy_of(bytes)); proposal.ok())
      (void)metadata::check_batch(proposal->batch).ok();
    (void)metadata::read_answer(bytes).ok();
  }
  return 0;
}
