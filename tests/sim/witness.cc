#include "tests/sim/witness.h"

#include <algorithm>
#include <memory>

#include "broker/metadata/records.h"
#include "broker/service/metadata_writer.h"

namespace millrace::sim {
namespace {

constexpr std::size_t kReadBytesMax = std::size_t{1} << 30;
constexpr std::size_t kStartsMax = 1000;

std::string name_of(const raft::ReplicaId& replica) {
  return fmt::format("{}/{}", replica.node, replica.directory.text().substr(0, 4));
}

std::string text_of(const raft::VoterSet& set) {
  std::string text = fmt::format("{}.{}:", set.id.term, set.id.version);
  for (const auto& voter : set.voters) text += ' ' + name_of(voter);
  for (const auto& learner : set.learners) text += " (" + name_of(learner) + ')';
  return text;
}

/// The order in which its members are named means nothing.
bool same_members(const raft::VoterSet& left, const raft::VoterSet& right) {
  const auto same = [](std::vector<raft::ReplicaId> some, std::vector<raft::ReplicaId> others) {
    std::ranges::sort(some);
    std::ranges::sort(others);
    return some == others;
  };
  return same(left.voters, right.voters) && same(left.learners, right.learners);
}

/// What lies in [from, to), if it is in memory.
std::optional<storage::ReadResult> read_at_once(storage::Log& log, Offset from, Offset to) {
  auto read = std::make_shared<std::optional<common::Result<storage::ReadResult>>>();
  log.read(from, {.up_to = to, .bytes_max = kReadBytesMax},
           [read](common::Result<storage::ReadResult> result) { *read = std::move(result); });
  if (!read->has_value() || !(*read)->ok()) return std::nullopt;
  return std::move(**read).value();
}

}  // namespace

void Witness::fail(const Where& where, const std::string& what) {
  trace_.fail(
      fmt::format("{} {}-{}: {}", where.machine, where.key.topic.text(), where.key.index, what));
}

void Witness::look(Machine& machine) {
  server::Node* const node = machine.running();
  if (node == nullptr) return;
  Sights& sights = machines_[machine.name()];
  if (std::exchange(sights.process, machine.process()) != machine.process())
    sights.replicas.clear();
  ++sights.looks;
  disks_[machine.id()] = node->shards().front()->self_replica();
  for (service::Shard* shard : node->shards()) {
    for (const auto& [key, partition] : shard->partitions())
      look_at({machine.name(), key}, sights, *partition);
    if (shard->metadata_writer() == nullptr) continue;
    replica::Partition& metadata = shard->metadata_writer()->replica();
    look_at({machine.name(), metadata.log().key()}, sights, metadata);
  }
  // What comes back is another replica, even where it lies in memory where the first one lay.
  std::erase_if(sights.replicas,
                [&](const auto& entry) { return entry.second.look != sights.looks; });
}

void Witness::look_at(const Where& where, Sights& sights, replica::Partition& partition) {
  const raft::Group* const replica = partition.group();
  if (replica == nullptr) return;
  Seen& seen = sights.replicas[where.key];
  const raft::RoleChange role{replica->role(), replica->term(), replica->leader(),
                              replica->confirmed()};
  const Offset high_watermark = partition.bounds().high_watermark;
  const std::uint64_t repairs = partition.replica().repairs();
  const bool first = seen.partition != &partition || seen.repairs != repairs;
  if (first) {
    seen = Seen{.partition = &partition, .group = &groups_[where.key], .repairs = repairs};
    seen.log = replica->log();
    seen.high_watermark = high_watermark;
    trace_.say(where.machine, "has {}-{} in term {}, log [{}, {}), committed to {}",
               where.key.topic.text(), where.key.index, replica->term(), replica->log_start(),
               replica->log_end(), high_watermark);
  }
  seen.look = sights.looks;
  check_readers(where, *seen.group, partition);
  const bool same_log = seen.log.end() == replica->log_end() &&
                        seen.log.starts().size() == replica->log().starts().size() &&
                        seen.log.last() == replica->log().last();
  if (!first && same_log && seen.role == role && seen.config == replica->config().id &&
      seen.high_watermark == high_watermark)
    return;
  Group& group = *seen.group;
  seen.role = role;
  if (replica->hard_state().loss_term != Term{0}) fail(where, "knows of an unclean election");
  if (role.role == raft::Role::kLeader) check_role(where, group, *replica);
  if (std::exchange(seen.config, replica->config().id) != replica->config().id || first)
    check_config(where, group, replica->config());
  if (!same_log) check_log(where, group, seen, partition);
  check_commit(where, group, seen, high_watermark);
}

/// Of what its successor has committed a deposed leader knows nothing.
void Witness::check_readers(const Where& where, const Group& group,
                            const replica::Partition& partition) {
  const Offset high_watermark = partition.bounds().high_watermark;
  if (high_watermark >= group.committed_end || partition.leader_refusal().has_value()) return;
  fail(where, fmt::format("would tell readers of {} that it ends at {}, and {} is committed",
                          partition.term(), high_watermark, group.committed_end));
}

void Witness::check_role(const Where& where, Group& group, const raft::Group& replica) {
  const auto [leader, fresh] = group.leaders.emplace(replica.term(), replica.self());
  if (leader->second != replica.self()) {
    fail(where, fmt::format("{} and {} both lead in term {}", name_of(leader->second),
                            name_of(replica.self()), replica.term()));
  }
  if (!fresh) return;
  ++elections_;
  trace_.say(where.machine, "leads {}-{} in term {}, its log ends at {}", where.key.topic.text(),
             where.key.index, replica.term(), replica.log_end());
  // What leaders of later terms committed since is not its business.
  if (std::next(leader) == group.leaders.end() && replica.log_end() < group.committed_end) {
    fail(where, fmt::format("leads in term {} with a log to {}, and {} was committed",
                            replica.term(), replica.log_end(), group.committed_end));
  }
}

void Witness::check_config(const Where& where, Group& group, const raft::VoterSet& config) {
  if (config.id.version == 0) return;
  const auto [known, fresh] = group.configs.emplace(config.id, config);
  if (!fresh) {
    if (!same_members(known->second, config))
      fail(where,
           fmt::format("two voter sets: {} and {}", text_of(known->second), text_of(config)));
    return;
  }
  if (where.key.topic != model::kMetadataTopicId && config.voters.size() < voters_min_ &&
      config.voters.size() + gone_voters(group, config) < voters_min_)
    fail(where, fmt::format("few voters: {}", text_of(config)));
  ++voter_sets_;
  trace_.say(where.machine, "{}-{} has voters {}", where.key.topic.text(), where.key.index,
             text_of(config));
  // A set comes from the one before it in the same term, or was taken over into a new term.
  const auto before = group.configs.find({config.id.term, config.id.version - 1});
  if (before != group.configs.end() && raft::voters_changed(before->second, config) > 1)
    fail(where, fmt::format("{} comes right after {}", text_of(config), text_of(before->second)));
}

/// Of the newest full set that this one came from: a voter whose broker runs with another disk
/// never votes again. It goes before the replica on the new disk votes, which takes no vote away.
/// Versions grow with every change, in whatever term: a set of a higher one than this has was lost.
std::size_t Witness::gone_voters(const Group& group, const raft::VoterSet& config) const {
  auto before = group.configs.find(config.id);
  while (before != group.configs.begin()) {
    --before;
    const auto& voters = before->second.voters;
    if (before->first.version > config.id.version || voters.size() < voters_min_) continue;
    return static_cast<std::size_t>(std::ranges::count_if(voters, [&](const auto& voter) {
      const auto disk = disks_.find(voter.node);
      return disk != disks_.end() && disk->second != voter &&
             std::ranges::count(config.voters, voter.node, &raft::ReplicaId::node) == 0;
    }));
  }
  return 0;
}

void Witness::check_log(const Where& where, Group& group, Seen& seen,
                        replica::Partition& partition) {
  const raft::Outline& log = partition.group()->log();
  const auto fork = log.fork(seen.log.newest(kStartsMax), seen.log.end(), seen.log.start());
  Offset from = fork ? fork->offset : log.start();
  if (fork && from < seen.high_watermark && log.start() <= from) {
    fail(where, fmt::format("its log was cut back to {}, and its high watermark is {}", from,
                            seen.high_watermark));
  }
  // A log that begins anew further on says nothing of what was in front: it may have been cut.
  if (!fork) seen.fresh.clear();
  seen.fresh.erase(seen.fresh.lower_bound(from), seen.fresh.end());
  seen.log = log;
  read_new(where, group, seen, partition, std::max(from, log.start()));
}

void Witness::read_new(const Where& where, Group& group, Seen& seen, replica::Partition& partition,
                       Offset from) {
  const Offset end = partition.log().end_offset();
  while (from < end) {
    const auto read = read_at_once(partition.log(), from, end);
    if (!read || read->next_offset <= from) {
      // Not in memory: the end of the run will tell.
      seen.fresh.clear();
      return;
    }
    for (const common::Bytes& piece : read->pieces) {
      for (common::ByteView rest = piece; !rest.empty();) {
        const auto batch = model::BatchView::parse(rest);
        if (!batch.ok()) return fail(where, "its log holds what is no batch");
        rest = rest.subspan(batch->size());
        if (batch->base_offset() < from) continue;
        const BatchId id{batch->leader_epoch(), batch->crc(), batch->next_offset()};
        const Offset inside = std::max(batch->base_offset(), seen.log.start());
        if (seen.log.at(inside).term != id.term) {
          fail(where, fmt::format("the batch at {} says term {}, and its log term {}",
                                  batch->base_offset(), id.term, seen.log.at(inside).term));
        }
        const auto [known, fresh] =
            group.written.emplace(std::pair{id.term, batch->base_offset()}, id);
        if (known->second != id && !may_begin_again(group, partition, batch->base_offset())) {
          fail(where, fmt::format("at {} of term {} stands another batch than elsewhere",
                                  batch->base_offset(), id.term));
        }
        known->second = id;
        seen.fresh[batch->base_offset()] = id;
      }
    }
    from = read->next_offset;
  }
}

/// A group of one does not wait until its new term is on the disk, since what it writes comes there
/// after the term: a loss of power takes both, and the same term begins again.
bool Witness::may_begin_again(const Group& group, const replica::Partition& partition,
                              Offset offset) {
  const raft::VoterSet& config = partition.group()->config();
  return config.voters.size() == 1 && config.learners.empty() && offset >= group.committed_end;
}

void Witness::check_commit(const Where& where, Group& group, Seen& seen, Offset high_watermark) {
  if (high_watermark < seen.high_watermark) {
    fail(where, fmt::format("its high watermark falls from {} to {}", seen.high_watermark,
                            high_watermark));
  }
  seen.high_watermark = high_watermark;
  while (!seen.fresh.empty() && seen.fresh.begin()->second.end <= high_watermark) {
    const auto [base, id] = *seen.fresh.begin();
    seen.fresh.erase(seen.fresh.begin());
    const auto [known, fresh] = group.committed.emplace(base, id);
    if (known->second != id) {
      fail(where, fmt::format("at {} is committed a batch of term {}, and elsewhere one of term {}",
                              base, id.term, known->second.term));
    }
  }
  group.committed_end = std::max(group.committed_end, high_watermark);
}

/// Who has a receipt may be gone the next moment, and its disk with it.
void Witness::check_receipts(const Machine& machine, service::Shard& first) {
  constexpr model::PartitionKey kMetadataKey{model::kMetadataTopicId, model::PartitionIndex{0}};
  const replica::Partition* const log = first.replicas().find_any(kMetadataKey);
  if (log == nullptr || log->group() == nullptr || !log->group()->confirmed()) return;
  for (const auto& [directory, receipt] : first.image().receipts()) {
    if (!log->group()->config().is_voter({receipt.broker, directory})) continue;
    trace_.fail(fmt::format("broker {} has left, and votes on the metadata, says {}",
                            receipt.broker, machine.name()));
  }
}

void Witness::compare_images(const std::vector<std::unique_ptr<Machine>>& machines) {
  for (const auto& machine : machines) {
    server::Node* const node = machine->running();
    if (node == nullptr || machine->state() != Machine::State::kServing) continue;
    service::Shard& first = *node->shards().front();
    if (first.metadata_writer() == nullptr) continue;
    if (first.image().rejected() > 0) {
      trace_.fail(fmt::format("{} was told metadata that make no sense: {}", machine->name(),
                              first.image().last_rejection()));
    }
    check_receipts(*machine, first);
    const Offset position = first.metadata_writer()->applied();
    const common::Bytes state = metadata::to_batch(first.image().snapshot(), common::Timestamp{0});
    const auto [known, fresh] =
        images_.emplace(position, std::pair{machine->name(), std::string(state.text())});
    if (known->second.second != state.text()) {
      trace_.fail(fmt::format("the metadata of {} and {} differ, both at {}", machine->name(),
                              known->second.first, position));
    }
  }
}

}  // namespace millrace::sim
