#include "broker/storage/time_search.h"

#include <algorithm>

#include "broker/model/compression.h"
#include "broker/model/record.h"
#include "broker/storage/shard.h"

namespace millrace::storage {
namespace {

using common::Timestamp;
using model::BatchView;

// A batch that unpacks to more than this is taken as one record.
constexpr std::size_t kPlainBytesMax = 256 << 20;

// The first record in [from, up_to) that is not older than `target`, or the earliest of the newest
// ones. Records that can't be read, which a broker only checks where it must, count as one record
// at the batch's start.
TimeSearch::Found look_into(const BatchView& batch, Offset from, Offset up_to, Timestamp target,
                            bool newest) {
  TimeSearch::Found best;
  const auto plain = model::plain_records(batch, kPlainBytesMax);
  if (!plain.ok()) {
    return TimedOffset{.timestamp = batch.max_timestamp(),
                       .offset = std::max(from, batch.base_offset()),
                       .leader_epoch = batch.leader_epoch()};
  }
  model::RecordReader reader(plain->records, batch.record_count());
  for (;;) {
    const auto record = reader.next();
    if (!record.ok() || !record->has_value()) return best;
    const Offset offset = (*record)->offset(batch);
    const Timestamp timestamp = (*record)->timestamp(batch);
    if (offset < from || offset >= up_to) continue;
    const TimedOffset here{
        .timestamp = timestamp, .offset = offset, .leader_epoch = batch.leader_epoch()};
    if (!newest && timestamp >= target) return here;
    if (newest && (!best.has_value() || timestamp > best->timestamp)) best = here;
  }
}

TimeSearch::Found newer(TimeSearch::Found a, TimeSearch::Found b) {
  if (!a.has_value() || !b.has_value()) return a.has_value() ? a : b;
  if (a->timestamp != b->timestamp) return a->timestamp > b->timestamp ? a : b;
  return a->offset < b->offset ? a : b;
}

}  // namespace

TimeSearch::TimeSearch(Private, Shard& shard, PartitionLog& log, Want want, Timestamp target,
                       Offset from, Offset up_to, Done done)
    : shard_(shard),
      log_(log),
      want_(want),
      target_(target),
      up_to_(up_to),
      next_(from),
      done_(std::move(done)) {}

TimeSearch::~TimeSearch() = default;

void TimeSearch::search(Shard& shard, PartitionLog& log, Want want, Timestamp target, Offset from,
                        Offset up_to, Done done) {
  auto search = std::make_shared<TimeSearch>(Private(), shard, log, want, target, from, up_to,
                                             std::move(done));
  log.pin();
  search->go_on();
}

void TimeSearch::first_at(Shard& shard, PartitionLog& log, Timestamp target, Offset up_to,
                          Done done) {
  search(shard, log, Want::kFirst, target, log.start_offset(), std::min(up_to, log.end_offset()),
         std::move(done));
}

// The segments know how new their newest record is. Only when that one lies behind `up_to`, the
// segment around `up_to` must be read through, and what is in front of it searched by what the
// other segments know.
void TimeSearch::newest(Shard& shard, PartitionLog& log, Offset up_to, Done done) {
  up_to = std::min(up_to, log.end_offset());
  Timestamp newest_all{-1};
  Timestamp newest_below{-1};
  Offset partial = up_to;
  for (const Segment& segment : log.segments()) {
    newest_all = std::max(newest_all, segment.max_timestamp);
    if (segment.end <= up_to) newest_below = std::max(newest_below, segment.max_timestamp);
    if (segment.base < up_to && up_to < segment.end) partial = segment.base;
  }
  log.pin();
  auto unpinned = [&shard, &log, up_to, layout = log.layout(),
                   done = std::move(done)](Result<Found> answer) mutable {
    // What was to be found may have been compacted or cut away meanwhile.
    const bool again = answer.ok() && !answer->has_value() && layout != log.layout();
    if (again) {
      newest(shard, log, up_to, std::move(done));
    } else {
      done(std::move(answer));
    }
    log.unpin();
  };
  auto below_then_partial = [&shard, &log, partial, newest_below, up_to,
                             reply = std::move(unpinned)](Result<Found> found) mutable {
    if (!found.ok() || found->has_value()) return reply(std::move(found));
    first_at(shard, log, newest_below, partial,
             [&shard, &log, partial, up_to, reply = std::move(reply)](Result<Found> below) mutable {
               if (!below.ok()) return reply(std::move(below));
               search(shard, log, Want::kNewest, Timestamp{INT64_MIN},
                      std::max(partial, log.start_offset()), up_to,
                      [below = *below, reply = std::move(reply)](Result<Found> rest) mutable {
                        if (rest.ok()) rest = newer(below, *rest);
                        reply(std::move(rest));
                      });
             });
  };
  first_at(shard, log, newest_all, up_to, std::move(below_then_partial));
}

void TimeSearch::go_on() {
  for (;;) {
    next_ = std::max(next_, log_.start_offset());
    if (next_ >= std::min(up_to_, log_.end_offset())) return finish(best_);
    const Segment& segment = log_.segment_of(next_);
    if (want_ == Want::kFirst && segment.max_timestamp < target_) {
      next_ = segment.end;
      continue;
    }
    if (want_ == Want::kFirst && sought_in_ != segment.base) {
      const SegmentIndex* index = shard_.reader.find_index(log_, segment);
      const bool in_memory = !log_.tail().empty() && log_.tail().start() <= next_;
      if (index != nullptr) {
        next_ = std::max(next_, segment.base + index->find_time(target_).relative_offset);
      } else if (!in_memory) {
        return shard_.reader.load_index(log_, segment.base,
                                        [self = shared_from_this()](Result<void> loaded) {
                                          if (!loaded.ok())
                                            return self->finish(std::move(loaded).error());
                                          self->go_on();
                                        });
      }
      sought_in_ = segment.base;
      continue;
    }
    if (!log_.tail().empty() && log_.tail().start() <= next_) {
      const Piece& piece = log_.tail().piece_of(next_);
      const Bytes bytes = piece.bytes;
      if (walk(bytes, piece.base)) return finish(best_);
    } else if (const Run* run = shard_.cache.find(log_.number(), next_)) {
      const Bytes bytes = run->bytes;
      if (walk(bytes, run->base)) return finish(best_);
    } else {
      return shard_.reader.load(log_, next_, [self = shared_from_this()](Result<void> loaded) {
        if (!loaded.ok()) return self->finish(std::move(loaded).error());
        self->go_on();
      });
    }
  }
}

// Looks at the batches from next_ on. True: best_ is the answer.
bool TimeSearch::walk(const Bytes& bytes, Offset base) {
  CHECK(base <= next_);
  const Offset from = next_;
  for (std::size_t at = 0; at < bytes.size();) {
    const Result<BatchView> batch = BatchView::parse(bytes.view().subspan(at));
    CHECK(batch.ok(), "a bad batch in memory at {}", next_);
    at += batch->size();
    if (batch->next_offset() <= from) continue;
    next_ = batch->next_offset();
    if (batch->base_offset() >= up_to_) return true;
    if (want_ == Want::kFirst && batch->max_timestamp() < target_) continue;
    const bool could_be_newer = !best_.has_value() || batch->max_timestamp() > best_->timestamp;
    if (want_ == Want::kNewest && !could_be_newer) continue;
    const Found found = look_into(*batch, std::max(from, log_.start_offset()), up_to_, target_,
                                  want_ == Want::kNewest);
    if (want_ == Want::kFirst && found.has_value()) {
      best_ = found;
      return true;
    }
    best_ = newer(best_, found);
  }
  return false;
}

void TimeSearch::finish(Result<Found> answer) {
  done_(std::move(answer));
  log_.unpin();
}

}  // namespace millrace::storage
