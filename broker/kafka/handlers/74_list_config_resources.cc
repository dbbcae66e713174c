// ListConfigResources (KIP-1142).
#include "broker/kafka/handlers/answers.h"
#include "broker/service/configs.h"
#include "broker/wire/messages/list_config_resources.h"

namespace millrace::kafka {

template <>
void handle(wire::ListConfigResourcesRequest request, Call<wire::ListConfigResourcesRequest> call) {
  std::vector<service::ResourceType> types;
  for (const std::int8_t type : request.resource_types)
    types.push_back(static_cast<service::ResourceType>(type));
  // Version 0 was made for client metrics alone.
  if (call.version() == 0) types = {service::ResourceType::kClientMetrics};
  wire::ListConfigResourcesResponse response;
  const auto resources = service::list_config_resources(call.shard(), std::move(types));
  if (!resources.ok()) {
    response.error_code = kafka_number(resources.error().code);
    return call.answer(response);
  }
  for (const service::ConfigResource& resource : *resources)
    response.config_resources.push_back({resource.name, static_cast<std::int8_t>(resource.type)});
  call.answer(response);
}

}  // namespace millrace::kafka
