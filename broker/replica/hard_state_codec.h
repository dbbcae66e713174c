// log.put_state(encode(group.hard_state(), flush), ...);   TRY_ASSIGN(stored, decode(log.state()));
//
// The bytes of a replica's hard state, as its log keeps them. docs/formats/hard-state.md says the
// same in prose.
#pragma once

#include "broker/raft/ready.h"
#include "common/bytes.h"
#include "common/result.h"

namespace millrace::replica {

struct StoredState {
  raft::HardState hard;
  /// Flush was relaxed when this was written: a process that dies may take a part of the log with
  /// it that was acknowledged.
  bool relaxed = false;
  /// The replica went away from here (retirement.h).
  bool retired = false;
  bool operator==(const StoredState&) const = default;
};

common::Bytes encode(const StoredState& state);
/// Safe on any bytes. kCorruptLog: they are not a state. kUnsupportedVersion: of a version that
/// this one cannot read.
common::Result<StoredState> decode_state(common::ByteView bytes);

}  // namespace millrace::replica
