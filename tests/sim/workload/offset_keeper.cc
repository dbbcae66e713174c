#include "tests/sim/workload/offset_keeper.h"

#include <algorithm>
#include <utility>

#include "broker/wire/messages/offset_commit.h"
#include "broker/wire/messages/offset_fetch.h"

namespace millrace::sim {

using model::ErrorCode;

namespace {

constexpr Duration kOffsetsTimeout = std::chrono::seconds(4);
/// The first versions with several groups in a request, and with member epochs.
constexpr std::int16_t kGroupsVersionMin = 8;
constexpr std::int16_t kEpochVersionMin = 9;

model::TopicId id_of(const Client& client, const std::string& topic) {
  const TopicView* const view = client.topic(topic);
  return view == nullptr ? model::TopicId{} : view->id;
}

}  // namespace

void OffsetKeeper::commit(std::int32_t coordinator, const Membership& who, const Offsets& offsets,
                          Reply<ErrorCode> done) {
  wire::OffsetCommitRequest request;
  request.group_id = group_;
  request.generation_id_or_member_epoch = who.epoch;
  request.member_id = who.member;
  Offsets sent;
  for (const auto& [target, offset] : offsets) {
    const auto last = last_.find(target);
    if (last != last_.end() && last->second == offset) continue;
    sent.emplace(target, offset);
    groups_.commit_leaves(group_, target, offset);
    auto& topic = request.topics.emplace_back();
    topic.name = target.topic;
    topic.topic_id = id_of(client_, target.topic);
    topic.partitions.push_back(
        {.partition_index = target.partition, .committed_offset = offset.value()});
  }
  if (sent.empty()) {
    return client_.loop().post([done = std::move(done)]() mutable { done(ErrorCode::kNone); });
  }
  client_.call(
      coordinator, request, kOffsetsTimeout,
      [this, sent = std::move(sent),
       done = std::move(done)](Result<wire::OffsetCommitResponse> answer) mutable {
        if (!answer.ok()) return done(answer.error().code);
        ErrorCode first = ErrorCode::kNone;
        for (const auto& topic : answer->topics) {
          for (const auto& partition : topic.partitions) {
            const ErrorCode code = code_of(partition.error_code);
            if (first == ErrorCode::kNone) first = code;
            for (const auto& [target, offset] : sent) {
              const bool same = target.partition == partition.partition_index &&
                                (topic.name.empty() ? id_of(client_, target.topic) == topic.topic_id
                                                    : target.topic == topic.name);
              if (!same || code != ErrorCode::kNone) continue;
              groups_.committed(group_, target, offset);
              last_[target] = offset;
            }
          }
        }
        done(first);
      },
      kEpochVersionMin);
}

void OffsetKeeper::fetch(std::int32_t coordinator, const Membership& who, ByMember by_member,
                         const std::vector<Target>& targets, Reply<Result<Committed>> done) {
  wire::OffsetFetchRequest request;
  request.topics.reset();
  auto& group = request.groups.emplace_back();
  group.group_id = group_;
  if (by_member == ByMember::kYes) {
    group.member_id = who.member;
    group.member_epoch = who.epoch;
  }
  Offsets floors;
  for (const Target& target : targets) {
    floors[target] = groups_.committed_floor(group_, target);
    auto& topic = group.topics->emplace_back();
    topic.name = target.topic;
    topic.topic_id = id_of(client_, target.topic);
    topic.partition_indexes = {target.partition};
  }
  client_.call(
      coordinator, request, kOffsetsTimeout,
      [this, floors = std::move(floors),
       done = std::move(done)](Result<wire::OffsetFetchResponse> answer) mutable {
        if (!answer.ok()) return done(std::move(answer).error());
        if (answer->groups.empty()) return done(model::error(ErrorCode::kUnknownServerError));
        const auto& told = answer->groups.front();
        if (told.error_code != 0) return done(model::error(code_of(told.error_code)));
        Committed committed;
        for (const auto& topic : told.topics) {
          for (const auto& partition : topic.partitions) {
            if (partition.error_code != 0) return done(model::error(code_of(partition.error_code)));
            for (const auto& [target, floor] : floors) {
              const bool same = target.partition == partition.partition_index &&
                                (topic.name.empty() ? id_of(client_, target.topic) == topic.topic_id
                                                    : target.topic == topic.name);
              if (!same) continue;
              const Offset offset{partition.committed_offset};
              groups_.told_committed(group_, target, floor, offset);
              committed[target] = offset < Offset{0} ? std::nullopt : std::optional(offset);
            }
          }
        }
        if (committed.size() != floors.size()) {
          client_.trace().fail(fmt::format("{}: {} of {} committed offsets were told",
                                           client_.name(), committed.size(), floors.size()));
          return done(model::error(ErrorCode::kUnknownServerError));
        }
        done(std::move(committed));
      },
      std::max(kGroupsVersionMin, kEpochVersionMin));
}

bool OffsetKeeper::has(const Offsets& offsets) const {
  return std::ranges::all_of(offsets, [this](const auto& entry) {
    const auto last = last_.find(entry.first);
    return last != last_.end() && last->second == entry.second;
  });
}

}  // namespace millrace::sim
