// Brings definitions of our kinds up to date: the image has no kubectl, and Helm never does it.
#pragma once

#include <string>
#include <vector>

#include "operator/kube/api.h"

namespace millrace::operators {

/// Applies the CustomResourceDefinitions in the files, JSON objects each, one after the other,
/// taking over the fields of others. Returns the exit code: 0; 1 with the API server's sentence on
/// standard error; 64 for a file that holds something else.
int apply_files(kube::Api& api, const std::vector<std::string>& files);

}  // namespace millrace::operators
