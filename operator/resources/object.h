// Json service = child(request, "v1", "Service", names::headless("events"));
//
// What all objects of a cluster have in common.
#pragma once

#include <string>
#include <string_view>

#include "operator/resources/manifests.h"

namespace millrace::resources {

/// An object with names, labels and the cluster as its owner, and nothing else.
Json child(const ManifestRequest& request, std::string_view api_version, std::string_view kind,
           std::string name);

}  // namespace millrace::resources
