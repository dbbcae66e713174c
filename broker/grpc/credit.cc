#include "broker/grpc/credit.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "common/check.h"

namespace millrace::grpc {

using model::ErrorCode;
using model::Offset;
using model::PartitionKey;

common::Result<void> Credit::give(Amount amount) {
  if (amount.records < 0 || amount.bytes < 0)
    return common::Error{ErrorCode::kInvalidRequest, "credit must not be negative"};
  // What comes back with the records that are done moves from used to left.
  if (amount.records > kCreditRecordsMax ||
      left_.records + std::max(amount.records, outstanding_) > kCreditRecordsMax) {
    return common::Error{
        ErrorCode::kInvalidRequest,
        fmt::format("more than {} records of credit: {} are unused, {} were sent and not given "
                    "credit for, {} come on top",
                    kCreditRecordsMax, left_.records, outstanding_, amount.records)};
  }
  if (amount.bytes > kCreditBytesMax ||
      left_.bytes + used_.bytes + amount.bytes > kCreditBytesMax) {
    return common::Error{ErrorCode::kInvalidRequest,
                         fmt::format("more than {} bytes of credit", kCreditBytesMax)};
  }
  left_.records += amount.records;
  left_.bytes += amount.bytes;
  finish(std::min(amount.records, outstanding_));
  return common::ok();
}

/// The oldest `records` are done with.
void Credit::finish(std::int64_t records) {
  outstanding_ -= records;
  while (records > 0) {
    CHECK(!runs_.empty(), "{} outstanding records are in no run", records);
    Run& run = runs_.front();
    const std::int64_t part = std::min(records, run.records);
    const std::int64_t bytes = part == run.records ? run.bytes : run.bytes / run.records * part;
    left_.bytes += bytes;
    used_.bytes -= bytes;
    records -= part;
    run.first = run.first + part;
    run.records -= part;
    run.bytes -= bytes;
    if (!run.forgotten) {
      const auto place = places_.find(run.key);
      CHECK(place != places_.end(), "records of a partition that never began");
      const Offset next = std::max(place->second.next, run.first);
      place->second.moved = place->second.moved || next != place->second.next;
      place->second.next = next;
    }
    if (run.records == 0) runs_.pop_front();
  }
  CHECK(used_.bytes >= 0);
}

void Credit::delivered(const PartitionKey& key, Offset offset, std::int64_t bytes) {
  CHECK(open(), "a record was sent without credit");
  --left_.records;
  left_.bytes -= bytes;
  used_.bytes += bytes;
  ++outstanding_;
  if (!runs_.empty()) {
    Run& last = runs_.back();
    if (last.key == key && !last.forgotten && last.first + last.records == offset) {
      ++last.records;
      last.bytes += bytes;
      return;
    }
  }
  runs_.push_back({.key = key, .first = offset, .records = 1, .bytes = bytes});
}

void Credit::begin(const PartitionKey& key, Offset offset, bool moved) {
  CHECK(!places_.contains(key), "a partition begins twice");
  places_[key] = {.next = offset, .moved = moved};
}

void Credit::put(const PartitionKey& key, Offset next) {
  const auto place = places_.find(key);
  if (place != places_.end()) place->second = {.next = next, .moved = false};
}

void Credit::take_again(const PartitionKey& key) {
  const auto place = places_.find(key);
  if (place != places_.end()) place->second.moved = true;
}

void Credit::forget(const PartitionKey& key) {
  places_.erase(key);
  for (Run& run : runs_) {
    if (run.key == key) run.forgotten = true;
  }
}

std::vector<Credit::Done> Credit::take_done() {
  std::vector<Done> moved;
  for (auto& [key, place] : places_) {
    if (std::exchange(place.moved, false)) moved.push_back({key, place.next});
  }
  return moved;
}

std::vector<Credit::Done> Credit::done() const {
  std::vector<Done> all;
  for (const auto& [key, place] : places_) all.push_back({key, place.next});
  return all;
}

}  // namespace millrace::grpc
