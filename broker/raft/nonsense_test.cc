// Goal: whatever peers send, a replica neither crashes nor asks for something that its log cannot
// do. Method: one replica among others that send messages drawn at random, near enough to what it
// holds to be taken seriously; the shell's log has the CHECKs.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "broker/raft/message_rules.h"
#include "broker/raft/testing/shell.h"
#include "broker/raft/testing/text.h"

namespace millrace::raft {
namespace {

class Liar {
 public:
  explicit Liar(std::uint64_t seed) : random_(seed) {
    HardState hard;
    hard.config.id.version = 1;
    for (int i = 1; i <= 3; ++i) hard.config.voters.push_back(replica_id(i));
    GroupSettings group_settings;
    if (random_.chance(1, 3)) group_settings.flush = FlushMode::kRelaxed;
    settings_.contacts = &contacts_;
    shell_ = std::make_unique<Shell>(replica_id(1), group_settings, settings_, random_);
    shell_->format(hard, {});
    shell_->boot(now_, random_.chance(1, 4));
  }

  void act() {
    now_ += std::chrono::milliseconds(random_.between(0, 300));
    Group& group = shell_->group();
    if (random_.chance(1, 8)) hear();
    switch (random_.below(12)) {
      case 0:
        shell_->tick(now_);
        break;
      case 1:
        shell_->campaign(now_);
        break;
      case 2:
        shell_->propose(random_.between(1, 5), now_);
        break;
      case 3:
        shell_->sync_log(random_.below(3) + 1, now_);
        break;
      case 4:
        shell_->sync_hard(now_);
        break;
      case 5:
        shell_->answer_fetch(random_.between(0, 9), now_);
        break;
      case 6:
        shell_->suspect(model::BrokerId{number(1, 4)}, now_);
        break;
      case 7:
        shell_->alive(model::BrokerId{number(1, 4)}, now_);
        break;
      case 8:
        shell_->trim(Offset{random_.between(0, group.commit().value())}, now_);
        break;
      default:
        shell_->step(letter(), now_);
        break;
    }
    shell_->output().clear();
    shell_->written().clear();
  }

  std::uint64_t taken() const { return taken_; }
  std::uint64_t leased() const { return leased_; }
  const Group& group() const { return shell_->group(); }

 private:
  std::int32_t number(int low, int high) {
    return static_cast<std::int32_t>(random_.between(low, high));
  }
  Trust trust() { return Trust{random_.below(4)}; }
  void hear() {
    const model::BrokerId node{number(1, 4)};
    contacts_.trust(node, trust());
    contacts_.hear(node, {.trust = trust(),
                          .heard = now_ - std::chrono::milliseconds(random_.between(0, 2000)),
                          .patience = std::chrono::seconds(1),
                          .wordless = random_.chance(1, 8)});
    leased_ += shell_->group().leased(now_) ? 1 : 0;
  }
  Term term() { return shell_->group().term() + number(-1, 1); }
  Offset offset() {
    const Group& group = shell_->group();
    switch (random_.below(5)) {
      case 0:
        return group.log_end();
      case 1:
        return group.log_start();
      case 2:
        return group.commit();
      case 3:
        return Offset{0};
      default:
        return group.log_end() + random_.between(-10, 10);
    }
  }
  Position position() {
    const Group& group = shell_->group();
    if (random_.chance(1, 2)) return group.log().last();
    return {group.log().last().term + number(-2, 2), offset()};
  }
  TermStart start() { return {term(), offset()}; }

  VoterSet config() {
    VoterSet set;
    set.id = {shell_->group().config().id.term + number(-1, 1),
              shell_->group().config().id.version + number(-1, 2)};
    for (int i = 1; i <= 4; ++i) {
      if (random_.chance(2, 3)) set.voters.push_back(replica_id(i));
      if (random_.chance(1, 6)) set.learners.push_back(replica_id(i, number(0, 1)));
    }
    return set;
  }

  AppendReply append_reply() {
    AppendReply reply{.acked = position(), .received = position(), .commit = offset()};
    if (random_.chance(1, 2)) reply.received = reply.acked;
    reply.incarnation = static_cast<std::uint32_t>(number(0, 2));
    reply.unclean = random_.chance(1, 4);
    reply.trust = trust();
    if (random_.chance(1, 2)) {
      AppendReply::Mismatch mismatch{
          .prev = position(), .log_start = offset(), .log_end = offset()};
      for (int i = number(0, 3); i > 0; --i) mismatch.starts.push_back(start());
      std::ranges::sort(mismatch.starts, {}, &TermStart::term);
      reply.mismatch = std::move(mismatch);
    }
    return reply;
  }

  Letter letter() {
    Letter made;
    Message& message = made.message;
    message.from = replica_id(number(1, 4), number(0, 8) == 0 ? 1 : 0);
    message.to = replica_id(1, number(0, 8) == 0 ? 1 : 0);
    message.term = term();
    message.config_id = {term(), number(0, 5)};
    if (random_.chance(1, 4)) message.config = config();
    const Ballot ballot = random_.chance(1, 2) ? Ballot::kPre : Ballot::kReal;
    switch (random_.below(6)) {
      case 0:
        message.body = VoteRequest{ballot, ballot == Ballot::kPre ? message.term + 1 : message.term,
                                   position(), random_.chance(1, 4)};
        break;
      case 1:
        message.body = VoteReply{ballot, term() + number(0, 1), random_.chance(2, 3)};
        break;
      case 2: {
        Append append{.prev = position(), .term = message.term, .to = offset()};
        if (random_.chance(1, 3)) append.term = append.prev.term;
        append.commit = offset();
        append.commit_confirmed = random_.chance(1, 2);
        append.log_start = offset();
        append.loss_term = Term{random_.chance(1, 8) ? message.term : Term{0}};
        append.incarnation = static_cast<std::uint32_t>(number(0, 2));
        append.probe = random_.chance(1, 2);
        if (append.to > append.prev.offset) {
          made.data = std::make_shared<Entries>(
              static_cast<std::size_t>(append.to - append.prev.offset), Entry{append.term, 1});
        }
        message.body = append;
        break;
      }
      case 3: {
        const Position at = position();
        message.body =
            Install{.at = at, .first = {at.term, at.offset - number(0, 3)}, .loss_term = {}};
        break;
      }
      case 4:
        message.body = append_reply();
        break;
      default:
        message.body = TimeoutNow{};
        break;
    }
    taken_ += is_sound(message) ? 1 : 0;
    return made;
  }

  common::Random random_;
  Contacts contacts_;
  Settings settings_;
  Instant now_{};
  std::unique_ptr<Shell> shell_;
  std::uint64_t taken_ = 0;
  std::uint64_t leased_ = 0;
};

TEST(Nonsense, HarmsNobody) {
  std::uint64_t taken = 0;
  std::uint64_t leased = 0;
  std::array<std::uint64_t, static_cast<std::size_t>(Oddity::kCount)> odd{};
  for (std::uint64_t seed = 1; seed <= 3000; ++seed) {
    SCOPED_TRACE(seed);
    Liar liar(seed);
    for (int i = 0; i < 300; ++i) liar.act();
    taken += liar.taken();
    leased += liar.leased();
    for (std::size_t i = 0; i < odd.size(); ++i)
      odd[i] += liar.group().oddities(static_cast<Oddity>(i));
  }
  EXPECT_GT(taken, 10'000U);
  EXPECT_GT(leased, 100U);
  for (std::size_t i = 0; i < odd.size(); ++i) EXPECT_GT(odd[i], 0U) << "oddity " << i;
}

}  // namespace
}  // namespace millrace::raft
