#include "broker/coordinator/group.h"

#include "common/check.h"

namespace millrace::coordinator {

Group::Group(const std::string& the_name, Shared& shared)
    : name(the_name), members(std::make_unique<ClassicGroup>(the_name, shared)) {}

ClassicGroup* Group::classic() {
  const auto* held = std::get_if<0>(&members);
  return held == nullptr ? nullptr : held->get();
}
const ClassicGroup* Group::classic() const {
  const auto* held = std::get_if<0>(&members);
  return held == nullptr ? nullptr : held->get();
}
ConsumerGroup* Group::consumer() {
  const auto* held = std::get_if<1>(&members);
  return held == nullptr ? nullptr : held->get();
}
const ConsumerGroup* Group::consumer() const {
  const auto* held = std::get_if<1>(&members);
  return held == nullptr ? nullptr : held->get();
}

bool Group::empty() const {
  return consumer() != nullptr ? consumer()->empty() : classic()->state() == GroupState::kEmpty;
}

bool Group::is_nothing() const {
  if (classic() == nullptr || !offsets.empty()) return false;
  return classic()->idle() && !classic()->is_storing() && !classic()->stored().has_value();
}

bool Group::subscribes(const std::string& topic) const {
  return consumer() != nullptr ? consumer()->subscribes(topic) : classic()->subscribes(topic);
}

/// A consumer group always knows what it reads. Kafka counts from each commit even when it has lost
/// its members: of a quiet topic the offsets would go with the last member, in a restart of all.
OffsetAge Group::offset_age() const {
  if (consumer() == nullptr) return classic()->offset_age();
  return consumer()->empty() ? OffsetAge::kSinceEmptied : OffsetAge::kSinceCommit;
}

common::Timestamp Group::emptied() const {
  return consumer() != nullptr ? consumer()->emptied() : classic()->emptied();
}

GroupDescription Group::describe() const {
  return consumer() != nullptr ? consumer()->describe() : classic()->describe();
}

void Group::snapshot(std::vector<Record>& records) const {
  if (consumer() != nullptr) return consumer()->snapshot(records);
  if (classic()->stored().has_value()) {
    records.emplace_back(ClassicGroupRecord{.group = name, .value = classic()->stored()});
  }
}

void Group::tombstones(std::vector<Record>& records) const {
  if (consumer() != nullptr) return consumer()->tombstones(records);
  if (classic()->stored().has_value()) {
    records.emplace_back(ClassicGroupRecord{.group = name, .value = std::nullopt});
  }
}

}  // namespace millrace::coordinator
