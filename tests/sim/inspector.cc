#include "tests/sim/inspector.h"

#include <fmt/format.h>

#include <string>
#include <utility>

#include "tests/sim/wholeness.h"

namespace millrace::sim {
namespace {

using std::chrono::seconds;

constexpr common::Duration kAuditMax = seconds(60);
/// Replicas that were away catch up, moves end, everybody hears of everything.
constexpr common::Duration kWholeMax = seconds(60);

}  // namespace

bool Inspector::inspect() {
  return become_whole() && find_rot() &&
         audit_logs(parts_.fleet.members(), LogAudit::Aim::kCompare);
}

/// What rotted is found where it is read, and then comes again from the others (E10).
bool Inspector::find_rot() {
  Members rotten = parts_.fleet.members();
  std::erase_if(rotten, [](const Machine* machine) { return !machine->is_rotten(); });
  return rotten.empty() || (audit_logs(rotten, LogAudit::Aim::kFindDamage) && become_whole());
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

bool Inspector::audit_logs(Members members, LogAudit::Aim aim) {
  log_audits_.push_back(
      std::make_unique<LogAudit>(std::move(members), aim, parts_.witness, parts_.trace));
  LogAudit& audit = *log_audits_.back();
  audit.start();
  if (!parts_.agenda.run_until([&audit] { return audit.done(); }, kAuditMax))
    parts_.trace.fail("the logs of the replicas cannot be read");
  return !parts_.trace.failed();
}

}  // namespace millrace::sim
