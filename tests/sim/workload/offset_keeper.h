// How members of both kinds of groups commit and fetch offsets.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "tests/sim/client/fetcher.h"
#include "tests/sim/group_history.h"

namespace millrace::sim {

/// Who commits. `epoch`: the generation, or the member epoch.
struct Membership {
  std::string member;
  std::int32_t epoch = -1;
};

/// The offsets of one group, asked of its coordinator, and checked.
class OffsetKeeper {
 public:
  OffsetKeeper(Client& client, GroupHistory& groups, std::string group)
      : client_(client), groups_(groups), group_(std::move(group)) {}

  using Offsets = std::map<Target, Offset>;
  using Committed = std::map<Target, std::optional<Offset>>;

  /// Commits what differs from what was committed last. Answers kNone, or the first error of all.
  void commit(std::int32_t coordinator, const Membership& who, const Offsets& offsets,
              Reply<model::ErrorCode> done);
  /// nullopt for a target: nothing is committed. `by_member`: the member and its epoch are checked.
  enum class ByMember : bool { kNo, kYes };
  void fetch(std::int32_t coordinator, const Membership& who, ByMember by_member,
             const std::vector<Target>& targets, Reply<Result<Committed>> done);
  /// Whether the last commit of each says this.
  bool has(const Offsets& offsets) const;
  /// It has not committed anything yet: somebody else may have.
  void forget() { last_.clear(); }

 private:
  Client& client_;
  GroupHistory& groups_;
  const std::string group_;
  Offsets last_;
};

}  // namespace millrace::sim
