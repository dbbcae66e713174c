#include "cli/findings.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

namespace millrace::cli {
namespace {

const char* name_of(Level level) {
  switch (level) {
    case Level::kNote:
      return "note";
    case Level::kWarning:
      return "warning";
    case Level::kProblem:
      return "problem";
  }
  return "note";
}

}  // namespace

std::string findings_text(const Report& report) {
  std::string text = report.summary + "\n";
  if (report.findings.empty()) text += "nothing is wrong\n";
  for (const Finding& finding : report.findings) {
    text += fmt::format("\n{}: {}  [{}]\n", name_of(finding.level), finding.what, finding.code);
    if (!finding.blocked_by.empty()) text += fmt::format("  blocked by: {}\n", finding.blocked_by);
    if (!finding.advice.empty()) text += fmt::format("  what to do: {}\n", finding.advice);
  }
  return text;
}

std::string findings_json(const Report& report) {
  nlohmann::json rows = nlohmann::json::array();
  for (const Finding& finding : report.findings) {
    rows.push_back({{"level", name_of(finding.level)},
                    {"code", finding.code},
                    {"what", finding.what},
                    {"blocked_by", finding.blocked_by},
                    {"advice", finding.advice}});
  }
  return nlohmann::json{{"summary", report.summary}, {"findings", rows}}.dump(
      -1, ' ', false, nlohmann::json::error_handler_t::replace);
}

Exit exit_of(const Report& report, Level level) {
  const bool unwell = std::any_of(report.findings.begin(), report.findings.end(),
                                  [&](const Finding& finding) { return finding.level >= level; });
  return unwell ? Exit::kUnwell : Exit::kOk;
}

}  // namespace millrace::cli
