// const std::int64_t bytes = bytes_behind(log, log.end_offset() - follower_end);
#pragma once

#include <cstdint>

#include "broker/raft/settings.h"
#include "broker/storage/log.h"

namespace millrace::replica {

/// About how many bytes a replica lacks that lacks the last `records` offsets of the log: as many
/// as the log's records have on average.
inline std::int64_t bytes_behind(const storage::Log& log, std::int64_t records) {
  const std::int64_t all = log.end_offset() - log.start_offset();
  if (all <= 0) return 0;
  return static_cast<std::int64_t>(static_cast<double>(log.size_bytes()) *
                                   static_cast<double>(records) / static_cast<double>(all));
}

/// Whether a replica that lacks so many records is as good as level: it gets the rest like those
/// that are, and may be a voter. Few records can be many bytes.
inline bool close_to_end(const storage::Log& log, std::int64_t records,
                         const raft::Settings& settings) {
  return records <= settings.promotion_lag_max &&
         bytes_behind(log, records) <= 2 * std::int64_t{settings.append_bytes_max};
}

}  // namespace millrace::replica
