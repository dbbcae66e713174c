// retire(log);   if (is_retired(log)) ...;
//
// A replica that is no more one of its group: its records go, what it has said does not.
#pragma once

#include "broker/storage/log.h"

namespace millrace::replica {

/// Empties the log of a replica that is closed, and keeps its term, its vote and its voter set: the
/// partition may come back to this directory, and a replica that does not remember votes twice in a
/// term. That one begins as one that has lost its log (raft::Group, "unclean"). Durable later:
/// until then the whole replica is there. False: it never said anything, so that the log can be
/// removed.
bool retire(storage::Log& log);

/// Whether nothing has been here since retire(). Any log may be asked.
bool is_retired(const storage::Log& log);

}  // namespace millrace::replica
