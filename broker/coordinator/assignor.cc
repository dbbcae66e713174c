#include "broker/coordinator/assignor.h"

#include <algorithm>

#include "common/check.h"

namespace millrace::coordinator {

Assignor find_assignor(std::string_view name) {
  if (name == "uniform") return &assign_uniform;
  if (name == "range") return &assign_range;
  return nullptr;
}

Slots::Slots(const AssignorInput& input) : input_(input) {
  first_.reserve(input.topics.size() + 1);
  first_.push_back(0);
  for (std::size_t i = 0; i < input.topics.size(); ++i) {
    CHECK(input.topics[i].partitions >= 0);
    CHECK(i == 0 || input.topics[i - 1].id < input.topics[i].id, "topics out of order");
    first_.push_back(first_.back() + static_cast<std::uint32_t>(input.topics[i].partitions));
  }
  for (std::size_t i = 0; i < input.members.size(); ++i) {
    CHECK(input.members[i].subscription < input.subscriptions.size());
    CHECK(i == 0 || input.members[i - 1].name < input.members[i].name, "members out of order");
  }
  for (const auto& topics : input.subscriptions)
    CHECK(topics.empty() || topics.back() < input.topics.size());
}

std::uint32_t Slots::topic_of(std::uint32_t slot) const {
  CHECK(slot < count());
  return static_cast<std::uint32_t>(std::upper_bound(first_.begin(), first_.end(), slot) -
                                    first_.begin()) -
         1;
}

model::PartitionKey Slots::key_of(std::uint32_t slot) const {
  const std::uint32_t topic = topic_of(slot);
  return {input_.topics[topic].id,
          model::PartitionIndex{static_cast<std::int32_t>(slot - first_[topic])}};
}

bool Slots::in_rack(std::uint32_t slot, std::string_view rack) const {
  const std::uint32_t topic = topic_of(slot);
  const auto* racks = input_.topics[topic].racks;
  const std::uint32_t partition = slot - first_[topic];
  if (rack.empty() || racks == nullptr || partition >= racks->size()) return false;
  return std::find((*racks)[partition].begin(), (*racks)[partition].end(), rack) !=
         (*racks)[partition].end();
}

std::vector<std::vector<std::uint32_t>> Slots::kept() const {
  std::vector<std::vector<std::uint32_t>> kept(input_.members.size());
  std::vector<bool> taken(count());
  for (std::size_t m = 0; m < input_.members.size(); ++m) {
    const AssignorMember& member = input_.members[m];
    const std::vector<std::uint32_t>& subscribed = input_.subscriptions[member.subscription];
    // Both are ascending by topic id: one pass over each.
    auto at = subscribed.begin();
    for (const model::PartitionKey& key : member.before) {
      while (at != subscribed.end() && input_.topics[*at].id < key.topic) ++at;
      if (at == subscribed.end()) break;
      const AssignorTopic& topic = input_.topics[*at];
      if (topic.id != key.topic) continue;
      if (key.index.value() < 0 || key.index.value() >= topic.partitions) continue;
      const std::uint32_t slot = first_[*at] + static_cast<std::uint32_t>(key.index.value());
      if (taken[slot]) continue;
      taken[slot] = true;
      kept[m].push_back(slot);
    }
  }
  return kept;
}

Shares Slots::shares(std::vector<std::vector<std::uint32_t>> owned) const {
  CHECK(owned.size() == input_.members.size());
  Shares shares(owned.size());
  for (std::size_t m = 0; m < owned.size(); ++m) {
    shares[m].reserve(owned[m].size());
    std::uint32_t topic = 0;
    for (std::size_t i = 0; i < owned[m].size(); ++i) {
      const std::uint32_t slot = owned[m][i];
      CHECK(slot < count());
      CHECK(i == 0 || owned[m][i - 1] < slot, "slots of a member out of order");
      while (first_[topic + 1] <= slot) ++topic;
      shares[m].push_back({input_.topics[topic].id,
                           model::PartitionIndex{static_cast<std::int32_t>(slot - first_[topic])}});
    }
  }
  return shares;
}

}  // namespace millrace::coordinator
