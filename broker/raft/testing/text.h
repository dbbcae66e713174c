// Messages and effects as lines of text, for scripts and traces.
#pragma once

#include <string>

#include "broker/raft/group.h"

namespace millrace::raft {

/// "3" or, of another directory than the first, "3b".
std::string to_text(const ReplicaId& replica);
/// "TERM@OFFSET"
std::string to_text(Position position);
std::string to_text(const VoterSet& config);
std::string to_text(const Message& message);
std::string to_text(const LogWrite& write);
std::string to_text(const HardState& hard);
std::string to_text(const RoleChange& role);
std::string to_text(Notice notice);
std::string to_text(Refusal refusal);
std::string to_text(const Outline& log);
/// Replica of node `node`, on its `directory`th disk, from 0.
ReplicaId replica_id(int node, int directory = 0);

}  // namespace millrace::raft
