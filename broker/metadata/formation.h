// Formation formation(settings, standing_read_from_disk);
// for (;;) { exchange formation.tale() with those that are heard; formation.heard(theirs);
//            act on formation.next(); }
//
// How a cluster comes to be: the configured first voters agree on one voter set of their metadata
// log, once. Pure; the caller tells, persists and starts.
//
// All configured voters have to be there, with blank directories. The one with the lowest id, the
// founder, proposes the set of their directories by promising it itself; each of the others
// promises what the founder does; when the founder has heard all promises of its set, the set is
// formed. Each step is on the disk before it is told.
//
// Why there are never two clusters: a directory has one promise at a time, of ever higher rounds,
// and what is formed is never given up. A founder's directory forms one set, when all members
// promise it; a member takes it over only while that is still its promise. A promise is given up
// for a later one only if the two sets share a majority of directories: those shared ones have to
// promise the later set before that is formed, and then never take over the earlier one, so fewer
// than a majority of the earlier set's voters can ever serve it, even if a disk that was exchanged
// comes back. A directory that lost its content has another id and is in no earlier set.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "broker/metadata/records.h"

namespace millrace::metadata {

/// A voter set that the founder proposed. `round` becomes the version of the group's first voter
/// set, in term 0.
struct FirstVoters {
  std::int64_t round = 0;
  std::string cluster_id;
  /// In order of broker.
  ReplicaSet voters;
  bool operator==(const FirstVoters&) const = default;
};

/// What a directory has to do with a cluster; kept on its disk.
///
///   blank -> promised: the founder, if this is it or told its promise
///   promised -> promised: a later set of the founder's that shares a majority with this one
///   promised -> formed: the founder has all promises, or another member formed this set
///   blank, promised -> member: a cluster was formed without this directory
enum class Stage : std::int8_t {
  kBlank = 0,
  kPromised = 1,
  /// First voter of a cluster. For good.
  kFormed = 2,
  /// In a cluster that others formed. For good.
  kMember = 3,
};
struct Standing {
  Stage stage = Stage::kBlank;
  /// Of kMember: only the cluster's id is set.
  FirstVoters first;
  bool operator==(const Standing&) const = default;
};

/// Whether a standing can be: rounds and directories where they belong, brokers in order.
bool is_sound(const Standing& standing);

/// What a broker tells of itself: only what is on its disk.
struct Tale {
  model::BrokerId node{-1};
  common::Uuid directory;
  /// As configured; empty: whichever.
  std::string cluster_id;
  std::vector<model::BrokerId> first_voters;
  Standing standing;
  bool operator==(const Tale&) const = default;
};

struct FormationSettings {
  Replica self;
  /// As configured; empty: whichever.
  std::string cluster_id;
  /// For the founder of a cluster without a configured id.
  std::string fresh_cluster_id;
  /// metadata.voters. A broker that is not among them joins what they formed.
  std::vector<model::BrokerId> first_voters;
};

struct FormationStep {
  enum class Act : std::uint8_t {
    kWait,     // for others: see `reason`
    kPersist,  // write `standing` to the disk, then persisted()
    kServe,    // a first voter: start the group with standing.first
    kJoin,    // start with what the disk has (perhaps nothing), be added as a learner by the leader
    kRefuse,  // an operator has to do something: see `reason`. Goes on by itself when that changed
  };
  Act act = Act::kWait;
  Standing standing;
  std::string reason;
};

/// At most these are remembered; what more brokers tell is passed over.
inline constexpr std::size_t kTalesMax = 64;

class Formation {
 public:
  /// `standing` as read from the disk.
  Formation(FormationSettings settings, Standing standing);

  Tale tale() const;
  /// What another broker told, lately; anything may be in it.
  void heard(Tale tale);
  /// A broker does not answer any more: what it told counts no longer.
  void lost(model::BrokerId node) { tales_.erase(node); }
  FormationStep next() const;
  /// What the last kPersist said is on the disk.
  void persisted(Standing standing);

 private:
  bool is_founder() const;
  bool is_first_voter(model::BrokerId node) const;
  std::string own_cluster_id() const;
  /// Empty: the tale and this broker may be of one cluster.
  std::string contradiction(const Tale& tale) const;
  /// Of brokers that are in one, those in front that tell of first voters.
  std::vector<const Tale*> tales_of_clusters() const;
  FormationStep next_blank() const;
  FormationStep found() const;
  FormationStep follow() const;
  FormationStep take_over(const Tale& tale) const;
  FormationStep promise(FirstVoters wanted) const;
  std::string missing_voters() const;

  FormationSettings settings_;
  Standing standing_;
  std::map<model::BrokerId, Tale> tales_;
};

/// The bytes of a standing, for the disk, and of a tale, for others. read_...: kCorruptMessage: not
/// ours; kUnsupportedVersion: of a newer broker. Safe on any bytes.
common::Bytes encode(const Standing& standing);
Result<Standing> read_standing(common::ByteView bytes);
common::Bytes encode(const Tale& tale);
Result<Tale> read_tale(common::ByteView bytes);

}  // namespace millrace::metadata
