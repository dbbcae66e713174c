// Simulator simulator({.seed = 7});  const Verdict verdict = simulator.run();
//
// One Raft group on several simulated brokers: a network that delays, repeats, drops and parts one
// way, disks that lose what is not synced, processes that die, pause and come back, brokers that
// come back with an empty disk, clocks that do not go equally fast; voter sets and leaders that
// change. A seed is a run.
#pragma once

#include <fmt/format.h>

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <queue>
#include <string>
#include <vector>

#include "broker/raft/testing/oracle.h"
#include "broker/raft/testing/shell.h"
#include "common/random.h"

namespace millrace::raft {

struct Options {
  std::uint64_t seed = 1;
  /// Prints every event.
  bool trace = false;
};

struct Verdict {
  /// Empty: all is well.
  std::string failure;
  std::uint64_t events = 0;
  std::int64_t committed = 0;
  std::size_t elections = 0;
  std::size_t lossy_elections = 0;
  std::size_t configs = 0;
  /// Times that a confirmed leader was looked at, and of those, that it had a lease.
  std::uint64_t led = 0;
  std::uint64_t leased = 0;
  /// Of all that happened; two runs of one seed have the same.
  std::uint64_t digest = 0;
};

class Simulator final : public Replicas {
 public:
  explicit Simulator(Options options);
  Verdict run();
  const Shell* find(const ReplicaId& id) const override;

 private:
  static constexpr int kNodesMax = 7;
  enum class EventKind : std::uint8_t {
    kDeliver,
    kTick,
    kSyncLog,
    kSyncHard,
    kFetch,
    kHeartbeat,
    kHear,
    kAct,
    kCrash,
    kBoot
  };
  struct Event {
    Instant at;
    std::uint64_t sequence;
    EventKind kind;
    int node;
    std::uint64_t life;  // of the process it is meant for
    std::uint32_t letter;
  };
  /// What a broker says of itself, and to whom it is said.
  struct Beat {
    int from = 0;
    std::uint64_t life = 0;
    Instant sent{};  // by the sender's clock
    Trust trust = Trust::kNone;
    Instant heard{};  // by the receiver's
  };
  struct Later {
    bool operator()(const Event& left, const Event& right) const {
      return left.at != right.at ? left.at > right.at : left.sequence > right.sequence;
    }
  };
  struct Node {
    std::unique_ptr<Shell> shell;
    int directory = 0;
    std::uint64_t life = 1;  // counts processes
    bool relaxed_died = false;
    Instant paused_until{};
    Instant starved_until{};
    Instant tick_at = Instant::max();
    bool log_syncing = false;
    bool hard_syncing = false;
    bool fetch_due = false;
    /// Of its clock, by which all its other times are, in thousandths.
    std::int64_t speed = 1000;
    Settings settings;
    Contacts contacts;
    Instant beat_at{};
    std::array<Instant, kNodesMax> heard_at{};
    std::array<Instant, kNodesMax> heard_sent{};  // by the others' clocks
    std::array<std::uint64_t, kNodesMax> heard_life{};
    std::array<Trust, kNodesMax> trust{};
    std::uint64_t trusts = 0;
    std::array<bool, kNodesMax> suspects{};
  };
  /// What may go wrong in this run, and how often.
  struct Faults {
    int drop_percent = 0;
    int repeat_percent = 0;
    int delay_us_max = 2000;
    int slow_percent = 0;
    int crash_permille = 0;
    int pause_permille = 0;
    int part_permille = 0;
    int reconfigure_permille = 0;
    int transfer_permille = 0;
    int wipe_permille = 0;
    int trim_permille = 0;
    int campaign_permille = 0;
    int sync_us_max = 2000;
    /// A process dies right after it said something that is not on its disk.
    int crash_unsynced_permille = 0;
    /// All data for one broker is lost for a while.
    int starve_permille = 0;
    /// Of two halves neither hears the other.
    int split_permille = 0;
    /// Of three two do not hear each other for a while, and only they.
    int pair_permille = 0;
    /// A process dies and is there again at once.
    int restart_permille = 0;
    int write_percent = 33;
    bool odd_clocks = false;
  };

  void set_up();
  void draw_faults();
  void draw_lease_faults();
  void push(Instant at, EventKind kind, int node, std::uint32_t letter = 0);
  void handle(const Event& event);
  void deliver(const Event& event);
  void heartbeat(int node);
  void send_beat(int node, int other);
  void look_for_silence(int node);
  void hear(const Event& event);
  void heard(int node, int from);
  void draw_trust(Node& node, int other);
  void see_new(int node, int other, std::uint64_t life);
  void after(int node);
  void check_leases();
  Duration travel_time();
  void send(Letter letter);
  void act();
  void act_client();
  void act_fault();
  void act_pair();
  void act_admin();
  void crash(int node);
  void boot(int node);
  void wipe(int node);
  bool survives(const VoterSet& config, const ReplicaId& without) const;
  bool wipe_allowed(const ReplicaId& id) const;
  bool linked(int from, int to) const {
    return !cut_[static_cast<std::size_t>(from)][static_cast<std::size_t>(to)];
  }
  void run_until(Instant end);
  void heal();
  void check_alive();
  void check_quiet(int leader);
  int pick_leader();
  bool up(int node) const { return nodes_[static_cast<std::size_t>(node)].shell->running(); }
  Node& at(int node) { return nodes_[static_cast<std::size_t>(node)]; }
  /// What a broker's clock shows, and when it shows that.
  Instant local(const Node& node) const {
    return Instant{now_.time_since_epoch() * node.speed / 1000};
  }
  Instant local(int node) { return local(at(node)); }
  static Instant when(const Node& node, Instant shown) {
    return Instant{
        Duration{(shown.time_since_epoch().count() * 1000 + node.speed - 1) / node.speed}};
  }
  std::uint64_t digest() const { return digest_; }
  template <typename... Args>
  void trace(const char* format, const Args&... args) {
    if (!options_.trace) return;
    fmt::print("{:>9.3f} ",
               std::chrono::duration<double, std::milli>(now_.time_since_epoch()).count());
    fmt::print(fmt::runtime(format), args...);
    fmt::print("\n");
  }

  Options options_;
  common::Random random_;
  Settings settings_;
  GroupSettings group_settings_;
  Faults faults_;
  int node_count_ = 3;
  int voter_count_ = 3;
  std::vector<Node> nodes_;
  std::vector<std::unique_ptr<Shell>> gone_;  // of directories that are no more
  std::array<std::array<bool, kNodesMax>, kNodesMax> cut_{};
  std::priority_queue<Event, std::vector<Event>, Later> events_;
  std::vector<Letter> letters_;
  std::vector<std::uint32_t> free_letters_;
  std::vector<Beat> beats_;
  std::vector<std::uint32_t> free_beats_;
  std::uint64_t sequence_ = 0;
  std::uint64_t handled_ = 0;
  std::uint64_t sent_ = 0;
  std::uint64_t digest_ = 0;
  std::size_t third_ = 0;
  std::uint64_t led_ = 0;
  std::uint64_t leased_ = 0;
  Instant now_{};
  bool acting_ = true;
  std::unique_ptr<Oracle> oracle_;
};

}  // namespace millrace::raft
