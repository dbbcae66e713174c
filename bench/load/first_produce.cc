#include <array>
#include <chrono>
#include <nlohmann/json.hpp>
#include <thread>

#include "bench/load/admin.h"
#include "bench/load/basics.h"
#include "bench/load/report.h"
#include "bench/load/runs.h"

namespace millrace::bench {
namespace {

constexpr std::chrono::milliseconds kPause{1};
constexpr std::chrono::milliseconds kPatience{120'000};

/// When each thing worked for the first time, in nanoseconds of CLOCK_MONOTONIC.
struct Milestones {
  std::int64_t connected = 0;
  std::int64_t topic_ready = 0;
  std::int64_t acknowledged = 0;
  int attempts = 0;
};

/// One try from connect to acknowledgement. False: try again.
bool attempt(const Options& options, Milestones& milestones) {
  ++milestones.attempts;
  Session session(options.bootstrap, kPatience);
  if (!session.open()) return false;
  if (milestones.connected == 0) milestones.connected = monotonic_ns();
  if (!options.existing && ask_create(session, options).value_or(-1) != 0) return false;
  const auto leaders = ask_leaders(session, options);
  if (!leaders) return false;
  if (milestones.topic_ready == 0) milestones.topic_ready = monotonic_ns();
  Session leader(leaders->front(), kPatience);
  const std::array partitions{0};
  const auto body = produce_body({options.topic, -1, partitions}, {1, 100});
  const auto bytes = leader.open() ? leader.call(kProduceApi, body.bytes) : std::nullopt;
  if (!bytes) return false;
  Buffer answer(4);  // read_produce_answer() begins at the correlation id
  answer.insert(answer.end(), bytes->begin(), bytes->end());
  if (read_produce_answer(answer).error != 0) return false;
  milestones.acknowledged = monotonic_ns();
  return true;
}

}  // namespace

int run_first_produce(const Options& options) {
  const std::int64_t start = options.since_ns != 0 ? options.since_ns : monotonic_ns();
  const std::int64_t deadline = start + static_cast<std::int64_t>(options.timeout_s * 1e9);
  Milestones milestones;
  while (!attempt(options, milestones)) {
    if (monotonic_ns() > deadline) fail("no acknowledged produce within {} s", options.timeout_s);
    std::this_thread::sleep_for(kPause);
  }
  const auto ms = [start](std::int64_t at) { return static_cast<double>(at - start) * 1e-6; };
  print_line({{"connected_ms", ms(milestones.connected)},
              {"topic_ready_ms", ms(milestones.topic_ready)},
              {"first_ack_ms", ms(milestones.acknowledged)},
              {"attempts", milestones.attempts}});
  return 0;
}

}  // namespace millrace::bench
