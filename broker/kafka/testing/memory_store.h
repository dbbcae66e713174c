// A shard's store whose logs live in memory alone: as fast and predictable as the front end's tests
// want it. What a disk does to data is the storage module's own business.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "broker/env/loop.h"
#include "broker/storage/store.h"

namespace millrace::kafka::testing {

struct MemoryStoreOptions {
  /// How long an append takes to be durable.
  common::Duration append_delay = std::chrono::microseconds(100);
  /// While set, appends are refused with kNoSpace.
  bool full = false;
};

/// Answers appends after a delay, in order; everything else inline.
std::unique_ptr<storage::Store> make_memory_store(
    env::Loop& loop, std::shared_ptr<const MemoryStoreOptions> options);

}  // namespace millrace::kafka::testing
