// Inspector inspector({...});   inspector.inspect()
//
// Looks at the brokers at the end of a run, when nobody writes any more.
#pragma once

#include <memory>
#include <vector>

#include "tests/sim/fleet.h"
#include "tests/sim/log_audit.h"
#include "tests/sim/witness.h"

namespace millrace::sim {

class Inspector {
 public:
  struct Parts {
    Agenda& agenda;
    Trace& trace;
    Fleet& fleet;
    Witness& witness;
  };
  explicit Inspector(Parts parts) : parts_(parts) {}

  /// The cluster becomes whole, what has rotted is found and replaced, and all logs are equal.
  /// False: something is wrong.
  bool inspect();
  /// Before the machines.
  void clear() { log_audits_.clear(); }

 private:
  bool become_whole();

  const Parts parts_;
  std::vector<std::unique_ptr<LogAudit>> log_audits_;
};

}  // namespace millrace::sim
