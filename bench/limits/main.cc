// millrace-limits: what this machine can do without any protocol. Receives from loopback TCP,
// checksums, writes durably around the page cache, and says what that cost: the reference that the
// broker's CPU per GB is held against.
#include <CLI/CLI.hpp>
#include <algorithm>

#include "bench/limits/receiver.h"
#include "bench/limits/sender.h"
#include "bench/load/basics.h"

namespace {

using namespace millrace::bench;

struct Settings {
  std::string folder = ".";
  double gb = 2;
  int connections = 16;
  std::size_t round_kib = 1024;
};

constexpr std::int64_t kFileBytes = 256 << 20;
constexpr int kCommits = 500;
constexpr std::size_t kSmallCommit = 4096;

void print_received(const char* name, const Received& received) {
  const double gb = static_cast<double>(received.bytes) / 1e9;
  fmt::print(
      R"({{"limit":"{}","gb":{:.3f},"rounds":{},"mb_per_s":{:.1f},"cpu_s_per_gb":{:.4f},"checksum":{}}})"
      "\n",
      name, gb, received.rounds, gb * 1000 / received.seconds, received.cpu_s / gb,
      received.checksum);
}

void print_commits(const DurableFile& file, std::size_t bytes) {
  auto times = commit_times_us(file, bytes, kCommits);
  std::sort(times.begin(), times.end());
  fmt::print(R"({{"limit":"commit_{}k","p50_us":{:.0f},"p99_us":{:.0f},"max_us":{:.0f}}})"
             "\n",
             bytes >> 10, times[kCommits / 2], times[kCommits * 99 / 100], times.back());
}

}  // namespace

int main(int argc, char** argv) {
  Settings settings;
  CLI::App app("What receiving and durable writing cost on this machine. Prints JSON lines.",
               "millrace-limits");
  app.add_option("--folder", settings.folder,
                 "where its 256 MiB file goes: the disk that is measured");
  app.add_option("--gb", settings.gb, "volume of each run")->check(CLI::Range(0.01, 100.0));
  app.add_option("--connections", settings.connections)->check(CLI::Range(1, 1000));
  app.add_option("--round-kib", settings.round_kib, "bytes of one durable write")
      ->check(CLI::Range(4, 16384));
  CLI11_PARSE(app, argc, argv);
  if (settings.round_kib % 4 != 0) fail("--round-kib is not a multiple of 4");

  const auto bytes = static_cast<std::int64_t>(settings.gb * 1e9);
  const DurableFile file{settings.folder, kFileBytes, settings.round_kib << 10};
  Sender sender = start_sender(settings.connections, bytes);
  print_received("receive_checksum", receive_only(sender.sockets, file.round_bytes));
  finish_sender(sender);
  sender = start_sender(settings.connections, bytes);
  print_received("receive_checksum_durable", receive_durably(sender.sockets, file));
  finish_sender(sender);
  print_commits(file, kSmallCommit);
  print_commits(file, file.round_bytes);
  return 0;
}
