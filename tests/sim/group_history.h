// groups.owns("readers", {"orders", 0}, member);   groups.commit_leaves("readers", target, 17);
//
// What members of groups were given and told, and whether it can be true.
#pragma once

#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "tests/sim/client/fetcher.h"
#include "tests/sim/trace.h"

namespace millrace::sim {

/// Checks:
/// - a partition has one owner per generation of a classic group (E41), and one owner at a time in
/// a
///   consumer group, as long as members give up in time what they may have lost;
/// - committed offsets, which members only ever raise, never go back and are never forgotten (E40),
///   and are never more than what somebody committed.
class GroupHistory {
 public:
  explicit GroupHistory(Trace& trace) : trace_(trace) {}

  /// A member of a classic group was told its part.
  void assigned(const std::string& group, std::int32_t generation, const std::string& member,
                const std::vector<Target>& targets);
  /// A member of a consumer group begins, or has ended, to read a partition.
  void owns(const std::string& group, const Target& target, const std::string& member);
  void releases(const std::string& group, const Target& target, const std::string& member);

  void commit_leaves(const std::string& group, const Target& target, Offset offset);
  void committed(const std::string& group, const Target& target, Offset offset);
  /// To be taken when a request for the committed offset leaves, and handed in with its answer.
  Offset committed_floor(const std::string& group, const Target& target) const;
  /// -1: nothing is committed.
  void told_committed(const std::string& group, const Target& target, Offset floor,
                      Offset told) const;

 private:
  struct Committed {
    Offset asked{-1};
    Offset acknowledged{-1};
  };
  using Place = std::pair<std::string, Target>;

  Trace& trace_;
  std::map<std::tuple<std::string, std::int32_t, Target>, std::string> classic_owners_;
  std::map<Place, std::string> owners_;
  std::map<Place, Committed> committed_;
};

}  // namespace millrace::sim
