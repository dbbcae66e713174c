// Goal: a log knows its term starts exactly as Raft's outline of it does, whatever a group asks of
// it. Method: random LogWrites applied to both, with restarts.
#include "broker/raft/outline.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "broker/storage/testing/store_machine.h"

namespace millrace::storage {
namespace {

using raft::Outline;
using raft::Position;
using testing::key_of;
using testing::StoreMachine;

class Pair {
 public:
  explicit Pair(std::uint64_t seed) : machine_(seed), random_(seed * 3 + 1) {
    machine_.start();
    log_ = &machine_.create(key_of(0), {.segment_bytes = 3000});
    CHECK(machine_.checkpoint().ok());
  }

  void step() {
    switch (random_.below(12)) {
      case 0:
      case 1:
        return begin_term();
      case 2:
        return replace_last_term();
      case 3:
      case 4:
        return cut();
      case 5:
        return trim();
      case 6:
        return random_.chance(1, 3) ? reset() : append();
      case 7:
        return restart();
      default:
        return append();
    }
  }

  // Nullopt: they are the same.
  std::optional<std::string> difference() const {
    std::vector<raft::TermStart> found;
    for (const TermStart& start : log_->term_starts())
      found.push_back({.term = start.term, .offset = start.offset});
    if (log_->start_offset() != outline_.start()) return "the starts differ";
    if (log_->end_offset() != outline_.end()) return "the ends differ";
    if (found != outline_.starts()) return "the term starts differ";
    const auto read_back = Outline::make(log_->start_offset(), log_->end_offset(), found);
    if (!read_back.has_value()) return "it is no outline";
    if (read_back->starts() != outline_.starts()) return "it is another outline when read back";
    return std::nullopt;
  }

 private:
  template <typename Ask>
  void wait(Ask ask) {
    const auto done = machine_.wait<void>(std::move(ask));
    CHECK(done.ok(), "{}", done.error().detail);
  }

  void begin_term() {
    term_ = term_ + static_cast<std::int32_t>(random_.between(1, 3));
    outline_.begin_term(term_);
    wait([&](auto reply) {
      log_->start_term({.term = term_, .offset = log_->end_offset()}, std::move(reply));
    });
  }

  // As a group does that cuts off a term that wrote nothing and begins another one there: nothing
  // but the new start is written.
  void replace_last_term() {
    if (outline_.starts().empty() || outline_.starts().back().offset != outline_.end()) return;
    const auto before = outline_.before_last_start();
    if (!before.has_value()) return;
    outline_.cut(*before);
    begin_term();
  }

  void append() {
    if (outline_.starts().empty()) return begin_term();
    const auto count = static_cast<std::int32_t>(random_.between(1, 4));
    outline_.extend(outline_.end() + count);
    const Bytes batch = testing::make_batch(
        machine_.random,
        {.base = log_->end_offset(), .count = count, .term = outline_.last().term});
    wait([&](auto reply) { log_->append(batch, std::move(reply)); });
    boundaries_.push_back(log_->end_offset());
  }

  // Back to the end of a batch of some term. A group never cuts to right behind a term's start: of
  // two logs that have the start one has nothing else there, and then there is nothing to cut.
  void cut() {
    std::vector<Position> places;
    if (outline_.start() == Offset{0}) places.push_back({});
    for (const Offset offset : boundaries_) {
      if (offset < outline_.start()) continue;
      for (const raft::TermStart& start : outline_.starts()) {
        const Position place{start.term, offset};
        if (start.offset < offset && outline_.contains(place)) places.push_back(place);
      }
    }
    if (places.empty()) return;
    const Position place = places[random_.below(places.size())];
    outline_.cut(place);
    std::erase_if(boundaries_, [&](Offset offset) { return offset > place.offset; });
    wait([&](auto reply) { log_->truncate(place.offset, std::move(reply)); });
  }

  void trim() {
    const auto length = static_cast<std::uint64_t>(outline_.end() - outline_.start());
    const Offset to = outline_.start() + static_cast<std::int64_t>(random_.below(length + 1));
    outline_.trim(to);
    wait([&](auto reply) { log_->delete_before(to, std::move(reply)); });
  }

  void reset() {
    term_ = term_ + 1;
    Position place{term_, outline_.end() + random_.between(-5, 20)};
    std::optional<TermStart> first;
    if (place.offset <= Offset{0}) {
      place = {};
    } else {
      first = TermStart{.term = term_, .offset = place.offset - random_.between(0, 1)};
    }
    outline_.reset(place, first.has_value()
                              ? raft::TermStart{.term = first->term, .offset = first->offset}
                              : raft::TermStart{});
    boundaries_ = {place.offset};
    wait([&](auto reply) { log_->reset(place.offset, first, {}, std::move(reply)); });
  }

  void restart() {
    if (random_.chance(1, 2)) CHECK(machine_.checkpoint().ok());
    switch (random_.below(3)) {
      case 0:
        machine_.crash(env::testing::Survival::kNothing);
        break;
      case 1:
        machine_.kill();
        break;
      default:
        machine_.stop();
        break;
    }
    machine_.start();
    log_ = machine_.store().find(key_of(0));
    CHECK(log_ != nullptr);
    (void)log_->take_recovered_producers();
    log_->set_settings({.segment_bytes = 3000});
  }

  StoreMachine machine_;
  common::Random random_;
  Log* log_ = nullptr;
  Outline outline_;
  Term term_{0};
  std::vector<Offset> boundaries_{Offset{0}};
};

TEST(LogOutlineTest, IsThatOfRaft) {
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    Pair pair(seed);
    for (int i = 0; i < 120; ++i) {
      pair.step();
      const auto wrong = pair.difference();
      ASSERT_FALSE(wrong.has_value()) << "seed " << seed << " step " << i << ": " << *wrong;
    }
  }
}

}  // namespace
}  // namespace millrace::storage
