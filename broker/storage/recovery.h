// Start-up: the checkpoint, then the journal behind it; of the data only what was not committed.
#pragma once

#include <memory>

#include "broker/storage/shard.h"
#include "broker/storage/store.h"

namespace millrace::storage {

/// A shard as it was when it stopped, ready to go on once its loop runs.
struct RecoveredShard {
  std::unique_ptr<Shard> shard;
  JournalPosition checkpoint;
  RecoveryReport report;
};

/// Blocking. Errors as Store::open().
Result<RecoveredShard> recover(StoreWorld world, const StoreOptions& options);

}  // namespace millrace::storage
