// Where characters of UTF-8 text end, and where text is none.
#pragma once

#include <cstddef>
#include <string_view>

namespace millrace::common {

/// Bytes of the character at the front of `text`; 0: what is there is none. Requires text that is
/// not empty.
std::size_t utf8_character_bytes(std::string_view text);

}  // namespace millrace::common
