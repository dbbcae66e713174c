#include "tests/sim/log_audit.h"

#include <algorithm>
#include <utility>

#include "tests/sim/replicas.h"

namespace millrace::sim {
namespace {

constexpr std::size_t kReadBytes = 1 << 20;

}  // namespace

void LogAudit::start() {
  for (Machine* machine : members_) {
    for (const auto& [key, replica] : replicas_on(*machine)) {
      auto copy = std::make_shared<Copy>();
      copy->machine = machine->name();
      copy->rotten = machine->is_rotten();
      copy->key = key;
      copy->log = &replica->log();
      copy->from = std::max(copy->log->start_offset(), copy->log->compacted_to());
      copy->end = copy->log->end_offset();
      check_end(*copy);
      copies_.push_back(std::move(copy));
    }
  }
  to_read_ = copies_.size();
  const auto copies = copies_;
  for (const auto& copy : copies) read(copy, copy->from);
}

/// Nothing that was known to be committed by now lies behind its end. Brokers may write to the
/// metadata while the logs are read: that is not looked at.
void LogAudit::check_end(const Copy& copy) {
  const auto& committed = witness_.committed(copy.key);
  const auto missing = committed.lower_bound(std::max(copy.from, copy.end));
  if (missing != committed.end()) fail(copy, missing->first, missing->second, "is gone");
}

void LogAudit::read(const std::shared_ptr<Copy>& copy, model::Offset from) {
  if (from >= copy->end) return read_one();
  copy->log->read(
      from, {.up_to = copy->end, .bytes_max = kReadBytes},
      [this, copy, from](common::Result<storage::ReadResult> result) {
        if (result.ok() && result->next_offset > from) return take(copy, *result);
        if (copy->rotten && copy->log->damage().has_value()) {
          found_rot_ = true;
          return read_one();
        }
        trace_.fail(fmt::format("{} {}-{}: its log cannot be read at {}: {}", copy->machine,
                                copy->key.topic.text(), copy->key.index, from,
                                result.ok() ? "it has a hole" : result.error().detail));
      });
}

void LogAudit::read_one() {
  if (--to_read_ > 0) return;
  if (!found_rot_) compare();
  done_ = true;
}

void LogAudit::take(const std::shared_ptr<Copy>& copy, const storage::ReadResult& result) {
  for (const common::Bytes& piece : result.pieces) {
    for (common::ByteView rest = piece; !rest.empty();) {
      const auto batch = model::BatchView::parse(rest);
      if (!batch.ok() || !batch->crc_matches()) {
        return trace_.fail(fmt::format("{} {}-{}: its log holds a bad batch", copy->machine,
                                       copy->key.topic.text(), copy->key.index));
      }
      copy->batches[batch->base_offset()] = {batch->leader_epoch(), batch->crc(),
                                             batch->next_offset()};
      rest = rest.subspan(batch->size());
    }
  }
  read(copy, result.next_offset);
}

void LogAudit::compare() {
  for (const auto& copy : copies_) copy->from = std::max(copy->from, copy->log->compacted_to());
  for (std::size_t i = 0; i < copies_.size(); ++i) {
    compare_committed(*copies_[i]);
    for (std::size_t j = i + 1; j < copies_.size(); ++j)
      if (copies_[i]->key == copies_[j]->key) compare(*copies_[i], *copies_[j]);
  }
}

void LogAudit::compare(const Copy& left, const Copy& right) {
  const model::Offset from = std::max(left.from, right.from);
  const bool same = std::equal(left.batches.lower_bound(from), left.batches.end(),
                               right.batches.lower_bound(from), right.batches.end());
  if (same && left.end == right.end) return;
  trace_.fail(fmt::format("{}-{}: the logs of {} and {} differ behind {}", left.key.topic.text(),
                          left.key.index, left.machine, right.machine, from));
}

void LogAudit::compare_committed(const Copy& copy) {
  const auto& committed = witness_.committed(copy.key);
  const auto end = committed.lower_bound(copy.end);
  for (auto known = committed.lower_bound(copy.from); known != end; ++known) {
    const auto there = copy.batches.find(known->first);
    if (there != copy.batches.end() && there->second == known->second) continue;
    return fail(copy, known->first, known->second,
                there == copy.batches.end() ? "is gone" : "is another one now");
  }
}

void LogAudit::fail(const Copy& copy, model::Offset base, const Witness::BatchId& id,
                    std::string_view what) {
  trace_.fail(fmt::format("{} {}-{}: the batch at {}, which was committed in term {}, {}",
                          copy.machine, copy.key.topic.text(), copy.key.index, base, id.term,
                          what));
}

}  // namespace millrace::sim
