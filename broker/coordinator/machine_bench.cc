// coordinator_machine_bench: CPU per request of the machine alone: heartbeats of 1,000 groups of 10
// members, commits of one partition each (one by one and 100 to a batch), a rebalance of 200
// members, the same in the consumer protocol with 1,000 partitions, and loading a million offsets.
#include <fmt/format.h>
#include <sys/resource.h>

#include <vector>

#include "broker/coordinator/consumer_protocol.h"
#include "broker/coordinator/machine.h"

namespace millrace::coordinator {
namespace {

constexpr int kGroups = 1'000;
constexpr int kMembers = 10;
constexpr int kHeartbeats = 1'000'000;
constexpr int kCommits = 1'000'000;
constexpr int kOffsets = 1'000'000;

double cpu_us() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_utime.tv_sec) * 1e6 +
         static_cast<double>(usage.ru_utime.tv_usec);
}

/// A log that takes everything, and a clock that is moved by hand.
struct Bench {
  Bench() : machine(settings()) {
    machine.loaded(now);
    perform();
    machine.topics_changed(std::make_shared<Topics>(), now);
    perform();
  }
  static Settings settings() {
    Settings settings;
    settings.group_initial_rebalance_delay_ms = 0;
    return settings;
  }
  void perform() {
    while (const auto effects = machine.take_effects()) {
      if (!effects->records.empty()) machine.appended(*effects, now);
      answers += effects->answers.size();
      for (const auto& [ticket, answer] : effects->answers) {
        const auto* join = std::get_if<JoinOutcome>(&answer);
        if (join != nullptr && !join->members.empty()) leader = *join;
        const auto* consumer = std::get_if<ConsumerHeartbeatOutcome>(&answer);
        if (consumer != nullptr) beat = *consumer;
      }
    }
  }
  void wait(common::Duration step) {
    now.instant += step;
    now.wall = now.wall + std::chrono::duration_cast<std::chrono::milliseconds>(step).count();
    while (machine.next_tick() <= now.instant) {
      machine.tick(now);
      perform();
    }
  }

  Now now{.instant = common::Instant{std::chrono::hours(1)},
          .wall = common::Timestamp{1'700'000'000'000}};
  Machine machine;
  std::uint64_t tickets = 0;
  std::size_t answers = 0;
  JoinOutcome leader;
  ConsumerHeartbeatOutcome beat;  // the last one
  Ticket ticket() { return static_cast<Ticket>(++tickets); }
};

std::string group_name(int group) {
  return fmt::format("consumer-group-{}", group);
}
std::string member_name(int group, int member) {
  return fmt::format("client-{}-{}-aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee", group, member);
}

void fill(Bench& bench, int group, int members) {
  Subscription subscription;
  subscription.topics = {"orders"};
  for (int member = 0; member < members; ++member) {
    const JoinGroup request{.group = group_name(group),
                            .protocol_type = "consumer",
                            .protocols = {{.name = "range", .metadata = encode(subscription)}},
                            .session_timeout_ms = 45'000,
                            .rebalance_timeout_ms = 300'000,
                            .fresh_member = member_name(group, member)};
    bench.machine.join(bench.ticket(), request, bench.now);
    bench.perform();
  }
  bench.wait({});
  SyncGroup request{.group = group_name(group),
                    .generation = bench.leader.generation,
                    .member = bench.leader.leader};
  for (const auto& member : bench.leader.members) {
    request.assignments.push_back(
        {.member = member.member, .assignment = common::Bytes::copy_of("share")});
  }
  bench.machine.sync(bench.ticket(), request, bench.now);
  bench.perform();
  for (int member = 0; member < members; ++member) {
    request.assignments.clear();
    request.member = member_name(group, member);
    bench.machine.sync(bench.ticket(), request, bench.now);
    bench.perform();
  }
}

void report(const char* what, double us, double count) {
  fmt::print("{:<42} {:>8.3f} us each\n", what, us / count);
}

void heartbeats() {
  Bench bench;
  for (int group = 0; group < kGroups; ++group) fill(bench, group, kMembers);
  std::vector<Heartbeat> requests;
  for (int group = 0; group < kGroups; ++group) {
    for (int member = 0; member < kMembers; ++member) {
      requests.push_back({.group = group_name(group),
                          .generation = Epoch{1},
                          .member = member_name(group, member)});
    }
  }
  const double start = cpu_us();
  for (int i = 0; i < kHeartbeats; ++i) {
    if (i % 1000 == 0) bench.wait(std::chrono::milliseconds(300));
    bench.machine.heartbeat(bench.ticket(), requests[static_cast<std::size_t>(i) % requests.size()],
                            bench.now);
    bench.perform();
  }
  report("heartbeat, 10,000 members", cpu_us() - start, kHeartbeats);
}

void commits(int batch) {
  Bench bench;
  std::vector<OffsetCommit> requests;
  for (int group = 0; group < kGroups; ++group) {
    requests.push_back({.group = group_name(group)});
    requests.back().partitions.push_back(
        {.topic = {.name = "orders"}, .partition = 3, .offset = model::Offset{12345}});
  }
  const double start = cpu_us();
  for (int i = 0; i < kCommits; ++i) {
    bench.machine.commit(bench.ticket(), requests[static_cast<std::size_t>(i) % requests.size()],
                         bench.now);
    if (i % batch == batch - 1) bench.perform();
  }
  report(fmt::format("commit, {} to a batch", batch).c_str(), cpu_us() - start, kCommits);
}

void rebalance() {
  Bench bench;
  const double start = cpu_us();
  fill(bench, 0, 200);
  report("rebalance of 200 members", cpu_us() - start, 1);
}

// ---- The consumer protocol.

void make_topic(Bench& bench, std::int32_t partitions) {
  auto topics = std::make_shared<Topics>();
  Topic topic{.name = "orders", .partitions = partitions};
  topic.id.bytes[0] = 1;
  topics->names[topic.id] = topic.name;
  topics->by_name[topic.name] = topic;
  bench.machine.topics_changed(topics, bench.now);
  bench.perform();
}

// A member as its client lives it: it takes and gives up at once what it is told.
struct Consumer {
  ConsumerHeartbeat request;
  bool acknowledges = false;

  void beat(Bench& bench) {
    const bool joins = request.epoch == Epoch{0};
    if (joins) {
      request.rebalance_timeout_ms = 300'000;
      request.topics = {"orders"};
      request.owned.emplace();
    } else if (!acknowledges) {
      request.owned.reset();
    }
    bench.machine.consumer_heartbeat(bench.ticket(), request, bench.now);
    bench.perform();
    request.rebalance_timeout_ms = -1;
    request.topics.reset();
    request.epoch = bench.beat.epoch;
    acknowledges = bench.beat.assignment.has_value();
    if (acknowledges) request.owned = bench.beat.assignment;
  }
};

std::vector<Consumer> make_consumers(int group, int members) {
  std::vector<Consumer> consumers(static_cast<std::size_t>(members));
  for (int member = 0; member < members; ++member) {
    ConsumerHeartbeat& request = consumers[static_cast<std::size_t>(member)].request;
    request.group = group_name(group);
    request.member = member_name(group, member);
  }
  return consumers;
}

void consumer_heartbeats() {
  Bench bench;
  make_topic(bench, 100);
  std::vector<Consumer> all;
  for (int group = 0; group < kGroups; ++group) {
    std::vector<Consumer> consumers = make_consumers(group, kMembers);
    for (int round = 0; round < 5; ++round) {
      for (Consumer& consumer : consumers) consumer.beat(bench);
      bench.wait(std::chrono::seconds(1));
    }
    for (Consumer& consumer : consumers) all.push_back(std::move(consumer));
    for (Consumer& consumer : all) consumer.acknowledges = false;
    if (group % 20 != 19) continue;
    for (Consumer& consumer : all) consumer.beat(bench);  // their sessions go on
  }
  const double start = cpu_us();
  for (int i = 0; i < kHeartbeats; ++i) {
    if (i % 1000 == 0) bench.wait(std::chrono::milliseconds(300));
    all[static_cast<std::size_t>(i) % all.size()].beat(bench);
  }
  report("consumer heartbeat, 10,000 members", cpu_us() - start, kHeartbeats);
}

void consumer_rebalance() {
  Bench bench;
  make_topic(bench, 1'000);
  std::vector<Consumer> consumers = make_consumers(0, 200);
  const double start = cpu_us();
  std::size_t rounds = 0;
  for (; bench.machine.describe(group_name(0)).summary.state != GroupState::kStable; ++rounds) {
    for (Consumer& consumer : consumers) consumer.beat(bench);
    bench.wait(std::chrono::seconds(1));
  }
  report(fmt::format("200 members join, 1,000 partitions, {} rounds", rounds).c_str(),
         cpu_us() - start, 1);
  const double leaving = cpu_us();
  consumers.back().request.epoch = Epoch{-1};
  consumers.back().beat(bench);
  consumers.pop_back();
  for (Consumer& consumer : consumers) consumer.beat(bench);
  report("one of them leaves", cpu_us() - leaving, 1);
}

void load() {
  Machine machine(Bench::settings());
  const double start = cpu_us();
  for (int i = 0; i < kOffsets; ++i) {
    machine.load(OffsetRecord{.group = group_name(i % kGroups),
                              .topic = "orders",
                              .partition = i / kGroups,
                              .value = CommittedOffset{.offset = model::Offset{i}}});
  }
  machine.loaded({});
  report("offset loaded", cpu_us() - start, kOffsets);
}

}  // namespace
}  // namespace millrace::coordinator

int main() {
  millrace::coordinator::heartbeats();
  millrace::coordinator::commits(1);
  millrace::coordinator::commits(100);
  millrace::coordinator::rebalance();
  millrace::coordinator::consumer_heartbeats();
  millrace::coordinator::consumer_rebalance();
  millrace::coordinator::load();
}
