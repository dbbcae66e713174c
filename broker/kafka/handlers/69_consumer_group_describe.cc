// ConsumerGroupDescribe (KIP-848): consumer groups with their members.
#include "broker/kafka/handlers/answers.h"
#include "broker/kafka/handlers/group_view.h"
#include "broker/service/groups.h"
#include "broker/wire/messages/consumer_group_describe.h"

namespace millrace::kafka {
namespace {

using Request = wire::ConsumerGroupDescribeRequest;
using Response = wire::ConsumerGroupDescribeResponse;
using coordinator::GroupDescription;

constexpr std::int8_t kClassicMember = 0;
constexpr std::int8_t kConsumerMember = 1;

/// Topics that are gone have no name, and are left out.
template <typename Topic>
void put_topics(const std::vector<coordinator::TopicPartitions>& topics,
                const metadata::Image& image, std::vector<Topic>& view) {
  for (const coordinator::TopicPartitions& topic : topics) {
    const auto known = image.topic(topic.topic);
    if (known == nullptr) continue;
    view.push_back(
        {.topic_id = topic.topic, .topic_name = known->name, .partitions = topic.partitions});
  }
}

Response::Member member_view(GroupDescription::Member member, const metadata::Image& image) {
  Response::Member view;
  view.member_id = std::move(member.member);
  view.instance_id = std::move(member.instance);
  view.rack_id = std::move(member.rack);
  view.member_epoch = member.epoch.value();
  view.client_id = std::move(member.client.id);
  view.client_host = std::move(member.client.host);
  view.subscribed_topic_names = std::move(member.topics);
  if (!member.topic_regex.empty()) view.subscribed_topic_regex = std::move(member.topic_regex);
  put_topics(member.assignment, image, view.assignment.topic_partitions);
  put_topics(member.target, image, view.target_assignment.topic_partitions);
  view.member_type = member.classic ? kClassicMember : kConsumerMember;
  return view;
}

Response::Group group_view(GroupDescription group, const metadata::Image& image,
                           bool with_operations) {
  coordinator::Status status = refused(group, coordinator::GroupType::kConsumer);
  Response::Group view;
  view.group_id = std::move(group.summary.group);
  if (!status.ok()) {
    put_error(view, status.code, std::move(status.detail));
    return view;
  }
  view.group_state = coordinator::name_of(group.summary.state);
  view.group_epoch = group.epoch.value();
  view.assignment_epoch = group.assignment_epoch.value();
  view.assignor_name = std::move(group.protocol);
  for (GroupDescription::Member& member : group.members)
    view.members.push_back(member_view(std::move(member), image));
  if (with_operations) view.authorized_operations = kGroupOperations;
  return view;
}

/// A group cannot have the empty name; the others are asked about.
std::vector<std::string> named(const Request& request) {
  std::vector<std::string> groups;
  for (const std::string& group : request.group_ids) {
    if (!group.empty()) groups.push_back(group);
  }
  return groups;
}

Response::Group unnamed() {
  Response::Group view;
  view.error_code = kafka_number(ErrorCode::kInvalidGroupId);
  return view;
}

}  // namespace

template <>
void handle(Request request, Call<Request> call) {
  service::Shard& shard = call.shard();
  std::vector<std::string> groups = named(request);
  service::describe_groups(
      shard, std::move(groups),
      [call = std::move(call), request = std::move(request),
       &shard](std::vector<GroupDescription> found) mutable {
        Response response;
        auto next = found.begin();
        for (const std::string& group : request.group_ids) {
          response.groups.push_back(group.empty()
                                        ? unnamed()
                                        : group_view(std::move(*next++), shard.image(),
                                                     request.include_authorized_operations));
        }
        call.answer(response);
      });
}

}  // namespace millrace::kafka
