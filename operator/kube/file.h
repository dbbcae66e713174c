// Small files that somebody else writes and replaces.
#pragma once

#include <optional>
#include <string>

namespace millrace::kube {

/// nullopt: cannot be read.
std::optional<std::string> read_file(const std::string& path);
/// Without the line end behind it.
std::optional<std::string> read_token(const std::string& path);

}  // namespace millrace::kube
