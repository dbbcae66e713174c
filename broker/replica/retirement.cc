#include "broker/replica/retirement.h"

#include "broker/replica/hard_state_codec.h"

namespace millrace::replica {

bool retire(storage::Log& log) {
  if (log.state().empty()) return false;
  // A state that cannot be read stays as it is: a replica with it takes no part in its group.
  if (auto stored = decode_state(log.state()); stored.ok()) {
    stored->retired = true;
    stored->hard.unclean = true;
    ++stored->hard.incarnation;
    log.put_state(encode(*stored), [](common::Result<void>) {});
  }
  log.reset(storage::Offset{0}, std::nullopt, {}, [](common::Result<void>) {});
  return true;
}

bool is_retired(const storage::Log& log) {
  if (log.state().empty()) return false;
  const auto stored = decode_state(log.state());
  return stored.ok() && stored->retired;
}

}  // namespace millrace::replica
