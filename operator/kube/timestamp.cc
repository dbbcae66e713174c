#include "operator/kube/timestamp.h"

#include <fmt/format.h>

#include <charconv>
#include <chrono>
#include <cstdint>

namespace millrace::kube {
namespace {

struct Civil {
  std::chrono::year_month_day date;
  std::chrono::hh_mm_ss<std::chrono::milliseconds> time;
};

Civil civil(common::Timestamp when) {
  const std::chrono::sys_time<std::chrono::milliseconds> at{
      std::chrono::milliseconds(when.value())};
  const auto day = std::chrono::floor<std::chrono::days>(at);
  return {std::chrono::year_month_day(day), std::chrono::hh_mm_ss(at - day)};
}

std::string seconds_text(const Civil& when) {
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}", static_cast<int>(when.date.year()),
                     static_cast<unsigned>(when.date.month()),
                     static_cast<unsigned>(when.date.day()), when.time.hours().count(),
                     when.time.minutes().count(), when.time.seconds().count());
}

/// A number of exactly `digits` digits at `at`, which moves behind it.
std::optional<int> take_number(std::string_view text, std::size_t& at, std::size_t digits) {
  if (text.size() < at + digits) return std::nullopt;
  int value = 0;
  const char* begin = text.data() + at;
  const auto [end, error] = std::from_chars(begin, begin + digits, value);
  if (error != std::errc() || end != begin + digits || *begin == '-') return std::nullopt;
  at += digits;
  return value;
}

bool take(std::string_view text, std::size_t& at, char wanted) {
  if (at >= text.size() || text[at] != wanted) return false;
  ++at;
  return true;
}

/// Milliseconds of what stands behind the point, further digits cut; 0 without a point.
std::optional<int> take_fraction(std::string_view text, std::size_t& at) {
  if (!take(text, at, '.')) return 0;
  int milliseconds = 0;
  std::size_t digits = 0;
  for (; at < text.size() && text[at] >= '0' && text[at] <= '9'; ++at, ++digits) {
    if (digits < 3) milliseconds = milliseconds * 10 + (text[at] - '0');
  }
  if (digits == 0) return std::nullopt;
  for (std::size_t i = digits; i < 3; ++i) milliseconds *= 10;
  return milliseconds;
}

/// Minutes east of Greenwich: "Z", "+02:00".
std::optional<int> take_zone(std::string_view text, std::size_t& at) {
  if (take(text, at, 'Z')) return 0;
  const bool west = at < text.size() && text[at] == '-';
  if (!west && !(at < text.size() && text[at] == '+')) return std::nullopt;
  ++at;
  const auto hours = take_number(text, at, 2);
  if (!hours || !take(text, at, ':')) return std::nullopt;
  const auto minutes = take_number(text, at, 2);
  if (!minutes) return std::nullopt;
  return (west ? -1 : 1) * (*hours * 60 + *minutes);
}

}  // namespace

std::string time_text(common::Timestamp when) {
  return seconds_text(civil(when)) + "Z";
}

std::string micro_time_text(common::Timestamp when) {
  const Civil at = civil(when);
  return fmt::format("{}.{:03}000Z", seconds_text(at), at.time.subseconds().count());
}

std::optional<common::Timestamp> parse_time(std::string_view text) {
  std::size_t at = 0;
  const auto year = take_number(text, at, 4);
  if (!year || !take(text, at, '-')) return std::nullopt;
  const auto month = take_number(text, at, 2);
  if (!month || !take(text, at, '-')) return std::nullopt;
  const auto day = take_number(text, at, 2);
  if (!day || !take(text, at, 'T')) return std::nullopt;
  const auto hour = take_number(text, at, 2);
  if (!hour || !take(text, at, ':')) return std::nullopt;
  const auto minute = take_number(text, at, 2);
  if (!minute || !take(text, at, ':')) return std::nullopt;
  const auto second = take_number(text, at, 2);
  if (!second) return std::nullopt;
  const auto fraction = take_fraction(text, at);
  if (!fraction) return std::nullopt;
  const auto zone = take_zone(text, at);
  if (!zone || at != text.size()) return std::nullopt;
  const std::chrono::year_month_day date{std::chrono::year(*year),
                                         std::chrono::month(static_cast<unsigned>(*month)),
                                         std::chrono::day(static_cast<unsigned>(*day))};
  if (!date.ok() || *hour > 23 || *minute > 59 || *second > 60) return std::nullopt;
  const std::chrono::milliseconds since =
      std::chrono::sys_days(date).time_since_epoch() + std::chrono::hours(*hour) +
      std::chrono::minutes(*minute - *zone) + std::chrono::seconds(*second) +
      std::chrono::milliseconds(*fraction);
  return common::Timestamp{since.count()};
}

}  // namespace millrace::kube
