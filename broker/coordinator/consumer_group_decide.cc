// The steps of a decision about one member: consumer_group_draft.h.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "broker/coordinator/consumer_group_draft.h"
#include "broker/coordinator/topic_regex.h"
#include "common/check.h"

namespace millrace::coordinator {
namespace {

bool same_classic(const std::optional<ConsumerMemberRecord::ClassicMember>& a,
                  const std::optional<ConsumerMemberRecord::ClassicMember>& b) {
  if (a.has_value() != b.has_value()) return false;
  if (!a) return true;
  return a->session_timeout_ms == b->session_timeout_ms &&
         std::equal(a->protocols.begin(), a->protocols.end(), b->protocols.begin(),
                    b->protocols.end(), [](const Protocol& x, const Protocol& y) {
                      return x.name == y.name && x.metadata == y.metadata;
                    });
}

bool same(const ConsumerMemberRecord::Value& a, const ConsumerMemberRecord::Value& b) {
  return a.instance == b.instance && a.rack == b.rack && a.client == b.client &&
         a.topics == b.topics && a.topic_regex == b.topic_regex &&
         a.rebalance_timeout_ms == b.rebalance_timeout_ms && a.assignor == b.assignor &&
         same_classic(a.classic, b.classic);
}

// One list of what a member may still be using, of two that are disjoint.
Holding united(const Holding& a, const Holding& b) {
  Holding all;
  all.reserve(a.size() + b.size());
  std::merge(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(all),
             [](const Held& x, const Held& y) { return x.key < y.key; });
  return all;
}

}  // namespace

common::Result<ConsumerGroup::Draft> ConsumerGroup::draft_dynamic(const std::string& member) const {
  Draft draft;
  draft.name = member;
  draft.group_epoch = epoch_;
  draft.target_epoch = target_epoch_;
  const auto at = members_.find(member);
  if (at == members_.end()) {
    if (members_.size() >= static_cast<std::size_t>(shared_.settings.consumer_max_size)) {
      return common::Error{
          ErrorCode::kGroupMaxSizeReached,
          fmt::format("The consumer group has reached its maximum capacity of {} members.",
                      shared_.settings.consumer_max_size)};
    }
    return draft;
  }
  draft.before = &at->second;
  draft.about = at->second.about;
  draft.standing = at->second.standing;
  return draft;
}

common::Result<ConsumerGroup::Draft> ConsumerGroup::draft_static(const std::string& member,
                                                                 const std::string& instance,
                                                                 bool may_join,
                                                                 bool classic) const {
  const auto place = statics_.find(instance);
  if (place == statics_.end()) {
    if (!may_join)
      return common::Error{ErrorCode::kUnknownMemberId,
                           fmt::format("Instance id {} is unknown.", instance)};
    return draft_dynamic(member);
  }
  if (place->second == member) return draft_dynamic(member);
  if (!may_join) {
    return common::Error{
        ErrorCode::kFencedInstanceId,
        fmt::format("Static member {} with instance id {} was fenced by member {}.", member,
                    instance, place->second)};
  }
  const auto at = members_.find(place->second);
  CHECK(at != members_.end(), "instance {} belongs to nobody", instance);
  const Member& replaced = at->second;
  // A classic process that starts again, maybe with the other protocol, cannot say goodbye; one of
  // the consumer protocol has to.
  if (!classic && !replaced.is_classic() && replaced.standing.epoch != kLeftForAWhile) {
    return common::Error{
        ErrorCode::kUnreleasedInstanceId,
        fmt::format("Static member {} with instance id {} cannot join the group because the "
                    "instance id is owned by {} member.",
                    member, instance, place->second)};
  }
  Draft draft;
  draft.name = member;
  draft.before = &replaced;
  draft.replaced = place->second;
  draft.group_epoch = epoch_;
  draft.target_epoch = target_epoch_;
  draft.about = replaced.about;
  draft.standing.assigned = united(replaced.standing.assigned, replaced.standing.pending);
  remove_records(draft.replaced, draft.records);
  draft.records.push_back(ConsumerMemberRecord{name_, member, draft.about});
  const auto target = targets_.find(draft.replaced);
  if (target != targets_.end()) {
    draft.target = target->second;
    draft.records.push_back(TargetRecord{name_, member, by_topic(target->second)});
  }
  draft.records.push_back(current_record(member, draft.standing));
  return draft;
}

void ConsumerGroup::change(Draft& draft, About about) const {
  std::sort(about.topics.begin(), about.topics.end());
  about.topics.erase(std::unique(about.topics.begin(), about.topics.end()), about.topics.end());
  draft.subscription_changed =
      about.topics != draft.about.topics || about.topic_regex != draft.about.topic_regex;
  const bool stored = draft.before != nullptr;
  if (!stored || !same(about, draft.about))
    draft.records.push_back(ConsumerMemberRecord{name_, draft.name, about});
  draft.about = std::move(about);
}

// Expressions that are new, and all once the topics changed; those that lost their last user go.
void ConsumerGroup::resolve_regexes(Draft& draft) const {
  std::map<std::string, std::int32_t> users = regex_users_;
  if (draft.before != nullptr && !draft.before->about.topic_regex.empty())
    --users[draft.before->about.topic_regex];
  if (!draft.about.topic_regex.empty()) ++users[draft.about.topic_regex];
  for (const auto& [regex, count] : users) {
    const auto known = regexes_.find(regex);
    if (count <= 0) {
      if (known != regexes_.end()) draft.records.push_back(RegexRecord{name_, regex, std::nullopt});
      continue;
    }
    if (known != regexes_.end() && !look_again_) continue;
    const common::Result<TopicRegex> parsed = TopicRegex::parse(regex);
    // Checked when the member came; a stored one that this broker cannot read matches nothing.
    std::vector<std::string> topics =
        parsed.ok() ? parsed->matches(*shared_.topics) : std::vector<std::string>{};
    if (known != regexes_.end() && known->second.topics == topics) continue;
    draft.records.push_back(
        RegexRecord{name_, regex, {{topics, shared_.topics->version, draft.wall}}});
    draft.regexes[regex] = std::move(topics);
  }
}

void ConsumerGroup::refresh(Draft& draft) {
  const bool never = epoch_ == Epoch{0};
  if (!look_again_ && !draft.subscription_changed && !never) return;
  resolve_regexes(draft);
  std::vector<const About*> without;
  if (draft.before != nullptr) without.push_back(&draft.before->about);
  const std::int64_t hash = metadata_hash(without, &draft.about, &draft);
  if (!draft.subscription_changed && !never && draft.regexes.empty() && hash == metadata_hash_) {
    // Seen, and nothing to store. Otherwise the next heartbeat looks once more: this one's records
    // may be refused.
    look_again_ = false;
    return;
  }
  draft.group_epoch = epoch_ + 1;
  CHECK(draft.group_epoch > target_epoch_, "target epoch {} is ahead of the group epoch {}",
        target_epoch_, epoch_);
  draft.records.push_back(ConsumerGroupRecord{name_, {{draft.group_epoch, hash}}});
}

std::int64_t ConsumerGroup::delay_left_ms(Now now) const {
  // One member alone has nobody to wait for.
  if (!assigned_at_ || target_epoch_ == Epoch{0} || members_.size() < 2) return 0;
  const auto due =
      *assigned_at_ + std::chrono::milliseconds(shared_.settings.consumer_assignment_interval_ms);
  if (due <= now.instant) return 0;
  return std::chrono::ceil<std::chrono::milliseconds>(due - now.instant).count();
}

void ConsumerGroup::aim(Draft& draft, Now now) {
  if (draft.group_epoch > target_epoch_) {
    draft.delay_ms = delay_left_ms(now);
    if (draft.delay_ms == 0) return assign(&draft, draft.group_epoch, now, draft.records);
    assign_.set(now.instant + std::chrono::milliseconds(draft.delay_ms));
  }
  if (!draft.replaced.empty()) return;  // it came with the target of its predecessor
  const auto target = targets_.find(draft.name);
  if (target != targets_.end()) draft.target = target->second;
}

Status ConsumerGroup::step(Draft& draft, const std::optional<PartitionList>& owned) const {
  Orders orders;
  orders.target_epoch = draft.target_epoch;
  orders.owned = owned;
  orders.subscribed = draft.subscription_changed ? Subscribed::kChanged : Subscribed::kAsBefore;
  orders.topics = topics_of(draft.about, &draft);
  // An assignment that is yet to be made anew may name topics that the member has left.
  for (const model::PartitionKey& key : draft.target) {
    if (std::binary_search(orders.topics.begin(), orders.topics.end(), key.topic))
      orders.target.push_back(key);
  }
  const std::optional<Standing> next = reconcile(draft.standing, orders, draft.token(), holders_);
  if (!next) {
    return {ErrorCode::kFencedMemberEpoch,
            "The consumer group member is in a unknown state. The member must abandon all its "
            "partitions and rejoin."};
  }
  for (const Held& held : next->assigned) {
    // What it held before stays its own even if a damaged log gave it to two.
    if (find(draft.standing.assigned, held.key) != nullptr) continue;
    const Holders::Token holder = holders_.of(held.key);
    CHECK(holder == Holders::kNobody || holder == draft.token(),
          "partition {} of {} would be given away while it is held", held.key.index,
          held.key.topic);
  }
  CHECK(next->epoch == draft.standing.epoch || next->epoch == draft.target_epoch);
  // A newcomer is stored even if there is nothing for it yet.
  if (draft.before == nullptr || *next != draft.standing)
    draft.records.push_back(current_record(draft.name, *next));
  draft.standing = *next;
  return {};
}

}  // namespace millrace::coordinator
