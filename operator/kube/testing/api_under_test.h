// The rules of an API server as tests (api_rules_test.cc), held by the model and by a real one
// alike.
#pragma once

#include <memory>

#include "operator/kube/api.h"

namespace millrace::kube::testing {

/// A model, or a client of the server that KUBECONFIG names; nullptr: there is none, skip.
std::unique_ptr<Api> make_api_under_test();

}  // namespace millrace::kube::testing
