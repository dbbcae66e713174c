// Witness witness(trace);   witness.look(machine);   ...   witness.compare_images(machines);
//
// What the replicas of all groups do, seen from outside, and whether all of it can be right.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "tests/sim/machine.h"
#include "tests/sim/trace.h"

namespace millrace::sim {

using model::Offset;
using model::PartitionKey;
using model::Term;

/// Checks, for every group and the metadata log (Raft figure 3, E01 to E08):
/// - a term has one leader, and who leads the newest term has everything that is committed;
/// - what is written in a term at an offset is the same wherever it is, and says its term;
/// - what one replica knows to be committed is the same on all, and is never cut off;
/// - the high watermark of a replica never falls while its process lives, and who would answer
///   readers as a leader knows all that is committed;
/// - voter sets of one name are the same, and follow each other one voter at a time;
/// - a partition never has fewer voters than it was made with (E05), but for those whose disks are
///   gone; and no election is unclean;
/// - at equal positions of the metadata log brokers have equal images, and no record of it is
///   refused when it is applied (E50).
/// Looks between events, often enough that no leader comes and goes unseen.
class Witness {
 public:
  /// `voters_min`: of every group but the metadata log's.
  Witness(Trace& trace, std::size_t voters_min) : trace_(trace), voters_min_(voters_min) {}

  /// Looks at all replicas of a machine's process, if there is one.
  void look(Machine& machine);
  /// The machine's disk is another one now: nothing it had shown needs to be there again.
  void forget(const Machine& machine) { machines_.erase(machine.name()); }
  void compare_images(const std::vector<std::unique_ptr<Machine>>& machines);

  /// The terms in which somebody led, of all groups; and their voter sets.
  std::uint64_t elections() const { return elections_; }
  std::uint64_t voter_sets() const { return voter_sets_; }
  /// What is known to be committed of a group, to be compared with its logs at the end.
  struct BatchId {
    Term term;
    std::uint32_t crc = 0;
    Offset end;
    bool operator==(const BatchId&) const = default;
  };
  const std::map<Offset, BatchId>& committed(const PartitionKey& key) {
    return groups_[key].committed;
  }

 private:
  struct Group {
    std::map<Term, raft::ReplicaId> leaders;
    std::map<raft::ConfigId, raft::VoterSet> configs;
    std::map<std::pair<Term, Offset>, BatchId> written;
    std::map<Offset, BatchId> committed;
    Offset committed_end;
  };
  /// A replica as it was at the last look.
  struct Seen {
    const replica::Partition* partition = nullptr;
    Group* group = nullptr;
    std::uint64_t repairs = 0;  // each is a new beginning
    std::uint64_t look = 0;
    raft::RoleChange role{};
    raft::ConfigId config;
    Offset high_watermark;
    raft::Outline log;
    /// Batches of the log that were not known to be committed, as far as they came since the
    /// process began.
    std::map<Offset, BatchId> fresh;
  };
  struct Sights {
    std::uint64_t process = 0;
    std::uint64_t looks = 0;
    std::unordered_map<PartitionKey, Seen> replicas;
  };
  /// The one that is looked at, for messages.
  struct Where {
    const std::string& machine;
    const PartitionKey& key;
  };

  void check_receipts(const Machine& machine, service::Shard& first);
  void look_at(const Where& where, Sights& sights, replica::Partition& partition);
  void check_readers(const Where& where, const Group& group, const replica::Partition& partition);
  void check_role(const Where& where, Group& group, const raft::Group& replica);
  void check_config(const Where& where, Group& group, const raft::VoterSet& config);
  std::size_t gone_voters(const Group& group, const raft::VoterSet& config) const;
  void check_log(const Where& where, Group& group, Seen& seen, replica::Partition& partition);
  void check_commit(const Where& where, Group& group, Seen& seen, Offset high_watermark);
  void read_new(const Where& where, Group& group, Seen& seen, replica::Partition& partition,
                Offset from);
  static bool may_begin_again(const Group& group, const replica::Partition& partition,
                              Offset offset);
  void fail(const Where& where, const std::string& what);

  Trace& trace_;
  const std::size_t voters_min_;
  std::unordered_map<PartitionKey, Group> groups_;
  std::unordered_map<std::string, Sights> machines_;
  /// The disks that brokers have now.
  std::map<model::BrokerId, raft::ReplicaId> disks_;
  /// Digests of images by position.
  std::map<Offset, std::pair<std::string, std::string>> images_;
  std::uint64_t elections_ = 0;
  std::uint64_t voter_sets_ = 0;
};

}  // namespace millrace::sim
