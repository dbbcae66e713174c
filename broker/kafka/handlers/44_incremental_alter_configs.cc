// IncrementalAlterConfigs: only what is named changes (KIP-339).
#include "broker/kafka/handlers/alter_configs.h"
#include "broker/wire/messages/incremental_alter_configs.h"

namespace millrace::kafka {

template <>
void handle(wire::IncrementalAlterConfigsRequest request,
            Call<wire::IncrementalAlterConfigsRequest> call) {
  alter(std::move(request), std::move(call), service::AlterStyle::kIncremental,
        [](wire::IncrementalAlterConfigsRequest::Config& config) {
          return service::ConfigChange{
              std::move(config.name),
              static_cast<service::ConfigChange::Operation>(config.config_operation),
              std::move(config.value)};
        });
}

}  // namespace millrace::kafka
