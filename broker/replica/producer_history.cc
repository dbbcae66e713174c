#include "broker/replica/producer_history.h"

#include <algorithm>

#include "common/check.h"

namespace millrace::replica {
namespace {

constexpr std::size_t kKeptWhenEmpty = 8;

}  // namespace

void ProducerHistory::append(const model::BatchView& batch, common::Timestamp now) {
  if (batch.producer_id().value() < 0) return;
  CHECK(batch.next_offset() > committed_, "a batch that ends at {}, committed is {}",
        batch.next_offset(), committed_);
  CHECK(first_ == replaced_.size() || replaced_.back().base < batch.base_offset());
  // A log may begin inside a batch: then that one is committed, and stays.
  if (batch.base_offset() >= committed_) {
    const model::ProducerEntry* const known = table_.find(batch.producer_id());
    replaced_.push_back({.base = batch.base_offset(),
                         .producer = batch.producer_id(),
                         .before = known == nullptr ? std::nullopt : std::optional(*known)});
  }
  table_.apply(batch, now);
}

void ProducerHistory::commit(Offset end) {
  if (end <= committed_) return;
  committed_ = end;
  while (first_ < replaced_.size() && replaced_[first_].base < end) ++first_;
  // Many at once, so that each is moved at most once.
  if (first_ * 2 < replaced_.size()) return;
  replaced_.erase(replaced_.begin(), replaced_.begin() + static_cast<std::ptrdiff_t>(first_));
  first_ = 0;
  // A quiet partition keeps no memory for the busy one that it was.
  if (replaced_.empty() && replaced_.capacity() > kKeptWhenEmpty) replaced_ = {};
}

void ProducerHistory::take_back(model::ProducerTable& table, std::size_t down_to) const {
  for (std::size_t i = replaced_.size(); i-- > down_to;) {
    if (replaced_[i].before.has_value()) {
      table.put(*replaced_[i].before);
    } else {
      table.forget(replaced_[i].producer);
    }
  }
}

void ProducerHistory::cut(Offset end) {
  std::size_t kept = replaced_.size();
  while (kept > first_ && replaced_[kept - 1].base >= end) --kept;
  take_back(table_, kept);
  replaced_.resize(kept);
  if (end >= committed_) return;
  committed_ = end;
  table_.cut(end);
}

Result<void> ProducerHistory::reset(common::ByteView snapshot, Offset at) {
  model::ProducerTable table;
  if (!snapshot.empty()) TRY(table.restore(snapshot));
  table_ = std::move(table);
  committed_ = at;
  replaced_.clear();
  first_ = 0;
  return common::ok();
}

model::ProducerTable ProducerHistory::table_at_commit() const {
  model::ProducerTable table = table_;
  take_back(table, first_);
  return table;
}

ProducerHistory::Snapshot ProducerHistory::at_commit() const {
  const auto bytes_of = [](const model::ProducerTable& table) {
    return table.size() == 0 ? Bytes() : table.serialise();
  };
  if (first_ == replaced_.size()) return {.bytes = bytes_of(table_), .at = committed_};
  return {.bytes = bytes_of(table_at_commit()), .at = committed_};
}

Bytes ProducerHistory::before(Offset start) const {
  CHECK(start <= committed_, "a log is to begin at {}, committed is {}", start, committed_);
  model::ProducerTable table = table_at_commit();
  table.cut(start);
  return table.size() == 0 ? Bytes() : table.serialise();
}

std::vector<Offset> ProducerHistory::last_batches() const {
  std::vector<Offset> offsets;
  const auto add = [&](const model::ProducerEntry& entry) {
    if (const model::ProducedBatch* const newest = entry.newest())
      offsets.push_back(newest->last_offset);
  };
  for (const model::ProducerEntry& entry : table_.entries()) add(entry);
  for (std::size_t i = first_; i < replaced_.size(); ++i) {
    if (replaced_[i].before.has_value()) add(*replaced_[i].before);
  }
  std::ranges::sort(offsets);
  return offsets;
}

}  // namespace millrace::replica
