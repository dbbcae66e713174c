#include "common/bulk_copy.h"

#include <cstring>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace millrace::common {
namespace {

#if defined(__SSE2__)

// Below this the copy is likely to be read while it is still in a cache.
constexpr std::size_t kBypassBytesMin = 8 << 10;
constexpr std::size_t kLine = 64;

// `to` lies on a line's boundary; whole lines only.
void copy_lines(std::uint8_t* to, const std::uint8_t* from, std::size_t lines) {
  for (; lines > 0; --lines, to += kLine, from += kLine) {
    const auto* source = reinterpret_cast<const __m128i*>(from);
    auto* target = reinterpret_cast<__m128i*>(to);
    const __m128i a = _mm_loadu_si128(source);
    const __m128i b = _mm_loadu_si128(source + 1);
    const __m128i c = _mm_loadu_si128(source + 2);
    const __m128i d = _mm_loadu_si128(source + 3);
    _mm_stream_si128(target, a);
    _mm_stream_si128(target + 1, b);
    _mm_stream_si128(target + 2, c);
    _mm_stream_si128(target + 3, d);
  }
  // Stores that went around the caches are not ordered with those that come after.
  _mm_sfence();
}

#endif

}  // namespace

void bulk_copy(std::uint8_t* to, ByteView from) {
  if (from.empty()) return;
#if defined(__SSE2__)
  if (from.size() >= kBypassBytesMin) {
    const std::size_t head = -reinterpret_cast<std::uintptr_t>(to) % kLine;
    std::memcpy(to, from.data(), head);
    from = from.subspan(head);
    to += head;
    const std::size_t lines = from.size() / kLine;
    copy_lines(to, from.data(), lines);
    from = from.subspan(lines * kLine);
    to += lines * kLine;
  }
#endif
  if (!from.empty()) std::memcpy(to, from.data(), from.size());
}

}  // namespace millrace::common
