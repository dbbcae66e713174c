// GroupClients clients(node);   const auto joined = clients.join_all("orders-app", {"a", "b"});
//
// Members of groups, as a client library would act for them, on a Node.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "broker/service/group_lag.h"
#include "broker/service/groups.h"
#include "broker/service/testing/node.h"

namespace millrace::service::testing {

/// A member of a classic group after its sync.
struct ClassicMember {
  std::string id;
  coordinator::Epoch generation{-1};
  std::vector<std::int32_t> partitions;  // of the topic that the group reads
};

class GroupClients {
 public:
  explicit GroupClients(Node& node) : node_(node) {}

  coordinator::Status find(const std::string& group, std::size_t shard = 0);
  /// Members join at once and the leader shares out `partitions` of `topic` in turn.
  std::vector<ClassicMember> join_all(const std::string& group, const std::string& topic,
                                      std::int32_t partitions, std::size_t members);
  /// One JoinGroup without a member id, not waited for.
  void join(const std::string& group, const std::string& topic, std::size_t shard,
            common::Reply<coordinator::JoinOutcome> done);

  coordinator::OffsetCommitOutcome commit(const coordinator::OffsetCommit& request,
                                          std::size_t shard = 0);
  /// A commit of one partition without membership.
  static coordinator::OffsetCommit simple_commit(const std::string& group, const std::string& topic,
                                                 std::int32_t partition, std::int64_t offset);
  /// The committed offset, asked again while the coordinator loads; -1: none.
  std::int64_t committed(const std::string& group, const std::string& topic, std::int32_t partition,
                         std::size_t shard = 0);
  coordinator::Status heartbeat(const std::string& group, const ClassicMember& member);
  coordinator::GroupDescription describe(const std::string& group, std::size_t shard = 0);
  /// As a client would: again while the coordinator loads.
  std::vector<std::string> list(const GroupFilter& filter = {}, std::size_t shard = 0);
  GroupLag lag(const std::string& group, std::size_t shard = 0);

  /// Runs the world until the coordinator of the group serves, or has failed.
  void wait_until_loaded(const std::string& group);

 private:
  Node& node_;
};

}  // namespace millrace::service::testing
