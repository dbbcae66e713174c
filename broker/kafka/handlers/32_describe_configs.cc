// DescribeConfigs.
#include "broker/kafka/handlers/answers.h"
#include "broker/service/configs.h"
#include "broker/wire/messages/describe_configs.h"

namespace millrace::kafka {
namespace {

using Request = wire::DescribeConfigsRequest;
using Response = wire::DescribeConfigsResponse;

Response::Config config_view(service::ConfigEntry& entry, const Request& request) {
  Response::Config config;
  config.name = std::move(entry.name);
  config.value = std::move(entry.value);
  config.read_only = entry.read_only;
  config.config_source = static_cast<std::int8_t>(entry.source);
  config.is_sensitive = entry.sensitive;
  config.config_type = static_cast<std::int8_t>(entry.type);
  if (request.include_documentation) config.documentation = std::move(entry.documentation);
  if (!request.include_synonyms) return config;
  for (service::ConfigSynonym& synonym : entry.synonyms) {
    config.synonyms.push_back({std::move(synonym.name), std::move(synonym.value),
                               static_cast<std::int8_t>(synonym.source)});
  }
  return config;
}

}  // namespace

template <>
void handle(Request request, Call<Request> call) {
  std::vector<service::ConfigQuery> queries;
  for (Request::Resource& resource : request.resources) {
    queries.push_back({static_cast<service::ResourceType>(resource.resource_type),
                       resource.resource_name, std::move(resource.configuration_keys)});
  }
  auto answers = service::describe_configs(call.shard(), queries);
  Response response;
  for (std::size_t i = 0; i < answers.size(); ++i) {
    Response::Resource& result = response.results.emplace_back();
    put_error(result, answers[i].code, std::move(answers[i].detail));
    result.resource_type = request.resources[i].resource_type;
    result.resource_name = std::move(request.resources[i].resource_name);
    for (service::ConfigEntry& entry : answers[i].entries)
      result.configs.push_back(config_view(entry, request));
  }
  call.answer(response);
}

}  // namespace millrace::kafka
