#include "operator/kube/testing/api_under_test.h"
#include "operator/kube/testing/model_api.h"

namespace millrace::kube::testing {

std::unique_ptr<Api> make_api_under_test() {
  return std::make_unique<ModelApi>();
}

}  // namespace millrace::kube::testing
