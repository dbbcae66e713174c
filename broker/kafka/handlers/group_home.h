// Members of groups end up connected to the shard of their coordinator.
#pragma once

#include <string_view>

#include "broker/kafka/call.h"
#include "broker/service/groups.h"

namespace millrace::kafka {

/// Tells the call's connection where its group lives: its requests then take no hop between
/// threads. Clients keep a connection of its own to the coordinator.
inline void tell_group_home(const AnyCall& call, std::string_view group) {
  if (!call.may_move()) return;
  if (const auto home = service::group_shard(call.shard(), group)) call.lives_on(*home);
}

}  // namespace millrace::kafka
