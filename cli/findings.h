// What is wrong, for people and for scripts: `millctl why` and `millctl doctor`.
#pragma once

#include <string>
#include <vector>

#include "cli/client.h"

namespace millrace::cli {

/// Ordered: a greater one is worse.
enum class Level { kNote = 1, kWarning = 2, kProblem = 3 };

struct Finding {
  Level level = Level::kNote;
  std::string code;  // for scripts; docs/millctl.md lists them
  std::string what;
  std::string blocked_by;
  std::string advice;
};

/// What was looked at, and what was found of it.
struct Report {
  std::string summary;
  std::vector<Finding> findings;
};

/// One paragraph for each finding.
std::string findings_text(const Report& report);
/// {"summary": ..., "findings": [{"level", "code", "what", "blocked_by", "advice"}]}
std::string findings_json(const Report& report);
/// kUnwell if there is a finding of at least `level`.
Exit exit_of(const Report& report, Level level);

}  // namespace millrace::cli
