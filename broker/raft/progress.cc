#include "broker/raft/progress.h"

#include <algorithm>

#include "common/check.h"

namespace millrace::raft {

bool Progress::may_send(const Settings& settings) const {
  const std::size_t messages_max =
      std::min<std::size_t>(settings.inflight_messages_max, kInflightMax);
  return inflight_count < messages_max && inflight_bytes < settings.inflight_bytes_max;
}

void Progress::sent(Position end, std::uint32_t bytes) {
  CHECK(inflight_count < kInflightMax);
  CHECK(next < end);
  inflight[(inflight_first + inflight_count) % kInflightMax] = {end.offset, bytes};
  ++inflight_count;
  inflight_bytes += bytes;
  next = end;
}

void Progress::arrived(Offset acked_end) {
  while (inflight_count > 0 && inflight[inflight_first].end <= acked_end) {
    inflight_bytes -= inflight[inflight_first].bytes;
    inflight_first = static_cast<std::uint8_t>((inflight_first + 1) % kInflightMax);
    --inflight_count;
  }
  CHECK(inflight_count > 0 || inflight_bytes == 0);
}

void Progress::forget_inflight() {
  inflight_count = 0;
  inflight_bytes = 0;
  // A read that is still under way is of no use when it comes.
  fetching = false;
  ++fetch_id;
}

void Progress::probe_from(Position from) {
  forget_inflight();
  state = State::kProbe;
  asked = false;
  next = from;
}

void Progress::note_caught_up(Instant now, Offset log_end) {
  if (acked.offset >= log_end) {
    caught_up_at = now;
  } else if (acked.offset >= end_at_last_reply) {
    caught_up_at = std::max(caught_up_at, last_reply_at);
  }
  last_reply_at = now;
  end_at_last_reply = log_end;
}

}  // namespace millrace::raft
