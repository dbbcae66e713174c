#include "tests/sim/inspector.h"

#include <fmt/format.h>

#include <string>
#include <utility>

#include "tests/sim/wholeness.h"

namespace millrace::sim {
namespace {

using std::chrono::seconds;

constexpr int kRottenLogsMax = 50;
constexpr common::Duration kAuditMax = seconds(60);
/// Replicas that were away catch up, moves end, everybody hears of everything.
constexpr common::Duration kWholeMax = seconds(60);

}  // namespace

/// What rotted is found where it is read from the disk, and then comes again from the others (E10).
/// Each time a log less is rotten.
bool Inspector::inspect() {
  for (int round = 0; round < kRottenLogsMax; ++round) {
    if (!become_whole()) return false;
    log_audits_.push_back(
        std::make_unique<LogAudit>(parts_.fleet.members(), parts_.witness, parts_.trace));
    LogAudit& audit = *log_audits_.back();
    audit.start();
    if (!parts_.agenda.run_until([&audit] { return audit.done(); }, kAuditMax))
      parts_.trace.fail("the logs of the replicas cannot be read");
    if (parts_.trace.failed()) return false;
    if (!audit.found_rot()) return true;
  }
  parts_.trace.fail("what rotted is found again and again");
  return false;
}

bool Inspector::become_whole() {
  std::string missing;
  const auto is_whole = [this, &missing] {
    missing = missing_until_whole(parts_.fleet.members());
    return missing.empty();
  };
  if (parts_.agenda.run_until(is_whole, kWholeMax)) return true;
  parts_.trace.fail(fmt::format("{} s after the last write the cluster is not whole: {}",
                                kWholeMax / seconds(1), missing));
  return false;
}

}  // namespace millrace::sim
