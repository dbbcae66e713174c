// The version, from the top of CMakeLists.txt.
#pragma once

namespace millrace::server {

/// Such as "0.1.0".
extern const char* const kVersion;

}  // namespace millrace::server
