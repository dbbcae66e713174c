#include "broker/service/append_waits.h"

#include <utility>
#include <vector>

#include "broker/model/errors.h"

namespace millrace::service {
namespace {

/// Clients give seconds: one look at all that wait is cheaper than a timer for each.
constexpr auto kInterval = std::chrono::milliseconds(100);

constexpr replica::AppendOptions kAll{.acks = replica::Acks::kAll,
                                      .origin = replica::Origin::kClient};

}  // namespace

void AppendWaits::append(replica::Partition& partition, common::Bytes batch, common::Duration limit,
                         common::Reply<replica::AppendOutcome> done) {
  const Place wait = waits_.insert(waits_.end(), Wait{.partition = partition,
                                                      .start = partition.log().end_offset(),
                                                      .until = loop_.clock().now() + limit,
                                                      .done = std::move(done)});
  partition.append(std::move(batch), kAll, [this, wait](replica::AppendOutcome outcome) {
    finished(wait, std::move(outcome));
  });
  arm();
}

void AppendWaits::finished(Place wait, replica::AppendOutcome outcome) {
  common::Reply<replica::AppendOutcome> done = std::move(wait->done);
  waits_.erase(wait);
  if (done) done(std::move(outcome));
}

void AppendWaits::arm() {
  if (waits_.empty() || timer_ != env::TimerId::kNone) return;
  timer_ = loop_.after(kInterval, lifeline_.guard([this] {
    timer_ = env::TimerId::kNone;
    look();
    arm();
  }));
}

void AppendWaits::look() {
  const common::Instant now = loop_.clock().now();
  struct Late {
    common::Reply<replica::AppendOutcome> done;
    model::ErrorCode code;
    model::Offset start;
  };
  std::vector<Late> late;
  for (Wait& wait : waits_) {
    if (wait.until > now || !wait.done) continue;
    // A batch is committed as a whole.
    const bool committed = wait.partition.bounds().high_watermark > wait.start;
    late.push_back({std::move(wait.done),
                    committed ? model::ErrorCode::kNotEnoughReplicasAfterAppend
                              : model::ErrorCode::kRequestTimedOut,
                    wait.start});
  }
  // An answer may bring the next request.
  for (Late& one : late) {
    one.done({.error = model::error(one.code),
              .records = {},
              .appended = {.base_offset = one.start, .log_start = {}}});
  }
}

}  // namespace millrace::service
