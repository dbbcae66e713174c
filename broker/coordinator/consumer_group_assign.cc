// What members of a consumer group subscribe to, and how that is shared out.
#include <algorithm>
#include <utility>

#include "broker/coordinator/consumer_group_draft.h"
#include "common/check.h"

namespace millrace::coordinator {
namespace {

// FNV-1a, 64 bits: stable over versions and machines, as it is stored.
class Hash {
 public:
  void add(std::string_view text) {
    add(static_cast<std::int64_t>(text.size()));
    for (const char c : text) mix(static_cast<std::uint8_t>(c));
  }
  void add(std::int64_t number) {
    for (int shift = 0; shift < 64; shift += 8)
      mix(static_cast<std::uint8_t>(static_cast<std::uint64_t>(number) >> shift));
  }
  std::int64_t value() const { return static_cast<std::int64_t>(state_); }

 private:
  void mix(std::uint8_t byte) {
    state_ ^= byte;
    state_ *= 0x100000001b3;
  }
  std::uint64_t state_ = 0xcbf29ce484222325;
};

void add_topic(Hash& hash, const Topic& topic) {
  hash.add(topic.name);
  for (const std::uint8_t byte : topic.id.bytes) hash.add(std::int64_t{byte});
  hash.add(std::int64_t{topic.partitions});
  for (const auto& racks : topic.racks) {
    hash.add(static_cast<std::int64_t>(racks.size()));
    for (const std::string& rack : racks) hash.add(rack);
  }
}

}  // namespace

const std::vector<std::string>* ConsumerGroup::regex_topics(const std::string& regex,
                                                            const Draft* draft) const {
  if (draft != nullptr) {
    const auto fresh = draft->regexes.find(regex);
    if (fresh != draft->regexes.end()) return &fresh->second;
  }
  const auto known = regexes_.find(regex);
  return known == regexes_.end() ? nullptr : &known->second.topics;
}

std::vector<model::TopicId> ConsumerGroup::topics_of(const About& about, const Draft* draft) const {
  std::vector<model::TopicId> ids;
  const auto add = [&](const std::vector<std::string>& names) {
    for (const std::string& name : names) {
      const auto topic = shared_.topics->by_name.find(name);
      if (topic != shared_.topics->by_name.end()) ids.push_back(topic->second.id);
    }
  };
  add(about.topics);
  if (!about.topic_regex.empty()) {
    if (const auto* matched = regex_topics(about.topic_regex, draft)) add(*matched);
  }
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  return ids;
}

// Over all that the group subscribes to: with some members' subscriptions taken out and one put in,
// as the stored counts do not know of what is being decided.
std::int64_t ConsumerGroup::metadata_hash(const std::vector<const About*>& without,
                                          const About* with, const Draft* draft) const {
  std::map<std::string_view, std::int32_t> names(topic_readers_.begin(), topic_readers_.end());
  std::map<std::string_view, std::int32_t> regexes(regex_users_.begin(), regex_users_.end());
  const auto count = [&](const About& about, std::int32_t by) {
    for (const std::string& topic : about.topics) names[topic] += by;
    if (!about.topic_regex.empty()) regexes[about.topic_regex] += by;
  };
  for (const About* about : without) count(*about, -1);
  if (with != nullptr) count(*with, 1);
  for (const auto& [regex, users] : regexes) {
    const auto* matched = users > 0 ? regex_topics(std::string(regex), draft) : nullptr;
    if (matched == nullptr) continue;
    for (const std::string& topic : *matched) ++names[topic];
  }
  Hash hash;
  for (const auto& [name, readers] : names) {
    const auto topic = shared_.topics->by_name.find(std::string(name));
    if (readers > 0 && topic != shared_.topics->by_name.end()) add_topic(hash, topic->second);
  }
  return hash.value();
}

// The most wanted one; among equals the one that the settings name first.
std::string ConsumerGroup::preferred_assignor(const Draft* draft) const {
  std::string best;
  std::int32_t votes_of_best = -1;
  for (const std::string& name : shared_.settings.consumer_assignors) {
    if (find_assignor(name) == nullptr) continue;
    const auto at = assignor_votes_.find(name);
    std::int32_t votes = at == assignor_votes_.end() ? 0 : at->second;
    if (draft != nullptr) {
      if (draft->before != nullptr && draft->before->about.assignor == name) --votes;
      if (draft->about.assignor == name) ++votes;
    }
    if (votes <= votes_of_best) continue;
    best = name;
    votes_of_best = votes;
  }
  return best.empty() ? "uniform" : best;
}

AssignorInput ConsumerGroup::assignor_input(const Draft* draft) const {
  AssignorInput input;
  std::vector<std::vector<model::TopicId>> subscribed;  // as input.subscriptions, by ids
  std::vector<const About*> abouts;                     // of subscribed: whose it is
  const auto add = [&](const std::string& name, const About& about, const std::string& before) {
    // Mostly all have the same subscription, so the last one is the first guess.
    std::size_t at = abouts.size();
    while (at > 0 && (abouts[at - 1]->topics != about.topics ||
                      abouts[at - 1]->topic_regex != about.topic_regex)) {
      --at;
    }
    if (at == 0) {
      abouts.push_back(&about);
      subscribed.push_back(topics_of(about, draft));
      at = abouts.size();
    }
    AssignorMember member{.name = name,
                          .instance = about.instance ? *about.instance : std::string_view{},
                          .rack = about.rack ? *about.rack : std::string_view{},
                          .subscription = static_cast<std::uint32_t>(at - 1)};
    const auto target = targets_.find(before);
    if (target != targets_.end()) member.before = target->second;
    input.members.push_back(std::move(member));
  };
  bool draft_added = draft == nullptr;
  const auto add_draft = [&] {
    add(draft->name, draft->about, draft->replaced.empty() ? draft->name : draft->replaced);
    draft_added = true;
  };
  for (const auto& [name, member] : members_) {
    if (!draft_added && draft->name <= name) add_draft();
    if (draft != nullptr && (name == draft->name || name == draft->replaced)) continue;
    add(name, member.about, name);
  }
  if (!draft_added) add_draft();

  std::vector<model::TopicId> ids;
  for (const auto& mine : subscribed) ids.insert(ids.end(), mine.begin(), mine.end());
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  for (const model::TopicId& id : ids) {
    const auto name = shared_.topics->names.find(id);
    CHECK(name != shared_.topics->names.end(), "topic {} has no name", id);
    const Topic& topic = shared_.topics->by_name.find(name->second)->second;
    input.topics.push_back({id, topic.partitions, topic.racks.empty() ? nullptr : &topic.racks});
  }
  for (const auto& mine : subscribed) {
    std::vector<std::uint32_t>& indexes = input.subscriptions.emplace_back();
    for (const model::TopicId& id : mine) {
      indexes.push_back(
          static_cast<std::uint32_t>(std::lower_bound(ids.begin(), ids.end(), id) - ids.begin()));
    }
  }
  return input;
}

void ConsumerGroup::assign(Draft* draft, Epoch epoch, Now now, std::vector<Record>& records) {
  CHECK(epoch > target_epoch_, "an assignment of epoch {} after {}", epoch, target_epoch_);
  const AssignorInput input = assignor_input(draft);
  const Assignor assignor = find_assignor(preferred_assignor(draft));
  CHECK(assignor != nullptr, "the settings name an assignor that is not there");
  Shares shares = assignor(input);
  CHECK(shares.size() == input.members.size());
  for (std::size_t m = 0; m < shares.size(); ++m) {
    const std::string name(input.members[m].name);
    const bool drafted = draft != nullptr && draft->name == name;
    const auto known = targets_.find(name);
    // Who takes a static member's place has its target by a record that is on its way.
    const PartitionList* before = drafted && !draft->replaced.empty() ? &draft->target
                                  : known == targets_.end()           ? nullptr
                                                                      : &known->second;
    const bool unchanged = before == nullptr ? shares[m].empty() : *before == shares[m];
    if (!unchanged) records.push_back(TargetRecord{name_, name, by_topic(shares[m])});
    if (drafted) draft->target = std::move(shares[m]);
  }
  records.push_back(TargetEpochRecord{name_, epoch});
  if (draft != nullptr) draft->target_epoch = epoch;
  assigned_at_ = now.instant;
  assign_.clear();
}

}  // namespace millrace::coordinator
