// millrace.json: what a data directory is, and whose.
#pragma once

#include <cstdint>
#include <string>

#include "broker/env/disk.h"
#include "broker/model/ids.h"
#include "common/random.h"

namespace millrace::server {

/// The content of DATA/millrace.json. Written once, when the directory is formatted.
struct Directory {
  std::string cluster_id;
  model::BrokerId node{0};
  common::Uuid directory_id;
  /// How many shards the journals and partitions were dealt to. Fixed: see docs/decisions.
  std::uint32_t shards = 1;
};

/// What whoever starts wants the directory to be.
struct DirectoryWish {
  std::string cluster_id;  // empty: any, or a random one for a new directory
  model::BrokerId node{0};
  std::uint32_t shards = 0;  // 0: as it is, or one per core for a new one
  /// There are other brokers, so a new directory needs a cluster id that all of them know.
  bool joins_others = false;
};

/// Reads millrace.json, or writes it into an empty directory. kForeignData: the directory holds
/// other files, a newer format, or belongs to another cluster, node or number of shards than asked;
/// the text says which and what to do. kInvalidConfig: cluster.id is missing.
common::Result<Directory> open_or_format(env::Disk& disk, const std::string& path,
                                         const DirectoryWish& wish, std::uint32_t cores,
                                         common::Random& random);

}  // namespace millrace::server
