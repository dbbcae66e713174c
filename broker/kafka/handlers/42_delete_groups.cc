// DeleteGroups (KIP-229): of both types, with their offsets.
#include <unordered_set>

#include "broker/kafka/handlers/answers.h"
#include "broker/service/groups.h"
#include "broker/wire/messages/delete_groups.h"

namespace millrace::kafka {

template <>
void handle(wire::DeleteGroupsRequest request, Call<wire::DeleteGroupsRequest> call) {
  service::Shard& shard = call.shard();
  // A group that is named twice is deleted, and answered, once.
  std::unordered_set<std::string> seen;
  std::vector<std::string> groups;
  for (std::string& group : request.groups_names) {
    if (seen.insert(group).second) groups.push_back(std::move(group));
  }
  service::delete_groups(
      shard, groups,
      [call = std::move(call), groups](std::vector<coordinator::Status> statuses) mutable {
        CHECK(statuses.size() == groups.size());
        wire::DeleteGroupsResponse response;
        for (std::size_t i = 0; i < groups.size(); ++i) {
          response.results.push_back(
              {.group_id = std::move(groups[i]), .error_code = kafka_number(statuses[i].code)});
        }
        call.answer(response);
      });
}

}  // namespace millrace::kafka
