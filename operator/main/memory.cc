#include "operator/main/memory.h"

#include <malloc.h>
#include <sys/mman.h>

#include <charconv>
#include <cstdint>
#include <fstream>
#include <optional>
#include <string>
#include <string_view>

namespace millrace::operators {
namespace {

/// A part of a file in memory that nobody can write to.
struct Mapping {
  std::uintptr_t begin = 0;
  std::uintptr_t end = 0;
};

/// "7f10a000-7f20b000 r-xp 00000000 08:01 1234   /usr/lib/libx.so"; nullopt: another kind of line,
/// or of mapping.
std::optional<Mapping> mapping_in(std::string_view line) {
  Mapping mapping;
  const char* const last = line.data() + line.size();
  const auto begin = std::from_chars(line.data(), last, mapping.begin, 16);
  if (begin.ec != std::errc{} || begin.ptr == last || *begin.ptr != '-') return std::nullopt;
  const auto end = std::from_chars(begin.ptr + 1, last, mapping.end, 16);
  if (end.ec != std::errc{} || end.ptr == last || *end.ptr != ' ') return std::nullopt;
  const std::string_view rest(end.ptr + 1, static_cast<std::size_t>(last - end.ptr - 1));
  const bool readable = rest.starts_with("r-xp ") || rest.starts_with("r--p ");
  if (!readable || rest.find(" /") == std::string_view::npos) return std::nullopt;
  return mapping;
}

}  // namespace

void share_memory() {
  mallopt(M_ARENA_MAX, 2);
}

std::size_t give_back_memory() {
  malloc_trim(0);
  std::size_t bytes = 0;
  std::ifstream maps("/proc/self/smaps");
  std::optional<Mapping> current;
  for (std::string line; std::getline(maps, line);) {
    if (const auto mapping = mapping_in(line)) {
      current = mapping;
      continue;
    }
    // A table that was filled in while linking is no longer what the file says: it stays.
    constexpr std::string_view kChanged = "Anonymous:";
    if (!current || !line.starts_with(kChanged)) continue;
    const std::size_t value = line.find_first_not_of(' ', kChanged.size());
    if (value != std::string::npos && line.compare(value, 2, "0 ") == 0) {
      const std::size_t size = current->end - current->begin;
      // Advice: where it is not taken the process is a little larger.
      if (madvise(reinterpret_cast<void*>(current->begin), size, MADV_DONTNEED) == 0) bytes += size;
    }
    current.reset();
  }
  return bytes;
}

}  // namespace millrace::operators
