// Aligned tables for people.
#pragma once

#include <string>
#include <vector>

namespace millrace::cli {

/// Rows under a heading, columns as wide as their widest cell. Each row must have as many cells as
/// the heading.
class Table {
 public:
  explicit Table(std::vector<std::string> heading) : rows_{std::move(heading)} {}
  void add(std::vector<std::string> row);
  std::string text() const;

 private:
  std::vector<std::vector<std::string>> rows_;
};

/// 1536 as "1.5 KiB".
std::string human_bytes(std::int64_t bytes);
/// Milliseconds since 1970 as 2026-01-31T12:00:00.000Z; "-" if negative, the plain number beyond
/// the year 9999.
std::string human_time(std::int64_t timestamp_ms);

}  // namespace millrace::cli
