#include "cli/table.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <ctime>

#include "common/check.h"

namespace millrace::cli {

void Table::add(std::vector<std::string> row) {
  CHECK(row.size() == rows_.front().size(), "{} cells under {} headings", row.size(),
        rows_.front().size());
  rows_.push_back(std::move(row));
}

std::string Table::text() const {
  std::vector<std::size_t> widths(rows_.front().size());
  for (const auto& row : rows_) {
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string text;
  for (const auto& row : rows_) {
    for (std::size_t i = 0; i < row.size(); ++i) {
      text += i + 1 == row.size() ? row[i] : fmt::format("{:<{}}  ", row[i], widths[i]);
    }
    text += '\n';
  }
  return text;
}

std::string human_bytes(std::int64_t bytes) {
  constexpr const char* kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  double value = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (value >= 1024 && unit + 1 < std::size(kUnits)) {
    value /= 1024;
    ++unit;
  }
  return unit == 0 ? fmt::format("{} B", bytes) : fmt::format("{:.1f} {}", value, kUnits[unit]);
}

std::string human_time(std::int64_t timestamp_ms) {
  if (timestamp_ms < 0) return "-";
  // A producer may send any number; years of more than four digits are shown as it is.
  constexpr std::int64_t kYear10000Ms = 253'402'300'800'000;
  if (timestamp_ms >= kYear10000Ms) return fmt::format("{} ms", timestamp_ms);
  const std::time_t seconds = timestamp_ms / 1000;
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z", fmt::gmtime(seconds), timestamp_ms % 1000);
}

}  // namespace millrace::cli
