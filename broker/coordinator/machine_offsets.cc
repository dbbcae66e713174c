// Offsets: commits, reads, deletion, and the sweep that removes what is too old.
#include <algorithm>
#include <chrono>
#include <limits>
#include <utility>

#include "broker/coordinator/machine.h"
#include "broker/coordinator/machine_state.h"
#include "broker/model/mutation.h"
#include "common/check.h"

namespace millrace::coordinator {
namespace {

/// What one tick() may put into a batch, about: a group that is begun is finished.
constexpr std::size_t kRecordsPerTick = 1'000;
/// Offsets and groups that one tick() looks at, so that requests do not wait for a sweep.
constexpr std::size_t kVisitsPerTick = 20'000;

/// When an offset with a time of its own expires. Any time that a client can ask for will do.
common::Timestamp expiry(common::Timestamp now, std::int64_t retention_ms) {
  CHECK(retention_ms >= 0);
  constexpr common::Timestamp kNever{std::numeric_limits<std::int64_t>::max()};
  return retention_ms > kNever - now ? kNever : now + retention_ms;
}

/// The member may commit: what is to be stored, and what each partition is told.
OffsetCommitOutcome decide_commit(OffsetCommit request, const Settings& settings, Now now,
                                  Outbox& out) {
  OffsetCommitOutcome outcome;
  outcome.partitions.reserve(request.partitions.size());
  if (out.records.empty()) out.records.reserve(request.partitions.size());
  for (OffsetCommit::Partition& partition : request.partitions) {
    if (partition.topic.name.empty()) {
      outcome.partitions.push_back(ErrorCode::kUnknownTopicId);
      continue;
    }
    if (std::cmp_greater(partition.metadata.size(), settings.offset_metadata_bytes_max)) {
      outcome.partitions.push_back(ErrorCode::kOffsetMetadataTooLarge);
      continue;
    }
    CommittedOffset committed{.offset = partition.offset,
                              .leader_epoch = partition.leader_epoch,
                              .metadata = std::move(partition.metadata),
                              .committed = now.wall};
    if (request.retention_ms >= 0) committed.expires = expiry(now.wall, request.retention_ms);
    out.records.emplace_back(OffsetRecord{.group = request.group,
                                          .topic = std::move(partition.topic.name),
                                          .partition = partition.partition,
                                          .value = std::move(committed),
                                          .topic_id = partition.topic.id});
    outcome.partitions.push_back(ErrorCode::kNone);
  }
  return outcome;
}

}  // namespace

// ---- Requests.

void Machine::commit(Ticket ticket, OffsetCommit request, Now now) {
  State& state = *state_;
  state.begin(State::Gather::kWithCommits);
  Group* group = state.find(request.group);
  Status status;
  if (group != nullptr) {
    state.tell_of(group->members_batch);
    status = group->consumer() != nullptr ? group->consumer()->check_commit(request, now)
                                          : group->classic()->check_commit(request, now);
  } else if (request.epoch.value() >= 0) {  // a member of a group that is gone
    status.code =
        request.member_epochs_known ? ErrorCode::kGroupIdNotFound : ErrorCode::kIllegalGeneration;
  }
  if (!status.ok() && !model::mutated(model::Mutation::kAcceptAnyMember)) {
    return state.outbox.answer(ticket, OffsetCommitOutcome{.status = std::move(status)});
  }
  state.outbox.answer(ticket,
                      decide_commit(std::move(request), state.shared.settings, now, state.outbox));
}

void Machine::delete_offsets(Ticket ticket, const OffsetDelete& request, Now) {
  State& state = *state_;
  state.begin();
  const auto refuse = [&](ErrorCode code) {
    state.outbox.answer(ticket, OffsetDeleteOutcome{.status = {.code = code}});
  };
  if (request.group.empty()) return refuse(ErrorCode::kInvalidGroupId);
  const Group* group = state.find(request.group);
  if (group == nullptr) return refuse(ErrorCode::kGroupIdNotFound);
  state.tell_of(std::max(group->members_batch, group->offsets_batch));
  // Of groups that are no consumers it is not known what they read.
  const ClassicGroup* classic = group->classic();
  if (classic != nullptr && !group->empty() && !classic->uses_consumer_protocol()) {
    return refuse(ErrorCode::kNonEmptyGroup);
  }
  OffsetDeleteOutcome outcome;
  for (const OffsetFetch::Partition& partition : request.partitions) {
    if (group->subscribes(partition.topic.name)) {
      outcome.partitions.push_back(ErrorCode::kGroupSubscribedToTopic);
      continue;
    }
    outcome.partitions.push_back(ErrorCode::kNone);
    if (group->offsets.find({.name = partition.topic.name}, partition.partition) == nullptr) {
      continue;
    }
    state.outbox.records.emplace_back(OffsetRecord{.group = request.group,
                                                   .topic = partition.topic.name,
                                                   .partition = partition.partition,
                                                   .value = std::nullopt,
                                                   .topic_id = partition.topic.id});
  }
  state.outbox.answer(ticket, std::move(outcome));
}

void Machine::delete_group(Ticket ticket, const std::string& name, Now) {
  State& state = *state_;
  state.begin();
  Group* group = state.find(name);
  if (group == nullptr) {
    return state.outbox.answer(ticket, Status{.code = ErrorCode::kGroupIdNotFound});
  }
  state.tell_of(std::max(group->members_batch, group->offsets_batch));
  if (!group->empty()) {
    return state.outbox.answer(ticket, Status{.code = ErrorCode::kNonEmptyGroup});
  }
  group->offsets.tombstones(
      name, [](const std::string&, const Offsets::Entry&) { return true; }, state.outbox.records);
  group->tombstones(state.outbox.records);
  // Nothing of it is in the log: only members that were told an id and may come.
  if (state.outbox.records.empty()) state.groups.erase(name);
  state.outbox.answer(ticket, Status{});
}

Read<OffsetFetchOutcome> Machine::fetch_offsets(const OffsetFetch& request) const {
  Read<OffsetFetchOutcome> read;
  const Group* group = state_->find(request.group);
  if (group != nullptr) {
    read.after = std::max(group->members_batch, group->offsets_batch);
    if (group->consumer() != nullptr) read.value.status = group->consumer()->check_fetch(request);
    if (!read.value.status.ok()) return read;
  }
  if (request.partitions.has_value()) {
    for (const OffsetFetch::Partition& asked : *request.partitions) {
      OffsetFetchOutcome::Partition found{.topic = asked.topic, .partition = asked.partition};
      const Offsets::Entry* entry =
          group == nullptr ? nullptr : group->offsets.find(asked.topic, asked.partition);
      if (entry != nullptr) found.committed = entry->committed;
      read.value.partitions.push_back(std::move(found));
    }
    return read;
  }
  if (group == nullptr) return read;
  for (const auto& [topic, partitions] : group->offsets.topics()) {
    for (const auto& [partition, entry] : partitions) {
      read.value.partitions.push_back({.topic = {.name = topic, .id = entry.topic},
                                       .partition = partition,
                                       .code = ErrorCode::kNone,
                                       .committed = entry.committed});
    }
  }
  return read;
}

// ---- What is too old.

void Machine::topics_changed(std::shared_ptr<const Topics> topics, Now now) {
  State& state = *state_;
  state.begin();
  CHECK(topics != nullptr);
  const auto before = std::exchange(state.shared.topics, std::move(topics));
  const auto& present = state.shared.topics->by_name;
  bool some_went = false;
  for (const auto& [name, topic] : before->by_name) {
    const auto at = present.find(name);
    if (at != present.end() && at->second.id == topic.id) continue;
    state.gone.insert_or_assign(name, now.wall);
    some_went = true;
  }
  // After a restart it is not known what went, but ids tell.
  if (some_went || !state.topics_known) state.to_sweep = state.names();
  state.topics_known = true;
  state.topics_told = now.wall;
  state.to_reassign.clear();
  for (const std::string& name : state.names()) {
    if (state.find(name)->consumer() != nullptr) state.to_reassign.push_back(name);
  }
  std::reverse(state.to_sweep.begin(), state.to_sweep.end());
  std::reverse(state.to_reassign.begin(), state.to_reassign.end());
  state.decided.clear();
  state.reassign(now);
  state.sweep(now);
}

bool Machine::State::is_full() const {
  return outbox.records.size() >= kRecordsPerTick;
}

void Machine::State::reassign(Now now) {
  while (!to_reassign.empty() && !is_full() && !has_decided(to_reassign.back())) {
    const std::string name = std::move(to_reassign.back());
    to_reassign.pop_back();
    Group* group = find(name);
    if (group == nullptr || group->consumer() == nullptr) continue;
    const std::size_t before = outbox.records.size();
    group->consumer()->topics_changed(now, outbox);
    if (outbox.records.size() > before) decided.insert(name);
  }
}

void Machine::State::sweep(Now now) {
  looked_at = now.instant;
  if (to_sweep.empty() && now.instant >= next_sweep) {
    to_sweep = names();
    std::reverse(to_sweep.begin(), to_sweep.end());
    sweeps_for_age = true;
    next_sweep =
        now.instant + std::chrono::milliseconds(shared.settings.offsets_retention_check_ms);
  }
  std::size_t visits = 0;
  while (!to_sweep.empty() && !is_full() && visits < kVisitsPerTick) {
    if (has_decided(to_sweep.back())) break;
    Group* group = find(to_sweep.back());
    to_sweep.pop_back();
    if (group == nullptr) continue;
    visits += 1 + group->offsets.size();
    sweep_group(*group, now);
  }
  if (!to_sweep.empty()) return;
  gone.clear();
  sweeps_for_age = false;
}

bool Machine::State::is_gone(const std::string& topic, const Offsets::Entry& entry) const {
  const auto present = shared.topics->by_name.find(topic);
  const bool is_present = present != shared.topics->by_name.end();
  if (is_present && !entry.topic.is_zero()) {
    // Other shards may know of a topic made anew before this machine is told: what was committed
    // since then may be for that one.
    return present->second.id != entry.topic && entry.committed.committed <= topics_told;
  }
  // That a topic is not there proves nothing: it has to have been seen going.
  const auto went = gone.find(topic);
  return went != gone.end() && entry.committed.committed <= went->second;
}

void Machine::State::sweep_group(Group& group, Now now) {
  const OffsetAge age = group.offset_age();
  const bool none_left = group.offsets.tombstones(
      group.name,
      [&](const std::string& topic, const Offsets::Entry& entry) {
        if (is_gone(topic, entry)) return true;
        return sweeps_for_age && !group.subscribes(topic) &&
               is_expired(entry.committed, age, group.emptied(),
                          shared.settings.offsets_retention_ms, now.wall);
      },
      outbox.records);
  // Who was told an id may come: for those it is not over.
  const bool is_over = group.classic() != nullptr ? group.classic()->idle() : group.empty();
  if (sweeps_for_age && none_left && is_over) group.tombstones(outbox.records);
}

}  // namespace millrace::coordinator
