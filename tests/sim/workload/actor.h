// Somebody who uses the cluster during a run.
#pragma once

#include <string>

namespace millrace::sim {

/// On a client's loop; lives as long as that runs.
class Actor {
 public:
  virtual ~Actor() = default;
  virtual void start() = 0;
  /// The faults are over: begins nothing new, and brings to an end what is under way. Those who
  /// read are told when those who write are done, and have to read all of it.
  virtual void finish() = 0;
  virtual bool writes() const { return false; }
  /// After finish(): what is missing; empty: it is done.
  virtual std::string unfinished() const = 0;
};

}  // namespace millrace::sim
