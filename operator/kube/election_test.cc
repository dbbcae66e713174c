#include <fmt/format.h>
#include <gtest/gtest.h>

#include <deque>
#include <memory>
#include <vector>

#include "operator/kube/lease.h"

namespace millrace::kube {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using Written = Election::Written;

common::Instant at(common::Duration since) {
  return common::Instant{since};
}

class ElectionTest : public testing::Test {
 protected:
  Election::Step step(common::Duration now) { return one_.step(at(now), wall(now)); }
  static std::string wall(common::Duration now) {
    return fmt::format("t{}", std::chrono::duration_cast<milliseconds>(now).count());
  }
  /// Takes the lease that nobody has.
  void lead(common::Duration now) {
    ASSERT_TRUE(std::holds_alternative<Election::Read>(step(now)));
    one_.read_done(std::nullopt, at(now));
    const auto write = std::get<Election::Write>(step(now)).record;
    EXPECT_EQ(write.resource_version, "");
    one_.write_done(Written::kYes, write, "1", at(now), at(now + milliseconds(5)));
    ASSERT_TRUE(one_.leading(at(now + milliseconds(5))));
  }
  LeaseRecord of_other(const std::string& version) {
    return {"two", 15, "a", "r" + version, 3, version};
  }

  Election one_{"one", {}};
};

TEST_F(ElectionTest, TakesALeaseThatIsNotThere) {
  lead(seconds(0));
  EXPECT_EQ(one_.holder(), "one");
  EXPECT_EQ(one_.leads_until(), at(seconds(10)));
}

TEST_F(ElectionTest, ALeaderRenewsEveryTwoSeconds) {
  lead(seconds(0));
  EXPECT_EQ(std::get<Election::Wait>(step(seconds(1))).until, at(seconds(2)));
  const auto record = std::get<Election::Write>(step(seconds(2))).record;
  EXPECT_EQ(record.resource_version, "1");
  EXPECT_EQ(record.acquired, "t0");
  EXPECT_EQ(record.renewed, "t2000");
  EXPECT_EQ(record.transitions, 0);
  one_.write_done(Written::kYes, record, "2", at(seconds(2)), at(seconds(3)));
  // It counts from when the write was sent, not from when the answer came.
  EXPECT_EQ(one_.leads_until(), at(seconds(12)));
}

TEST_F(ElectionTest, WaitsForAsLongAsTheHolderMayStillLead) {
  step(seconds(0));
  one_.read_done(of_other("7"), at(seconds(0)));
  for (int second = 2; second < 15; second += 2) {
    ASSERT_TRUE(std::holds_alternative<Election::Read>(step(seconds(second)))) << second;
    one_.read_done(of_other("7"), at(seconds(second)));
  }
  ASSERT_TRUE(std::holds_alternative<Election::Read>(step(seconds(16))));
  one_.read_done(of_other("7"), at(seconds(16)));
  const auto record = std::get<Election::Write>(step(seconds(16))).record;
  EXPECT_EQ(record.holder, "one");
  EXPECT_EQ(record.transitions, 4);
  EXPECT_EQ(record.resource_version, "7");
}

TEST_F(ElectionTest, ARecordThatChangesIsAHolderThatLives) {
  for (int second = 0; second <= 60; second += 2) {
    ASSERT_TRUE(std::holds_alternative<Election::Read>(step(seconds(second)))) << second;
    one_.read_done(of_other(std::to_string(second)), at(seconds(second)));
  }
}

TEST_F(ElectionTest, ALongerLeaseOfTheHolderCounts) {
  LeaseRecord other = of_other("7");
  other.seconds = 60;
  step(seconds(0));
  one_.read_done(other, at(seconds(0)));
  step(seconds(40));
  one_.read_done(other, at(seconds(40)));
  EXPECT_TRUE(std::holds_alternative<Election::Wait>(step(seconds(40))));
  step(seconds(60));
  one_.read_done(other, at(seconds(60)));
  EXPECT_TRUE(std::holds_alternative<Election::Write>(step(seconds(60))));
}

TEST_F(ElectionTest, ALeaseThatWasGivenUpIsTakenAtOnce) {
  LeaseRecord free = of_other("7");
  free.holder.clear();
  step(seconds(0));
  one_.read_done(free, at(seconds(0)));
  EXPECT_TRUE(std::holds_alternative<Election::Write>(step(seconds(0))));
}

TEST_F(ElectionTest, ALeaderThatCannotRenewStopsInTime) {
  lead(seconds(0));
  const auto record = std::get<Election::Write>(step(seconds(2))).record;
  one_.write_done(Written::kNo, record, {}, at(seconds(2)), at(seconds(3)));
  ASSERT_TRUE(std::holds_alternative<Election::Read>(step(seconds(3))));
  one_.read_failed(at(seconds(4)));
  EXPECT_TRUE(one_.leading(at(milliseconds(9999))));
  EXPECT_FALSE(one_.leading(at(seconds(10))));
  // The wait before the next try ends when leadership does: the shell must say so at once.
  step(seconds(6));
  one_.read_failed(at(seconds(9)));
  EXPECT_EQ(std::get<Election::Wait>(step(seconds(9))).until, at(seconds(10)));
  step(seconds(10));
  EXPECT_EQ(one_.leads_until(), std::nullopt);
}

TEST_F(ElectionTest, SomebodyElsesRecordEndsLeadershipAtOnce) {
  lead(seconds(0));
  const auto record = std::get<Election::Write>(step(seconds(2))).record;
  one_.write_done(Written::kNo, record, {}, at(seconds(2)), at(seconds(2)));
  ASSERT_TRUE(std::holds_alternative<Election::Read>(step(seconds(2))));
  one_.read_done(of_other("9"), at(seconds(2)));
  EXPECT_FALSE(one_.leading(at(seconds(2))));
}

// Goal: kubectl annotate on the Lease makes one renewal fail, not the leadership.
TEST_F(ElectionTest, AConflictWithSomebodyWhoLeftTheHolderAloneIsRenewedOver) {
  lead(seconds(0));
  auto record = std::get<Election::Write>(step(seconds(2))).record;
  one_.write_done(Written::kNo, record, {}, at(seconds(2)), at(seconds(2)));
  step(seconds(2));
  LeaseRecord mine = record;
  mine.renewed = "t0";
  mine.resource_version = "5";
  one_.read_done(mine, at(seconds(2)));
  EXPECT_TRUE(one_.leading(at(seconds(2))));
  record = std::get<Election::Write>(step(seconds(4))).record;
  EXPECT_EQ(record.resource_version, "5");
}

TEST_F(ElectionTest, ALostAnswerCountsFromWhenTheWriteWasSent) {
  step(seconds(0));
  one_.read_done(std::nullopt, at(seconds(0)));
  LeaseRecord record = std::get<Election::Write>(step(seconds(0))).record;
  one_.write_done(Written::kUnknown, record, {}, at(seconds(0)), at(seconds(4)));
  EXPECT_FALSE(one_.leading(at(seconds(4))));
  ASSERT_TRUE(std::holds_alternative<Election::Read>(step(seconds(6))));
  record.resource_version = "1";
  one_.read_done(record, at(seconds(6)));
  EXPECT_EQ(one_.leads_until(), at(seconds(10)));
}

TEST_F(ElectionTest, ALostAnswerThatIsReadTooLateIsWrittenAgain) {
  step(seconds(0));
  one_.read_done(std::nullopt, at(seconds(0)));
  LeaseRecord record = std::get<Election::Write>(step(seconds(0))).record;
  one_.write_done(Written::kUnknown, record, {}, at(seconds(0)), at(seconds(9)));
  step(seconds(11));
  record.resource_version = "1";
  one_.read_done(record, at(seconds(11)));
  EXPECT_FALSE(one_.leading(at(seconds(11))));
  EXPECT_EQ(std::get<Election::Write>(step(seconds(11))).record.resource_version, "1");
}

TEST_F(ElectionTest, GivesUpOnlyWhatItHas) {
  EXPECT_EQ(one_.resign(at(seconds(0)), "t"), std::nullopt);
  lead(seconds(0));
  const auto record = one_.resign(at(seconds(3)), "t3");
  ASSERT_TRUE(record);
  EXPECT_EQ(record->holder, "");
  EXPECT_EQ(record->resource_version, "1");
  EXPECT_FALSE(one_.leading(at(seconds(3))));
}

// ---- many at once ----------------------------------------------------------------------------

/// Where the Lease is kept: one record, conditional writes.
class Store {
 public:
  std::optional<LeaseRecord> read() const { return record_; }
  /// The new version, or nothing: another one is there.
  std::optional<std::string> write(LeaseRecord record) {
    const std::string stored = record_ ? record_->resource_version : "";
    if (record.resource_version != stored) return std::nullopt;
    record.resource_version = std::to_string(++versions_);
    record_ = record;
    return record.resource_version;
  }

 private:
  std::optional<LeaseRecord> record_;
  int versions_ = 0;
};

/// One operator whose clock runs at its own speed, and whose calls take time or get lost.
class Candidate {
 public:
  Candidate(std::string name, common::Random random)
      : random_(random), election_(std::move(name), {}) {
    // Up to 10 % fast or slow.
    rate_per_mille_ = random_.between(900, 1100);
    offset_ = seconds(random_.between(0, 1000));
  }

  common::Instant local(common::Duration now) const {
    return common::Instant{offset_ + now / 1000 * rate_per_mille_};
  }
  bool leading(common::Duration now) const { return election_.leading(local(now)); }

  enum class Weather { kCalm, kStormy, kCutOff };

  /// Something may happen at `now`.
  void turn(common::Duration now, Store& store, Weather weather) {
    if (waits_for_ && now < *waits_for_) return;
    if (waits_for_) {
      waits_for_.reset();
      return finish(now);
    }
    const auto step = election_.step(local(now), fmt::format("{}", now.count()));
    if (std::holds_alternative<Election::Wait>(step)) return;
    began_ = local(now);
    const bool slow = weather != Weather::kCalm && random_.chance(1, 10);
    waits_for_ = now + milliseconds(random_.between(1, slow ? 7000 : 200));
    const bool cut_off = weather == Weather::kCutOff;
    lost_ = cut_off || (weather == Weather::kStormy && random_.chance(1, 10));
    const bool arrives = !cut_off || random_.chance(1, 10);
    if (const auto* write = std::get_if<Election::Write>(&step)) {
      record_ = write->record;
      version_.reset();
      if (arrives) version_ = store.write(write->record);
      reads_ = false;
    } else {
      found_ = store.read();
      reads_ = true;
    }
  }

 private:
  void finish(common::Duration now) {
    if (reads_) {
      return lost_ ? election_.read_failed(local(now)) : election_.read_done(found_, local(now));
    }
    const Written how = lost_ ? Written::kUnknown : version_ ? Written::kYes : Written::kNo;
    election_.write_done(how, record_, version_.value_or(""), began_, local(now));
  }

  common::Random random_;
  Election election_;
  std::int64_t rate_per_mille_ = 1000;
  common::Duration offset_{0};
  std::optional<common::Duration> waits_for_;
  common::Instant began_;
  bool reads_ = false;
  bool lost_ = false;
  std::optional<LeaseRecord> found_;
  LeaseRecord record_;
  std::optional<std::string> version_;
};

// Goal: whatever happens, two never lead at once; and when nothing more happens, one does. Method:
// three operators with clocks that run differently, calls that are slow or lost, cuts of up to 40
// s; stepped every 10 ms.
TEST(ElectionProperty, NeverTwoAndInTheEndOne) {
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    common::Random random(seed);
    Store store;
    std::vector<Candidate> candidates;
    for (const char* name : {"a", "b", "c"}) candidates.emplace_back(name, random.fork());
    std::vector<common::Duration> cut_until(candidates.size(), common::Duration(0));
    int terms_seen = 0;
    const common::Duration storm = seconds(240);
    for (common::Duration now{0}; now < storm + seconds(60); now += milliseconds(10)) {
      int leaders = 0;
      for (std::size_t i = 0; i < candidates.size(); ++i) {
        if (now < storm && random.chance(1, 2000)) {
          cut_until[i] = now + seconds(random.between(1, 40));
        }
        const auto weather = now >= storm         ? Candidate::Weather::kCalm
                             : now < cut_until[i] ? Candidate::Weather::kCutOff
                                                  : Candidate::Weather::kStormy;
        candidates[i].turn(now, store, weather);
        leaders += candidates[i].leading(now) ? 1 : 0;
      }
      ASSERT_LE(leaders, 1) << "seed " << seed << " at " << now.count();
      terms_seen += leaders;
    }
    ASSERT_GT(terms_seen, 0) << "seed " << seed;
    int leaders = 0;
    for (const Candidate& candidate : candidates) {
      leaders += candidate.leading(storm + seconds(60)) ? 1 : 0;
    }
    EXPECT_EQ(leaders, 1) << "seed " << seed;
  }
}

}  // namespace
}  // namespace millrace::kube
