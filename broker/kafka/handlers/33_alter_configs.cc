// AlterConfigs: the named values become the only ones of a resource.
#include "broker/kafka/handlers/alter_configs.h"
#include "broker/wire/messages/alter_configs.h"

namespace millrace::kafka {

template <>
void handle(wire::AlterConfigsRequest request, Call<wire::AlterConfigsRequest> call) {
  alter(std::move(request), std::move(call), service::AlterStyle::kReplaceAll,
        [](wire::AlterConfigsRequest::Config& config) {
          return service::ConfigChange{std::move(config.name),
                                       service::ConfigChange::Operation::kSet,
                                       std::move(config.value)};
        });
}

}  // namespace millrace::kafka
