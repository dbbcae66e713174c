// GroupLogReport report;   TRY(replay_group_log(piece, machine, report));
//
// The log of one partition of __consumer_offsets as the coordinator reads it back.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "broker/coordinator/machine.h"
#include "broker/model/ids.h"

namespace millrace::service {

/// What a replay met.
struct GroupLogReport {
  std::uint64_t records = 0;
  std::uint64_t bytes = 0;
  /// Records that are none of this topic's: left out, and named here (the first kNamedMax).
  std::uint64_t skipped = 0;
  std::vector<std::string> skipped_named;
  /// Records of group types that this broker does not serve: left out, which loses nothing here.
  std::uint64_t foreign = 0;
  static constexpr std::size_t kNamedMax = 10;
};

/// Loads the records of whole batches from `from` on (a first batch may begin before it).
/// kCorruptMessage: a batch is damaged, which is more than one record and therefore not skipped.
/// kUnsupportedVersion: a newer broker wrote a record, and leaving it out would bring back what it
/// changed. The text names the offset. Safe on any bytes.
common::Result<void> replay_group_log(common::ByteView batches, model::Offset from,
                                      coordinator::Machine& machine, GroupLogReport& report);

}  // namespace millrace::service
