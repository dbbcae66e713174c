// hash_of(json.dump()) == "3kq0v7m2xa"
//
// A short name for a text: the same text has the same one, in every build.
#pragma once

#include <string>
#include <string_view>

namespace millrace::resources {

/// Ten lower-case letters and digits (FNV-1a, 50 bits): it fits names of objects and keys. It tells
/// texts apart that somebody wrote one after the other; it is no protection against forgery.
std::string hash_of(std::string_view text);

}  // namespace millrace::resources
