// What AlterConfigs and IncrementalAlterConfigs have in common.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "broker/kafka/handlers/answers.h"
#include "broker/service/configs.h"

namespace millrace::kafka {

/// Commands from either request. `change_of(config)` makes a ConfigChange.
template <typename Request, typename ChangeOf>
void alter(Request request, Call<Request> call, service::AlterStyle style, ChangeOf change_of) {
  using Response = typename Request::Response;
  struct Work {
    Response response;
    std::vector<std::size_t> places;  // of outcome i in the response
  };
  const auto key_of = [](const typename Request::Resource& resource) {
    return std::to_string(resource.resource_type) + "/" + resource.resource_name;
  };
  Occurrences<std::string> named;
  for (const auto& resource : request.resources) named.add(key_of(resource));
  auto work = std::make_unique<Work>();
  std::vector<service::ConfigCommand> commands;
  for (auto& resource : request.resources) {
    auto& answer = work->response.responses.emplace_back();
    answer.resource_type = resource.resource_type;
    answer.resource_name = resource.resource_name;
    if (named.repeated(key_of(resource))) {
      put_error(answer, ErrorCode::kInvalidRequest, "Each resource must appear at most once.");
      continue;
    }
    work->places.push_back(work->response.responses.size() - 1);
    service::ConfigCommand& command = commands.emplace_back();
    command.type = static_cast<service::ResourceType>(resource.resource_type);
    command.resource = resource.resource_name;
    for (auto& config : resource.configs) command.changes.push_back(change_of(config));
  }
  service::Shard& shard = call.shard();
  service::alter_configs(shard, std::move(commands), style, request.validate_only,
                         [call = std::move(call), work = std::move(work)](
                             std::vector<service::ConfigOutcome> outcomes) mutable {
                           for (std::size_t i = 0; i < outcomes.size(); ++i) {
                             put_error(work->response.responses[work->places[i]], outcomes[i].code,
                                       std::move(outcomes[i].detail));
                           }
                           call.answer(work->response);
                         });
}

}  // namespace millrace::kafka
