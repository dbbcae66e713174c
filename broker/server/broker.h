// auto broker = Broker::start(options);   print(broker->ready_line());   wait_for_signal();
// broker->stop();
//
// One whole broker: a data directory, its shards, and the doors.
#pragma once

#include <memory>
#include <string>

#include "broker/server/options.h"

namespace millrace::server {

class Broker {
 public:
  /// Recovers the data directory and serves. Blocking. The error says what is wrong and what to do
  /// about it.
  static common::Result<std::unique_ptr<Broker>> start(const Options& options);
  virtual ~Broker() = default;
  /// "ready kafka=HOST:PORT grpc=HOST:PORT http=HOST:PORT": scripts wait for it.
  virtual std::string ready_line() const = 0;
  /// Answers what is under way, writes everything behind, so that the next start has nothing to
  /// replay. Blocking.
  virtual void stop() = 0;
};

/// Makes the data directory without serving (`millrace format`); answers what it now is, as one
/// line.
common::Result<std::string> format_directory(const Options& options);

}  // namespace millrace::server
