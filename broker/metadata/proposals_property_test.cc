// Askers and gates over a log that changes leaders and a network that loses things.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <set>

#include "broker/metadata/machine.h"
#include "broker/metadata/proposal.h"
#include "broker/metadata/proposer.h"

namespace millrace::metadata {
namespace {

using common::Instant;
using model::BrokerId;
using model::ErrorCode;
using model::Offset;
using std::chrono::milliseconds;
using Act = Proposer::Act;

constexpr Instant kStart{std::chrono::seconds(1)};

struct Entry {
  Offset base;
  common::Uuid id;
  Record record;
  Offset next() const { return base + 1; }
};

struct Job {
  Proposer proposer;
  bool create = false;  // a topic of one name for all; else a block of producer ids
  std::optional<Record> record;
  std::optional<common::Error> refused;
  std::set<common::Uuid> ids_used;
  std::uint64_t serial = 0;
};

struct Node {
  Image image;
  std::size_t applied = 0;  // entries
  std::unique_ptr<Job> job;
  /// Of one that leads, or thinks so: what its log has behind the committed.
  bool leads = false;
  std::vector<Entry> tail;
  ProposalGate gate{milliseconds(50)};
};

struct Call {
  std::size_t from = 0;
  std::size_t to = 0;
  std::uint64_t serial = 0;  // of the job
  std::uint64_t number = 0;
  Proposal proposal;
};

class World {
 public:
  explicit World(std::uint64_t seed) : random_(seed) {
    settings_.patience = std::chrono::seconds(4);
    nodes_.resize(1 + random_.below(5));
    change_leader();
  }

  void run(int steps) {
    for (int i = 0; i < steps; ++i) step(true);
    // No more faults, and no more jobs: everything ends.
    for (int i = 0; i < 200'000 && !idle(); ++i) step(false);
    EXPECT_TRUE(idle());
    for (std::size_t i = 0; i < nodes_.size(); ++i) {
      while (nodes_[i].applied < committed_.size()) apply(i);
      EXPECT_TRUE(nodes_[i].image == nodes_[0].image);
    }
    EXPECT_EQ(nodes_[0].image.rejected(), 0U) << nodes_[0].image.last_rejection();
    check_outcomes();
  }

  int done = 0;
  int exists = 0;
  int unknown = 0;
  int nothing = 0;

 private:
  void step(bool faults) {
    now_ += milliseconds(1);
    const std::size_t i = random_.below(nodes_.size());
    switch (random_.below(faults ? 40 : 30)) {
      case 35:
        return change_leader();
      case 36:
        return resign(i);
      case 37:
      case 38:
        return lose_call();
      case 39:
        if (nodes_[i].job == nullptr) start_job(i);
        return;
      default:
        break;
    }
    if (random_.chance(1, 2)) deliver();
    if (random_.chance(1, 2)) commit();
    if (nodes_[i].applied < committed_.size()) apply(i);
    for (std::size_t at = 0; at < nodes_.size(); ++at) drive(at);
  }

  bool idle() const {
    return std::all_of(nodes_.begin(), nodes_.end(),
                       [](const Node& node) { return node.job == nullptr; });
  }

  Offset end_of(const Node& node) const {
    return Offset{static_cast<std::int64_t>(committed_.size() + node.tail.size())};
  }

  void start_job(std::size_t i) {
    nodes_[i].job = std::make_unique<Job>(Job{.proposer = Proposer(settings_, random_, now_),
                                              .create = random_.chance(1, 3),
                                              .record = {},
                                              .refused = {},
                                              .ids_used = {},
                                              .serial = ++serial_});
  }

  void decide(Node& node) {
    Job& job = *node.job;
    job.record.reset();
    job.refused.reset();
    std::vector<Record> records;
    if (job.create) {
      CreateTopic command{.name = fmt::format("t{}", committed_.size() / 20),
                          .id = common::Uuid::random(random_)};
      command.assignments = {{0, {BrokerId{0}}}};
      Image with_broker = node.image;
      with_broker.apply(BrokerRegistered{{.id = BrokerId{0}}});
      auto decision = decide_on(with_broker, command);
      if (decision.ok()) {
        records = decision->records;
      } else {
        job.refused = decision.error();
      }
    } else {
      records = metadata::decide(node.image, AllocateProducerIds{10})->records;
    }
    const Offset base{static_cast<std::int64_t>(node.applied)};
    if (job.refused) return job.proposer.decided(base, {});
    job.record = records.front();
    const common::Uuid id = common::Uuid::random(random_);
    job.ids_used.insert(id);
    job.proposer.decided(base, id);
  }

  static Result<Decision<TopicOutcome>> decide_on(const Image& image, const CreateTopic& command) {
    return metadata::decide(image, command, CreationRules{.partitions_per_shard_max = 1'000'000});
  }

  void drive(std::size_t i) {
    Node& node = nodes_[i];
    while (node.job != nullptr) {
      Job& job = *node.job;
      const auto step = job.proposer.next(now_, Offset{static_cast<std::int64_t>(node.applied)});
      switch (step.act) {
        case Act::kDecide:
          decide(node);
          continue;
        case Act::kSend:
          send(i);
          continue;
        case Act::kWait:
          return;
        case Act::kDone:
          return finish(node, {});
        case Act::kFail:
          return finish(node, step.error);
      }
    }
  }

  /// To whoever it takes for the leader.
  void send(std::size_t i) {
    Job& job = *nodes_[i].job;
    if (random_.chance(1, 20)) return job.proposer.no_leader(now_);
    Proposal proposal{BrokerId{static_cast<std::int32_t>(i)}, job.proposer.base(), {}};
    if (job.record) {
      const std::vector<Record> records{*job.record};
      proposal.batch = to_batch(records, common::Timestamp{1}, job.proposer.id());
    }
    std::size_t to = leader_;
    if (random_.chance(1, 10)) to = random_.below(nodes_.size());
    calls_.push_back({i, to, job.serial, job.proposer.sent(), std::move(proposal)});
  }

  /// Some calls arrive although nobody waits for them any more.
  void lose_call() {
    if (calls_.empty()) return;
    const std::size_t at = random_.below(calls_.size());
    const Call call = calls_[at];
    if (random_.chance(1, 2)) calls_.erase(calls_.begin() + static_cast<std::ptrdiff_t>(at));
    Node& node = nodes_[call.from];
    if (node.job != nullptr && node.job->serial == call.serial)
      node.job->proposer.unanswered(call.number, {ErrorCode::kConnectionClosed, "lost"}, now_);
  }

  void answer(const Call& call, ProposalAnswer answer) {
    Node& node = nodes_[call.from];
    if (node.job == nullptr || node.job->serial != call.serial) return;
    if (random_.chance(1, 10)) {
      node.job->proposer.unanswered(call.number, {ErrorCode::kConnectionClosed, "lost"}, now_);
    } else {
      node.job->proposer.answered(call.number, answer, now_);
    }
  }

  void deliver() {
    if (calls_.empty()) return;
    const std::size_t at = random_.below(calls_.size());
    const Call call = calls_[at];
    calls_.erase(calls_.begin() + static_cast<std::ptrdiff_t>(at));
    Node& node = nodes_[call.to];
    if (!node.leads) return answer(call, {.verdict = Verdict::kNotLeader});
    const Verdict verdict = node.gate.judge(call.proposal, {end_of(node), now_});
    if (verdict != Verdict::kYes || call.proposal.batch.empty())
      return answer(call, {.verdict = verdict, .newest = end_of(node)});
    const auto batch = model::BatchView::parse(call.proposal.batch).value();
    const auto values = values_of(batch).value();
    node.tail.push_back({end_of(node), proposal_of(batch), decode(values.front()).value()});
    pending_[{call.to, node.tail.back().id}] = call;
  }

  void commit() {
    Node& node = nodes_[leader_];
    if (node.tail.empty()) return;
    committed_.push_back(node.tail.front());
    node.tail.erase(node.tail.begin());
    // Who thinks that it leads, and does not, has other things there, which it will lose.
    for (std::size_t i = 0; i < nodes_.size(); ++i) {
      if (i != leader_ && nodes_[i].leads) resign(i);
    }
    const auto pending = pending_.find({leader_, committed_.back().id});
    if (pending == pending_.end()) return;
    answer(pending->second, {.verdict = Verdict::kYes});
    pending_.erase(pending);
  }

  /// The old one goes on as if it led, for a while.
  void change_leader() {
    const std::vector<Entry> old = nodes_[leader_].tail;
    leader_ = random_.below(nodes_.size());
    Node& next = nodes_[leader_];
    drop_tail(leader_);
    next.leads = true;
    // What was not committed may be on the new leader, or not; its end first.
    next.tail.assign(old.begin(),
                     old.begin() + static_cast<std::ptrdiff_t>(random_.below(old.size() + 1)));
    next.gate.clear();
  }

  void resign(std::size_t i) {
    if (i == leader_) return;
    nodes_[i].leads = false;
    drop_tail(i);
  }

  void drop_tail(std::size_t i) {
    for (const Entry& entry : std::exchange(nodes_[i].tail, {})) {
      const auto pending = pending_.find({i, entry.id});
      if (pending == pending_.end()) continue;
      answer(pending->second, {.verdict = Verdict::kUnknown});
      pending_.erase(pending);
    }
  }

  void apply(std::size_t i) {
    Node& node = nodes_[i];
    const Entry& entry = committed_[node.applied];
    node.image.apply(entry.record);
    ++node.applied;
    if (node.job != nullptr) node.job->proposer.applied(entry.base, entry.id);
  }

  bool in_log(const std::set<common::Uuid>& ids) const {
    return std::any_of(committed_.begin(), committed_.end(),
                       [&](const Entry& entry) { return ids.contains(entry.id); });
  }

  void finish(Node& node, const std::optional<common::Error>& error) {
    const std::unique_ptr<Job> job = std::move(node.job);
    const auto times = std::count_if(committed_.begin(), committed_.end(), [&](const Entry& entry) {
      return job->ids_used.contains(entry.id);
    });
    EXPECT_LE(times, 1) << "a change took place twice";
    if (!error && job->refused) {
      ++exists;
      EXPECT_EQ(job->refused->code, ErrorCode::kTopicAlreadyExists);
      EXPECT_EQ(times, 0) << "made by itself, and told that it exists";
    } else if (!error) {
      ++done;
      EXPECT_EQ(times, 1) << "told to be done, and is not";
      if (!job->create) {
        EXPECT_TRUE(blocks_.insert(std::get<ProducerIdsAllocated>(*job->record).next).second)
            << "a block was given twice";
      }
    } else if (error->code == ErrorCode::kNotController) {
      ++nothing;
      EXPECT_EQ(times, 0) << error->detail;
      nothing_.push_back(job->ids_used);
    } else {
      ++unknown;
      EXPECT_EQ(error->code, ErrorCode::kRequestTimedOut);
    }
  }

  /// What was told to have changed nothing has not done so later either.
  void check_outcomes() {
    for (const auto& ids : nothing_) EXPECT_FALSE(in_log(ids));
  }

  common::Random random_;
  ProposerSettings settings_;
  Instant now_ = kStart;
  std::vector<Node> nodes_;
  std::size_t leader_ = 0;
  std::uint64_t serial_ = 0;
  std::vector<Entry> committed_;
  std::vector<Call> calls_;
  std::map<std::pair<std::size_t, common::Uuid>, Call> pending_;
  std::set<model::ProducerId> blocks_;
  std::vector<std::set<common::Uuid>> nothing_;
};

// Goal: a change happens once at most, and its asker is told the truth about it; all images are
// equal; nothing hangs. Method: random leaders, losses and delays.
TEST(Proposals, HappenOnceAndAreReportedTruly) {
  int done = 0;
  int exists = 0;
  int unknown = 0;
  int nothing = 0;
  for (std::uint64_t seed = 1; seed <= 150; ++seed) {
    SCOPED_TRACE(seed);
    World world(seed);
    world.run(4000);
    done += world.done;
    exists += world.exists;
    unknown += world.unknown;
    nothing += world.nothing;
    if (::testing::Test::HasFailure()) break;
  }
  EXPECT_GT(done, 3000);
  EXPECT_GT(exists, 300);
  EXPECT_LT(unknown + nothing, done / 10);
}

}  // namespace
}  // namespace millrace::metadata
