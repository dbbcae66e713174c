#include "operator/plan/status.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <charconv>
#include <ctime>

#include "operator/plan/mutation.h"
#include "operator/resources/fields.h"

namespace millrace::plan {

using resources::at;
using resources::text_of;

std::string sentence(const Finding& finding) {
  const ReasonText& reason = text(finding.reason);
  std::string said(reason.meaning);
  const std::string about = finding.object.empty()   ? finding.detail
                            : finding.detail.empty() ? finding.object
                                                     : finding.object + ": " + finding.detail;
  if (!about.empty()) said += fmt::format(" ({})", about);
  said += '.';
  if (!reason.next_step.empty()) said += fmt::format(" Next: {}.", reason.next_step);
  return said;
}

Json conditions_json(const std::vector<Condition>& conditions, const Json& before,
                     std::int64_t generation, common::Timestamp now) {
  Json said = Json::array();
  for (const Condition& condition : conditions) {
    std::string since = rfc3339(now);
    if (before.is_array() && !mutated(Mutation::kReportAlways)) {
      for (const Json& old : before) {
        if (text_of(at(old, "type")) != condition.type) continue;
        if (text_of(at(old, "status")) != condition.status) continue;
        if (const std::string time = text_of(at(old, "lastTransitionTime")); !time.empty()) {
          since = time;
        }
      }
    }
    said.push_back({{"type", condition.type},
                    {"status", condition.status},
                    {"reason", code(condition.reason)},
                    {"message", condition.message},
                    {"observedGeneration", generation},
                    {"lastTransitionTime", since}});
  }
  return said;
}

std::string rfc3339(common::Timestamp time) {
  const std::time_t seconds = static_cast<std::time_t>(time.value() / 1000);
  return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(seconds));
}

std::optional<common::Timestamp> parse_rfc3339(std::string_view text) {
  // "2026-11-21T18:35:00Z", with or without a fraction: as the API server writes times.
  if (text.size() < 20 || text[10] != 'T' || text.back() != 'Z') return std::nullopt;
  const auto number = [&](std::size_t begin, std::size_t length) {
    int value = -1;
    const auto [end, error] =
        std::from_chars(text.data() + begin, text.data() + begin + length, value);
    return error == std::errc{} && end == text.data() + begin + length ? value : -1;
  };
  const std::chrono::year_month_day date{std::chrono::year{number(0, 4)},
                                         std::chrono::month{static_cast<unsigned>(number(5, 2))},
                                         std::chrono::day{static_cast<unsigned>(number(8, 2))}};
  const int hour = number(11, 2);
  const int minute = number(14, 2);
  const int second = number(17, 2);
  if (!date.ok() || hour < 0 || minute < 0 || second < 0) return std::nullopt;
  const auto day = std::chrono::sys_days{date}.time_since_epoch();
  const auto time = std::chrono::duration_cast<std::chrono::milliseconds>(day) +
                    std::chrono::hours{hour} + std::chrono::minutes{minute} +
                    std::chrono::seconds{second};
  return common::Timestamp{time.count()};
}

}  // namespace millrace::plan
