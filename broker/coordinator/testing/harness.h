// Harness harness(settings);
// harness.machine().join(harness.ticket("join a"), request, harness.now());
// harness.perform();
// for (auto& [label, answer] : harness.take_answers()) ...
//
// Drives a Machine as its shell does: clock, log, commits, crashes. Fails the process when a ticket
// is answered twice or by nobody.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "broker/coordinator/machine.h"
#include "common/clock.h"

namespace millrace::coordinator {

class Harness {
 public:
  explicit Harness(const Settings& settings);

  Machine& machine() { return *machine_; }
  Now now() const { return {.instant = clock_.now(), .wall = clock_.wall()}; }
  /// A ticket for an input; the label comes back with its answer.
  Ticket ticket(std::string label);
  /// Performs the effects of the last input, and those that they leave behind. Between two calls
  /// there may be only commits.
  void perform();
  /// Lets time pass, with a tick whenever the machine asked for one.
  void advance(common::Duration step);
  /// The topics of this name with so many partitions; ids are 0...0 and the name's first letter,
  /// and `incarnation` in the first byte.
  void set_topics(const std::map<std::string, std::int32_t>& partitions,
                  std::uint8_t incarnation = 0);
  void set_topics(std::shared_ptr<const Topics> topics);
  /// Holds from now on, and for machines that are made later.
  void set_settings(const Settings& settings);
  static model::TopicId topic_id(const std::string& name, std::uint8_t incarnation = 0);

  /// The log refuses the next batch.
  void refuse_next(ErrorCode code) { refusal_ = code; }
  /// From now on nothing is committed (or everything is again, also what was appended meanwhile).
  void hold_commits(bool hold);
  /// The answer to a read, when it may be given. False: not before a commit that is held.
  bool may_tell(std::uint64_t after) const { return after <= committed_; }

  /// Loses the machine, and of the log what was not committed; then a new one loads the rest. What
  /// waits is never answered.
  enum class LoadFrom : std::uint8_t { kLog, kCompactedLog, kSnapshot };
  void crash(LoadFrom from = LoadFrom::kLog);
  /// Starts anew with these records as the log, all committed.
  void adopt_log(std::vector<Record> records);
  /// As crash(), but the machine answers everything before it goes.
  void resign(ErrorCode code);

  /// Answers since the last call, in the order in which they were given.
  std::vector<std::pair<std::string, Answer>> take_answers();
  /// Records that were appended since the last call.
  std::vector<Record> take_appended() { return std::exchange(appended_, {}); }
  const std::vector<Record>& log() const { return log_; }
  /// Labels that still wait.
  std::vector<std::string> waiting() const;

 private:
  struct Parked {
    std::uint64_t after = 0;
    std::vector<std::pair<Ticket, Answer>> answers;
  };
  void give(std::vector<std::pair<Ticket, Answer>> answers);
  void give_committed();
  void start(const std::vector<Record>& records);
  std::vector<Record> compacted() const;

  common::ManualClock clock_;
  Settings settings_;
  std::shared_ptr<const Topics> topics_ = std::make_shared<const Topics>();
  std::unique_ptr<Machine> machine_;
  std::uint64_t tickets_ = 0;
  std::map<Ticket, std::string> labels_;
  std::vector<std::pair<std::string, Answer>> answers_;

  std::vector<Record> log_;
  std::vector<Record> appended_;
  std::optional<ErrorCode> refusal_;
  // Of this machine:
  std::uint64_t batch_ = 0;      // the newest in the log
  std::uint64_t committed_ = 0;  // the newest that is committed
  bool holds_ = false;
  std::size_t committed_records_ = 0;
  std::deque<Parked> parked_;
};

}  // namespace millrace::coordinator
