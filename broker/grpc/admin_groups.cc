#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <string_view>
#include <utility>

#include "broker/coordinator/names.h"
#include "broker/grpc/admin.h"
#include "broker/grpc/admin_calls.h"
#include "broker/grpc/utf8.h"
#include "broker/service/group_lag.h"
#include "broker/service/group_offsets.h"
#include "broker/service/groups.h"

namespace millrace::grpc {
namespace {

using coordinator::GroupDescription;
using coordinator::GroupType;
using model::ErrorCode;
using service::OffsetMove;

/// The values that the words name; kInvalidRequest for a word that names none.
template <typename Value>
common::Result<std::vector<Value>> values_of(
    const ::google::protobuf::RepeatedPtrField<std::string>& words,
    std::optional<Value> (*by_name)(std::string_view), const char* what) {
  std::vector<Value> values;
  for (const std::string& word : words) {
    const auto value = by_name(word);
    if (!value) {
      return common::Error{ErrorCode::kInvalidRequest,
                           fmt::format("{} is no {} of a group", word, what)};
    }
    values.push_back(*value);
  }
  return values;
}

bool wanted(const service::GroupFilter& filter, const coordinator::GroupSummary& group) {
  const auto has = [](const auto& list, auto value) {
    return list.empty() || std::find(list.begin(), list.end(), value) != list.end();
  };
  return has(filter.states, group.state) && has(filter.types, group.type);
}

void fill(v1::GroupSummary& out, const coordinator::GroupSummary& group) {
  out.set_name(as_utf8(group.group));
  out.set_state(std::string(coordinator::name_of(group.state)));
  out.set_type(group.type == GroupType::kClassic ? "classic" : "consumer");
  out.set_protocol_type(as_utf8(group.protocol_type));
}

using Assignment = ::google::protobuf::RepeatedPtrField<v1::TopicPartitions>;

void fill(Assignment& out, const service::Shard& shard,
          const std::vector<coordinator::TopicPartitions>& topics) {
  for (const coordinator::TopicPartitions& topic : topics) {
    const auto known = shard.image().topic(topic.topic);
    v1::TopicPartitions& added = *out.Add();
    added.set_topic(known == nullptr ? topic.topic.text() : known->name);
    added.mutable_partitions()->Add(topic.partitions.begin(), topic.partitions.end());
  }
}

void add_partition(Assignment& out, const std::string& topic, std::int32_t partition) {
  if (out.empty() || out.rbegin()->topic() != topic) out.Add()->set_topic(topic);
  out.rbegin()->add_partitions(partition);
}

void fill(v1::GroupMember& out, const service::Shard& shard,
          const GroupDescription::Member& member) {
  out.set_member_id(as_utf8(member.member));
  out.set_instance_id(as_utf8(member.instance.value_or("")));
  out.set_client_id(as_utf8(member.client.id));
  out.set_host(as_utf8(member.client.host));
  out.set_rack(as_utf8(member.rack.value_or("")));
  out.set_epoch(member.epoch.value());
  for (const std::string& topic : member.topics) out.add_topics(as_utf8(topic));
  out.set_topic_regex(as_utf8(member.topic_regex));
  fill(*out.mutable_assignment(), shard, member.assignment);
  fill(*out.mutable_target(), shard, member.target);
  out.set_classic(member.classic);
  out.set_silent_ms((shard.clock().now() - member.last_heard) / std::chrono::milliseconds(1));
}

void fill(v1::GroupPartition& out, const service::PartitionLag& row) {
  out.set_topic(row.topic);
  out.set_partition(row.partition);
  if (row.committed.offset.value() >= 0) {
    out.set_committed_offset(row.committed.offset.value());
    out.set_metadata(as_utf8(row.committed.metadata));
  }
  out.set_committed_at_ms(row.committed.committed.value());
  out.set_log_start_offset(row.log_start.value());
  out.set_end_offset(row.end.value());
  out.set_lag(row.lag);
  out.set_member_id(as_utf8(row.member));
  out.set_unfetched_ms(row.unfetched ? *row.unfetched / std::chrono::milliseconds(1) : -1);
  out.set_not_fetching(row.not_fetching);
}

void fill(v1::DescribeGroupResponse& out, const service::Shard& shard,
          const service::GroupLag& lag) {
  const GroupDescription& group = lag.group;
  fill(*out.mutable_group(), group.summary);
  out.mutable_group()->set_members(static_cast<std::int32_t>(group.members.size()));
  out.mutable_group()->set_lag(lag.lag);
  out.set_epoch(group.epoch.value());
  out.set_assignment_epoch(group.assignment_epoch.value());
  out.set_assignor(as_utf8(group.protocol));
  out.set_coordinator(shard.identity().node.value());
  std::map<std::string, v1::GroupMember*> classic;
  for (const GroupDescription::Member& member : group.members) {
    fill(*out.add_members(), shard, member);
    // What a classic member was given is bytes of its own protocol: the rows below have read them.
    if (member.assignment.empty()) classic[member.member] = &*out.mutable_members()->rbegin();
  }
  std::int32_t not_fetching = 0;
  for (const service::PartitionLag& row : lag.partitions) {
    fill(*out.add_partitions(), row);
    if (row.not_fetching) ++not_fetching;
    const auto owner = classic.find(row.member);
    if (owner != classic.end())
      add_partition(*owner->second->mutable_assignment(), row.topic, row.partition);
  }
  out.mutable_group()->set_not_fetching(not_fetching);
}

std::vector<service::TopicChoice> choices(const Assignment& topics) {
  std::vector<service::TopicChoice> choices;
  for (const v1::TopicPartitions& topic : topics) {
    choices.push_back({.topic = topic.topic(),
                       .partitions = {topic.partitions().begin(), topic.partitions().end()}});
  }
  return choices;
}

common::Result<service::OffsetReset> read_reset(const v1::ResetGroupOffsetsRequest& request) {
  if (const auto error = too_long("group", request.group())) return *error;
  service::OffsetReset reset;
  reset.group = request.group();
  reset.topics = choices(request.topics());
  reset.dry_run = request.dry_run();
  using Request = v1::ResetGroupOffsetsRequest;
  switch (request.to_case()) {
    case Request::kEarliest:
      reset.move = {.to = OffsetMove::To::kEarliest};
      break;
    case Request::kLatest:
      reset.move = {.to = OffsetMove::To::kLatest};
      break;
    case Request::kOffset:
      reset.move = {.to = OffsetMove::To::kOffset, .value = request.offset()};
      break;
    case Request::kTimestampMs:
      if (request.timestamp_ms() < 0)
        return common::Error{ErrorCode::kInvalidRequest, "timestamp_ms must not be negative"};
      reset.move = {.to = OffsetMove::To::kTime, .value = request.timestamp_ms()};
      break;
    case Request::kShiftBy:
      reset.move = {.to = OffsetMove::To::kShift, .value = request.shift_by()};
      break;
    case Request::kOffsets:
      for (const v1::GroupOffset& one : request.offsets().offsets()) {
        reset.exact.push_back({.topic = one.topic(),
                               .partition = one.partition(),
                               .offset = model::Offset{one.offset()},
                               .metadata = one.metadata()});
      }
      if (!reset.topics.empty() || reset.exact.empty()) {
        return common::Error{ErrorCode::kInvalidRequest,
                             "offsets names each partition, and topics none"};
      }
      break;
    case Request::TO_NOT_SET:
      return common::Error{ErrorCode::kInvalidRequest,
                           "one of earliest, latest, offset, "
                           "timestamp_ms, shift_by and offsets must "
                           "say where to"};
  }
  return reset;
}

void fill(v1::OffsetReset& out, const service::OffsetResetRow& row) {
  out.set_topic(row.topic);
  out.set_partition(row.partition);
  if (row.before) out.set_before(row.before->value());
  out.set_after(row.code == ErrorCode::kNone ? row.after.value()
                                             : row.before.value_or(model::Offset{-1}).value());
  out.set_log_start_offset(row.log_start.value());
  out.set_end_offset(row.end.value());
  if (row.code == ErrorCode::kNone) return;
  out.set_error(error_name(row.code));
  out.set_error_message(row.detail.empty() ? std::string(model::error_row(row.code).meaning)
                                           : row.detail);
}

void list_with_lag(service::Shard& shard, service::GroupFilter filter,
                   v1::ListGroupsResponse& response, const UnaryAnswer& answer) {
  service::group_lags(shard, [filter = std::move(filter), &response,
                              answer](std::vector<service::GroupLagSummary> groups) {
    for (const service::GroupLagSummary& group : groups) {
      if (!wanted(filter, group.group)) continue;
      v1::GroupSummary& out = *response.add_groups();
      fill(out, group.group);
      out.set_members(group.members);
      out.set_lag(group.lag);
      out.set_not_fetching(group.not_fetching);
    }
    answer.ok();
  });
}

/// Of this broker's coordinators.
void list_groups(service::Shard& shard, const v1::ListGroupsRequest& request,
                 v1::ListGroupsResponse& response, const UnaryAnswer& answer) {
  const auto states = values_of(request.states(), coordinator::state_named, "state");
  if (!states.ok()) return answer.fail(states.error());
  const auto types = values_of(request.types(), coordinator::type_named, "type");
  if (!types.ok()) return answer.fail(types.error());
  const service::GroupFilter filter{.states = *states, .types = *types};
  if (request.with_lag()) return list_with_lag(shard, filter, response, answer);
  service::list_groups(
      shard, filter,
      [&response, answer](common::Result<std::vector<coordinator::GroupSummary>> groups) {
        if (!groups.ok()) return answer.fail(groups.error());
        for (const coordinator::GroupSummary& group : *groups) fill(*response.add_groups(), group);
        answer.ok();
      });
}

void describe_group(service::Shard& shard, const v1::DescribeGroupRequest& request,
                    v1::DescribeGroupResponse& response, const UnaryAnswer& answer) {
  service::describe_group_lag(
      shard, request.name(), [&shard, &response, answer](const service::GroupLag& lag) {
        if (!lag.group.status.ok())
          return answer.fail(lag.group.status.code, lag.group.status.detail);
        fill(response, shard, lag);
        answer.ok();
      });
}

void delete_group(service::Shard& shard, const v1::DeleteGroupRequest& request,
                  v1::DeleteGroupResponse&, const UnaryAnswer& answer) {
  service::delete_groups(shard, {request.name()},
                         [answer](const std::vector<coordinator::Status>& outcomes) {
                           if (!outcomes.front().ok())
                             return answer.fail(outcomes.front().code, outcomes.front().detail);
                           answer.ok();
                         });
}

void reset_offsets(service::Shard& shard, const v1::ResetGroupOffsetsRequest& request,
                   v1::ResetGroupOffsetsResponse& response, const UnaryAnswer& answer) {
  auto reset = read_reset(request);
  if (!reset.ok()) return answer.fail(reset.error());
  service::reset_group_offsets(
      shard, std::move(reset).value(),
      [&response, answer](const common::Result<std::vector<service::OffsetResetRow>>& rows) {
        if (!rows.ok()) return answer.fail(rows.error());
        for (const service::OffsetResetRow& row : *rows) fill(*response.add_partitions(), row);
        answer.ok();
      });
}

void delete_offsets(service::Shard& shard, const v1::DeleteGroupOffsetsRequest& request,
                    v1::DeleteGroupOffsetsResponse& response, const UnaryAnswer& answer) {
  if (request.topics().empty())
    return answer.fail(ErrorCode::kInvalidRequest, "topics must say what to forget");
  service::delete_group_offsets(
      shard, request.group(), choices(request.topics()),
      [&response, answer](const common::Result<std::vector<service::DeletedOffsetRow>>& rows) {
        if (!rows.ok()) return answer.fail(rows.error());
        for (const service::DeletedOffsetRow& row : *rows) {
          v1::DeletedOffset& out = *response.add_partitions();
          out.set_topic(row.topic);
          out.set_partition(row.partition);
          if (row.code == ErrorCode::kNone) continue;
          out.set_error(error_name(row.code));
          out.set_error_message(std::string(model::error_row(row.code).meaning));
        }
        answer.ok();
      });
}

/// The lists of all brokers that are there, as one. Lives on the asking shard's loop.
class GatheredList final : public std::enable_shared_from_this<GatheredList> {
 public:
  GatheredList(service::Shard& shard, const v1::ListGroupsRequest& request,
               v1::ListGroupsResponse& response, UnaryAnswer answer)
      : shard_(shard), request_(request), response_(response), answer_(std::move(answer)) {}

  void start() {
    std::vector<model::BrokerId> brokers{shard_.identity().node};
    for (const auto& [id, broker] : shard_.image().brokers()) {
      if (id != shard_.identity().node && shard_.alive(id)) brokers.push_back(id);
    }
    for (const model::BrokerId broker : brokers) {
      auto part = std::make_shared<Part>(shared_from_this());
      ++missing_;
      run_at(shard_, broker, kListGroups, request_, part->response, UnaryAnswer(part));
    }
    arrived();
  }

 private:
  /// What one broker says.
  struct Part final : UnaryCall {
    explicit Part(std::shared_ptr<GatheredList> list) : whole(std::move(list)) {}
    void ok() override {
      for (v1::GroupSummary& group : *response.mutable_groups())
        whole->groups_[group.name()] = std::move(group);
      whole->arrived();
    }
    void fail(model::ErrorCode code, const std::string& detail) override {
      // A broker that is gone by now leads nothing: its groups are elsewhere, or will be.
      if (code != ErrorCode::kBrokerNotAvailable) whole->error_ = common::Error{code, detail};
      whole->arrived();
    }
    std::shared_ptr<GatheredList> whole;
    v1::ListGroupsResponse response;
  };

  void arrived() {
    if (--missing_ > 0) return;
    if (error_) return answer_.fail(*error_);
    for (auto& [name, group] : groups_) *response_.add_groups() = std::move(group);
    answer_.ok();
  }

  service::Shard& shard_;
  const v1::ListGroupsRequest& request_;
  v1::ListGroupsResponse& response_;
  const UnaryAnswer answer_;
  std::map<std::string, v1::GroupSummary> groups_;
  std::optional<common::Error> error_;
  std::size_t missing_ = 1;  // held until all are asked
};

}  // namespace

const Forwardable<v1::ListGroupsRequest, v1::ListGroupsResponse> kListGroups{"ListGroups",
                                                                             list_groups};
const Forwardable<v1::DescribeGroupRequest, v1::DescribeGroupResponse> kDescribeGroup{
    "DescribeGroup", describe_group};
const Forwardable<v1::DeleteGroupRequest, v1::DeleteGroupResponse> kDeleteGroup{"DeleteGroup",
                                                                                delete_group};
const Forwardable<v1::ResetGroupOffsetsRequest, v1::ResetGroupOffsetsResponse> kResetGroupOffsets{
    "ResetGroupOffsets", reset_offsets};
const Forwardable<v1::DeleteGroupOffsetsRequest, v1::DeleteGroupOffsetsResponse>
    kDeleteGroupOffsets{"DeleteGroupOffsets", delete_offsets};

::grpc::ServerUnaryReactor* Admin::ListGroups(::grpc::CallbackServerContext* context,
                                              const v1::ListGroupsRequest* request,
                                              v1::ListGroupsResponse* response) {
  return on_shard(context, dealer_,
                  [request, response](service::Shard& shard, const UnaryAnswer& answer) {
                    std::make_shared<GatheredList>(shard, *request, *response, answer)->start();
                  });
}

::grpc::ServerUnaryReactor* Admin::DescribeGroup(::grpc::CallbackServerContext* context,
                                                 const v1::DescribeGroupRequest* request,
                                                 v1::DescribeGroupResponse* response) {
  return on_coordinator(context, dealer_, kDescribeGroup, request->name(), request, response);
}

::grpc::ServerUnaryReactor* Admin::DeleteGroup(::grpc::CallbackServerContext* context,
                                               const v1::DeleteGroupRequest* request,
                                               v1::DeleteGroupResponse* response) {
  return on_coordinator(context, dealer_, kDeleteGroup, request->name(), request, response);
}

::grpc::ServerUnaryReactor* Admin::ResetGroupOffsets(::grpc::CallbackServerContext* context,
                                                     const v1::ResetGroupOffsetsRequest* request,
                                                     v1::ResetGroupOffsetsResponse* response) {
  return on_coordinator(context, dealer_, kResetGroupOffsets, request->group(), request, response);
}

::grpc::ServerUnaryReactor* Admin::DeleteGroupOffsets(::grpc::CallbackServerContext* context,
                                                      const v1::DeleteGroupOffsetsRequest* request,
                                                      v1::DeleteGroupOffsetsResponse* response) {
  return on_coordinator(context, dealer_, kDeleteGroupOffsets, request->group(), request, response);
}

}  // namespace millrace::grpc
