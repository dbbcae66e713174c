// Label and field selectors as the API server reads them.
#pragma once

#include <string_view>

#include "operator/kube/api.h"

namespace millrace::kube::testing {

/// "a=b", "a!=b", "a", "!a", "a in (b,c)", "a notin (b,c)", joined by commas. Empty: all.
bool matches_labels(const Json& object, std::string_view selector);
/// "status.phase=Running", "metadata.name!=x", joined by commas. Empty: all.
bool matches_fields(const Json& object, std::string_view selector);

}  // namespace millrace::kube::testing
