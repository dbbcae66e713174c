// const std::string missing = missing_until_whole(machines);   // empty: nothing is
//
// What a cluster must be like some time after the last fault.
#pragma once

#include <string>

#include "tests/sim/fleet.h"

namespace millrace::sim {

/// Why the cluster is not whole: a broker lacks metadata, a partition has no leader, other voters
/// than the metadata wants, a replica that is behind, or a leader that somebody does not know.
/// Requires that nobody writes any more. Empty: it is whole.
std::string missing_until_whole(const Members& members);

/// Whether all of it survives that this machine's disk is lost: every group that votes on it has
/// all its voters, at least three, on the disks that are there, and all of them know who they are.
bool can_lose_disk(const Members& members, const Machine& machine);

}  // namespace millrace::sim
