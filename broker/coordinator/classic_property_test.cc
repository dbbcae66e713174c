// Goal: whatever members do and whenever the coordinator dies, a partition has one owner in each
// generation, what was committed never goes back, every request is answered once, and when the
// faults end everybody is served (E40 to E42 of the project's list of bugs that others had).
// Method: clients that follow the protocol as real ones do, some slow, some dying; random steps
// from a seed; then quiet, in which the group must become whole. And one run cut off at every step.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <set>
#include <sstream>

#include "broker/coordinator/consumer_protocol.h"
#include "broker/coordinator/testing/harness.h"
#include "broker/coordinator/testing/text.h"
#include "common/random.h"

namespace millrace::coordinator {
namespace {

using std::chrono::milliseconds;

constexpr std::int32_t kPartitions = 6;

std::string to_text(const std::set<std::int32_t>& partitions) {
  return fmt::format("{}", fmt::join(partitions, "+"));
}

std::set<std::int32_t> parse(std::string_view text) {
  std::set<std::int32_t> partitions;
  std::istringstream in{std::string(text)};
  for (std::string one; std::getline(in, one, '+');) partitions.insert(std::stoi(one));
  return partitions;
}

/// A consumer as far as the coordinator sees it.
struct Client {
  std::string name;
  std::optional<std::string> instance;
  std::string id;
  Epoch generation{-1};
  enum class Phase : std::uint8_t { kOut, kJoining, kMustSync, kSyncing, kIn } phase = Phase::kOut;
  Epoch muted{-1};                     // the generation in which a commit of it is stuck on its way
  std::vector<std::string> to_assign;  // the leader: whom
  bool leads = false;
  std::map<std::int32_t, std::int64_t> positions;  // what it owns, and how far it read
  std::set<std::int32_t> unread;                   // what it owns, and does not know yet from where
  int request = 0;                                 // the newest; answers to older ones are late
  bool alive = true;
  bool slow = false;
  bool stubborn = false;  // commits, and hardly ever asks whether it is still in
  int lives = 0;

  void lose() {
    positions.clear();
    unread.clear();
  }
  void forget() {
    lose();
    id.clear();
    generation = Epoch{-1};
    phase = Phase::kOut;
  }
};

class World {
 public:
  explicit World(std::uint64_t seed) : random_(seed), harness_(settings()) {
    const std::uint64_t count = 2 + random_.below(5);
    for (std::uint64_t i = 0; i < count; ++i) {
      Client client;
      client.name = fmt::format("c{}", i);
      if (random_.chance(1, 3)) client.instance = fmt::format("i{}", i);
      client.slow = random_.chance(1, 5);
      client.stubborn = random_.chance(1, 4);
      clients_.push_back(std::move(client));
    }
  }

  void step() {
    world_step();
    Client& client = clients_[random_.below(clients_.size())];
    if (!client.alive) {
      if (random_.chance(1, 4)) revive(client);
    } else if (random_.chance(1, 60)) {
      client.alive = false;
    } else if (random_.chance(1, 50) && client.phase == Client::Phase::kIn) {
      leave(client);
    } else if (!client.slow || random_.chance(1, 15)) {
      act(client);
    }
    deliver();
    check();
  }

  /// No more faults: the group has to become whole within the longest timeouts.
  void settle() {
    harness_.hold_commits(false);
    deliver();
    for (Client& client : clients_) {
      client.slow = false;
      client.stubborn = false;
      if (!client.alive) revive(client);
    }
    for (int second = 0; second < 120; ++second) {
      for (int i = 0; i < 4; ++i) {
        for (Client& client : clients_) act(client);
        deliver();
        check();
      }
      harness_.advance(milliseconds(1000));
      deliver();
    }
    check_whole();
  }

  void crash() {
    const auto from = static_cast<Harness::LoadFrom>(random_.below(3));
    harness_.crash(from);
    for (Client& client : clients_) disconnect(client);
  }

 private:
  static Settings settings() {
    Settings settings;
    settings.group_initial_rebalance_delay_ms = 500;
    return settings;
  }

  void world_step() {
    harness_.advance(milliseconds(random_.below(random_.chance(1, 20) ? 12'000 : 1'200)));
    if (random_.chance(1, 25)) harness_.hold_commits(true);
    if (random_.chance(1, 6)) harness_.hold_commits(false);
    if (random_.chance(1, 25)) harness_.refuse_next(ErrorCode::kNotEnoughReplicas);
    if (random_.chance(1, 40)) crash();
    if (!late_.empty() && random_.chance(1, 10)) {
      const std::size_t which = random_.below(late_.size());
      send(late_[which].first, late_[which].second);
      late_.erase(late_.begin() + static_cast<std::ptrdiff_t>(which));
    }
    deliver();
  }

  Ticket ticket(Client& client) {
    return harness_.ticket(fmt::format("{} {}", client.name, ++client.request));
  }

  /// Its process starts again: of a static one only the instance is left.
  void revive(Client& client) {
    client.forget();
    client.alive = true;
    ++client.request;
    ++client.lives;
  }

  void disconnect(Client& client) {
    ++client.request;
    if (client.phase == Client::Phase::kIn) return;
    client.phase = Client::Phase::kOut;
  }

  void act(Client& client) {
    switch (client.phase) {
      case Client::Phase::kOut:
        return join(client);
      case Client::Phase::kJoining:
      case Client::Phase::kSyncing:
        // Clients give up at times, and ask again on another connection.
        if (random_.chance(1, 30)) disconnect(client);
        return;
      case Client::Phase::kMustSync:
        return sync(client);
      case Client::Phase::kIn:
        read_positions(client);
        return random_.chance(1, client.stubborn ? 12 : 2) ? heartbeat(client) : commit(client);
    }
  }

  void join(Client& client) {
    client.lose();  // eager: nothing is held while joining
    Subscription subscription;
    subscription.topics = {"t"};
    JoinGroup request{.group = "g",
                      .member = client.id,
                      .instance = client.instance,
                      .protocol_type = "consumer",
                      .protocols = {{.name = "range", .metadata = encode(subscription)}},
                      .session_timeout_ms = 6'000,
                      .rebalance_timeout_ms = 10'000,
                      .fresh_member = fmt::format("{}-{}", client.name, ++fresh_)};
    request.member_id_required = random_.chance(3, 4);
    request.skip_assignment_known = random_.chance(1, 2);
    client.phase = Client::Phase::kJoining;
    harness_.machine().join(ticket(client), request, harness_.now());
    harness_.perform();
  }

  void sync(Client& client) {
    SyncGroup request{.group = "g",
                      .generation = client.generation,
                      .member = client.id,
                      .instance = client.instance};
    if (client.leads) {
      std::map<std::string, std::set<std::int32_t>> shares;
      std::size_t turn = random_.below(client.to_assign.size());
      for (std::int32_t partition = 0; partition < kPartitions; ++partition) {
        shares[client.to_assign[turn++ % client.to_assign.size()]].insert(partition);
      }
      for (const auto& [member, share] : shares) {
        request.assignments.push_back(
            {.member = member, .assignment = common::Bytes::copy_of(to_text(share))});
      }
    }
    client.phase = Client::Phase::kSyncing;
    harness_.machine().sync(ticket(client), request, harness_.now());
    harness_.perform();
  }

  void heartbeat(Client& client) {
    const Heartbeat request{.group = "g",
                            .generation = client.generation,
                            .member = client.id,
                            .instance = client.instance};
    harness_.machine().heartbeat(ticket(client), request, harness_.now());
    harness_.perform();
  }

  void leave(Client& client) {
    LeaveGroup request{.group = "g"};
    request.members.push_back({.member = client.id, .instance = client.instance});
    client.forget();
    harness_.machine().leave(ticket(client), request, harness_.now());
    harness_.perform();
  }

  void commit(Client& client) {
    OffsetCommit request{
        .group = "g", .epoch = client.generation, .member = client.id, .instance = client.instance};
    for (auto& [partition, position] : client.positions) {
      position += static_cast<std::int64_t>(random_.below(5));
      request.partitions.push_back({.topic = {.name = "t", .id = Harness::topic_id("t")},
                                    .partition = partition,
                                    .offset = model::Offset{position}});
    }
    if (request.partitions.empty() || client.muted == client.generation) return heartbeat(client);
    ++client.request;
    const std::string label = fmt::format("{} {}", client.name, client.request);
    // Some requests are long on their way: what they want may not be their member's any more. The
    // connection is stuck with it, so nothing else is committed in this generation.
    if (random_.chance(1, 5)) {
      client.muted = client.generation;
      late_.emplace_back(label, std::move(request));
    } else {
      send(label, request);
    }
  }

  void send(const std::string& label, const OffsetCommit& request) {
    commits_[label] = request;
    harness_.machine().commit(harness_.ticket(label), request, harness_.now());
    harness_.perform();
  }

  Read<OffsetFetchOutcome> fetch(std::int32_t partition) {
    OffsetFetch request{.group = "g"};
    request.partitions.emplace();
    request.partitions->push_back({.topic = {.name = "t"}, .partition = partition});
    return harness_.machine().fetch_offsets(request);
  }

  void read_positions(Client& client) {
    for (const std::int32_t partition : std::set<std::int32_t>(client.unread)) {
      const auto read = fetch(partition);
      if (!harness_.may_tell(read.after)) continue;
      client.positions[partition] =
          std::max<std::int64_t>(0, read.value.partitions[0].committed.offset.value());
      client.unread.erase(partition);
    }
  }

  // ---- Answers.

  void deliver() {
    for (const Record& record : harness_.take_appended()) {
      const auto* group = std::get_if<ClassicGroupRecord>(&record);
      if (group != nullptr && !group->value.has_value()) owners_.clear();  // numbers begin anew
    }
    for (auto& [label, answer] : harness_.take_answers()) {
      const auto committed = commits_.find(label);
      if (committed != commits_.end()) {
        on_commit(committed->second, std::get<OffsetCommitOutcome>(answer));
        commits_.erase(committed);
      }
      const std::string name = label.substr(0, label.find(' '));
      Client& client = *std::find_if(clients_.begin(), clients_.end(),
                                     [&](const Client& one) { return one.name == name; });
      const bool is_late = label != fmt::format("{} {}", name, client.request);
      if (!is_late && client.alive) on_answer(client, answer);
    }
  }

  void on_answer(Client& client, const Answer& answer) {
    if (const auto* join = std::get_if<JoinOutcome>(&answer)) return on_join(client, *join);
    if (const auto* sync = std::get_if<SyncOutcome>(&answer)) return on_sync(client, *sync);
    if (const auto* status = std::get_if<Status>(&answer)) return on_error(client, status->code);
    if (const auto* commit = std::get_if<OffsetCommitOutcome>(&answer)) {
      on_error(client, commit->status.code);
    }
  }

  void on_join(Client& client, const JoinOutcome& outcome) {
    if (outcome.status.code == ErrorCode::kMemberIdRequired) client.id = outcome.member;
    if (!outcome.status.ok()) {
      client.phase = Client::Phase::kOut;
      return on_error(client, outcome.status.code);
    }
    client.id = outcome.member;
    client.generation = outcome.generation;
    client.phase = Client::Phase::kMustSync;
    client.leads = outcome.leader == outcome.member && !outcome.skip_assignment;
    client.to_assign.clear();
    for (const auto& member : outcome.members) client.to_assign.push_back(member.member);
    ASSERT_TRUE(!client.leads || !client.to_assign.empty()) << "a leader of nobody";
  }

  void on_sync(Client& client, const SyncOutcome& outcome) {
    if (!outcome.status.ok()) {
      client.phase = Client::Phase::kOut;
      return on_error(client, outcome.status.code);
    }
    client.phase = Client::Phase::kIn;
    const std::set<std::int32_t> share = parse(outcome.assignment.text());
    client.unread = share;
    const std::string identity = client.instance.value_or(client.id);
    for (const std::int32_t partition : share) {
      const auto [at, is_first] = owners_.try_emplace({client.generation, partition}, identity);
      ASSERT_EQ(at->second, identity)
          << "partition " << partition << " has two owners in generation "
          << client.generation.value();
    }
  }

  void on_error(Client& client, ErrorCode code) {
    switch (code) {
      case ErrorCode::kNone:
      case ErrorCode::kMemberIdRequired:
      case ErrorCode::kCoordinatorNotAvailable:
        return;
      case ErrorCode::kRebalanceInProgress:
        client.phase = Client::Phase::kOut;
        return;
      case ErrorCode::kFencedInstanceId:  // its process was replaced by a newer one
      case ErrorCode::kIllegalGeneration:
      case ErrorCode::kUnknownMemberId:
      case ErrorCode::kGroupIdNotFound:
        return client.forget();
      default:
        FAIL() << client.name << " is told " << model::error_row(code).kafka_name;
    }
  }

  void on_commit(const OffsetCommit& request, const OffsetCommitOutcome& outcome) {
    if (!outcome.status.ok()) return;
    for (std::size_t i = 0; i < request.partitions.size(); ++i) {
      ASSERT_EQ(outcome.partitions[i], ErrorCode::kNone);
      std::int64_t& told = told_[request.partitions[i].partition];
      ASSERT_GE(request.partitions[i].offset.value(), told)
          << "a stale member took back partition " << request.partitions[i].partition;
      told = request.partitions[i].offset.value();
    }
  }

  // ---- What must hold.

  void check() {
    for (const auto& [partition, told] : told_) {
      ASSERT_GE(fetch(partition).value.partitions[0].committed.offset.value(), told)
          << "what was committed for partition " << partition << " is gone";
    }
    if (!random_.chance(1, 10)) return;
    Machine copy(settings());
    for (const Record& record : harness_.log()) copy.load(record);
    copy.loaded(harness_.now());
    ASSERT_EQ(texts(copy.snapshot()), texts(harness_.machine().snapshot()));
  }

  static std::vector<std::string> texts(const std::vector<Record>& records) {
    std::vector<std::string> texts;
    for (const Record& record : records) texts.push_back(coordinator::to_text(record));
    return texts;
  }

  void check_whole() {
    const GroupDescription group = harness_.machine().describe("g");
    ASSERT_EQ(group.summary.state, GroupState::kStable) << coordinator::to_text(group);
    ASSERT_EQ(group.members.size(), clients_.size()) << coordinator::to_text(group);
    std::set<std::int32_t> served;
    for (const Client& client : clients_) {
      ASSERT_EQ(client.phase, Client::Phase::kIn) << client.name << " is not in";
      ASSERT_EQ(client.generation, group.epoch);
      ASSERT_TRUE(client.unread.empty());
      for (const auto& [partition, position] : client.positions) {
        ASSERT_TRUE(served.insert(partition).second) << partition << " is read twice";
      }
    }
    ASSERT_EQ(served.size(), static_cast<std::size_t>(kPartitions)) << "not all is read";
    ASSERT_TRUE(harness_.waiting().empty()) << harness_.waiting().front() << " waits";
  }

  common::Random random_;
  Harness harness_;
  std::vector<Client> clients_;
  int fresh_ = 0;
  std::map<std::pair<Epoch, std::int32_t>, std::string> owners_;
  std::map<std::string, OffsetCommit> commits_;  // by the label of the request
  std::vector<std::pair<std::string, OffsetCommit>> late_;
  std::map<std::int32_t, std::int64_t> told_;  // offsets whose commit was confirmed
};

class ClassicProperty : public testing::TestWithParam<int> {};

TEST_P(ClassicProperty, OneOwnerNothingTakenBackEverybodyServed) {
  for (int run = 0; run < 25; ++run) {
    const auto seed = static_cast<std::uint64_t>(GetParam() * 1000 + run);
    SCOPED_TRACE(fmt::format("seed {}", seed));
    World world(seed);
    for (int step = 0; step < 400; ++step) {
      world.step();
      ASSERT_FALSE(testing::Test::HasFailure()) << "at step " << step;
    }
    world.settle();
    ASSERT_FALSE(testing::Test::HasFailure());
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, ClassicProperty, testing::Range(1, 9));

TEST(ClassicRestart, AtEveryStepTheGroupBecomesWholeAgain) {
  for (int last = 0; last < 120; ++last) {
    SCOPED_TRACE(fmt::format("the coordinator dies after step {}", last));
    World world(42);
    for (int step = 0; step < last; ++step) world.step();
    world.crash();
    world.settle();
    ASSERT_FALSE(testing::Test::HasFailure());
  }
}

}  // namespace
}  // namespace millrace::coordinator
