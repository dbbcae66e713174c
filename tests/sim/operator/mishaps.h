// Mishaps mishaps({...}, story);   mishaps.start();   ...   mishaps.end();
//
// The operator's processes, and what goes wrong with them and with their ways.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "common/random.h"
#include "tests/sim/operator/operator_process.h"
#include "tests/sim/operator/story.h"

namespace millrace::sim {

/// As many processes as the story says; one that ended is followed by another one after a while.
/// Used between the world's events.
class Mishaps {
 public:
  struct Parts {
    kube::testing::ModelApi& model;
    Agenda& agenda;
    Trace& trace;
    common::Random random;
    Rules& rules;
    AddressBook& book;
    const common::Clock& clock;
  };
  Mishaps(Parts parts, const Story& story) : parts_(std::move(parts)), story_(story) {}

  /// The processes begin.
  void start();
  /// Things go wrong from now on.
  void begin();
  /// All goes well from now on.
  void end();
  /// Every process ends, and new ones begin.
  void restart_all();
  /// Some process leads. What nobody looks at seems to be as asked for.
  bool anybody_leads() const;
  /// How often an operator looked at something.
  std::uint64_t looks() const;

 private:
  /// A place for a process, as a Deployment has replicas.
  struct Seat {
    OperatorProcess* process = nullptr;
    OperatorProcess::Faults faults;
    std::uint64_t troubles = 0;  // counts: a later one outlasts an earlier one
  };
  void watch_over();
  void sit_down(Seat& seat);
  void next();
  void strike(Mishap mishap);
  void strike_process(Mishap mishap, Seat& seat);
  void trouble(Seat& seat, common::Duration span);
  common::Duration between_ms(std::int64_t low, std::int64_t high);

  Parts parts_;
  const Story& story_;
  std::vector<std::unique_ptr<Seat>> seats_;
  std::vector<std::unique_ptr<OperatorProcess>> processes_;  // those that ended, too
  bool striking_ = false;
};

}  // namespace millrace::sim
