#include <fmt/format.h>

#include "operator/kube/client.h"
#include "operator/kube/testing/api_under_test.h"

namespace millrace::kube::testing {

std::unique_ptr<Api> make_api_under_test() {
  static const common::SystemClock clock;
  const Environment environment = process_environment();
  if (!environment("KUBECONFIG")) return nullptr;
  auto config = find_config(environment, "", "");
  CHECK(config.ok(), "{}", config.error().detail);
  auto client = make_client(std::move(*config), clock, common::Random(common::system_seed()));
  CHECK(client.ok(), "{}", client.error().detail);
  return std::move(*client);
}

}  // namespace millrace::kube::testing
