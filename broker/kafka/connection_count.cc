#include "broker/kafka/connection_count.h"

#include "common/check.h"

namespace millrace::kafka {
namespace {

std::string host_of(std::string_view peer) {
  return std::string(peer.substr(0, peer.rfind(':')));
}

}  // namespace

ConnectionCount::Verdict ConnectionCount::open(std::string_view peer, ConnectionMaxima maxima) {
  const std::lock_guard lock(mutex_);
  if (total_ >= maxima.total) return Verdict::kTooMany;
  std::int32_t& from_host = by_host_[host_of(peer)];
  if (from_host >= maxima.per_address) {
    if (from_host == 0) by_host_.erase(host_of(peer));
    return Verdict::kTooManyFromAddress;
  }
  ++from_host;
  ++total_;
  return Verdict::kOpened;
}

void ConnectionCount::close(std::string_view peer) {
  const std::lock_guard lock(mutex_);
  const auto from_host = by_host_.find(host_of(peer));
  CHECK(total_ > 0 && from_host != by_host_.end(), "a connection of {} ended twice", peer);
  --total_;
  if (--from_host->second == 0) by_host_.erase(from_host);
}

std::int32_t ConnectionCount::open_now() const {
  const std::lock_guard lock(mutex_);
  return total_;
}

}  // namespace millrace::kafka
