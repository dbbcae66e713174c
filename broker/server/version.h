// The version, from the top of CMakeLists.txt.
#pragma once

#include <string_view>

namespace millrace::server {

inline constexpr const char* kVersion = MILLRACE_VERSION;

}  // namespace millrace::server
