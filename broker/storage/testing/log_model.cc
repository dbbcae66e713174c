#include "broker/storage/testing/log_model.h"

#include <fmt/format.h>

#include <algorithm>

#include "broker/model/batch.h"
#include "broker/storage/testing/keyed_records.h"

namespace millrace::storage::testing {

using Kind = ModelOperation::Kind;

namespace {

// Of the terms that start in front of the log's start the last one stays.
std::vector<TermStart> needed(std::vector<TermStart> terms, Offset start) {
  while (terms.size() > 1 && terms[1].offset < start) terms.erase(terms.begin());
  return terms;
}

std::string text_of(const std::vector<TermStart>& terms) {
  std::string text;
  for (const TermStart& start : terms) text += fmt::format(" {} at {}", start.term, start.offset);
  return text;
}

}  // namespace

std::vector<std::uint8_t> ModelState::content(Offset from, Offset to) const {
  std::vector<std::uint8_t> bytes;
  for (const Batch& batch : batches) {
    if (batch.next <= from || batch.base >= to) continue;
    bytes.insert(bytes.end(), batch.bytes.view().begin(), batch.bytes.view().end());
  }
  return bytes;
}

std::optional<std::string> ModelState::mismatch(Offset from, Offset to,
                                                const std::vector<std::uint8_t>& bytes,
                                                bool whole) const {
  if (bytes == content(from, to)) return std::nullopt;
  if (compactable_to == Offset{0}) return "the records differ";
  const auto found = records_of(bytes);
  std::vector<KeyedRecord> appended;
  for (const Batch& batch : batches) {
    for (KeyedRecord& record : records_of(batch.bytes)) appended.push_back(std::move(record));
  }
  const CompactedRange range{.from = from, .to = to, .limit = compactable_to};
  if (auto wrong = check_compacted(appended, found, range)) return wrong;
  if (whole && state_of(found, from) != state_of(appended, from))
    return "the last values of the keys differ";
  return std::nullopt;
}

std::uint64_t ModelState::producers_at(Offset at) const {
  std::uint64_t known = producers_base;
  for (const Batch& batch : batches) {
    if (batch.next > at) break;
    const auto parsed = model::BatchView::parse(batch.bytes);
    CHECK(parsed.ok());
    if (parsed->producer_id() == model::kNoProducerId) continue;
    known = (known ^ parsed->crc()) * 0x9e3779b97f4a7c15ULL + 1;
  }
  return known;
}

Offset ModelState::boundary(Offset at) const {
  for (const Batch& batch : batches) {
    if (batch.base >= at) return batch.base;
    if (batch.next >= at) return batch.next;
  }
  return end();
}

void ModelOperation::apply(ModelState& state) const {
  switch (kind) {
    case Kind::kCreate:
      CHECK(!state.exists);
      state = ModelState{.exists = true};
      break;
    case Kind::kRemove:
      state = ModelState{};
      break;
    case Kind::kAppend:
      CHECK(state.exists && batches.front().base == state.end(), "{} behind {}",
            batches.front().base, state.end());
      state.batches.insert(state.batches.end(), batches.begin(), batches.end());
      break;
    case Kind::kTruncate:
      while (!state.batches.empty() && state.batches.back().base >= offset)
        state.batches.pop_back();
      while (!state.terms.empty() && state.terms.back().offset >= offset) state.terms.pop_back();
      state.floor = std::max(state.floor, offset);
      CHECK(state.batches.empty() || state.end() == offset, "cut at {} leaves an end at {}", offset,
            state.end());
      if (state.batches.empty()) state.floor = offset;
      break;
    case Kind::kStart:
      if (offset <= state.start) break;
      state.start = offset;
      state.terms = needed(std::move(state.terms), state.start);
      break;
    case Kind::kTerm:
      if (!state.terms.empty() && state.terms.back().offset == offset) state.terms.pop_back();
      state.terms.push_back({.term = term, .offset = offset});
      break;
    case Kind::kState:
      state.replica_state = replica_state;
      break;
    case Kind::kReset:
      state.start = offset;
      state.floor = offset;
      state.batches.clear();
      state.terms.clear();
      if (first.has_value()) state.terms.push_back(*first);
      state.compactable_to = Offset{0};
      state.producers_base = producers;
      break;
    case Kind::kCompactable:
      state.compactable_to = std::max(state.compactable_to, offset);
      break;
  }
}

std::string ModelOperation::text() const {
  switch (kind) {
    case Kind::kCreate:
      return "create";
    case Kind::kRemove:
      return "remove";
    case Kind::kAppend:
      return fmt::format("append({}..{})", batches.front().base, batches.back().next);
    case Kind::kTruncate:
      return fmt::format("cut({})", offset);
    case Kind::kStart:
      return fmt::format("start({})", offset);
    case Kind::kTerm:
      return fmt::format("term({} at {})", term, offset);
    case Kind::kState:
      return fmt::format("state({})", replica_state);
    case Kind::kReset:
      return fmt::format("reset({})", offset);
    case Kind::kCompactable:
      return fmt::format("compactable({})", offset);
  }
  return {};
}

std::size_t PartitionModel::add(ModelOperation operation) {
  before_last_ = now_;
  operation.apply(now_);
  const bool breaks = operation.kind == Kind::kTruncate || operation.kind == Kind::kRemove ||
                      operation.kind == Kind::kReset;
  if (breaks) ++breaks_;
  operations_.push_back(std::move(operation));
  return numbers_before_ + operations_.size();
}

void PartitionModel::take_back() {
  CHECK(operations_.size() > acknowledged_);
  operations_.pop_back();
  now_ = before_last_;
}

void PartitionModel::acknowledged(std::size_t number) {
  CHECK(number > numbers_before_ && number <= numbers_before_ + operations_.size());
  acknowledged_ = std::max<std::size_t>(acknowledged_, number - numbers_before_);
}

namespace {

// What of an observed log with the right ends is not as in this state.
std::optional<std::string> difference(const ModelState& state,
                                      const PartitionModel::Observed& observed) {
  if (state.terms != observed.terms) {
    return fmt::format("the term starts differ: found{}, expected{}", text_of(observed.terms),
                       text_of(state.terms));
  }
  if (state.replica_state != observed.replica_state) {
    return fmt::format("the replica's state is {}, not {}", observed.replica_state,
                       state.replica_state);
  }
  const auto& producers = observed.producers;
  if (producers.known.has_value() && *producers.known != state.producers_at(producers.at))
    return fmt::format("the producers at {} are not those of the log", producers.at);
  return state.mismatch(observed.start, observed.end, observed.content, true);
}

}  // namespace

std::optional<std::string> PartitionModel::settle(const Observed& observed) {
  ModelState state = sure_;
  std::optional<std::string> near_miss;
  std::optional<ModelState> fitting;
  for (std::size_t done = 0; done <= operations_.size(); ++done) {
    if (done > 0) operations_[done - 1].apply(state);
    if (done < acknowledged_ || state.exists != observed.exists) continue;
    const bool same_ends =
        !state.exists || (state.start == observed.start && state.end() == observed.end);
    if (!same_ends) continue;
    if (state.exists) {
      auto wrong = difference(state, observed);
      if (wrong.has_value()) {
        near_miss = std::move(wrong);
        continue;
      }
    }
    // Of several that fit the last one: compaction may have been allowed in between.
    fitting = state;
  }
  if (fitting.has_value()) {
    sure_ = *fitting;
    now_ = *fitting;
    numbers_before_ += operations_.size();
    operations_.clear();
    acknowledged_ = 0;
    return std::nullopt;
  }
  std::string asked = fmt::format("from [{}, {})", sure_.start, sure_.end());
  for (std::size_t i = 0; i < operations_.size(); ++i) {
    asked += fmt::format("{} {}", i == acknowledged_ ? " |" : "", operations_[i].text());
  }
  ModelState least = sure_;
  for (std::size_t i = 0; i < acknowledged_; ++i) operations_[i].apply(least);
  return fmt::format(
      "partition {}: found {} [{}, {}); acknowledged {} [{}, {}), asked for {} [{}, {}){}{}; {}",
      key_.index, observed.exists ? "a log" : "none", observed.start, observed.end,
      least.exists ? "a log" : "none", least.start, least.end(), now_.exists ? "a log" : "none",
      now_.start, now_.end(), near_miss ? "; " : "", near_miss.value_or(""), asked);
}

}  // namespace millrace::storage::testing
