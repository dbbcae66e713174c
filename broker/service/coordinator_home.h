// Use case: which broker looks after a group.
#pragma once

#include <string_view>

#include "broker/service/shard.h"

namespace millrace::service {

/// As far as is known; -1: nobody now, or no group was ever made. Unlike locate_coordinator() it
/// makes nothing. Answers on `here`'s loop.
void coordinator_home(Shard& here, std::string_view group, common::Reply<model::BrokerId> done);

}  // namespace millrace::service
