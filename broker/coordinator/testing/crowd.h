// Crowd crowd(seed, {.classic = 40});
// for (...) crowd.step();   crowd.heal();   crowd.expect_everything_served();
//
// Members of one group as clients live them, of both protocols: they join, learn what they get, use
// it, give it up (some slowly), lose answers, die, restart, change their minds; around them topics
// come, grow and go, the log refuses and the coordinator moves. After each step nobody may use what
// another member of the group uses, and what members of the consumer protocol committed is there.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "broker/coordinator/holding.h"
#include "broker/coordinator/testing/machine_shell.h"
#include "common/random.h"

namespace millrace::coordinator {

using Used = std::set<model::PartitionKey>;

/// What happens to everybody.
struct Surroundings {
  MachineShell& shell;
  common::Random& random;
  bool faults = true;  // answers get lost, members are slow
  /// The newest offset of each partition whose commit was confirmed.
  std::map<model::PartitionKey, std::int64_t> committed = {};
};

/// One client. What it uses is what it was told and has not given up.
class Client {
 public:
  virtual ~Client() = default;
  /// One turn of its loop: a heartbeat, or the next step of a round.
  virtual void turn(Surroundings& world) = 0;
  /// Leaves properly; it may be refused.
  virtual void leave(Surroundings& world) = 0;
  virtual void subscribe(std::vector<std::string> topics, std::string regex) = 0;
  /// The member epoch, or the generation, that it was told last.
  virtual Epoch epoch() const = 0;
  /// Nothing is left to be done as far as it knows.
  virtual bool at_rest() const = 0;

  const std::string& id() const { return id_; }  // empty: not told yet
  const Used& used() const { return used_; }
  const std::vector<std::string>& topics() const { return topics_; }
  const std::string& regex() const { return regex_; }
  const std::optional<std::string>& instance() const { return instance_; }
  bool is_dead() const { return dead_; }

 protected:
  std::string id_;
  std::optional<std::string> instance_;
  std::vector<std::string> topics_;
  std::string regex_;
  Used used_;
  bool dead_ = false;  // fenced by another process with its instance
};

std::unique_ptr<Client> make_consumer(std::string id, std::optional<std::string> instance);
enum class Rounds : std::uint8_t { kEager, kCooperative };
std::unique_ptr<Client> make_classic(std::string fresh_id, std::optional<std::string> instance,
                                     Rounds rounds);

struct CrowdOptions {
  int classic_percent = 0;  // of the members that come
  Rounds rounds = Rounds::kCooperative;
  std::int32_t interval_ms = 0;
  Settings::Migration migration = Settings::Migration::kBidirectional;
};

class Crowd {
 public:
  Crowd(std::uint64_t seed, const CrowdOptions& options);
  ~Crowd();

  /// Something happens, or somebody has a turn.
  void step();
  /// The coordinator dies, and another one reads the log, or a compacted one, or a snapshot.
  void move_coordinator();
  /// No more faults, and time for all that is gone to be noticed.
  void heal();
  /// Every partition of a topic that somebody subscribes to is used by one member that subscribes
  /// to it, and everybody is at rest.
  void expect_everything_served();
  /// The last things that happened, with the records that they made: for failures.
  std::string story() const;
  GroupDescription describe() { return shell_.machine().describe("g"); }

 private:
  void come();
  void go();
  void restart_static();
  void change_topics();
  void check();
  void check_committed();
  std::vector<std::string> some_topics();
  std::string regex_or_none();

  common::Random random_;
  const CrowdOptions options_;
  MachineShell shell_;
  Surroundings world_;
  std::vector<std::unique_ptr<Client>> clients_;
  std::map<std::string, Epoch> void_;  // members whose generation is over, and which that was
  int made_ = 0;
  std::string happened_;  // the last step
  std::deque<std::string> story_;
};

}  // namespace millrace::coordinator
