#include "tests/sim/workload/admin.h"

#include <algorithm>
#include <utility>

#include "broker/model/record.h"
#include "broker/wire/messages/create_partitions.h"
#include "broker/wire/messages/create_topics.h"
#include "broker/wire/messages/delete_records.h"
#include "broker/wire/messages/delete_topics.h"
#include "broker/wire/messages/describe_configs.h"
#include "broker/wire/messages/incremental_alter_configs.h"
#include "broker/wire/messages/list_offsets.h"
#include "broker/wire/messages/produce.h"

namespace millrace::sim {

using model::ErrorCode;

namespace {

constexpr Duration kTimeout = std::chrono::seconds(5);
constexpr std::int32_t kTimeoutMs = 4000;
constexpr std::int8_t kTopicResource = 2;
constexpr std::int8_t kSet = 0;
constexpr std::string_view kSetting = "max.message.bytes";
constexpr const char* kSettingDefault = "1048588";

/// The answer says that nothing is known: it may have been done.
bool is_unsure(const ErrorCode code) {
  return model::error_row(code).retriable || code == ErrorCode::kBrokerNotAvailable;
}

}  // namespace

Admin::Admin(Client::Parts client, History& history, AdminPlan plan)
    : client_(std::move(client)), history_(history), plan_(std::move(plan)) {
  writer_ = history_.new_writer(Promise::kAtLeastOnce);
  for (const std::string& name : plan_.passing) {
    passing_[name];
    client_.track(name);
  }
  for (const std::string& name : {plan_.growing, plan_.trimmed})
    if (!name.empty()) client_.track(name);
}

void Admin::start() {
  act_later();
}

void Admin::finish() {
  finishing_ = true;
}

std::string Admin::unfinished() const {
  if (agreed_) return {};
  return fmt::format("{}: {}", client_.name(),
                     disagreement_.empty() ? "has not looked yet" : disagreement_);
}

void Admin::complain(std::string_view what, ErrorCode code) {
  client_.trace().fail(fmt::format("{}: {} was answered {}", client_.name(), what, name_of(code)));
}

void Admin::act_later() {
  client_.loop().after(client_.pause() * 5, [this] {
    client_.refresh([this](bool fresh) {
      if (!fresh) return act_later();
      if (finishing_) return compare();
      act();
    });
  });
}

void Admin::act() {
  const TopicView* const growing = client_.topic(plan_.growing);
  if (growing != nullptr && grown_at_most_ == 0)
    grown_at_least_ = grown_at_most_ = static_cast<std::int32_t>(growing->leaders.size());
  auto chosen = passing_.begin();
  if (!passing_.empty()) std::advance(chosen, client_.random().below(passing_.size()));
  switch (client_.random().below(5)) {
    case 0:
    case 1:
      if (passing_.empty()) return act_later();
      if (chosen->second == There::kYes && client_.random().chance(1, 2))
        return write_to(chosen->first);
      if (chosen->second == There::kNo) return create(chosen->first);
      return remove(chosen->first);
    case 2:
      if (growing == nullptr || grown_at_most_ >= plan_.partitions_max) return act_later();
      return grow();
    case 3:
      if (growing == nullptr) return act_later();
      return client_.random().chance(1, 2) ? set_config(plan_.growing)
                                           : check_config(plan_.growing);
    default:
      return trim();
  }
}

void Admin::create(const std::string& name) {
  const There before = std::exchange(passing_[name], There::kPerhaps);
  wire::CreateTopicsRequest request;
  auto& wanted = request.topics.emplace_back();
  wanted.name = name;
  wanted.num_partitions = static_cast<std::int32_t>(client_.random().between(1, 3));
  wanted.replication_factor = plan_.replication_factor;
  request.timeout_ms = kTimeoutMs;
  client_.trace().say(client_.name(), "creates {}", name);
  client_.call(Client::kAnyNode, request, kTimeout,
               [this, name, before](const Result<wire::CreateTopicsResponse>& answer) {
                 act_later();
                 if (!answer.ok() || answer->topics.empty()) return;
                 const ErrorCode code = code_of(answer->topics.front().error_code);
                 There& made = passing_[name];
                 if (code == ErrorCode::kNone) {
                   made = There::kYes;
                   made_[name] = answer->topics.front().topic_id;
                 } else if (code == ErrorCode::kTopicAlreadyExists && before != There::kNo) {
                   made = There::kYes;
                 } else if (!is_unsure(code)) {
                   complain("the making of " + name, code);
                 }
               });
}

void Admin::write_to(const std::string& name) {
  const TopicView* const view = client_.topic(name);
  if (view == nullptr) return act_later();  // not everybody has heard of it
  const auto partition = static_cast<std::int32_t>(client_.random().below(view->leaders.size()));
  const WriteId write = history_.begin(writer_, {view->id, model::PartitionIndex{partition}}, 1);
  model::BatchBuilder builder;
  const std::string value = history_.value(write, 0);
  builder.append({.timestamp = client_.loop().clock().wall(),
                  .key = std::nullopt,
                  .value = common::as_bytes(value),
                  .headers = {}});
  wire::ProduceRequest request;
  request.acks = -1;
  request.timeout_ms = kTimeoutMs;
  auto& topic = request.topic_data.emplace_back();
  topic.name = name;
  topic.topic_id = view->id;
  topic.partition_data.push_back({partition, wire::Chunks(builder.build())});
  history_.sent(write);
  written_[name].insert(view->id);
  // The broker that was asked may know the one before only, and keep on telling of it.
  const auto made = made_.find(name);
  if (removed_.contains(name) && (made == made_.end() || made->second != view->id))
    history_.deletion_asked(view->id);
  client_.call(client_.leader(name, partition), request, kTimeout,
               [this, write](const Result<wire::ProduceResponse>& answer) {
                 act_later();
                 if (!answer.ok() || answer->responses.empty()) return;
                 const auto& told = answer->responses.front().partition_responses.front();
                 if (told.error_code == 0) history_.acknowledged(write, Offset{told.base_offset});
               });
}

void Admin::remove(const std::string& name) {
  const There before = std::exchange(passing_[name], There::kPerhaps);
  // Who is asked for metadata next may not have heard of it.
  for (const model::TopicId& id : written_[name]) history_.deletion_asked(id);
  removed_.insert(name);
  made_.erase(name);
  wire::DeleteTopicsRequest request;
  request.topics.push_back({.name = name, .topic_id = {}});
  request.topic_names = {name};
  request.timeout_ms = kTimeoutMs;
  client_.trace().say(client_.name(), "deletes {}", name);
  client_.call(
      Client::kAnyNode, request, kTimeout,
      [this, name, before](const Result<wire::DeleteTopicsResponse>& answer) {
        act_later();
        if (!answer.ok() || answer->responses.empty()) return;
        const ErrorCode code = code_of(answer->responses.front().error_code);
        There& gone = passing_[name];
        if (code == ErrorCode::kNone) {
          gone = There::kNo;
        } else if (code == ErrorCode::kUnknownTopicOrPartition && before == There::kNo) {
          gone = There::kNo;
        } else if (code == ErrorCode::kUnknownTopicOrPartition && before == There::kPerhaps) {
          // A creation that was given up may still be carried out after this.
          gone = There::kPerhaps;
        } else if (!is_unsure(code) || code == ErrorCode::kUnknownTopicOrPartition) {
          complain("the deletion of " + name, code);
        }
      });
}

void Admin::grow() {
  const std::int32_t count = grown_at_least_ + 1;
  grown_at_most_ = std::max(grown_at_most_, count);
  wire::CreatePartitionsRequest request;
  request.timeout_ms = kTimeoutMs;
  auto& topic = request.topics.emplace_back();
  topic.name = plan_.growing;
  topic.count = count;
  topic.assignments.reset();
  client_.trace().say(client_.name(), "wants {} partitions of {}", count, plan_.growing);
  client_.call(Client::kAnyNode, request, kTimeout,
               [this, count](const Result<wire::CreatePartitionsResponse>& answer) {
                 act_later();
                 if (!answer.ok() || answer->results.empty()) return;
                 const ErrorCode code = code_of(answer->results.front().error_code);
                 // It was done already, when no answer came.
                 if (code == ErrorCode::kNone || code == ErrorCode::kInvalidPartitions) {
                   grown_at_least_ = count;
                 } else if (!is_unsure(code)) {
                   complain("the growth of " + plan_.growing, code);
                 }
               });
}

void Admin::set_config(const std::string& name) {
  const std::string value = std::to_string(client_.random().between(1 << 20, 2 << 20));
  configs_.try_emplace(name, Setting{kSettingDefault, {}}).first->second.in_doubt.insert(value);
  wire::IncrementalAlterConfigsRequest request;
  auto& resource = request.resources.emplace_back();
  resource.resource_type = kTopicResource;
  resource.resource_name = name;
  resource.configs.push_back(
      {.name = std::string(kSetting), .config_operation = kSet, .value = value});
  client_.trace().say(client_.name(), "sets {} of {} to {}", kSetting, name, value);
  client_.call(Client::kAnyNode, request, kTimeout,
               [this, name, value](const Result<wire::IncrementalAlterConfigsResponse>& answer) {
                 act_later();
                 if (!answer.ok() || answer->responses.empty()) return;
                 const ErrorCode code = code_of(answer->responses.front().error_code);
                 client_.trace().say(client_.name(), "{} {} was answered {}", kSetting, value,
                                     name_of(code));
                 Setting& setting = configs_.at(name);
                 if (code == ErrorCode::kNone) {
                   setting.in_doubt.erase(value);
                   setting.known = value;
                 } else if (!is_unsure(code)) {
                   complain("a setting of " + name, code);
                 }
               });
}

void Admin::check_config(const std::string& name) {
  wire::DescribeConfigsRequest request;
  auto& resource = request.resources.emplace_back();
  resource.resource_type = kTopicResource;
  resource.resource_name = name;
  resource.configuration_keys = {std::string(kSetting)};
  client_.call(Client::kAnyNode, request, kTimeout,
               [this, name](const Result<wire::DescribeConfigsResponse>& answer) {
                 if (finishing_) {
                   client_.loop().after(client_.pause(), [this] { compare(); });
                 } else {
                   act_later();
                 }
                 if (!answer.ok() || answer->results.empty()) return;
                 const auto& told = answer->results.front();
                 if (told.error_code != 0 || told.configs.empty() || !told.configs.front().value)
                   return;
                 const std::string& value = *told.configs.front().value;
                 const auto setting = configs_.find(name);
                 if (setting == configs_.end()) return;  // never set
                 // Before the end a broker may lag behind.
                 if (!finishing_) return;
                 config_agreed_ = setting->second.may_be(value);
                 if (!config_agreed_)
                   disagreement_ = fmt::format("{} of {} is {}", kSetting, name, value);
               });
}

// Cuts at what is committed, or at a place before it.
void Admin::trim() {
  const TopicView* const view = client_.topic(plan_.trimmed);
  if (view == nullptr || view->leaders.empty()) return act_later();
  const auto index = static_cast<std::int32_t>(client_.random().below(view->leaders.size()));
  const PartitionKey key{view->id, model::PartitionIndex{index}};
  const Offset end = history_.high_watermark_seen(key);
  const Offset at{client_.random().between(0, end.value())};
  history_.trim_asked(key, at);
  wire::DeleteRecordsRequest request;
  request.timeout_ms = kTimeoutMs;
  auto& topic = request.topics.emplace_back();
  topic.name = plan_.trimmed;
  topic.partitions.push_back({.partition_index = index, .offset = at.value()});
  client_.call(client_.leader(plan_.trimmed, index), request, kTimeout,
               [this, key, at](const Result<wire::DeleteRecordsResponse>& answer) {
                 act_later();
                 if (!answer.ok() || answer->topics.empty()) return;
                 const auto& told = answer->topics.front().partitions.front();
                 const ErrorCode code = code_of(told.error_code);
                 if (code == ErrorCode::kNone) {
                   client_.trace().say(client_.name(), "trimmed {}-{} at {}", plan_.trimmed,
                                       key.index, at);
                   history_.trimmed(key, Offset{told.low_watermark});
                 } else if (!is_unsure(code)) {
                   complain("the trimming of " + plan_.trimmed, code);
                 }
               });
}

// At the end: is everything there that was made, and nothing that was deleted?
void Admin::compare() {
  const bool any_config = configs_.contains(plan_.growing);
  if (any_config && !config_agreed_) return check_config(plan_.growing);
  disagreement_.clear();
  for (const auto& [name, there] : passing_) {
    const TopicView* const view = client_.topic(name);
    if (there == There::kYes && view == nullptr)
      disagreement_ = fmt::format("{} was made and is not there", name);
    if (there == There::kNo && view != nullptr)
      disagreement_ = fmt::format("{} was deleted and is there", name);
  }
  if (const TopicView* const view = client_.topic(plan_.growing); view != nullptr) {
    const auto count = static_cast<std::int32_t>(view->leaders.size());
    if (grown_at_most_ > 0 && (count < grown_at_least_ || count > grown_at_most_)) {
      disagreement_ = fmt::format("{} has {} partitions, and should have {} to {}", plan_.growing,
                                  count, grown_at_least_, grown_at_most_);
    }
  }
  agreed_ = disagreement_.empty();
  client_.loop().after(client_.pause() * 5,
                       [this] { client_.refresh([this](bool) { compare(); }); });
}

}  // namespace millrace::sim
