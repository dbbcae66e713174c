#include "broker/metadata/formation.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "broker/metadata/replica_sets.h"
#include "common/check.h"

namespace millrace::metadata {
namespace {

using Act = FormationStep::Act;
using model::BrokerId;

FormationStep wait_for(std::string reason) {
  return {.act = Act::kWait, .standing = {}, .reason = std::move(reason)};
}

FormationStep refuse(std::string reason) {
  return {.act = Act::kRefuse, .standing = {}, .reason = std::move(reason)};
}

FormationStep persist(Standing standing) {
  return {.act = Act::kPersist, .standing = std::move(standing), .reason = {}};
}

bool in_cluster(const Standing& standing) {
  return standing.stage == Stage::kFormed || standing.stage == Stage::kMember;
}

/// Whether a promise of `old` may be given up for one of `next`.
bool shares_majority(const FirstVoters& old, const FirstVoters& next) {
  const auto shared =
      std::count_if(old.voters.begin(), old.voters.end(),
                    [&next](const Replica& voter) { return contains(next.voters, voter); });
  return std::cmp_greater(shared * 2, old.voters.size());
}

/// Far more rounds than any cluster needs.
constexpr std::int64_t kRoundMax = 1'000'000'000;

/// Of a set that was read: a round, different brokers in order, each with a directory.
bool is_sound(const FirstVoters& first) {
  if (first.round < 1 || first.round > kRoundMax) return false;
  if (first.voters.empty() || first.voters.size() > kTalesMax) return false;
  for (std::size_t i = 0; i < first.voters.size(); ++i) {
    if (first.voters[i].broker < BrokerId{0} || first.voters[i].directory.is_zero()) return false;
    if (i > 0 && first.voters[i - 1].broker >= first.voters[i].broker) return false;
  }
  return true;
}

std::vector<BrokerId> in_order(std::vector<BrokerId> ids) {
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  return ids;
}

}  // namespace

bool is_sound(const Standing& standing) {
  switch (standing.stage) {
    case Stage::kBlank:
      return standing.first == FirstVoters{};
    case Stage::kMember:
      return standing.first.voters.empty() && !standing.first.cluster_id.empty();
    case Stage::kPromised:
    case Stage::kFormed:
      return is_sound(standing.first) && !standing.first.cluster_id.empty();
  }
  return false;
}

Formation::Formation(FormationSettings settings, Standing standing)
    : settings_(std::move(settings)), standing_(std::move(standing)) {
  settings_.first_voters = in_order(std::move(settings_.first_voters));
  CHECK(!settings_.first_voters.empty(), "a cluster needs first voters");
  CHECK(!settings_.self.directory.is_zero());
  CHECK(!own_cluster_id().empty());
  CHECK(is_sound(standing_), "a standing that no broker has");
}

bool Formation::is_first_voter(BrokerId node) const {
  return std::binary_search(settings_.first_voters.begin(), settings_.first_voters.end(), node);
}

bool Formation::is_founder() const {
  return settings_.first_voters.front() == settings_.self.broker;
}

std::string Formation::own_cluster_id() const {
  if (!settings_.cluster_id.empty()) return settings_.cluster_id;
  return standing_.first.cluster_id.empty() ? settings_.fresh_cluster_id
                                            : standing_.first.cluster_id;
}

Tale Formation::tale() const {
  return {.node = settings_.self.broker,
          .directory = settings_.self.directory,
          .cluster_id = settings_.cluster_id,
          .first_voters = settings_.first_voters,
          .standing = standing_};
}

void Formation::heard(Tale tale) {
  // A broker that was called at its own address, or one that says what cannot be.
  if (tale.node == settings_.self.broker && tale.directory == settings_.self.directory) return;
  if (tale.node < BrokerId{0} || !is_sound(tale.standing)) return;
  if (!tales_.contains(tale.node) && tales_.size() >= kTalesMax) return;
  tale.first_voters = in_order(std::move(tale.first_voters));
  const BrokerId node = tale.node;
  tales_[node] = std::move(tale);
}

void Formation::persisted(Standing standing) {
  CHECK(is_sound(standing));
  CHECK(!in_cluster(standing_), "a cluster is for good");
  standing_ = std::move(standing);
}

std::string Formation::contradiction(const Tale& tale) const {
  if (tale.node == settings_.self.broker) {
    return fmt::format("another process answers as broker {}, with directory {}; this one has {}",
                       tale.node, tale.directory, settings_.self.directory);
  }
  if (tale.directory == settings_.self.directory) {
    return fmt::format("brokers {} and {} have copies of one data directory ({}): erase one",
                       settings_.self.broker, tale.node, tale.directory);
  }
  const std::string& theirs =
      in_cluster(tale.standing) ? tale.standing.first.cluster_id : tale.cluster_id;
  if (!settings_.cluster_id.empty() && !theirs.empty() && theirs != settings_.cluster_id) {
    return fmt::format("broker {} is of cluster '{}', and this one is told '{}' (cluster.id)",
                       tale.node, theirs, settings_.cluster_id);
  }
  return {};
}

FormationStep Formation::next() const {
  if (standing_.stage == Stage::kFormed)
    return {.act = Act::kServe, .standing = standing_, .reason = {}};
  if (standing_.stage == Stage::kMember)
    return {.act = Act::kJoin, .standing = standing_, .reason = {}};
  return next_blank();
}

std::vector<const Tale*> Formation::tales_of_clusters() const {
  std::vector<const Tale*> all;
  for (const Stage stage : {Stage::kFormed, Stage::kMember}) {
    for (const auto& [node, tale] : tales_) {
      if (tale.standing.stage == stage && contradiction(tale).empty()) all.push_back(&tale);
    }
  }
  return all;
}

FormationStep Formation::next_blank() const {
  std::string of_others;
  for (const auto& [node, tale] : tales_) {
    std::string why = contradiction(tale);
    if (why.empty()) continue;
    if (is_first_voter(node) || node == settings_.self.broker) return refuse(std::move(why));
    of_others = std::move(why);
  }
  const std::vector<const Tale*> clusters = tales_of_clusters();
  // A set that this one promised is taken over before anything is joined.
  for (const Tale* tale : clusters) {
    if (tale->standing.stage == Stage::kFormed && tale->standing.first == standing_.first)
      return persist({Stage::kFormed, standing_.first});
  }
  if (!clusters.empty()) return take_over(*clusters.front());
  if (!is_first_voter(settings_.self.broker)) {
    if (!of_others.empty()) return refuse(std::move(of_others));
    return wait_for("no broker of a cluster was heard: " + missing_voters());
  }
  for (const auto& [node, tale] : tales_) {
    if (!is_first_voter(node) || tale.first_voters == settings_.first_voters) continue;
    return refuse(fmt::format(
        "broker {} is told of first voters {}, and this one of {} (metadata.voters)", node,
        fmt::join(tale.first_voters, ","), fmt::join(settings_.first_voters, ",")));
  }
  return is_founder() ? found() : follow();
}

/// The cluster of `tale` was formed, and not by what this directory has promised.
FormationStep Formation::take_over(const Tale& tale) const {
  if (contains(tale.standing.first.voters, settings_.self)) {
    const FirstVoters& theirs = tale.standing.first;
    if (standing_.first.round > theirs.round) {
      return refuse(fmt::format(
          "broker {} formed a cluster of round {}, which this directory has given up for round {}: "
          "broker {} was exchanged meanwhile. Erase its directory, or bring the other one back",
          tale.node, theirs.round, standing_.first.round, tale.node));
    }
    return refuse(fmt::format(
        "broker {} counts on a promise that this directory knows nothing of: it was put back to an "
        "older state. Erase it",
        tale.node));
  }
  return persist({Stage::kMember, {.round = 0, .cluster_id = tale.standing.first.cluster_id}});
}

std::string Formation::missing_voters() const {
  std::vector<BrokerId> missing;
  for (const BrokerId node : settings_.first_voters) {
    if (node != settings_.self.broker && !tales_.contains(node)) missing.push_back(node);
  }
  return missing.empty() ? "none of them is in one"
                         : fmt::format("waiting for broker {}", fmt::join(missing, ","));
}

FormationStep Formation::promise(FirstVoters wanted) const {
  if (standing_.stage == Stage::kPromised && !shares_majority(standing_.first, wanted)) {
    return refuse(fmt::format(
        "this directory promised a cluster of other directories, and most of those are gone. If no "
        "broker with one of them comes back, erase this directory: nothing was stored in it"));
  }
  return persist({Stage::kPromised, std::move(wanted)});
}

FormationStep Formation::found() const {
  FirstVoters wanted{.round = 0, .cluster_id = own_cluster_id(), .voters = {}};
  std::int64_t newest = standing_.first.round;
  bool outdone = false;
  std::optional<BrokerId> silent;
  for (const BrokerId node : settings_.first_voters) {
    if (node == settings_.self.broker) {
      wanted.voters.push_back(settings_.self);
      continue;
    }
    const auto found = tales_.find(node);
    if (found == tales_.end()) return wait_for(missing_voters());
    const Tale& tale = found->second;
    wanted.voters.push_back({node, tale.directory});
    newest = std::max(newest, tale.standing.first.round);
    if (tale.standing.first == standing_.first) continue;
    if (!silent) silent = node;
    outdone = outdone || tale.standing.first.round >= standing_.first.round;
  }
  const bool current = standing_.stage == Stage::kPromised &&
                       standing_.first.voters == wanted.voters &&
                       standing_.first.cluster_id == wanted.cluster_id;
  if (!current || outdone) {
    wanted.round = newest + 1;
    return promise(std::move(wanted));
  }
  if (silent) return wait_for(fmt::format("waiting for the promise of broker {}", *silent));
  return persist({Stage::kFormed, standing_.first});
}

FormationStep Formation::follow() const {
  const BrokerId founder = settings_.first_voters.front();
  const auto found = tales_.find(founder);
  if (found == tales_.end()) return wait_for(missing_voters());
  const Tale& tale = found->second;
  const FirstVoters& wanted = tale.standing.first;
  const auto matches = [this](const Replica& voter) { return is_first_voter(voter.broker); };
  const bool sensible = tale.standing.stage == Stage::kPromised &&
                        wanted.voters.size() == settings_.first_voters.size() &&
                        std::all_of(wanted.voters.begin(), wanted.voters.end(), matches) &&
                        contains(wanted.voters, {founder, tale.directory}) &&
                        contains(wanted.voters, settings_.self);
  if (sensible && !settings_.cluster_id.empty() && wanted.cluster_id != settings_.cluster_id) {
    return refuse(
        fmt::format("broker {} founds cluster '{}', and this one is told '{}' (cluster.id)",
                    founder, wanted.cluster_id, settings_.cluster_id));
  }
  if (sensible && wanted.round > standing_.first.round) return promise(wanted);
  if (wanted == standing_.first && standing_.stage == Stage::kPromised)
    return wait_for(fmt::format("broker {} gathers the promises of all", founder));
  return wait_for(fmt::format("waiting for broker {} to propose", founder));
}

}  // namespace millrace::metadata
