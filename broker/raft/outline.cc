#include "broker/raft/outline.h"

#include <algorithm>

#include "common/check.h"

namespace millrace::raft {
namespace {

constexpr std::size_t kNone = static_cast<std::size_t>(-1);

}  // namespace

std::optional<Outline> Outline::make(Offset start, Offset end, std::vector<TermStart> starts) {
  if (start < Offset{0} || end < start) return std::nullopt;
  for (std::size_t i = 0; i < starts.size(); ++i) {
    if (starts[i].term <= Term{0} || starts[i].offset < Offset{0} || starts[i].offset > end)
      return std::nullopt;
    if (i > 0 && (starts[i].term <= starts[i - 1].term || starts[i].offset <= starts[i - 1].offset))
      return std::nullopt;
  }
  // Every record was written in some term.
  if (end > start && (starts.empty() || starts.front().offset > start)) return std::nullopt;
  Outline outline;
  outline.start_ = start;
  outline.end_ = end;
  outline.starts_ = std::move(starts);
  outline.trim(start);
  return outline;
}

std::size_t Outline::index_of(Term term) const {
  const auto found = std::ranges::lower_bound(starts_, term, {}, &TermStart::term);
  if (found == starts_.end() || found->term != term) return kNone;
  return static_cast<std::size_t>(found - starts_.begin());
}

Offset Outline::end_of(std::size_t index) const {
  return index + 1 < starts_.size() ? starts_[index + 1].offset : end_;
}

Position Outline::last() const {
  return {starts_.empty() ? Term{0} : starts_.back().term, end_};
}

std::optional<Position> Outline::before_last_start() const {
  CHECK(!starts_.empty());
  const Offset at = starts_.back().offset;
  if (starts_.size() > 1) return Position{starts_[starts_.size() - 2].term, at};
  if (at == Offset{0}) return Position{};
  return std::nullopt;
}

std::optional<Position> Outline::before(Term term) const {
  for (std::size_t i = starts_.size(); i-- > 0;) {
    if (starts_[i].term >= term) continue;
    const Position found{starts_[i].term, end_of(i)};
    return contains(found) ? std::optional(found) : std::nullopt;
  }
  if (start_ == Offset{0} && term > Term{0}) return Position{};
  return std::nullopt;
}

bool Outline::contains(Position position) const {
  if (position.offset < start_ || position.offset > end_) return false;
  if (position.term == Term{0}) return position.offset == Offset{0};
  const std::size_t index = index_of(position.term);
  return index != kNone && starts_[index].offset <= position.offset &&
         position.offset <= end_of(index);
}

Position Outline::at(Offset offset) const {
  CHECK(start_ <= offset && offset <= end_, "{} is not in [{}, {}]", offset, start_, end_);
  for (std::size_t i = starts_.size(); i-- > 0;) {
    if (starts_[i].offset <= offset) return {starts_[i].term, offset};
  }
  return {Term{0}, offset};
}

Stretch Outline::after(Position position) const {
  CHECK(contains(position), "term {} offset {}", position.term, position.offset);
  const std::size_t index = position.term == Term{0} ? kNone : index_of(position.term);
  const Offset term_end = index == kNone ? Offset{0} : end_of(index);
  if (index != kNone && position.offset < term_end) return {position.term, term_end};
  const std::size_t next = index == kNone ? 0 : index + 1;
  if (next < starts_.size() && starts_[next].offset == position.offset)
    return {starts_[next].term, end_of(next)};
  return {position.term, position.offset};
}

Position Outline::agreement(Position prev, Term term, Offset to) const {
  CHECK(contains(prev) && prev.term <= term && prev.offset <= to);
  std::size_t index = index_of(term);
  if (term != prev.term && (index == kNone || starts_[index].offset != prev.offset)) return prev;
  if (index == kNone) return prev;  // of term 0, which has no data
  return {term, std::min(to, end_of(index))};
}

std::optional<Position> Outline::fork(const std::vector<TermStart>& starts, Offset end,
                                      Offset other_start) const {
  for (std::size_t i = starts.size(); i-- > 0;) {
    const Offset other_end = i + 1 < starts.size() ? starts[i + 1].offset : end;
    const std::size_t index = index_of(starts[i].term);
    if (index == kNone) continue;
    const Position common{starts[i].term, std::min(other_end, end_of(index))};
    // Starts in front of either log's beginning may be known inexactly; positions behind are not.
    if (!contains(common) || common.offset < starts[i].offset || common.offset < other_start)
      return std::nullopt;
    return common;
  }
  if (start_ == Offset{0} && other_start == Offset{0}) return Position{};
  return std::nullopt;
}

std::vector<TermStart> Outline::newest(std::size_t count) const {
  const std::size_t first = starts_.size() > count ? starts_.size() - count : 0;
  return {starts_.begin() + static_cast<std::ptrdiff_t>(first), starts_.end()};
}

void Outline::extend(Offset end) {
  CHECK(end >= end_ && !starts_.empty());
  end_ = end;
}

void Outline::begin_term(Term term) {
  CHECK(last().term < term, "term {} behind {}", term, last().term);
  if (!starts_.empty() && starts_.back().offset == end_) starts_.pop_back();
  starts_.push_back({term, end_});
}

void Outline::cut(Position position) {
  CHECK(contains(position), "term {} offset {}", position.term, position.offset);
  while (!starts_.empty() && starts_.back().term > position.term) starts_.pop_back();
  end_ = position.offset;
  CHECK(last() == position);
}

void Outline::reset(Position position, TermStart first) {
  CHECK(first.term == position.term && first.offset <= position.offset);
  start_ = position.offset;
  end_ = position.offset;
  starts_.clear();
  if (position != Position{}) starts_.push_back(first);
}

void Outline::trim(Offset start) {
  CHECK(start_ <= start && start <= end_, "{} is not in [{}, {}]", start, start_, end_);
  start_ = start;
  while (starts_.size() > 1 && starts_[1].offset < start) starts_.erase(starts_.begin());
}

TermStart Outline::first() const {
  if (start_ == Offset{0}) return {};
  CHECK(!starts_.empty());
  return starts_.front();
}

}  // namespace millrace::raft
