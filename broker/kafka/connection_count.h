// How many connections are open, on all shards together and from each address.
#pragma once

#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>

namespace millrace::kafka {

struct ConnectionMaxima {
  std::int32_t total = INT32_MAX;        // max.connections
  std::int32_t per_address = INT32_MAX;  // max.connections.per.ip
};

/// Shared by the servers of all shards. Thread-safe.
class ConnectionCount {
 public:
  enum class Verdict : std::uint8_t { kOpened, kTooMany, kTooManyFromAddress };

  /// Counts a connection of `peer` (HOST:PORT) unless that would be too many.
  Verdict open(std::string_view peer, ConnectionMaxima maxima);
  /// A connection that was counted has ended.
  void close(std::string_view peer);
  std::int32_t open_now() const;

 private:
  mutable std::mutex mutex_;  // guards the two below
  std::int32_t total_ = 0;
  std::unordered_map<std::string, std::int32_t> by_host_;
};

}  // namespace millrace::kafka
