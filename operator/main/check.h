// Asks a page of this or another process: the image has no shell and no curl.
#pragma once

#include <string>

namespace millrace::operators {

/// Asks once a second until the page answers 200, or the time is over. Returns the exit code: 0, 1
/// (with what the page said on standard error), or 64 for a URL that is none.
int check_page(const std::string& url, int wait_seconds);

}  // namespace millrace::operators
