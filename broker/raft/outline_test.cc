// Goal: an outline tells where logs part, as comparing them record by record does. Method: random
// pairs of logs that share a beginning, against logs written out entry by entry.
#include "broker/raft/outline.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "common/random.h"

namespace millrace::raft {
namespace {

/// Writes on in terms (each drawn at most once over both logs, as one leader writes a term).
void grow(Outline& log, common::Random& random, Term& term, int terms) {
  for (int i = 0; i < terms; ++i) {
    term = term + static_cast<std::int32_t>(random.between(1, 3));
    log.begin_term(term);
    log.extend(log.end() + random.between(0, 4));
  }
}

Outline copy_up_to(const Outline& log, Position position) {
  Outline copy = log;
  copy.cut(position);
  return copy;
}

TEST(Outline, FindsTheForkOfTwoLogs) {
  for (std::uint64_t seed = 1; seed <= 2000; ++seed) {
    common::Random random(seed);
    Outline left;
    Term term{0};
    grow(left, random, term, static_cast<int>(random.between(0, 5)));
    const Position common_end = left.last();
    Outline right = copy_up_to(left, common_end);
    // Behind the common part each goes on in terms of its own.
    grow(left, random, term, static_cast<int>(random.between(0, 4)));
    grow(right, random, term, static_cast<int>(random.between(0, 4)));
    const auto fork = left.fork(right.starts(), right.end(), right.start());
    ASSERT_TRUE(fork.has_value()) << seed;
    EXPECT_TRUE(left.contains(*fork) && right.contains(*fork)) << seed;
    // A term that wrote nothing may have been forgotten at the end of the common part by one side;
    // no record is.
    EXPECT_EQ(fork->offset, common_end.offset) << seed;
  }
}

TEST(Outline, AgreesAsFarAsTheStretchIsTheSame) {
  Outline log;
  log.begin_term(Term{1});
  log.extend(Offset{10});
  log.begin_term(Term{3});
  log.extend(Offset{15});
  const Position prev{Term{1}, Offset{4}};
  EXPECT_EQ(log.agreement(prev, Term{1}, Offset{8}), (Position{Term{1}, Offset{8}}));
  EXPECT_EQ(log.agreement(prev, Term{1}, Offset{20}), (Position{Term{1}, Offset{10}}));
  EXPECT_EQ(log.agreement(prev, Term{2}, Offset{8}), prev);
  const Position end_of_first{Term{1}, Offset{10}};
  EXPECT_EQ(log.agreement(end_of_first, Term{3}, Offset{12}), (Position{Term{3}, Offset{12}}));
  EXPECT_EQ(log.agreement(end_of_first, Term{4}, Offset{12}), end_of_first);
  EXPECT_EQ(log.after(end_of_first), (Stretch{Term{3}, Offset{15}}));
  EXPECT_EQ(log.after(log.last()), (Stretch{Term{3}, Offset{15}}));
}

// A log trimmed to where a term starts still knows the term in front of it, so that this start can
// be cut off again when its leader lost (a found bug: the follower could not be told where to go
// on).
TEST(Outline, KeepsTheTermInFrontOfItsStart) {
  Outline log;
  log.begin_term(Term{3});
  log.extend(Offset{17});
  log.begin_term(Term{4});
  log.extend(Offset{32});
  log.trim(Offset{17});
  EXPECT_TRUE(log.contains({Term{3}, Offset{17}}));
  log.cut({Term{3}, Offset{17}});
  EXPECT_EQ(log.last(), (Position{Term{3}, Offset{17}}));
  log.begin_term(Term{5});
  log.trim(Offset{17});
  EXPECT_EQ(log.before_last_start(), (Position{Term{3}, Offset{17}}));
}

TEST(Outline, RefusesWhatIsNoLog) {
  using Starts = std::vector<TermStart>;
  const auto made = [](std::int64_t start, std::int64_t end, Starts starts) {
    return Outline::make(Offset{start}, Offset{end}, std::move(starts)).has_value();
  };
  EXPECT_TRUE(made(0, 0, {}));
  EXPECT_TRUE(made(5, 9, {{Term{2}, Offset{3}}, {Term{4}, Offset{9}}}));
  EXPECT_FALSE(made(5, 4, {{Term{2}, Offset{3}}}));
  EXPECT_FALSE(made(0, 4, {}));
  EXPECT_FALSE(made(0, 4, {{Term{2}, Offset{3}}}));
  EXPECT_FALSE(made(0, 9, {{Term{2}, Offset{0}}, {Term{2}, Offset{3}}}));
  EXPECT_FALSE(made(0, 9, {{Term{2}, Offset{0}}, {Term{3}, Offset{0}}}));
  EXPECT_FALSE(made(0, 9, {{Term{2}, Offset{0}}, {Term{3}, Offset{10}}}));
}

}  // namespace
}  // namespace millrace::raft
